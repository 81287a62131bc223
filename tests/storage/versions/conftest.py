"""Places that programs of several releases open at the same time."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.support.stores import STORES

_NAMES = itertools.count()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that does not exist yet, of each kind."""
    if request.param == "mongodb":
        found: str = request.getfixturevalue("fresh_database")
        return found
    return (
        f"sqlite:///{tmp_path}/wallet.db" if request.param == "sqlite" else f"memory://versions{next(_NAMES)}"
    )


@pytest.fixture(params=[store for store in STORES if store != "memory"])
def ruled_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same without the double in memory, which has no rules of its own."""
    if request.param == "mongodb":
        found: str = request.getfixturevalue("fresh_database")
        return found
    return f"sqlite:///{tmp_path}/wallet.db"
