"""Recording a melt the caller made (R53 to R80)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, Proof, Store
from nutstate.storage.port import AuditQuery, OperationQuery
from nutstate.testing import FaultyStore
from tests.support import invariants
from tests.support.crash import Crash, Ticks
from tests.support.everything import Everything, everything
from tests.support.recording import Wallet, as_json, at_once, proofs
from tests.support.wallet import NPUB, invoice

TX = "tx_acceptance"


def refused(work: Callable[[], Any], code: str) -> NutstateError:
    with pytest.raises(NutstateError) as caught:
        work()
    assert caught.value.code == code, caught.value.as_dict()
    return caught.value


def refused_without_a_trace(wallet: Wallet, work: Callable[[], Any], code: str) -> NutstateError:
    """Refused with this code, and no document, key or record is added or changed."""
    before = everything(wallet.store)
    error = refused(work, code)
    assert everything(wallet.store) == before
    return error


def of_recording(found: Everything) -> tuple[bool, bool, bool, bool]:
    """Whether operation, keep, change and audit records of ``TX`` are there."""
    return (
        TX in found.operations,
        f"{TX}_keep" in found.tokens,
        f"{TX}_melt_change" in found.tokens,
        any(record.operation_id == TX for record in found.audit.values()),
    )


def test_r53_the_call() -> None:
    """``record_melt(sources, keep, change, amount, fee, *, …, hold=None)`` is the call."""
    _, *given = inspect.signature(Engine.record_melt).parameters.values()
    said = [(p.name, p.kind.name, "required" if p.default is p.empty else p.default) for p in given]
    named = [
        ("transaction_id", None), ("npub", "required"), ("wallet_id", None), ("mint_url", "required"),
        ("unit", "sat"), ("payment_request", None), ("parent_transaction_id", None),
        ("idempotency_key", None), ("hold", None),
    ]  # fmt: skip
    places = ("sources", "keep", "change", "amount", "fee")
    assert said == [
        *((name, "POSITIONAL_OR_KEYWORD", "required") for name in places),
        *((name, "KEYWORD_ONLY", default) for name, default in named),
    ]


def test_r54_one_transaction(new_store: Callable[[], Store]) -> None:
    """Sources spent, change tokens, operation and audit records: all of one transaction."""
    seen: set[bool] = set()
    for at in range(20):
        store = new_store()
        wallet = Wallet(store, 100, faults=Ticks(at))
        try:
            wallet.record([100], proofs(8), proofs(2), 90, transaction_id=TX)
            break
        except Crash:
            here = (*of_recording(everything(store)), wallet.token(100).state == "spent")
            assert len(set(here)) == 1, f"half of it at crash {at}: {here}"
            seen.add(here[0])
    else:
        raise AssertionError("it never ended")
    assert seen == {False, True}, "a crash before the commit, and one after it"
    spent = store.audit(AuditQuery(entity=f"token:{wallet.ids[100]}"))[-1]
    batch = store.audit(AuditQuery(batch_id=spent.batch_id))
    entities = {f"operation:{TX}", f"token:{TX}_keep", f"token:{TX}_melt_change", spent.entity}
    assert {record.entity for record in batch} == entities


def test_r55_keep_and_change_become_change_tokens(store: Store) -> None:
    """Keep becomes the unspent ``change`` token ``<id>_keep``; change becomes ``<id>_melt_change``."""
    keep, change = proofs(8, 2), proofs(4, 1)
    Wallet(store, 100).record([100], keep, change, 85, transaction_id=TX)
    for name, given in (("keep", keep), ("melt_change", change)):
        token = store.token(f"{TX}_{name}")
        assert token is not None and (token.state, token.transaction_type) == ("unspent", "change")
        assert {p.secret.reveal() for p in token.proofs} == {p.secret.reveal() for p in given}


@pytest.mark.parametrize(("amount", "fee"), [(89, 0), (91, 0), (90, 1), (180, 0)])
def test_r56_the_sum_is_conserved(store: Store, amount: int, fee: int) -> None:
    """Sources must equal amount + fee + keep + change, else ``NOT_CONSERVED``, and nothing is written."""
    wallet = Wallet(store, 100)
    refused_without_a_trace(
        wallet, lambda: wallet.record([100], proofs(7), proofs(3), amount, fee), "NOT_CONSERVED"
    )
    assert wallet.record([100], proofs(7), proofs(3), 89, 1).success


BAD: list[tuple[dict[str, Any], str]] = [
    ({"amount": 10.0}, "INVALID_AMOUNT"),
    ({"amount": True}, "INVALID_AMOUNT"),
    ({"secret": ""}, "INVALID_TOKEN"),
    ({"C": "02"}, "INVALID_TOKEN"),
    ({"id": 7}, "INVALID_TOKEN"),
]


@pytest.mark.parametrize(("bad", "code"), BAD, ids=lambda bad: str(bad))
@pytest.mark.parametrize(
    "side", [pytest.param("keep", id="r57_failing_keep"), pytest.param("change", id="r58_failing_change")]
)
def test_r57_r58_a_failing_keep_or_change(store: Store, side: str, bad: dict[str, Any], code: str) -> None:
    """A failing keep or change leaves every source unspent, with no new document and no record."""
    wallet = Wallet(store, 60, 40)
    good, failing = proofs(5), [{**as_json(proofs(5)[0]), **bad}]
    keep, change = (failing, good) if side == "keep" else (good, failing)
    refused_without_a_trace(wallet, lambda: wallet.record([60, 40], keep, change, 90), code)
    assert wallet.balance() == (100, 0, 0)


def test_r57_r58_a_failing_store(store: Store) -> None:
    """A store that fails while it writes keep and change leaves every source unspent, and nothing new."""
    # the payment with its reconciliation, and then the payment alone
    wallet = Wallet(FaultyStore(store, ["unavailable", "unavailable"]), 60, 40, funding=store)
    refused_without_a_trace(
        wallet, lambda: wallet.record([60, 40], proofs(5), proofs(5), 90), "STORE_UNAVAILABLE"
    )
    assert wallet.balance() == (100, 0, 0)


def test_r59_the_result(store: Store) -> None:
    """``record_melt`` returns ``success``, ``transaction_id``, …, ``operations``."""
    done = Wallet(store, 100).record([100], proofs(8), proofs(2), 90, transaction_id=TX)
    expected = {
        "success": True, "transaction_id": TX, "source_tokens_spent": 1,
        "keep_token_id": f"{TX}_keep", "keep_amount": 8,
        "melt_change_token_id": f"{TX}_melt_change", "melt_change_amount": 2,
    }  # fmt: skip
    assert {name: getattr(done, name) for name in expected} == expected
    told = done.as_dict()
    assert set(told) == {*expected, "operations"} and told["operations"] == list(done.operations)


def test_r60_the_tokens_made(store: Store) -> None:
    """``operations`` has one entry per token made: ``type``, ``token_id``, ``amount``, ``proof_count``."""
    done = Wallet(store, 100).record([100], proofs(4, 2, 2), proofs(1, 1), 90, transaction_id=TX)
    assert done.as_dict()["operations"] == [
        {"type": "keep_change", "token_id": f"{TX}_keep", "amount": 8, "proof_count": 3},
        {"type": "melt_change", "token_id": f"{TX}_melt_change", "amount": 2, "proof_count": 2},
    ]


@pytest.mark.parametrize("nothing", [None, []], ids=str)
def test_r61_without_keep_or_change(store: Store, nothing: Any) -> None:
    """Without keep, ``keep_token_id`` is None, ``keep_amount`` 0, no token is made; the same for change."""
    wallet = Wallet(store, 100, 200)
    one = wallet.record([100], nothing, proofs(2), 98)
    two = wallet.record([200], proofs(2), nothing, 198)
    assert (one.keep_token_id, one.keep_amount, len(one.operations)) == (None, 0, 1)
    assert (two.melt_change_token_id, two.melt_change_amount, len(two.operations)) == (None, 0, 1)
    assert store.token(f"{one.transaction_id}_keep") is None
    assert store.token(f"{two.transaction_id}_melt_change") is None


def test_r62_a_hold_reserves(store: Store) -> None:
    """``hold(sources, ttl_s)`` reserves the sources while the caller pays; no other operation can take
    them."""
    wallet = Wallet(store, 60, 40)
    hold = wallet.hold(60)
    assert wallet.token(60).state == "reserved" and wallet.balance() == (40, 60, 0)
    source = [wallet.ids[60]]

    def pay(**more: Any) -> Any:
        return wallet.engine.melt(**wallet.whose, invoice=invoice(50, wallet.clock), **more)

    assert refused(lambda: pay(sources=source), "CONCURRENT_OPERATION").details["operations"] == [hold]
    refused(pay, "FUNDS_RESERVED")
    refused(lambda: wallet.engine.hold(source, 10, **wallet.whose), "CONCURRENT_OPERATION")
    assert wallet.token(60).reserved_by == hold
    invariants.check(store)


def test_r63_unhold_frees(store: Store) -> None:
    """``unhold`` frees what ``hold`` reserved."""
    wallet = Wallet(store, 60, 40)
    hold = wallet.hold(60, 40)
    assert wallet.balance() == (0, 100, 0)
    wallet.engine.unhold(hold)
    assert wallet.balance() == (100, 0, 0) and wallet.hold(60, 40) != hold
    invariants.check(store)


def test_r64_exactly_the_held_are_spent(store: Store) -> None:
    """``record_melt(hold=…)`` spends exactly the held sources."""
    wallet = Wallet(store, 60, 40, 30)
    hold = wallet.hold(60, 40)
    for named in ([60], [60, 30], [60, 40, 30], [30]):
        value = sum(named)
        refused_without_a_trace(
            wallet,
            lambda: wallet.record(named, [], [], value, hold=hold),  # noqa: B023
            "HOLD_MISMATCH",
        )
    done = wallet.record([], proofs(10), [], 90, hold=hold)
    assert done.source_tokens_spent == 2
    assert [wallet.token(value).state for value in (60, 40, 30)] == ["spent", "spent", "unspent"]
    invariants.check(store)


@pytest.mark.parametrize("says", ["UNSPENT", "PENDING", "SPENT", None], ids=str)
def test_r65_only_the_mint_frees_a_hold(store: Store, says: str | None) -> None:
    """The end of ``ttl_s`` alone never frees a source: only when the mint calls every proof UNSPENT."""
    wallet = Wallet(store, 100)
    wallet.hold(100, ttl_s=10)
    wallet.mint.says = None
    wallet.clock.advance(60)
    wallet.engine.recover(force=True)
    assert wallet.balance() == (0, 100, 0), "the time is over, the mint said nothing"
    wallet.mint.says = says
    for _ in range(3):
        wallet.clock.advance(60)
        wallet.engine.recover(force=True)
    assert wallet.balance() == ((100, 0, 0) if says == "UNSPENT" else (0, 100, 0))
    invariants.check(store)


class OnePending(Wallet):
    """One held proof is in flight, the others are UNSPENT."""

    def flight(self) -> None:
        ask = self.mint.check_states

        def say(mint_url: str, ys: Any) -> Any:
            first, *others = ask(mint_url, ys)  # type: ignore[misc]
            return (attrs.evolve(first, state="PENDING"), *others)

        self.mint.check_states = say  # type: ignore[method-assign]


def test_r65_every_held_proof_must_be_unspent(store: Store) -> None:
    """One held proof that is not UNSPENT keeps all of them reserved."""
    wallet = OnePending(store, 100, 40)
    wallet.flight()
    wallet.hold(100, 40, ttl_s=10)
    for _ in range(4):
        wallet.clock.advance(60)
        wallet.engine.recover(force=True)
    assert wallet.balance() == (0, 140, 0)


def contested(wallet: Wallet) -> tuple[str, NutstateError]:
    """A hold of 300, and a payment with 100 and 300 that was recorded without it."""
    holder = wallet.hold(300)
    error = refused(
        lambda: wallet.record([100, 300], proofs(40), proofs(10), 350, transaction_id=TX),
        "CONCURRENT_OPERATION",
    )
    return holder, error


def test_r66_a_conflict_after_the_payment_loses_nothing(store: Store) -> None:
    """Without a hold, a conflict must not lose money: it is stored parked, **with** keep and change."""
    wallet = Wallet(store, 100, 300)
    holder, _ = contested(wallet)
    parked = wallet.engine.operation(TX)
    assert parked.is_parked and parked.alarm is not None and not parked.is_final
    keep, change = store.token(f"{TX}_keep"), store.token(f"{TX}_melt_change")
    assert keep is not None and (keep.state, keep.total_amount) == ("unspent", 40)
    assert change is not None and (change.state, change.total_amount) == ("unspent", 10)
    invariants.check(store)
    wallet.engine.unhold(holder)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(TX).is_final and wallet.balance() == (50, 0, 400)
    invariants.check(store)


def test_r66_it_is_parked_in_contested(store: Store) -> None:
    """The operation is stored parked in `contested`, a state of its own."""
    wallet = Wallet(store, 100, 300)
    contested(wallet)
    assert wallet.engine.operation(TX).state == "contested"


def test_r67_the_conflict_is_named(store: Store) -> None:
    """Such a conflict has the code ``CONCURRENT_OPERATION`` and names the conflicting ids."""
    wallet = Wallet(store, 100, 300)
    holder, error = contested(wallet)
    assert error.details["tokens"] == [wallet.ids[300]] and error.details["operations"] == [holder]
    assert error.details["operation_id"] == TX


def test_r68_two_sources(store: Store) -> None:
    """500 + 300 melt 550, keep 200, change 50: two sources ``spent`` with ``spent_at``, ``_keep`` 200, …"""
    wallet = Wallet(store, 500, 300)
    wallet.clock.advance(7)
    done = wallet.record([500, 300], proofs(128, 64, 8), proofs(32, 16, 2), 550, transaction_id=TX)
    assert (done.source_tokens_spent, done.keep_amount, done.melt_change_amount) == (2, 200, 50)
    for value in (500, 300):
        assert (wallet.token(value).state, wallet.token(value).spent_at) == ("spent", wallet.clock.now())
    for name, amount in (("keep", 200), ("melt_change", 50)):
        token = store.token(f"{TX}_{name}")
        assert token is not None and token.total_amount == amount and token.metadata.operation_hash
    invariants.check(store)


def test_r69_balances(store: Store) -> None:
    """600 + 400 melt 600, keep 300, change 100: unspent balance 400, spent balance 1000."""
    wallet = Wallet(store, 600, 400)
    wallet.record([600, 400], proofs(256, 44), proofs(64, 36), 600)
    balance = wallet.engine.balance(NPUB)
    assert (balance.unspent, balance.of("spent")) == (400, 1000)
    invariants.check(store)


def test_r70_an_idle_token(store: Store) -> None:
    """1000, another 500 idle, melt 800, keep 150, change 50: unspent balance 700; the idle is untouched."""
    wallet = Wallet(store, 1000, 500)
    idle = wallet.token(500)
    wallet.record([1000], proofs(150), proofs(50), 800)
    assert wallet.engine.balance(NPUB).unspent == 700 and wallet.token(500) == idle
    invariants.check(store)


def test_r71_keep_only(store: Store) -> None:
    """Keep only: ``_keep`` exists, ``_melt_change`` does not."""
    Wallet(store, 100).record([100], proofs(30), [], 70, transaction_id=TX)
    assert of_recording(everything(store))[1:3] == (True, False)
    invariants.check(store)


def test_r72_change_only(store: Store) -> None:
    """Change only: ``_melt_change`` exists, ``_keep`` does not."""
    Wallet(store, 100).record([100], [], proofs(30), 70, transaction_id=TX)
    assert of_recording(everything(store))[1:3] == (False, True)
    invariants.check(store)


def test_r73_the_exact_amount(store: Store) -> None:
    """Exact amount: no token is made, the operation is recorded all the same."""
    wallet = Wallet(store, 100)
    before = set(everything(store).tokens)
    wallet.record([100], [], [], 100, transaction_id=TX)
    after = everything(store)
    assert set(after.tokens) == before and of_recording(after) == (True, False, False, True)
    assert wallet.engine.operation(TX).is_paid and wallet.balance() == (0, 0, 100)
    invariants.check(store)


def test_r74_the_exact_amount_again(store: Store) -> None:
    """The same again inside the window is detected as a duplicate."""
    wallet = Wallet(store, 100)
    first = wallet.record([100], [], [], 100)
    before = everything(store)
    wallet.clock.advance(299)
    assert wallet.record([100], [], [], 100).as_dict() == first.as_dict()
    assert everything(store) == before and len(store.operations(OperationQuery(kind="record"))) == 1


def test_r75_two_melts_at_once(store: Store) -> None:
    """Two melts of different sources at once: both succeed."""
    values = (101, 102, 103, 104, 105, 106)
    wallet = Wallet(store, *values)
    for one, two in zip(values[::2], values[1::2], strict=True):
        ends = at_once(
            one=lambda: wallet.record([one], proofs(1), [], one - 1).success,  # noqa: B023
            two=lambda: wallet.record([two], [], proofs(1), two - 1).success,  # noqa: B023
        )
        assert ends == {"one": True, "two": True}
    assert wallet.balance() == (len(values), 0, sum(values))
    invariants.check(store)


def test_r76_untouched_proofs_are_moved(store: Store) -> None:
    """Untouched proofs of a source are moved: no secret in two documents."""
    wallet = Wallet(store, 100)  # 64 + 32 + 4
    own = {proof.amount: proof for proof in wallet.token(100).proofs}
    wallet.record([100], [own[32], *proofs(1)], proofs(3), 64, transaction_id=TX)
    keep = store.token(f"{TX}_keep")
    assert keep is not None and own[32].secret in {proof.secret for proof in keep.proofs}
    secrets = [proof.secret for token in everything(store).tokens.values() for proof in token.proofs]
    assert len(secrets) == len(set(secrets)) and wallet.balance() == (36, 0, 68)
    invariants.check(store)


def test_r77_an_untouched_source(store: Store) -> None:
    """A source all of whose proofs are in keep was no source: refused (``SOURCE_UNTOUCHED``)."""
    wallet = Wallet(store, 100, 500)
    own = wallet.token(100).proofs
    refused_without_a_trace(wallet, lambda: wallet.record([100, 500], own, [], 500), "SOURCE_UNTOUCHED")


@pytest.mark.parametrize("other", ["amount", "C", "id"])
def test_r78_the_secret_of_a_consumed_proof(store: Store, other: str) -> None:
    """A keep proof whose secret is among the consumed ones must be refused."""
    wallet = Wallet(store, 100)
    own = wallet.token(100).proofs[0]
    fresh: Any = {"amount": own.amount + 1, "C": proofs(1)[0].C, "id": "00ffffffffffffff"}
    keep: Proof = attrs.evolve(own, **{other: fresh[other]})
    refused_without_a_trace(
        wallet, lambda: wallet.record([100], [keep], [], 100 - keep.amount), "DUPLICATE_SECRET"
    )


@pytest.mark.parametrize("state", ["unspent", "reserved", "spent"])
def test_r79_a_proof_of_another_token(store: Store, state: str) -> None:
    """A keep proof that is in another token must be refused."""
    wallet = Wallet(store, 100, 40)
    if state == "reserved":
        wallet.hold(40)
    elif state == "spent":
        wallet.record([40], [], [], 40)
    foreign = wallet.token(40).proofs[0]
    error = refused_without_a_trace(
        wallet, lambda: wallet.record([100], [foreign], [], 100 - foreign.amount), "DUPLICATE_PROOF"
    )
    assert error.details["tokens"] == [wallet.ids[40]]


def test_r80_a_proof_twice(store: Store) -> None:
    """A keep proof that occurs twice must be refused."""
    wallet = Wallet(store, 100)
    twice = proofs(10)
    refused_without_a_trace(
        wallet, lambda: wallet.record([100], [*twice, *twice], [], 80), "DUPLICATE_SECRET"
    )
    refused_without_a_trace(
        wallet, lambda: wallet.record([100], [*twice, as_json(twice[0])], [], 80), "DUPLICATE_SECRET"
    )


def test_r55_r59_r76_what_was_kept_of_a_contested_source(store: Store) -> None:
    """Keep and the result say so, also when the source was free only later; then it lies in a token of
    its own, for ``<id>_keep`` may be there already."""
    wallet = Wallet(store, 100)  # 64 + 32 + 4
    kept = [proof for proof in wallet.token(100).proofs if proof.amount == 32]
    holder = wallet.hold(100)

    def say() -> Any:
        return wallet.record([100], kept, [], 68, transaction_id=TX)

    refused(say, "CONCURRENT_OPERATION")
    wallet.engine.unhold(holder)
    wallet.engine.recover(force=True)
    done = say()
    assert (done.keep_token_id, done.keep_amount) == (f"{TX}_split_1", 32)
    assert [made["amount"] for made in done.operations] == [32]
