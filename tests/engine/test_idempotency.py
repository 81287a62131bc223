"""R17 to R48: ids, keys, duplicates and simultaneous requests. One winner, every other call gets its
answer."""

from __future__ import annotations

import pytest

from nutstate import (
    Engine,
    Handle,
    MintError,
    NutstateError,
    Refused,
    Store,
)
from nutstate.engine.admission import new_operation
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import OperationQuery, TokenQuery
from tests.support import invariants
from tests.support.together import together
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash, silence

pytestmark = pytest.mark.every_store


def melts(store: Store) -> int:
    return len(store.operations(OperationQuery(kind="melt", limit=1000)))


def test_the_same_key_replays_long_after_the_window(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    clock.advance(QUICK.dedup_window_s + 60)
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert again.id == first.id and melts(store) == 1
    assert len(again.audit()) == len(first.audit())


def test_a_key_replays_a_rejection_too(store: Store) -> None:
    engine, mint, clock = funded(store, amount=10)
    bolt11 = invoice(50, clock)
    codes = []
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
        codes.append((refused.value.code, refused.value.details["operation_id"]))
    assert codes[0] == codes[1] and melts(store) == 1


def test_a_key_for_another_request_is_refused(store: Store) -> None:
    engine, mint, clock = funded(store)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock), idempotency_key="k")
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(60, clock), idempotency_key="k")
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED" and melts(store) == 1


def test_a_duplicate_can_be_an_error(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    clock.advance(30)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_duplicate="error")
    assert refused.value.code == "DUPLICATE_OPERATION"
    assert refused.value.details["first_operation"] == first.id
    assert refused.value.details["age_s"] >= 30


@pytest.mark.parametrize("seconds", [0, QUICK.dedup_window_s - 1])
def test_r32_r33_inside_the_window_it_is_the_first_operation(store: Store, seconds: float) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    clock.advance(seconds)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).id == first.id
    assert melts(store) == 1 and mint.lightning.attempts(payment_hash(bolt11)) == 1


def test_r43_r44_outside_the_window_it_is_a_new_request_for_a_paid_invoice(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    clock.advance(QUICK.dedup_window_s + 1)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED" and refused.value.details["holder"] == first.id
    assert melts(store) == 1 and mint.lightning.attempts(payment_hash(bolt11)) == 1


def test_r43_the_window_ends_on_the_millisecond(store: Store) -> None:
    """What decides whether an equal request is new, without the claim that answers for a melt first."""
    engine, mint, clock = funded(store)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    record = store.dedup(new_operation.dedup_key(first.record))
    assert record is not None and record.operation_id == first.id
    assert record.expires_at - first.record.created_at == pytest.approx(QUICK.dedup_window_s * 1000, abs=5)
    for now, found in ((record.expires_at - 1, first.id), (record.expires_at, None)):
        known, previous = new_operation.duplicate_of(store, engine.kinds, first.record, now)
        assert (known.id if known else None) == found and previous == record


def test_r42_a_melt_without_change_is_recognised_too(store: Store) -> None:
    """Everything the wallet has goes out: no keep and no change token tells of the first operation."""
    engine, mint, clock = funded(store, amount=0, mint_options={"input_fee_ppk": 0})
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=102)
    bolt11 = invoice(100, clock)
    mint.lightning.script(payment_hash(bolt11), "PAID", fee=2)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "reconciled" and not store.tokens(TokenQuery(parent=first.id))
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).id == first.id
    assert melts(store) == 1 and mint.lightning.attempts(payment_hash(bolt11)) == 1


@pytest.mark.parametrize("hours", [25, 24 * 365])
def test_r39_a_key_holds_for_ever(store: Store, hours: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    clock.advance(hours * 3600)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k").id == first.id


def test_a_transaction_id_is_used_once(store: Store) -> None:
    engine, mint, clock = funded(store)
    mine = "tx_melt_1234567890_abc123"
    assert (
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id=mine).id == mine
    )
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(6, clock), transaction_id=mine)
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


