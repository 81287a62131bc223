"""Writing BOLT-11 invoices, for the simulated mint, the demo and tests. They are never paid on a real
network."""

from __future__ import annotations

import hashlib

import bech32
from coincurve import PrivateKey

from ..cashu.bolt11 import DEFAULT_EXPIRY_S, InvalidInvoice, signed_hash

_TEST_KEY = hashlib.sha256(b"nutstate test node").digest()
_FEATURES = [16, 8, 0]  # payment secret and variable-length onion required, as every payer expects


def make_invoice(
    amount_msat: int | None,
    *,
    timestamp: int,
    preimage: bytes | None = None,
    payment_hash: str | None = None,
    expiry_s: int = DEFAULT_EXPIRY_S,
    description: str = "",
    network: str = "bc",
    private_key: bytes = _TEST_KEY,
    payment_secret: bytes | None = None,
) -> str:
    """An invoice over ``amount_msat`` (None: any amount), signed and valid. Give either the 32-byte
    ``preimage`` or the ``payment_hash`` (hex). ``timestamp`` is epoch seconds."""
    if (preimage is None) == (payment_hash is None):
        raise InvalidInvoice("give either the preimage or the payment hash")
    hashed = hashlib.sha256(preimage).digest() if preimage is not None else bytes.fromhex(payment_hash or "")
    if len(hashed) != 32 or not 0 <= timestamp < 2**35 or expiry_s < 0:
        raise InvalidInvoice("not a payment hash, time or expiry")
    hrp = f"ln{network}{_amount(amount_msat)}"
    words = _words(timestamp, 7)
    words += _tagged(1, _pack(hashed))
    words += _tagged(16, _pack(payment_secret or hashlib.sha256(b"secret" + hashed).digest()))
    words += _tagged(13, _pack(description.encode()))
    words += _tagged(6, _words(expiry_s, max(1, (expiry_s.bit_length() + 4) // 5)))
    words += _tagged(5, _FEATURES)
    signature = PrivateKey(private_key).sign_recoverable(signed_hash(hrp, words), hasher=None)
    text: str = bech32.bech32_encode(hrp, words + _pack(signature))
    return text


def _amount(amount_msat: int | None) -> str:
    if amount_msat is None:
        return ""
    if amount_msat <= 0:
        raise InvalidInvoice("an amount is positive")
    for unit, msat in (("", 100_000_000_000), ("m", 100_000_000), ("u", 100_000), ("n", 100)):
        if amount_msat % msat == 0:
            return f"{amount_msat // msat}{unit}"
    return f"{amount_msat * 10}p"


def _tagged(tag: int, words: list[int]) -> list[int]:
    if len(words) > 1023:
        raise InvalidInvoice("field too long")
    return [tag, len(words) >> 5, len(words) & 31, *words]


def _pack(raw: bytes) -> list[int]:
    return list(bech32.convertbits(raw, 8, 5, True) or ())


def _words(value: int, n: int) -> list[int]:
    return [value >> 5 * (n - 1 - i) & 31 for i in range(n)]
