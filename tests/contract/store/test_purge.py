"""R135: purging is the only way in which an audit record leaves, and it leaves a tombstone."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from attrs import evolve

from nutstate.engine.audit.verify import spans_of
from nutstate.storage.errors import CommitUnknown, Conflict, InvalidBatch, StoreUnavailable
from nutstate.storage.mongo.gateway import GatewayUnknown
from nutstate.storage.port import AuditQuery, Chain, Store, TombstoneQuery
from nutstate.storage.records import Operation, Span, Tombstone
from nutstate.storage.rules.audit_hash import tombstone_mac
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.contract.store.conftest import Place
from tests.contract.store.steps import put, rechained

KEY = b"k" * 32
LATER = 2_000_000_000_000


def ended(store: Store, name: str = "a", **fields: Any) -> Operation:
    """A deposit that has ended, of two records."""
    operation = make_operation(name, kind="deposit", state="deposited", **{"finished_at": 5} | fields)
    return put(store, make_token(f"t{name}"), operation=operation)[0]


def buried(op: Operation, **fields: Any) -> Tombstone:
    """The tombstone of :func:`ended`."""
    spans = (
        Span(f"operation:{op.id}", 1, 1, "none", "deposited"),
        Span(f"token:t{op.id}", 1, 1, "none", "unspent"),
    )
    stone = evolve(Tombstone(op.id, op.audit_seq, op.audit_hash, 2, spans, LATER), **fields)
    return evolve(stone, mac=tombstone_mac(stone, KEY))


def test_purging_leaves_the_tombstone_and_nothing_else_changes(place: Place) -> None:
    with place.open() as store:
        a, b = ended(store), ended(store, "b")
        token = store.token("ta")
        stone = buried(a)
        assert store.purge(stone) == 2
        assert [r.operation_id for r in store.audit(AuditQuery())] == ["b", "b"]
        assert list(store.tombstones(TombstoneQuery())) == [stone]
        assert (store.operation("a"), store.operation("b"), store.token("ta")) == (a, b, token)
    with place.open() as again:
        assert list(again.tombstones(TombstoneQuery(operation_ids=("a", "b")))) == [stone]


def test_purging_twice_returns_quietly(place: Place) -> None:
    store = place.open()
    a = ended(store)
    assert store.purge(buried(a)) == 2
    held = place.dump()
    assert store.purge(buried(a)) == 0
    assert store.purge(buried(a, purged_at=LATER + 9)) == 0, "the first one stays"
    assert place.dump() == held
    store.close()
    with pytest.raises(StoreUnavailable):
        store.purge(buried(a))


def test_only_one_of_many_purgers_purges(store: Store) -> None:
    for n in range(5):
        stone = buried(ended(store, f"o{n}"))
        with ThreadPoolExecutor(8) as pool:
            gone = list(pool.map(store.purge, [stone] * 8))
        assert sorted(gone) == [0] * 7 + [2]


@pytest.mark.parametrize(
    "fields",
    [
        {"last_hash": "f" * 64},
        {
            "last_seq": 1, "records": 1,
            "spans": (Span("operation:a", 1, 1, "none", "deposited"),),
        },
        {
            "last_seq": 3, "records": 3,
            "spans": (Span("operation:a", 1, 2, "none", "x"), Span("token:ta", 1, 1, "none", "unspent")),
        },
    ],
)  # fmt: skip
def test_a_tombstone_of_another_trail_is_refused(place: Place, fields: dict[str, Any]) -> None:
    with place.open() as store:
        stone = buried(ended(store), **fields)
        held = place.dump()
        with pytest.raises(Conflict):
            store.purge(stone)
        assert place.dump() == held


def test_a_live_or_unknown_operation_is_refused(place: Place) -> None:
    with place.open() as store:
        live = ended(store, finished_at=None)
        held = place.dump()
        for stone in (buried(live), buried(evolve(live, id="b"))):
            with pytest.raises(Conflict):
                store.purge(stone)
        assert place.dump() == held


@pytest.mark.parametrize(
    "fields",
    [
        {"mac": ""},
        {"purged_at": -1},
        {"records": 1},
        {"spans": ()},
        {"spans": (Span("operation:a", 1, 1, "none", "deposited"),) * 2},
        {"spans": (Span("operation:a", 2, 1, "none", "deposited"),)},
        {"last_hash": "none"},
    ],
)
def test_a_tombstone_that_does_not_add_up_is_refused(place: Place, fields: dict[str, Any]) -> None:
    with place.open() as store:
        stone = evolve(buried(ended(store)), **fields)
        held = place.dump()
        with pytest.raises(InvalidBatch):
            store.purge(stone)
        assert place.dump() == held


def test_a_purged_operation_takes_no_records_any_more(place: Place) -> None:
    """Not by the engine, which cannot move what has ended, and not by replaying its batch."""
    with place.open() as store:
        batch = batch_for(make_operation("a", kind="deposit", state="deposited", finished_at=5),
                          tokens=[make_token("ta")])  # fmt: skip
        store.commit(batch)
        store.purge(buried(batch.operation.after))
        held = place.dump()
        with pytest.raises(Exception, match="operation_id"):
            store.commit(batch)
        assert place.dump() == held


def test_the_log_tells_what_it_holds(store: Store) -> None:
    for n, name in enumerate("abc", 1):
        batch = batch_for(make_operation(name), tokens=[make_token(f"t{name}")])
        first, second = batch.audit
        ends = (None, 10**13) if name == "b" else (10**13 + n, 10**13)
        one, two = (evolve(r, expires_at=e) for r, e in zip((first, second), ends, strict=True))
        store.commit(rechained(batch, one, two))
    ends_of = {n: op.audit_hash for n in "abc" if (op := store.operation(n)) is not None}
    want = [
        Chain("a", 2, 1, 2, ends_of["a"], 10**13 + 1),
        Chain("b", 2, 1, 2, ends_of["b"], None),
        Chain("c", 2, 1, 2, ends_of["c"], 10**13 + 3),
    ]
    assert list(store.audit_operations()) == want
    assert list(store.audit_operations("a", 1)) == want[1:2]
    assert list(store.audit_operations("c")) == list(store.audit_operations("", 0)) == []
    assert [r.id for r in store.audit(AuditQuery(expired_before=10**13 + 2))] == [
        "batch-a-1-1", "batch-a-1-2", "batch-b-1-2", "batch-c-1-2",
    ]  # fmt: skip


def test_a_long_trail_is_one_chain(store: Store) -> None:
    tokens = [make_token(f"t{n:02}", 1) for n in range(40)]
    put(store, *tokens, operation=make_operation("a"))
    ended(store, "b")
    found: list[Chain] = []
    while page := store.audit_operations(found[-1].operation_id if found else "", 1):
        found += page
    assert [(c.operation_id, c.records) for c in found] == [("a", 41), ("b", 2)]


def test_a_chain_that_a_page_cuts_is_told_whole(store: Store) -> None:
    """Told with the records of the first page alone, a trail that never expires would seem expired."""
    for name in "abc":
        put(store, *(make_token(f"t{name}{n:02}", 1) for n in range(19)), operation=make_operation(name))
    found: list[Chain] = []
    while page := store.audit_operations(found[-1].operation_id if found else "", 2):
        found += page
    assert [(c.operation_id, c.records, c.last_seq) for c in found] == [(n, 20, 20) for n in "abc"]


def test_what_expires_at_a_moment_is_not_expired_before_it(store: Store) -> None:
    batch = batch_for(make_operation("a"))
    store.commit(rechained(batch, evolve(batch.audit[0], expires_at=10**13)))
    assert store.audit(AuditQuery(expired_before=10**13)) == []
    assert len(store.audit(AuditQuery(expired_before=10**13 + 1))) == 1


def test_tombstones_are_found_by_operation_entity_and_page(store: Store) -> None:
    stones = [buried(ended(store, name)) for name in "abc"]
    for stone in stones:
        store.purge(stone)
    assert list(store.tombstones(TombstoneQuery(entity="token:tb"))) == stones[1:2]
    assert list(store.tombstones(TombstoneQuery(entity="token:x"))) == []
    assert list(store.tombstones(TombstoneQuery(after="a", limit=1))) == stones[1:2]
    assert list(store.tombstones(TombstoneQuery(operation_ids=("a", "c"), after="a"))) == stones[2:]
    assert list(store.tombstones(TombstoneQuery(limit=0))) == []


def test_a_snapshot_does_not_see_a_purge(store: Store) -> None:
    a = ended(store)
    with store.snapshot() as before:
        store.purge(buried(a))
        assert len(before.audit(AuditQuery())) == 2 and not before.tombstones(TombstoneQuery())
        assert len(before.audit_operations()) == 1


def test_a_purge_whose_answer_was_lost_is_sent_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction was applied, or was not; the caller gets one clear answer."""
    for name, applied in (("a", True), ("b", False)):
        stone = buried(ended(store, name))
        lose_one_answer(store, monkeypatch, applied)
        try:
            assert store.purge(stone) == 2
        except CommitUnknown:  # SQLite leaves it to the caller
            assert store.purge(stone) == (0 if applied else 2)
        assert store.purge(stone) == 0
        assert list(store.tombstones(TombstoneQuery(operation_ids=(name,)))) == [stone]


