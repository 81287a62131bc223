"""Cashu's blind signatures (NUT-00) and their DLEQ proofs (NUT-12) on libsecp256k1.

Points and scalars come and go as hex. A text that is not a compressed curve point or a scalar of
1..n-1 raises :class:`InvalidPoint`; the ``verify_…`` functions answer False instead.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from coincurve import PublicKey

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DOMAIN = b"Secp256k1_HashToCurve_Cashu_"
_NONCE_TAG = b"Cashu_DLEQ_R_v1"
_POINT = re.compile(r"0[23][0-9a-fA-F]{64}")
_SCALAR = re.compile(r"[0-9a-fA-F]{64}")


class InvalidPoint(ValueError):
    """The text is no point of the curve and no scalar of 1..n-1, or a result is at infinity. Holds no
    value."""

    def __init__(self, what: str = "not a valid curve point or scalar") -> None:
        super().__init__(what)


def point(text: str) -> PublicKey:
    """Parse a compressed point. Uncompressed and hybrid encodings are refused (NUT-01)."""
    if not isinstance(text, str) or not _POINT.fullmatch(text):
        raise InvalidPoint("not a compressed point")
    try:
        return PublicKey(bytes.fromhex(text))
    except ValueError:
        raise InvalidPoint("not a point of the curve") from None


def scalar(text: str) -> bytes:
    """Parse a scalar of 1..n-1 to its 32 bytes."""
    if not isinstance(text, str) or not _SCALAR.fullmatch(text):
        raise InvalidPoint("not a 32-byte scalar")
    raw = bytes.fromhex(text)
    if not 0 < int.from_bytes(raw, "big") < ORDER:
        raise InvalidPoint("scalar out of range")
    return raw


def is_point(text: object) -> bool:
    """Whether the text is a compressed point of the curve."""
    try:
        point(text)  # type: ignore[arg-type]
    except InvalidPoint:
        return False
    return True


def hash_to_curve(message: bytes) -> PublicKey:
    """NUT-00: the point a secret stands for."""
    digest = hashlib.sha256(_DOMAIN + message).digest()
    for counter in range(1 << 16):
        candidate = hashlib.sha256(digest + counter.to_bytes(4, "little")).digest()
        try:
            return PublicKey(b"\x02" + candidate)
        except ValueError:
            continue
    raise InvalidPoint("no point for this message")


def y_of(secret: str) -> str:
    """NUT-07: the name (Y, hex) under which the mint knows the proof with this secret."""
    return hash_to_curve(_utf8(secret)).format().hex()


def public_key(k: str) -> str:
    """The point k*G of a private key."""
    return PublicKey.from_valid_secret(scalar(k)).format().hex()


def blind(secret: str, r: str) -> str:
    """NUT-00, Alice: B_ = Y + r*G."""
    return _add(hash_to_curve(_utf8(secret)), PublicKey.from_valid_secret(scalar(r))).format().hex()


def named_and_blinded(secret: str, r: str) -> tuple[str, str]:
    """NUT-07 and NUT-00: (Y, B_) of a secret and its blinding factor."""
    Y = hash_to_curve(_utf8(secret))
    return Y.format().hex(), _add(Y, PublicKey.from_valid_secret(scalar(r))).format().hex()


def sign(B_: str, k: str) -> str:
    """NUT-00, Bob: C_ = k*B_."""
    return point(B_).multiply(scalar(k)).format().hex()


def unblind(C_: str, r: str, A: str) -> str:
    """NUT-00, Alice: C = C_ - r*A, where A is the mint's key for the amount."""
    return _add(point(C_), point(A).multiply(_negate(scalar(r)))).format().hex()


def verify_proof(secret: str, C: str, k: str) -> bool:
    """NUT-00, as the mint (Bob): whether C = k*Y, so that the mint's key k signed the proof."""
    try:
        return hash_to_curve(_utf8(secret)).multiply(scalar(k)).format() == point(C).format()
    except InvalidPoint:
        return False


def hash_e(*points: PublicKey) -> bytes:
    """NUT-12: the challenge over uncompressed points written as hex."""
    return hashlib.sha256("".join(p.format(compressed=False).hex() for p in points).encode()).digest()


def prove_dleq(B_: str, C_: str, k: str) -> tuple[str, str]:
    """NUT-12, Bob: (e, s) proving that C_ was signed with the key of k*G. The nonce is derived."""
    key, blinded, signed = scalar(k), point(B_), point(C_)
    A = PublicKey.from_valid_secret(key)
    nonce = _dleq_nonce(key, A, blinded, signed)
    e = hash_e(PublicKey.from_valid_secret(nonce), blinded.multiply(nonce), A, signed)
    s = (int.from_bytes(nonce, "big") + int.from_bytes(e, "big") * int.from_bytes(key, "big")) % ORDER
    return e.hex(), s.to_bytes(32, "big").hex()


def verify_dleq(A: str, B_: str, C_: str, e: str, s: str) -> bool:
    """NUT-12, Alice: whether C_ was signed with the mint's key A. Hostile values are simply False."""
    try:
        return _verify_dleq(point(A), point(B_), point(C_), scalar(e), scalar(s))
    except InvalidPoint:
        return False


def verify_proof_dleq(A: str, secret: str, C: str, e: str, s: str, r: str) -> bool:
    """NUT-12, as the receiver (Carol): the same for a received proof that came with its blinding factor r."""
    try:
        key, factor = point(A), scalar(r)
        signed = _add(point(C), key.multiply(factor))
        blinded = _add(hash_to_curve(_utf8(secret)), PublicKey.from_valid_secret(factor))
        return _verify_dleq(key, blinded, signed, scalar(e), scalar(s))
    except InvalidPoint:
        return False


def _verify_dleq(A: PublicKey, B_: PublicKey, C_: PublicKey, e: bytes, s: bytes) -> bool:
    minus_e = _negate(e)
    R1 = _add(PublicKey.from_valid_secret(s), A.multiply(minus_e))
    R2 = _add(B_.multiply(s), C_.multiply(minus_e))
    return hmac.compare_digest(hash_e(R1, R2, A, C_), e)


def _dleq_nonce(key: bytes, A: PublicKey, B_: PublicKey, C_: PublicKey) -> bytes:
    base = _NONCE_TAG + b"".join(p.format(compressed=False) for p in (A, B_, C_))
    for counter in range(256):
        nonce = hmac.digest(key, base + bytes([counter]), "sha256")
        if 0 < int.from_bytes(nonce, "big") < ORDER:
            return nonce
    raise InvalidPoint("no nonce")


def _add(left: PublicKey, right: PublicKey) -> PublicKey:
    try:
        return left.combine([right])
    except ValueError:
        raise InvalidPoint("sum at infinity") from None


def _negate(value: bytes) -> bytes:
    return (ORDER - int.from_bytes(value, "big")).to_bytes(32, "big")


def _utf8(secret: str) -> bytes:
    try:
        return secret.encode()
    except UnicodeEncodeError:
        raise InvalidPoint("secret is not UTF-8") from None
