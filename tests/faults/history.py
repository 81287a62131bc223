"""What a client did: every batch it sent, and what it was told about it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from attrs import define, field

from nutstate.storage.mongo.gateway import GatewayUnknown, Transaction
from nutstate.storage.mongo.store import MongoStore

from .footprint import Footprint

Expected = Literal["ok", "contest", "refusal"]
"""``ok``: no other client touches these documents; ``contest``: others want the same token; ``refusal``:
the batch breaks a unique key."""
Outcome = Literal["open", "acknowledged", "refused", "dead"]
"""``open``: no last word yet; ``dead``: the client was killed before it could tell."""


@define(eq=False)
class Sent:
    """One batch on its way, over all its sendings."""

    mark: Footprint
    expected: Expected
    outcome: Outcome = "open"
    at: float = 0.0  # monotonic, when it ended
    why: str = ""  # the refusal
    answers: list[tuple[float, str]] = field(factory=list)  # every sending: when it ended, and how
    in_doubt: bool = False  # an unknown commit is not resolved yet
    unknown_applied: int = 0
    unknown_not: int = 0
    error: str = ""  # of the last sending
    promised_nothing: bool = False  # told StoreUnavailable, so nothing of it may be there
    promise_broken: bool = False

    @property
    def resolved(self) -> bool:
        """Whether the store has said what became of it."""
        return self.outcome != "open"

    def answered(self, word: str, error: str = "") -> str:
        """One sending ended with this word, and with this error."""
        self.answers.append((time.monotonic(), word))
        self.error = error
        return word

    def was_ever(self, word: str) -> bool:
        """Whether a sending ended so."""
        return any(answer == word for _, answer in self.answers)


@define(eq=False)
class History:
    """All batches of one run, from any number of threads."""

    sent: list[Sent] = field(factory=list)
    _now: threading.local = field(factory=threading.local)
    _lock: threading.Lock = field(factory=threading.Lock)

    def told(self, sent: Sent) -> None:
        """A batch begins or ends; a client that may be killed says so at once."""

    def begin(self, mark: Footprint, expected: Expected) -> Sent:
        """A batch that this thread is about to send."""
        sent = Sent(mark, expected)
        with self._lock:
            self.sent.append(sent)
        self._now.sent = sent
        self.told(sent)
        return sent

    def end(self, sent: Sent, outcome: Outcome, why: str = "") -> None:
        """The store gave its last word."""
        sent.outcome, sent.why, sent.at = outcome, why, time.monotonic()
        self.told(sent)

    @property
    def of_this_thread(self) -> Sent | None:
        """What this thread is sending."""
        sent: Sent | None = getattr(self._now, "sent", None)
        return sent

    def acknowledged(self) -> int:
        """How many batches were acknowledged until now."""
        with self._lock:
            return sum(sent.outcome == "acknowledged" for sent in self.sent)

    def still_open(self) -> str:
        """The batches that wait for their last word, each with its last answers and error."""
        with self._lock:
            waiting = [sent for sent in self.sent if not sent.resolved]
        lines = [
            f"{sent.mark.batch}: {len(sent.answers)} answers, last {[word for _, word in sent.answers[-5:]]} "
            f"{sent.error}"
            for sent in waiting
        ]
        return "; ".join(lines) or "no batch is on its way"

    def longest_gap_s(self) -> float:
        """The longest time without an acknowledgement between the first and the last one."""
        times = sorted(sent.at for sent in self.sent if sent.outcome == "acknowledged")
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)


class WatchedGateway:
    """Passes everything on to the gateway of a store and notes how unknown commits turned out: the
    store resolves most of them itself, by sending again."""

    def __init__(self, gateway: Any, history: History) -> None:
        self._gateway = gateway
        self._history = history

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        """As :meth:`nutstate.storage.mongo.gateway.Gateway.transaction`."""
        sent = self._history.of_this_thread
        try:
            self._gateway.transaction(work)
        except GatewayUnknown:
            if sent is not None:
                sent.in_doubt = True
            raise
        if sent is not None and sent.in_doubt:
            sent.in_doubt, sent.unknown_not = False, sent.unknown_not + 1

    def holds_for_good(self, audit_id: str, batch_id: str, npub: str) -> bool:
        """As :meth:`nutstate.storage.mongo.gateway.Gateway.holds_for_good`."""
        held = bool(self._gateway.holds_for_good(audit_id, batch_id, npub))
        sent = self._history.of_this_thread
        if sent is None or audit_id not in sent.mark.audit:
            return held
        if sent.in_doubt:
            sent.in_doubt = False
            sent.unknown_applied += held
            sent.unknown_not += not held
        elif held and sent.promised_nothing:
            sent.promise_broken = True
        return held


def watch(store: MongoStore, history: History) -> None:
    """From now on ``history`` learns how unknown commits of ``store`` turn out."""
    gateway: Any = WatchedGateway(store._gateway, history)
    store._gateway = gateway
