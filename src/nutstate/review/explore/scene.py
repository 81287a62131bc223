"""Deciding by the real machines, and the small steps that several effects share."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from ...machines.spec import NONE, Decision
from ...machines.step import step
from .facts import Evidence, _taken, holder_of, melt_facts, mint_facts, sources_of, token_facts
from .setting import Plan, Setting
from .world import Coin, Op, Token, World

_STORED = Op._fields.index("over")


class Refused(Exception):
    """An accepted transition of an operation wants from a token what the token's machine refuses."""


@define(eq=False)
class Decider:
    """Asks the machines of a setting, every question once."""

    setting: Setting
    _known: dict[Any, Decision] = field(factory=dict, repr=False)
    _tokens: dict[Any, Decision] = field(factory=dict, repr=False)

    def decide(self, world: World, index: int, event: str, seen: Evidence) -> Decision:
        """What the operation's machine says of an event in this world. Changes nothing."""
        op, plan = world.ops[index], self.setting.plans[index]
        around: Any = None
        if plan.kind == "melt":
            sources = sources_of(world, seen.chosen) if seen.chosen else ()
            held = [world.token(token_id).holder == plan.name for token_id in op.inputs]
            taken = op.state in ("watching", "stuck") and _taken(world, op, seen)
            around = (
                holder_of(self.setting, world, index),
                tuple(t.state for t in sources),
                all(held),
                taken,
            )
        key = (index, event, op[:_STORED], op.judged, seen, around)
        found = self._known.get(key)
        if found is None:
            gather: Any = melt_facts if plan.kind == "melt" else mint_facts
            facts = gather(self.setting, world, index, seen)
            found = step(self.setting.tables.of(plan.kind), op.state, event, facts)
            self._known[key] = found
        return found

    def token(self, token: Token, state: str, event: str, operation: str, extra: dict[str, Any]) -> Decision:
        """What the token's machine says of an event."""
        key = (token, state, event, operation, tuple(extra.items()))
        found = self._tokens.get(key)
        if found is None:
            facts = token_facts(token, operation, extra)
            found = step(self.setting.tables.token, state, event, facts)
            self._tokens[key] = found
        return found


@define(eq=False)
class Scene:
    """A commit being put together: the world as it will be, and what the effects may look at."""

    decider: Decider
    world: World
    index: int
    decision: Decision
    seen: Evidence

    @property
    def plan(self) -> Plan:
        return self.decider.setting.plans[self.index]

    @property
    def op(self) -> Op:
        return self.world.ops[self.index]

    def set(self, **changes: Any) -> None:
        """Change stored fields of the operation."""
        self.world = self.world.with_op(self.index, **changes)

    def begin(self, *windows: str) -> None:
        """Windows that count from now are not over any more."""
        self.set(over=self.op.over - frozenset(windows))

    def change_token(self, token_id: str, event: str, **facts: Any) -> None:
        """Stage a transition of a stored token. :class:`Refused` when its machine says no."""
        self._decide(self.world.token(token_id), self.world.token(token_id), event, facts)

    def split(self, token_id: str, names: tuple[str, ...]) -> tuple[Coin, ...]:
        """Take coins out of a stored token; the caller puts them into another one at once."""
        token = self.world.token(token_id)
        moved = tuple(coin for coin in token.coins if coin[0] in names)
        rest = tuple(coin for coin in token.coins if coin[0] not in names)
        self._decide(token, token._replace(coins=rest), "split", {"moved_count": len(moved)})
        return moved

    def fill(self, token_id: str, coins: tuple[Coin, ...]) -> None:
        """Stage the issue of an awaited token."""
        token = self.world.token(token_id)._replace(coins=coins)
        self._decide(token, token, "issue", {})

    def create(self, event: str, name: str, kind: str, coins: tuple[Coin, ...], holder: str = "") -> None:
        """Stage a new token born by ``event``; only change names its parent."""
        parent = self.plan.name if kind == "change" else ""
        token = Token(self.fresh(name), kind, parent, NONE, holder, coins)
        self._decide(token, token, event, {})

    def fresh(self, name: str) -> str:
        """An id no token has: a second token of the same purpose is stored beside the first, so that the
        invariants can see both (a real store refuses its id)."""
        taken = {token.id for token in self.world.tokens}
        return name if name not in taken else self.fresh(f"{name}_again")

    def _decide(self, described: Token, after: Token, event: str, facts: dict[str, Any]) -> None:
        decision = self.decider.token(described, described.state, event, self.plan.name, facts)
        if not decision.accepted:
            why = ", ".join(refusal.code for refusal in decision.refusals) or decision.outcome
            raise Refused(f"{self.decision.transition} wants {event} of {described.id}, which is "
                          f"{described.state}: {why}")  # fmt: skip
        holder = after.holder
        if "set_reserved_by" in decision.effects:
            holder = self.plan.name
        if "clear_reserved_by" in decision.effects:
            holder = ""
        self.world = self.world.with_token(after._replace(state=decision.next_state, holder=holder))
