"""R500 to R506: a melt that the caller makes is a kind of its own beside the engine's melts, and both exclude
each other wherever they meet: payment, transaction id, idempotency key and tokens. On every store."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import InvalidArgument, Refused, Store
from nutstate.machines import MELT, RECORD
from nutstate.storage.errors import Duplicate
from nutstate.storage.port import OperationQuery
from nutstate.storage.testing.records import batch_for, make_operation
from tests.support import invariants
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.recording import Wallet, at_once, proofs
from tests.support.wallet import NPUB, invoice

from .test_record import TX, refused

pytestmark = pytest.mark.every_store


def states_by_kind(store: Store) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for op in store.operations(OperationQuery(npub=NPUB)):
        if op.kind in (MELT.name, RECORD.name):
            found.setdefault(op.kind, []).append(op.state)
    return found


def test_r500_each_table_tells_one_story(store: Store) -> None:
    """R500: holds and recorded melts are operations of kind record; no machine knows words of the other."""
    wallet = Wallet(store, 100, 200, 300)
    held = wallet.hold(100)
    wallet.record([200], [], [], 200)
    paid = wallet.engine.melt(**wallet.whose, invoice=invoice(20, wallet.clock))
    assert {handle.id for handle in wallet.engine.operations(kind="melt")} == {paid.id}
    assert [handle.state for handle in wallet.engine.operations(kind="record", states=["held"])] == ["held"]
    assert len(wallet.engine.operations(kind="record")) == 2
    assert wallet.engine.operation(held).as_dict()["machine"] == "record@1"
    assert held.startswith("tx_record_") and wallet.engine.unhold(held).state == "cancelled"
    own = {"hold", "record", "unhold", "sources_free"}
    assert not own & {event.name for event in MELT.events} and own <= {event.name for event in RECORD.events}
    ours = {"request", "pay", "mint_paid", "fence", "change_received"}
    assert not ours & {event.name for event in RECORD.events} and ours <= {e.name for e in MELT.events}
    invariants.check(store)


def test_r501_a_hold_keeps_a_melt_from_its_payment(store: Store) -> None:
    """R501: and lets go of it when the caller did not pay; after a record it is paid for ever."""
    wallet = Wallet(store, 100, 200, 300)
    bolt11 = invoice(50, wallet.clock)
    held = wallet.hold(100, payment_request=bolt11)
    before = everything(store)

    def pay() -> Any:
        return wallet.engine.melt(**wallet.whose, invoice=bolt11, sources=[wallet.ids[300]], wait_s=0)

    error = refused(pay, "PAYMENT_ALREADY_CLAIMED")
    assert isinstance(error, Refused) and (error.details["holder"], error.retryable) == (held, True)
    assert everything(store) == before
    wallet.engine.unhold(held)
    assert pay().is_paid
    other = invoice(60, wallet.clock)
    wallet.record([200], [], proofs(140), 60, payment_request=other)
    error = refused(
        lambda: wallet.engine.melt(**wallet.whose, invoice=other, wait_s=0), "PAYMENT_ALREADY_CLAIMED"
    )
    assert isinstance(error, Refused) and not error.retryable
    invariants.check(store)


def test_r501_a_melt_keeps_a_hold_from_its_payment(store: Store) -> None:
    """R501: a hold is refused; a payment that was made is parked, and settles when the melt lets go."""
    wallet = Wallet(store, 100, 200)
    bolt11 = invoice(50, wallet.clock)
    plan = wallet.engine.prepare_melt(**wallet.whose, invoice=bolt11, sources=[wallet.ids[200]])
    refused(lambda: wallet.hold(100, payment_request=bolt11), "PAYMENT_ALREADY_CLAIMED")
    error = refused(
        lambda: wallet.record([100], [], proofs(50), 50, payment_request=bolt11), "CONCURRENT_OPERATION"
    )
    assert isinstance(error, Refused) and error.details["operations"] == [plan.id]
    assert states_by_kind(store) == {"melt": ["prepared"], "record": ["contested"]}
    wallet.engine.cancel(plan.id)
    wallet.engine.recover(force=True)
    assert states_by_kind(store) == {"melt": ["cancelled"], "record": ["reconciled"]}
    assert store.operation_by_claim(str(plan.record.payment_hash)) is not None
    paid = wallet.engine.mint_tokens(**wallet.whose, amount=90)
    assert paid.is_paid
    refused(lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11, wait_s=0), "PAYMENT_ALREADY_CLAIMED")
    invariants.check(store)


def test_r501_a_hold_and_a_melt_begun_together(store: Store) -> None:
    """R501: of one payment exactly one of the two holds the claim, whoever is first."""
    values = (101, 102, 103, 104)
    wallet = Wallet(store, *values, *(value + 100 for value in values))
    for value in values:
        bolt11 = invoice(value // 2, wallet.clock)
        other = [wallet.ids[value + 100]]
        ended = at_once(
            hold=lambda: wallet.hold(value, payment_request=bolt11),  # noqa: B023
            melt=lambda: wallet.engine.prepare_melt(**wallet.whose, invoice=bolt11, sources=other).id,  # noqa: B023
        )
        claimed = [end for end in ended.values() if end == "PAYMENT_ALREADY_CLAIMED"]
        assert len(claimed) == 1 and sum(end.startswith("tx_") for end in ended.values()) == 1, ended
    invariants.check(store)


def test_r502_the_store_keeps_one_claim_for_both_kinds(store: Store) -> None:
    """R502: the unique key is that of the store, so no code above it can let both through."""
    for n, (first, second) in enumerate((("melt", "record"), ("record", "melt"))):
        begun = {"melt": "requested", "record": "held"}
        one = make_operation(f"tx-first-{n}", kind=first, state=begun[first], claim=f"hash-{n}")
        store.commit(batch_for(one))
        two = make_operation(f"tx-second-{n}", kind=second, state=begun[second], claim=f"hash-{n}")
        with pytest.raises(Duplicate) as caught:
            store.commit(batch_for(two))
        assert caught.value.key == "claim" and store.operation(two.id) is None


def test_r503_ids_and_keys_stand_for_one_operation_of_both_kinds(store: Store) -> None:
    """R503: a transaction id or an idempotency key of one kind is taken for the other."""
    wallet = Wallet(store, 100, 200, 300)
    wallet.record([100], [], [], 100, transaction_id=TX, idempotency_key="mine")
    before = everything(store)

    def pay(**more: Any) -> Any:
        return wallet.engine.melt(**wallet.whose, invoice=invoice(30, wallet.clock), **more)

    refused(lambda: pay(transaction_id=TX), "DUPLICATE_TRANSACTION_ID")
    error = refused(lambda: pay(idempotency_key="mine"), "IDEMPOTENCY_KEY_REUSED")
    assert isinstance(error, InvalidArgument) and error.details["first_operation"] == TX
    assert everything(store) == before
    other = pay(transaction_id="tx_of_a_melt", idempotency_key="yours")
    assert other.is_paid
    named = "tx_of_a_melt"
    before = everything(store)
    for call, code in (
        (lambda: wallet.record([200], [], [], 200, transaction_id=named), "DUPLICATE_TRANSACTION_ID"),
        (lambda: wallet.record([200], [], [], 200, idempotency_key="yours"), "IDEMPOTENCY_KEY_REUSED"),
        (lambda: wallet.hold(200, transaction_id=named), "DUPLICATE_TRANSACTION_ID"),
    ):
        refused(call, code)
    assert everything(store) == before


def test_r504_only_a_hold_can_be_taken_back(store: Store) -> None:
    """R504: NOT_HELD for a melt, a funding and a recorded melt; nothing is written."""
    wallet = Wallet(store, 100, 200)
    plan = wallet.engine.prepare_melt(
        **wallet.whose, invoice=invoice(30, wallet.clock), sources=[wallet.ids[100]]
    )
    recorded = wallet.record([200], [], [], 200)
    before = everything(store)
    for name in (plan.id, "tx_source_0", recorded.transaction_id):
        refused(lambda name=name: wallet.engine.unhold(name), "NOT_HELD")  # type: ignore[misc]
        refused(lambda name=name: wallet.record([], [], [], 100, hold=name), "NOT_HELD")  # type: ignore[misc]
    assert everything(store) == before


def test_r505_money_of_a_hold_is_waited_for(store: Store) -> None:
    """R505: a melt that misses what a hold reserves says until when."""
    wallet = Wallet(store, 100, 200)
    held = wallet.hold(200, ttl_s=100)
    error = refused(
        lambda: wallet.engine.melt(**wallet.whose, invoice=invoice(150, wallet.clock), wait_s=0),
        "FUNDS_RESERVED",
    )
    assert isinstance(error, Refused) and error.details["reserved"] == 200
    assert error.details["expected_release"] == data_in(wallet.engine.operation(held).record).hold_until


def test_r506_only_its_own_calls_begin_and_move_one(store: Store) -> None:
    """R506: ``Engine.start`` and ``Engine.tell`` are for kinds of a service."""
    wallet = Wallet(store, 100, 200)
    held = wallet.hold(200)
    before = everything(store)
    refused(lambda: wallet.engine.start("record", **wallet.whose, amount=1, event="hold"), "UNKNOWN_KIND")
    refused(lambda: wallet.engine.tell(held, "unhold"), "INVALID_EVENT")
    assert everything(store) == before
