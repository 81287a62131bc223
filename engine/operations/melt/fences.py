"""Fences: which inputs each of them spends, which part comes next, what they cost and how much they store.

Pure: everything follows from the stored operation. A mint that refuses the swap of all inputs for good is
offered halves, down to single coins; one that takes no more than so many inputs gets parts of that size."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ....machines.token.states import SPENT
from ....storage.batch import proof_key
from ....storage.records import Fence, InputRef, Operation, Proof
from ...loop.draft import Draft
from .data import melt_of

OUTPUT_BYTES = 480
"""Bytes that one stored output takes at most, with the names of its fields."""
KEY_BYTES = 80
"""Bytes that the key of one input takes in a stored fence at most."""


@frozen
class Step:
    """The next step for a part of the inputs, named by their keys: ``fence`` it, or ``strand`` it."""

    action: str
    keys: tuple[str, ...]


def keys_of(op: Operation, fence: Fence) -> frozenset[str]:
    """The inputs a fence spends."""
    return frozenset(fence.inputs or melt_of(op).sent_keys())


def done(op: Operation) -> tuple[Fence, ...]:
    """The fences of a melt that the mint signed and whose outputs are stored."""
    return tuple(fence for fence in melt_of(op).fences if fence.end == "done")


def left_inputs(draft: Draft) -> tuple[InputRef, ...]:
    """The inputs of the melt without those that fences of parts have spent."""
    op = draft.operation
    if not done(op):
        return op.inputs
    return tuple(ref for ref in op.inputs if draft.token(ref.token_id).state != SPENT)


def fenced_keys(op: Operation) -> frozenset[str]:
    """The inputs that fences of ours have spent."""
    return frozenset(key for fence in done(op) for key in keys_of(op, fence))


def fenced_amount(fence: Fence) -> int:
    """The amount that a fence brings back, without its input fee."""
    return sum(output.amount for output in fence.outputs)


def alive(op: Operation) -> tuple[Fence, ...]:
    """The fences that may still be signed, newest first. The mint takes all inputs of a request or none,
    so one that shares an input with a fence that was signed is dead."""
    spent = fenced_keys(op)
    found = [fence for fence in melt_of(op).fences if fence.end != "done" and not spent & keys_of(op, fence)]
    return tuple(reversed(found))


def next_step(op: Operation, left: Sequence[str], most: int) -> Step | None:
    """The next step for the inputs that are still held, ``left``, when a request carries at most
    ``most`` of them. None when no input is left.

    A part that was refused for good holds a coin that the mint will not take, unless one that was stranded
    explains it. The unsigned rest of it is searched by halves; a coin that was refused alone is stranded,
    if the mint named the inputs or had signed others before; all unsuspected inputs go
    together."""
    if not left:
        return None
    spent = fenced_keys(op)
    refused = {keys_of(op, fence) for fence in melt_of(op).fences if fence.end in ("refused", "doubted")}
    alone = [key for key in left if frozenset({key}) in refused]
    for key in alone:
        if _surely_refused(op, key):
            return Step("strand", (key,))
    # a mint that has signed nothing of ours may be out of order: a coin refused alone waits for the others
    # and is tried once more
    rest = [key for key in left if key not in alone]
    if not rest and spent:
        return Step("fence", (alone[0],))
    rest = rest or list(left)
    held = frozenset(rest)
    rests = {part & held for part in refused if part & held and part - held <= spent}
    if rests and not held.issubset(alone):
        part = _in_order(min(rests, key=lambda found: (len(found), min(found))), rest)
        # a single coin is what is left of a refused part; it is tried alone before anything is said of it
        return Step("fence", part[: min(max(1, len(part) // 2), most)])
    too_many = [len(keys_of(op, fence)) // 2 for fence in melt_of(op).fences if fence.end == "many"]
    return Step("fence", tuple(rest[: max(1, min(most, *too_many, len(rest)))]))


def _surely_refused(op: Operation, key: str) -> bool:
    """Whether the mint refused this one alone, and either named the inputs or had signed others before."""
    since = min((fence.generation for fence in done(op)), default=None)
    return any(
        fence.end == "refused" or (fence.end == "doubted" and since is not None and fence.generation > since)
        for fence in melt_of(op).fences
        if keys_of(op, fence) == {key}
    )


def _in_order(part: frozenset[str], left: Sequence[str]) -> tuple[str, ...]:
    return tuple(key for key in left if key in part)


def generations(op: Operation, keys: Sequence[str]) -> int:
    """How many fences were written for exactly these inputs."""
    wanted = frozenset(keys)
    return sum(keys_of(op, fence) == wanted for fence in melt_of(op).fences)


def stored_bytes(fences: Sequence[Fence]) -> int:
    """Bytes that these fences take in a stored document at most."""
    return sum(OUTPUT_BYTES * len(f.outputs) + KEY_BYTES * len(f.inputs) + OUTPUT_BYTES for f in fences)


def proofs_in_order(op: Operation, fence: Fence, proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """The proofs a fence spends, always in the same order. KeyError if one of them is not there."""
    by_key = {proof_key(proof.secret): proof for proof in proofs}
    return tuple(by_key[key] for key in fence.inputs or melt_of(op).sent_keys())
