"""Melt: fences of ours that the mint has signed, found by NUT-09."""

from __future__ import annotations

import contextlib

from .....storage.records import Fence, Proof
from ....cashu.coins.outputs import BadSignature, blinded, unblind_restored
from ....cashu.keysets import MintSilent
from ....cashu.port import Failure
from ....loop.drive import Happened, Run
from ....loop.evidence import Evidence
from ..fences import alive


def find_fence(run: Run) -> Happened | bool | None:
    """NUT-09 over every fence that may still be signed: the event if one is signed, True if none is, None
    if that is not known: the mint did not answer for one, or what it gave back cannot be used."""
    unknown = False
    for fence in alive(run.operation):
        restored = run.mint.restore(run.mint_url, blinded(fence.outputs))
        if isinstance(restored, Failure):
            unknown = True
            continue
        if restored.is_empty:
            continue
        try:
            proofs = unblind_restored(fence.outputs, restored, run.keys)
        except (BadSignature, MintSilent):
            unknown = True
            continue
        found = fence_evidence(fence, proofs)
        if run.decide("fence_found", found).accepted:
            return Happened("fence_found", found)
        unknown = True
    return None if unknown else True


def signed_fences(run: Run) -> Evidence:
    """All signatures of the mint on the fences of a payment that was given up. Missing answers, and
    signatures that fail verification, are left out: the fences stay stored, and the next look asks again."""
    proofs: list[Proof] = []
    for fence in alive(run.operation):
        restored = run.mint.restore(run.mint_url, blinded(fence.outputs))
        if isinstance(restored, Failure) or restored.is_empty:
            continue
        with contextlib.suppress(BadSignature, MintSilent):
            proofs += unblind_restored(fence.outputs, restored, run.keys)
    return Evidence(proofs=tuple(proofs), proofs_verified=True, fence_outputs_signed=bool(proofs))


def fence_evidence(fence: Fence, proofs: tuple[Proof, ...]) -> Evidence:
    return Evidence(
        fence=fence,
        proofs=proofs,
        proofs_verified=True,
        fence_outputs_asked=True,
        fence_outputs_signed=True,
    )
