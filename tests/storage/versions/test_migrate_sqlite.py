"""A file that a release of schema 1 left becomes one of this release: `doctor --fix`, whatever interrupts
it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nutstate import Store, open_store
from nutstate.engine.audit.verify import verify_all
from nutstate.storage.doctor import examine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.findings import Report
from nutstate.storage.port import OperationQuery
from nutstate.storage.records import MachineRef
from nutstate.storage.rules.codec import to_plain
from nutstate.storage.rules.machines import Machines
from nutstate.storage.schema_1 import EMPTY, fields_of_schema_1
from nutstate.storage.sqlite import migrate as migration
from nutstate.storage.sqlite.schema import SQLITE_SCHEMA_VERSION
from nutstate.storage.testing.records import batch_for, make_operation
from tests.fixtures.stores.make import AUDIT_KEY
from tests.support.releases import FIXTURES, SCHEMA_1, goes

KEPT = ("audit", "tombstones", "tombstone_entities", "proof_index", "token_secrets", "dedup")
PARTS = ("copy", *(step.name for step in migration.STEPS), "check", "commit")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the file that the release of schema 1 left."""
    file = tmp_path / "wallet.db"
    shutil.copyfile(FIXTURES / "schema-1.db", file)
    file.chmod(0o600)
    return file


def doctor(path: Path, *, fix: bool = False, machines: Machines = SCHEMA_1) -> Report:
    return examine(f"sqlite:///{path}", fix=fix, machines=machines)


