"""Requests over HTTP, read into requests of the simulated mint. One that cannot be read is a 422."""

from __future__ import annotations

import json
from typing import Any

from ..engine.cashu.coins import crypto
from ..engine.cashu.port import BlindedMessage, Refused
from ..engine.simulated.ledger import ITEMS_MAX
from ..machines.money import is_amount
from ..storage.secret import Secret

TEXT_CHARS_MAX = 10_000


class Unreadable(Exception):
    """The request is not as its NUT demands. Its text names the place, never the content."""

    def as_refusal(self) -> Refused:
        """The same as an answer."""
        return Refused(None, f"body: {self}", definitive=False, status=422)


def document(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body."""
    try:
        found = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unreadable("invalid JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("no object")
    return found


def text(body: dict[str, Any], name: str) -> str:
    """A text that must be there."""
    found = body.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= TEXT_CHARS_MAX:
        raise Unreadable(f"{name} is missing or no text")
    return found


def amount(body: dict[str, Any]) -> int:
    """The amount of a mint quote."""
    found = body.get("amount")
    if not isinstance(found, int) or not is_amount(found):
        raise Unreadable("amount is missing or no amount")
    return found


def public_key(body: dict[str, Any]) -> str | None:
    """NUT-20: the key of a locked quote, if it is one."""
    found = body.get("pubkey")
    if found is not None and not crypto.is_point(found):
        raise Unreadable("pubkey is no public key")
    return None if found is None else str(found)


def points(body: dict[str, Any]) -> list[str]:
    """NUT-07: the Ys."""
    found = _items(body, "Ys")
    if not all(crypto.is_point(item) for item in found):
        raise Unreadable("Ys holds something else")
    return found


def outputs(body: dict[str, Any]) -> list[BlindedMessage]:
    """NUT-09: the blinded messages."""
    return [_output(item) for item in _items(body, "outputs")]


def write(raw: bytes) -> Secret:
    """The body of a write. The mint itself reads it."""
    try:
        return Secret(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unreadable("invalid JSON") from None


def _items(body: dict[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    if not isinstance(found, list) or len(found) > ITEMS_MAX:
        raise Unreadable(f"{name} is missing, no list or too long")
    return found


def _output(item: object) -> BlindedMessage:
    if not isinstance(item, dict):
        raise Unreadable("outputs holds something else")
    keyset_id, named, worth = item.get("id"), item.get("B_"), item.get("amount", 0)
    if not isinstance(keyset_id, str) or not isinstance(named, str) or not crypto.is_point(named):
        raise Unreadable("outputs holds no blinded message")
    if not isinstance(worth, int) or not is_amount(worth, 0):
        raise Unreadable("outputs holds no amount")
    return BlindedMessage(keyset_id, worth, named)
