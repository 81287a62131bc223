"""Spending conditions as the simulated mint enforces them: P2PK (NUT-11) and HTLC (NUT-14) of NUT-10."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from coincurve import PublicKeyXOnly

from ..cashu.coins import crypto
from .refusals import No
from .state import Document

KINDS = frozenset({"P2PK", "HTLC"})
SIGNATURES_MAX = 100
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}")


class _Unreadable(ValueError):
    """A lock or a witness that has not the form its NUT demands."""


@frozen
class Lock:
    """A NUT-10 secret that is a condition."""

    kind: str
    data: str
    tags: tuple[tuple[str, ...], ...]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a tag."""
        return next((tag[1:] for tag in self.tags if tag[:1] == (name,)), ())

    def number(self, name: str, default: int) -> int:
        """The whole number of a tag."""
        found = self.all(name)
        if not found:
            return default
        if not re.fullmatch(r"[0-9]{1,15}", found[0]):
            raise _Unreadable(f"{name} is no number")
        return int(found[0])

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the normal way: ``n_sigs`` of them sign."""
        return (self.data, *self.all("pubkeys")) if self.kind == "P2PK" else self.all("pubkeys")

    @property
    def is_over_everything(self) -> bool:
        """Whether the signatures are about all inputs and outputs together (SIG_ALL)."""
        flag = (self.all("sigflag") or ("SIG_INPUTS",))[0]
        if flag not in ("SIG_INPUTS", "SIG_ALL"):
            raise _Unreadable("the sigflag is unknown")
        return flag == "SIG_ALL"


def read_lock(secret: str) -> Lock | None:
    """The condition that a secret is; None for a plain secret and for kinds that no NUT knows."""
    if not secret.startswith("["):
        return None
    try:
        kind, body = json.loads(secret)
        if kind not in KINDS:
            return None
        tags = tuple(tuple(str(part) for part in tag) for tag in body.get("tags") or ())
        if not isinstance(body["data"], str):
            raise _Unreadable("the data is no text")
        return Lock(kind, body["data"], tags)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def check_conditions(
    inputs: Sequence[Document],
    outputs: Sequence[Document],
    now_s: Callable[[], int],
    quote_id: str = "",
) -> None:
    """Refuse (11000, as Nutshell does) unless the witnesses open the locks of the inputs."""
    try:
        _check(inputs, outputs, now_s, quote_id)
    except _Unreadable as error:
        raise No(11000, f"spending condition: {error}") from None


def _check(
    inputs: Sequence[Document], outputs: Sequence[Document], now_s: Callable[[], int], quote_id: str
) -> None:
    locks = [read_lock(proof["secret"]) for proof in inputs]
    if any(lock is not None and lock.is_over_everything for lock in locks):
        first = locks[0]
        if first is None or any(lock != first for lock in locks):
            raise _Unreadable("not all secrets are equal")
        for proof in inputs[1:]:
            if first.kind == "HTLC" and not _opens(first, _witness(proof)) and not _over(first, now_s):
                raise _Unreadable("an input has no preimage")
        _open(first, _witness(inputs[0]), _messages(inputs, outputs, quote_id), now_s)
        return
    for proof, lock in zip(inputs, locks, strict=True):
        if lock is not None:
            _open(lock, _witness(proof), [_digest(proof["secret"])], now_s)


def _open(
    lock: Lock, witness: Mapping[str, Any], messages: Sequence[bytes], now_s: Callable[[], int]
) -> None:
    signatures = witness.get("signatures") or []
    if not isinstance(signatures, list) or len(signatures) > SIGNATURES_MAX:
        raise _Unreadable("the signatures are no list")
    normal = lock.kind == "P2PK" or _opens(lock, witness)
    if normal and _signed(lock.keys, lock.number("n_sigs", 1), signatures, messages):
        return
    if _over(lock, now_s):
        refund = lock.all("refund")
        if _signed(refund, lock.number("n_sigs_refund", 1), signatures, messages):
            return
    if not normal:
        raise _Unreadable("HTLC preimage does not match")
    raise _Unreadable("signature threshold not met")


def _over(lock: Lock, now_s: Callable[[], int]) -> bool:
    locktime = lock.number("locktime", 0)
    return 0 < locktime < now_s()


def _opens(lock: Lock, witness: Mapping[str, Any]) -> bool:
    preimage = witness.get("preimage")
    if not isinstance(preimage, str) or not _HASH.fullmatch(preimage):
        return False
    digest = hashlib.sha256(bytes.fromhex(preimage)).hexdigest()
    return hmac.compare_digest(digest.encode(), lock.data.lower().encode())


def _signed(
    keys: Sequence[str], wanted: int, signatures: Sequence[object], messages: Sequence[bytes]
) -> bool:
    """Whether ``wanted`` of the keys signed one of the messages. Without keys nothing needs a signature."""
    different = {key.lower() for key in keys}
    distinct = {key[2:] for key in different}
    if not distinct:
        return True
    if len(distinct) != len(different) or not all(crypto.is_point(key) for key in keys):
        raise _Unreadable("the keys are not distinct points")
    if not 0 < wanted <= len(distinct):
        raise _Unreadable("n_sigs does not fit the number of keys")
    readable = {text.lower() for text in signatures if isinstance(text, str) and _SIGNATURE.fullmatch(text)}
    return any(
        sum(any(_verifies(key, text, message) for text in readable) for key in distinct) >= wanted
        for message in messages
    )


def _verifies(x_only: str, signature: str, message: bytes) -> bool:
    return PublicKeyXOnly(bytes.fromhex(x_only)).verify(bytes.fromhex(signature), message)


def _messages(inputs: Sequence[Document], outputs: Sequence[Document], quote_id: str) -> list[bytes]:
    """The texts that SIG_ALL signs: that of NUT-11, and that of Nutshell 0.20."""
    now = "".join(proof["secret"] + proof["C"] for proof in inputs)
    now += "".join(str(output["amount"]) + output["B_"] for output in outputs)
    before = "".join(proof["secret"] for proof in inputs) + "".join(output["B_"] for output in outputs)
    return [_digest(now + quote_id), _digest(before + quote_id)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _witness(proof: Document) -> Mapping[str, Any]:
    try:
        witness = json.loads(proof.get("witness") or "{}")
    except (ValueError, RecursionError):
        raise _Unreadable("the witness is no JSON") from None
    if not isinstance(witness, dict):
        raise _Unreadable("the witness is no object")
    return witness


def verify_quote_signature(
    pubkey: str, quote_id: str, outputs: Sequence[Document], signature: object
) -> bool:
    """NUT-20: whether the key of a mint quote signed the outputs that are to be issued."""
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return False
    message = _digest(quote_id + "".join(output["B_"] for output in outputs))
    return _verifies(pubkey[2:], signature, message)
