"""Payments that were given up, or that ended without some of their inputs: the mint may answer late."""

from __future__ import annotations

from ....machines.melt.table import MELT
from ....storage.port import OperationQuery
from ....storage.records import Operation


def was_given_up(op: Operation) -> bool:
    """Whether it is a payment that was sent and that an operator gave up: its quote can still be asked."""
    sent = op.quote is not None and bool(op.request_body)
    return op.kind == MELT.name and op.ends == "lost" and sent


def ended_without(op: Operation) -> bool:
    """Whether its other inputs came back: a fence of what the mint refused may be signed late."""
    return op.kind == MELT.name and op.state == "released" and bool(op.stranded) and bool(op.request_body)


def given_up_of(npub: str, mint_url: str, limit: int) -> OperationQuery:
    """The query for the payments of an owner at a mint that an operator gave up."""
    states = tuple(sorted(MELT.ended("lost")))
    return OperationQuery(npub=npub, kind=MELT.name, mint_url=mint_url, states=states, limit=limit)
