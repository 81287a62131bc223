"""A foreign program with plain ``sqlite3`` cannot write money that the rules do not know."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Span, Tombstone
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import NOW, batch_for, make_operation, make_token


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection to a store with one token in each state."""
    path = tmp_path / "wallet.db"
    with SqliteStore(f"sqlite:///{path}") as store:
        states = ("unspent", "reserved", "outstanding", "spent")
        tokens = [make_token(state, 1, 2, state=state) for state in states]
        failed = make_token("failed", state="failed", transaction_type="minted", proofs=())
        store.commit(batch_for(make_operation(), tokens=[*tokens, failed]))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection
        assert len(store.tokens(TokenQuery())) >= 5  # all still decode


def row(**fields: Any) -> dict[str, Any]:
    """A token row that the rules accept."""
    return {
        "transaction_id": "new", "npub": "n", "wallet_id": "w", "mint_url": "https://m", "unit": "sat",
        "transaction_type": "received", "state": "unspent", "status": "unspent", "version": 1,
        "total_amount": 3, "created_at": NOW, "updated_at": NOW, "prev_state": None, "reserved_by": None,
        "spent_at": None, "schema_version": 1, "metadata": json.dumps({"source": "p2p"}),
        "proofs": json.dumps([{"id": "k", "amount": n, "secret": f"s{n}", "C": "c"} for n in (1, 2)]),
    } | fields  # fmt: skip


def insert(raw: sqlite3.Connection, values: dict[str, Any]) -> None:
    names = ", ".join(values)
    raw.execute(
        f"INSERT INTO tokens ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
    )


SECOND = json.dumps([{"id": "k", "amount": 3, "secret": "s2", "C": "c"}])
TWICE = json.dumps([{"id": "k", "amount": n, "secret": "twice", "C": "c"} for n in (1, 2)])
HIDDEN = '[{"id": "k", "amount": 3, "secret": "fresh", "C": "c", "secret": "s2"}]'


@pytest.mark.parametrize("proofs", [SECOND, TWICE, HIDDEN], ids=["in two rows", "in one row", "hidden"])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_r210_a_secret_is_stored_once_whoever_inserts_it(
    raw: sqlite3.Connection, proofs: str, verb: str
) -> None:
    """R210: not in a second row, not twice in one, not behind another value of the same name."""
    insert(raw, row())
    values = row(transaction_id="second", proofs=proofs)
    statement = f"{verb} INTO tokens ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    with pytest.raises(sqlite3.IntegrityError, match="failed: token_secrets"):
        raw.execute(statement, tuple(values.values()))
    assert raw.execute("SELECT token_id FROM token_secrets WHERE secret = 's2'").fetchall() == [("new",)]


@pytest.mark.parametrize("proofs", [SECOND, TWICE, HIDDEN], ids=["of another row", "twice", "hidden"])
def test_r210_a_secret_is_stored_once_whoever_updates_a_row(raw: sqlite3.Connection, proofs: str) -> None:
    """R210: an UPDATE of the proofs is no way around it, with a version and a total that fit."""
    insert(raw, row())
    with pytest.raises(sqlite3.IntegrityError, match="failed: token_secrets"):
        raw.execute(
            "UPDATE OR REPLACE tokens SET proofs = ?, total_amount = 3, version = 2, prev_state = 'unspent'"
            " WHERE transaction_id = 'unspent'",
            (proofs,),
        )


def test_r210_consumed_proofs_are_not_stored_again(tmp_path: Path) -> None:
    """R210: the proofs of a spent token enter in no other row; those that moved are where they went."""
    path = tmp_path / "wallet.db"
    with SqliteStore(f"sqlite:///{path}") as store:
        batch = batch_for(make_operation(), tokens=[make_token("gone", 1, 2, state="spent")])
        store.commit(batch)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        stored = connection.execute("SELECT proofs FROM tokens").fetchone()[0]
        with pytest.raises(sqlite3.IntegrityError, match="failed: token_secrets"):
            insert(connection, row(proofs=stored))
        connection.execute("DELETE FROM proof_index")  # the other guard
        with pytest.raises(sqlite3.IntegrityError, match="failed: token_secrets"):
            insert(connection, row(proofs=stored))


