"""What a hostile reviewer found once. Each test is an attack that must fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, NutstateError, Refused, SimulatedMint, StorageError, Store
from nutstate.engine.cashu.coins.outputs import BadSignature
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions.selection import choose
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.machines.money import input_fee
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import Fault, FaultyStore
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice, npub_of, payment_hash

GIVER = npub_of(99)


def gift(engine: Engine, mint: SimulatedMint, amount: int) -> tuple[Proof, ...]:
    """Real proofs of another owner, taken out of a store of their own."""
    from nutstate import open_store

    with open_store("memory://") as his:
        other = Engine(his, mint, settings=QUICK, clock=engine.clock)
        other.mint_tokens(npub=GIVER, mint_url=mint.url, amount=amount)
        (token,) = his.tokens(TokenQuery(states=("unspent",)))
    return token.proofs


@pytest.mark.parametrize(
    "spelling",
    [
        "https://mint.simulated:443",
        "https://mint.simulated.",
        "https://MINT.simulated//",
        "http://mint.simulated",
    ],
)
def test_a_token_is_credited_once_whatever_the_mint_is_called(store: Store, spelling: str) -> None:
    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 100)

    class Everywhere:
        """A mint that answers under any name."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda url, *rest: getattr(mint, name)(mint.url, *rest)

    port: Any = Everywhere()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=proofs, mint_url=spelling)
    assert refused.value.code == "DUPLICATE_PROOF"
    assert engine.balance(NPUB).unspent == 100


def test_only_proofs_the_mint_signed_are_taken(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    good, *rest = gift(engine, mint, 100)
    assert good.dleq is not None
    other = rest[0]
    attacks = {
        "PROOFS_NOT_VERIFIED": [
            attrs.evolve(good, dleq=None),
            attrs.evolve(good, dleq=attrs.evolve(good.dleq, r=None)),
        ],
        "INVALID_TOKEN": [
            attrs.evolve(good, C=other.C),
            attrs.evolve(good, secret=Secret("another secret")),
            attrs.evolve(good, secret=Secret("\ud800")),
            attrs.evolve(good, dleq=other.dleq),
        ],
        "PROOFS_LOCKED": [attrs.evolve(good, secret=Secret('["P2PK",{"data":"02"}]'))],
        "INVALID_AMOUNT": [attrs.evolve(good, amount=3), attrs.evolve(good, amount=True)],
        "MINT_OR_UNIT_MISMATCH": [attrs.evolve(good, id="00ffffffffffffff")],
    }
    for code, proofs in attacks.items():
        for proof in proofs:
            with pytest.raises(Refused) as refused:
                engine.deposit(npub=NPUB, proofs=[proof], mint_url=mint.url)
            assert refused.value.code == code, (code, refused.value)
    assert not store.tokens(TokenQuery())
    bare = encode_token(mint.url, "sat", [good], with_dleq=False).reveal()
    with pytest.raises(Refused):
        engine.deposit(npub=NPUB, token=bare, mint_url=mint.url)
    assert (
        engine.deposit(npub=NPUB, token=bare, mint_url=mint.url, allow_unverified=True).state == "deposited"
    )


def test_a_name_handed_in_is_not_believed(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 64)
    lying = [attrs.evolve(proof, Y="03" * 33) for proof in proofs]
    engine.deposit(npub=NPUB, proofs=lying, mint_url=mint.url)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    assert all(name_of(attrs.evolve(proof, Y=None)) == proof.Y for proof in token.proofs)
    invariants.check(store, mint)


@pytest.mark.parametrize("proofs", [5, "x", [1], [None], object(), {"a": 1}])
def test_what_is_no_proof(store: Store, proofs: Any) -> None:
    engine, mint, clock = funded(store, amount=0)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url)
    assert refused.value.code == "INVALID_TOKEN"


def test_an_input_spent_between_the_two_steps_frees_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (held,) = store.tokens(TokenQuery(reserved_by=plan.id))
    gone = held.proofs[0]
    for _ in range(2):
        mint.faults.next("check_states", faults.lie_about({name_of(gone): "SPENT"}))
    with pytest.raises(Refused) as refused:
        engine.confirm(plan.id)
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
    assert engine.balance(NPUB).unspent == 2000 - gone.amount and engine.balance(NPUB).reserved == 0
    invariants.check(store)


