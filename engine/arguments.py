"""Checks of what a caller hands in. They know nothing of stores or mints and write nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice

import bech32

from ..machines.money import AMOUNT_MAX, is_amount
from ..storage.secret import Secret
from .audit.records import clean_text
from .cashu.bolt11 import InvalidInvoice, Invoice, known_invoice
from .cashu.coins.crypto import InvalidPoint
from .cashu.coins.locks import KEYS_MAX, Opener
from .cashu.spelling import one_spelling
from .errors import InvalidArgument

UNITS = ("sat", "msat")
AUDIT_KEY_LENGTH_MIN = 16
KEY_LENGTH_MAX = 200
REASON_LENGTH_MAX = 500
OPERATOR_LENGTH_MAX = 100
_HEX32 = re.compile(r"[0-9a-fA-F]{64}")


def npub(value: object) -> str:
    """NIP-19 public key: bech32 with prefix ``npub`` and 32 bytes. Code INVALID_NPUB."""
    if isinstance(value, str) and len(value) <= 100 and _is_npub(value):
        return value
    raise InvalidArgument("npub must be a bech32 public key starting with npub1", code="INVALID_NPUB")


@lru_cache(1024)
def _is_npub(text: str) -> bool:
    # Of the same few wallets a service asks all day.
    if not text.startswith("npub1"):
        return False
    prefix, words = bech32.bech32_decode(text)
    key = bech32.convertbits(words, 5, 8, False) if prefix == "npub" and words is not None else None
    return key is not None and len(key) == 32 and text == text.lower()


def mint_url(value: object) -> str:
    """An http or https address without user, query, fragment or dot segments, in one spelling: lower
    case host without trailing dot, no default port, no doubled or trailing slash.
    Code INVALID_MINT_URL."""
    try:
        return one_spelling(value)
    except ValueError:
        error = InvalidArgument("mint_url must be an http or https address", code="INVALID_MINT_URL")
    raise error


def unit(value: object) -> str:
    """``sat`` or ``msat``. Code INVALID_UNIT."""
    if isinstance(value, str) and value in UNITS:
        return value
    raise InvalidArgument(f"unit must be one of {', '.join(UNITS)}", code="INVALID_UNIT")


def amount(value: object, most: int = AMOUNT_MAX, name: str = "amount") -> int:
    """A positive whole number up to ``most``. Code INVALID_AMOUNT."""
    if is_amount(value) and value <= most:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise InvalidArgument(
        f"{name} must be a whole number from 1 to {most}{_not_this(value)}", code="INVALID_AMOUNT"
    )


def _not_this(value: object) -> str:
    """The number that was handed in, for the sentence of a refusal. Other values may be secrets."""
    return f", not {value}" if type(value) is int and abs(value) < 10**30 else ""


def amounts(value: object, count: int, most: int = AMOUNT_MAX) -> tuple[int, ...]:
    """1 to ``count`` positive whole numbers, at most ``most`` together. Code INVALID_AMOUNT."""
    listed = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    found = tuple(islice(value, count + 1)) if listed and isinstance(value, Iterable) else ()
    if not 0 < len(found) <= count:
        raise InvalidArgument(f"into must be a list of 1 to {count} amounts", code="INVALID_AMOUNT")
    for part in found:
        amount(part, most, "each amount of into")
    amount(sum(found), most, "the sum of into")
    return found


def invoice(value: object, unit_name: str) -> tuple[Secret, Invoice, int]:
    """A BOLT-11 invoice with an amount: the text, its content and its amount in the unit (rounded up).

    Codes INVALID_INVOICE, INVOICE_WITHOUT_AMOUNT. Whether it has expired is asked later: an operation
    that exists goes on whatever the invoice says now.
    """
    text, decoded = _decoded(value)
    in_unit = _in_unit(decoded, unit_name)
    if in_unit is None:
        raise InvalidArgument("the invoice names no amount", code="INVOICE_WITHOUT_AMOUNT")
    return text, decoded, in_unit


def payment_request(value: object, unit_name: str) -> tuple[Secret | None, str | None, int | None]:
    """A BOLT-11 invoice that the caller pays without us, or None: the text, its payment hash, and its
    amount in the unit (rounded up; None when it names none). Code INVALID_INVOICE."""
    if value is None:
        return None, None, None
    text, decoded = _decoded(value)
    return text, decoded.payment_hash, _in_unit(decoded, unit_name)


def _decoded(value: object) -> tuple[Secret, Invoice]:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str):
        raise InvalidArgument("invoice must be text", code="INVALID_INVOICE")
    text = text.strip().lower().removeprefix("lightning:")
    try:
        return Secret(text), known_invoice(text)
    except InvalidInvoice as error:
        raise InvalidArgument(f"not a BOLT-11 invoice: {error}", code="INVALID_INVOICE") from None


def _in_unit(decoded: Invoice, unit_name: str) -> int | None:
    if not decoded.amount_msat:
        return None
    return decoded.amount_msat if unit_name == "msat" else -(-decoded.amount_msat // 1000)


def idempotency_key(value: object) -> str | None:
    """Up to 200 printable characters, or None. Code INVALID_IDEMPOTENCY_KEY."""
    if value is None:
        return None
    if isinstance(value, str) and 0 < len(value) <= KEY_LENGTH_MAX and value.isprintable():
        return value
    raise InvalidArgument(
        f"an idempotency key is 1 to {KEY_LENGTH_MAX} printable characters", code="INVALID_IDEMPOTENCY_KEY"
    )


def wallet_id(value: object, default: str) -> str:
    """1 to 100 printable characters; the npub when not given. Code INVALID_WALLET_ID."""
    if value is None:
        return default
    if isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable():
        return value
    raise InvalidArgument("wallet_id is 1 to 100 printable characters", code="INVALID_WALLET_ID")


def source_ids(value: object, most: int, name: str = "sources") -> tuple[str, ...]:
    """Distinct token ids, or () for None. ``name`` is that of the argument. Code INVALID_SOURCES."""
    if value is None:
        return ()
    error = InvalidArgument(
        f"{name} must be a list of 1 to {most} distinct token ids", code="INVALID_SOURCES"
    )
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise error
    ids = tuple(value)
    if not 0 < len(ids) <= most or not all(isinstance(i, str) and 0 < len(i) <= 200 for i in ids):
        raise error
    if not all(name.isprintable() for name in ids):  # what is not, no store could hold
        raise error
    if len(set(ids)) != len(ids):
        raise error
    return ids


def operation_id(value: object) -> str:
    """The id of a stored operation: text of 1 to 100 characters. Code INVALID_FORMAT."""
    if isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable():
        return value
    raise InvalidArgument("an operation id is text of 1 to 100 characters", code="INVALID_FORMAT")


def fee(value: object, most: int = AMOUNT_MAX, name: str = "fee") -> int:
    """A fee, or another amount that may be 0: a whole number from 0 to ``most``. Code INVALID_AMOUNT."""
    if is_amount(value, 0) and value <= most:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise InvalidArgument(
        f"{name} must be a whole number from 0 to {most}{_not_this(value)}", code="INVALID_AMOUNT"
    )


def ttl(value: object, most_h: float) -> int:
    """The length of a hold in ms: 1 second or more, ``most_h`` hours or less. Code INVALID_TTL."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= most_h * 3600:
        return int(value * 1000)
    raise InvalidArgument(f"ttl_s must be 1 to {most_h * 3600:g} seconds", code="INVALID_TTL")


