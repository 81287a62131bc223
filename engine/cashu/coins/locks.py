"""Proofs that are spent under a condition (NUT-10): locked to keys (NUT-11), or to a hash and keys (NUT-14).

The private key is the caller's. It signs here, and is neither stored nor shown: the witness that it makes is
part of the request."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from coincurve import PrivateKey, PublicKeyXOnly

from ....storage.secret import Secret
from . import crypto

P2PK, HTLC = "P2PK", "HTLC"
NUTS: Mapping[str, str] = {P2PK: "NUT-11", HTLC: "NUT-14"}
KEYS_MAX = 12
"""Keys of one condition, and signatures of one witness: checking them takes their product."""
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,16}")
_ONCE = ("sigflag", "n_sigs", "locktime", "pubkeys", "refund", "n_sigs_refund")


class NotUnlocked(ValueError):
    """The proof cannot be spent with what the caller gave. ``code`` is PROOFS_LOCKED or LOCK_NOT_SUPPORTED;
    the text says what is missing, never a secret."""

    def __init__(self, why: str, *, code: str) -> None:
        super().__init__(why)
        self.code = code


@frozen
class Lock:
    """The condition of a proof. Keys are x-only, in hex; ``locktime`` is in epoch seconds."""

    kind: str
    data: str
    keys: tuple[str, ...]
    needed: int = 1
    locktime: int | None = None
    refund: tuple[str, ...] = ()
    refund_needed: int = 1


@frozen
class Opener:
    """The caller's means to open locked proofs: private keys by their x-only public key, and a preimage."""

    keys: Mapping[str, bytes] = field(factory=dict, repr=False)
    preimage: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, private_keys: Sequence[str] = (), preimage: str | None = None) -> Opener:
        """Of private keys and a preimage in hex. Raises InvalidPoint for a text that is no private key."""
        scalars = [crypto.scalar(text) for text in private_keys]
        return cls({crypto.public_key(raw.hex())[2:]: raw for raw in scalars}, preimage)


@frozen
class _Path:
    """One way to spend: so many signatures of these keys, and perhaps the preimage."""

    keys: tuple[str, ...]
    needed: int
    preimage: bool = False


def is_condition(secret: Secret) -> bool:
    """Whether a secret looks like a condition (NUT-10), so that a mint may ask for a witness."""
    return secret.reveal().lstrip().startswith("[")


def unlocked(secret: Secret, witness: Secret | None, opener: Opener, now_s: int) -> Secret | None:
    """The witness that spends the proof, made with the opener's keys and preimage, and with valid signatures
    that the proof came with. None when no witness is needed. Raises NotUnlocked."""
    if not is_condition(secret):
        return None
    lock, given = read_lock(secret), _given(witness)
    shortfalls: list[str] = []
    for path in _paths(lock, now_s):
        preimage = _preimage(lock, opener, given) if path.preimage else None
        signatures = tuple(_signatures(secret, path, opener, given))
        if path.preimage and preimage is None:
            shortfalls.append("the preimage of its hash")
        elif len(signatures) < path.needed:
            shortfalls.append(f"{path.needed} signatures ({len(signatures)} can be made with the given keys)")
        else:
            return _witness(preimage, signatures)
    later = (
        "" if lock.locktime is None or lock.locktime < now_s else "; it opens otherwise after its locktime"
    )
    needs = " or ".join(shortfalls)
    raise NotUnlocked(f"a proof is locked ({NUTS[lock.kind]}) and needs {needs}{later}", code="PROOFS_LOCKED")


def read_lock(secret: Secret) -> Lock:
    """The condition in a secret. Raises NotUnlocked (LOCK_NOT_SUPPORTED) for one that is malformed, of an
    unknown kind, or that signs all inputs and outputs together (SIG_ALL)."""
    try:
        kind, body = json.loads(secret.reveal(), parse_constant=_no_constant)
        if kind not in NUTS:
            raise _unsupported("its kind is neither P2PK nor HTLC")
        tags = _tags(body.get("tags"))
        if tags.get("sigflag", ["SIG_INPUTS"]) != ["SIG_INPUTS"]:
            raise _unsupported("its signature covers the outputs too (SIG_ALL), or in an unknown way")
        return _lock(kind, body["data"], tags)
    except NotUnlocked:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        error = _unsupported("it cannot be read")
    raise error  # outside: the cause would show the secret


