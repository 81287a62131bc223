"""What a program of the model may look at, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .facts import NOTHING, Evidence
from .scene import Decider
from .setting import Plan
from .world import Answers, Op, World

SILENT = "no answer"
"""A question the mint did not answer, for whatever reason."""


class Ask(NamedTuple):
    """A question to the mint that changes nothing: quote, inputs, fences, change, outputs."""

    what: str


class Post(NamedTuple):
    """A stored request is sent: melt, fence or mint."""

    kind: str


class Happened(NamedTuple):
    """An event, resting on this evidence."""

    event: str
    seen: Evidence = NOTHING


Step = Ask | Post | Happened | None
"""What comes next; None: the program waits, or the operator is refused."""


class View(NamedTuple):
    """What a program may look at."""

    decider: Decider
    world: World
    at: int

    @property
    def op(self) -> Op:
        return self.world.ops[self.at]

    @property
    def plan(self) -> Plan:
        return self.decider.setting.plans[self.at]

    def accepts(self, event: str, seen: Evidence = NOTHING) -> bool:
        """Whether the machine would take the event."""
        return self.decider.decide(self.world, self.at, event, seen).accepted


Program = Callable[[View, Answers], Step]

REFUSED = "refused by the mint"
"""The mint's own clear refusal of a payment request: it is not executed, and never will be."""
