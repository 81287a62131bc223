"""Every engine test runs on each store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nutstate import Store, configure_logging, open_store


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logging("off")


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/wallet.db" if request.param == "sqlite" else "memory://"
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "memory"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes fresh stores of one kind."""
    made: list[Store] = []

    def make() -> Store:
        name = f"sqlite:///{tmp_path}/{len(made)}.db" if request.param == "sqlite" else "memory://"
        made.append(open_store(name))
        return made[-1]

    yield make
    for store in made:
        store.close()