def test_one_bad_coin_does_not_burn_the_others(store: Store) -> None:
    """An input is spent elsewhere while the melt is in flight: the operator's write-off loses only it."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    (held,) = store.tokens(TokenQuery(reserved_by=melt.id))
    gone = held.proofs[0]
    for _ in range(8):
        mint.faults.next("check_states", faults.lie_about({name_of(gone): "SPENT"}))
    parked = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=20)
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "INPUTS_SPENT_ELSEWHERE"
    lost = engine.write_off(melt.id, "the giver spent it")
    assert lost.state == "written_off" and data_in(lost.record).loss == gone.amount
    assert engine.balance(NPUB).unspent == 2000 - gone.amount
    invariants.check(store)


def test_change_is_not_called_missing_because_nobody_answered(store: Store) -> None:
    """owed_min is 0; restore is silent, the quote shows no change: that is not 'empty'."""
    engine, mint, clock = funded(store, amount=2047)
    mint.faults.next("melt", faults.change_delayed(3))
    for _ in range(400):
        mint.faults.next("restore", faults.UNREACHABLE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=200)
    assert melt.is_paid
    mint.faults.stop()
    if melt.state == "attention":
        melt = engine.resume(melt.id, "the mint answers again")
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change == done.inputs - 1000 - (done.fee_paid or 0)
    invariants.check(store, mint)


def test_empty_change_takes_more_than_one_look(store: Store) -> None:
    engine, mint, clock = funded(store, amount=2047)
    mint.faults.next("melt", faults.change_delayed(2))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock), wait_s=0)
    clock.advance(3600)  # the process was away for longer than the change window
    finish(engine, store, clock)
    done = melt.refresh()
    seen = [r.event for r in done.audit()]
    assert done.state == "reconciled"
    assert done.change > 0 or "change_seen_empty" in seen
    invariants.check(store)


def test_nothing_is_owed_and_nothing_comes(store: Store) -> None:
    """Lightning took the whole reserve: after the window it is settled without change."""
    engine, mint, clock = funded(store, amount=2047)
    bolt11 = invoice(1000, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    mint.lightning.script(payment_hash(bolt11), "PAID", fee=plan.inputs - 1000 - plan.input_fee)
    done = engine.confirm(plan.id)
    assert done.state == "reconciled" and done.change == 0
    assert [r.event for r in done.audit()].count("change_seen_empty") == 1
    invariants.check(store, mint)


def test_the_watch_ends_only_on_the_mints_word(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert melt.state == "watching"
    mint.deliver_late()
    clock.advance(QUICK.watch_window_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "reconciled" and melt.refresh().record.claim is not None
    invariants.check(store, mint)


def test_freed_inputs_that_moved_are_still_corrected(store: Store) -> None:
    """Trusted inputs were freed, another melt moved some to its keep; then the old request was paid."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    assert first.state == "watching"
    source = first.record.inputs[0].token_id
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(40, clock), sources=[source])
    engine.cancel(plan.id)
    mint.deliver_late()
    engine.recover(force=True)
    assert first.refresh().state == "reconciled"
    assert any(r.compliance_level == "CRITICAL" for r in first.audit()), "somebody was told"
    for token in store.tokens(TokenQuery(states=("unspent",))):
        states: Any = mint.check_states(mint.url, [name_of(p) for p in token.proofs])
        assert {state.state for state in states} == {"UNSPENT"}, "spent coins are shown as money"


