"""How an answer reaches the wallet: whole, late, cut off, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import anyio
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..engine.cashu.port import Refused
from ..engine.simulated.exchange import LOST_ON_THE_WAY, Exchange
from . import shown

ON_THE_WAY: Final = "on_the_way"
"""The name of the open connections in an ASGI application's state."""


class Connections:
    """The open connections of a server, by the address of the client, so that one can be broken."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """The server's HTTP protocol, which tells this object of its connections."""
        known = self._open

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    known[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    known.pop(self.client, None)
                super().connection_lost(exc)

        return Protocol

    async def end(self, scope: Scope, receive: Receive, *, at_once: bool) -> None:
        """Break the connection of a request, ``at_once`` or after what is written already."""
        transport = self._open[tuple(scope["client"])]
        if at_once:
            transport.abort()
        else:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


class Delivery:
    """Sends one answer with the faults of its exchange."""

    def __init__(self, connections: Connections, scope: Scope, receive: Receive, send: Send) -> None:
        self._connections = connections
        self._scope = scope
        self._receive = receive
        self._send = send

    async def refuse(self, said: Refused) -> None:
        """A refusal that needs no exchange."""
        await self.whole(*shown.refused(said))

    async def exchanged(
        self, exchange: Exchange[object], body: Mapping[str, object] | Refused | None
    ) -> None:
        """The answer of an exchange. ``body`` is what it shows; None if the mint saw no request."""
        faults = exchange.faults
        await anyio.sleep(exchange.delay_ms / 1000)
        if body is None and not LOST_ON_THE_WAY.isdisjoint(faults):
            await self._connections.end(self._scope, self._receive, at_once=True)
            return
        status, content = (
            shown.turned_away(faults)
            if body is None
            else shown.refused(body) if isinstance(body, Refused) else (200, dict(body))
        )  # fmt: skip
        if "answer_lost" in faults:
            await self._connections.end(self._scope, self._receive, at_once=True)
        elif "cut" in faults:
            await self._cut(status, content)
        elif "server_error" in faults:
            await self.whole(500, {"detail": "Internal Server Error"})
        else:
            await self.whole(status, content)

    async def whole(self, status: int, content: Mapping[str, object]) -> None:
        """A whole answer."""
        raw = json.dumps(content).encode()
        await self._send(_start(status, raw))
        await self._send({"type": "http.response.body", "body": raw})

    async def _cut(self, status: int, content: Mapping[str, object]) -> None:
        raw = json.dumps(content).encode()
        await self._send(_start(status, raw))
        await self._send({"type": "http.response.body", "body": raw[: len(raw) // 2], "more_body": True})
        await self._connections.end(self._scope, self._receive, at_once=False)


def _start(status: int, raw: bytes) -> dict[str, object]:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}
