"""One suite, three mints: the simulated one, the same over HTTP, and a real Nutshell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.mint_server.serve import MintServer
from tests.contract.mint.purse import Bench, Purse
from tests.servers.nutshell import Nutshell, start_or_skip


@pytest.fixture(scope="session")
def nutshell() -> Iterator[Nutshell]:
    """One plain Nutshell for the session, with an input fee of 100 ppk."""
    mint = start_or_skip(Nutshell(fee_ppk=100))
    try:
        yield mint
    finally:
        mint.__exit__(None, None, None)


@pytest.fixture(
    params=[
        "simulated",
        "simulated-0.20.2",
        "mint-server",
        "mint-server-0.20.2",
        pytest.param("nutshell", marks=pytest.mark.real_mint),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Each mint in turn."""
    if request.param == "nutshell":
        server: Nutshell = request.getfixturevalue("nutshell")
        with HttpMint() as http:
            yield Bench(http, server.url, Purse(http, server.url))
        return
    release = "0.20.2" if request.param.endswith("0.20.2") else "0.21.0"
    with SimulatedMint(release=release) as simulated:
        if request.param.startswith("mint-server"):
            with MintServer(simulated) as served, HttpMint() as http:
                yield Bench(http, served.url, Purse(http, served.url))
            return
        yield Bench(simulated, simulated.url, Purse(simulated, simulated.url))
