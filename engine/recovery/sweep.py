"""One sweep of recovery: pages of open operations, the longest overdue first, for a few threads to drive."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from attrs import define, field

from ...storage.errors import Page, page_of
from ...storage.records import Operation
from ..loop.asking import Heard
from .numbers import RecoveryNumbers, Swept
from .recovery import Recovery

PAGE = 100
"""Operations per read of a sweep, and the most that wait in memory for a thread."""
FAR_FUTURE: Final = 2**62
SILENT_MAX = 3
"""Operations of one mint in a row that a sweep waits for in vain; the others are left for the next sweep."""
_LOOK_UP_S = 0.2  # how long the caller's thread sleeps before it looks whether it shall stop

Progress = Callable[[RecoveryNumbers], None]


@define
class _Mint:
    """The answers of one mint in a sweep."""

    driven: int = 0  # operations at this moment
    silent: int = 0  # operations in a row that got no answer at all
    answered: bool = False

    def has_room(self, most: int) -> bool:
        """Whether one more operation may ask it: a mint that answered nothing yet gets as many questions as
        may be in vain."""
        trusted = self.answered and not self.silent
        return self.driven < (most if trusted else min(most, SILENT_MAX - self.silent))


@define(eq=False)
class Sweep:
    """Drives every open operation that is orphaned or due, and every one that becomes due before ``wait_s``
    is over unless its caller must act (``force``: every one, at once). Each at most once, whatever becomes of
    the others. Memory: a page of operations, what :class:`Swept` keeps, and a number per operation that is
    still open afterwards."""

    recovery: Recovery
    heard: Callable[[str], Heard]
    wait_s: float
    force: bool
    workers: int
    progress: Progress | None = None
    stopping: threading.Event = field(factory=threading.Event)
    swept: Swept = field(factory=Swept)
    _ready: deque[Operation] = field(factory=deque)  # read, and not begun
    _mints: dict[str, _Mint] = field(factory=dict)
    _begun: set[int] = field(factory=set)  # hashes of ids: their next look lies ahead of the cursor
    _elsewhere: list[Operation] = field(factory=list)  # in another worker's hands when they were looked after
    _all_read: bool = False
    _broken: BaseException | None = None
    _changed: threading.Condition = field(factory=threading.Condition)
    _threads: list[threading.Thread] = field(factory=list)
    _halted: bool = False
    _told: RecoveryNumbers | None = None

    def run(self) -> Swept:
        """The result, when the last operation has been looked after. A KeyboardInterrupt, or ``stopping``,
        ends it earlier: what was begun ends its step, and the rest stays for the next sweep."""
        store = self.recovery.store
        self.swept.numbers = RecoveryNumbers(total=store.count_live())
        try:
            self._read_on()
            self._wait_for_threads()
        finally:
            self._halt()
        if self._broken is not None:
            raise self._broken
        self._count_elsewhere()
        return self.swept

    def _count_elsewhere(self) -> None:
        """Every thread has ended: such as a child that its parent's thread has driven meanwhile is counted as
        it is now."""
        for op in self._elsewhere:
            now = self.recovery.store.operation(op.id, op.npub) or op
            self.swept.looked_after(now, self.recovery.word_for(now))
        self._tell()

    # -- the caller's thread ---------------------------------------------------------------------

    def _read_on(self) -> None:
        for page in self._pages():
            for error in page.unreadable:
                self.recovery.driver.log.unreadable(error)
            with self._changed:
                for error in page.unreadable:
                    self.swept.not_read(error.message)
                self._ready.extend(op for op in page.records if self._is_chosen(op))
                self._changed.notify_all()
            self._hire()
            self._tell()
            while not self._is_over() and len(self._ready) >= min(self.workers, PAGE):
                self._watch()
            if self._is_over():
                return

    def _pages(self) -> Iterator[Page[Operation]]:
        """Every operation with a next look. The cursor goes past those that are left."""
        after: tuple[int, str] | None = None
        while True:
            read = partial(self.recovery.store.live_operations, FAR_FUTURE, PAGE, after)
            page = self.recovery.driver.kinds.readable(page_of(read, _place))
            yield page
            if page.size < PAGE:
                return
            after = page.last

    def _is_chosen(self, op: Operation) -> bool:
        """Whether this sweep looks after the operation; if not, it is counted."""
        if hash(op.id) in self._begun:
            return False  # looked after already: its next look moved it on
        waits = self.recovery.driver.kinds.waits_for_caller(op)
        if self.force or self.recovery.due_in(op) <= (0 if waits else self.wait_s):
            self._begun.add(hash(op.id))
            return True
        self.swept.not_due(op, self.recovery.word_for(op))
        return False

    def _hire(self) -> None:
        with self._changed:
            wanted = min(self.workers, len(self._threads) + len(self._ready))
        while len(self._threads) < wanted:
            work = contextvars.copy_context().run  # the log lines of a thread belong to its caller
            thread = threading.Thread(target=work, args=(self._work,), name="nutstate-recover", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                if not self._threads:
                    raise
                self.workers = len(self._threads)
                return
            self._threads.append(thread)

    def _wait_for_threads(self) -> None:
        with self._changed:
            self._all_read = True
            self._changed.notify_all()
        while any(thread.is_alive() for thread in self._threads) and not self._is_over():
            self._watch()
        self._tell()

    def _watch(self) -> None:
        with self._changed:
            before = self.swept.numbers
            if before is self._told:
                self._changed.wait(_LOOK_UP_S)
        self._tell()

    def _tell(self) -> None:
        numbers = self.swept.numbers
        if self.progress is not None and numbers is not self._told:
            self.progress(numbers)
        self._told = numbers

    def _halt(self) -> None:
        """No operation is begun any more; those that are end their step."""
        with self._changed:
            self._halted = True
            self._changed.notify_all()
        if self._ready or any(thread.is_alive() for thread in self._threads):
            self.stopping.set()
        for thread in self._threads:
            thread.join()

    def _is_over(self) -> bool:
        return self._halted or self._broken is not None or self.stopping.is_set()

    # -- the other threads -----------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (op := self._next()) is not None:
                self._look_after(op)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            with self._changed:
                self._broken = self._broken or error
                self._changed.notify_all()

    def _next(self) -> Operation | None:
        """The first operation whose mint has room; None when there is nothing left to do."""
        with self._changed:
            while not self._is_over():
                for op in tuple(self._ready):
                    mint = self._mints.setdefault(op.mint_url, _Mint())
                    quiet = self.recovery.asks_no_mint(op)
                    if not quiet and mint.silent >= SILENT_MAX:
                        self._ready.remove(
                            op
                        )  # due as before: the next sweep begins with what waited longest
                        self.swept.looked_after(op, self.recovery.word_for(op), left=True)
                    elif quiet or mint.has_room(self.recovery.settings.mint_calls_at_once):
                        self._ready.remove(op)
                        mint.driven += 1
                        self._changed.notify_all()
                        return op
                if self._all_read and not self._ready:
                    return None
                self._changed.wait(_LOOK_UP_S)
        return None

    def _look_after(self, op: Operation) -> None:
        before = self.heard(op.mint_url)
        due_in_s = 0 if self.force else self.recovery.due_in(op)
        found, worked, elsewhere = self.recovery.look_after(op, self.wait_s, due_in_s, self.stopping)
        now = self.heard(op.mint_url)
        with self._changed:
            mint = self._mints[op.mint_url]
            mint.driven -= 1
            self._count_silence(op.mint_url, mint, before, now)
            if found.kind_of_state == "final":
                self._begun.discard(hash(op.id))
            elif elsewhere and len(self._elsewhere) < PAGE:  # perhaps in the hands of a thread of ours
                self._elsewhere.append(found)
                self._changed.notify_all()
                return
            self.swept.looked_after(found, self.recovery.word_for(found), failed=not worked)
            self._changed.notify_all()

    def _count_silence(self, mint_url: str, mint: _Mint, before: Heard, now: Heard) -> None:
        """A mint that answers nothing costs a sweep no more than SILENT_MAX waits."""
        if now.answered > before.answered:
            mint.silent, mint.answered = 0, True
        elif now.asked > before.asked:
            mint.silent += 1
            if mint.silent == SILENT_MAX:
                self.recovery.driver.log.note("recover_left_silent_mint", mint_url=mint_url)


def _place(op: Operation) -> tuple[int | None, str]:
    return op.next_check_at, op.id