def test_r210_moved_proofs_are_listed_where_they_went(raw: sqlite3.Connection) -> None:
    """R210: what left a row may enter another one, and only once."""
    insert(raw, row())
    left, gone = (json.dumps([proof]) for proof in json.loads(str(row()["proofs"])))
    raw.execute(
        "UPDATE tokens SET proofs = ?, total_amount = 1, version = 2, prev_state = 'unspent'"
        " WHERE transaction_id = 'new'",
        (left,),
    )
    insert(raw, row(transaction_id="taker", proofs=gone, total_amount=2))
    listed = raw.execute("SELECT secret, token_id FROM token_secrets WHERE secret IN ('s1', 's2')").fetchall()
    assert listed == [("s1", "new"), ("s2", "taker")]


THEFTS = {
    "reserved_by = 'thief', version = 9, prev_state = 'reserved'": "reserved_by changes only by",
    "reserved_by = 'thief', state = 'spent', status = 'spent', spent_at = 5, version = 9,"
    " prev_state = 'reserved'": "reserved_by changes only by",
    "npub = 'thief', version = 9, prev_state = 'reserved'": "whose it is never changes",
    "wallet_id = 'thief', version = 9, prev_state = 'reserved'": "whose it is never changes",
    "mint_url = 'https://thief', version = 9, prev_state = 'reserved'": "whose it is never changes",
    "unit = 'msat', version = 9, prev_state = 'reserved'": "whose it is never changes",
    "created_at = 1, version = 9, prev_state = 'reserved'": "whose it is never changes",
    "metadata = json_set(metadata, '$.parent_transaction_id', 'thief'), version = 9,"
    " prev_state = 'reserved'": "whose it is never changes",
}


@pytest.mark.parametrize("theft", THEFTS)
def test_r205_a_reservation_is_not_stolen(raw: sqlite3.Connection, theft: str) -> None:
    """R205: with a version and a step that fit, and it is the rule about holders that refuses."""
    with pytest.raises(sqlite3.IntegrityError, match=THEFTS[theft]):
        raw.execute(f"UPDATE tokens SET {theft} WHERE state = 'reserved'")


def test_r205_a_reservation_is_given_up_by_becoming_unspent(raw: sqlite3.Connection) -> None:
    """R205: the one lawful way."""
    raw.execute(
        "UPDATE tokens SET state = 'unspent', status = 'unspent', reserved_by = NULL, version = 9,"
        " prev_state = 'reserved' WHERE state = 'reserved'"
    )
    assert raw.execute("SELECT count(*) FROM tokens WHERE state = 'unspent'").fetchone() == (2,)


REFUSED_BY = {
    "total_amount = 4, version = 2, prev_state = 'unspent'": "total_amount is not the sum",
    "proofs = json('[]'), version = 2, prev_state = 'unspent'": "total_amount is not the sum",
    "total_amount = 3": "every change raises the version",
    "proofs = proofs": "every change raises the version",
    "transaction_type = 'sent', version = 2, prev_state = 'unspent'": "what a token is",
    "state = 'failed', status = 'failed', version = 2, prev_state = 'unspent'": "legal_step",
    "state = 'reserved', status = 'pending', version = 2, prev_state = 'unspent'": "reserved_has_owner",
    "state = 'spent', status = 'spent', version = 2, prev_state = 'unspent'": "spent_is_stamped",
    "status = 'pending', version = 2, prev_state = 'unspent'": "status_is_projection",
    "version = 2, prev_state = NULL": "born_once",
}


@pytest.mark.parametrize("update", REFUSED_BY)
def test_r222_each_rule_refuses_by_itself(raw: sqlite3.Connection, update: str) -> None:
    """R222: everything but one thing is lawful, and the rule about that thing is the one that speaks."""
    with pytest.raises(sqlite3.IntegrityError, match=REFUSED_BY[update]):
        raw.execute(f"UPDATE tokens SET {update} WHERE transaction_id = 'unspent'")


def test_a_lawful_row_is_accepted(raw: sqlite3.Connection) -> None:
    insert(raw, row())
    spent = json.dumps([{"id": "k", "amount": 3, "secret": "another", "C": "c"}])
    insert(raw, row(transaction_id="s", state="spent", status="spent", spent_at=NOW, proofs=spent))


