"""Small things about proofs that more than one part of the engine needs."""

from __future__ import annotations

import attrs

from ..storage.records import Proof
from .mint.crypto import y_of


def name_of(proof: Proof) -> str:
    """Y, the NUT-07 name of a proof (hex); computed if the record does not carry it."""
    return proof.Y or y_of(proof.secret.reveal())


def named(proof: Proof) -> Proof:
    """The proof with its Y."""
    return proof if proof.Y else attrs.evolve(proof, Y=name_of(proof))
