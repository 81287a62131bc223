"""`python -m benchmarks`: measure, print, compare, draw."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import check, plot
from benchmarks.melts import Plan, Result, measure, table
from nutstate import StorageError, configure_logging
from nutstate.storage.local.replica_set import ReplicaSet

STORES = ("SQLite", "MongoDB")
DRAWING = Path(__file__).resolve().parents[1] / "docs" / "speed.svg"


def main() -> int:
    options = _options()
    configure_logging("off")
    results = _measured(options)
    _print(results, as_json=options.json)
    ratios = {store: result.ratios for store, result in results.items()}
    if options.accept:
        check.accept(ratios)
        plot.draw(results, DRAWING)
    if options.plot is not None:
        plot.draw(results, options.plot)
        sys.stderr.write(f"drawn: {options.plot}\n")
    return _checked(ratios, options) if options.check else 0


def _measured(options: Any) -> dict[str, Result]:
    plan = Plan(melts=options.melts, threads=options.threads)
    stores = STORES if options.store is None else (options.store,)
    results: dict[str, Result] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench", dir=options.folder) as folder,
        _progress() as progress,
        ExitStack() as stack,
    ):
        for store in stores:
            servers = None
            if store == "MongoDB":
                servers = _servers(Path(folder) / "mongod", stack)
                if servers is None:
                    continue
            task = progress.add_task(store, total=plan.ticks)
            results[store] = measure(Path(folder), servers, plan, partial(progress.advance, task))
    return results


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--check", action="store_true", help="fail if a ratio is over 15 %% worse than accepted"
    )
    parser.add_argument("--accept", action="store_true", help="write the ratios as accepted, and the drawing")
    parser.add_argument("--plot", type=Path, help="draw into this SVG file")
    parser.add_argument("--store", choices=STORES, help="only this store")
    parser.add_argument("--melts", type=int, default=Plan().melts, help="melts of each contestant")
    parser.add_argument("--threads", type=int, default=Plan().threads, help="threads beside one")
    parser.add_argument("--folder", type=Path, help="where the stores lie; a disk that is written through")
    return parser.parse_args()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<8}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)
    )


def _servers(folder: Path, stack: ExitStack) -> ReplicaSet | None:
    servers = ReplicaSet(folder)
    try:
        servers.start()
    except StorageError as error:
        if os.environ.get("CI"):
            raise
        sys.stderr.write(f"NOT RUN on MongoDB: {error}\n")
        return None
    stack.callback(servers.stop)
    return servers


def _print(results: dict[str, Result], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({store: result.as_dict() for store, result in results.items()}, indent=2))
    else:
        print(table(results))


def _checked(ratios: dict[str, dict[str, float]], options: Any) -> int:
    """0, or 1 when a ratio is worse in this run and, measured again, worse once more: another program that
    took the processor for a moment is no regression."""
    accepted = check.accepted()
    if check.worse(ratios, accepted):
        sys.stderr.write("measured once more, because a ratio is worse than the accepted one\n")
        again = {store: result.ratios for store, result in _measured(options).items()}
        ratios = check.better_of(ratios, again)
    said = check.worse(ratios, accepted)
    for sentence in said:
        sys.stderr.write(f"{sentence}\n")
    if said:
        sys.stderr.write(f"{check.HOW_TO_ACCEPT}\n")
    else:
        sys.stderr.write("no ratio is more than 15 % worse than the accepted one\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
