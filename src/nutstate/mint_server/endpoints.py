"""The Cashu HTTP interface (NUT-01 to NUT-09) over a simulated mint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from attrs import frozen
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..engine.cashu.port import Keyset, Refused
from ..engine.simulated.mint import SimulatedMint
from ..engine.simulated.requests import Request, Requests
from ..storage.secret import Secret
from . import asked, shown
from .delivery import Connections, Delivery

BODY_BYTES_MAX = 4_000_000
Make = Callable[[Requests, bytes, str], Request[Any]]
Show = Callable[[Any], Mapping[str, object]]


@frozen
class Endpoint:
    """One path: which request of the mint it is, and how its answer looks."""

    mint: SimulatedMint
    connections: Connections
    make: Make
    show: Show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of this path."""
        delivery = Delivery(self.connections, scope, receive, send)
        try:
            raw = await read_body(HttpRequest(scope, receive))
            named = str(next(iter(scope["path_params"].values()), ""))
            request = self.make(self.mint.requests, raw, named)
        except ClientDisconnect:
            return
        except TooLarge:
            await delivery.refuse(Refused(None, "Request Entity Too Large", definitive=False, status=413))
            return
        except asked.Unreadable as error:
            await delivery.refuse(error.as_refusal())
            return
        # in a thread: the mint waits for its file, and goes on when the client is gone
        exchange, body = await to_thread.run_sync(self._answer, request)
        await delivery.exchanged(exchange, body)

    def _answer(self, request: Request[Any]) -> tuple[Any, Mapping[str, object] | Refused | None]:
        exchange = self.mint.exchange(request)
        said = exchange.answer
        return exchange, said if said is None or isinstance(said, Refused) else self.show(said)


class TooLarge(Exception):
    """A body above the limit."""


async def read_body(request: HttpRequest) -> bytes:
    """The body, up to the limit; :class:`TooLarge` above it."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise TooLarge
    return bytes(raw)


def routes(mint: SimulatedMint, connections: Connections) -> list[Route]:
    """Every path below ``/v1``."""

    def of(method: str, path: str, make: Make, show: Show) -> Route:
        return Route(path, Endpoint(mint, connections, make, show), methods=[method])

    def keys(said: Keyset | tuple[Keyset, ...]) -> Mapping[str, object]:
        listed = mint.look(mint.requests.keysets())
        return shown.keys(said if isinstance(said, tuple) else (said,), listed)

    def asks_mint_quote(to: Requests, raw: bytes, _: str) -> Request[Any]:
        body = asked.document(raw)
        return to.mint_quote(asked.amount(body), asked.text(body, "unit"), asked.public_key(body))

    def asks_melt_quote(to: Requests, raw: bytes, _: str) -> Request[Any]:
        body = asked.document(raw)
        if body.get("options") is not None:
            raise asked.Unreadable("options are not offered")
        return to.melt_quote(Secret(asked.text(body, "request")), asked.text(body, "unit"))

    return [
        of("GET", "/info", lambda to, *_: to.info(), shown.info),
        of("GET", "/keysets", lambda to, *_: to.keysets(), shown.keysets),
        of("GET", "/keys", lambda to, *_: to.active_keys(), keys),
        of("GET", "/keys/{keyset}", lambda to, _, named: to.keys(named), keys),
        of("POST", "/swap", lambda to, raw, _: to.swap(asked.write(raw)), shown.signatures),
        of("POST", "/mint/quote/bolt11", asks_mint_quote, shown.mint_quote),
        of("GET", "/mint/quote/bolt11/{quote}", lambda to, _, named: to.mint_quote_state(named),
           shown.mint_quote),
        of("POST", "/mint/bolt11", lambda to, raw, _: to.mint(asked.write(raw)), shown.signatures),
        of("POST", "/melt/quote/bolt11", asks_melt_quote, shown.melt_quote),
        of("GET", "/melt/quote/bolt11/{quote}", lambda to, _, named: to.melt_quote_state(named),
           shown.melt_quote),
        of("POST", "/melt/bolt11", lambda to, raw, _: to.melt(asked.write(raw)), shown.melt_quote),
        of("POST", "/checkstate", lambda to, raw, _: to.check_states(asked.points(asked.document(raw))),
           shown.states),
        of("POST", "/restore", lambda to, raw, _: to.restore(asked.outputs(asked.document(raw))),
           shown.restored),
    ]  # fmt: skip
