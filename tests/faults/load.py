"""Writers that make store-level traffic while faults happen, and a reader that checks every moment.

A writer lives through one wallet story after another: money enters, a token is split and reserved,
paid with, and change comes back. Its documents are its own, but for one token per story that all
writers fight over, and one batch that a unique key must refuse."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from attrs import define, evolve, field

from nutstate import open_store
from nutstate.storage.batch import Batch
from nutstate.storage.errors import CommitUnknown, Conflict, Duplicate, StoreUnavailable
from nutstate.storage.mongo.client import Budget
from nutstate.storage.mongo.open import open_mongo
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import OperationQuery, Reader, Store, TokenQuery
from nutstate.storage.records import DedupRecord, Idempotency, InputRef, Operation, Quote, Token
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token
from tests.support.data import data_in, with_fields

from .footprint import Footprint
from .history import Expected, History, Outcome, Sent, watch

SECONDS = float(os.environ.get("NUTSTATE_FAULT_SECONDS", "5"))
"""How long the faults of one run go on."""
PATIENCE_S = 180.0
"""How long anything may take that must happen at all."""
WRITERS = 4
LIMIT = 1_000_000

Step = tuple[Batch, Expected]


@define(eq=False)
class Arena:
    """Tokens that every writer may reserve, the latest few."""

    tokens: deque[Token] = field(factory=lambda: deque(maxlen=3))

    def pick(self, draw: random.Random) -> Token | None:
        """One of them."""
        tokens = list(self.tokens)
        return draw.choice(tokens) if tokens else None


def _ref(token: Token) -> InputRef:
    return InputRef(token.transaction_id, token.total_amount, len(token.proofs))


def _melt(name: str, *inputs: Token, **fields: Any) -> Operation:
    refs = tuple(_ref(token) for token in inputs)
    total = sum(ref.amount for ref in refs)
    return make_operation(name, state="prepared", inputs=refs, sources_total=total, amount=total, **fields)


def _spend(token: Token) -> tuple[Token, Token]:
    return token, evolve(token, state="spent", spent_at=token.updated_at + 1)


def story(name: str, draw: random.Random, arena: Arena) -> Generator[Step, bool, None]:
    """The batches of one story; each answer says whether the batch was acknowledged."""
    deposit = make_operation(f"d-{name}", kind="deposit", state="deposited", amount=63)
    dedup = DedupRecord(f"k-{name}", deposit.id, 9)
    tokens = [make_token(f"a-{name}", 1, 2, 4), make_token(f"b-{name}", 8, 16), make_token(f"c-{name}", 32)]
    born = batch_for(deposit, tokens=tokens, dedup=dedup)
    if not (yield born, "ok"):
        return
    a, b, c = (change.after for change in born.tokens)
    arena.tokens.append(c)
    keep = make_token(
        f"e-{name}", transaction_type="change", proofs=b.proofs[:1],
        metadata=evolve(b.metadata, source="change", parent_transaction_id=f"m-{name}"),
    )  # fmt: skip
    rest = evolve(b, proofs=b.proofs[1:], total_amount=16, state="reserved", reserved_by=f"m-{name}")
    key = Idempotency(f"key-{name}", "h")
    melt = _melt(f"m-{name}", a, rest, idempotency=key, claim=name, quote=Quote(name, 23, 0, 9))
    locked = evolve(a, state="reserved", reserved_by=melt.id)
    prepared = batch_for(melt, tokens=[(a, locked), (b, rest), keep])
    if not (yield prepared, "ok"):
        return
    yield batch_for(make_operation(f"r-{name}", idempotency=key)), "refusal"
    yield from _contest(name, draw, arena)
    yield from _pay(name, prepared)


def _pay(name: str, prepared: Batch) -> Generator[Step, bool, None]:
    melt = prepared.operation.after
    inputs = [change.after for change in prepared.tokens if change.after.state == "reserved"]
    paying = batch_for(evolve(melt, state="paying"), melt)
    if not (yield paying, "ok"):
        return
    melt = paying.operation.after
    paid = batch_for(evolve(melt, state="paid"), melt, tokens=[_spend(token) for token in inputs])
    if not (yield paid, "ok"):
        return
    melt = paid.operation.after
    change = make_token(
        f"f-{name}", transaction_type="change", proofs=make_proofs(f"f-{name}", 1, 2),
        metadata=evolve(inputs[0].metadata, source="change", parent_transaction_id=melt.id),
    )  # fmt: skip
    settled = with_fields(melt, state="reconciled", change_amount=3, change_token_id=change.transaction_id)
    yield batch_for(settled, melt, tokens=[change]), "ok"


def _contest(name: str, draw: random.Random, arena: Arena) -> Generator[Step, bool, None]:
    token = arena.pick(draw)
    if token is None:
        return
    locked = evolve(token, state="reserved", reserved_by=f"x-{name}")
    prepared = batch_for(_melt(f"x-{name}", token), tokens=[(token, locked)])
    if not (yield prepared, "contest"):
        return
    melt, (change,) = prepared.operation.after, prepared.tokens
    yield batch_for(evolve(melt, state="paid"), melt, tokens=[_spend(change.after)]), "ok"


class Writers:
    """``with Writers(store, seed) as load:`` threads that write until the block ends."""

    def __init__(
        self, store: Store, seed: str, *, history: History | None = None, writers: int = WRITERS
    ) -> None:
        self.history = history or History()
        self._store = store
        self._seed = seed
        self._arena = Arena()
        self._done = threading.Event()
        self._give_up_at = float("inf")
        self._pool = ThreadPoolExecutor(writers)
        self._threads: list[Future[None]] = []
        self._writers = writers

    def __enter__(self) -> Self:
        self._threads = [self._pool.submit(self._write, number) for number in range(self._writers)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up_at = time.monotonic() + (PATIENCE_S if error is None else 1)
        self._done.set()
        self._pool.shutdown()
        if error is None:
            for thread in self._threads:
                thread.result()

    def wait_for_acknowledgements(self, more: int = 10) -> None:
        """Until this many more batches were acknowledged. Fails after ``PATIENCE_S``."""
        wanted = self.history.acknowledged() + more
        try:
            wait_until(
                lambda: self.history.acknowledged() >= wanted or self._ended(), "nothing is acknowledged"
            )
        except AssertionError as error:
            error.add_note(self.history.still_open())
            raise

    def _ended(self) -> bool:
        """Raises what ended a writer before its time."""
        for thread in self._threads:
            if thread.done():
                thread.result()
        return False

    def _write(self, number: int) -> None:
        draw = random.Random(f"{self._seed}-{number}")
        n = 0
        while not self._done.is_set():
            n += 1
            steps = story(f"{self._seed}-{number}-{n}", draw, self._arena)
            answer = next(steps, None)
            while answer is not None:
                sent = self._send(*answer)
                try:
                    answer = None if self._done.is_set() else steps.send(sent.outcome == "acknowledged")
                except StopIteration:
                    break
                time.sleep(draw.random() * 0.01)
            steps.close()

    def _send(self, batch: Batch, expected: Expected) -> Sent:
        """The same batch until the store says what became of it, as the engine does it."""
        sent = self.history.begin(Footprint.of(batch), expected)
        while not sent.resolved and time.monotonic() < self._give_up_at:
            send_once(self._store, batch, sent, self.history)
            if not sent.resolved:
                time.sleep(0.05)
        return sent


def send_once(store: Store, batch: Batch, sent: Sent, history: History) -> str:
    """Commit once and note what the store said; its answer in a word."""
    outcome: Outcome = "acknowledged"
    why = ""
    try:
        store.commit(batch)
    except (Conflict, Duplicate) as error:
        outcome, why = "refused", error.message
    except CommitUnknown as error:
        return sent.answered("unknown", error.message)
    except StoreUnavailable as error:
        sent.promised_nothing = not sent.was_ever("unknown")
        return sent.answered("unavailable", error.message)
    history.end(sent, outcome, why)
    return sent.answered(outcome)


def wait_until(condition: Callable[[], object], otherwise: str, seconds: float = PATIENCE_S) -> None:
    """Wait for ``condition``; AssertionError saying ``otherwise`` if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


