"""Tokens held while the caller pays (R62 to R65), on every store."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, Refused, Store
from nutstate.storage.batch import proof_key
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.foreign import Foreign
from tests.support.recording import Wallet, at_once, proofs
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

from .test_record import TX, refused


def test_r62_r64_a_hold_is_recorded(store: Store) -> None:
    """R62: no other operation takes them. R64: exactly the held sources are spent."""
    wallet = Wallet(store, 500, 300, 100)
    hold = wallet.hold(500, 300, transaction_id=TX)
    handle = wallet.engine.operation(hold)
    assert (handle.state, handle.amount, wallet.balance()) == ("held", 800, (100, 800, 0))
    done = wallet.engine.record_melt([], proofs(200), proofs(50), 550, 0, hold=hold, **wallet.whose)
    assert (done.transaction_id, done.source_tokens_spent) == (TX, 2)
    assert (done.keep_token_id, done.melt_change_token_id) == (f"{TX}_keep", f"{TX}_melt_change")
    assert done.handle.state == "reconciled" and done.handle.amount == 550
    assert wallet.balance() == (350, 0, 800)
    invariants.check(store)


def test_r62_everybody_else_is_refused_while_it_is_held(store: Store) -> None:
    wallet = Wallet(store, 100)
    hold = wallet.hold(100)
    source = [wallet.ids[100]]
    for other in (
        lambda: wallet.engine.melt(**wallet.whose, invoice=invoice(10, wallet.clock), sources=source),
        lambda: wallet.engine.hold(source, 10, **wallet.whose),
    ):
        error = refused(other, "CONCURRENT_OPERATION")
        assert error.details["tokens"] == source and error.details["operations"] == [hold]
    refused(
        lambda: wallet.engine.melt(**wallet.whose, invoice=invoice(10, wallet.clock), wait_s=5),
        "FUNDS_RESERVED",
    )
    assert wallet.engine.operation(hold).state == "held"
    invariants.check(store)


def test_r63_unhold_frees_what_was_held(store: Store) -> None:
    wallet = Wallet(store, 100)
    hold = wallet.hold(100)
    assert wallet.engine.unhold(hold).state == "cancelled" and wallet.balance() == (100, 0, 0)
    before = everything(store)
    assert wallet.engine.unhold(hold).state == "cancelled" and everything(store) == before
    error = refused(lambda: wallet.record([100], proofs(10), [], 90, hold=hold), "NOT_HELD")
    assert error.details["state"] == "cancelled" and everything(store) == before
    assert wallet.record([100], proofs(10), [], 90).success, "it was paid after all"
    invariants.check(store)


def test_r64_sources_or_id_or_invoice_that_are_not_the_holds(store: Store) -> None:
    wallet = Wallet(store, 100, 200)
    bolt11 = invoice(90, wallet.clock)
    hold = wallet.hold(100, payment_request=bolt11)
    before = everything(store)
    cases: list[tuple[list[int], dict[str, Any], str]] = [
        ([200], {}, "HOLD_MISMATCH"),
        ([100, 200], {}, "HOLD_MISMATCH"),
        ([], {"transaction_id": TX}, "HOLD_MISMATCH"),
        ([], {"payment_request": invoice(90, wallet.clock)}, "HOLD_MISMATCH"),
        ([], {"amount": 80}, "INVALID_AMOUNT"),
        ([], {"wallet_id": "another"}, "MINT_OR_UNIT_MISMATCH"),
        ([], {"keep": proofs(9)}, "NOT_CONSERVED"),
    ]
    for values, more, code in cases:
        given: dict[str, Any] = {"keep": proofs(10), "amount": 90, **more}
        keep, amount = given.pop("keep"), given.pop("amount")
        refused(lambda: wallet.record(values, keep, [], amount, hold=hold, **given), code)  # noqa: B023
    assert everything(store) == before
    done = wallet.record([100], proofs(10), [], 90, hold=hold, payment_request=bolt11)
    assert done.handle.record.claim == payment_hash(bolt11)
    invariants.check(store)


def test_r74_a_recorded_hold_is_found_by_its_repetition(store: Store) -> None:
    wallet = Wallet(store, 100)
    hold = wallet.hold(100)
    first = wallet.record([100], [], [], 100, hold=hold, idempotency_key="k")
    before = everything(store)
    assert wallet.record([100], [], [], 100).as_dict() == first.as_dict(), "duplicate"
    wallet.clock.advance(10_000)
    assert wallet.record([], [], [], 100, hold=hold).as_dict() == first.as_dict(), "hold"
    assert wallet.record([100], [], [], 100, idempotency_key="k").as_dict() == first.as_dict(), "key"
    refused(lambda: wallet.record([], proofs(1), [], 99, hold=hold), "DUPLICATE_OPERATION")
    assert everything(store) == before


@pytest.mark.parametrize(
    "ttl", [0, 0.9, -1, 24 * 3600 + 1, float("nan"), float("inf"), True, "10", None], ids=str
)
def test_a_hold_has_a_time_within_limits(store: Store, ttl: Any) -> None:
    wallet = Wallet(store, 100)
    before = everything(store)
    refused(lambda: wallet.hold(100, ttl_s=ttl), "INVALID_TTL")
    assert everything(store) == before


def test_a_claimed_invoice_is_not_held_for(store: Store) -> None:
    wallet = Wallet(store, 100, 200)
    bolt11 = invoice(90, wallet.clock)
    hold = wallet.hold(100, payment_request=bolt11)
    before = everything(store)
    error = refused(lambda: wallet.hold(200, payment_request=bolt11), "PAYMENT_ALREADY_CLAIMED")
    assert error.details["holder"] == hold and everything(store) == before
    refused(
        lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11, sources=[wallet.ids[200]]),
        "PAYMENT_ALREADY_CLAIMED",
    )


def test_the_same_hold_again_is_the_first(store: Store) -> None:
    """With an id of the caller's: after a lost answer the caller can ask again."""
    wallet = Wallet(FaultyStore(store, ["lost"] * 5), 100, 200, funding=store)
    refused(lambda: wallet.hold(100, transaction_id=TX), "COMMIT_UNKNOWN")
    assert wallet.hold(100, transaction_id=TX) == TX
    refused(lambda: wallet.hold(200, transaction_id=TX), "DUPLICATE_TRANSACTION_ID")
    assert wallet.balance() == (200, 100, 0)