def seconds(value: object, name: str) -> float:
    """A finite number of seconds, 0 or more. Code INVALID_DURATION."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10**9:
        return float(value)
    raise InvalidArgument(f"{name} must be 0 or more seconds", code="INVALID_DURATION")


def limit(value: object, name: str = "limit", most: int = 10_000) -> int:
    """A number of items. Code INVALID_LIMIT."""
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidArgument(f"{name} must be a whole number from 1 to {most}", code="INVALID_LIMIT")
    return value


def reason(value: object) -> str:
    """The words of an operator: 1 to 500 characters; invoices, tokens and keys in it are hidden.
    Code OPERATOR_REASON_MISSING."""
    if isinstance(value, str) and 0 < len(value.strip()) <= REASON_LENGTH_MAX:
        return clean_text(value.strip())
    raise InvalidArgument(
        f"a reason of 1 to {REASON_LENGTH_MAX} characters is needed", code="OPERATOR_REASON_MISSING"
    )


def operator(value: object) -> str | None:
    """The name of the deciding person: 1 to 100 printable characters, or None; invoices, tokens and keys in
    it are hidden. Code INVALID_OPERATOR."""
    if value is None:
        return None
    if isinstance(value, str) and 0 < len(value.strip()) <= OPERATOR_LENGTH_MAX and value.isprintable():
        return clean_text(value.strip())
    raise InvalidArgument(
        f"operator is a name of 1 to {OPERATOR_LENGTH_MAX} printable characters", code="INVALID_OPERATOR"
    )


def choice(value: object, name: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words. Code INVALID_CHOICE."""
    if isinstance(value, str) and value in allowed:
        return value
    raise InvalidArgument(f"{name} must be one of {', '.join(allowed)}", code="INVALID_CHOICE")


