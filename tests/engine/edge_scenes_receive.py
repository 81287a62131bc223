"""For every edge of the receive machine: evidence under which it is accepted, and what must be true around
it.

A token of 101 sat becomes 100 sat."""

from __future__ import annotations

from typing import Any

from nutstate.engine.cashu.port import ProofState
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.loop.drive import Run
from nutstate.engine.loop.evidence import Evidence
from nutstate.engine.operations.receive.data import receive_of
from nutstate.engine.operations.shared.exchange import as_sent
from nutstate.machines.spec import Transition
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret
from tests.engine.edge_scenes import (
    AMOUNT,
    INPUT_FEE,
    WHY,
    Scene,
    checked,
    failing,
    nothing,
    operator,
    outputs_of,
    too_old,
    worth_of,
)
from tests.engine.edge_scenes_swap import refused, watched
from tests.support.clock import FakeClock


def handed_in(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The token of another wallet, checked and written down."""
    proofs = worth_of(run, "foreign", AMOUNT + INPUT_FEE)
    outputs = outputs_of(run, "receive", (4, 32, 64))
    run.set_data(input_fee=INPUT_FEE, sources_total=AMOUNT + INPUT_FEE, proofs_hash="ab" * 32)
    return Evidence(
        proofs=proofs,
        preflight_spent=frozenset(),
        outputs=outputs,
        request_body=bodies.swap_body(proofs, as_sent(outputs)),
        claim_asked=True,
        mint_can_restore=True,
    )


def signed(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint signed every output that is stored."""
    proofs = tuple(
        Proof(output.id, output.amount, output.secret, Secret(output.B_), Y=f"03{output.B_[2:]}")
        for output in receive_of(run.operation).blanks
    )
    return Evidence(proofs=proofs, proofs_verified=True)


def said(run: Run, state: str) -> tuple[ProofState, ...]:
    """What the mint says of the proofs in the request."""
    return tuple(ProofState(f"02{key}", state) for key in receive_of(run.operation).sent_keys())


def untouched(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(states=said(run, "UNSPENT"), restored_none=True, reason=WHY)


def gone(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(states=said(run, "SPENT"), restored_none=True, reason=WHY)


def on_its_word(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(states=said(run, "PENDING"), restored_none=True, operator_reason="trust it")


def given_up(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """14: by force. 14c and 14d: restore answers, or does not."""
    forced = edge.source == "attention"
    return Evidence(restored_none=edge.dest == "not_received", operator_reason="no answer", forced=forced)


RECEIVE: dict[str, Scene] = {
    "request": handed_in, "signatures_received": signed, "signatures_restored": signed, "mint_refused":
    refused, "reply_lost": nothing, "mint_unreachable": nothing, "recover": nothing, "refusal_seen":
    untouched, "refusal_stands": untouched, "resend": untouched, "give_up": untouched,
    "inputs_spent_elsewhere": gone, "watch_over": watched, "too_old": too_old, "drive_failed": failing,
    "reconcile_passed": checked, "reconcile_failed": checked, "resume": operator, "release": on_its_word,
    "write_off": given_up, "resolve": operator,
}  # fmt: skip


def receive_scene(edge: Transition[Any]) -> Scene:
    return RECEIVE[edge.event]
