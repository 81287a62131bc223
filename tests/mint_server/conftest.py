"""A mint server in this process, a purse at it, and a hand on its admin path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from attrs import frozen

from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.mint_server.serve import MintServer
from tests.contract.mint.purse import Purse

TOKEN = "a token for tests"


@frozen
class Bench:
    """One server and its clients."""

    mint: SimulatedMint
    url: str
    raw: httpx.Client
    port: HttpMint
    purse: Purse

    def admin(self, path: str, **fields: Any) -> httpx.Response:
        """What the admin path answers."""
        return self.raw.post(f"/admin/{path}", json=fields, headers={"authorization": f"Bearer {TOKEN}"})

    def done(self, path: str, **fields: Any) -> dict[str, Any]:
        """The result of an action that is done."""
        answer = self.admin(path, **fields)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result


@pytest.fixture
def bench() -> Iterator[Bench]:
    with SimulatedMint() as mint, MintServer(mint, admin_token=TOKEN) as server, HttpMint() as port:
        with httpx.Client(base_url=server.url, trust_env=False) as raw:
            yield Bench(mint, server.url, raw, port, Purse(port, server.url))
