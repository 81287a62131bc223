"""Transaction ids and the hashes that recognise the same request (requirements 5 and 6)."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from typing import Any

from ..errors import InvalidArgument

_ID = re.compile(r"[A-Za-z0-9_.:-]+")
LENGTH_MIN, LENGTH_MAX = 10, 100


def new_transaction_id(kind: str, now_ms: int) -> str:
    """``tx_<kind>_<epoch ms>_<random>`` with 96 random bits from the operating system."""
    return f"tx_{kind}_{now_ms}_{secrets.token_hex(12)}"


def validate_transaction_id(value: object) -> str:
    """Return a caller's id if it can be used: text of 10 to 100 letters, digits and ``_.:-``.

    Raises InvalidArgument with code INVALID_FORMAT (empty, not text, other characters) or
    INVALID_LENGTH. An id is also a prefix of derived ids, so the length leaves room for them.
    """
    if not isinstance(value, str) or not value:
        raise InvalidArgument("a transaction id must be text, and not empty", code="INVALID_FORMAT")
    if not LENGTH_MIN <= len(value) <= LENGTH_MAX:
        raise InvalidArgument(
            f"a transaction id has {LENGTH_MIN} to {LENGTH_MAX} characters",
            code="INVALID_LENGTH",
            length=len(value),
        )
    if not _ID.fullmatch(value):
        raise InvalidArgument(
            "a transaction id consists of letters, digits and _ . : -", code="INVALID_FORMAT"
        )
    return value


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def operation_hash(
    *,
    npub: str,
    mint_url: str,
    amount: int,
    source_ids: Iterable[str] = (),
    operation_type: str,
    payment_request: str | None = None,
) -> str:
    """64 hex characters that are equal exactly for equal requests. The order of ids is irrelevant,
    the caller's list is not touched, time and randomness play no part."""
    return _digest(
        {
            "amount": amount,
            "mint_url": mint_url,
            "npub": npub,
            "operation_type": operation_type,
            "payment_request": payment_request,
            "source_ids": sorted(source_ids),
        }
    )


def legacy_operation_hash(
    *, npub: str, mint_url: str, amount: int, source_ids: Iterable[str] = (), operation_type: str
) -> str:
    """The 16-hex form that token documents carry in ``metadata.operation_hash``."""
    return _digest(
        {
            "amount": amount,
            "mint_url": mint_url,
            "npub": npub,
            "operation_type": operation_type,
            "source_ids": sorted(source_ids),
        }
    )[:16]


def request_hash(**fields: Any) -> str:
    """Hash of everything an idempotency key is bound to."""
    return _digest(fields)
