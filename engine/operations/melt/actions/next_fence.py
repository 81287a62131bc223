"""Melt: which inputs are swapped to ourselves next, and the outputs for it."""

from __future__ import annotations

from collections.abc import Sequence

from .....machines.money import input_fee
from .....storage.batch import proof_key
from .....storage.records import Fence, Proof, Reason
from ....cashu.keysets import NoUsableKeyset
from ....loop.drive import Run
from ....loop.evidence import Evidence
from ...shared.outputs import new_outputs
from ..data import melt_of
from ..fences import Step, next_step, stored_bytes


def next_fence(run: Run) -> Evidence:
    """The next fence, with what the mint can do; or inputs that cannot be fenced."""
    can_restore = run.keysets.info(run.mint_url).supports(9)
    run.keysets.listed(run.mint_url, refresh=True)
    step = next_step(run.operation, _left(run), run.limits.of(run.mint_url))
    if step is None:
        return Evidence()
    proofs = inputs_of(run, step.keys)
    if step.action == "strand" or sum(proof.amount for proof in proofs) <= _fee(run, proofs):
        return Evidence(strand=step.keys, reason=_stranded(step, proofs))
    try:
        fence = new_fence(run, step.keys, proofs)
    except NoUsableKeyset as none:
        return Evidence(reason=Reason(none.code, f"no fence can be made now: {none}"))
    able = fence is not None
    return Evidence(fence=fence, mint_can_swap=able, mint_can_restore=able and can_restore)


def _left(run: Run) -> tuple[str, ...]:
    """The keys of the inputs that are still held, in the order in which they were sent."""
    held = {proof_key(proof.secret) for proof in run.input_proofs()}
    return tuple(key for key in melt_of(run.operation).sent_keys() if key in held)


def inputs_of(run: Run, keys: Sequence[str]) -> tuple[Proof, ...]:
    by_key = {proof_key(proof.secret): proof for proof in run.input_proofs()}
    return tuple(by_key[key] for key in keys)


def _stranded(step: Step, proofs: Sequence[Proof]) -> Reason:
    amount = sum(proof.amount for proof in proofs)
    if step.action == "strand":
        words = (
            f"the mint refuses a coin of {amount} alone and for good; an operator decides what becomes of it"
        )
    else:
        words = f"{len(proofs)} coins worth {amount} are left, which is no more than their own fee"
    return Reason("COINS_STRANDED", words, details={"amount": amount, "proofs": len(proofs)})


def _fee(run: Run, proofs: Sequence[Proof]) -> int:
    """NUT-02 fee. Of a keyset that is no longer listed: that of the same proofs in the melt if these are
    all of them, else nothing for its proofs, which the mint refuses anyway."""
    listed = {keyset.id: keyset.input_fee_ppk for keyset in run.keysets.listed(run.mint_url)}
    op = run.operation
    unknown = any(proof.id not in listed for proof in proofs)
    if unknown and len(proofs) == len(melt_of(op).sent_keys()):
        return melt_of(op).input_fee
    return input_fee(listed.get(proof.id, 0) for proof in proofs)


def new_fence(run: Run, keys: Sequence[str], proofs: Sequence[Proof]) -> Fence | None:
    """A new generation for these inputs: outputs worth them less the input fee. None when the operation
    would store more than it may. Raises NoUsableKeyset."""
    op, fee = run.operation, _fee(run, proofs)
    worth = sum(proof.amount for proof in proofs) - fee
    outputs = new_outputs(run, worth)
    inputs = () if len(keys) == len(melt_of(op).sent_keys()) else tuple(keys)
    fence = Fence(len(melt_of(op).fences) + 1, outputs, fee, inputs)
    if stored_bytes((*melt_of(op).fences, fence)) > run.settings.fence_bytes_max:
        return None
    return fence
