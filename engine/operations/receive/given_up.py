"""Receives that were given up: the mint may have signed the outputs."""

from __future__ import annotations

from ....machines.receive.table import RECEIVE
from ....storage.port import OperationQuery
from ....storage.records import Operation
from .data import receive_of


def receive_may_be_signed(op: Operation) -> bool:
    """Whether it is a receive that an operator gave up, and whose outputs are not signed as far as it is
    known."""
    return op.kind == RECEIVE.name and op.ends == "lost" and not receive_of(op).received


def given_up_receives(npub: str, mint_url: str, limit: int) -> OperationQuery:
    """The query for the receives of an owner at a mint that an operator gave up."""
    states = tuple(sorted(RECEIVE.ended("lost")))
    return OperationQuery(npub=npub, kind=RECEIVE.name, mint_url=mint_url, states=states, limit=limit)
