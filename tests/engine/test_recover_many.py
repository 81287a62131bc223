"""Recovery of thousands of open operations: all of them, once each, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, NutstateError, Settings, SimulatedMint, Store, open_store
from nutstate.engine.recovery import numbers
from nutstate.engine.recovery.numbers import KEPT_MAX, RecoveryNumbers
from nutstate.engine.recovery.recovery import Recovery
from nutstate.engine.recovery.sweep import PAGE, SILENT_MAX
from nutstate.storage.port import OperationQuery
from nutstate.storage.records import Operation

from ..support.clock import FakeClock
from ..support.open_operations import Watched, begun, recovering
from ..support.wallet import NPUB, QUICK, funded

pytestmark = pytest.mark.every_store

THOUSANDS = 2_000


def some(store: Store) -> int:
    """How many operations a test takes: mongomock reads all of its documents in each query."""
    scheme = store.url.partition(":")[0]
    return {"memory": 2 * PAGE + 50, "mongodb": THOUSANDS // 2}.get(scheme, THOUSANDS)


def quoted(store: Store, number: int, mint: SimulatedMint, clock: Any = None) -> list[str]:
    """Fundings whose invoice waits for its payment; the mint must be asked about each."""
    mint.auto_pay = False
    more = {} if clock is None else {"clock": clock}
    engine = Engine(store, mint, settings=QUICK, **more)
    handles = [engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=8, wait_s=0) for _ in range(number)]
    return [str(handle.record.quote.id) for handle in handles if handle.record.quote is not None]


@pytest.mark.parametrize("workers", [1, 3])
def test_thousands_are_ended_in_bounded_memory(store: Store, workers: int) -> None:
    """R572, R573: a page of operations, and what the result keeps, is in memory at any time; every operation
    has ended and its trail holds."""
    number = some(store) // (1 if workers > 1 else 4)
    for batch in begun(number):
        store.commit(batch)
    watched = Watched(store)
    told: list[RecoveryNumbers] = []
    engine = Engine(watched, SimulatedMint(), settings=QUICK, clock=FakeClock())
    found = engine.recover(workers=workers, progress=told.append)
    assert found.numbers == RecoveryNumbers(total=number, gone_over=number, looked_after=number, ended=number)
    assert store.count_live() == 0 and len(found) == min(number, KEPT_MAX)
    assert {each.state for each in store.count_operations()} == {"cancelled"}
    assert watched.peak <= PAGE + KEPT_MAX + 8 * workers
    assert set(watched.taken.values()) == {1} and len(watched.taken) == number
    assert told[-1] == found.numbers and all(a.gone_over <= b.gone_over for a, b in pairwise(told))
    assert engine.verify_audit().holds


def test_failures_at_the_front_starve_no_other(store: Store) -> None:
    """R574: pages of operations that fail come first; the others are ended all the same, and the result names
    those that failed."""
    number = PAGE + 20 if store.url.startswith("memory") else 3 * PAGE
    for prefix, at in (("tx-fails", 1), ("tx-good", 10_000)):
        for batch in begun(number, prefix, due_at=at):
            store.commit(batch)
    watched = Watched(store, refuse=("tx-fails",))
    engine = Engine(watched, SimulatedMint(), settings=QUICK, clock=FakeClock())
    found = engine.recover(workers=2)
    assert (found.numbers.ended, found.numbers.failed, found.numbers.open) == (number, number, number)
    assert len(found.failed_ids) == number and all(name.startswith("tx-fails") for name in found.failed_ids)
    assert set(found.open_ids) == set(found.failed_ids) and found.parked_ids == ()


@pytest.mark.parametrize("given", [0, 1])
def test_r607_a_system_without_threads_ends_no_sweep_half_way(
    store: Store, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R607: the sweep goes on with the threads that it got. Without one it tells the system's error, and
    nothing was begun."""
    for batch in begun(20):
        store.commit(batch)
    engine, start = Engine(store, SimulatedMint(), settings=QUICK, clock=FakeClock()), threading.Thread.start
    left = [given]

    def scarce(thread: threading.Thread) -> None:
        if thread.name == "nutstate-recover":
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    if given:
        assert engine.recover(workers=3).numbers.ended == 20
    else:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            engine.recover(workers=3)
        assert store.count_live() == 20


