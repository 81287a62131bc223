"""Payments that were given up, or that ended without some of their inputs: the mint may answer late."""

from __future__ import annotations

from ....machines.melt.table import MELT
from ....storage.port import OperationQuery
from ....storage.records import Operation
from .data import melt_of


def was_given_up(op: Operation) -> bool:
    """Whether it is a payment that was sent and that an operator gave up: its quote can still be asked."""
    if op.kind != MELT.name or op.ends != "lost":
        return False
    return op.quote is not None and bool(melt_of(op).request_body)


def ended_without(op: Operation) -> bool:
    """Whether its other inputs came back: a fence of what the mint refused may be signed late."""
    if op.kind != MELT.name or op.state != "released":
        return False
    data = melt_of(op)
    return bool(data.stranded) and bool(data.request_body)


def given_up_of(npub: str, mint_url: str, limit: int) -> OperationQuery:
    """The query for the payments of an owner at a mint that an operator gave up."""
    states = tuple(sorted(MELT.ended("lost")))
    return OperationQuery(npub=npub, kind=MELT.name, mint_url=mint_url, states=states, limit=limit)
