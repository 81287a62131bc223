"""The contestants: the engine and the two hand-written wallets, each with a store and a mint of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from benchmarks.fair.mongo import MongoBooks
from benchmarks.fair.sqlite import SqliteBooks
from benchmarks.fair.wallet import Wallet
from benchmarks.meters import TimedMint
from nutstate import Engine, SimulatedMint, open_store
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.client import ClientGateway
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import Store
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.secret import Secret
from tests.support.wallet import npub_of

ENGINE, FAIR_2, FAIR_3 = "engine", "fair-2", "fair-3"
NAMES = (ENGINE, FAIR_2, FAIR_3)
FUNDS = 1_000_000
AMOUNT = 100
ENDS = {ENGINE: "reconciled", FAIR_2: "settled", FAIR_3: "reconciled"}


@define
class Counter(CommandListener):
    """What a contestant asked its database: commands of MongoDB, or statements of SQLite."""

    asked: int = 0

    def started(self, event: Any) -> None:
        self.asked += 1

    def succeeded(self, event: Any) -> None:
        """Counted when it began."""

    failed = succeeded


@define
class Contestant:
    """One wallet (``npubs`` of them) that pays invoices of its mint."""

    name: str
    mint: SimulatedMint
    timed: TimedMint
    pays: Sequence[Callable[[Secret], str]]  # one for each npub
    counter: Counter = field(factory=Counter)

    def invoices(self, number: int) -> list[Secret]:
        return [self.mint.lightning.invoice(AMOUNT) for _ in range(number)]

    def pay(self, bolt11: Secret, wallet: int = 0) -> None:
        state = self.pays[wallet](bolt11)
        if state != ENDS[self.name]:
            raise RuntimeError(f"{self.name}: the melt ended {state}")


class Arena:
    """Contestants on one kind of store."""

    def __init__(self, folder: Path, servers: ReplicaSet | None = None) -> None:
        self._folder, self._servers, self._made = folder, servers, 0
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    def contestant(self, name: str, wallets: int = 1, *, counted: bool = False) -> Contestant:
        """A contestant with funded wallets; ``counted`` notes what it asks its database."""
        self._made += 1
        mint = self._stack.enter_context(SimulatedMint())
        timed, counter = TimedMint(mint), Counter()
        port: Any = timed
        npubs = [npub_of(n) for n in range(wallets)]
        store, books = self._open(f"bench{self._made}", counter, counted)
        engine = Engine(store, port)
        for npub in npubs:
            engine.mint_tokens(npub=npub, mint_url=mint.url, amount=FUNDS)
        if name == ENGINE:
            pays: list[Callable[[Secret], str]] = [_engine(engine, mint.url, npub) for npub in npubs]
        else:
            pays = [Wallet(books, port, mint.url, npub, name == FAIR_3).melt for npub in npubs]
        return Contestant(name, mint, timed, pays, counter)

    def _open(self, name: str, counter: Counter, counted: bool) -> tuple[Store, Any]:
        servers = self._servers
        if servers is None:
            return self._sqlite(self._folder / f"{name}.db", counter, counted)
        listeners = [counter] if counted else []

        def client() -> MongoClient[dict[str, Any]]:
            return self._stack.enter_context(MongoClient(servers.url(), event_listeners=listeners))

        gateway = ClientGateway(client(), name)
        gateway.prepare(True, BUILT_IN)
        return self._stack.enter_context(MongoStore(servers.url(), gateway)), MongoBooks(client(), name)

    def _sqlite(self, path: Path, counter: Counter, counted: bool) -> tuple[Store, Any]:
        if counted:
            self._stack.enter_context(counted_connections(counter))
        store = self._stack.enter_context(open_store(f"sqlite:///{path}"))
        books = SqliteBooks(path)
        self._stack.callback(books.close)
        return store, books


def _engine(engine: Engine, url: str, npub: str) -> Callable[[Secret], str]:
    return lambda bolt11: engine.melt(npub=npub, mint_url=url, invoice=bolt11.reveal()).state


@contextmanager
def counted_connections(counter: Counter) -> Iterator[None]:
    """Connections that are opened meanwhile count their statements; one for each row of ``executemany``."""
    connect: Any = sqlite3.connect

    class Counted(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            counter.asked += 1
            return super().execute(sql, *values)

        def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
            rows = list(rows)
            counter.asked += len(rows)
            return super().executemany(sql, rows)

    sqlite3.connect = lambda *args, **named: connect(*args, **{"factory": Counted, **named})
    try:
        yield
    finally:
        sqlite3.connect = connect
