"""NUT-13: secrets and blinding factors derived from a seed and a counter, so that they can be restored."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata

from coincurve import PublicKey

from .crypto import ORDER, InvalidPoint

COUNTER_MAX = 2**31 - 1  # the hardened index of the version 00 path
_HARDENED = 1 << 31


def seed_from_mnemonic(mnemonic: str, passphrase: str = "") -> bytes:
    """BIP-39: the 64-byte seed. The words are not checked against a list."""
    words = unicodedata.normalize("NFKD", mnemonic).encode()
    salt = unicodedata.normalize("NFKD", "mnemonic" + passphrase).encode()
    return hashlib.pbkdf2_hmac("sha512", words, salt, 2048)


def derive(seed: bytes, keyset_id: str, counter: int) -> tuple[str, str]:
    """(secret, blinding factor), both 64 hex characters, for one counter of one keyset.

    Version 01 ids use HMAC-SHA256, older ones BIP-32. Counters are 0..2^31-1; the caller never
    uses one twice. Raises ValueError for another counter or an id that is no keyset id."""
    if not 0 <= counter <= COUNTER_MAX:
        raise ValueError("counter out of range")
    if keyset_id.startswith("01"):
        return _derive_hmac(seed, keyset_id, counter)
    return _derive_bip32(seed, keyset_id, counter)


def keyset_int(keyset_id: str) -> int:
    """The keyset's number in the version 00 derivation path."""
    try:
        raw = bytes.fromhex(keyset_id)
    except ValueError:
        try:
            raw = base64.b64decode(keyset_id, validate=True)
        except binascii.Error:
            raise ValueError("not a keyset id") from None
    return int.from_bytes(raw, "big") % COUNTER_MAX


def _derive_hmac(seed: bytes, keyset_id: str, counter: int) -> tuple[str, str]:
    base = b"Cashu_KDF_HMAC_SHA256" + bytes.fromhex(keyset_id) + counter.to_bytes(8, "big")
    secret = hmac.digest(seed, base + b"\x00", "sha256")
    r = int.from_bytes(hmac.digest(seed, base + b"\x01", "sha256"), "big") % ORDER
    if not r:
        raise InvalidPoint("derived blinding factor is zero")
    return secret.hex(), r.to_bytes(32, "big").hex()


def _derive_bip32(seed: bytes, keyset_id: str, counter: int) -> tuple[str, str]:
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    for index in (129372, 0, keyset_int(keyset_id), counter):
        node = _child(node, index + _HARDENED)
    return _child(node, 0)[:32].hex(), _child(node, 1)[:32].hex()


def _child(node: bytes, index: int) -> bytes:
    """BIP-32 private child: 32 bytes key, 32 bytes chain code."""
    key, chain = node[:32], node[32:]
    body = b"\x00" + key if index >= _HARDENED else PublicKey.from_valid_secret(key).format()
    digest = hmac.digest(chain, body + index.to_bytes(4, "big"), "sha512")
    tweak = int.from_bytes(digest[:32], "big")
    child = (tweak + int.from_bytes(key, "big")) % ORDER
    if tweak >= ORDER or not child:
        raise InvalidPoint("this index has no key")
    return child.to_bytes(32, "big") + digest[32:]