def test_a_request_still_open_elsewhere_keeps_its_window(store: Store) -> None:
    """Another live worker sent it; its lease ran out while its request is open. We wait longer."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.LATE)
    bolt11 = invoice(700, clock)
    engine._driver.faults = _DieAfterSending()
    with pytest.raises(KeyboardInterrupt):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    (op,) = store.operations(OperationQuery(kind="melt"))
    clock.advance(QUICK.lease_s + 1)
    other = Engine(store, mint, settings=QUICK, clock=clock)
    other.recover(force=True, wait_s=QUICK.settle_window_s + 5)
    assert other.operation(op.id).state == "unknown", "the request of a living process may still be open"
    finish(other, store, clock)
    assert other.operation(op.id).state == "released"
    invariants.check(store, mint)


class _DieAfterSending:
    def reach(self, point: str) -> None:
        if point == "before_commit:unknown":
            raise KeyboardInterrupt


def test_signatures_of_another_unit_are_not_change(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    melt = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    run = engine._open(melt.record, "test")
    _, keyset = engine._keysets.usable(mint.url, "sat")
    engine._keysets._keys.put((mint.url, keyset.id), attrs.evolve(keyset, unit="msat"))
    with pytest.raises(BadSignature):
        run.keys(keyset.id)


def test_funding_without_restore_is_posted_again(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0, mint_options={"without": [9]})
    mint.faults.next("mint", faults.REQUEST_LOST)
    assert engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100).state == "issued"
    invariants.check(store, mint)


def test_funding_whose_answer_is_gone_for_good_ends_with_a_person(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0, mint_options={"without": [9]})
    mint.faults.next("mint", faults.ANSWER_LOST)
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=30)
    assert op.state == "restoring"
    finish(engine, store, clock, rounds=200)
    assert op.refresh().state == "attention"
    with pytest.raises(MintError):
        engine.write_off(op.id, "the mint has no NUT-09")
    assert engine.write_off(op.id, "the mint has no NUT-09", force=True).state == "written_off"
    invariants.check(store)


def test_a_keyset_rotated_before_the_issue_gets_new_outputs(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)

    class Rotating:
        """Rotates its keyset just before the first issue request arrives."""

        done = False

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                if name == "mint" and not self.done:
                    self.done = True
                    mint.rotate_keyset()
                return getattr(mint, name)(*args)

            return call

    port: Any = Rotating()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert op.state == "issued" and len(data_in(op.record).fences) == 1
    invariants.check(store, mint)


def test_an_issued_quote_can_be_resumed(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.faults.next("mint_quote_state", faults.quote_state("ISSUED"))
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert op.state == "attention"
    assert engine.resume(op.id, "the mint was wrong").state == "issued"
    invariants.check(store, mint)


def test_a_fence_survives_refusals_that_pass(store: Store) -> None:
    """'database is locked' for a while must not use up anything."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    swap = mint.swap
    busy = {"left": 40}

    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def swap(self, url: str, body: Secret) -> Any:
            if busy["left"]:
                busy["left"] -= 1
                from nutstate.engine.cashu.port import Refused as No

                return No(11000, "database is locked", False)
            return swap(url, body)

    port: Any = Busy()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    assert melt.state == "fencing" and len(data_in(melt.record).fences) == 1
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "released" and not data_in(done.record).stranded
    invariants.check(store, mint)


@pytest.mark.parametrize("ppk", [0, 100, 200, 333, 999])
def test_selection_finds_a_cover_whenever_there_is_one(ppk: int) -> None:
    from nutstate.storage.testing.records import make_token

    draw = random.Random(ppk)
    for _ in range(150):
        amounts = [1 << draw.randrange(7) for _ in range(draw.randrange(1, 40))]
        proofs = tuple(fake_proof(a, f"{ppk}-{i}-{draw.random()}") for i, a in enumerate(amounts))
        token = attrs.evolve(make_token("t", 1), proofs=proofs, total_amount=sum(amounts))
        useful = [a for a in amounts if a * 1000 > ppk]
        spendable = sum(useful) - input_fee(ppk for _ in useful)
        if spendable < 1:
            continue
        need = draw.randint(1, spendable)
        found = choose([token], need, {proofs[0].id: ppk}, count_max=1000)
        assert isinstance(found, Selection), (amounts, need)
        assert found.amount >= need + found.input_fee
        assert found.input_fee == input_fee(ppk for _ in found.proofs)
        assert not isinstance(choose([token], spendable + 1, {proofs[0].id: ppk}, count_max=1000), Selection)


def test_coins_of_a_forgotten_keyset_do_not_block_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    assert melt.state == "reconciled"
    mint.rotate_keyset()
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    old = mint.keysets(mint.url)
    assert isinstance(old, tuple)
    active = [keyset for keyset in old if keyset.active]

    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def keysets(self, url: str) -> Any:
            return tuple(active)

    port: Any = Forgetful()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)).state == "reconciled"
    invariants.check(store, mint)


def test_a_taken_derived_id_is_found_before_anything_is_sent(store: Store) -> None:
    engine, mint, clock = funded(store)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=8, transaction_id="tx_mine_0001")
    with pytest.raises(Refused) as refused:
        engine.melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id="tx_mine_0001_minted"
        )
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


