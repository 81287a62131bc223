"""Melts that the caller made himself (R53 to R61, R66 to R80), on every store."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, Proof, Refused, Secret, StorageError, Store
from nutstate.engine.cashu.coins.crypto import y_of
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Dleq
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.apart import Apart
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.recording import Wallet, as_json, proofs
from tests.support.wallet import NPUB, invoice, npub_of, payment_hash

TX = "tx_recorded_1"


def refused(work: Callable[[], Any], code: str) -> NutstateError:
    with pytest.raises(NutstateError) as caught:
        work()
    assert caught.value.code == code, caught.value.as_dict()
    return caught.value


# -- the worked cases ------------------------------------------------------------------------------


def test_r53_the_call_is_the_one_of_existing_services() -> None:
    names = inspect.signature(Engine.record_melt).parameters
    assert list(names)[1:] == [
        "sources", "keep", "change", "amount", "fee", "transaction_id", "npub", "wallet_id", "mint_url",
        "unit", "payment_request", "parent_transaction_id", "idempotency_key", "hold",
    ]  # fmt: skip
    assert names["unit"].default == "sat"


def test_r68_two_sources_keep_and_change(store: Store) -> None:
    """R68, R54, R55, R59, R60: 500 + 300 pay 550, keep 200, get 50 back."""
    wallet = Wallet(store, 500, 300)
    done = wallet.record([500, 300], proofs(128, 64, 8), proofs(32, 16, 2), 550, transaction_id=TX)
    assert done.as_dict() == {
        "success": True, "transaction_id": TX, "source_tokens_spent": 2,
        "keep_token_id": f"{TX}_keep", "keep_amount": 200,
        "melt_change_token_id": f"{TX}_melt_change", "melt_change_amount": 50,
        "operations": [
            {"type": "keep_change", "token_id": f"{TX}_keep", "amount": 200, "proof_count": 3},
            {"type": "melt_change", "token_id": f"{TX}_melt_change", "amount": 50, "proof_count": 3},
        ],
    }  # fmt: skip
    for value in (500, 300):
        assert wallet.token(value).state == "spent" and wallet.token(value).spent_at == wallet.clock.now()
    for name in ("keep", "melt_change"):
        token = store.token(f"{TX}_{name}")
        assert token is not None and token.state == "unspent" and token.transaction_type == "change"
        assert token.metadata.parent_transaction_id == TX
        assert len(token.metadata.operation_hash or "") == 16
    assert done.handle.state == "reconciled" and data_in(done.handle.record).proven_by == "caller"
    assert done.handle.is_paid and done.handle.fee_paid == 0
    invariants.check(store)


def test_r69_balances_after_recording(store: Store) -> None:
    """R69: 600 + 400 pay 600, keep 300, get 100 back: unspent 400, spent 1000."""
    wallet = Wallet(store, 600, 400)
    wallet.record([600, 400], proofs(256, 44), proofs(100), 600)
    assert wallet.balance() == (400, 0, 1000)
    balance = wallet.engine.balance(NPUB)
    assert (balance.unspent, balance.of("spent")) == (400, 1000)
    invariants.check(store)


def test_r70_an_idle_token_is_untouched(store: Store) -> None:
    """R70: 1000 pays 800, keeps 150, gets 50 back beside an idle 500: unspent 700."""
    wallet = Wallet(store, 1000, 500)
    idle = wallet.token(500)
    wallet.record([1000], proofs(150), proofs(50), 800)
    assert wallet.balance()[0] == 700 and wallet.token(500) == idle
    invariants.check(store)


def test_r71_keep_only(store: Store) -> None:
    wallet = Wallet(store, 100)
    done = wallet.record([100], proofs(30), [], 68, 2)
    assert (done.keep_amount, done.melt_change_token_id, done.melt_change_amount) == (30, None, 0)
    assert [made["type"] for made in done.operations] == ["keep_change"]
    assert store.token(f"{done.transaction_id}_melt_change") is None
    assert done.handle.fee_paid == 2
    invariants.check(store)


def test_r72_change_only(store: Store) -> None:
    wallet = Wallet(store, 100)
    done = wallet.record([100], None, proofs(30), 70)
    assert (done.keep_token_id, done.keep_amount, done.melt_change_amount) == (None, 0, 30)
    assert [made["type"] for made in done.operations] == ["melt_change"]
    assert store.token(f"{done.transaction_id}_keep") is None
    invariants.check(store)


def test_r73_r74_an_exact_amount_is_recorded_and_its_repetition_found(store: Store) -> None:
    """R73, R61: no token is made. R74: the same again inside the window is the first one."""
    wallet = Wallet(store, 100)
    first = wallet.record([100], [], [], 98, 2)
    assert first.operations == () and first.keep_token_id is None and first.melt_change_token_id is None
    before = everything(store)
    wallet.clock.advance(299)
    again = wallet.record([100], [], [], 98, 2)
    assert again.as_dict() == first.as_dict() and everything(store) == before
    invariants.check(store)


def test_r43_outside_the_window_an_equal_request_is_a_new_operation(store: Store) -> None:
    """Its source is spent by then, so it is parked and says by whom."""
    wallet = Wallet(store, 100)
    first = wallet.record([100], [], [], 100)
    wallet.clock.advance(301)
    error = refused(lambda: wallet.record([100], [], [], 100), "CONCURRENT_OPERATION")
    assert error.details["operations"] == [first.transaction_id] != [error.details["operation_id"]]


def test_r75_two_different_melts_both_succeed(store: Store) -> None:
    wallet = Wallet(store, 100, 200)
    one = wallet.record([100], proofs(10), [], 90)
    two = wallet.record([200], [], proofs(10), 190)
    assert one.success and two.success and one.transaction_id != two.transaction_id
    assert wallet.balance() == (20, 0, 300)
    invariants.check(store)


@pytest.mark.parametrize("form", [lambda proof: proof, as_json], ids=["Proof", "json"])
def test_r76_untouched_proofs_are_moved(store: Store, form: Callable[[Proof], Any]) -> None:
    """R76: no secret in two documents, and what was stored of them stays (DLEQ and all)."""
    wallet = Wallet(store, 100)  # 64 + 32 + 4
    own = {proof.amount: proof for proof in wallet.token(100).proofs}
    done = wallet.record([100], [form(own[32]), *proofs(1)], proofs(2), 64, 1)
    keep = store.token(str(done.keep_token_id))
    assert keep is not None and keep.total_amount == 33 and own[32] in keep.proofs
    assert {proof.amount for proof in wallet.token(100).proofs} == {64, 4}
    assert wallet.balance() == (35, 0, 68)
    invariants.check(store)


# -- what is refused writes nothing ------------------------------------------------------------------


def bad_recordings(wallet: Wallet) -> dict[str, tuple[Callable[[], Any], str]]:
    """Name -> a recording that must be refused, and its code."""
    own = wallet.token(100).proofs
    other = wallet.token(500).proofs[0]
    again = proofs(10)
    bad = as_json(proofs(10)[0])

    def say(keep: Any, change: Any, amount: int = 90, **more: Any) -> Callable[[], Any]:
        return lambda: wallet.record(more.pop("values", [100]), keep, change, amount, **more)

    return {
        "R56 too little": (say(proofs(9), []), "NOT_CONSERVED"),
        "R56 too much": (say(proofs(11), []), "NOT_CONSERVED"),
        "R77 untouched source": (say([*own], proofs(10), 490, values=[100, 500]), "SOURCE_UNTOUCHED"),
        "R78 consumed, other amount": (say([attrs.evolve(own[0], amount=10)], []), "DUPLICATE_SECRET"),
        "R78 consumed, other C": (
            say([attrs.evolve(own[0], C=proofs(1)[0].C)], [], 100 - own[0].amount), "DUPLICATE_SECRET"
        ),
        "R78 consumed, other keyset": (
            say([attrs.evolve(own[0], id="00ffffffffffffff")], [], 100 - own[0].amount), "DUPLICATE_SECRET"
        ),
        "R78 as change": (say([], [own[0]], 100 - own[0].amount), "DUPLICATE_SECRET"),
        "R79 in another token": (say([other], [], 100 - other.amount), "DUPLICATE_PROOF"),
        "R79 as change": (say([], [other], 100 - other.amount), "DUPLICATE_PROOF"),
        "R80 twice in keep": (say([*again, *again], [], 80), "DUPLICATE_SECRET"),
        "R80 in keep and change": (say(again, again, 80), "DUPLICATE_SECRET"),
        "R57 keep without C": (say([{**bad, "C": None}], []), "INVALID_TOKEN"),
        "R57 keep with no point": (say([{**bad, "C": "02"}], []), "INVALID_TOKEN"),
        "R57 keep with a bad amount": (say([{**bad, "amount": 10.0}], []), "INVALID_AMOUNT"),
        "R57 keep with no amount": (say([{**bad, "amount": 0}], []), "INVALID_AMOUNT"),
        "R57 keep is text": (say("cashuB", []), "INVALID_TOKEN"),
        "R58 change without secret": (say([], [{**bad, "secret": ""}]), "INVALID_TOKEN"),
        "R58 change with half a dleq": (say([], [{**bad, "dleq": {"e": "00"}}]), "INVALID_TOKEN"),
        "R58 change is a number": (say([], 10), "INVALID_TOKEN"),
        "no source": (say(proofs(10), [], values=[]), "INVALID_SOURCES"),
        "fee": (say(proofs(10), [], fee=-1), "INVALID_AMOUNT"),
        "amount": (say(proofs(10), [], True), "INVALID_AMOUNT"),
        "id": (say(proofs(10), [], transaction_id="short"), "INVALID_LENGTH"),
        "taken id": (say(proofs(10), [], transaction_id="tx_source_0"), "DUPLICATE_TRANSACTION_ID"),
        "key": (say(proofs(10), [], idempotency_key=""), "INVALID_IDEMPOTENCY_KEY"),
        "parent": (say(proofs(10), [], parent_transaction_id=""), "INVALID_FORMAT"),
        "invoice": (say(proofs(10), [], payment_request="lnbc1"), "INVALID_INVOICE"),
        "invoice of another amount": (say(proofs(10), [], payment_request=invoice(91)), "INVALID_AMOUNT"),
        "wallet": (say(proofs(10), [], wallet_id="another"), "MINT_OR_UNIT_MISMATCH"),
        "unit": (say(proofs(10), [], unit="msat"), "MINT_OR_UNIT_MISMATCH"),
        "no such hold": (say(proofs(10), [], hold="tx_nosuch_hold"), "NOT_FOUND"),
        "no hold": (say(proofs(10), [], hold="tx_source_0"), "NOT_HELD"),
    }  # fmt: skip


def test_r57_r58_a_refusal_writes_nothing_at_all(store: Store) -> None:
    """R56 to R58, R77 to R80, R49: every document is as before, and the sum can still be recorded."""
    wallet = Wallet(store, 100, 500)
    for name, (say, code) in bad_recordings(wallet).items():
        before = everything(store)
        error = refused(say, code)
        assert everything(store) == before, name
        assert "operation_id" not in error.details or code == "NOT_FOUND", name
    assert wallet.record([100], proofs(10), [], 90).success
    invariants.check(store)


def test_r14_nobody_records_with_the_tokens_of_another(store: Store) -> None:
    wallet = Wallet(store, 100)
    before = everything(store)
    other = {**wallet.whose, "npub": npub_of(1)}
    refused(
        lambda: wallet.engine.record_melt([wallet.ids[100]], [], [], 100, 0, **other, wallet_id=NPUB),
        "OWNER_MISMATCH",
    )
    refused(lambda: wallet.engine.hold([wallet.ids[100]], 10, **other, wallet_id=NPUB), "OWNER_MISMATCH")
    refused(lambda: wallet.engine.record_melt(["tx_nosuch"], [], [], 9, 0, **wallet.whose), "TOKEN_NOT_FOUND")
    assert everything(store) == before


def test_r79_the_other_token_is_named_and_no_secret(store: Store) -> None:
    wallet = Wallet(store, 100, 500)
    other = wallet.token(500).proofs[0]
    error = refused(lambda: wallet.record([100], [other], [], 100 - other.amount), "DUPLICATE_PROOF")
    assert error.details["tokens"] == [wallet.ids[500]] and other.secret.reveal() not in str(error.as_dict())


def test_what_is_not_conserved_says_what_the_store_holds(store: Store) -> None:
    wallet = Wallet(store, 100)
    error = refused(lambda: wallet.record([100], [], [], 90), "NOT_CONSERVED")
    assert error.details["sources"] == {wallet.ids[100]: 100}
    assert [error.details[n] for n in ("amount", "fee", "keep", "change")] == [90, 0, 0, 0]


# -- repetitions --------------------------------------------------------------------------------------


def test_the_same_recording_is_the_first_result(store: Store) -> None:
    """By duplicate, by id and by key, also long after, and in another order of proofs."""
    wallet = Wallet(store, 100, 200)
    keep, change = proofs(8, 2, tag="k"), proofs(1, tag="c")
    first = wallet.record([100], keep, change, 89, transaction_id=TX, idempotency_key="order 7")
    before = everything(store)
    assert wallet.record([100], keep[::-1], change, 89).as_dict() == first.as_dict()
    wallet.clock.advance(10_000)
    assert wallet.record([100], keep, change, 89, transaction_id=TX).as_dict() == first.as_dict()
    assert wallet.record([100], keep, change, 89, idempotency_key="order 7").as_dict() == first.as_dict()
    refused(lambda: wallet.record([200], [], [], 200, transaction_id=TX), "DUPLICATE_TRANSACTION_ID")
    refused(lambda: wallet.record([200], [], [], 200, idempotency_key="order 7"), "IDEMPOTENCY_KEY_REUSED")
    refused(
        lambda: wallet.record([100], keep, change, 88, 1, idempotency_key="order 7"), "IDEMPOTENCY_KEY_REUSED"
    )
    assert everything(store) == before


def test_another_keep_or_change_is_no_repetition(store: Store) -> None:
    """Returning the first result would drop proofs."""
    wallet = Wallet(store, 100)
    first = wallet.record([100], proofs(10, tag="k"), [], 90, transaction_id=TX)
    before = everything(store)
    for keep, change in [(proofs(10), []), ([], proofs(10, tag="k")), (proofs(5, 5), [])]:
        for same_id in (False, True):
            more: Any = {"transaction_id": TX} if same_id else {}
            error = refused(lambda: wallet.record([100], keep, change, 90, **more), "DUPLICATE_OPERATION")  # noqa: B023
            assert error.details["first_operation"] == first.transaction_id
    assert everything(store) == before


def test_everything_a_proof_has_is_kept(store: Store) -> None:
    """Witness and DLEQ of keep and change are stored, the signature in lower case, and the Y its secret has:
    a witness that is lost leaves a locked proof that can never be spent."""
    wallet = Wallet(store, 100)
    dleq = Dleq("11" * 32, "22" * 32, Secret("33" * 32))
    given = [
        attrs.evolve(
            proof,
            witness=Secret('{"signatures":[]}'),
            dleq=dleq,
            C=Secret(proof.C.reveal().upper()),
            Y="02ff",
        )
        for proof in proofs(8, 2, tag="w")
    ]
    done = wallet.record([100], given[:1], given[1:], 90)
    for token_id, proof in zip((done.keep_token_id, done.melt_change_token_id), given, strict=True):
        token = store.token(str(token_id))
        assert token is not None
        (kept,) = token.proofs
        assert (kept.witness, kept.dleq, kept.C) == (proof.witness, dleq, Secret(proof.C.reveal().lower()))
        assert y_of(proof.secret.reveal()) == kept.Y


@pytest.mark.parametrize("field", ["amount", "id", "C"])
def test_the_same_secrets_in_other_proofs_are_no_repetition(store: Store, field: str) -> None:
    """Proofs of the same secrets and sum, but with another signature, keyset or value each, are others: the
    first result would tell the service that these are stored."""
    wallet = Wallet(store, 100)
    one, two = proofs(8, 2, tag="k")
    first = wallet.record([100], [one, two], [], 90)
    before = everything(store)
    swapped = [
        attrs.evolve(one, **{field: getattr(two, field)}),
        attrs.evolve(two, **{field: getattr(one, field)}),
    ]
    if field == "id":
        swapped = [attrs.evolve(proof, id="00aabbccddeeff01") for proof in (one, two)]
    error = refused(lambda: wallet.record([100], swapped, [], 90), "DUPLICATE_OPERATION")
    assert error.details["first_operation"] == first.transaction_id and everything(store) == before


def test_a_result_is_the_same_after_its_tokens_were_used(store: Store) -> None:
    wallet = Wallet(store, 100)
    first = wallet.record([100], proofs(8, 2), [], 90, transaction_id=TX)
    kept = store.token(f"{TX}_keep")
    assert kept is not None
    wallet.engine.record_melt([f"{TX}_keep"], [kept.proofs[0]], [], kept.proofs[1].amount, 0, **wallet.whose)
    again = wallet.engine.record_melt(
        [wallet.ids[100]], kept.proofs, [], 90, 0, transaction_id=TX, **wallet.whose
    )
    assert again.as_dict() == first.as_dict()
    invariants.check(store)


def test_the_parent_stands_in_the_operation_and_the_tokens_name_the_operation(store: Store) -> None:
    wallet = Wallet(store, 100)
    done = wallet.record([100], proofs(10), [], 90, parent_transaction_id="tx_of_the_service")
    assert done.handle.record.parent_id == "tx_of_the_service"
    found = store.tokens(TokenQuery(parent=done.transaction_id))
    assert [token.transaction_id for token in found] == [done.keep_token_id]


def test_an_invoice_is_claimed(store: Store) -> None:
    """R44: a payment that was recorded is not made again, by any caller."""
    wallet = Wallet(store, 100, 500)
    bolt11 = invoice(90, wallet.clock)
    done = wallet.record([100], proofs(10), [], 90, payment_request=bolt11)
    assert done.handle.record.claim == payment_hash(bolt11)
    refused(lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11), "PAYMENT_ALREADY_CLAIMED")


# -- contested ---------------------------------------------------------------------------------------


def test_r66_r67_a_source_of_somebody_else_parks_it_with_keep_and_change(store: Store) -> None:
    wallet = Wallet(store, 100, 300)
    holder = wallet.hold(300, transaction_id="tx_other_holder")

    def say() -> Any:
        return wallet.record([100, 300], proofs(40, tag="k"), proofs(10, tag="c"), 350, transaction_id=TX)

    error = refused(say, "CONCURRENT_OPERATION")
    assert isinstance(error, Refused) and error.severity == "CRITICAL" and not error.retryable
    assert error.details == {
        "operation_id": TX, "state": "contested", "tokens": [wallet.ids[300]], "operations": [holder],
    }  # fmt: skip
    assert wallet.balance() == (50, 400, 0)
    handle = wallet.engine.operation(TX)
    assert handle.state == "contested" and handle.alarm == "CRITICAL_MELT_FAILURE"
    before = everything(store)
    assert refused(say, "CONCURRENT_OPERATION").details == error.details, "by id"
    invariants.check(store)
    assert everything(store) == before
    wallet.engine.unhold(holder)
    wallet.engine.recover(force=True)
    done = say()
    assert done.success and done.source_tokens_spent == 2 and done.handle.state == "reconciled"
    assert (done.keep_amount, done.melt_change_amount) == (40, 10) and wallet.balance() == (50, 0, 400)
    invariants.check(store)


@pytest.mark.parametrize("more", [{}, {"idempotency_key": "k"}, {"transaction_id": TX}], ids=str)
def test_a_repetition_of_a_contested_recording_raises_the_same(store: Store, more: dict[str, Any]) -> None:
    wallet = Wallet(store, 300)
    wallet.hold(300)

    def say() -> Any:
        return wallet.record([300], proofs(40, tag="k"), [], 260, **more)

    first = refused(say, "CONCURRENT_OPERATION")
    before = everything(store)
    assert refused(say, "CONCURRENT_OPERATION").details == first.details
    assert everything(store) == before
    refused(lambda: wallet.record([300], proofs(40), [], 260, **more), "IDEMPOTENCY_KEY_REUSED" if
            "idempotency_key" in more else "DUPLICATE_OPERATION")  # fmt: skip


def test_a_source_that_another_operation_spent_waits_for_an_operator(store: Store) -> None:
    wallet = Wallet(store, 100)
    spent = wallet.record([100], [], [], 100)
    error = refused(
        lambda: wallet.record([100], proofs(9), [], 91, transaction_id=TX), "CONCURRENT_OPERATION"
    )
    assert error.details["operations"] == [spent.transaction_id]
    for _ in range(3):
        wallet.clock.advance(3600)
        wallet.engine.recover(force=True)
    assert wallet.engine.operation(TX).state == "contested" and wallet.balance() == (9, 0, 100)
    ended = wallet.engine.write_off(TX, "recorded twice")
    assert ended.state == "reconciled" and data_in(ended.record).loss == 100
    assert [op.id for op in store.operations(OperationQuery(states=("contested",)))] == []


def test_r44_a_claim_of_somebody_else_parks_it_without_the_claim(store: Store) -> None:
    wallet = Wallet(store, 100, 500)
    bolt11 = invoice(90, wallet.clock)
    first = wallet.record([500], proofs(410), [], 90, payment_request=bolt11)
    error = refused(
        lambda: wallet.record([100], proofs(10), [], 90, payment_request=bolt11, transaction_id=TX),
        "CONCURRENT_OPERATION",
    )
    assert error.details["tokens"] == [] and error.details["operations"] == [first.transaction_id]
    assert wallet.engine.operation(TX).record.claim is None
    assert wallet.balance() == (420, 100, 500)
    invariants.check(store)


# -- a store that fails --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [["conflict"], ["conflict"] * 5, ["lost"], ["unknown"], ["unknown", "lost"]]
)
def test_a_commit_that_is_lost_or_late_is_decided_again(store: Store, script: list[Any]) -> None:
    wallet = Wallet(FaultyStore(store, script), 100, funding=store)
    done = wallet.record([100], proofs(5), proofs(5), 90)
    assert done.success and wallet.balance() == (10, 0, 100)
    invariants.check(store)


def test_r57_r58_a_store_that_is_not_there_leaves_nothing(store: Store) -> None:
    wallet = Wallet(FaultyStore(store, ["unavailable", "unavailable"]), 100, funding=store)
    before = everything(store)
    refused(lambda: wallet.record([100], proofs(5), proofs(5), 90), "STORE_UNAVAILABLE")
    assert everything(store) == before


@pytest.mark.parametrize("word", ["unknown", "lost"])
def test_a_commit_nobody_knows_about_is_found_by_the_same_call(store: Store, word: Any) -> None:
    wallet = Wallet(FaultyStore(store, [word] * 5), 100, funding=store)

    def say() -> Any:
        return wallet.record([100], proofs(5, tag="k"), [], 95, transaction_id=TX)

    error = refused(say, "COMMIT_UNKNOWN")
    assert isinstance(error, StorageError) and error.details["operation_id"] == TX
    assert say().transaction_id == TX and wallet.balance() == (5, 0, 100)
    assert len(store.operations(OperationQuery(kind="record"))) == 1
    wallet.engine.recover(force=True)
    invariants.check(store)


def test_a_recording_stands_when_only_its_check_fails(store: Store) -> None:
    """The documents were not found right inside the commit, and the store is gone when they are looked at."""
    apart: Any = Apart(FaultyStore(store, ["ok", "unavailable"]))
    wallet = Wallet(apart, 100, funding=store)
    done = wallet.record([100], proofs(5), [], 95)
    assert done.success and done.handle.state == "settled"
    wallet.clock.advance(61)
    assert [op.state for op in wallet.engine.recover()] == ["reconciled"]
    invariants.check(store)


def test_no_secret_is_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors, results, reprs, the log and the audit trail name tokens, never what opens them."""
    from nutstate import configure_logging

    configure_logging("json", "debug")
    wallet = Wallet(store, 100, 300)
    marked = [attrs.evolve(p, secret=Secret(f"MARKER{n}"), Y=None) for n, p in enumerate(proofs(4, 2))]
    wallet.hold(300)
    told: list[Any] = []
    for keep, change, values in [(marked, marked[:1], [100]), (marked, [], [100]), (marked, [], [300])]:
        try:
            told.append(wallet.record(values, keep, change, sum(values) - 6))
        except NutstateError as error:
            told += [error, repr(error), error.as_dict(), error.__context__, error.__cause__]
    for item in list(told):
        if hasattr(item, "handle"):
            told += [repr(item), item.as_dict(), repr(item.handle.record), item.handle.as_dict()]
    for op in store.operations(OperationQuery()):
        told += wallet.engine.operation(op.id).audit()
    out = capsys.readouterr()
    assert "MARKER" not in f"{told!r}" + out.out + out.err
    assert any("marked" in str(item) or hasattr(item, "success") for item in told)
