"""Small questions about proofs and payments that more than one part of the engine asks."""

from __future__ import annotations

import hashlib

from ...storage.evolve import evolve
from ...storage.records import Proof
from ...storage.secret import Secret
from ..cashu.coins.crypto import y_of


def name_of(proof: Proof) -> str:
    """Y, the NUT-07 name of a proof (hex); computed if the record does not carry it."""
    return proof.Y or y_of(proof.secret.reveal())


def named(proof: Proof) -> Proof:
    """The proof with its Y."""
    return proof if proof.Y else evolve(proof, Y=name_of(proof))


def preimage_matches(preimage: Secret, payment_hash: str | None) -> bool:
    """Whether SHA-256 of the preimage (hex) is the payment hash. False for anything malformed."""
    try:
        raw = bytes.fromhex(preimage.reveal())
    except ValueError:
        return False
    return hashlib.sha256(raw).hexdigest() == payment_hash


SECRET_CHARS_MAX = 512
"""A mint signs a secret unseen, and NUT-00 names no limit; but mints refuse long ones when they are to be
spent (above 512 characters, or 1024), and with them every request they are in."""


def can_be_spent(secret: Secret) -> bool:
    """Whether every mint takes a secret like this: 1 to SECRET_CHARS_MAX printable characters."""
    text = secret.reveal()
    return 0 < len(text) <= SECRET_CHARS_MAX and text.isprintable()