def _lock(kind: str, data: Any, tags: Mapping[str, list[str]]) -> Lock:
    others = _keys(tags.get("pubkeys", []))
    if kind == HTLC and not _HASH.fullmatch(data):
        raise ValueError("no hash")
    keys = others if kind == HTLC else _keys([data, *tags.get("pubkeys", [])])
    return Lock(
        kind=kind,
        data=data,
        keys=keys,
        needed=_count(tags, "n_sigs") if keys else 0,
        locktime=_number(tags["locktime"]) if "locktime" in tags else None,
        refund=_keys(tags.get("refund", [])),
        refund_needed=_count(tags, "n_sigs_refund"),
    )


def _paths(lock: Lock, now_s: int) -> Iterator[_Path]:
    yield _Path(lock.keys, lock.needed, preimage=lock.kind == HTLC)
    if lock.locktime is not None and lock.locktime < now_s:
        yield _Path(lock.refund, lock.refund_needed if lock.refund else 0)


def _signatures(secret: Secret, path: _Path, opener: Opener, given: Mapping[str, Any]) -> Iterator[str]:
    """As many signatures as the path needs, or fewer: ours first, then valid ones that came with the
    proof."""
    message = hashlib.sha256(secret.reveal().encode()).digest()
    left, missing = list(path.keys), path.needed
    for key in path.keys:
        if missing and key in opener.keys:
            left.remove(key)
            missing -= 1
            yield PrivateKey(opener.keys[key]).sign_schnorr(message).hex()
    for signature in given.get("signatures", ()) if missing else ():
        signer = next((key for key in left if _signed(key, signature, message)), None)
        if missing and signer is not None:
            left.remove(signer)
            missing -= 1
            yield signature


def _signed(key: str, signature: str, message: bytes) -> bool:
    try:
        return PublicKeyXOnly(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
    except ValueError:
        return False


def _preimage(lock: Lock, opener: Opener, given: Mapping[str, Any]) -> str | None:
    """The preimage in hex of the caller, or the one that came with the proof; None when neither fits the
    hash."""
    for preimage in (opener.preimage, given.get("preimage")):
        if preimage is not None and hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == lock.data:
            return preimage
    return None


def _witness(preimage: str | None, signatures: tuple[str, ...]) -> Secret | None:
    body: dict[str, Any] = {} if preimage is None else {"preimage": preimage}
    if signatures:
        body["signatures"] = list(signatures)
    return Secret(json.dumps(body, separators=(",", ":"))) if body else None


def _given(witness: Secret | None) -> Mapping[str, Any]:
    """The readable parts of the witness that the proof came with."""
    try:
        body = json.loads(witness.reveal()) if witness is not None else {}
        found = [text for text in body.get("signatures") or () if _SIGNATURE.fullmatch(text)][:KEYS_MAX]
        preimage = body.get("preimage")
        return {
            "signatures": found,
            "preimage": preimage if isinstance(preimage, str) and _HASH.fullmatch(preimage) else None,
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}  # of no use: the caller's keys decide


def _tags(value: Any) -> dict[str, list[str]]:
    tags: dict[str, list[str]] = {}
    for name, *values in value or ():
        if name in tags and name in _ONCE:
            raise ValueError("a tag occurs twice")
        if not all(isinstance(text, str) for text in values):
            raise ValueError("not text")
        tags[name] = values
    return tags


def _keys(texts: Sequence[str]) -> tuple[str, ...]:
    """Distinct x-only keys: two signatures of one key are one."""
    found = tuple(dict.fromkeys(crypto.point(text).format().hex()[2:] for text in texts))
    if len(found) > KEYS_MAX:
        raise _unsupported(f"it names more than {KEYS_MAX} keys")
    return found


def _count(tags: Mapping[str, list[str]], name: str) -> int:
    count = _number(tags[name]) if name in tags else 1
    if count < 1:
        raise ValueError("no signature")
    return count


def _number(values: Sequence[str]) -> int:
    (text,) = values
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return int(text)


def _no_constant(name: str) -> Any:
    raise ValueError("not a number")


def _unsupported(why: str) -> NotUnlocked:
    return NotUnlocked(
        f"a proof is locked with a condition (NUT-10) that is not supported: {why}", code="LOCK_NOT_SUPPORTED"
    )