def test_r609_what_another_thread_ends_meanwhile_is_counted_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R609: such as a child melt that the thread of its parent drives."""
    for batch in begun(3):
        store.commit(batch)
    real = Recovery.resume

    def of_another(self: Recovery, op: Operation, *args: Any, **more: Any) -> tuple[Operation, bool]:
        real(self, op, *args, **more)
        return op, False  # as it was while the other thread had it

    monkeypatch.setattr(Recovery, "resume", of_another)
    engine = Engine(store, SimulatedMint(), settings=QUICK, clock=FakeClock())
    found = engine.recover()
    assert found.numbers == RecoveryNumbers(total=3, gone_over=3, looked_after=3, ended=3)
    assert (
        not found.open_ids
        and [op.kind_of_state for op in store.operations(OperationQuery())] == ["final"] * 3
    )


def test_a_silent_mint_at_the_front_starves_no_other(store: Store) -> None:
    """R574, R201: its operations are left for the next sweep, the cursor goes past them."""
    clock = FakeClock()
    quoted(store, 2 * SILENT_MAX, SimulatedMint("https://dead.example", now_ms=clock.now), clock)
    for batch in begun(PAGE, due_at=clock.now() + 10_000_000):
        store.commit(batch)
    clock.advance(3600 * 24)
    engine = Engine(store, SimulatedMint(now_ms=clock.now), settings=QUICK, clock=clock)
    found = engine.recover(workers=2).numbers
    assert (found.ended, found.left, found.failed) == (PAGE, SILENT_MAX, 0)


def test_each_is_asked_once_also_with_force(store: Store) -> None:
    """R572: an unpaid invoice is looked at later again, which moves it on in the order of the sweep; the
    sweep meets it again and leaves it."""
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now)
    names = quoted(store, PAGE + 20, mint, clock)
    asked: Counter[str] = Counter()
    real = mint.mint_quote_state

    def ask(url: str, name: str) -> Any:
        asked[name] += 1
        return real(url, name)

    mint.mint_quote_state = ask  # type: ignore[method-assign, assignment]
    found = Engine(store, mint, settings=QUICK, clock=clock).recover(force=True).numbers
    assert asked == Counter(names)
    assert (found.looked_after, found.open, found.total) == (len(names), len(names), len(names))


def test_what_is_not_due_is_counted_and_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R573: a bounded number of ids and operations, and the time of the next look."""
    monkeypatch.setattr(numbers, "NAMED_MAX", 30)
    monkeypatch.setattr(numbers, "KEPT_MAX", 10)
    clock = FakeClock()
    later = clock.now() + 60_000
    for batch in begun(PAGE + 5, due_at=later):
        store.commit(batch)
    found = Engine(store, SimulatedMint(), settings=QUICK, clock=clock).recover()
    assert len(found) == 0 and found.numbers.not_due == found.numbers.open == PAGE + 5
    assert (len(found.open_ids), len(found.others), found.first_due_at) == (30, 10, later)


class Busy:
    """A mint port that knows how many of its calls are under way. The first waits for a second one."""

    def __init__(self, mint: SimulatedMint, meets: bool) -> None:
        self._inner, self.now, self.most = mint, 0, 0
        self._lock, self._two = threading.Lock(), threading.Event()
        if not meets:
            self._two.set()

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name != "mint_quote_state":
            return there

        def call(*args: Any) -> Any:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
                if self.now > 1:
                    self._two.set()
            assert self._two.wait(30), "no second call came"
            try:
                return there(*args)
            finally:
                with self._lock:
                    self.now -= 1

        return call


@pytest.mark.parametrize("most", [1, 2])
def test_a_mint_gets_a_bounded_number_of_calls(store: Store, most: int) -> None:
    """R575: eight workers, but no more calls of one mint at once than the setting says."""
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now)
    quoted(store, 30, mint, clock)
    busy = Busy(mint, meets=most > 1)
    settings = Settings(mint_calls_at_once=most)
    found = Engine(store, busy, settings=settings, clock=clock).recover(force=True, workers=8)
    assert found.numbers.looked_after == 30 and busy.most == most