# -- the reader (F9) ---------------------------------------------------------------------------------


def assert_value_is_conserved(view: Reader) -> None:
    """I1 for the stories above, from one consistent read: what entered and the change of settled
    melts lie in tokens; reserved and spent value belongs to melts in the fitting states."""
    operations = view.operations(OperationQuery(limit=LIMIT))
    tokens = view.tokens(TokenQuery(limit=LIMIT))
    entered = sum(op.amount for op in operations if op.kind == "deposit")
    change = sum(data_in(op).change_amount for op in operations)
    held = {held.state: held.amount for held in view.balance(NPUB)}
    assert sum(t.total_amount for t in tokens) == entered + change, "value appeared or vanished"
    assert sum(held.values()) == entered + change, f"the balance {held} is of another moment"
    for token_state, states in _HELD_BY.items():
        inputs = sum(part.amount for op in operations if op.state in states for part in op.inputs)
        stored = sum(t.total_amount for t in tokens if t.state == token_state)
        assert stored == inputs == held.get(token_state, 0), f"{token_state}: {stored} of {inputs}"


_HELD_BY = {"reserved": ("prepared", "paying"), "spent": ("paid", "settled", "reconciled")}


class Watcher:
    """``with Watcher(store):`` checks one moment after another until the block ends."""

    def __init__(self, store: Store, check: Callable[[Reader], None] = assert_value_is_conserved) -> None:
        self._check = check
        self.checked = 0
        self.unavailable = 0
        self._store = store
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._thread: Future[None] | None = None

    def __enter__(self) -> Self:
        self._thread = self._pool.submit(self._watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._pool.shutdown()
        if error is None and self._thread is not None:
            self._thread.result()

    def _watch(self) -> None:
        while not self._done.is_set():
            began = time.monotonic()
            try:
                with self._store.snapshot() as view:
                    self._check(view)
                self.checked += 1
            except StoreUnavailable:
                self.unavailable += 1
            self._done.wait(max(0.05, 2 * (time.monotonic() - began)))


# -- stores ------------------------------------------------------------------------------------------


def mongo_store(url: str, budget: Budget | None = None) -> MongoStore:
    """What ``open_store`` opens; with ``budget`` a hastier one."""
    store = open_store(url) if budget is None else open_mongo(url, budget=budget)
    assert isinstance(store, MongoStore)
    return store


@contextmanager
def watched_store(url: str, history: History, budget: Budget | None = None) -> Generator[MongoStore]:
    """A store whose unknown commits ``history`` learns about."""
    with mongo_store(url, budget) as store:
        watch(store, history)
        yield store