def test_r65_the_end_of_the_time_alone_frees_nothing(store: Store) -> None:
    """Freed when the mint calls every proof UNSPENT twice, a settle window (5 s) apart."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=100)
    wallet.clock.advance(99)
    assert wallet.engine.recover() == ()
    wallet.clock.advance(2)
    assert [op.state for op in wallet.engine.recover()] == ["held"]
    wallet.clock.advance(4)
    wallet.engine.recover(force=True)
    assert wallet.balance() == (0, 100, 0)
    wallet.clock.advance(2)
    assert [(op.id, op.state) for op in wallet.engine.recover(force=True)] == [(hold, "cancelled")]
    assert wallet.balance() == (100, 0, 0)
    invariants.check(store)


@pytest.mark.parametrize("says", ["SPENT", "PENDING", None])
def test_r65_any_other_answer_frees_nothing_and_a_late_record_settles_it(
    store: Store, says: str | None
) -> None:
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    wallet.mint.says = says
    for _ in range(4):
        wallet.clock.advance(1000)
        wallet.engine.recover(force=True, wait_s=1)
        assert wallet.balance() == (0, 100, 0)
    assert wallet.engine.operation(hold).state == "contested"
    refused(lambda: wallet.engine.unhold(hold), "NOT_HELD")
    done = wallet.record([], proofs(10), [], 90, hold=hold)
    assert done.handle.state == "reconciled" and wallet.balance() == (10, 0, 100)
    invariants.check(store)


def test_recovery_does_not_wait_for_a_hold(store: Store) -> None:
    wallet = Wallet(store, 100)
    wallet.hold(100, ttl_s=1000)
    slept = wallet.clock.slept
    (op,) = wallet.engine.recover(wait_s=60, force=True)
    assert op.state == "held" and wallet.clock.slept == slept


def test_a_hold_can_be_recorded_while_a_claim_is_somebody_elses(store: Store) -> None:
    """Row 31e: what the hold was for is claimed meanwhile; keep and change are stored all the same."""
    wallet = Wallet(store, 100, 200)
    hold = wallet.hold(100)
    bolt11 = invoice(90, wallet.clock)
    other = wallet.hold(200, payment_request=bolt11)

    def say() -> Any:
        return wallet.record([], proofs(10, tag="k"), [], 90, hold=hold, payment_request=bolt11)

    error = refused(say, "CONCURRENT_OPERATION")
    assert error.details["operation_id"] == hold and error.details["operations"] == [other]
    assert wallet.balance() == (10, 300, 0)
    invariants.check(store)
    wallet.engine.unhold(other)
    wallet.engine.recover(force=True)
    assert say().handle.state == "reconciled" and wallet.balance() == (210, 0, 100)
    invariants.check(store)


def test_recording_and_unholding_at_once(store: Store) -> None:
    """The second caller is told; nothing is half done."""
    values = (101, 102, 103, 104)
    wallet = Wallet(store, *values)
    for value in values:
        hold = wallet.hold(value)
        ended = at_once(
            record=lambda: wallet.record([], proofs(1), [], value - 1, hold=hold).handle.state,  # noqa: B023
            unhold=lambda: wallet.engine.unhold(hold).state,  # noqa: B023
        )
        recorded = wallet.token(value).state == "spent"
        assert ended["record"] == ("reconciled" if recorded else "NOT_HELD"), ended
        assert (ended["unhold"] == "cancelled") != recorded, ended
        assert wallet.balance()[1] == 0
    invariants.check(store)


def test_a_hold_is_the_same_only_for_the_same_invoice_and_while_it_holds(store: Store) -> None:
    """A caller who is told "held" again would pay with tokens that are not reserved."""
    wallet = Wallet(store, 100, 200)
    bolt11 = invoice(90, wallet.clock)
    assert wallet.hold(100, transaction_id=TX, payment_request=bolt11) == TX
    assert wallet.hold(100, transaction_id=TX, payment_request=bolt11) == TX
    for other in (invoice(90, wallet.clock), None):
        refused(
            lambda: wallet.hold(100, transaction_id=TX, payment_request=other),  # noqa: B023
            "DUPLICATE_TRANSACTION_ID",
        )
    wallet.engine.unhold(TX)
    refused(lambda: wallet.hold(100, transaction_id=TX, payment_request=bolt11), "DUPLICATE_TRANSACTION_ID")
    assert wallet.balance() == (300, 0, 0)


def test_a_hold_that_was_given_up_is_not_recorded(store: Store) -> None:
    """What it held is freed or lost by then: the record names its sources and meets what became of them."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100, ttl_s=10)
    wallet.mint.says = "SPENT"
    wallet.clock.advance(11)
    wallet.engine.recover(force=True)
    assert wallet.engine.write_off(hold, "nobody recorded it").state == "written_off"
    error = refused(lambda: wallet.record([], proofs(10), [], 90, hold=hold), "NOT_HELD")
    assert error.details["state"] == "written_off" and wallet.balance() == (0, 0, 100)


