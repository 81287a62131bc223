"""What one melt costs while the store grows: ``python -m benchmarks.size_sweep --json sweep.json``.

A quarter of the stored tokens are free coins of other wallets. The rest are spent, two thirds of them by the
wallet that pays. Each number is the median over melts; round trips are counted on MongoDB."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from nutstate import Engine, Settings, SimulatedMint, Store, configure_logging, open_store
from nutstate.machines.melt.table import MELT
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo import open as opening
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.wallet import NPUB, npub_of

SIZES = (1_000, 10_000, 40_000)
PER_MELT = 4


class Trips(CommandListener):
    """Counts commands."""

    def __init__(self) -> None:
        self.number = 0

    def started(self, event: Any) -> None:
        self.number += 1

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def fill(store: Store, mint_url: str, first: int, last: int) -> None:
    """Tokens number ``first`` to ``last``, in melts that ended."""
    for start in range(first, last, PER_MELT):
        owner = NPUB if start // PER_MELT % 2 else npub_of(1 + start % 50)
        name, at = f"tx_past_{start:09}", 1_700_000_000_000 + start
        wallet: dict[str, Any] = {"npub": owner, "wallet_id": owner, "mint_url": mint_url}
        op = make_operation(name, state=MELT.good_path[-1], created_at=at, finished_at=at, **wallet)
        gone: dict[str, Any] = {"state": "spent", "reserved_by": name, "spent_at": at}
        tokens = [
            make_token(
                f"{name}_{i}", 1 << (start + i) % 12, **wallet, **({} if owner != NPUB and i % 2 else gone)
            )
            for i in range(min(PER_MELT, last - start))
        ]
        store.commit(batch_for(op, tokens=tokens, at=at))


def measure(engine: Engine, mint: SimulatedMint, trips: Trips, melts: int) -> dict[str, float]:
    """The medians over ``melts`` melts, after three that are not counted."""
    took, used, asked = [], [], []
    for n in range(melts + 3):
        bolt11 = mint.lightning.invoice(100).reveal()
        before, cpu, started = trips.number, time.process_time(), time.perf_counter()
        assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).state == "reconciled"
        if n >= 3:
            took.append(time.perf_counter() - started)
            used.append(time.process_time() - cpu)
            asked.append(trips.number - before)
    return {
        "wall_ms": round(median(took) * 1000, 2),
        "cpu_ms": round(median(used) * 1000, 2),
        "round_trips": median(asked),
    }


@contextmanager
def opened(kind: str, folder: Path, trips: Trips) -> Iterator[Store]:
    """A new store of a kind whose commands are counted."""
    if kind == "sqlite":
        with open_store(f"sqlite:///{folder}/wallet.db") as store:
            yield store
        return
    plain = MongoClient
    servers = ReplicaSet(folder / "mongodb")
    servers.start()
    try:
        opening.MongoClient = lambda *args, **more: plain(*args, event_listeners=[trips], **more)  # type: ignore
        with open_store(servers.url("sweep")) as store:
            yield store
    finally:
        opening.MongoClient = plain  # type: ignore[misc]
        servers.stop()


def sweep(kind: str, sizes: Sequence[int], melts: int, folder: Path) -> list[dict[str, Any]]:
    """One store that grows from size to size."""
    trips, rows, there = Trips(), [], 0
    with opened(kind, folder, trips) as store, SimulatedMint() as mint:
        engine = Engine(store, mint, settings=Settings(poll_min_s=0.01))
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100_000)
        for size in sorted(sizes):
            fill(store, mint.url, there, size)
            there = size
            rows.append({"store": kind, "tokens": size, **measure(engine, mint, trips, melts)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, print, and write the rows with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size_sweep", description=__doc__)
    parser.add_argument(
        "--store", action="append", choices=("mongodb", "sqlite"), help="only this store; both by default"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="stored tokens at each measurement (%(default)s)"
    )
    parser.add_argument("--melts", type=int, default=25, help="melts at each size (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the rows into this file too")
    wanted = parser.parse_args()
    configure_logging("off")
    rows: list[dict[str, Any]] = []
    for kind in wanted.store or ("mongodb", "sqlite"):
        with tempfile.TemporaryDirectory() as folder:
            rows += sweep(kind, wanted.sizes, wanted.melts, Path(folder))
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
