"""The engine works on a real replica set while its servers die. Afterwards the books are right."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from attrs import define, field

from nutstate import Engine, Handle, MintError, Refused, Settings, SimulatedMint, StorageError, open_store
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import Budget
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Proof
from tests.faults import scenarios as faults
from tests.faults.ledger import Verdict
from tests.faults.load import PATIENCE_S, Watcher, mongo_store, wait_until
from tests.support import invariants
from tests.support.crash import open_states
from tests.support.data import data_in
from tests.support.wallet import NPUB, npub_of

pytestmark = [pytest.mark.faults, pytest.mark.real_mongo]
Report = Callable[[str, Verdict], Verdict]

WORKERS = 4
GIFTS = 200
QUICK = Settings(
    settle_window_s=0.5, post_open_max_s=1, poll_min_s=0.1, poll_max_s=1, change_window_s=1, lease_s=3
)
HASTY = Budget(transaction_s=0.6, commit_s=0.4, settle_s=0.6, read_s=1, note_s=1)
NOT_NOW = ("INSUFFICIENT_BALANCE", "CONCURRENT_OPERATION")


@define(eq=False)
class Callers:
    """Threads that deposit and pay as a service would: whatever the store says, the same call with the
    same key again, until there is an answer."""

    engine: Engine
    mint: SimulatedMint
    gifts: list[tuple[Proof, ...]]
    seed: int
    answers: list[Handle] = field(factory=list)
    invoices: list[str] = field(factory=list)
    troubles: int = 0
    _times: list[float] = field(factory=list)
    _done: threading.Event = field(factory=threading.Event)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """They work while the block runs."""
        with ThreadPoolExecutor(WORKERS) as pool:
            threads = [pool.submit(self._work, number) for number in range(WORKERS)]
            try:
                yield
            finally:
                self._done.set()
            for thread in threads:
                thread.result()

    def wait_for_acknowledgements(self, more: int = 10) -> None:
        """See :class:`tests.faults.scenarios.Load`."""
        wanted = len(self._times) + min(more, 5)
        wait_until(lambda: len(self._times) >= wanted, "the engine answers nothing")

    def longest_gap_s(self) -> float:
        """The longest time without an answer."""
        times = sorted(self._times)
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def _work(self, number: int) -> None:
        draw = random.Random(f"{self.seed}-{number}")
        n = 0
        while not self._done.is_set():
            n += 1
            key = f"key-{number}-{n}"
            call = self._deposit(key) if self.gifts and draw.random() < 0.4 else self._melt(key, draw)
            handle = self._insist(call)
            if handle is not None:
                self.answers.append(handle)
            self._times.append(time.monotonic())

    def _insist(self, call: Callable[[], Handle]) -> Handle | None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except (StorageError, MintError):
                self.troubles += 1
                assert time.monotonic() < deadline, "the engine never answers"
                time.sleep(0.05)
            except Refused as refused:
                assert refused.code in NOT_NOW, refused.as_dict()
                return None

    def _deposit(self, key: str) -> Callable[[], Handle]:
        proofs = self.gifts.pop()
        return lambda: self.engine.deposit(
            npub=NPUB, proofs=proofs, mint_url=self.mint.url, idempotency_key=key
        )

    def _melt(self, key: str, draw: random.Random) -> Callable[[], Handle]:
        invoice = self.mint.lightning.invoice(draw.randrange(1, 40)).reveal()
        self.invoices.append(invoice)
        return lambda: self.engine.melt(
            npub=NPUB, mint_url=self.mint.url, invoice=invoice, idempotency_key=key, wait_s=5
        )


def gifts(mint: SimulatedMint, count: int, amount: int) -> list[tuple[Proof, ...]]:
    """Proofs of another owner, each good for one deposit."""
    with open_store("memory://") as his:
        giver = Engine(his, mint)
        for _ in range(count):
            giver.mint_tokens(npub=npub_of(1), mint_url=mint.url, amount=amount)
        return [token.proofs for token in his.tokens(TokenQuery(limit=count))]


def work_while(servers: ReplicaSet, database: str, fault: faults.Scenario, seed: int) -> Verdict:
    """Callers, a fault again and again, recovery, and every invariant."""
    url = servers.url(database)
    with mongo_store(url, HASTY) as store, mongo_store(url) as other, SimulatedMint() as mint:
        engine = Engine(store, mint, settings=QUICK)
        for _ in range(10):
            engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=500)
        callers = Callers(engine, mint, gifts(mint, GIFTS, 20), seed)
        with Watcher(other, invariants.check) as watcher, callers.at_work():
            callers.wait_for_acknowledgements()
            faults.rounds(fault)(servers, callers, random.Random(seed))
        assert watcher.checked > 0, "the reader never saw anything"
        faults.in_step(servers)
        recover_all(engine, store)
        invariants.check(store, mint)
        return verdict_of(callers, store)


def recover_all(engine: Engine, store: MongoStore) -> None:
    """Nothing stays live (I11)."""

    def nothing_is_open() -> bool:
        engine.recover(force=True, wait_s=2)
        return not open_states(store)

    wait_until(nothing_is_open, "I11: operations stay live")


def verdict_of(callers: Callers, store: MongoStore) -> Verdict:
    """What was answered is stored, every invoice was paid as often as the store says, nothing parked."""
    stored = {op.id: op for op in store.operations(OperationQuery(limit=100_000))}
    lost = [
        f"{told.id}: {told.state}"
        for told in callers.answers
        if told.id not in stored or (told.is_final and stored[told.id].state != told.state)
    ]
    by_hash = {op.payment_hash: op for op in stored.values() if op.kind == "melt"}
    doubled = []
    for invoice in callers.invoices:
        hashed = decode_invoice(invoice).payment_hash
        op = by_hash.get(hashed)
        paid = callers.mint.lightning.payments(hashed)
        if paid != (op is not None and data_in(op).payment is not None):
            doubled.append(f"{hashed}: paid {paid} times, {op.state if op else 'no operation'}")
    parked = [op.id for op in stored.values() if op.state in ("attention", "discrepant")]
    return Verdict(
        acknowledged=len(callers.answers),
        lost=len(lost),
        doubled=len(doubled),
        unresolved=len(parked),
        longest_gap_s=callers.longest_gap_s(),
        notes=(*lost, *doubled, *parked),
    )


def assert_sound(verdict: Verdict) -> None:
    assert (verdict.lost, verdict.doubled, verdict.unresolved) == (0, 0, 0), verdict
    assert verdict.acknowledged > 0, verdict


def test_the_engine_while_its_only_node_is_killed(one: ReplicaSet, database: str, report: Report) -> None:
    verdict = work_while(one, database, faults.kill_primary, seed=1)
    assert_sound(report("1 node: engine, kill -9", verdict))


def test_the_engine_while_the_primary_is_killed(three: ReplicaSet, database: str, report: Report) -> None:
    verdict = work_while(three, database, faults.kill_primary, seed=2)
    assert_sound(report("3 nodes: engine, primary kill -9", verdict))
