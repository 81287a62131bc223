"""For every edge of the mint, check and deposit machines: evidence under which it is accepted. And one
place that knows where the scene of an edge is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nutstate.engine.cashu.port import MeltQuote, MintQuote, ProofState
from nutstate.engine.loop.drive import Run
from nutstate.engine.loop.evidence import Chosen, Evidence, Selection
from nutstate.engine.operations.mint.actions import watched_ms
from nutstate.engine.tokens.proofs import name_of
from nutstate.machines.spec import Machine, Transition
from nutstate.storage.secret import Secret
from tests.engine.edge_scenes import (
    AMOUNT,
    HOUR_MS,
    WHY,
    Scene,
    expired,
    failing,
    melt_scene,
    nothing,
    operator,
    outputs_of,
    strand,
    worth_of,
)
from tests.engine.edge_scenes_receive import receive_scene
from tests.engine.edge_scenes_record import record_scene
from tests.engine.edge_scenes_swap import swap_scene
from tests.support.clock import FakeClock
from tests.support.data import data_in


def mint_quote(run: Run, state: str) -> MintQuote:
    return MintQuote(f"quote-{run.operation.id}", Secret("lnbc1"), state, run.now() + HOUR_MS, AMOUNT, "sat")


def mint_says(state: str, useless: bool = False) -> Scene:
    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        return Evidence(
            mint_quote=mint_quote(run, state),
            outputs=outputs_of(run, f"out{len(data_in(run.operation).fences)}", (4, 32, 64)),
            request_body=Secret("mint body"),
            restored_none=True,
            outputs_useless=useless,
            reason=WHY,
        )

    return scene


def dead(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    expired(run, clock, edge)
    return Evidence(mint_quote=mint_quote(run, "UNPAID"))


def issued(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(proofs=worth_of(run, "issued", AMOUNT), proofs_verified=True)


def later(hours: Callable[[Run], float], state: str = "UNPAID") -> Scene:
    """Time passes, then the mint says this of its invoice."""

    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        clock.advance(hours(run) * 3600 + 1)
        run.asked_from = clock.monotonic()
        return attrs.evolve(mint_says(state)(run, clock, edge), watched_ms=watched_ms(run))

    return scene


def mint_too_old(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    expired(run, clock, edge)
    waited = run.settings.unknown_age_max_h
    if edge.source == "lapsed":
        waited += run.settings.late_payment_watch_h
    clock.advance(waited * 3600 + 1)
    return Evidence(reason=WHY)


MINT: dict[str, Scene] = {
    "request": nothing, "cancel": nothing, "recover": nothing, "quote_received": mint_says("UNPAID"),
    "quote_refused": nothing, "quote_unavailable": nothing, "invoice_paid": mint_says("PAID"),
    "invoice_issued": mint_says("ISSUED"), "expire": dead, "signatures_received": issued,
    "signatures_restored": issued, "mint_refused": nothing, "reply_lost": nothing,
    "look_again": mint_says("PAID"), "watch_over": later(lambda run: run.settings.late_payment_watch_h),
    "watch_counted": later(lambda run: run.settings.late_watch_part_ms / HOUR_MS),
    "invoice_unpaid": mint_says("UNPAID"),
    "drive_failed": failing, "mint_unreachable": nothing, "resume": operator, "write_off": operator,
    "too_old": mint_too_old,
}  # fmt: skip


def mint_scene(edge: Transition[Any]) -> Scene:
    if edge.event == "restore_empty":
        if edge.id.startswith("10."):
            return mint_says("ISSUED")
        if edge.source == "attention":
            return after_a_while(mint_says("PAID", useless=edge.id.startswith("9d.")))
        return mint_says("PAID", useless=edge.id.startswith("9a."))
    if edge.event == "issue_blocked":
        return mint_says("PAID") if edge.id.startswith("4c.") else later(_blocked_h, "PAID")
    return MINT[edge.event]


def _blocked_h(run: Run) -> float:
    return run.settings.issue_blocked_max_h


def after_a_while(scene: Scene) -> Scene:
    """When a parked issue may be tried again."""

    def waited(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        clock.advance(run.settings.issue_retry_max_s + 1)
        return scene(run, clock, edge)

    return waited


def check_scene(edge: Transition[Any]) -> Scene:
    return CHECK[edge.event]


def looked(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The check machine: clean, contradicting, or one proof said spent twice."""
    if edge.event == "found_spent":
        first = run.store.token("tx_deposit_1_deposit")
        assert first is not None
        name = str(first.proofs[0].Y)
        return Evidence(
            selection=Selection((Chosen(first, first.proofs[:1]),), 0),
            preflight_spent=frozenset({name}),
            states=(ProofState(name, "SPENT"),),
            reason=WHY,
        )
    bad = ("a document is missing",) if edge.event == "found_wrong" else ()
    return Evidence(checks_performed=3, discrepancies=bad, reason=WHY if bad else None)


def stranded(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """One of the wallet's tokens was stranded by another operation."""
    strand(run, "tx_deposit_2_deposit")
    token = run.store.token("tx_deposit_2_deposit")
    assert token is not None and token.state == "stranded"
    run.draft.set(amount=token.total_amount)
    return Evidence(selection=Selection((Chosen(token, token.proofs),), 0), operator_reason="looked at it")


def paid_after_all(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint says PAID of the payment a stranded token was given up with, and signed change."""
    evidence = stranded(run, clock, edge)
    assert evidence.selection is not None
    return attrs.evolve(
        evidence,
        quote=MeltQuote("quote-given-up", AMOUNT, 0, "PAID"),
        preflight_spent=frozenset(name_of(proof) for proof in evidence.selection.proofs),
        proofs=worth_of(run, "late", 4),
        proofs_verified=True,
    )


CHECK: dict[str, Scene] = {
    "found_paid": paid_after_all, "retry": stranded, "write_off": stranded,
    "found_clean": looked, "found_wrong": looked, "found_spent": looked, "resolve": operator,
}  # fmt: skip


def handed_in(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(proofs=worth_of(run, "handed-in", AMOUNT))


DEPOSIT: dict[str, Scene] = {"deposit": handed_in}


def deposit_scene(edge: Transition[Any]) -> Scene:
    return DEPOSIT[edge.event]


SCENES: Mapping[str, Callable[[Transition[Any]], Scene]] = {
    "melt": melt_scene,
    "record": record_scene,
    "mint": mint_scene,
    "swap": swap_scene,
    "receive": receive_scene,
    "check": check_scene,
    "deposit": deposit_scene,
}
"""Per machine: from an edge to its scene. Tokens have no scenes of their own: test_token_edges.py."""


def scene_of(spec: Machine[Any], edge: Transition[Any]) -> Scene:
    """The scene of an edge; an AssertionError that says what to write when there is none."""
    try:
        return SCENES[spec.name](edge)
    except KeyError:
        where = "tests/engine/edge_scenes.py, or edge_scenes_record.py, _mint.py, _swap.py, _receive.py"
        raise AssertionError(f"no scene for edge {edge.id} of {spec.name}@{spec.version}: {where}") from None
