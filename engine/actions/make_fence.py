"""Melt: the swap to ourselves that makes an open request impossible."""

from __future__ import annotations

from ...machines.money import denominations
from ...storage.records import Fence, Reason
from ..evidence import Evidence
from ..keysets import NoUsableKeyset
from ..mint import wire
from ..mint.outputs import random_outputs
from ..run import Run


def new_fence(run: Run) -> Evidence:
    """A new generation: outputs worth the inputs less the input fee, and the exact swap request; evidence
    without a fence when none can be made. Raises MintSilent."""
    op, proofs = run.operation, run.input_proofs()
    can_restore = run.keysets.info(run.mint_url).supports(9)
    run.keysets.listed(op.mint_url, refresh=True)
    try:
        fee = run.keysets.fee_of(op.mint_url, proofs)
    except LookupError:
        fee = op.input_fee  # a keyset that is no longer listed: the fee of the same proofs in the melt
    worth = sum(proof.amount for proof in proofs) - fee
    if worth <= 0:
        return Evidence()
    try:
        _, keyset = run.keysets.usable(op.mint_url, op.unit, amount=worth)
    except NoUsableKeyset as none:
        return Evidence(reason=Reason(none.code, f"no fence can be made now: {none}"))
    outputs = random_outputs(keyset.id, denominations(worth, keyset.keys), run.rng)
    fence = Fence(len(op.fences) + 1, outputs, wire.swap_body(proofs, outputs), fee)
    return Evidence(fence=fence, mint_can_swap=True, mint_can_restore=can_restore)
