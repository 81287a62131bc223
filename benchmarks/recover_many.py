"""What a recovery of very many open operations costs: ``python -m benchmarks.recover_many --number 100000``.

The operations are fundings whose program died before the mint was asked: to end one is one commit of
operation, token and two audit records, and no call of a mint. They are in a SQLite file, or with
``--mongodb`` in a replica set of its own. Prints one line of JSON: seconds, operations per second, and the
peak of the memory before and after."""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from nutstate import Engine, SimulatedMint, configure_logging, open_store
from nutstate.engine.recovery.numbers import RecoveryNumbers
from nutstate.storage.batch import Batch
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo.write import apply_batch as write_documents
from nutstate.storage.rules.batch import check_batch
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.sqlite.write import apply_batch
from tests.support.open_operations import begun

PART = 1_000


class _Written:
    """Takes the documents of a batch instead of a database."""

    def __init__(self) -> None:
        self.documents: dict[str, list[dict[str, Any]]] = {}

    def insert_many(self, collection: str, documents: Sequence[dict[str, Any]]) -> None:
        self.documents.setdefault(collection, []).extend(documents)

    def write(self, collection: str, changes: Sequence[Any], born: Sequence[dict[str, Any]]) -> bool:
        assert not changes, "only new documents are written here"
        self.insert_many(collection, born)
        return True


def fill(url: str, number: int) -> None:
    """Open operations, a thousand in each transaction: only what is measured is worth a commit each."""
    for start in range(0, number, PART):
        put(url, begun(min(PART, number - start), f"tx-open-{start:07}"))


def put(url: str, batches: Sequence[Batch]) -> None:
    """All of these batches in one transaction."""
    if url.startswith("sqlite"):
        _into_file(Path(url.removeprefix("sqlite:///")), batches)
    else:
        _into_database(url, batches)


def _into_file(path: Path, batches: Sequence[Batch]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for batch in batches:
            apply_batch(connection, batch, check_batch(batch, BUILT_IN))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _into_database(url: str, batches: Sequence[Batch]) -> None:
    written: Any = _Written()
    for batch in batches:
        write_documents(written, batch)
    with MongoClient[dict[str, Any]](url) as client:
        for name, documents in written.documents.items():
            client.get_default_database()[name].insert_many(documents)


def peak_mb() -> float:
    """The most memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(url: str, number: int, workers: int, quiet: bool) -> dict[str, Any]:
    """Fill the store and recover everything."""
    with open_store(url) as store, SimulatedMint() as mint:
        fill(url, number)
        engine = Engine(store, mint)
        before, began = peak_mb(), time.perf_counter()
        cpu = time.process_time()

        def told(numbers: RecoveryNumbers) -> None:
            if not quiet and numbers.gone_over % PART == 0:
                print(f"{numbers.gone_over} of {numbers.total}", file=sys.stderr)

        found = engine.recover(workers=workers, progress=told)
        took = time.perf_counter() - began
        return {
            "store": url.partition(":")[0],
            "workers": workers,
            "operations": number,
            "ended": found.numbers.ended,
            "left": store.count_live(),
            "seconds": round(took, 1),
            "per_second": round(number / took),
            "cpu_s": round(time.process_time() - cpu, 1),
            "peak_mb_before": before,
            "peak_mb_after": peak_mb(),
        }


@contextmanager
def _server(folder: str) -> Iterator[str]:
    with ReplicaSet(Path(folder)) as servers:
        yield servers.url("recover")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recover_many", description=__doc__)
    parser.add_argument("--number", type=int, default=100_000, help="open operations (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="operations driven at once (%(default)s)")
    parser.add_argument("--mongodb", action="store_true", help="a replica set of its own instead of a file")
    parser.add_argument("--dir", help="the folder for the store; a temporary one by default")
    parser.add_argument("--quiet", action="store_true", help="do not show how far it is")
    given = parser.parse_args()
    configure_logging("off")
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        if given.mongodb:
            with _server(folder) as url:
                print(json.dumps(measure(url, given.number, given.workers, given.quiet)))
        else:
            url = f"sqlite:///{folder}/wallet.db"
            print(json.dumps(measure(url, given.number, given.workers, given.quiet)))


if __name__ == "__main__":
    main()
