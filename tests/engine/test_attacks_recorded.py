"""What a hostile reader of recorded melts and holds found, kept as tests."""

from __future__ import annotations

import pytest

from nutstate import InvalidArgument, Refused, Store
from tests.support import invariants
from tests.support.data import data_in
from tests.support.recording import Wallet


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


@pytest.mark.parametrize("odd", ["\ud800", "tx_\udfff_source", "tx_\x00"])
def test_text_that_no_store_can_hold_is_refused_by_type(store: Store, odd: str) -> None:
    wallet = Wallet(store, 100)
    calls = (
        lambda: wallet.engine.hold([odd], 60, **wallet.whose),
        lambda: wallet.engine.record_melt([odd], [], [], 1, 0, **wallet.whose),
        lambda: wallet.engine.operation(odd),
        lambda: wallet.engine.unhold(odd),
        lambda: wallet.engine.hold(
            [wallet.ids[100]], 60, npub=wallet.whose["npub"], mint_url=f"https://m{odd}"
        ),
    )
    for call in calls:
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.__cause__ is None
