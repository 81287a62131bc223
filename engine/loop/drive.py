"""One operation being driven: its draft, its evidence and what its actions may use."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from ...machines import step
from ...machines.send_clock import SendClock
from ...machines.shown import shown
from ...machines.spec import Decision, Machine
from ...storage.port import Store
from ...storage.records import Operation, Proof, Token
from ..cashu.coins.outputs import BadSignature
from ..cashu.input_limits import InputLimits
from ..cashu.keysets import Keysets
from ..cashu.port import Keyset, MeltQuote, MintPort
from ..errors import Refused, refusal_error
from ..ports import Clock
from ..settings import Settings
from .children import Children
from .draft import Draft
from .evidence import Evidence
from .look import Elapsed, Look, ms
from .timing import Spent, timed
from .uptime import Uptime

if TYPE_CHECKING:
    from .kinds import Kind, Kinds


@frozen
class Happened:
    """An action's result: this event, resting on this evidence."""

    event: str
    evidence: Evidence = field(factory=Evidence, repr=False)


@frozen
class Pause:
    """Nothing to decide now. None = until the caller or an operator acts."""

    seconds: float | None


class NotYet(Exception):
    """A read failed while nothing of the operation is stored: the same may be asked again. ``happened`` is
    what it means when there is no time left for that."""

    def __init__(self, happened: Happened) -> None:
        super().__init__(happened.event)
        self.happened = happened


@frozen
class CommitFirst:
    """The action needs everything staged so far to be committed; ask it again afterwards."""


Result = Happened | Pause | CommitFirst


@frozen(eq=False)
class _Decided:
    """The last decision of a drive, and everything that it rests on."""

    asked: tuple[Any, ...]
    draft: Draft
    machine: Machine[Any]
    operation: Operation
    evidence: Evidence
    decision: Decision

    __repr__ = shown

    def rests_on(self, draft: Draft, evidence: Evidence) -> bool:
        """Whether these are the very objects that it was decided about."""
        same = self.draft is draft and self.operation is draft.operation and self.machine is draft.machine
        return same and self.evidence is evidence


