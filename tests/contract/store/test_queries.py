"""Reads: every filter, order and limit, balances, and snapshots."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.port import AuditQuery, Held, OperationQuery, Store, TokenQuery
from nutstate.storage.records import TokenMetadata
from nutstate.storage.testing import MINT, NPUB, batch_for, make_operation, make_token
from tests.contract.store.steps import after, put, reserved, spent


def found(store: Store, **query: Any) -> list[str]:
    return [token.transaction_id for token in store.tokens(TokenQuery(**query))]


@pytest.fixture
def full(store: Store) -> Store:
    """Seven tokens that differ in one respect each."""
    tokens = [
        make_token("a", 4),
        make_token("b", 2),
        make_token("c", 8),
        make_token("d", 4, state="reserved", reserved_by="tx-9"),
        make_token("e", 16, npub="npub1other", wallet_id="wallet-2"),
        make_token("f", 32, mint_url="https://other"),
        make_token("g", 64, unit="usd"),
        make_token("h", 1, transaction_type="change", metadata=TokenMetadata("change", "tx-0")),
    ]
    put(store, *tokens, operation=make_operation("seed"))
    return store


@pytest.mark.parametrize(
    "query, ids",
    [
        ({}, "abcdefgh"),
        ({"npub": "npub1other"}, "e"),
        ({"wallet_id": "wallet-2"}, "e"),
        ({"mint_url": "https://other"}, "f"),
        ({"unit": "usd"}, "g"),
        ({"states": ("reserved",)}, "d"),
        ({"states": ("reserved", "unspent")}, "abcdefgh"),
        ({"states": ("spent",)}, ""),
        ({"ids": ("c", "a", "nobody")}, "ac"),
        ({"reserved_by": "tx-9"}, "d"),
        ({"parent": "tx-0"}, "h"),
        ({"min_total": 16}, "efg"),
        ({"max_total": 2}, "bh"),
        ({"min_total": 4, "max_total": 8}, "acd"),
        ({"npub": NPUB, "mint_url": MINT, "unit": "sat", "states": ("unspent",)}, "abch"),
        ({"npub": NPUB, "ids": ("e",)}, ""),
        ({"limit": 3}, "abc"),
        ({"limit": 0}, ""),
        ({"limit": -1}, ""),
        ({"largest_first": True}, "gfecadbh"),
        ({"largest_first": True, "limit": 2}, "gf"),
        ({"largest_first": True, "states": ("unspent",), "unit": "sat", "max_total": 8}, "cabh"),
        ({"npub": '{"$ne": null}'}, ""),
        ({"npub": "' OR 1=1 --"}, ""),
    ],
)
def test_token_queries(full: Store, query: dict[str, Any], ids: str) -> None:
    assert found(full, **query) == list(ids)


def test_a_filter_is_never_an_operator(full: Store) -> None:
    hostile: Any = {"$ne": "x"}
    try:
        assert found(full, npub=hostile) == []
    except Exception as error:  # noqa: BLE001 - a refusal is as good as an empty answer
        assert type(error).__name__ == "StoreUnavailable"


@pytest.fixture
def operations(store: Store) -> Store:
    differing: list[dict[str, Any]] = [
        {"state": "reconciled", "next_check_at": 30},
        {"state": "paying", "next_check_at": 10},
        {"state": "paying", "npub": "npub1other", "next_check_at": 20},
        {"state": "attention", "kind": "mint", "mint_url": "https://other"},
    ]
    for n, fields in enumerate(differing):
        put(store, operation=make_operation(f"tx-{n}", created_at=100 + n, **fields))
    return store


@pytest.mark.parametrize(
    "query, numbers",
    [
        ({}, [3, 2, 1, 0]),
        ({"npub": "npub1other"}, [2]),
        ({"kind": "mint"}, [3]),
        ({"kind": "melt", "limit": 2}, [2, 1]),
        ({"mint_url": "https://other"}, [3]),
        ({"states": ("paying",)}, [2, 1]),
        ({"states": ("reconciled", "attention")}, [3, 0]),
        ({"npub": NPUB, "states": ("paying",)}, [1]),
        ({"limit": 1}, [3]),
        ({"limit": 0}, []),
        ({"kind": "swap"}, []),
    ],
)
def test_operation_queries_newest_first(operations: Store, query: dict[str, Any], numbers: list[int]) -> None:
    ids = [operation.id for operation in operations.operations(OperationQuery(**query))]
    assert ids == [f"tx-{n}" for n in numbers]


def test_operations_of_one_moment_are_ordered_by_id(store: Store) -> None:
    for name in ("b", "c", "a"):
        put(store, operation=make_operation(name))
    assert [o.id for o in store.operations(OperationQuery())] == ["c", "b", "a"]


@pytest.mark.parametrize(
    "due, limit, numbers", [(30, 9, [1, 2, 0]), (20, 9, [1, 2]), (9, 9, []), (99, 1, [1]), (99, 0, [])]
)
def test_live_operations_longest_overdue_first(
    operations: Store, due: int, limit: int, numbers: list[int]
) -> None:
    assert [o.id for o in operations.live_operations(due, limit)] == [f"tx-{n}" for n in numbers]


def test_operation_by_claim(store: Store) -> None:
    put(store, operation=make_operation("tx-1", claim="hash"))
    claimed = store.operation_by_claim("hash")
    assert claimed is not None and claimed.id == "tx-1" and store.operation_by_claim("other") is None


def test_balance_counts_value_and_tokens_per_state(full: Store) -> None:
    assert list(full.balance(NPUB)) == [
        Held(MINT, "sat", "reserved", 4, 1),
        Held(MINT, "sat", "unspent", 15, 4),
        Held(MINT, "usd", "unspent", 64, 1),
        Held("https://other", "sat", "unspent", 32, 1),
    ]
    assert list(full.balance(NPUB, "https://other")) == [Held("https://other", "sat", "unspent", 32, 1)]
    assert list(full.balance("nobody")) == []


def test_balance_is_exact_beyond_float(store: Store) -> None:
    largest = 2**53 - 1
    put(store, *(make_token(f"t{n}", largest) for n in range(5)), make_token("one", 1))
    assert [held.amount for held in store.balance(NPUB)] == [5 * largest + 1]


def test_balance_follows_the_states(store: Store) -> None:
    operation, (a, b) = put(store, make_token("a", 4), make_token("b", 8), operation=make_operation())
    batch = batch_for(evolve(operation, state="prepared"), operation, tokens=[reserved(a)])
    store.commit(batch)
    operation, (a,) = after(batch)
    store.commit(batch_for(evolve(operation, state="paid"), operation, tokens=[spent(a)]))
    assert {(h.state, h.amount) for h in store.balance(NPUB)} == {("spent", 4), ("unspent", 8)}
    assert store.token("b") == b


def test_audit_by_operation_entity_and_batch(store: Store) -> None:
    first = batch_for(make_operation(), tokens=[make_token("a")])
    store.commit(first)
    operation, (token,) = after(first)
    second = batch_for(evolve(operation, state="quoted"), operation, tokens=[reserved(token)])
    store.commit(second)
    assert tuple(store.audit(AuditQuery(operation_id="tx-1"))) == first.audit + second.audit
    assert tuple(store.audit(AuditQuery(batch_id=second.id))) == second.audit
    assert [r.version for r in store.audit(AuditQuery(entity="token:a"))] == [1, 2]
    assert tuple(store.audit(AuditQuery(operation_id="tx-1", limit=2))) == first.audit
    assert list(store.audit(AuditQuery(operation_id="tx-1", limit=0))) == []
    assert list(store.audit(AuditQuery(entity="token:x"))) == []


def test_proof_owners_of_many_keys_at_once(store: Store) -> None:
    batch = batch_for(make_operation(), tokens=[make_token("a", *[1] * 300)])
    store.commit(batch)
    keys = [key for change in batch.index for key in change.keys]
    owners = store.proof_owners([*keys, *(f"{n:064x}" for n in range(3000))])
    assert owners == dict.fromkeys(keys, "a")


def test_a_snapshot_sees_one_moment(store: Store) -> None:
    operation, (token,) = put(store, make_token("a", 4), operation=make_operation())
    with store.snapshot() as before:
        batch = batch_for(
            evolve(operation, state="prepared"), operation, tokens=[reserved(token), make_token("n", 2)]
        )
        store.commit(batch)
        assert before.operation("tx-1") == operation and before.token("a") == token
        assert before.token("n") is None and len(before.audit(AuditQuery())) == 2
        assert [(h.state, h.amount) for h in before.balance(NPUB)] == [("unspent", 4)]
        assert [t.transaction_id for t in before.tokens(TokenQuery())] == ["a"]
    with store.snapshot() as now:
        assert now.operation("tx-1") == batch.operation.after and now.token("n") is not None


def test_snapshots_can_overlap_and_end_on_errors(store: Store) -> None:
    put(store, make_token("a"))
    with pytest.raises(KeyError):
        with store.snapshot() as one, store.snapshot() as two:
            assert one.token("a") == two.token("a")
            raise KeyError
    put(store, make_token("b"))
