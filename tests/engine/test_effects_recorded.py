"""What the effects of payments that the caller makes write, to the value; see test_effects.py."""

from __future__ import annotations

from nutstate import Store
from nutstate.storage.records import InputRef
from tests.support.data import data_in

from .edge_scenes import WHY
from .test_effects import FIRST, SECOND, amounts, the, walk_before, walked

RECORD_ID = "tx_record_under_test"


def test_a_hold_that_is_seen_in_flight_forgets_that_it_was_unspent(store: Store) -> None:
    walk, edge = walk_before(store, "5.hold_seen_pending.held", "record")
    assert data_in(walk.run.operation).held_unspent_since is not None
    walk.take(edge, walk.evidence_for(edge))
    assert data_in(walk.run.operation).held_unspent_since is None


def test_the_window_of_a_hold_counts_from_the_first_unspent_answer(store: Store) -> None:
    op = walked(store, "5.hold_seen_unspent.held", "record")
    assert data_in(op).held_unspent_since == op.updated_at


def test_a_recorded_melt_spends_its_sources_and_keeps_what_it_says(store: Store) -> None:
    """122 = 100 paid + 1 fee + 16 untouched + 3 kept afresh + 2 change."""
    op = walked(store, "2.record.none", "record")
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["spent", "spent"]
    assert (data_in(op).sources_total, data_in(op).keep_total, data_in(op).change_amount) == (122, 19, 2)
    assert amounts(the(store, data_in(op).keep_token_id)) == [1, 2, 16]
    payment = data_in(op).payment
    assert (payment.lightning_fee, payment.paid_at) == (1, op.updated_at)
    assert (data_in(op).input_fee, data_in(op).proven_by, data_in(op).recorded_hash) == (
        0,
        "caller",
        "ef" * 32,
    )
    assert op.inputs == (InputRef(FIRST, 96, 2), InputRef(SECOND, 10, 2)) and op.reason is None


def test_a_record_of_sources_that_another_holds_parks_what_is_free(store: Store) -> None:
    """The other holds the token of 10: the free one is reserved, keep and change are money all the same."""
    op = walked(store, "2b.record.none", "record")
    assert (op.inputs, data_in(op).contested) == ((InputRef(FIRST, 96, 2),), (InputRef(SECOND, 10, 2),))
    assert (the(store, FIRST).state, the(store, FIRST).reserved_by) == ("reserved", RECORD_ID)
    assert the(store, SECOND).reserved_by not in (None, RECORD_ID)
    assert (data_in(op).sources_total, data_in(op).keep_total, data_in(op).change_amount) == (122, 19, 2)
    assert op.claim == "ab" * 32 and op.reason == WHY and data_in(op).recorded_hash == "ef" * 32


def test_contested_sources_that_become_free_are_spent(store: Store) -> None:
    op = walked(store, "8.sources_free.contested", "record")
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["spent", "spent"]
    assert data_in(op).contested == () and sum(part.amount for part in op.inputs) == 106


def test_contested_sources_that_others_hold_are_theirs_to_tell(store: Store) -> None:
    """R315: no loss yet; what others have spent is one (tests/engine/test_record.py)."""
    op = walked(store, "9c.write_off.contested", "record")
    assert (data_in(op).loss, data_in(op).contested) == (0, (InputRef(SECOND, 10, 2),))
    assert the(store, FIRST).state == "spent" and the(store, SECOND).state != "spent"
