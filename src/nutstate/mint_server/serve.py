"""The HTTP server of a simulated mint."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount

from ..engine.simulated.mint import SimulatedMint
from .address import listen, url_of
from .admin import Admin
from .delivery import Connections
from .endpoints import routes

STOP_S = 5
"""So long a stop waits for requests under way."""


def application(mint: SimulatedMint, connections: Connections, admin_token: str | None) -> Starlette:
    """The ASGI application: ``/v1`` for wallets, also those in browsers, and ``/admin``."""
    anyone = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    return Starlette(
        routes=[
            Mount("/v1", routes=routes(mint, connections), middleware=[anyone]),
            Mount("/admin", routes=Admin(mint, admin_token).routes()),
        ],
        exception_handlers={HTTPException: _no_such_path, Exception: _unexpected},
    )


async def _no_such_path(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"detail": "Not Found" if status == 404 else "Method Not Allowed"}, status)


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"internal error: {type(error).__name__}"}, 500)


class MintServer:
    """``with MintServer(SimulatedMint()) as server: HttpMint().info(server.url)``.

    It serves in a thread of its own, or with :meth:`run` in the calling one until SIGINT or SIGTERM. The
    mint stays the caller's: it is not closed here. ``admin_token`` None: the admin path is off."""

    def __init__(
        self,
        mint: SimulatedMint,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        admin_token: str | None = None,
    ) -> None:
        connections = Connections()
        self._socket = listen(host, port)
        self.url = url_of(self._socket)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(mint, connections, admin_token),
                http=connections.protocol(),
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # a connection is found by the address it really comes from
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="mint-server", daemon=True)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, which is raised again when everything is answered."""
        self._serve()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve([self._socket]))
        finally:
            self._socket.close()

    def __enter__(self) -> MintServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S * 2)
