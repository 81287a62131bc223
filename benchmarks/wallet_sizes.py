"""What calls cost while one wallet grows: ``python -m benchmarks.wallet_sizes --past 1000 10000 100000``.

``--past``: spent tokens and ended operations of the wallet. ``--coins``: its free coins. Each number is the
median in milliseconds, on SQLite or with ``--mongodb`` on a replica set of its own."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.recover_many import PART, put
from nutstate import Engine, Settings, SimulatedMint, Store, configure_logging, open_store
from nutstate.machines.melt.table import MELT
from nutstate.storage.batch import Batch
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.wallet import NPUB

MELTS, TRIES = 20, 5


def past(mint_url: str, first: int, last: int) -> list[Batch]:
    """Melts that ended, each with one spent token, as the wallet's."""
    made = []
    for n in range(first, last):
        name, at = f"tx_past_{n:09}", 1_700_000_000_000 + n
        wallet: dict[str, Any] = {"npub": NPUB, "wallet_id": NPUB, "mint_url": mint_url}
        op = make_operation(name, state=MELT.good_path[-1], created_at=at, finished_at=at, **wallet)
        gone: dict[str, Any] = {"state": "spent", "reserved_by": name, "spent_at": at}
        made.append(batch_for(op, tokens=[make_token(f"{name}_0", 1 << n % 12, **wallet, **gone)], at=at))
    return made


def grow(url: str, mint_url: str, first: int, last: int) -> None:
    """The wallet's past, a thousand operations in each transaction."""
    for start in range(first, last, PART):
        put(url, past(mint_url, start, min(start + PART, last)))


def coins(url: str, mint: SimulatedMint, number: int) -> None:
    """Free coins of the wallet. They belong to another mint's keyset, so a melt chooses 0 of them."""
    wallet: dict[str, Any] = {"npub": NPUB, "wallet_id": NPUB, "mint_url": mint.url}
    for start in range(0, number, PART):
        tokens = [make_token(f"coin_{n:09}", 1 << n % 12, **wallet) for n in range(start, start + PART)]
        op = make_operation(f"tx_coins_{start:09}", state=MELT.good_path[-1], finished_at=1, **wallet)
        put(url, [batch_for(op, tokens=tokens)])


def timed(call: Callable[[], Any], tries: int = TRIES) -> float:
    """The median time of a call in milliseconds."""
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return round(median(took), 2)


def measure(store: Store, mint: SimulatedMint) -> dict[str, float]:
    """Each call on the store as it is."""
    engine = Engine(store, mint, settings=Settings(poll_min_s=0.01))

    def melt() -> None:
        paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=mint.lightning.invoice(100))
        assert paid.is_final, paid

    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100_000)
    melt()
    numbers = {"melt": timed(melt, MELTS)}
    some = engine.operations(NPUB, limit=1)[0].id
    calls: Sequence[tuple[str, Callable[[], Any]]] = (
        ("reconcile ID", lambda: engine.reconcile(some)),
        ("balance", lambda: engine.balance(NPUB)),
        ("balance without spent", lambda: engine.balance(NPUB, spent=False)),
        ("the same of a mint", lambda: engine.balance(NPUB, mint.url, spent=False)),
        ("history", lambda: engine.operations(NPUB, limit=20)),
        ("history of a kind", lambda: engine.operations(NPUB, kind="mint", limit=20)),
        ("count of the owner", lambda: store.count_operations(NPUB)),
        ("count", lambda: store.count_operations()),
        ("open operations", lambda: engine.open_operations(limit=100)),
        ("report", lambda: engine.report(some)),
    )
    return numbers | {name: timed(call) for name, call in calls}


@contextmanager
def _url(mongodb: bool, folder: str) -> Iterator[str]:
    if not mongodb:
        yield f"sqlite:///{folder}/wallet.db"
        return
    with ReplicaSet(Path(folder)) as servers:
        yield servers.url("sizes")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wallet_sizes", description=__doc__)
    parser.add_argument(
        "--past",
        type=int,
        nargs="*",
        default=[1_000, 10_000, 100_000],
        help="spent tokens and ended operations at each measurement (%(default)s)",
    )
    parser.add_argument("--coins", type=int, default=0, help="free coins of the wallet (%(default)s)")
    parser.add_argument("--mongodb", action="store_true", help="a replica set of its own instead of a file")
    parser.add_argument("--dir", help="the folder for the store; a temporary one by default")
    given = parser.parse_args()
    configure_logging("off")
    with (
        tempfile.TemporaryDirectory(dir=given.dir) as folder,
        _url(given.mongodb, folder) as url,
        open_store(url) as store,
        SimulatedMint() as mint,
    ):
        coins(url, mint, given.coins)
        before = 0
        for size in given.past:
            grow(url, mint.url, before, size)
            before = size
            print(json.dumps({"past": size, "coins": given.coins} | measure(store, mint)), flush=True)


if __name__ == "__main__":
    main()
