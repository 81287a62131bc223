"""A real MongoDB replica set on loopback, for tests: run it, or say plainly what did not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nutstate.storage.errors import StoreUnavailable, StoreUnsupported
from nutstate.storage.local.replica_set import ReplicaSet, find_mongod


def require_mongod() -> None:
    """Nothing if there is a usable ``mongod``. If not: a failure on CI (``CI`` is set), elsewhere a
    skip that says why."""
    try:
        find_mongod()
    except StoreUnsupported as error:
        _not_run(error)


@contextmanager
def replica_set(folder: Path, **options: Any) -> Iterator[ReplicaSet]:
    """``with replica_set(tmp_path, nodes=3, election_timeout_ms=1000) as servers:`` a started set, as
    :class:`ReplicaSet` takes its options. If it does not start: as in :func:`require_mongod`."""
    servers = ReplicaSet(folder, **options)
    try:
        servers.start()
    except (StoreUnsupported, StoreUnavailable) as error:
        _not_run(error)
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def mongo_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """One node for the whole session (of one xdist worker). Use a database of your own on it."""
    with replica_set(tmp_path_factory.mktemp("mongod")) as servers:
        yield servers


def _not_run(error: Exception) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"a real mongod must run on CI: {error}", pytrace=False)
    pytest.skip(f"NOT RUN against a real mongod: {error}")
