"""Swaps that were given up, or that ended without their coin: the mint may still sign the outputs."""

from __future__ import annotations

from ....machines.swap.table import SWAP
from ....storage.port import OperationQuery
from ....storage.records import Operation
from .data import swap_of


def swap_may_be_signed(op: Operation) -> bool:
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
