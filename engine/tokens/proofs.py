"""Small questions about proofs and payments that more than one part of the engine asks."""

from __future__ import annotations

import hashlib
import json

import attrs

from ...storage.batch import proof_key
from ...storage.records import Operation, Proof
from ...storage.secret import Secret
from ..cashu.coins.crypto import y_of


def name_of(proof: Proof) -> str:
    """Y, the NUT-07 name of a proof (hex); computed if the record does not carry it."""
    return proof.Y or y_of(proof.secret.reveal())


def named(proof: Proof) -> Proof:
    """The proof with its Y."""
    return proof if proof.Y else attrs.evolve(proof, Y=name_of(proof))


def preimage_matches(preimage: Secret, payment_hash: str | None) -> bool:
    """Whether SHA-256 of the preimage (hex) is the payment hash. False for anything malformed."""
    try:
        raw = bytes.fromhex(preimage.reveal())
    except ValueError:
        return False
    return hashlib.sha256(raw).hexdigest() == payment_hash


def sent_secrets(op: Operation) -> frozenset[Secret]:
    """The secrets of the proofs in the stored melt request, wherever those proofs are by now."""
    return frozenset(_sent(op))


def sent_keys(op: Operation) -> tuple[str, ...]:
    """The index keys of the proofs in the stored melt request, in its order."""
    return tuple(proof_key(secret) for secret in _sent(op))


def _sent(op: Operation) -> tuple[Secret, ...]:
    if op.request_body is None:
        return ()
    inputs = json.loads(op.request_body.reveal()).get("inputs", ())
    return tuple(Secret(str(item["secret"])) for item in inputs)


SECRET_CHARS_MAX = 512
"""A mint signs a secret unseen, and NUT-00 names no limit; but mints refuse long ones when they are to be
spent (above 512 characters, or 1024), and with them every request they are in."""


def can_be_spent(secret: Secret) -> bool:
    """Whether every mint takes a secret like this: 1 to SECRET_CHARS_MAX printable characters."""
    text = secret.reveal()
    return 0 < len(text) <= SECRET_CHARS_MAX and text.isprintable()
