"""Clients that want the same thing at the same time: one may have it, the others hear why not."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from attrs import evolve

from nutstate.storage.batch import Batch, proof_key
from nutstate.storage.errors import CommitUnknown, Conflict, Duplicate, StoreUnavailable
from nutstate.storage.port import Store
from nutstate.storage.records import DedupRecord, Idempotency, Token
from nutstate.storage.testing.records import NPUB, batch_for, make_operation, make_proofs, make_token

from .load import PATIENCE_S

Kind = Literal["token", "idempotency_key", "dedup", "proof"]
KINDS: tuple[Kind, ...] = ("token", "idempotency_key", "dedup", "proof")


def lay_out(store: Store, kind: Kind, n: int) -> None:
    """What a round fights over, if it must exist before."""
    if kind == "token":
        deposit = make_operation(f"d-{n}", kind="deposit", state="deposited")
        store.commit(batch_for(deposit, tokens=[make_token(f"t-{n}", 1)]))


def rival(store: Store, kind: Kind, n: int, name: str) -> Batch:
    """The batch with which client ``name`` goes for the prize of round ``n``."""
    operation_id = f"{kind}-{n}-{name}"
    match kind:
        case "token":
            token = store.token(f"t-{n}")
            assert token is not None
            return batch_for(
                make_operation(operation_id, state="prepared"), tokens=[_locked(token, operation_id)]
            )
        case "idempotency_key":
            return batch_for(make_operation(operation_id, idempotency=Idempotency(f"key-{n}", "h")))
        case "dedup":
            return batch_for(make_operation(operation_id), dedup=DedupRecord(f"k-{n}", operation_id, 9))
        case "proof":
            deposit = make_operation(operation_id, kind="deposit", state="deposited")
            return batch_for(deposit, tokens=[_spelled(n, name)])


def _locked(token: Token, operation_id: str) -> tuple[Token, Token]:
    return token, evolve(token, state="reserved", reserved_by=operation_id)


def _spelled(n: int, name: str) -> Token:
    """The proof of round ``n``, from a mint that every client calls by another name."""
    return make_token(f"p-{n}-{name}", proofs=make_proofs(f"p-{n}", 1), mint_url=f"https://{name}.example")


def everything_of(store: Store, name: str) -> Batch:
    """One batch that goes for all four prizes of round 0."""
    token = store.token("t-0")
    assert token is not None
    operation_id = f"all-0-{name}"
    operation = make_operation(operation_id, state="prepared", idempotency=Idempotency("key-0", "h"))
    tokens: list[Token | tuple[Token, Token]] = [_locked(token, operation_id), _spelled(0, name)]
    return batch_for(operation, tokens=tokens, dedup=DedupRecord("k-0", operation_id, 9))


def result_of(store: Store, batch: Batch) -> str:
    """``won``, or the refusal. Any other error escapes."""
    try:
        store.commit(batch)
    except Conflict as refusal:
        return f"Conflict {refusal.entity}"
    except Duplicate as refusal:
        return f"Duplicate {refusal.key}"
    return "won"


def settled(store: Store, batch: Batch) -> str:
    """:func:`result_of`, sent again until the store is not too busy to tell."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return result_of(store, batch)
        except (StoreUnavailable, CommitUnknown):
            if time.monotonic() >= deadline:
                raise


def loss(kind: Kind, n: int) -> str:
    """What a loser must hear."""
    return f"Conflict token:t-{n}" if kind == "token" else f"Duplicate {kind}"


def round_of_threads(stores: Sequence[Store], kind: Kind, n: int) -> list[str]:
    """One round, one thread per store."""
    lay_out(stores[0], kind, n)
    names = [f"w{number}" for number in range(len(stores))]
    batches = [rival(store, kind, n, name) for store, name in zip(stores, names, strict=True)]
    barrier = threading.Barrier(len(stores))

    def go(store: Store, batch: Batch) -> str:
        barrier.wait()
        return settled(store, batch)

    with ThreadPoolExecutor(len(stores)) as pool:
        return list(pool.map(go, stores, batches))


def assert_one_winner(store: Store, kind: Kind, n: int, names: Sequence[str], results: Sequence[str]) -> None:
    """Exactly one won, every loser heard the right reason, and the store holds the winner's batch and
    nothing of the losers'."""
    count = Counter(results)
    assert count == Counter({"won": 1, loss(kind, n): len(results) - 1}), (kind, n, results)
    winner = f"{kind}-{n}-{names[results.index('won')]}"
    stored = [f"{kind}-{n}-{name}" for name in names if store.operation(f"{kind}-{n}-{name}")]
    assert stored == [winner], (kind, n, stored, winner)
    assert holder(store, kind, n) == winner, (kind, n, holder(store, kind, n), winner)


def holder(store: Store, kind: Kind, n: int) -> str | None:
    """The operation that has the prize, as the store's own reads say."""
    match kind:
        case "token":
            token = store.token(f"t-{n}")
            return token.reserved_by if token else None
        case "idempotency_key":
            operation = store.operation_by_key(NPUB, f"key-{n}")
            return operation.id if operation else None
        case "dedup":
            record = store.dedup(f"k-{n}")
            return record.operation_id if record else None
        case "proof":
            key = proof_key(make_proofs(f"p-{n}", 1)[0].secret)
            owner = store.proof_owners([key]).get(key)
            return owner.replace("p-", "proof-", 1) if owner else None


def race_threads(stores: Sequence[Store], kind: Kind, rounds: int) -> None:
    """Round after round; AssertionError at the first that has not exactly one winner."""
    names = [f"w{number}" for number in range(len(stores))]
    for n in range(rounds):
        results = round_of_threads(stores, kind, n)
        assert_one_winner(stores[0], kind, n, names, results)


def start_soon() -> float:
    """A moment (monotonic, the same in all processes of a machine) shortly after now."""
    return time.monotonic() + 0.02
