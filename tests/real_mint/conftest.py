"""A real Nutshell of this folder's own, which its tests may restart with other outcomes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nutstate.engine.cashu.wire.http import HttpMint
from tests.contract.mint.purse import Purse
from tests.servers.nutshell import Nutshell, start_or_skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the real mint and takes its time."""
    for item in items:
        if "real_mint" in item.path.parts:
            item.add_marker(pytest.mark.real_mint)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="package")
def nutshell() -> Iterator[Nutshell]:
    """One mint for the whole folder; on CI its absence is a failure, elsewhere a skip that says so."""
    mint = start_or_skip(Nutshell(fee_ppk=100))
    try:
        yield mint
    finally:
        mint.__exit__(None, None, None)


@pytest.fixture
def http() -> Iterator[HttpMint]:
    """The adapter."""
    with HttpMint() as port:
        yield port


@pytest.fixture
def purse(nutshell: Nutshell, http: HttpMint) -> Purse:
    """A purse with 3000 sat at a mint that pays everything."""
    if nutshell.settings:
        nutshell.restart()
    purse = Purse(http, nutshell.url)
    purse.fund(3000)
    return purse