@define(eq=False)
class Run:
    """The state of one drive. Actions read it and return a Result; only the driver changes it."""

    kinds: Kinds
    draft: Draft
    store: Store
    mint: MintPort
    keysets: Keysets
    settings: Settings
    clock: Clock
    rng: Callable[[int], bytes] = secrets.token_bytes
    limits: InputLimits = field(factory=InputLimits)
    worker: str = ""
    evidence: Evidence = field(factory=Evidence, repr=False)
    staged: list[tuple[Happened, bool]] = field(factory=list, repr=False)  # and whether it was answered then
    confirmed: bool = False
    quoted: MeltQuote | None = field(default=None, repr=False)  # of this very request, received before
    strict: bool = False  # what was decided holds for this very version only
    sent_here: tuple[int, float] | None = None  # sent_at as stamped by this drive, monotonic
    gone_sender: str | None = None  # of the request, found certainly dead when this drive began
    answered: bool = False  # the action that just ran sent the stored request and has its answer
    kind: Kind[Any] = field(init=False, repr=False)
    asked_from: float = field(init=False)  # monotonic: before the present action asked anything
    loaded_monotonic: float = field(init=False)
    loaded_wall: int = field(init=False)
    idle_polls: int = 0
    uptime: Uptime | None = None
    children: Children | None = field(default=None, repr=False)
    stopping: threading.Event | None = None  # once set, the drive ends where it would wait
    spent: Spent = field(init=False, repr=False)
    _decided: _Decided | None = field(default=None, init=False, repr=False)

    __repr__ = shown

    def __attrs_post_init__(self) -> None:
        self.kind = self.kinds.of(self.draft.operation)
        self.spent = Spent(self.clock)
        self.mint = timed(self.mint, self.spent)
        self.keysets = self.keysets.asking(self.mint)
        self.loaded_monotonic = self.asked_from = self.clock.monotonic()
        self.loaded_wall = self.clock.now()

    @property
    def is_stopping(self) -> bool:
        return self.stopping is not None and self.stopping.is_set()

    @property
    def operation(self) -> Operation:
        return self.draft.operation

    @property
    def data(self) -> Any:
        """The operation's data, as the kind's class."""
        return self.kind.data_of(self.draft.operation)

    def set_data(self, **fields: Any) -> None:
        """Stage other values of these fields of the operation's data. Code INVALID_DATA."""
        self.draft.set(data=self.kind.stored(evolve(self.data, **fields)))

    @property
    def mint_url(self) -> str:
        return self.draft.operation.mint_url

    def now(self) -> int:
        """Epoch ms: the wall clock when the operation was loaded plus what the monotonic clock counted
        since, so that no decision of this drive depends on the wall clock being set."""
        return self._at(self.clock.monotonic())

    def _at(self, monotonic: float) -> int:
        return self.loaded_wall + int((monotonic - self.loaded_monotonic) * 1000)

    def judged_at(self) -> int:
        """Epoch ms before the present action asked anything: a permission that an answer gives because some
        time is over, it permits only if that was so when it was asked for. Answers can be slow."""
        return self._at(self.asked_from)

    def elapsed(self) -> Elapsed:
        """From the last request that was answered or sent to :meth:`judged_at`. If this drive has the
        answer: by the monotonic clock. Else by the wall clock (if that went backwards, since the operation
        was loaded), less the time the request may still be open unless its sender has the answer or is
        certainly gone."""
        return Elapsed(self._send_clock(), self._since_watch())

    def _send_clock(self) -> SendClock:
        op, window = self.operation, ms(self.settings.settle_window_s)
        if self.sent_here is not None and self.sent_here[0] == op.sent_at:
            return SendClock.timed(window, self.asked_from - self.sent_here[1])
        answered = op.sent_by in (None, self.gone_sender)
        return SendClock.stamped(
            window,
            op.sent_at,
            self.judged_at(),
            proven_ms=ms(self.asked_from - self.loaded_monotonic),
            open_ms=0 if answered else ms(self.settings.post_open_max_s),
        )

    def _since_watch(self) -> int | None:
        """The time since the watch for a late payment was last counted. Time that no clock of ours proves
        counts as one part of the watch at most. Negative when the clock was set back."""
        since, uptime = self.kind.watch_since(self.operation), self.uptime
        if since is None:
            return None
        began = uptime or Uptime(self.loaded_wall, self.loaded_monotonic)
        return began.passed(since, self.judged_at(), self.asked_from, self.settings.late_watch_part_ms)

    def reloaded(self, draft: Draft) -> None:
        """Go on from the documents that another worker stored meanwhile. Earlier questions are older than
        these documents, so no time since the first loading counts for a request that was sent after it."""
        self.loaded_wall, self.loaded_monotonic = self.now(), self.clock.monotonic()
        self.draft = draft
        self.staged.clear()

    def keys(self, keyset_id: str) -> Keyset:
        """Keys of a keyset of this operation's unit. Raises MintSilent, or BadSignature for a keyset of
        another unit: its signatures are not worth what they say."""
        keyset = self.keysets.keys(self.mint_url, keyset_id)
        if keyset.unit != self.operation.unit:
            raise BadSignature("signed with a keyset of another unit")
        return keyset

    def decide(self, event: str, evidence: Evidence) -> Decision:
        """The machine's answer to an event now. Changes nothing. The driver takes the event of an action that
        has asked the same before: the answer is the same until the draft, the evidence or the time of asking
        is another."""
        draft = self.draft
        asked = (draft.changes, event, self.asked_from, self.loaded_monotonic, self.sent_here)
        last = self._decided
        if last is not None and last.asked == asked and last.rests_on(draft, evidence):
            return last.decision
        decision = self._decide(event, evidence)
        self._decided = _Decided(asked, draft, draft.machine, draft.operation, evidence, decision)
        return decision

    def _decide(self, event: str, evidence: Evidence) -> Decision:
        facts: Any = self.kind.facts(
            Look(self.kind, self.draft, evidence, self.settings, self.judged_at(), self.elapsed())
        )
        return step(self.draft.machine, self.operation.state, event, facts)

    def refusal(self, decision: Decision, **details: Any) -> Refused:
        """The refused decision as an error, graded by the kind where the code is its own."""
        error = refusal_error(decision.refusals, **details)
        if error.code in self.kind.codes:
            error.severity = self.kind.codes[error.code][0]
        return error

    def input_tokens(self) -> tuple[Token, ...]:
        return tuple(self.draft.token(part.token_id) for part in self.operation.inputs)

    def input_proofs(self) -> tuple[Proof, ...]:
        """The proofs of the inputs that it still holds."""
        left = self.kind.left_inputs(self.draft)
        return tuple(proof for ref in left for proof in self.draft.token(ref.token_id).proofs)

    def jitter(self) -> float:
        """Between 0.5 and 1.5, so that workers do not look at the same moment."""
        return 0.5 + self.rng(1)[0] / 510

    def back_off(self) -> float:
        """Seconds until the next look: doubling from poll_min_s to poll_max_s with jitter, unless the kind
        knows better."""
        low, high = self.settings.poll_min_s, self.settings.poll_max_s
        seconds = min(high, low * 2.0 ** min(self.idle_polls, 20)) * self.jitter()
        return self.kind.pause(self, seconds)