def test_after_a_rejection_a_retry_is_a_new_attempt(store: Store) -> None:
    engine, mint, clock = funded(store, amount=10)
    bolt11 = invoice(50, clock)
    with pytest.raises(Refused):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).state == "reconciled"
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_the_same_key_at_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    results = together(
        [
            lambda: engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
            for _ in range(4)
        ]
    )
    assert {r.id for r in results} == {results[0].id}, results
    assert melts(store) == 1 and mint.lightning.attempts(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_the_same_request_without_a_key_at_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    results = together([lambda: engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11) for _ in range(4)])
    assert {r.id for r in results} == {results[0].id}, results
    assert melts(store) == 1 and mint.lightning.attempts(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_the_same_invoice_with_different_keys_at_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    results = together(
        [
            lambda n=n: engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key=f"k{n}")  # type: ignore[misc]
            for n in range(4)
        ]
    )
    won = [r for r in results if isinstance(r, Handle)]
    lost = [r for r in results if isinstance(r, Refused)]
    assert len(won) == 1 and len(lost) == 3, results
    assert {r.code for r in lost} <= {"PAYMENT_ALREADY_CLAIMED"}
    assert mint.lightning.attempts(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_different_invoices_share_a_small_wallet_at_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store, amount=1000)
    bolts = [invoice(200, clock) for _ in range(6)]
    results = together(
        [lambda b=b: engine.melt(npub=NPUB, mint_url=mint.url, invoice=b, wait_s=120) for b in bolts]  # type: ignore[misc]
    )
    won = [r for r in results if isinstance(r, Handle)]
    lost = [r for r in results if isinstance(r, NutstateError)]
    assert all(h.state == "reconciled" for h in won) and 1 <= len(won) <= 4
    assert {e.code for e in lost} <= {"INSUFFICIENT_BALANCE", "CONCURRENT_OPERATION"}, lost
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_one_explicit_source_has_one_winner(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store, amount=512)
    source = [store.tokens(TokenQuery(states=("unspent",)))[0].transaction_id]
    bolts = [invoice(100, clock) for _ in range(4)]
    results = together(
        [
            lambda b=b: engine.melt(npub=NPUB, mint_url=mint.url, invoice=b, sources=source)  # type: ignore[misc]
            for b in bolts
        ]
    )
    won = [r for r in results if isinstance(r, Handle)]
    lost = [r for r in results if isinstance(r, NutstateError)]
    assert len(won) == 1, results
    assert {e.code for e in lost} == {"CONCURRENT_OPERATION"}, lost
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_two_workers_recover_the_same_operation(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    mint.lightning.settle(payment_hash(bolt11))
    clock.advance(100)
    workers = [Engine(store, mint, settings=QUICK, clock=clock) for _ in range(3)]
    together([lambda w=w: w.recover(force=True, wait_s=5) for w in workers])  # type: ignore[misc]
    engine.recover(force=True, wait_s=60)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(5))
def test_confirm_and_cancel_at_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    together([lambda: engine.confirm(plan.id), lambda: engine.cancel(plan.id)])
    ended = plan.refresh()
    assert ended.state in ("reconciled", "cancelled")
    assert mint.lightning.payments(payment_hash(bolt11)) == (ended.state == "reconciled")
    invariants.check(store, mint)


@pytest.mark.parametrize("round_", range(3))
def test_confirming_twice_at_once_pays_once(store: Store, round_: int) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    together([lambda: engine.confirm(plan.id) for _ in range(3)])
    assert plan.refresh().state == "reconciled"
    assert mint.lightning.attempts(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


def test_a_taken_derived_id_is_found_before_anything_is_sent(store: Store) -> None:
    engine, mint, clock = funded(store)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=8, transaction_id="tx_mine_0001")
    with pytest.raises(Refused) as refused:
        engine.melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id="tx_mine_0001_minted"
        )
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


def test_a_key_binds_unit_wallet_and_policy(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    for change in ({"wallet_id": "other"}, {"on_unpaid": "trust"}, {"unit": "msat"}):
        with pytest.raises(Refused) as refused:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k", **change)  # type: ignore[arg-type]
        assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


def test_the_same_call_goes_on_after_the_invoice_expired(store: Store) -> None:
    engine, mint, clock = funded(store)
    paid, waiting = invoice(50, clock), invoice(60, clock)
    mint.lightning.script(payment_hash(waiting), "PENDING")
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid, idempotency_key="k")
    second = engine.melt(npub=NPUB, mint_url=mint.url, invoice=waiting, idempotency_key="l", wait_s=0)
    clock.advance(2 * 3600)
    mint.lightning.settle(payment_hash(waiting))
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid, idempotency_key="k").id == first.id
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=waiting, idempotency_key="l")
    assert (again.id, again.state) == (second.id, "reconciled")
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED", "not: expired, pay elsewhere"


def test_a_replayed_rejection_is_not_called_retryable(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    token = store.tokens(TokenQuery(states=("unspent",)))[0]
    lie = faults.lie_about({name_of(proof): "SPENT" for proof in token.proofs})
    for _ in range(2):
        mint.faults.next("check_states", lie)
    with pytest.raises(Refused) as failed:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert failed.value.code == "PROOF_STATE_INCONSISTENCY" and not failed.value.retryable
    for key in ("other", None):
        silence(mint, "melt_quote")
        with pytest.raises(MintError) as silent:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key=key)
        assert silent.value.retryable, "a read that nobody answered burns no key"
