"""Ids of the tokens an operation makes, derived from its own."""

from __future__ import annotations


def keep_id(operation_id: str) -> str:
    return f"{operation_id}_keep"


def change_id(operation_id: str) -> str:
    return f"{operation_id}_melt_change"


def fenced_id(operation_id: str) -> str:
    return f"{operation_id}_fenced"


def minted_id(operation_id: str) -> str:
    return f"{operation_id}_minted"


def deposit_id(operation_id: str) -> str:
    return f"{operation_id}_deposit"


def split_id(operation_id: str, n: int) -> str:
    return f"{operation_id}_split_{n}"


def derived_ids(operation_id: str) -> tuple[str, ...]:
    """The token ids an operation may need; they must be free before anything is sent."""
    ids = (keep_id, change_id, fenced_id, minted_id, deposit_id)
    return (operation_id, *(name(operation_id) for name in ids), split_id(operation_id, 1))
