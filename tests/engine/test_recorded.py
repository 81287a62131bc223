"""What the effects of recorded melts write, and what the actions of held and contested states decide."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Engine, NutstateError, Store
from nutstate.engine.cashu.port import ProofState
from nutstate.engine.loop.drive import Happened, Pause, Run
from nutstate.engine.loop.evidence import Chosen, Evidence, Recorded, Selection
from nutstate.engine.operations.record.watch import watch_hold, watch_sources
from nutstate.machines import RECORD
from nutstate.machines.spec import Machine, Transition
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Policy
from tests.engine.edge_scenes import OTHER, somebody_else, somebody_else_ends
from tests.engine.edge_scenes_mint import scene_of
from tests.engine.test_edges import SETTINGS, fund, new_run
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.recording import Saying
from tests.support.wallet import NPUB, fake_proof

ID = "tx_record_under_test"


def edge(name: str, spec: Machine[Any] = RECORD) -> Transition[Any]:
    return next(t for t in spec.transitions if t.id == name)


def begun(store: Store) -> tuple[Engine, Run, FakeClock, Saying]:
    clock = FakeClock()
    mint = Saying(now_ms=clock.now)
    engine = Engine(store, mint, clock=clock, settings=SETTINGS)
    fund(engine, clock)
    return engine, new_run(engine, clock, "record", Policy()), clock, mint


def take(engine: Engine, run: Run, clock: FakeClock, name: str) -> None:
    found = edge(name, run.draft.machine)
    evidence = scene_of(run.draft.machine, found)(run, clock, found)
    run.asked_from = clock.monotonic()  # as the driver says before each action
    assert run.decide(found.event, evidence).transition == name
    assert engine._driver.take(run, Happened(found.event, evidence))
    engine._driver.commit(run)


def held(store: Store) -> tuple[Engine, Run, FakeClock, Saying]:
    engine, run, clock, mint = begun(store)
    take(engine, run, clock, "1.hold.none")
    return engine, run, clock, mint


def states(store: Store) -> dict[str, tuple[str, int]]:
    """Short id -> state and value of every token."""
    found = store.tokens(TokenQuery(npub=NPUB))
    return {
        t.transaction_id.replace(ID, "").replace("tx_deposit_", "source "): (t.state, t.total_amount)
        for t in found
    }


def value(store: Store) -> int:
    return sum(amount for state, amount in states(store).values() if state == "unspent")


def test_free_sources_are_spent_at_once(store: Store) -> None:
    engine, run, clock, _ = begun(store)
    take(engine, run, clock, "2.record.none")
    assert states(store) == {
        "source 1_deposit": ("spent", 96), "source 2_deposit": ("spent", 10),
        "_keep": ("unspent", 16 + 3), "_melt_change": ("unspent", 2),
    }  # fmt: skip
    op = run.operation
    assert (op.amount, data_in(op).sources_total, data_in(op).keep_total, data_in(op).change_amount) == (
        100,
        122,
        19,
        2,
    )
    assert (data_in(op).proven_by, data_in(op).recorded_hash, data_in(op).contested) == (
        "caller",
        "ef" * 32,
        (),
    )
    done = engine._driver.drive(run, 0)
    assert done.state == "reconciled", done.reason
    invariants.check(store)


def test_a_contested_payment_keeps_keep_and_change(store: Store) -> None:
    engine, run, clock, _ = begun(store)
    take(engine, run, clock, "2b.record.none")
    assert states(store) == {
        "source 1_deposit": ("reserved", 96), "source 2_deposit": ("reserved", 10),
        "_keep": ("unspent", 19), "_melt_change": ("unspent", 2),
    }  # fmt: skip
    op = run.operation
    assert [part.token_id for part in op.inputs] == ["tx_deposit_1_deposit"]
    assert [(part.token_id, part.amount) for part in data_in(op).contested] == [("tx_deposit_2_deposit", 10)]
    data = data_in(op)
    assert op.claim == op.payment_hash and data.payment is not None and data.payment.lightning_fee == 1
    source = store.token("tx_deposit_2_deposit")
    assert source is not None and source.reserved_by == OTHER
    records = store.token(f"{ID}_keep"), store.token(f"{ID}_melt_change")
    assert [t.metadata.parent_transaction_id for t in records if t] == [ID, ID]


def test_contested_sources_are_spent_when_they_become_free(store: Store) -> None:
    engine, run, clock, _ = begun(store)
    take(engine, run, clock, "2b.record.none")
    assert isinstance(watch_sources(run), Pause)
    somebody_else_ends(run)
    (ended,) = engine.recover(force=True)
    assert (ended.id, ended.state) == (ID, "reconciled"), ended.reason
    assert data_in(ended.record).contested == () and value(store) == 21
    assert states(store)["source 2_deposit"] == ("spent", 10)
    invariants.check(store)


def test_consumed_proofs_are_found_wherever_they_were_moved(store: Store) -> None:
    """The other melt split the contested token: what it left behind lies in its keep token."""
    engine, run, clock, _ = begun(store)
    first = store.token("tx_deposit_1_deposit")
    assert first is not None
    other = new_run(engine, clock, "melt", Policy())
    other.draft.set(id=OTHER, payment_hash="cd" * 32)
    for name in ("0.request.none", "1.quote_received.requested", "5.inputs_chosen.quoted"):
        take(engine, other, clock, name)
    # consumed at the mint: 64 (still in the source) and 16 (in the other's keep token); 32 was not
    used = tuple(proof for proof in first.proofs if proof.amount in (64, 16))
    now = store.token("tx_deposit_1_deposit")
    assert now is not None and {p.amount for p in now.proofs} == {64, 32}
    said = Evidence(
        selection=Selection((Chosen(first, used),), 0),
        recorded=Recorded(amount=70, fee=8),
        proofs=(fake_proof(2, "back"),),
    )
    assert run.decide("record", said).transition == "2.record.none", "what was read is out of date"
    stale = Evidence(
        selection=Selection((Chosen(now, tuple(p for p in now.proofs if p.amount == 64)),), 0),
        recorded=Recorded(amount=60, fee=2),
        proofs=(fake_proof(2, "back"),),
    )
    assert engine._driver.take(run, Happened("record", stale))
    engine._driver.commit(run)
    assert run.operation.state == "contested" and run.operation.inputs == ()
    stored = store.operation(OTHER)
    assert stored is not None
    assert engine.cancel(OTHER).state == "cancelled"
    ended = next(op for op in engine.recover(force=True) if op.id == ID)
    assert ended.state == "reconciled", ended.reason
    assert states(store)["source 1_deposit"] == ("spent", 64)
    assert states(store)["_split_1"] == ("unspent", 32), "untouched, so still money"
    invariants.check(store)


def test_what_others_still_hold_is_no_loss_yet(store: Store) -> None:
    engine, run, clock, _ = begun(store)
    take(engine, run, clock, "2b.record.none")
    ended = engine.write_off(ID, "the other one paid with it")
    assert ended.state == "reconciled", ended.reason
    op = ended.record
    assert data_in(op).loss == 0 and [part.token_id for part in data_in(op).contested] == [
        "tx_deposit_2_deposit"
    ]
    assert [part.token_id for part in op.inputs] == ["tx_deposit_1_deposit"]
    assert states(store)["source 2_deposit"] == ("reserved", 10), "it is the other melt's"


def test_a_hold_is_left_alone_until_it_ends(store: Store) -> None:
    engine, run, clock, mint = held(store)
    mint.says = "SPENT"
    waits = watch_hold(run)
    assert isinstance(waits, Pause) and waits.seconds == 10
    engine._driver.drive(run, 0)
    stored = store.operation(ID)
    assert (
        stored is not None and stored.state == "held" and stored.next_check_at == data_in(stored).hold_until
    )


def test_the_end_of_the_time_alone_frees_nothing(store: Store) -> None:
    engine, run, clock, mint = held(store)
    engine._driver.drive(run, 0)
    clock.advance(11)
    run.asked_from = clock.monotonic()
    assert watch_hold(run) == Happened("hold_seen_unspent", Evidence(states=said(run, "UNSPENT")))
    (first,) = engine.recover()
    assert first.state == "held" and data_in(first.record).held_unspent_since is not None
    clock.advance(9)
    engine.recover(force=True)
    assert states(store)["source 1_deposit"] == ("reserved", 112)
    clock.advance(2)
    (ended,) = engine.recover(force=True)
    assert ended.state == "cancelled" and ended.record.claim is None
    assert states(store)["source 1_deposit"] == ("unspent", 112)
    invariants.check(store)


def said(run: Run, state: str) -> tuple[ProofState, ...]:
    return tuple(ProofState(str(proof.Y), state) for proof in run.input_proofs())


def test_a_proof_in_flight_starts_the_window_anew(store: Store) -> None:
    engine, run, clock, mint = held(store)
    clock.advance(11)
    engine.recover()
    mint.says = "PENDING"
    clock.advance(5)
    (seen,) = engine.recover(force=True)
    assert seen.state == "held" and data_in(seen.record).held_unspent_since is None
    mint.says = "UNSPENT"
    clock.advance(20)
    (again,) = engine.recover(force=True)
    assert again.state == "held" and data_in(again.record).held_unspent_since is not None
    clock.advance(11)
    assert [op.state for op in engine.recover(force=True)] == ["cancelled"]


@pytest.mark.parametrize(("says", "code"), [("SPENT", "HOLD_SPENT"), ("PENDING", None), (None, None)])
def test_no_answer_but_unspent_frees_a_hold(store: Store, says: str | None, code: str | None) -> None:
    engine, run, clock, mint = held(store)
    mint.says = says
    clock.advance(100)
    (seen,) = engine.recover(force=True)
    assert seen.state == ("contested" if code else "held")
    assert (seen.reason.code if seen.reason else None) == code
    assert states(store)["source 1_deposit"] == ("reserved", 112)
    clock.advance(3600)
    (old,) = engine.recover(force=True)
    assert old.state == "contested" and states(store)["source 1_deposit"] == ("reserved", 112)
    assert old.reason is not None and old.reason.code == (code or "UNRESOLVED_TOO_LONG")


def test_a_late_record_settles_a_hold_whose_proofs_are_gone(store: Store) -> None:
    engine, run, clock, mint = held(store)
    take(engine, run, clock, "7.hold_spent.held")
    take(engine, run, clock, "3.record.contested")
    done = engine._driver.drive(run, 0)
    assert done.state == "reconciled" and done.reason is None and value(store) == 10 + 2
    invariants.check(store)


def test_only_the_held_sources_settle_a_hold(store: Store) -> None:
    engine, run, clock, _ = held(store)
    second = store.token("tx_deposit_2_deposit")
    assert second is not None
    both = (*run.input_tokens(), second)
    recorded = Evidence(
        selection=Selection(tuple(Chosen(t, t.proofs) for t in both), 0), recorded=Recorded(amount=120, fee=2)
    )
    decision = run.decide("record", recorded)
    assert decision.refusals[0].code == "HOLD_MISMATCH"


def test_a_source_without_a_consumed_proof_was_no_source(store: Store) -> None:
    _, run, _, _ = begun(store)
    first, second = (store.token(f"tx_deposit_{n}_deposit") for n in (1, 2))
    assert first is not None and second is not None
    recorded = Evidence(
        selection=Selection((Chosen(first, first.proofs), Chosen(second, ())), 0),
        recorded=Recorded(amount=110, fee=2),
    )
    assert run.decide("record", recorded).refusals[0].code == "SOURCE_UNTOUCHED"


def test_giving_up_a_hold_frees_what_the_mint_calls_unspent(store: Store) -> None:
    engine, run, clock, mint = held(store)
    take(engine, run, clock, "7.too_old.held")
    mint.says = None
    with pytest.raises(NutstateError) as refused:
        engine.write_off(ID, "nobody knows")
    assert refused.value.code == "MINT_UNREACHABLE"
    mint.says = "UNSPENT"
    ended = engine.write_off(ID, "it was never paid")
    assert (ended.state, data_in(ended.record).loss) == ("written_off", 0)
    assert states(store)["source 1_deposit"] == ("unspent", 112)
    invariants.check(store)


def test_giving_up_a_hold_unasked_strands_everything(store: Store) -> None:
    engine, run, clock, mint = held(store)
    take(engine, run, clock, "7.too_old.held")
    mint.says = None
    ended = engine.write_off(ID, "the mint is gone", force=True)
    assert (ended.state, data_in(ended.record).loss) == ("written_off", 0)
    assert states(store)["source 1_deposit"] == ("stranded", 112), "the mint may come back"
    invariants.check(store)


def test_an_unheld_source_is_free_on_the_callers_word(store: Store) -> None:
    engine, run, clock, _ = held(store)
    take(engine, run, clock, "4.unhold.held")
    assert states(store)["source 1_deposit"] == ("unspent", 112) and run.operation.claim is None
    somebody_else(run)
    invariants.check(store)
