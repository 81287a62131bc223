"""Wallets that were not written here, at the mint server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.mint_server.serve import MintServer

TOKEN = "a token for tests"


@pytest.fixture
def server() -> Iterator[MintServer]:
    """A mint with an input fee and an admin path."""
    with SimulatedMint(input_fee_ppk=100) as mint, MintServer(mint, admin_token=TOKEN) as served:
        yield served