@pytest.mark.parametrize("word", ["unavailable", "unknown"])
def test_a_store_that_fails_after_the_payment_says_so(store: Store, word: Fault) -> None:
    engine, mint, clock = funded(store)
    script: list[Fault] = ["ok", *([word] * 20)]
    fragile = Engine(FaultyStore(store, script), mint, settings=QUICK, clock=clock)
    bolt11 = invoice(700, clock)
    with pytest.raises(StorageError) as failed:
        fragile.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    details = failed.value.details
    assert failed.value.severity == "CRITICAL" and details["sent"] is True
    assert "stays open" in str(failed.value)
    engine.recover(force=True, wait_s=30)
    assert engine.operation(details["operation_id"]).state == "reconciled"
    invariants.check(store, mint)


def test_a_mint_that_contradicts_itself_is_asked_slowly(store: Store) -> None:
    engine, mint, clock = funded(store)
    calls = {"n": 0}

    class Flapping:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def melt_quote_state(self, url: str, quote_id: str) -> Any:
            calls["n"] += 1
            answer: Any = mint.melt_quote_state(url, quote_id)
            return attrs.evolve(answer, state="PENDING" if calls["n"] % 2 else "UNPAID", change=())

    port: Any = Flapping()
    mint.faults.next("melt", faults.LATE)
    engine = Engine(store, port, settings=QUICK, clock=clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=120)
    assert melt.id and calls["n"] < 120
    invariants.check(store)


def test_a_key_binds_unit_wallet_and_policy(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    for change in ({"wallet_id": "other"}, {"on_unpaid": "trust"}, {"unit": "msat"}):
        with pytest.raises(Refused) as refused:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k", **change)  # type: ignore[arg-type]
        assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


def test_an_observer_that_fails_is_not_a_payment_that_failed(store: Store) -> None:
    def broken(event: object) -> None:
        raise RuntimeError

    engine, mint, clock = funded(store, observer=broken)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)).state == "reconciled"


def test_arguments_are_checked_before_anything_is_written(store: Store) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "attention"
    with pytest.raises(Refused) as refused:
        engine.resume(melt.id, "why", wait_s=float("nan"))
    assert refused.value.code == "INVALID_DURATION" and melt.refresh().record.version == melt.record.version
    for states in (5, "paid", [1]):
        with pytest.raises(NutstateError):
            engine.operations(states=states)  # type: ignore[arg-type]


def test_money_in_an_operators_words_is_hidden(store: Store) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    done = engine.write_off(melt.id, f"customer paid {bolt11} by hand", force=True)
    assert bolt11 not in repr(done.audit()) + repr(done.as_dict())


@pytest.mark.parametrize(
    "odd, error, code",
    [
        ({"fee_reserve": 2**63}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": 2**64 - 1}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": 2**53}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": -1}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"expires_at": 2**62}, MintError, "MINT_ANSWER_UNCLEAR"),
        ({"fee_reserve": None}, Refused, "AMOUNT_OUT_OF_LIMITS"),
        ({"fee_reserve": 2**53 - 1}, Refused, "FEE_TOO_HIGH"),
    ],
)
def test_a_quote_with_an_absurd_reserve_is_refused(
    store: Store, odd: dict[str, Any], error: type[NutstateError], code: str
) -> None:
    """R195: what could not be stored is no answer; what could be is judged. Nothing is held after that."""
    engine, mint, clock = funded(store)
    before = engine.balance(NPUB)

    class Greedy:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def melt_quote(self, url: str, bolt11: Secret, unit: str) -> Any:
            answer: Any = mint.melt_quote(url, bolt11, unit)
            return attrs.evolve(answer, **odd)

    port: Any = Greedy()
    with pytest.raises(error) as refused:
        Engine(store, port, settings=QUICK, clock=clock).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock)
        )
    assert type(refused.value) is error and refused.value.code == code
    assert engine.balance(NPUB) == before and before.reserved == 0
    assert not store.tokens(TokenQuery(states=("reserved",)))
    invariants.check(store)


def test_an_invoice_over_another_amount_than_asked_is_refused(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)

    class Dear:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def mint_quote(self, url: str, amount: int, unit: str) -> Any:
            answer: Any = mint.mint_quote(url, amount, unit)
            return attrs.evolve(answer, request=Secret(invoice(amount * 1000, clock)))

    port: Any = Dear()
    with pytest.raises(Refused) as refused:
        Engine(store, port, settings=QUICK, clock=clock).mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert refused.value.code == "QUOTE_MISMATCH"