CHANGE = {
    "transaction_type": "change",
    "metadata": json.dumps({"source": "change", "parent_transaction_id": "p"}),
}

UNLAWFUL: dict[str, dict[str, Any]] = {
    "type melted": {"transaction_type": "melted"},
    "unknown state": {"state": "melted", "status": "spent"},
    "status melted": {"status": "melted"},
    "status of another state": {"state": "reserved", "status": "unspent", "reserved_by": "x"},
    "status null": {"status": None},
    "change without parent": {"transaction_type": "change"},
    "change with null parent": CHANGE | {"metadata": '{"source": "change", "parent_transaction_id": null}'},
    "change with a number as parent": CHANGE | {"metadata": '{"parent_transaction_id": 5}'},
    "change born spent": CHANGE | {"state": "spent", "status": "spent", "spent_at": NOW},
    "spent without a time": {"state": "spent", "status": "spent"},
    "unspent with a time": {"spent_at": NOW},
    "reserved by nobody": {"state": "reserved", "status": "pending"},
    "total that is not the sum": {"total_amount": 4},
    "total as text": {"total_amount": "three"},
    "total as a fraction": {"total_amount": 3.5, "proofs": '[{"amount": 3.5}]'},
    "negative total": {"total_amount": -1, "proofs": '[{"amount": -1}]'},
    "huge total": {"total_amount": 2**53, "proofs": json.dumps([{"amount": 2**53}])},
    "version zero": {"version": 0},
    "version as text": {"version": "one"},
    "proofs that are no JSON": {"proofs": "["},
    "metadata that is no JSON": {"metadata": "{"},
    "an id that exists": {"transaction_id": "unspent"},
}  # fmt: skip


@pytest.mark.parametrize("rule", UNLAWFUL)
def test_an_unlawful_row_is_refused(raw: sqlite3.Connection, rule: str) -> None:
    with pytest.raises((sqlite3.IntegrityError, sqlite3.OperationalError)):
        insert(raw, row(**UNLAWFUL[rule]))
    assert raw.execute("SELECT count(*) FROM tokens").fetchone() == (5,)


@pytest.mark.parametrize(
    "update",
    [
        "state = 'unspent', status = 'unspent', spent_at = NULL, version = version + 1 WHERE state = 'spent'",
        "state = 'reserved', status = 'pending', spent_at = NULL, reserved_by = 'x', version = 9"
        " WHERE state = 'spent'",
        "state = 'failed', status = 'failed', spent_at = NULL, version = 9 WHERE state = 'spent'",
        "spent_at = 5 WHERE state = 'spent'",
        "spent_at = NULL WHERE state = 'spent'",
        "state = 'unspent', status = 'unspent', version = 9 WHERE state = 'failed'",
        "transaction_type = 'melted' WHERE state = 'unspent'",
        "transaction_type = 'sent' WHERE state = 'unspent'",
        "transaction_type = 'change' WHERE state = 'unspent'",
        "total_amount = 4, version = 9 WHERE state = 'unspent'",
        "proofs = '[]' WHERE state = 'unspent'",
        "status = 'spent' WHERE state = 'unspent'",
        "state = 'spent', status = 'spent', version = 9 WHERE state = 'unspent'",
        "state = 'unspent', status = 'unspent', reserved_by = NULL WHERE state = 'reserved'",
        "reserved_by = 'thief' WHERE state = 'reserved'",
        "state = 'reserved', status = 'pending', version = 9 WHERE state = 'unspent'",
    ],
)
def test_an_unlawful_update_is_refused(raw: sqlite3.Connection, update: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"UPDATE tokens SET {update}")


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
@pytest.mark.parametrize("kind", ["received", "melted"])
def test_replacing_a_row_is_no_way_around(raw: sqlite3.Connection, verb: str, kind: str) -> None:
    values = row(transaction_type=kind, transaction_id="spent")
    statement = f"{verb} INTO tokens ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    with suppress(sqlite3.IntegrityError):  # OR IGNORE may skip the row without a word
        raw.execute(statement, tuple(values.values()))
    stored = raw.execute("SELECT state, transaction_type FROM tokens WHERE transaction_id = 'spent'")
    assert stored.fetchone() == ("spent", "received")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tokens WHERE transaction_id = 'spent'",
        "UPDATE OR REPLACE tokens SET transaction_id = 'spent' WHERE transaction_id = 'unspent'",
        "UPDATE tokens SET transaction_id = 'other' WHERE transaction_id = 'unspent'",
    ],
)
def test_removing_a_row_is_no_way_around(raw: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)


