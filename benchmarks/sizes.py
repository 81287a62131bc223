"""What calls cost while a store and a wallet grow: ``python -m benchmarks.sizes --json sizes.json``.

One store for each size, all at once, and each call on all of them in turn: so they meet the same noise, and
only the ratios count. ``--tokens``: stored tokens, half of them spent ones of the paying wallet. ``--coins``:
free coins of the paying wallet, beside the fewest of the tokens. Times are medians in milliseconds: ``cpu``
of this process, ``mint`` the part of it that is the simulated mint's, ``server`` that of mongod. ``work``
counts what the store did: commands, index entries and documents of MongoDB, instructions of SQLite."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field
from pymongo import MongoClient
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import past, sizes_plot, work
from benchmarks.meters import TimedMint
from nutstate import Engine, Settings, SimulatedMint, configure_logging, open_store
from nutstate.engine.operations.melt.actions.candidates import candidates
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.testing.records import make_operation
from tests.support.wallet import NPUB

TOKENS = (1_000, 10_000, 100_000, 1_000_000)
COINS = (100_000,)
MELTS, TRIES = 60, 11
STORES = ("SQLite", "MongoDB")
MELT = "melt"

Work = Callable[[Callable[[], Any]], dict[str, int]]


@define
class Ground:
    """A store of one size, with an engine."""

    kind: str
    tokens: int
    coins: int
    folder: Path
    cache_gb: float
    calls: dict[str, Callable[[], Any]] = field(init=False)
    mint: TimedMint = field(init=False)
    work: Work = field(init=False)
    pid: int | None = None

    def open(self, stack: ExitStack, told: Callable[[int], None]) -> None:
        """Make the store and fill it. ``told`` is given the number of tokens that went each time."""
        mint = stack.enter_context(SimulatedMint())
        self.mint = TimedMint(mint)
        if self.kind == "SQLite":
            url = f"sqlite:///{self.folder}/wallet.db"
        else:
            servers = stack.enter_context(ReplicaSet(self.folder, cache_gb=self.cache_gb))
            url, self.pid = servers.url("sizes"), servers.nodes[0].pid
        store: Any = stack.enter_context(open_store(url))
        port: Any = self.mint
        engine = Engine(store, port, settings=Settings(poll_min_s=0.01))
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100_000)
        for some in (past.melts(mint.url, 0, self.tokens // past.TOKENS), past.coins(mint, self.coins)):
            past.into(url, some, lambda melts: told(melts * past.TOKENS))
        if self.kind == "SQLite":
            self.work = partial(work.of_sqlite, store)
        else:
            client: MongoClient[dict[str, Any]] = stack.enter_context(MongoClient(url))
            client.admin.command("fsync")
            self.work = partial(work.of_mongodb, client)
        self.calls = _calls(engine, store, mint)

    def server_cpu_s(self) -> float:
        """CPU time of the server until now."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _calls(engine: Engine, store: Any, mint: SimulatedMint) -> dict[str, Callable[[], Any]]:
    def melt() -> None:
        paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=mint.lightning.invoice(100))
        assert paid.state == "reconciled", paid

    melt()
    some = engine.operations(NPUB, kind="melt", limit=1)[0].id
    owner = make_operation(npub=NPUB, wallet_id=NPUB, mint_url=mint.url)
    return {
        MELT: melt,
        "choice of coins": lambda: store.tokens_of(candidates(owner, 110, 200)),
        "reconcile ID": lambda: engine.reconcile(some),
        "balance": lambda: engine.balance(NPUB, spent=False),
        "balance with spent": lambda: engine.balance(NPUB),
        "history": lambda: engine.operations(NPUB, limit=20),
        "history of a rare kind": lambda: engine.operations(NPUB, kind="mint", limit=20),
        "the same, every wallet": lambda: engine.operations(kind="mint", limit=20),
        "history of a state": lambda: engine.operations(NPUB, states=["reconciled"], limit=20),
        "open operations": lambda: engine.open_operations(limit=100),
        "count of the wallet": lambda: store.count_operations(NPUB),
        "count": lambda: store.count_operations(),
    }


