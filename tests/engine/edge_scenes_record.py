"""For every edge of the record machine: evidence under which it is accepted, and what must be true around
it."""

from __future__ import annotations

from typing import Any

from nutstate.engine.cashu.port import ProofState
from nutstate.engine.loop.drive import Run
from nutstate.engine.loop.evidence import Chosen, Evidence, Recorded, Selection
from nutstate.machines.spec import NONE, Transition
from tests.engine.edge_scenes import (
    AMOUNT,
    OTHER,
    OTHER_HASH,
    WHY,
    Scene,
    checked,
    failing,
    names,
    nothing,
    operator,
    somebody_else,
    somebody_else_ends,
    worth_of,
)
from tests.support.clock import FakeClock

HOLD_MS = 10_000


def recorded(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """100 paid, 2 back, the rest fee; with free sources also 3 kept afresh beside the untouched 16."""
    returned = worth_of(run, "change", 2)
    if edge.source != NONE:
        held = tuple(Chosen(token, token.proofs) for token in run.input_tokens())
        claimed = edge.id.startswith("3b.")
        if claimed:
            somebody_else(run)
        said = Recorded(
            amount=AMOUNT, fee=10, fingerprint="ef" * 32, payment_hash=OTHER_HASH if claimed else None
        )
        holder = OTHER if claimed else None
        return Evidence(
            selection=Selection(held, 0), proofs=returned, recorded=said, claim_holder=holder, reason=WHY
        )
    if edge.dest == "contested":
        somebody_else(run)
    said = Recorded(amount=AMOUNT, fee=1, fingerprint="ef" * 32)
    kept = worth_of(run, "keep", 3)
    selection = every_selection(run)
    return Evidence(selection=selection, proofs=returned, keep=kept, recorded=said, reason=WHY)


def every_selection(run: Run) -> Selection:
    """The sources of :func:`unspent_selection` whoever holds them now."""
    first, second = (run.store.token(f"tx_deposit_{n}_deposit") for n in (1, 2))
    assert first is not None and second is not None
    return Selection((Chosen(first, first.proofs[:2]), Chosen(second, second.proofs)), 0)


def hold(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    first = run.store.token("tx_deposit_1_deposit")
    assert first is not None
    run.set_data(hold_until=run.now() + HOLD_MS)
    return Evidence(selection=Selection((Chosen(first, first.proofs),), 0))


def held_said(state: str) -> Scene:
    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        clock.advance(max(HOLD_MS / 1000, run.settings.settle_window_s) + 1)
        return Evidence(states=names(run, state), reason=WHY)

    return scene


def freed(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    somebody_else_ends(run)
    return Evidence()


def too_old(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    since = HOLD_MS / 1000 if edge.source == "held" else 0
    clock.advance(run.settings.unknown_age_max_h * 3600 + since + 1)
    return Evidence(reason=WHY)


def given_up(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """Row 9: the mint calls one proof SPENT and the others UNSPENT. 9b: PENDING. 9c: the payment is
    recorded."""
    if edge.id.startswith("9c."):
        return Evidence(operator_reason="gone")
    if edge.id.startswith("9b."):
        return Evidence(states=names(run, "PENDING"), operator_reason="for ever", forced=True)
    spent, *rest = run.input_proofs()
    states = (ProofState(str(spent.Y), "SPENT"), *(ProofState(str(p.Y), "UNSPENT") for p in rest))
    return Evidence(states=states, operator_reason="gone")


RECORD: dict[str, Scene] = {
    "hold": hold, "record": recorded, "unhold": nothing, "sources_free": freed,
    "hold_seen_unspent": held_said("UNSPENT"), "hold_seen_pending": held_said("PENDING"),
    "hold_over": held_said("UNSPENT"), "hold_spent": held_said("SPENT"),
    "reconcile_passed": checked, "reconcile_failed": checked, "too_old": too_old, "drive_failed": failing,
    "write_off": given_up, "resolve": operator,
}  # fmt: skip


def record_scene(edge: Transition[Any]) -> Scene:
    return RECORD[edge.event]
