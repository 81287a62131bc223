"""Melt: fences of ours that the mint has signed, found by NUT-09."""

from __future__ import annotations

from .....storage.records import Fence, Proof
from ....loop.drive import Happened, Run
from ....loop.evidence import Evidence
from ...shared.outputs import restored
from ..fences import alive


def find_fence(run: Run) -> Happened | bool | None:
    """NUT-09 over every fence that may still be signed: the event if one is signed, True if none is, None
    if that is not known: the mint did not answer for one, or what it gave back cannot be used."""
    unknown = False
    for fence in alive(run.operation):
        proofs = restored(run, fence.outputs)
        if proofs is None:
            unknown = True
            continue
        if not proofs:
            continue
        found = fence_evidence(fence, proofs)
        if run.decide("fence_found", found).accepted:
            return Happened("fence_found", found)
        unknown = True
    return None if unknown else True


def signed_fences(run: Run) -> Evidence:
    """All signatures of the mint on the fences of a payment that was given up. Missing answers, and
    signatures that fail verification, are left out: the fences stay stored, and the next look asks again."""
    proofs = tuple(proof for fence in alive(run.operation) for proof in restored(run, fence.outputs) or ())
    return Evidence(proofs=proofs, proofs_verified=True, fence_outputs_signed=bool(proofs))


def fence_evidence(fence: Fence, proofs: tuple[Proof, ...]) -> Evidence:
    return Evidence(
        fence=fence,
        proofs=proofs,
        proofs_verified=True,
        fence_outputs_asked=True,
        fence_outputs_signed=True,
    )
