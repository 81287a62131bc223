"""The view of a kind when it gathers its facts: the draft, the evidence in hand and the clock."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from ...machines.send_clock import SendClock
from ...storage.records import Operation
from ..settings import Settings
from .draft import Draft
from .evidence import Evidence
from .own_data import OwnData


@frozen
class Elapsed:
    """Time since the last request, and of the watch for a late payment since it was last counted, as
    :meth:`Run.elapsed` counts them."""

    send_clock: SendClock = field(factory=SendClock)
    since_watch_ms: int | None = None


@frozen
class Look:
    """One look at an operation. ``now`` is epoch ms: the moment before anything was asked (see
    :meth:`Run.judged_at`)."""

    kind: OwnData
    draft: Draft
    evidence: Evidence
    settings: Settings
    now: int
    elapsed: Elapsed

    @property
    def operation(self) -> Operation:
        """The operation as staged."""
        return self.draft.operation

    @property
    def data(self) -> Any:
        """The operation's data, as the kind's class."""
        return self.kind.data_of(self.draft.operation)

    @property
    def own(self) -> Any:
        """The evidence of a kind's own event; None for an event without one."""
        return self.evidence.own


def ms(value: float, unit: int = 1000) -> int:
    """Milliseconds, from seconds (or from hours with ``unit`` 3,600,000)."""
    return int(value * unit)
