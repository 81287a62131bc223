"""Walks: from nothing to any edge of an operation's machine, each step with its scene and in a commit of
its own. Used by the edge tests and by the recorder of histories."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, Settings, SimulatedMint, Store
from nutstate.engine.admission import new_operation
from nutstate.engine.loop.draft import Draft
from nutstate.engine.loop.drive import Happened, Run
from nutstate.engine.loop.evidence import Evidence
from nutstate.machines import DEPOSIT, MELT, RECORD
from nutstate.machines.registry import RELEASED, latest
from nutstate.machines.spec import NONE, Machine, Transition
from nutstate.review.kit import cells
from nutstate.storage.records import MachineRef, Policy, Quote
from nutstate.storage.secret import Secret
from tests.engine.edge_scenes import BLAMED
from tests.engine.edge_scenes_mint import scene_of
from tests.support.apart import Apart
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, fake_proof

URL = "https://mint.simulated"
AMOUNT = 100
SETTINGS = Settings(
    settle_window_s=10,
    post_open_max_s=0,
    change_window_s=10,
    unknown_age_max_h=1,
    watch_window_h=1,
    issue_tries_max=2,
    swap_tries_max=2,
    late_payment_watch_h=14,
)

OPERATIONS: tuple[Machine[Any], ...] = tuple(machine for machine in RELEASED if machine.name != "token")
"""Every released machine that an operation runs under, old versions too."""

PAYS = (MELT.name, RECORD.name)
"""Kinds whose operations pay an invoice and claim it."""

_REFUSED = ("35.refusal_seen.refused", "36.refusal_stands.refused")

DETOURS: dict[str, tuple[str, ...]] = {
    # attention with a recorded payment is reached through change_missing, not through too_old;
    # a fence is only found in unknown after fencing
    "28a.resume.attention": ("26.change_missing.paid",),
    "29a.write_off.attention": ("26.change_missing.paid",),
    "22.fence_done.unknown": ("23a.fence_refused.fencing",),
    "22.fence_found.unknown": ("23a.fence_refused.fencing",),
    "22.fence_done.attention": ("17.too_old.fencing",),
    "22.fence_found.attention": ("17.too_old.fencing",),
    "22.fence_done.pending": ("23a.fence_refused.fencing", "11.mint_pending.unknown"),
    "22.fence_found.pending": ("23a.fence_refused.fencing", "11.mint_pending.unknown"),
    "22.fence_done.unpaid": ("23b.fence_refused.fencing",),
    "22.fence_found.unpaid": ("23b.fence_refused.fencing",),
    "22b.fence_done.watching": ("17.too_old.fencing", "21b.release.attention"),
    "22b.fence_found.watching": ("17.too_old.fencing", "21b.release.attention"),
    "22c.fence_done.unknown": ("23a.fence_refused.fencing",),
    "22c.fence_found.unknown": ("23a.fence_refused.fencing",),
    "22c.fence_done.attention": ("17.too_old.fencing",),
    "22c.fence_found.attention": ("17.too_old.fencing",),
    "22c.fence_done.pending": ("23a.fence_refused.fencing", "11.mint_pending.unknown"),
    "22c.fence_found.pending": ("23a.fence_refused.fencing", "11.mint_pending.unknown"),
    "22c.fence_done.unpaid": ("23b.fence_refused.fencing",),
    "22c.fence_found.unpaid": ("23b.fence_refused.fencing",),
    "22d.fence_done.watching": ("17.too_old.fencing", "21b.release.attention"),
    "22d.fence_found.watching": ("17.too_old.fencing", "21b.release.attention"),
    "19c.strand.unpaid": ("22c.fence_done.fencing",),
    "21b.release.attention": ("17.too_old.unknown",),
    "21.watch_over.watching": ("21.release.unpaid",),
    **dict.fromkeys(
        ("32.mint_paid.watching", "17c.too_old.watching", "33c.drive_failed.watching"), ("21.release.unpaid",)
    ),
    **dict.fromkeys(
        (
            "21.watch_over.stuck",
            "21c.write_off.stuck",
            "21d.write_off.stuck",
            "21e.resume.stuck",
            "32.mint_paid.stuck",
        ),
        ("21.release.unpaid", "17c.too_old.watching"),
    ),
    **dict.fromkeys(
        ("22b.fence_done.stuck", "22b.fence_found.stuck", "22d.fence_done.stuck", "22d.fence_found.stuck"),
        ("17.too_old.fencing", "21b.release.attention", "17c.too_old.watching"),
    ),
    **dict.fromkeys(
        ("36.refusal_stands.refused", "36b.refusal_stands.refused"), ("35.refusal_seen.refused",)
    ),
    "38.new_attempt.watching": _REFUSED,
    "37.paid_otherwise.watching": (*_REFUSED, "38.new_attempt.watching"),
    "38.new_attempt.stuck": (*_REFUSED, "17c.too_old.watching"),
    "37.paid_otherwise.stuck": (*_REFUSED, "38.new_attempt.watching", "17c.too_old.watching"),
    "25.change_complete_empty.paid": ("25b.change_seen_empty.paid",),
    # contested without a recorded payment is reached through a hold
    "3.record.contested": ("7.hold_spent.held",),
    "3b.record.contested": ("7.hold_spent.held",),
    "9.write_off.contested": ("7.hold_spent.held",),
    "9b.write_off.contested": ("7.hold_spent.held",),
    "6.hold_over.held": ("5.hold_seen_unspent.held",),
    "5.hold_seen_pending.held": ("5.hold_seen_unspent.held",),
    # a swap or a receive: a clear refusal is looked at twice; the same bytes go again where there was none
    "5b.refusal_stands.restoring": ("5.refusal_seen.restoring",),
    "5c.refusal_stands.restoring": ("5.refusal_seen.restoring",),
    "6.resend.restoring": ("3b.reply_lost.swapping", "3b.reply_lost.receiving"),
    "6b.give_up.restoring": (
        *("3b.reply_lost.swapping", "3b.reply_lost.receiving", "6.resend.restoring"),
        *("3b.reply_lost.swapping", "3b.reply_lost.receiving"),
    ),
    # a funding that was first seen PAID while nothing could be issued
    "4d.issue_blocked.quoted": ("4c.issue_blocked.quoted",),
    "4d.issue_blocked.lapsed": ("4c.issue_blocked.lapsed",),
    # parked without ever having been PAID
    "5d.invoice_unpaid.attention": ("13.too_old.quoted",),
    # restoring and attention after outputs were written
    "9.restore_empty.restoring": ("8.reply_lost.issuing",),
    "9a.restore_empty.restoring": ("8.reply_lost.issuing",),
    "13.too_old.restoring": ("8.reply_lost.issuing",),
    "11a.resume.attention": ("8.reply_lost.issuing", "13.too_old.restoring"),
    "9c.restore_empty.attention": ("8.reply_lost.issuing", "13.too_old.restoring"),
    "9d.restore_empty.attention": ("8.reply_lost.issuing", "13.too_old.restoring"),
    "9b.restore_empty.restoring": (
        "8.reply_lost.issuing",
        "9.restore_empty.restoring",
        "8.reply_lost.issuing",
    ),
}
"""What must have happened before an edge where the shortest way to its source does not do: the shortest
way to the first of these, then the others."""


@attrs.frozen
class Story:
    """One edge of one machine."""

    spec: Machine[Any]
    edge: Transition[Any]

    def __str__(self) -> str:
        return f"{self.spec.name}@{self.spec.version}-{self.edge.id}"


def stories() -> list[Story]:
    """Every edge that some valuation of its guards takes, of every released machine of operations."""
    found: list[Story] = []
    for spec in OPERATIONS:
        taken = {row.decision.transition for row in cells(spec)} - {None}
        never = [edge.id for edge in spec.transitions if edge.id not in taken]
        assert not never, f"{spec.name}@{spec.version}: no facts take {', '.join(never)}"
        found += [Story(spec, edge) for edge in spec.transitions]
    return found


def path_to(spec: Machine[Any], edge: Transition[Any]) -> list[Transition[Any]]:
    """The shortest walk from ``none`` that ends with ``edge`` and needs no detour on the way."""
    queue: deque[list[Transition[Any]]] = deque([[]])
    seen = {NONE}
    while queue:
        path = queue.popleft()
        at = path[-1].dest if path else NONE
        if at == edge.source:
            return [*path, edge]
        for nxt in spec.transitions:
            if nxt.source == at and nxt.dest not in seen and nxt.dest != at and nxt.id not in DETOURS:
                seen.add(nxt.dest)
                queue.append([*path, nxt])
    raise AssertionError(f"no path to {edge.id}")


def walk_for(spec: Machine[Any], edge: Transition[Any]) -> list[Transition[Any]]:
    """The edges that lead to ``edge``, and it."""
    by_id = {t.id: t for t in spec.transitions}
    before = [by_id[name] for name in DETOURS.get(edge.id, ()) if name in by_id]
    if not before:
        return path_to(spec, edge)
    return [*path_to(spec, before[0]), *before[1:], edge]


def policy_for(path: list[Transition[Any]]) -> Policy:
    """What the caller must have chosen for this walk."""
    if any(t.id.startswith("5c.refusal_stands.") for t in path):
        return Policy(fee_max=BLAMED)
    if any(t.dest == "refused" for t in path):
        blamed = any(t.id.startswith("36b.") for t in path)
        return Policy(on_unpaid="fast", fee_max=BLAMED if blamed else None)
    if any(t.id in ("21.release.unpaid", "21.watch_over.watching") or t.source == "watching" for t in path):
        return Policy(on_unpaid="trust")
    if any(t.event == "retry" for t in path):
        return Policy(on_unpaid="retry_then_fence")
    return Policy()


def is_foreign(path: list[Transition[Any]]) -> bool:
    """Whether the walk needs a hold that does not name its payment."""
    return any(edge.id.startswith("3b.record.") for edge in path)


def new_run(
    engine: Engine, clock: FakeClock, kind: str, policy: Policy, spec: Machine[Any] | None = None
) -> Run:
    """A run of an operation that is not stored yet, under ``spec`` (the latest of its kind)."""
    machine = spec or latest(kind)
    op = new_operation.new_operation(
        latest(kind),
        now=clock.now(),
        npub=NPUB,
        mint_url=URL,
        unit="sat",
        amount=AMOUNT,
        transaction_id=f"tx_{kind}_under_test",
        policy=policy,
        request=Secret("lnbc1test") if kind in PAYS else None,
        payment_hash="ab" * 32 if kind in PAYS else None,
    )
    ref = MachineRef(machine.name, machine.version, machine.content_hash)
    return engine._run(Draft(machine, attrs.evolve(op, machine=ref), stored=False, actor="test"))


def fund(engine: Engine, clock: FakeClock) -> None:
    """Two tokens of proofs no mint signed: 64+32+16 and 8+2."""
    for n, amounts in ((1, (64, 32, 16)), (2, (8, 2))):
        op = new_operation.new_operation(
            latest("deposit"),
            now=clock.now(),
            npub=NPUB,
            mint_url=URL,
            unit="sat",
            amount=sum(amounts),
            transaction_id=f"tx_deposit_{n}",
        )
        run = engine._run(Draft(DEPOSIT, op, stored=False, actor="test"))
        proofs = tuple(fake_proof(amount, f"{n}-{amount}") for amount in amounts)
        assert engine._driver.take(run, Happened("deposit", Evidence(proofs=proofs)))
        engine._driver.commit(run)


@attrs.define(eq=False)
class Walk:
    """A walk under way: a funded store and a run that stands somewhere in its machine."""

    engine: Engine
    run: Run
    clock: FakeClock
    spec: Machine[Any]
    store: Store

    def evidence_for(self, edge: Transition[Any]) -> Evidence:
        """What the scene of the edge gives; the world around it is as the edge wants it afterwards."""
        evidence = scene_of(self.spec, edge)(self.run, self.clock, edge)
        self.run.asked_from = self.clock.monotonic()  # as the driver says before each action
        return evidence

    def take(self, edge: Transition[Any], evidence: Evidence) -> None:
        """Decide, stage and commit exactly this edge."""
        decision = self.run.decide(edge.event, evidence)
        assert decision.transition == edge.id, (
            f"the scene of edge {edge.id} does not take it: {decision.outcome} {decision.transition} "
            f"{[refusal.code for refusal in decision.refusals]}"
        )
        assert self.engine._driver.take(self.run, Happened(edge.event, evidence))
        self.engine._driver.commit(self.run)

    def along(self, path: list[Transition[Any]]) -> Walk:
        """Take every edge of the path."""
        for edge in path:
            self.take(edge, self.evidence_for(edge))
        return self


def start(
    store: Store,
    spec: Machine[Any],
    path: list[Transition[Any]],
    made: Callable[[Engine], None] = lambda engine: None,
    *,
    apart: bool = True,
) -> Walk:
    """A funded store and an operation that is about to walk ``path``, each edge in a commit of its own; not
    ``apart``: a transition and the one that only reads it back are one commit."""
    clock = FakeClock()
    port: Any = Apart(store) if apart else store
    engine = Engine(port, SimulatedMint(now_ms=clock.now), clock=clock, settings=SETTINGS)
    made(engine)
    fund(engine, clock)
    run = new_run(engine, clock, spec.name, policy_for(path), spec)
    if path and path[0].event == "look_again":
        first = Quote(f"quote-{run.operation.id}", AMOUNT, 0, run.now(), Secret("lnbc1"))
        run.draft.set(quote=first, parent_id="tx_mint_first")
    if is_foreign(path):
        run.draft.set(request=None, payment_hash=None)
    return Walk(engine, run, clock, spec, store)


def holds_claim(path: list[Transition[Any]]) -> bool:
    """Whether a payment or a receive that walked ``path`` holds its claim."""
    held = False
    for edge in path:
        held = (held or not {"take_claim", "park_record", "claim_token"}.isdisjoint(edge.effects)) and {
            "drop_claim",
            "let_token_go",
        }.isdisjoint(edge.effects)
    return held


def leave(walk: Walk, happened: Happened) -> None:
    """Give the driver an event it must not accept, and let it commit what that staged: nothing."""
    run = walk.run
    if run.draft.stored or run.decide(happened.event, happened.evidence).outcome == "absorbed":
        assert not walk.engine._driver.take(run, happened)
    else:
        with pytest.raises(NutstateError):
            walk.engine._driver.take(run, happened)
    walk.engine._driver.commit(run)
    assert not run.draft.dirty
