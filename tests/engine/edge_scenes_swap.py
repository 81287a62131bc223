"""For every edge of the swap machine: evidence under which it is accepted, and what must be true around it.

106 sat in four coins become 100 sat and a rest of 5; where a coin is to be refused alone, one coin of 64 sat
becomes 60 and 3."""

from __future__ import annotations

from typing import Any

import attrs

from nutstate.engine.cashu.port import ProofState, Refused
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.loop.drive import Run
from nutstate.engine.loop.evidence import Chosen, Evidence, Selection
from nutstate.engine.operations.shared.exchange import as_sent
from nutstate.engine.operations.swap.data import swap_of
from nutstate.engine.tokens.proofs import name_of
from nutstate.machines.spec import Transition
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret
from tests.engine.edge_scenes import (
    AMOUNT,
    BLAMED,
    INPUT_FEE,
    WHY,
    Scene,
    checked,
    every_proof,
    failing,
    nothing,
    operator,
    outputs_of,
    too_old,
    unspent_selection,
)
from tests.support.clock import FakeClock


def requested(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """What the caller wanted, chosen and written down."""
    parts: tuple[int, ...] = (4, 32, 64, 1, 4)
    selection = unspent_selection(run)
    if run.operation.policy.fee_max == BLAMED:
        first = run.store.token("tx_deposit_1_deposit")
        assert first is not None
        selection, parts = Selection((Chosen(first, first.proofs[:1]),), INPUT_FEE), (4, 8, 16, 32, 1, 2)
        run.draft.set(amount=60)
    outputs = outputs_of(run, "swap", parts)
    run.set_data(into=(run.operation.amount,))
    return Evidence(
        selection=selection,
        preflight_spent=frozenset(),
        outputs=outputs,
        request_body=bodies.swap_body(selection.proofs, as_sent(outputs)),
        mint_can_restore=True,
    )


def blocked(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    selection = unspent_selection(run)
    spent = frozenset({str(selection.proofs[0].Y)})
    return Evidence(selection=selection, preflight_spent=spent, reason=WHY)


def signed(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint signed every output that is stored."""
    proofs = tuple(
        Proof(output.id, output.amount, output.secret, Secret(output.B_), Y=f"03{output.B_[2:]}")
        for output in swap_of(run.operation).blanks
    )
    return Evidence(proofs=proofs, proofs_verified=True)


def refused(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clear = edge.id.startswith("3.")
    return Evidence(answer=Refused(10001 if clear else 11000, "no", clear), reason=WHY)


def said(run: Run, state: str) -> tuple[ProofState, ...]:
    """What the mint says of the proofs in the request, wherever they are by now."""
    sent = swap_of(run.operation).sent_secrets()
    return tuple(ProofState(name_of(proof), state) for proof in every_proof(run) if proof.secret in sent)


def untouched(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(states=said(run, "UNSPENT"), restored_none=True, reason=WHY)


def gone(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return attrs.evolve(untouched(run, clock, edge), states=said(run, "SPENT"))


def watched(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.watch_window_h * 3600 + 1)
    return Evidence(restored_none=True)


def on_its_word(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return attrs.evolve(untouched(run, clock, edge), operator_reason="trust it")


def given_up(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """14: one input is spent elsewhere, the others are not. 14b: they are PENDING. 14c and 14d: restore
    answers, or does not."""
    if edge.source == "stuck":
        return Evidence(restored_none=edge.dest == "released", operator_reason="no answer")
    if edge.id.startswith("14b."):
        return Evidence(states=said(run, "PENDING"), operator_reason="for ever", forced=True)
    first, *rest = said(run, "UNSPENT")
    states = (attrs.evolve(first, state="SPENT"), *rest)
    return Evidence(states=states, restored_none=True, operator_reason="gone")


SWAP: dict[str, Scene] = {
    "request": requested, "preflight_blocked": blocked, "signatures_received": signed,
    "signatures_restored": signed, "mint_refused": refused, "reply_lost": nothing,
    "mint_unreachable": nothing, "recover": nothing, "refusal_seen": untouched, "refusal_stands": untouched,
    "resend": untouched, "give_up": untouched, "inputs_spent_elsewhere": gone, "watch_over": watched,
    "too_old": too_old, "drive_failed": failing, "reconcile_passed": checked, "reconcile_failed": checked,
    "resume": operator, "release": on_its_word, "write_off": given_up, "resolve": operator,
}  # fmt: skip


def swap_scene(edge: Transition[Any]) -> Scene:
    return SWAP[edge.event]


assert AMOUNT == 100, "the amounts above add up for it"