@pytest.mark.parametrize("values", ["'k', 't2', 'o2'"])
def test_a_proof_has_one_owner_for_every_writer(raw: sqlite3.Connection, values: str) -> None:
    raw.execute("INSERT INTO proof_index VALUES ('k', 't1', 'o1')")
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"INSERT INTO proof_index VALUES ({values})")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET doc = '{}'",
        "UPDATE audit SET hash = hash",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit (id, operation_id, seq, entity, version, batch_id, hash, doc)"
        " SELECT id, operation_id, seq, entity, version, batch_id, '', doc FROM audit",
        "INSERT INTO tombstones VALUES ('tx-1', 1, 'h', 1, 1, 'm', '[]')",
        "INSERT INTO tombstones VALUES ('nobody', 1, 'h', 1, 1, 'm', '[]')",
    ],
)
def test_audit_records_stay_as_they_are(raw: sqlite3.Connection, statement: str) -> None:
    """R135, R146: no program changes a record, and none leaves without the tombstone of an ended trail."""
    before = raw.execute("SELECT id, doc, hash FROM audit ORDER BY id").fetchall()
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert raw.execute("SELECT id, doc, hash FROM audit ORDER BY id").fetchall() == before


def test_a_tombstone_stays(tmp_path: Path) -> None:
    """R135: it is neither changed nor removed nor replaced, and nothing is written below it."""
    with SqliteStore(f"sqlite:///{tmp_path}/wallet.db") as store:
        batch = batch_for(make_operation(kind="deposit", state="deposited", finished_at=5))
        store.commit(batch)
        op = batch.operation.after
        span = Span("operation:tx-1", 1, 1, "none", "deposited")
        store.purge(Tombstone("tx-1", 1, op.audit_hash, 1, (span,), 5, "0" * 64))
        with closing(sqlite3.connect(tmp_path / "wallet.db", isolation_level=None)) as connection:
            for statement in (
                "UPDATE tombstones SET mac = ''",
                "DELETE FROM tombstones",
                "INSERT OR REPLACE INTO tombstones SELECT * FROM tombstones",
                "INSERT INTO audit (id, operation_id, seq, entity, version, batch_id, hash, doc)"
                " VALUES ('x', 'tx-1', 9, 'e', 9, 'b', 'h', '{}')",
            ):
                with pytest.raises(sqlite3.IntegrityError):
                    connection.execute(statement)


_KEPT = "id, kind"
_REST = "machine_version, machine_hash, npub, mint_url, created_at, doc"
AROUND_A_STEP = {
    "out of a final state": "UPDATE operations SET state = 'paid', prev_state = 'paying',"
    " kind_of_state = 'live', ends = '', version = version + 1",
    "without a new version": "UPDATE operations SET prev_state = 'discrepant'",
    "replaced": "INSERT OR REPLACE INTO operations"
    f" ({_KEPT}, state, prev_state, kind_of_state, ends, version, {_REST})"
    f" SELECT {_KEPT}, 'paid', 'paying', 'live', '', version, {_REST} FROM operations",
    "removed": "DELETE FROM operations",
}


@pytest.mark.parametrize("way", AROUND_A_STEP)
def test_r423_no_raw_write_gets_around_the_steps_of_an_operation(tmp_path: Path, way: str) -> None:
    """R423: an operation that ended stays ended: no update, no replacement and no removal undoes its end."""
    path = tmp_path / "wallet.db"
    with SqliteStore(f"sqlite:///{path}") as store:
        store.commit(batch_for(make_operation("ended", state="reconciled")))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(AROUND_A_STEP[way])
        stored = store.operation("ended")
        assert stored is not None and stored.state == "reconciled"
