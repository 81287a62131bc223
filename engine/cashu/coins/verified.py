"""The memory of this process of DLEQ proofs (NUT-12) that it has verified. Reconciliation meets the same
coins again and again, and verifying one costs as much as a read."""

from __future__ import annotations

import hashlib

from ...remembered import SharedMemory
from . import crypto

PROOFS_REMEMBERED_MAX = 50_000
"""Of 32 bytes each; the proof that was not met for the longest time is forgotten first."""


class VerifiedProofs:
    """Proofs whose DLEQ holds. A proof is known by a digest over all values that its verification uses: with
    one value changed it is another proof, and is verified. One that does not hold is never remembered."""

    def __init__(self, most: int = PROOFS_REMEMBERED_MAX) -> None:
        self._known: SharedMemory[bytes, bool] = SharedMemory(most)

    def holds(self, A: str, secret: str, C: str, e: str, s: str, r: str) -> bool:
        """As :func:`crypto.verify_proof_dleq`, each proof verified once."""
        try:
            digest = _digest(A, secret, C, e, s, r)
        except UnicodeEncodeError:
            return False  # no secret of a coin
        if self._known.get(digest):
            return True
        held = crypto.verify_proof_dleq(A, secret, C, e, s, r)
        if held:
            self._known.put(digest, True)
        return held

    def note(self, A: str, secret: str, C: str, e: str, s: str, r: str) -> None:
        """The caller has verified this very proof."""
        self._known.put(_digest(A, secret, C, e, s, r), True)


def _digest(*values: str) -> bytes:
    """Of the values, each with its length, so that no two lists of values look alike."""
    found = hashlib.sha256()
    for value in values:
        raw = value.encode()
        found.update(b"%d:" % len(raw))
        found.update(raw)
    return found.digest()


VERIFIED = VerifiedProofs()
"""Of this process: engines that share it meet the same coins."""
