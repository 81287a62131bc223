"""What may happen next in a world: workers, caller, operator, clock, crash, mint and network.

A label says what happened outside, never what the table made of it, so that a script can be replayed
under another table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...machines.spec import Decision
from . import mint
from .effects import APART, EFFECTS, commit
from .facts import NOTHING, Evidence
from .operators import OPERATORS
from .programs import PROGRAMS, SENDS, selection
from .scene import Decider, Refused
from .setting import Setting
from .view import REFUSED, SILENT, Ask, Happened, Post, Program, Step, View
from .windows import windows
from .world import FORGOTTEN, Answers, Look, Op, Request, World


class Move(NamedTuple):
    """One thing that may happen. ``note`` is what the table made of it; ``broken`` says that it cannot
    be committed at all."""

    label: str
    kind: str
    world: World
    note: str = ""
    broken: str = ""
    edge: str = ""


def check_words(setting: Setting) -> None:
    """ValueError for machines that name an action or an effect the model does not know."""
    for machine in (setting.tables.melt, setting.tables.mint):
        for state in machine.states:
            if (
                state.action is not None
                and state.action not in PROGRAMS
                and state.action not in APART_ACTIONS
            ):
                raise ValueError(f"{machine.name}: the model has no action {state.action!r}")
        for edge in machine.transitions:
            for effect in edge.effects:
                if effect not in EFFECTS and effect not in APART:
                    raise ValueError(f"{machine.name}: the model has no effect {effect!r} (edge {edge.id})")


def moves(decider: Decider, world: World) -> Iterator[Move]:
    """Everything that may happen next, in a fixed order."""
    setting = decider.setting
    for index, plan in enumerate(setting.plans):
        op = world.ops[index]
        state = setting.tables.of(plan.kind).state(op.state)
        if state.kind == "final":
            yield from _first_worker(decider, world, index)
            continue
        yield from _caller(decider, world, index)
        if state.kind == "pseudo":
            continue
        yield from _worker(decider, world, index)
        if setting.operator and state.kind == "parked":
            yield from _operator(decider, world, index)
        yield from _clock(decider, world, index)
    for label, kind, after in mint.happens(setting, world):
        yield Move(label, kind, after)
    yield from _crash(decider, world)


APART_ACTIONS = frozenset({"run_child"})
"""Actions of states that no move of the model leads to."""


# -- workers ---------------------------------------------------------------------------------------------


def _worker(decider: Decider, world: World, index: int) -> Iterator[Move]:
    plan, op = decider.setting.plans[index], world.ops[index]
    name = plan.name
    if not op.up:
        yield _decided(decider, world.with_op(index, up=True), index, f"{name} is found again", "recover")
        return
    yield from _first_worker(decider, world, index)
    if op.program == "staged":
        yield _committed_late(decider, world, index)
        return
    if op.waiting:
        yield from _waiting(decider, world, index)
        return
    program = _program(decider, world, index)
    step = program(View(decider, world, index), op.seen[1:]) if program else None
    if isinstance(step, Happened):
        words = "decides" if len(op.seen) > 1 else "goes on"
        step = _aged(decider, world, index, step)
        yield _decided(decider, world, index, f"{name} {words}", step.event, step.seen)
    elif step is None and (old := _old(decider, world, index)):
        yield _decided(decider, world, index, f"{name} waits too long", old.event, old.seen)
    elif isinstance(step, Post):
        sent = _sent(world, index, name, step.kind)
        yield Move(
            f"{name} posts {step.kind}", "engine", sent.with_op(index, waiting=step.kind, seen=_open(op))
        )
    elif isinstance(step, Ask):
        chosen = () if op.request else selection(View(decider, world, index))
        got = mint.answer(decider.setting, world, index, step.what, chosen)
        yield _told(decider, world, index, f"{name} asks {step.what}: {_words(got)}", got, "answer")
        yield _told(decider, world, index, f"{name} asks {step.what}: {SILENT}", SILENT, "useless")
        if step.what == "keysets" and decider.setting.closes:
            yield _told(decider, world, index, f"{name} asks {step.what}: none usable", "none", "useless")
        if _may_be_unclear(decider.setting, step.what, op.payment):
            yield _told(
                decider, world, index, f"{name} asks {step.what}: UNKNOWN", ("UNKNOWN", -1), "useless"
            )


def _may_be_unclear(setting: Setting, what: str, paid: bool) -> bool:
    """Whether the mint may name an unknown state."""
    return setting.unclear and what == "quote" and not paid


def _first_worker(decider: Decider, world: World, index: int) -> Iterator[Move]:
    """A worker that lost its lease while it waited still puts its answer to the table."""
    if not world.ops[index].stale:
        return
    name = decider.setting.plans[index].name
    fresh = world.with_op(index, stale=False)
    for words, kind, got in mint.replies(decider.setting, world, index, "melt"):
        event, seen = _late_answer(got)
        yield _decided(decider, fresh, index, f"the first worker of {name} gets: {words}", event, seen, kind)


def _open(op: Op) -> Answers:
    return op.seen or (Look(over=op.over),)


def _program(decider: Decider, world: World, index: int) -> Program | None:
    plan, op = decider.setting.plans[index], world.ops[index]
    if op.program:
        return OPERATORS[plan.kind][op.program]
    action = decider.setting.tables.of(plan.kind).state(op.state).action
    return None if action is None else PROGRAMS[action]


def _late_answer(got: Any) -> tuple[str, Evidence]:
    if got == REFUSED:
        return "mint_refused", Evidence(refused=True)
    if isinstance(got, str):
        return got, Evidence()
    event = {"PAID": "mint_paid", "PENDING": "mint_pending", "UNPAID": "mint_unpaid"}[got[0]]
    return event, Evidence(quote=got[0], change=got[1])


def _waiting(decider: Decider, world: World, index: int) -> Iterator[Move]:
    plan, op = decider.setting.plans[index], world.ops[index]
    idle = world.with_op(index, waiting="")
    for words, kind, got in mint.replies(decider.setting, world, index, op.waiting):
        after = _turned_down(decider.setting, idle, plan.name) if got == REFUSED else idle
        yield _told(decider, after, index, f"{plan.name} gets: {words}", got, kind)
    if decider.setting.workers > 1:
        over = world.with_op(index, waiting="", seen=(), stale=op.waiting == "melt")
        yield _decided(
            decider, over, index, f"another worker takes {plan.name} over", "recover", kind="fault"
        )


def _turned_down(setting: Setting, world: World, name: str) -> World:
    """A request that the mint refused is not on its way any more; with ``late`` the mint lies about that."""
    if setting.late:
        return world
    return world._replace(net=tuple(r for r in world.net if (r.op, r.kind) != (name, "melt")))


def _told(decider: Decider, world: World, index: int, label: str, got: Any, kind: str) -> Move:
    """A worker has one more answer; unless time may pass in between, it decides at once."""
    op = world.ops[index]
    seen = (*_open(op), got)
    after = world.with_op(index, seen=seen)
    program = _program(decider, after, index)
    step: Step = program(View(decider, after, index), seen[1:]) if program else None
    if step is None and not op.program:
        step = _old(decider, after, index)
    if step is None:
        return Move(label, kind, world.with_op(index, seen=()))
    if isinstance(step, Happened) and not op.program:
        step = _aged(decider, after, index, step)
    if isinstance(step, Happened) and not decider.setting.slow:
        return _decided(decider, after, index, label, step.event, step.seen, kind)
    return Move(label, kind, after)


def _aged(decider: Decider, world: World, index: int, step: Happened) -> Happened:
    """As the driver has it: too old in place of what neither ends the wait nor leads to another one."""
    table = decider.setting.tables.of(decider.setting.plans[index].kind)
    waits = table.state(world.ops[index].state).patience
    decision = decider.decide(world, index, step.event, step.seen)
    if decision.accepted and table.state(decision.next_state).patience != waits:
        return step
    return _old(decider, world, index) or step


def _old(decider: Decider, world: World, index: int) -> Happened | None:
    table = decider.setting.tables.of(decider.setting.plans[index].kind)
    if not table.state(world.ops[index].state).patience:
        return None
    return Happened("too_old") if decider.decide(world, index, "too_old", NOTHING).accepted else None


def _decided(
    decider: Decider,
    world: World,
    index: int,
    label: str,
    event: str,
    seen: Evidence = NOTHING,
    kind: str = "engine",
) -> Move:
    """The event is put to the table and, if it is accepted, committed with all its effects."""
    decision = decider.decide(world, index, event, seen)
    if not decision.accepted:
        return _not_taken(decider, world, index, label, kind, decision)
    edge = decision.transition or ""
    note = f"{decision.state} -> {decision.next_state} ({edge})"
    try:
        after = commit(decider, world, index, decision, seen)
    except Refused as refused:
        return Move(label, kind, world, note, f"I8: {refused}", edge)
    setting = decider.setting
    plan, op = setting.plans[index], world.ops[index]
    state = setting.tables.of(plan.kind).state(decision.next_state)
    sends = SENDS.get(state.action or "")
    if sends and not state.write_ahead:
        # nothing says that the commit comes first, so the request may leave before it
        sent = _sent(after, index, plan.name, sends)
        staged = (Look("staged", op.judged), event, seen)
        early = world._replace(net=sent.net).with_op(index, seen=staged)
        return Move(label, kind, early, f"{note}, sent before it is committed", "", edge)
    return Move(label, kind, settled(setting, after, index), note, "", edge)


def _not_taken(decider: Decider, world: World, index: int, label: str, kind: str, decision: Decision) -> Move:
    """Nothing is written. A request that is refused before anything was stored is turned down as a whole."""
    note = f"{decision.event} {decision.outcome}"
    if decision.outcome == "undefined":
        return Move(
            label, kind, world, note, f"I8: {decision.machine} has no {decision.event} in {decision.state}"
        )
    plan = decider.setting.plans[index]
    action = decider.setting.tables.of(plan.kind).state(decision.state).action
    if decision.outcome == "refused" and action in ("ask_quote", "choose_inputs"):
        codes = ", ".join(refusal.code for refusal in decision.refusals)
        return Move(
            label, kind, world.with_op(index, **Op()._asdict()), f"{note}: {codes}; nothing is stored"
        )
    return Move(label, kind, world.with_op(index, seen=()), note)


def settled(setting: Setting, world: World, index: int) -> World:
    """The same world without what an operation that has ended does not ask any more, so that worlds that
    differ in nothing else are one."""
    kind = setting.tables.of(setting.plans[index].kind).state(world.ops[index].state).kind
    if kind != "final":
        return world
    kept = world.ops[index].over & {"quote", "watch"}
    forgotten = {**FORGOTTEN, "stale": world.ops[index].stale, "declined": False, "paid": False}
    return world.with_op(index, over=kept, tries=0, empty=False, up=True, **forgotten)


def _committed_late(decider: Decider, world: World, index: int) -> Move:
    plan, op = decider.setting.plans[index], world.ops[index]
    _, event, seen = op.seen
    decision = decider.decide(world, index, event, seen)
    label = f"{plan.name} commits"
    try:
        after = commit(decider, world, index, decision, seen)
    except Refused as refused:
        return Move(label, "engine", world, "", f"I8: {refused}")
    state = decider.setting.tables.of(plan.kind).state(decision.next_state)
    return Move(
        label,
        "engine",
        after.with_op(index, waiting=SENDS[str(state.action)], seen=(Look(over=op.over),)),
        decision.next_state,
    )


def _sent(world: World, index: int, name: str, kind: str) -> World:
    op = world.ops[index]
    generations = {"fence": op.fences, "mint": op.outputs}.get(kind, ())
    epoch = generations[-1] if generations else 0
    coins = op.newest_part if kind == "fence" else op.request
    request = Request(name, kind, len(generations), coins, op.blanks, epoch)
    return world._replace(net=tuple(sorted({*world.net, request})))


def _words(got: Any) -> str:
    if got == ():
        return "no proofs"
    if isinstance(got, tuple) and got and isinstance(got[0], tuple):
        return " ".join(f"{name} {state}" for name, state in got)
    if isinstance(got, tuple):
        return f"{got[0]} with change {got[1]}" if got[1] else str(got[0])
    return str(got) if got != 0 else "nothing"  # a restore that found none of our outputs


# -- people ----------------------------------------------------------------------------------------------


def _caller(decider: Decider, world: World, index: int) -> Iterator[Move]:
    plan, op = decider.setting.plans[index], world.ops[index]
    if op.state == "none" and plan.follows:
        followed = decider.setting.quote_index(index)
        if world.ops[followed].state == "expired":
            seen = Evidence(quote=world.quotes[followed].state)
            yield _decided(
                decider, world, index, f"look again at {plan.follows}", "look_again", seen, "caller"
            )
        return
    if op.state == "none":
        yield _decided(decider, world, index, f"request {plan.name}", "request", kind="caller")
        return
    idle = world.with_op(index, up=True, confirmed=False, seen=())
    if decider.setting.cancels and decider.decide(idle, index, "cancel", Evidence()).accepted:
        yield _decided(decider, idle, index, f"cancel {plan.name}", "cancel", kind="caller")
    if plan.two_step and op.state == "prepared" and not op.confirmed:
        yield Move(f"confirm {plan.name}", "caller", world.with_op(index, confirmed=True, up=True, seen=()))


def _operator(decider: Decider, world: World, index: int) -> Iterator[Move]:
    plan, op = decider.setting.plans[index], world.ops[index]
    reason = Evidence(operator=True)
    for event in ("resume", "resolve"):
        idle = world.with_op(index, seen=())
        if decider.decide(idle, index, event, reason).accepted:
            yield _decided(decider, idle, index, f"operator: {event} {plan.name}", event, reason, "operator")
    if op.state in ("attention", "stuck") and not op.seen:
        for name in OPERATORS[plan.kind] if op.state == "attention" else ("write_off",):
            looking = world.with_op(index, seen=(Look(name, op.over),))
            yield Move(f"operator: {name} {plan.name}, after a last look", "operator", looking)


# -- time and crashes ------------------------------------------------------------------------------------


def _clock(decider: Decider, world: World, index: int) -> Iterator[Move]:
    plan, op = decider.setting.plans[index], world.ops[index]
    for window, begun, words in windows(decider, world, index):
        if begun and window not in op.over:
            after = world.with_op(index, over=op.over | {window})
            yield Move(f"{words} of {plan.name} is over", "clock", after)


def _crash(decider: Decider, world: World) -> Iterator[Move]:
    if world.crashes == 0:
        return
    ops = []
    for index, plan in enumerate(decider.setting.plans):
        op = world.ops[index]._replace(**FORGOTTEN)
        kind = decider.setting.tables.of(plan.kind).state(op.state).kind
        if kind in ("live", "parked") and decider.decide(world, index, "recover", Evidence()).accepted:
            op = op._replace(up=False)
        ops.append(op)
    left = world.crashes - 1 if world.crashes > 0 else -1
    after = world._replace(ops=tuple(ops), crashes=left)
    if after._replace(crashes=world.crashes) != world:
        yield Move("crash", "fault", after)