def test_a_contested_source_that_vanished_is_not_free(store: Store) -> None:
    """Consumed proofs that lie in no known token: nothing shows that this payment spent them."""
    wallet = Wallet(store, 100, 200)
    other = wallet.hold(200)
    error = refused(lambda: wallet.record([100, 200], proofs(10), [], 290), "CONCURRENT_OPERATION")
    stuck = str(error.details["operation_id"])
    token = wallet.token(200)
    Foreign(store).unindex(proof_key(token.proofs[0].secret))
    Foreign(store).delete(token)
    wallet.engine.recover(force=True)
    assert wallet.engine.operation(stuck).state == "contested"
    assert wallet.engine.operation(other).state == "held"


def test_what_is_pending_is_not_given_up(store: Store) -> None:
    """A hold without a record is parked after a long PENDING; its payment may still fail, and the
    proofs come back. Writing it off then would burn them: by force they are stranded, and come back."""
    wallet = Wallet(store, 100)
    held = wallet.hold(100)
    wallet.mint.says = "PENDING"
    for _ in range(80):
        wallet.clock.advance(120)
        wallet.engine.recover(force=True)
    assert wallet.engine.operation(held).state == "contested"
    with pytest.raises(Refused) as caught:
        wallet.engine.write_off(held, reason="it takes too long")
    assert caught.value.code == "PAYMENT_IN_FLIGHT" and wallet.token(100).state == "reserved"
    assert wallet.engine.write_off(held, reason="it takes too long", force=True).state == "written_off"
    assert wallet.token(100).state == "stranded" and data_in(wallet.engine.operation(held).record).loss == 0
    wallet.mint.says = "UNSPENT"
    wallet.engine.retry_stranded(wallet.whose["npub"], wallet.whose["mint_url"], reason="the payment failed")
    assert wallet.token(100).state == "unspent"
    invariants.check(store)


class Ticking(FakeClock):
    """A clock on which every look takes a little while."""

    def monotonic(self) -> float:
        self.advance(0.002)
        return self.mono


def test_the_longest_hold_is_not_refused(store: Store) -> None:
    engine, mint, _ = funded(store)
    ticking = Engine(store, mint, settings=QUICK, clock=Ticking())
    (token,) = store.tokens(TokenQuery(states=("unspent",), limit=10))
    held = ticking.hold(
        npub=NPUB, mint_url=mint.url, sources=[token.transaction_id], ttl_s=QUICK.hold_max_h * 3600
    )
    assert held.state == "held"
