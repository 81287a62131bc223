"""Outputs of ours at the mint: made before a request, posted in a swap, and found again by NUT-09.

The mint takes all inputs of a swap or none, and signs all outputs of it or none."""

from __future__ import annotations

from collections.abc import Sequence

from ....machines.money import denominations
from ....storage.records import Output, Proof
from ....storage.secret import Secret
from ...cashu.coins.outputs import BadSignature, blinded, random_outputs, unblind_exact, unblind_restored
from ...cashu.keysets import MintSilent
from ...cashu.port import Ambiguous, Failure
from ...loop.drive import Run


def new_outputs(run: Run, *amounts: int, refresh: bool = False) -> tuple[Output, ...]:
    """Outputs worth these amounts, in their order, on one usable keyset and in amounts that it has keys for.
    Raises NoUsableKeyset or MintSilent."""
    op = run.operation
    _, keyset = run.keysets.usable(op.mint_url, op.unit, amounts=amounts, refresh=refresh)
    parts = [part for amount in amounts for part in denominations(amount, keyset.keys)]
    return random_outputs(keyset.id, parts, run.rng)


def post_swap(run: Run, body: Secret, outputs: Sequence[Output]) -> tuple[Proof, ...] | Failure:
    """Post a swap (NUT-03). Returns the proofs, in the order of the outputs. An answer whose signatures do
    not open is Ambiguous: the request may have been executed."""
    answer = run.mint.swap(run.mint_url, body)
    if isinstance(answer, Failure):
        return answer
    try:
        return unblind_exact(outputs, answer, run.keys)
    except (BadSignature, MintSilent):
        return Ambiguous("the signatures in the answer do not open")


def restored(run: Run, outputs: Sequence[Output]) -> tuple[Proof, ...] | None:
    """The proofs of those outputs that the mint has signed (NUT-09); () when it signed none of them. None
    when that is not known: the mint did not answer, or its answer does not open."""
    answer = run.mint.restore(run.mint_url, blinded(outputs))
    if isinstance(answer, Failure):
        return None
    if answer.is_empty:
        return ()
    try:
        return unblind_restored(outputs, answer, run.keys) or None
    except (BadSignature, MintSilent):
        return None