def words(value: object, name: str) -> tuple[str, ...]:
    """A list of words, or none of them. Code INVALID_CHOICE."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{name} must be a list of words", code="INVALID_CHOICE")
    found = tuple(value)
    if not all(isinstance(word, str) for word in found):
        raise InvalidArgument(f"{name} must be a list of words", code="INVALID_CHOICE")
    return found


def audit_key(value: object) -> bytes | None:
    """The key that proves tombstones: 16 bytes or more, or as many characters. Code INVALID_AUDIT_KEY."""
    if value is None:
        return None
    key = value.reveal().encode() if isinstance(value, Secret) else value
    if isinstance(key, bytes) and len(key) >= AUDIT_KEY_LENGTH_MIN:
        return key
    raise InvalidArgument(
        f"the audit key is a Secret or bytes, {AUDIT_KEY_LENGTH_MIN} bytes or more", code="INVALID_AUDIT_KEY"
    )


def flag(value: object, name: str) -> bool:
    """True or False, and nothing that only counts as one."""
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} must be True or False", code="INVALID_CHOICE")
    return value


def opener(private_keys: object, preimage: object) -> Opener:
    """The opener of locked proofs: private keys and a preimage, each of 32 bytes in hex. Codes
    INVALID_PRIVATE_KEY, INVALID_PREIMAGE; no error repeats any of it."""
    texts = (private_keys,) if isinstance(private_keys, str | Secret) else private_keys
    try:
        keys = [_hex32(text) for text in islice(iter(texts), KEYS_MAX + 1)]  # type: ignore[call-overload]
    except TypeError:
        keys = [None]
    if None in keys or len(keys) > KEYS_MAX:
        raise InvalidArgument(
            f"private_keys must be at most {KEYS_MAX} keys of 32 bytes in hex", code="INVALID_PRIVATE_KEY"
        )
    shown = None if preimage is None else _hex32(preimage)
    if preimage is not None and shown is None:
        raise InvalidArgument("preimage must be 32 bytes in hex", code="INVALID_PREIMAGE")
    try:
        return Opener.of([key for key in keys if key is not None], shown)
    except InvalidPoint:
        error = InvalidArgument("a private key is no number of the curve", code="INVALID_PRIVATE_KEY")
    raise error


def _hex32(value: object) -> str | None:
    text = value.reveal() if isinstance(value, Secret) else value
    return text.lower() if isinstance(text, str) and _HEX32.fullmatch(text) else None
