"""The proof value of an answer that is not a success. Codes are those of the NUT error list.

An allow-list: only the codes below prove that a request was not executed. Codes were renumbered
between releases and mean different things at different mints, so every other code proves nothing.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ....machines.money import is_amount
from ..port import Ambiguous, Refused

DEFINITIVE = frozenset({10001, *range(11005, 11016), *range(12001, 12004), *range(30001, 31005)})
"""Proof invalid, unbalanced or malformed transactions, unknown or inactive keysets, authorisation."""

DEFINITIVE_IF_UNSENT = frozenset({20007})
"""Quote expired: a proof only while nothing was ever sent, for an expired melt may still be paid."""

_ABOUT_INPUTS = frozenset({10001, *range(12001, 12004)})
_ABOUT_LIMITS = frozenset({11014, 11015})
_ABOUT_PAYMENT = frozenset({20004, 20007})

DETAIL_CHARS_MAX = 160
TEXT_CHARS_MAX = 4_000  # of a text that is looked at at all
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20,}")


def is_definitive(code: int | None, *, nothing_sent: bool = False) -> bool:
    """Whether the code proves that the request was not executed and never will be.

    ``nothing_sent`` says that no earlier request of the same operation can have reached the mint."""
    return code in DEFINITIVE or (nothing_sent and code in DEFINITIVE_IF_UNSENT)


def refusal_kind(answer: object) -> str | None:
    """The cause of a mint's clear refusal of a payment: ``inputs`` (a coin, or the keyset it is of),
    ``limit`` (too many inputs or outputs), ``payment`` (anything else). None: the answer does not show that
    the mint itself turned this very request down."""
    if not isinstance(answer, Refused) or answer.code is None:
        return None
    if answer.code in _ABOUT_LIMITS:
        return "limit"
    if answer.code in _ABOUT_INPUTS:
        return "inputs"
    return "payment" if answer.code in _ABOUT_PAYMENT or answer.definitive else None


def safe_detail(text: str) -> str:
    """The mint's own words, fit to log: first line, bounded, and without anything long enough to be
    a secret (mints echo the request, proofs included, in validation and database errors)."""
    line = text[:TEXT_CHARS_MAX].strip().split("\n", 1)[0]
    shown = "".join(c if c.isprintable() else "�" for c in line)
    return _LONG_RUN.sub("…", shown)[:DETAIL_CHARS_MAX]


def classify_error(status: int, payload: object, location: str | None = None) -> Refused | Ambiguous:
    """Judge an HTTP answer that is no 2xx. ``payload`` is the decoded JSON, or None if the body was none.

    A 4xx with a JSON object is the mint's own refusal; 408, 429, 5xx, redirects and bodies that are
    not JSON may come from anything on the way, before or after execution, and are ambiguous."""
    code, detail = _read_error(payload)
    if 300 <= status < 400:
        return Ambiguous(f"HTTP {status}: {_moved(location)}", code, status=status)
    if 400 <= status < 500 and status not in (408, 429) and isinstance(payload, dict):
        return Refused(code, detail or f"HTTP {status}", is_definitive(code), status)
    said = f"HTTP {status}: {detail}" if detail else f"HTTP {status}"
    return Ambiguous(said, code, status=status)


def _moved(location: str | None) -> str:
    """Where a mint says it has gone, without the path, which may name a quote. Money never follows it."""
    try:
        there = urlsplit(location or "")
        host = f"{there.scheme}://{there.hostname}" if there.scheme and there.hostname else "another path"
    except ValueError:
        host = "an address that cannot be read"
    return f"the mint has moved to {safe_detail(host)}; that is not followed, give it the new address"


def _read_error(payload: object) -> tuple[int | None, str]:
    if not isinstance(payload, dict):
        return None, ""
    code = payload.get("code")
    detail = payload.get("detail")
    if isinstance(detail, list):
        detail = "; ".join(_validation(item) for item in detail[:3])
    return (code if is_amount(code, 0) else None), (safe_detail(detail) if isinstance(detail, str) else "")


def _validation(item: object) -> str:
    """One entry of a 422 detail. Its ``input`` is the request itself and must not be repeated."""
    if not isinstance(item, dict):
        return "invalid request"
    where = item.get("loc")
    parts = (
        [str(part) for part in where[:10] if isinstance(part, str | int)] if isinstance(where, list) else []
    )
    kind = item.get("type")
    return f"{'.'.join(parts) or 'request'}: {kind if isinstance(kind, str) else 'invalid'}"
