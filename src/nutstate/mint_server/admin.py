"""The admin path: a developer's hand on the simulated mint. Only with its token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

from anyio import to_thread
from attrs import frozen
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..engine.simulated.mint import SimulatedMint
from ..storage.errors import NutstateError
from .actions import ACTIONS, READS, Action, read
from .endpoints import TooLarge, read_body
from .errors import AdminNotAllowed, InvalidAdminRequest

_STATUS = {"INVALID_ADMIN_REQUEST": 400, "ADMIN_NOT_ALLOWED": 403, "ADMIN_NOT_POSSIBLE": 409}


@frozen
class Admin:
    """The actions as routes. ``token`` None: every request is refused."""

    mint: SimulatedMint
    token: str | None

    def routes(self) -> list[Route]:
        """Every path below ``/admin``."""
        return [
            Route("/", self._guarded(self._list), methods=["GET"]),
            *(
                Route(
                    f"/{path}",
                    self._guarded(self._runs(action)),
                    methods=["GET" if path in READS else "POST"],
                )
                for path, action in ACTIONS.items()
            ),
        ]

    def _guarded(self, answer: Callable[[bytes], dict[str, Any]]) -> Callable[[HttpRequest], Any]:
        async def respond(request: HttpRequest) -> JSONResponse:
            try:
                self._check_token(request)
                raw = await read_body(request)
                return JSONResponse(await to_thread.run_sync(answer, raw))
            except TooLarge:
                error: NutstateError = InvalidAdminRequest("the body is too large")
            except NutstateError as refused:
                error = refused
            return JSONResponse({"error": error.as_dict()}, _STATUS[error.code])

        return respond

    def _check_token(self, request: HttpRequest) -> None:
        if self.token is None:
            raise AdminNotAllowed("the admin path is off; start the server with --admin-token TOKEN")
        kind, _, said = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(said.encode(), self.token.encode()):
            raise AdminNotAllowed(
                "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            )

    def _list(self, _: bytes) -> dict[str, Any]:
        return {
            "actions": {
                path: {
                    "method": "GET" if path in READS else "POST",
                    "about": action.about,
                    "fields": {
                        name: {"kind": field.kind, "needed": field.needed}
                        for name, field in action.fields.items()
                    },
                }
                for path, action in ACTIONS.items()
            }
        }

    def _runs(self, action: Action) -> Callable[[bytes], dict[str, Any]]:
        def run(raw: bytes) -> dict[str, Any]:
            given = read(action, _object(raw))
            try:
                return action.run(self.mint, given)
            except ValueError as error:  # the mint's own word for wrong use; it holds no secret
                raise action.wrong(str(error)) from None

        return run


def _object(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        found = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidAdminRequest("the body is no JSON") from None
    if not isinstance(found, dict):
        raise InvalidAdminRequest("the body is no JSON object")
    return found
