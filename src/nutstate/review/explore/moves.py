"""The next possible moves in a world: workers, caller, operator, clock, crash, mint and network.

A label says what happened outside, never what the table made of it, so that a script can be replayed
under another table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from . import mint
from .code import Again, Code, Outcome
from .labels import proof
from .ports import REFUSED, SILENT, request_of
from .setting import Setting
from .stored import Stored
from .windows import windows
from .world import FORGOTTEN, Question, Quote, Seen, Worker, World


class Move(NamedTuple):
    """One thing that may happen. ``note`` is what the table made of it; ``broken`` says that it cannot
    be committed at all."""

    label: str
    kind: str
    world: World
    note: str = ""
    broken: str = ""
    edge: str = ""


def start(code: Code, setting: Setting) -> World:
    """The world before anything happened: every token unspent, no operation yet."""
    tokens = tuple(
        code.token(token_id, tuple(proof(n, a) for n, a in coins)) for token_id, coins in setting.tokens
    )
    coins = sorted((name, amount, "UNSPENT") for _, held in setting.tokens for name, amount in held)
    return World(
        ops=tuple(None for _ in setting.plans),
        tokens=tuple(sorted(tokens, key=lambda token: token.id)),
        workers=tuple(Worker() for _ in setting.plans),
        quotes=tuple(Quote() for _ in setting.plans),
        coins=tuple(coins),
        crashes=-1 if setting.crashes is None else setting.crashes,
    )


def moves(code: Code, setting: Setting, world: World) -> Iterator[Move]:
    """Everything that may happen next, in a fixed order."""
    turn = _Turn(code, setting, world)
    for index, op in enumerate(world.ops):
        if op is None:
            yield from turn.asked_for(index)
            continue
        if op.ended:
            yield from turn.first_worker(index, op)
            continue
        yield from turn.caller(index, op)
        yield from turn.worker(index, op)
        if setting.operator and op.declared.kind == "parked":
            yield from turn.operator(index, op)
        yield from turn.clock(index, op)
    for words, kind, after in mint.happens(setting, world):
        yield Move(words, kind, after)
    yield from turn.crash()


class _Turn(NamedTuple):
    """One world, and everything that may happen in it."""

    code: Code
    setting: Setting
    world: World

    # -- workers -----------------------------------------------------------------------------------------

    def worker(self, index: int, op: Stored) -> Iterator[Move]:
        name, now = op.id, self.world.workers[index]
        if not now.up:
            back = self.world.with_worker(index, up=True)
            yield self._event(back, index, f"{name} is found again", "event recover")
            return
        yield from self.first_worker(index, op)
        if op.declared.action is None:
            return
        seen = now.seen or self.code.begun(op, "drive")
        step = self.code.step(self.world, index, seen, now.confirmed)
        if isinstance(step, Outcome):
            words = "goes on" if now.seen is None else "decides"
            if step.said != "pause" or now.seen is not None:
                yield self._decided(self.world, index, f"{name} {words}", step)
        elif isinstance(step, Again):
            yield Move(f"{name} looks again", "engine", self.world.with_worker(index, seen=None))
        elif step.to == "mint":
            yield from self._asks(index, op, seen, step)
        elif now.waiting:
            yield from self._waits(index, op, seen, step)
        else:
            yield self._posts(index, op, seen, step)

    def _asks(self, index: int, op: Stored, seen: Seen, asked: Question) -> Iterator[Move]:
        got = mint.answer(self.setting, self.world, index, asked)
        words = f"{op.id} asks {asked.call}"
        yield self._told(self.world, index, f"{words}: {_words(asked, got)}", seen, asked, got, "answer")
        yield self._told(self.world, index, f"{words}: {SILENT}", seen, asked, SILENT, "useless")
        if asked.call == "keysets":
            yield self._told(self.world, index, f"{words}: none usable", seen, asked, "none", "useless")
        if self.setting.unclear and asked.call == "quote" and not op.paid:
            yield self._told(
                self.world, index, f"{words}: UNKNOWN", seen, asked, ("UNKNOWN", None), "useless"
            )

    def _posts(self, index: int, op: Stored, seen: Seen, asked: Question) -> Move:
        request = request_of(op.id, asked)
        after = self.world._replace(net=tuple(sorted({*self.world.net, request})))
        after = after.with_worker(index, seen=seen, waiting=asked.call)
        action = self.setting.tables.of(op.kind).action_in(op.state)
        ahead = op.declared.write_ahead and action is not None and not action.reads_only
        broken = "" if ahead else f"I6: {request.name} is sent in {op.state}, before that is committed"
        return Move(f"{op.id} posts {asked.call}", "engine", after, "", broken)

    def _waits(self, index: int, op: Stored, seen: Seen, asked: Question) -> Iterator[Move]:
        idle = self.world.with_worker(index, waiting="")
        for words, kind, got in mint.replies(self.setting, self.world, index, asked):
            after = self._turned_down(idle, op.id) if got == REFUSED else idle
            yield self._told(after, index, f"{op.id} gets: {words}", seen, asked, got, kind)
        if self.setting.workers > 1:
            over = self.world.with_worker(index, waiting="", seen=None, stale=seen)
            yield self._event(over, index, f"another worker takes {op.id} over", "event recover", "fault")

    def _turned_down(self, world: World, name: str) -> World:
        """A request that the mint refused is not on its way any more; with ``late`` the mint lies."""
        if self.setting.late:
            return world
        return world._replace(net=tuple(r for r in world.net if (r.op, r.call) != (name, "melt")))

    def first_worker(self, index: int, op: Stored) -> Iterator[Move]:
        """A worker that lost its lease while it waited still puts its answer to the table."""
        stale = self.world.workers[index].stale
        if stale is None:
            return
        fresh = self.world.with_worker(index, stale=None)
        asked = self.code.step(self.world, index, stale)
        if not isinstance(asked, Question):
            yield Move(f"the first worker of {op.id} gives up", "clock", fresh)
            return
        for words, kind, got in mint.replies(self.setting, self.world, index, asked):
            step = self.code.step(self.world, index, stale.told(asked, got))
            label = f"the first worker of {op.id} gets: {words}"
            if isinstance(step, Outcome):
                yield self._decided(fresh, index, label, step, kind)
            else:
                yield Move(label, kind, fresh)  # it would ask on, and finds its lease gone

    def _told(
        self, world: World, index: int, words: str, seen: Seen, asked: Question, got: Any, kind: str
    ) -> Move:
        """A worker has one more answer; unless time may pass in between, it decides at once."""
        seen = seen.told(asked, got)
        after = world.with_worker(index, seen=seen)
        step = self.code.step(after, index, seen, after.workers[index].confirmed)
        if isinstance(step, Outcome) and (not self.setting.slow or step.said == "pause"):
            return self._decided(after, index, words, step, kind)
        return Move(words, kind, after)

    # -- deciding ----------------------------------------------------------------------------------------

    def _event(self, world: World, index: int, words: str, program: str, kind: str = "engine") -> Move:
        op = world.ops[index]
        step = self.code.step(world, index, self.code.begun(op, program)) if op is not None else None
        assert isinstance(step, Outcome)
        return self._decided(world, index, words, step, kind)

    def _accepts(self, index: int, op: Stored, program: str) -> bool:
        step = self.code.step(self.world, index, self.code.begun(op, program))
        return isinstance(step, Outcome) and step.said == "accepted"

    def _decided(self, world: World, index: int, words: str, step: Outcome, kind: str = "engine") -> Move:
        """Commit a decision with all its effects, in one step."""
        if step.broken:
            return Move(words, kind, world, "", step.broken, step.edge)
        if step.said != "accepted" or step.op is None:
            return self._not_taken(world, index, words, step, kind)
        note = f"{step.before} -> {step.after} ({step.edge})"
        twice = [token.id for token in world.tokens if token.id in step.born]
        if twice:
            return Move(
                words, kind, world, note, f"I2: {step.edge} stores a second token {twice[0]}", step.edge
            )
        # a worker that still waits for an answer has lost the race, and the answer with it
        after = world.with_op(index, step.op).with_tokens(step.tokens)
        after = after.with_worker(index, seen=None, waiting="")
        if step.op.ended:
            after = after.with_worker(index, up=True, confirmed=False)
        return Move(words, kind, after, note, "", step.edge)

    def _not_taken(self, world: World, index: int, words: str, step: Outcome, kind: str) -> Move:
        """Nothing is written. An operation that is refused before it holds inputs is turned down."""
        note = f"{step.event} {step.said}" if step.event else ""
        op = world.ops[index]
        if step.said == "undefined":
            return Move(words, kind, world, note, f"I8: the table has no {step.event} in {step.before}")
        idle = world.with_worker(index, seen=None)
        if op is not None and step.said == "refused" and not op.input_ids:
            action = self.setting.tables.of(op.kind).action_in(op.state)
            if op.live and action is not None and action.reads_only:
                idle = idle.with_op(index, None)
                return Move(words, kind, idle, f"{note}: {', '.join(step.codes)}; nothing is stored")
        return Move(words, kind, idle, note)

    # -- people ------------------------------------------------------------------------------------------

    def asked_for(self, index: int) -> Iterator[Move]:
        plan = self.setting.plans[index]
        if plan.kind == "record":
            if plan.held:
                yield self._begins(index, f"hold {plan.name}", "hold", None)
            elif self.world.quotes[index].state == "PAID":
                yield self._begins(index, f"record {plan.name}", "record", None)
            return
        if plan.kind == "swap":
            yield self._begins(index, f"swap {plan.name}", "swap", None)
            return
        if not plan.follows:
            yield self._begins(index, f"request {plan.name}", "event request", None)
            return
        followed = self.world.ops[self.setting.quote_index(index)]
        if followed is not None and followed.state == "expired":
            said = self.world.quotes[self.setting.quote_index(index)].state
            yield self._begins(index, f"look again at {plan.follows}", f"look_again {said}", followed)

    def _begins(self, index: int, words: str, program: str, followed: Stored | None) -> Move:
        seen = self.code.begun(self.code.new(index, followed), program)
        step = self.code.step(self.world, index, seen)
        while isinstance(step, Question):  # what is asked before anything is stored is answered at once
            seen = seen.told(step, mint.answer(self.setting, self.world, index, step))
            step = self.code.step(self.world, index, seen)
        assert isinstance(step, Outcome)
        return self._decided(self.world, index, words, step, "caller")

    def caller(self, index: int, op: Stored) -> Iterator[Move]:
        idle = self.world.with_worker(index, up=True, confirmed=False, seen=None)
        paid = self.world.quotes[index].state == "PAID"
        for event in ("cancel", "unhold") if self.setting.cancels else ():
            if event == "unhold" and paid:
                continue  # the caller tells the truth
            if self._accepts(index, op, f"event {event}"):
                yield self._event(idle, index, f"{event} {op.id}", f"event {event}", "caller")
        if op.kind == "record" and paid and self._accepts(index, op, "record"):
            yield self._event(idle, index, f"record {op.id}", "record", "caller")
        two_step = self.setting.plans[index].two_step and op.declared.waits_for == "confirmation"
        if two_step and not self.world.workers[index].confirmed:
            confirmed = self.world.with_worker(index, confirmed=True, up=True, seen=None)
            yield Move(f"confirm {op.id}", "caller", confirmed)

    def operator(self, index: int, op: Stored) -> Iterator[Move]:
        looks = self.setting.tables.kinds.named(op.kind).operator_looks
        machine = self.setting.tables.of(op.kind)
        for event in machine.events:
            if (
                event.name in looks
                or event.origin != "operator"
                or (op.state, event.name) not in machine.cells
            ):
                continue
            if self._accepts(index, op, f"operator {event.name}"):
                idle = self.world.with_worker(index, seen=None)
                words = f"operator: {event.name} {op.id}"
                yield self._event(idle, index, words, f"operator {event.name}", "operator")
        if self.world.workers[index].seen is None:
            for name in sorted(looks):
                for look, words in self._looks(name) if (op.state, name) in machine.cells else ():
                    looking = self.world.with_worker(index, seen=self.code.begun(op, f"{look} {name}"))
                    yield Move(f"operator: {name} {op.id}{words}", "operator", looking)

    def _looks(self, name: str) -> tuple[tuple[str, str], ...]:
        seen = (("look", ", after a last look"),)
        by_force = self.setting.forces and name == "write_off"
        return (*seen, ("forced", " by force, after a last look")) if by_force else seen

    # -- time and crashes --------------------------------------------------------------------------------

    def clock(self, index: int, op: Stored) -> Iterator[Move]:
        for words, changes in windows(self.setting, self.world, index, op):
            aged = self.code.aged(op, words, changes)
            if aged is op:
                continue
            after = self.world.with_op(index, aged)
            if words == "patience" and op.paid:
                after = after.with_worker(index, aged=True)
            yield Move(f"{words} of {op.id} is over", "clock", after)

    def crash(self) -> Iterator[Move]:
        world = self.world
        if world.crashes == 0:
            return
        workers = []
        for index, op in enumerate(world.ops):
            worker = world.workers[index]._replace(**FORGOTTEN)
            if op is not None and not op.ended and self._accepts(index, op, "event recover"):
                worker = worker._replace(up=False)
            workers.append(worker)
        left = world.crashes - 1 if world.crashes > 0 else -1
        after = world._replace(workers=tuple(workers), crashes=left)
        if after._replace(crashes=world.crashes) != world:
            yield Move("crash", "fault", after)


def _words(asked: Question, got: Any) -> str:
    if asked.call == "inputs":
        return " ".join(f"{name} {state}" for name, state in zip(asked.args, got, strict=True)) or "no proofs"
    if asked.call == "signatures":
        return (
            " ".join(f"{n} {amount}" for n, amount in zip(asked.args, got, strict=True) if amount)
            or "nothing"
        )
    if isinstance(got, tuple):
        return f"{got[0]} with change {got[1][1]}" if got[1] else str(got[0])
    return str(got)
