"""BOLT-11 invoices: as much as a wallet needs to know what it pays, and no more."""

from __future__ import annotations

import hashlib
import re

import bech32
from attrs import field, frozen
from coincurve import PublicKey

from ..remembered import SharedMemory

INVOICE_CHARS_MAX = 7089  # what fits a QR code; BOLT-11 itself names no limit, and bech32's 90 does not apply
DEFAULT_EXPIRY_S = 3600
INVOICES_REMEMBERED_MAX = 1000
_PREFIX = re.compile(r"ln(bcrt|tbs|bc|tb)(?:(\d+)([munp]?))?")
_MSAT = {"": 100_000_000_000, "m": 100_000_000, "u": 100_000, "n": 100}
_AMOUNT_DIGITS_MAX = 18
_SIGNATURE_WORDS = 104
_PAYMENT_HASH, _DESCRIPTION, _EXPIRY, _PAYEE, _SECRET = 1, 13, 6, 19, 16


class InvalidInvoice(ValueError):
    """The text is no BOLT-11 invoice, or a damaged one. The message never repeats the invoice."""


@frozen
class Invoice:
    """The content of an invoice. ``amount_msat`` is None if the payer may choose; ``timestamp`` is epoch
    seconds, ``expiry_s`` counts from it; ``payee`` is the public key that signed it."""

    network: str
    amount_msat: int | None
    payment_hash: str
    timestamp: int
    expiry_s: int
    payee: str = field(repr=False)
    description: str | None = field(default=None, repr=False)

    @property
    def expires_at(self) -> int:
        """Epoch ms."""
        return (self.timestamp + self.expiry_s) * 1000


def decode_invoice(text: str) -> Invoice:
    """Decode and verify. Raises :class:`InvalidInvoice` for a wrong checksum, signature, prefix,
    amount or missing payment hash. Unknown fields and those of a wrong length are skipped, as BOLT-11
    asks; feature bits are the payer's (the mint's) business and are not judged."""
    if not isinstance(text, str) or not 0 < len(text) <= INVOICE_CHARS_MAX:
        raise InvalidInvoice("not an invoice")
    hrp, words = bech32.bech32_decode(text)
    if hrp is None or words is None or len(words) < _SIGNATURE_WORDS + 7:
        raise InvalidInvoice("wrong checksum or too short")
    network, amount_msat = _prefix(hrp)
    payload, signature = words[:-_SIGNATURE_WORDS], words[-_SIGNATURE_WORDS:]
    fields = _fields(payload[7:])
    if _PAYMENT_HASH not in fields:
        raise InvalidInvoice("no payment hash")
    expiry = fields.get(_EXPIRY)
    return Invoice(
        network=network,
        amount_msat=amount_msat,
        payment_hash=_bytes(fields[_PAYMENT_HASH])[:32].hex(),
        timestamp=_number(payload[:7]),
        expiry_s=DEFAULT_EXPIRY_S if expiry is None else min(_number(expiry), 2**40),
        payee=_payee(hrp, payload, signature, fields.get(_PAYEE)),
        description=_description(fields.get(_DESCRIPTION)),
    )


def known_invoice(text: str) -> Invoice:
    """As :func:`decode_invoice`; an invoice that this process decoded lately is not decoded again. It is
    remembered by its hash, and one that does not decode is not remembered."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    known = _known.get(digest)
    if known is None:
        known = decode_invoice(text)
        _known.put(digest, known)
    return known


_known: SharedMemory[bytes, Invoice] = SharedMemory(INVOICES_REMEMBERED_MAX)


def expiry_of(text: str) -> int | None:
    """When an invoice runs out by itself, in epoch ms (BOLT-11, 3600 s if it does not say); None for one
    that cannot be read."""
    try:
        return decode_invoice(text.lower()).expires_at
    except InvalidInvoice:
        return None


def signed_hash(hrp: str, words: list[int]) -> bytes:
    """The hash that the signature of an invoice signs."""
    return hashlib.sha256(hrp.encode() + bytes(bech32.convertbits(words, 5, 8, True) or ())).digest()


def _prefix(hrp: str) -> tuple[str, int | None]:
    found = _PREFIX.fullmatch(hrp)
    if not found:
        raise InvalidInvoice("unknown prefix or amount")
    network, digits, unit = found.groups()
    if digits is None:
        return network, None
    if digits.startswith("0") or len(digits) > _AMOUNT_DIGITS_MAX:
        raise InvalidInvoice("not an amount")
    if unit == "p":
        if int(digits) % 10:
            raise InvalidInvoice("not a whole number of millisatoshi")
        return network, int(digits) // 10
    return network, int(digits) * _MSAT[unit]


def _fields(words: list[int]) -> dict[int, list[int]]:
    """Tagged fields by tag; of several readable ones with the same tag the first counts."""
    fields: dict[int, list[int]] = {}
    position = 0
    while position < len(words):
        if position + 3 > len(words):
            raise InvalidInvoice("truncated field")
        tag, length = words[position], words[position + 1] * 32 + words[position + 2]
        position += 3
        if position + length > len(words):
            raise InvalidInvoice("truncated field")
        wanted = {_PAYMENT_HASH: 52, _SECRET: 52, _PAYEE: 53}.get(tag, length)
        if length == wanted:
            fields.setdefault(tag, words[position : position + length])
        position += length
    return fields


def _payee(hrp: str, payload: list[int], signature: list[int], named: list[int] | None) -> str:
    raw = _bytes(signature)
    try:
        signer = PublicKey.from_signature_and_message(raw, signed_hash(hrp, payload), hasher=None)
    except ValueError:
        raise InvalidInvoice("wrong signature") from None
    payee = signer.format().hex()
    if named is not None and _bytes(named)[:33].hex() != payee:
        raise InvalidInvoice("signed by another key than the payee's")
    return payee


def _description(words: list[int] | None) -> str | None:
    return None if words is None else _bytes(words).decode("utf-8", "replace")


def _bytes(words: list[int]) -> bytes:
    """Whole bytes of the words; up to 7 padding bits at the end are dropped."""
    raw = bytes(bech32.convertbits(words, 5, 8, True) or ())
    return raw[: len(words) * 5 // 8]


def _number(words: list[int]) -> int:
    value = 0
    for word in words:
        value = value << 5 | word
    return value
