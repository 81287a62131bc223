"""Reads: every filter, order and limit, balances, and snapshots."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.port import AuditQuery, Counted, Held, HeldCoins, OperationQuery, Store, TokenQuery
from nutstate.storage.records import TokenMetadata
from nutstate.storage.testing.records import MINT, NPUB, batch_for, make_operation, make_proofs, make_token
from tests.contract.store.steps import after, put, rechained, reserved, spent


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
    for owner in (NPUB, "npub1other"):  # an operation changes tokens of its own owner only
        theirs = [token for token in tokens if token.npub == owner]
        put(store, *theirs, operation=make_operation(f"seed of {owner}", npub=owner))
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
        ({"largest_first": True}, "gfecdabh"),
        ({"largest_first": True, "limit": 2}, "gf"),
        ({"largest_first": True, "states": ("unspent",), "unit": "sat", "max_total": 8}, "cabh"),
        ({"smallest_first": True}, "hbadcefg"),
        ({"smallest_first": True, "limit": 3}, "hba"),
        ({"after": "c"}, "defgh"),
        ({"after": "c", "limit": 2}, "de"),
        ({"after": "bb", "states": ("unspent",), "unit": "sat"}, "cefh"),
        ({"after": "a", "ids": ("a", "c")}, "c"),
        ({"after": "h"}, ""),
        ({"after": ""}, "abcdefgh"),
        ({"npub": '{"$ne": null}'}, ""),
        ({"npub": "' OR 1=1 --"}, ""),
    ],
)
def test_token_queries(full: Store, query: dict[str, Any], ids: str) -> None:
    assert found(full, **query) == list(ids)


def test_r543_largest_first_is_the_reverse_of_smallest_first(full: Store) -> None:
    """By total, then id, in both directions, also inside bounds and over several states."""
    for more in ({}, {"min_total": 2, "max_total": 16}, {"states": ("reserved", "unspent")}):
        assert found(full, largest_first=True, **more) == found(full, smallest_first=True, **more)[::-1]


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
        {"state": "paying", "npub": "npub1other", "next_check_at": 20, "parent_id": "tx-0"},
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
        ({"parent_id": "tx-0"}, [2]),
        ({"parent_id": "tx-1"}, []),
        ({"since": 101}, [3, 2, 1]),
        ({"until": 102}, [1, 0]),
        ({"since": 101, "until": 103}, [2, 1]),
        ({"since": 103, "until": 103}, []),
        ({"after": (102, "tx-2")}, [1, 0]),
        ({"after": (102, "tx-3")}, [2, 1, 0]),
        ({"after": (102, "")}, [1, 0]),
        ({"after": (103, "tx-3"), "states": ("paying",), "limit": 1}, [2]),
        ({"after": (100, "tx-0")}, []),
    ],
)
def test_operation_queries_newest_first(operations: Store, query: dict[str, Any], numbers: list[int]) -> None:
    ids = [operation.id for operation in operations.operations(OperationQuery(**query))]
    assert ids == [f"tx-{n}" for n in numbers]


def test_operations_of_one_moment_are_ordered_by_id(store: Store) -> None:
    for name in ("b", "c", "a"):
        put(store, operation=make_operation(name))
    assert [o.id for o in store.operations(OperationQuery())] == ["c", "b", "a"]


def test_a_cursor_meets_everything_once(store: Store) -> None:
    """Many of one moment, and one that is born while the pages are read."""
    names = [f"tx-{n}" for n in range(7)]
    for n, name in enumerate(names):
        put(store, operation=make_operation(name, created_at=100 + n // 3))
    seen: list[str] = []
    cursor: tuple[int, str] | None = None
    while page := store.operations(OperationQuery(after=cursor, limit=2)):
        seen += [operation.id for operation in page]
        cursor = (page[-1].created_at, page[-1].id)
        if len(seen) == 2:
            put(store, operation=make_operation("tx-new", created_at=200))
    assert seen == sorted(names, reverse=True)


def test_a_cursor_over_tokens_meets_everything_once(full: Store) -> None:
    seen: list[str] = []
    while page := found(full, limit=3, **({"after": seen[-1]} if seen else {})):
        seen += page
    assert seen == list("abcdefgh")


@pytest.mark.parametrize("order", ["largest_first", "smallest_first"])
def test_a_token_cursor_needs_the_order_by_id(order: str) -> None:
    ordered: dict[str, Any] = {order: True}
    with pytest.raises(ValueError, match="cursor"):
        TokenQuery(after="a", **ordered)


def test_operations_are_counted_by_kind_and_state(operations: Store) -> None:
    assert list(operations.count_operations()) == [
        Counted("melt", "paying", 2),
        Counted("melt", "reconciled", 1),
        Counted("mint", "attention", 1),
    ]
    assert list(operations.count_operations("npub1other")) == [Counted("melt", "paying", 1)]
    assert list(operations.count_operations("nobody")) == []
    with operations.snapshot() as reader:
        assert sum(counted.number for counted in reader.count_operations()) == 4


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
    assert {h.state for h in full.balance(NPUB)} > {"unspent"}
    only = [h for h in full.balance(NPUB) if h.state == "unspent"]
    assert list(full.balance(NPUB, states=("unspent",))) == only, "R581"
    assert list(full.balance(NPUB, states=("spent", "no such state"))) == []
    assert list(full.balance(NPUB, "https://other")) == [Held("https://other", "sat", "unspent", 32, 1)]
    assert list(full.balance("nobody")) == []


def test_balance_is_exact_beyond_float(store: Store) -> None:
    largest = 2**53 - 1
    put(store, *(make_token(f"t{n}", largest) for n in range(5)), make_token("one", 1))
    assert [held.amount for held in store.balance(NPUB)] == [5 * largest + 1]


def test_coins_are_summed_by_state_and_keyset(store: Store) -> None:
    """R235: the value of unspent and stranded proofs by keyset, exact beyond floats, of one wallet or all."""
    largest = 2**53 - 1
    old = evolve(make_proofs("old", 5)[0], id="000000000000abcd")
    new = make_proofs("new", largest - 5)
    put(
        store,
        make_token("mixed", proofs=(old, *new)),
        make_token("more", largest),
        make_token("lone", 8, wallet_id="wallet-2"),
        make_token("gone", 16, state="spent"),
        make_token("apart", 32, state="stranded"),
    )
    rest = 2 * largest - 5
    assert list(store.coins_by_keyset(NPUB)) == [
        HeldCoins(MINT, "sat", "stranded", new[0].id, 32),
        HeldCoins(MINT, "sat", "unspent", old.id, 5),
        HeldCoins(MINT, "sat", "unspent", new[0].id, rest + 8),
    ]
    assert list(store.coins_by_keyset(NPUB, MINT, "wallet-2")) == [
        HeldCoins(MINT, "sat", "unspent", new[0].id, 8)
    ]
    assert list(store.coins_by_keyset(NPUB, "https://other")) == []
    assert list(store.coins_by_keyset("nobody")) == []


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


@pytest.fixture
def trail(store: Store) -> Store:
    """Three operations of two records each, at 10, 20 and 30; the first record of each is CRITICAL."""
    for n, name in enumerate(("a", "b", "c"), 1):
        batch = batch_for(make_operation(name), tokens=[make_token(f"t{name}")])
        first, second = batch.audit
        first = evolve(first, at=n * 10, compliance_level="CRITICAL")
        store.commit(rechained(batch, first, evolve(second, at=n * 10, compliance_level="HIGH")))
    return store


@pytest.mark.parametrize(
    "query, names",
    [
        ({}, "a1 a2 b1 b2 c1 c2"),
        ({"levels": ("CRITICAL",)}, "a1 b1 c1"),
        ({"levels": ("HIGH", "CRITICAL"), "limit": 3}, "a1 a2 b1"),
        ({"levels": ("STANDARD",)}, ""),
        ({"since": 20}, "b1 b2 c1 c2"),
        ({"until": 20}, "a1 a2"),
        ({"since": 20, "until": 30, "levels": ("HIGH",)}, "b2"),
        ({"after": ("a", 1)}, "a2 b1 b2 c1 c2"),
        ({"after": ("a", 2), "limit": 2}, "b1 b2"),
        ({"after": ("b", 0), "levels": ("CRITICAL",)}, "b1 c1"),
        ({"after": ("c", 2)}, ""),
        ({"operation_id": "b", "after": ("b", 1)}, "b2"),
        ({"entity": "token:ta", "since": 10}, "a2"),
        ({"expired_before": 10**15}, ""),
    ],
)
def test_audit_by_level_time_and_cursor(trail: Store, query: dict[str, Any], names: str) -> None:
    found = trail.audit(AuditQuery(**query))
    assert [f"{record.operation_id}{record.seq}" for record in found] == names.split()


def test_r542_a_span_of_time_comes_by_time_page_by_page(store: Store) -> None:
    """Records of a span of time come by time, then operation and seq; the pages meet each of them once."""
    for n, name in enumerate(("c", "a", "b", "d", "e")):
        made = batch_for(make_operation(f"tx-{name}"), tokens=[make_token(f"token-{name}")], at=1000 + n // 2)
        store.commit(made)
    wanted = [f"batch-tx-{name}-1-{seq}" for name in ("a", "c", "b", "d", "e") for seq in (1, 2)]
    assert [r.id for r in store.audit(AuditQuery(since=0))] == wanted
    assert [r.id for r in store.audit(AuditQuery(until=1001))] == wanted[:4]
    for query in (AuditQuery(since=0, limit=3), AuditQuery(until=5000, levels=("STANDARD", "HIGH"), limit=3)):
        seen: list[str] = []
        while page := store.audit(query):
            seen += [record.id for record in page]
            query = query.behind(page[-1])
        assert seen == wanted
    named = AuditQuery(operation_id="tx-a", since=0)
    assert not named.by_time and [r.seq for r in store.audit(named)] == [1, 2]
    with pytest.raises(ValueError, match="since"):
        AuditQuery(until=9, after=("tx-a", 1))


def test_an_audit_cursor_needs_the_order_of_operations() -> None:
    with pytest.raises(ValueError, match="cursor"):
        AuditQuery(entity="token:a", after=("a", 1))


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