def rows(path: Path, statement: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as raw:
        raw.row_factory = sqlite3.Row
        return [dict(row) for row in raw.execute(statement)]


def schema_of(path: Path) -> int:
    return int(rows(path, "SELECT value FROM meta WHERE key = 'schema_version'")[0]["value"])


def shape_of(path: Path) -> dict[str, str]:
    """Every table, index and trigger, as it is declared."""
    found = rows(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {row["name"]: " ".join(row["sql"].split()) for row in found}


def operations_before(path: Path) -> dict[str, Any]:
    """The operations of a file of schema 1, as plain documents."""
    found = {}
    for row in rows(path, "SELECT * FROM operations"):
        lease = [row.pop(name) for name in ("lease_worker", "lease_until", "lease_fence")]
        assert lease[0] is None, "the fixture has no running driver"
        document = json.loads(row.pop("doc"))
        for name in ("quote_id", "quote_let_go", "idempotency_key"):  # columns that follow from the document
            row.pop(name)
        found[row["id"]] = {
            k: v for k, v in (document | row | {"lease": None}).items() if k != "schema_version"
        }
    return found


def test_r419_an_older_store_is_not_opened_and_the_error_says_what_to_do(path: Path) -> None:
    """R419: the command in the error can be copied; the file stays as it is."""
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(StoreUnsupported) as caught:
            open_store(f"sqlite:///{path}", machines=SCHEMA_1, create=create)
        assert caught.value.details == {"schema_version": 1, "wanted": SQLITE_SCHEMA_VERSION}
        assert f"nutstate doctor --fix --store sqlite:///{path}" in caught.value.message
    assert path.read_bytes() == before


def test_r419_a_newer_store_says_that_this_release_is_too_old(tmp_path: Path) -> None:
    """R419: also when it was migrated while we had it open: nothing is committed in the form of before."""
    url = f"sqlite:///{tmp_path}/wallet.db"
    with open_store(url, machines=SCHEMA_1) as store:
        with closing(sqlite3.connect(tmp_path / "wallet.db")) as raw, raw:
            raw.execute("UPDATE meta SET value = value + 1 WHERE key = 'schema_version'")
        for work in (lambda: open_store(url, machines=SCHEMA_1), lambda: _commits(store)):
            with pytest.raises(StoreUnsupported, match="too old for it") as caught:
                work()
            assert caught.value.details["schema_version"] == SQLITE_SCHEMA_VERSION + 1
        assert store.operations(OperationQuery()) == []


def _commits(store: Store) -> None:
    version = SCHEMA_1.by_label["melt@1"]
    ref = MachineRef(version.name, version.number, version.hash)
    store.commit(batch_for(make_operation(machine=ref), machines=SCHEMA_1))


def test_r420_the_doctor_says_what_fix_would_do_and_changes_nothing(path: Path) -> None:
    """R420: the steps, from and to which schema, and where the copy would lie."""
    before = path.read_bytes()
    report = doctor(path)
    (error,) = report.of("error")
    assert error.check == "schema version" and error.fixable and "Stop every program" in str(error.hint)
    assert report.as_dict()["migration"] == {
        "start": 1, "end": SQLITE_SCHEMA_VERSION, "done": False, "copy": f"{path}.schema-1",
        "steps": tuple(step.text for step in migration.STEPS),
    }  # fmt: skip
    assert path.read_bytes() == before and not Path(f"{path}.schema-1").exists()


def test_r420_fix_migrates_and_keeps_a_copy(path: Path) -> None:
    """R420: every document as it was, with what its machine says of its state; the copy is the old store."""
    before, kept = operations_before(path), {table: rows(path, f"SELECT * FROM {table}") for table in KEPT}
    tokens = rows(path, "SELECT * FROM tokens ORDER BY transaction_id")
    report = doctor(path, fix=True)
    assert not report.of("error"), report.of("error")
    assert report.fixed == (f"migrated the store to schema {SQLITE_SCHEMA_VERSION}",)
    assert report.migration is not None and report.migration.done and doctor(path).migration is None
    with open_store(f"sqlite:///{path}", machines=SCHEMA_1, create=False) as store:
        found = {op.id: op for op in store.operations(OperationQuery(limit=1000))}
        after = {name: to_plain(op) for name, op in found.items()}
        assert verify_all(store, AUDIT_KEY).holds
        told = {op.state: (op.kind_of_state, op.ends) for op in found.values()}
        live = next(op for op in found.values() if op.kind == "melt" and op.state == "prepared")
        assert goes(store, live, "cancelled", SCHEMA_1).ends == "unpaid"
    # what was stored is what is read; fields that were added since hold their default
    after = {name: dict(EMPTY) | found | fields_of_schema_1(found["data"]) for name, found in after.items()}
    assert {name: {k: after[name][k] for k in old} for name, old in before.items()} == before
    assert after.keys() == before.keys()
    assert told["cancelled"] == ("final", "unpaid") and told["issued"] == ("final", "good")
    assert told["attention"] == ("parked", "") and told["held"] == ("live", "")
    copy = Path(f"{path}.schema-1")
    assert schema_of(copy) == 1 and operations_before(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert {table: rows(copy, f"SELECT * FROM {table}") for table in KEPT} == kept
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    assert rows(path, "SELECT * FROM tokens ORDER BY transaction_id") == tokens


def test_r516_a_migrated_lease_keeps_its_term(path: Path) -> None:
    """R516: the column has another name now, the number goes on."""
    terms = {row["id"]: row["lease_fence"] for row in rows(path, "SELECT id, lease_fence FROM operations")}
    doctor(path, fix=True)
    assert (
        terms == {row["id"]: row["lease_term"] for row in rows(path, "SELECT id, lease_term FROM operations")}
        and max(terms.values()) > 0
    )


def test_r420_a_migrated_file_is_declared_like_a_new_one(path: Path, tmp_path: Path) -> None:
    """R420: nothing of the old schema is left, and nothing of the new one is missing."""
    doctor(path, fix=True)
    open_store(f"sqlite:///{tmp_path}/new.db", machines=SCHEMA_1).close()
    assert shape_of(path) == shape_of(tmp_path / "new.db")


_KILLED = """
import os, signal, sys
from pathlib import Path
from nutstate.storage.sqlite.migrate import migrate
from tests.support.releases import SCHEMA_1

def reached(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(Path(sys.argv[1]), SCHEMA_1, reached)
"""


@pytest.mark.parametrize("part", PARTS)
def test_r421_killed_before_any_part_it_is_as_before_and_goes_through_the_next_time(
    path: Path, part: str
) -> None:
    """R421: ``kill -9`` between two steps; the store is whole, and the second run ends like an only one."""
    before = operations_before(path)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path), part], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert schema_of(path) == 1 and operations_before(path) == before
    report = doctor(path, fix=True)
    assert report.healthy and report.migration is not None and report.migration.done
    assert operations_before(Path(f"{path}.schema-1")) == before
    assert not [file for file in path.parent.iterdir() if file.name.endswith(".unfinished")]
    with open_store(f"sqlite:///{path}", machines=SCHEMA_1, create=False) as store:
        assert {op.id for op in store.operations(OperationQuery(limit=1000))} == set(before)
        assert verify_all(store, AUDIT_KEY).holds


_MIGRATES = _KILLED.replace("sys.argv[2]", "None")


def test_r421_several_migrate_at_once(path: Path) -> None:
    """R421: one does it, the others find it done."""
    children = [subprocess.Popen([sys.executable, "-c", _MIGRATES, str(path)]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert doctor(path, fix=True).healthy and schema_of(Path(f"{path}.schema-1")) == 1


def test_r422_an_operation_of_an_unknown_machine_stops_it_before_anything(path: Path) -> None:
    """R422: what its states are is not known here, so nothing is guessed and nothing is changed."""
    before = path.read_bytes()
    without = Machines(v for v in SCHEMA_1.versions if v.name != "mint")
    report = doctor(path, fix=True, machines=without)
    said = report.of("error")[-1].text
    assert "mint@1 (tx_mint_" in said and "nothing was changed" in said and report.fixed == ()
    assert path.read_bytes() == before and not Path(f"{path}.schema-1").exists()


def test_r420_a_trigger_of_another_program_stays(path: Path) -> None:
    """R420: the doctor names it before and after; it is not for us to take it away."""
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TRIGGER theirs AFTER INSERT ON operations BEGIN SELECT 1; END")
    report = doctor(path, fix=True)
    assert report.healthy and any("the trigger theirs" in found.text for found in report.of("warning"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operations SET doc = json_set(doc, '$.machine', json('{}')) WHERE state = 'prepared'",
        "UPDATE operations SET state = 'cancelled', prev_state = 'prepared', version = version + 1"
        " WHERE state = 'prepared'",
        "INSERT INTO operations (id, kind, state, version, npub, mint_url, created_at, doc)"
        " VALUES ('new', 'melt', 'requested', 1, 'n', 'm', 1, '{\"machine\": {}}')",
    ],
)
def test_r421_a_program_of_schema_1_that_is_still_open_can_write_no_operation(
    path: Path, statement: str
) -> None:
    """R421: it would store the form of before."""
    doctor(path, fix=True)
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)


def test_r420_a_row_that_breaks_a_rule_stops_it_and_nothing_is_changed(path: Path) -> None:
    """R420: what was forced into the file while a rule was off does not become lawful on the way."""
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute("UPDATE tokens SET status = 'melted' WHERE state = 'unspent'")
    report = doctor(path, fix=True)
    assert not report.healthy and schema_of(path) == 1
    assert rows(path, "SELECT count(*) AS n FROM operations")[0]["n"] == 14
