"""Ids of the tokens an operation makes, derived from its own."""

from __future__ import annotations


def keep_id(operation_id: str) -> str:
    return f"{operation_id}_keep"


def change_id(operation_id: str) -> str:
    return f"{operation_id}_melt_change"


def fenced_id(operation_id: str) -> str:
    return f"{operation_id}_fenced"


def fence_id(operation_id: str, generation: int) -> str:
    """The id of the token that the fence of a part brought back."""
    return f"{operation_id}_fenced_{generation}"


def part_id(operation_id: str, generation: int) -> str:
    """The id of the inputs that the fence of a part spent, where they were no whole tokens."""
    return f"{operation_id}_part_{generation}"


def stranded_id(operation_id: str, n: int) -> str:
    """The id of an input that the mint refuses, where it was no whole token."""
    return f"{operation_id}_stranded_{n}"


def minted_id(operation_id: str) -> str:
    return f"{operation_id}_minted"


def deposit_id(operation_id: str) -> str:
    return f"{operation_id}_deposit"


def received_id(operation_id: str) -> str:
    return f"{operation_id}_received"


def split_id(operation_id: str, n: int) -> str:
    return f"{operation_id}_split_{n}"


def swapped_id(operation_id: str, n: int) -> str:
    """The id of the nth token that a swap makes for its caller."""
    return f"{operation_id}_swapped_{n}"


def rest_id(operation_id: str) -> str:
    """The id of the token with the value that a swap got beyond the wanted amounts."""
    return f"{operation_id}_rest"


def derived_ids(operation_id: str) -> tuple[str, ...]:
    """The token ids an operation may need; they must be free before anything is sent."""
    firsts = (name(operation_id, 1) for name in (split_id, fence_id, part_id, stranded_id, swapped_id))
    ids = (keep_id, change_id, fenced_id, minted_id, deposit_id, rest_id, received_id)
    return (operation_id, *(name(operation_id) for name in ids), *firsts)