def test_it_stops_in_order(store: Store) -> None:
    """R576: after the signal no operation is begun; those that were begun end their step and give their lease
    up, and the next sweep ends the rest."""
    number = some(store) // 4
    for batch in begun(number):
        store.commit(batch)
    stopping = threading.Event()

    def told(so_far: RecoveryNumbers) -> None:
        if so_far.ended >= 20:
            stopping.set()

    engine = Engine(store, SimulatedMint(), settings=QUICK, clock=FakeClock())
    found = engine.recover(workers=3, progress=told, stopping=stopping)
    left = store.live_operations(2**62, THOUSANDS)
    assert 20 <= found.numbers.ended < number
    assert found.numbers.ended + len(left) == number
    assert all(op.lease is None and op.state == "requested" for op in left)
    assert engine.recover(workers=3).numbers.ended == len(left)


def test_a_wait_ends_when_it_stops(store: Store) -> None:
    """R576: a worker that waits for a mint's better answer gives its operation up within half a second of its
    clock."""
    engine, mint, clock = funded(store, amount=0)
    quoted(store, 1, mint, clock)
    stopping = threading.Event()
    real = clock.sleep

    def sleep(seconds: float) -> None:
        stopping.set()
        real(seconds)

    clock.sleep = sleep  # type: ignore[method-assign]
    began = clock.now()
    engine.recover(force=True, wait_s=3600, stopping=stopping)
    (left,) = store.live_operations(2**62, 9)
    assert clock.now() - began <= 500 and left.lease is None


def test_ctrl_c_in_the_callers_thread(store: Store) -> None:
    """R576: it is raised when the operations that were begun have ended their step."""
    for batch in begun(PAGE):
        store.commit(batch)

    def told(so_far: RecoveryNumbers) -> None:
        if so_far.ended:
            raise KeyboardInterrupt

    engine = Engine(store, SimulatedMint(), settings=QUICK, clock=FakeClock())
    with pytest.raises(KeyboardInterrupt):
        engine.recover(workers=2, progress=told)
    assert not [each for each in threading.enumerate() if each.name == "nutstate-recover"]
    assert all(op.lease is None for op in store.live_operations(2**62, PAGE))


@pytest.mark.parametrize("workers", [0, 65, -1, "2", None, 1.5, True])
def test_the_number_of_workers_is_bounded(store: Store, workers: Any) -> None:
    """R575"""
    engine = Engine(store, SimulatedMint(), settings=QUICK, clock=FakeClock())
    with pytest.raises(NutstateError) as raised:
        engine.recover(workers=workers)
    assert raised.value.code == "INVALID_LIMIT"


# -- with real processes ---------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.real_mongo)])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that processes can share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wallet.db"
    url: Callable[[], str] = request.getfixturevalue("mongo_urls")
    return url()


def test_two_processes_share_the_work(shared_url: str, tmp_path: Path) -> None:
    """R577: every operation is ended, the mint is asked about each once, and both processes do a part."""
    with open_store(shared_url) as store, SimulatedMint(path=tmp_path / "mint.db") as mint:
        names = quoted(store, 60, mint)
        for name in names:
            mint.pay_mint_quote(name)
        log = tmp_path / "asked"
        both = [recovering(shared_url, tmp_path / "mint.db", log, 2) for _ in range(2)]
        for process in both:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [int(process.communicate(timeout=120)[0]) for process in both]
        asked = Counter(log.read_text().split())
        states = {each.state: each.number for each in store.count_operations()}
    assert states == {"issued": 60} and asked == Counter(names) and sum(ended) >= 60


def test_a_kill_in_between_loses_nothing(shared_url: str, tmp_path: Path) -> None:
    """R578: a process is killed in the middle of its sweep; the next one ends the rest."""
    number = THOUSANDS // 4
    with open_store(shared_url) as store:
        for batch in begun(number):
            store.commit(batch)
        with recovering(shared_url, tmp_path / "mint.db", tmp_path / "asked", 2) as process:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            while store.count_live() > number - 50:
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
        left, ended = store.count_live(), 0
        engine = Engine(store, SimulatedMint(), settings=QUICK)
        while store.count_live():  # a server keeps a dead client's transaction for a while, and its locks
            ended += engine.recover(workers=2).numbers.ended
        assert 0 < left < number and ended == left
        assert {each.state: each.number for each in store.count_operations()} == {"cancelled": number}
        assert engine.verify_audit().holds