def lose_one_answer(store: Any, monkeypatch: pytest.MonkeyPatch, applied: bool) -> None:
    if isinstance(store, SqliteStore):
        whole = store._finish

        def finish(connection: sqlite3.Connection) -> None:
            monkeypatch.setattr(store, "_finish", whole)
            if applied:
                whole(connection)
            raise sqlite3.OperationalError("scripted")

        monkeypatch.setattr(store, "_finish", finish)
        return
    gateway = store._gateway
    through = gateway.transaction

    def transaction(work: Any) -> None:
        monkeypatch.setattr(gateway, "transaction", through)
        if applied:
            through(work)
        raise GatewayUnknown("scripted")

    monkeypatch.setattr(gateway, "transaction", transaction)


def test_r218_a_batch_replayed_after_its_purge_is_told_as_applied(place: Place) -> None:
    """R218: the tombstone names the commits it stands for. Another batch of the same operation, which lost
    against them, is not taken for one of them."""
    with place.open() as store:
        first = batch_for(make_operation("a", state="requested"), tokens=[make_token("ta")])
        store.commit(first)
        before = first.operation.after
        done = evolve(before, state="cancelled", finished_at=5)
        last, rival = (batch_for(done, before, batch_id=name) for name in ("last", "rival"))
        store.commit(last)
        op = last.operation.after
        stone = Tombstone(
            op.id, op.audit_seq, op.audit_hash, op.audit_seq, spans_of((*first.audit, *last.audit)), LATER
        )
        assert store.purge(evolve(stone, mac=tombstone_mac(stone, KEY))) == op.audit_seq
        held = place.dump()
        store.commit(first)
        store.commit(last)
        with pytest.raises(Conflict):
            store.commit(rival)
        assert place.dump() == held
