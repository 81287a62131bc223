"""Swaps that were given up, or that ended without their coin: the mint may still sign the outputs."""

from __future__ import annotations

from ....machines.swap.table import SWAP
from ....storage.port import OperationQuery
from ....storage.records import Operation
from ...loop.drive import Run
from ...loop.evidence import Evidence
from .actions import signed_outputs
from .data import swap_of


def may_be_signed_late(op: Operation) -> bool:
    """Whether it is a swap that an operator gave up, or one whose coin is stranded, and whose outputs are not
    signed as far as it is known."""
    if op.kind != SWAP.name or op.finished_at is None:
        return False
    data = swap_of(op)
    return bool(data.request_body) and not data.swapped and (op.ends == "lost" or bool(data.stranded))


def given_up_swaps(npub: str, mint_url: str, limit: int) -> OperationQuery:
    """The query for the swaps of an owner at a mint that an operator gave up."""
    states = tuple(sorted(SWAP.ended("lost")))
    return OperationQuery(npub=npub, kind=SWAP.name, mint_url=mint_url, states=states, limit=limit)


def signed_late(run: Run) -> Evidence:
    """The proofs that the mint has signed for the outputs since. An answer that is missing or that does not
    open is left out: the outputs stay stored, and the next look asks again."""
    found = signed_outputs(run)
    proofs = () if found is None else found.proofs or ()
    return Evidence(proofs=proofs, proofs_verified=True, fence_outputs_signed=bool(proofs))
