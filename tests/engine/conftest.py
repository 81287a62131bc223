"""Every engine test runs on each store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nutstate import Store, configure_logging, open_store
from tests.support.stores import STORES


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logging("off")


@pytest.fixture(params=STORES)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes fresh stores of one kind."""
    made: list[Store] = []
    mongo = request.getfixturevalue("mongo_urls") if request.param == "mongodb" else None

    def make() -> Store:
        name = f"sqlite:///{tmp_path}/{len(made)}.db" if request.param == "sqlite" else "memory://"
        made.append(open_store(mongo() if mongo else name))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()