def measure(grounds: Sequence[Ground], name: str, tries: int) -> Iterator[dict[str, Any]]:
    """A row for each ground. Each try goes over all of them, beginning with another one."""
    took: list[list[tuple[float, float, float, float]]] = [[] for _ in grounds]
    for ground in grounds:
        for _ in range(3):
            ground.calls[name]()
    for number in range(tries):
        for at in ((number + n) % len(grounds) for n in range(len(grounds))):
            ground = grounds[at]
            mint, server = ground.mint.cpu, ground.server_cpu_s()
            cpu, began = time.process_time(), time.perf_counter()
            ground.calls[name]()
            wall = time.perf_counter() - began
            cpu = time.process_time() - cpu
            took[at].append((wall, cpu, ground.mint.cpu - mint, ground.server_cpu_s() - server))
    for ground, found in zip(grounds, took, strict=True):
        wall, cpu, mint, _ = (round(median(each) * 1000, 2) for each in zip(*found, strict=True))
        server = round(sum(each[3] for each in found) / tries * 1000, 2)
        yield {
            "store": ground.kind, "tokens": ground.tokens, "coins": ground.coins, "call": name,
            "wall_ms": wall, "cpu_ms": cpu, "mint_ms": mint, "server_ms": server,
            "work": ground.work(ground.calls[name]),
        }  # fmt: skip


def sweep(kind: str, given: Any, folder: Path, bar: Progress) -> Iterator[dict[str, Any]]:
    """Every call on a store of each size."""
    sizes = [(tokens, 0) for tokens in sorted(given.tokens)]
    sizes += [(min(given.tokens), coins) for coins in given.coins]
    filled = bar.add_task(f"{kind}: filling", total=sum(map(sum, sizes)))
    with ExitStack() as stack:
        grounds = []
        for tokens, coins in sizes:
            place = folder / f"{kind}-{tokens}-{coins}"
            place.mkdir()
            grounds.append(Ground(kind, tokens, coins, place, given.cache_gb))
            grounds[-1].open(stack, lambda done: bar.advance(filled, done))
        time.sleep(given.rest)
        names = list(grounds[0].calls)
        measured = bar.add_task(f"{kind}: measuring", total=len(names))
        for name in names:
            yield from measure(grounds, name, given.melts if name == MELT else TRIES)
            bar.advance(measured)


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The rows as a table of Markdown: a line for each call, a column for each size."""
    found = list(rows)
    lines = []
    for kind in dict.fromkeys(row["store"] for row in found):
        ours = [row for row in found if row["store"] == kind]
        sizes = list(dict.fromkeys((row["tokens"], row["coins"]) for row in ours))
        heads = [f"{coins:,} coins" if coins else f"{tokens:,}" for tokens, coins in sizes]
        lines += [f"| {kind}, ms | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
        for name in dict.fromkeys(row["call"] for row in ours):
            cells = [row for row in ours if row["call"] == name]
            lines.append(f"| {name} | {' | '.join(str(row['wall_ms']) for row in cells)} |")
            if name == MELT:
                for what, title in (("cpu_ms", "its CPU"), ("server_ms", "the server's CPU")):
                    if any(row[what] for row in cells):
                        lines.append(f"| {title} | {' | '.join(str(row[what]) for row in cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    given = _options()
    if given.draw is not None:
        sizes_plot.draw(json.loads(given.draw.read_text()), given.plot or Path("sizes.svg"))
        return
    configure_logging("off")
    rows: list[dict[str, Any]] = []
    with _progress() as bar:
        for kind in (given.store,) if given.store else STORES:
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                for row in sweep(kind, given, Path(folder), bar):
                    rows.append(row)
                    if given.json is not None:
                        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    if given.plot is not None:
        sizes_plot.draw(rows, given.plot)


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    add = parser.add_argument
    add("--store", choices=STORES, help="only this store; both by default")
    add("--tokens", type=int, nargs="+", default=TOKENS, help="stored tokens (%(default)s)")
    add("--coins", type=int, nargs="*", default=COINS, help="free coins of the wallet (%(default)s)")
    add("--melts", type=int, default=MELTS, help="melts at each size (%(default)s)")
    add("--cache-gb", type=float, default=2.0, help="cache of each mongod in GB (%(default)s)")
    add("--rest", type=float, default=5.0, help="seconds between filling and measuring (%(default)s)")
    add("--folder", help="the folder for the stores; a temporary one by default")
    add("--json", type=Path, help="write the rows into this file too")
    add("--plot", type=Path, help="draw into this file, an SVG or a PNG")
    add("--draw", type=Path, metavar="JSON", help="measure nothing: draw these rows")
    return parser.parse_args()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<20}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
