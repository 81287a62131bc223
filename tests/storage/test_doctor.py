"""The doctor on SQLite files and on memory: what is good, what is bad, what it mends, what it leaves."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from nutstate.storage.doctor import examine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.findings import Finding, Report
from nutstate.storage.memory import LACKS
from nutstate.storage.sqlite import doctor as sqlite_doctor
from nutstate.storage.sqlite.doctor import file_system
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import batch_for, make_operation, make_token

posix_only = pytest.mark.skipif(os.name == "nt", reason="file modes are those of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good store with one token in it."""
    file = tmp_path / "wallet.db"
    with SqliteStore(f"sqlite:///{file}") as store:
        store.commit(batch_for(make_operation(), tokens=[make_token("a")]))
    return file


def look(path: Path, *, fix: bool = False) -> Report:
    return examine(f"sqlite:///{path}", fix=fix)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def error(report: Report) -> Finding:
    """The one error."""
    (found,) = report.of("error")
    assert not report.healthy
    return found


def content(path: Path) -> bytes:
    return path.read_bytes()


# -- good ------------------------------------------------------------------------------------------


def test_a_good_file_is_healthy_and_stays_as_it_is(path: Path) -> None:
    before = content(path)
    report = look(path)
    assert report.healthy and report.url == f"sqlite:///{path}" and report.fixed == ()
    assert {finding.check for finding in report.of("ok")} >= {
        *("library", "file", "permissions", "folder", "schema version", "store", "journal", "durability"),
        *("integrity", "rules", "sums"),
    }
    assert content(path) == before and look(path, fix=True).fixed == ()
    assert [p.name for p in path.parent.iterdir()] == ["wallet.db"]


def test_it_looks_while_others_work(path: Path) -> None:
    with SqliteStore(f"sqlite:///{path}") as store:
        store.commit(batch_for(make_operation("tx-2"), tokens=[make_token("b")]))
        (log,) = [finding for finding in look(path).findings if finding.check == "log"]
        assert log.status == "info" and "wallet.db-wal" in log.text
        store.commit(batch_for(make_operation("tx-3"), tokens=[make_token("c")]))


def test_the_report_is_plain_data(path: Path) -> None:
    found = look(path).as_dict()
    assert found["healthy"] is True and found["fixed"] == []
    assert found["findings"][0].keys() == {"check", "status", "text", "hint", "fixable"}


# -- bad: the file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize("name", ["wallet.db", "no/such/folder/wallet.db"])
def test_a_missing_file_is_said_and_never_made(tmp_path: Path, fix: bool, name: str) -> None:
    found = error(look(tmp_path / name, fix=fix))
    assert (
        found.check == "file" and "there is no store at" in found.text and "nutstate mint" in str(found.hint)
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    assert "is not a file" in error(look(tmp_path)).text


@posix_only
def test_a_file_others_can_read_is_mended(path: Path) -> None:
    path.chmod(0o644)
    found = error(look(path))
    assert found.check == "permissions" and found.fixable and "wallet.db (0644)" in found.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    mended = look(path, fix=True)
    assert mended.healthy and mended.fixed == ("took the access of other users to the file away",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix_only
@pytest.mark.parametrize(
    "mode, status", [(0o777, "error"), (0o770, "warning"), (0o1777, "ok"), (0o755, "ok")]
)
def test_who_can_replace_the_file(path: Path, mode: int, status: str) -> None:
    path.parent.chmod(mode)
    (found,) = [finding for finding in look(path).findings if finding.check == "folder"]
    path.parent.chmod(0o700)
    assert found.status == status


@posix_only
def test_a_file_of_another_user_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert {finding.check for finding in look(path).of("warning")} >= {"owner"}


@pytest.mark.parametrize("denied, check", [(os.R_OK | os.W_OK, "file"), (os.W_OK | os.X_OK, "folder")])
@posix_only
def test_what_we_may_not_write(path: Path, denied: int, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: mode != denied)
    found = error(look(path))
    assert found.check == check and "this user may not" in found.text


def test_text_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    path.write_text("no database, but long enough to look at " * 50)
    path.chmod(0o600)
    before = content(path)
    found = error(look(path, fix=True))
    assert found.check == "store" and "no SQLite file" in found.text and "backup" in str(found.hint)
    assert content(path) == before


def test_an_empty_file_is_not_a_store(tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    path.touch(mode=0o600)
    assert "is not a nutstate store" in error(look(path, fix=True)).text
    assert content(path) == b""


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    change(path, "CREATE TABLE photos (name TEXT)")
    path.chmod(0o644)
    before = content(path)
    report = look(path, fix=True)
    assert "is not a nutstate store" in report.of("error")[1].text
    assert "nothing was changed" in report.of("error")[-1].text
    assert content(path) == before and stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_damaged_file_is_found_and_not_touched(path: Path) -> None:
    change(path, "DROP INDEX audit_batch")
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'audit'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    report = look(path, fix=True)
    checks = {finding.check for finding in report.of("error")}
    assert checks & {"integrity", "store"} and report.fixed == ()


def test_reading_through_has_a_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_doctor, "READ_THROUGH_S", -1.0)
    monkeypatch.setattr("nutstate.storage.sqlite.file._PROGRESS_STEPS", 1)
    report = look(path)
    assert report.healthy and [f.check for f in report.of("unknown")] == ["integrity", "sums"]


# -- bad: the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement, what",
    [
        ("DROP INDEX operation_claim", "the index operation_claim"),
        ("DROP TRIGGER token_kept", "the trigger token_kept"),
    ],
)
def test_a_dropped_rule_is_made_again(path: Path, statement: str, what: str) -> None:
    change(path, statement)
    found = error(look(path))
    assert found.check == "rules" and found.fixable and f"{what} is missing" in found.text
    mended = look(path, fix=True)
    assert mended.healthy and mended.fixed == (f"made {what}",)
    assert look(path).healthy


def test_an_index_over_duplicates_cannot_be_made_and_says_so(path: Path) -> None:
    change(
        path,
        "DROP TRIGGER audit_not_replaced",
        "DROP TRIGGER audit_step",
        "DROP INDEX audit_batch",
        "DROP INDEX audit_chain",
        "INSERT INTO audit SELECT 'twice', operation_id, seq, 'token:x', version, 'b', hash, doc FROM audit "
        "WHERE seq = 1 LIMIT 1",
    )
    report = look(path, fix=True)
    assert report.fixed == (
        "made the index audit_batch",
        "made the trigger audit_not_replaced",
        "made the trigger audit_step",
    )
    assert "the index audit_chain cannot be made: duplicate audit" in report.of("error")[-1].text


def test_a_changed_rule_is_found_and_left(path: Path) -> None:
    change(
        path,
        "DROP TRIGGER token_kept",
        "CREATE TRIGGER token_kept BEFORE DELETE ON tokens BEGIN SELECT 1; END",
    )
    found = error(look(path, fix=True))
    assert not found.fixable and "token_kept is not as this release declares it" in found.text


def test_a_lost_table_is_not_made_anew(path: Path) -> None:
    change(path, "DROP TABLE dedup")
    report = look(path, fix=True)
    assert "the table dedup is missing" in error(report).text and not report.fixed


def test_a_table_without_its_checks_is_found(path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'BETWEEN 0 AND', 'BETWEEN 1 AND') WHERE name = 'tokens'",
    )
    assert "the table tokens is not as this release declares it" in error(look(path, fix=True)).text


def test_a_foreign_trigger_is_a_warning(path: Path) -> None:
    change(path, "CREATE TRIGGER theirs AFTER INSERT ON dedup BEGIN DELETE FROM dedup; END")
    assert any("the trigger theirs" in finding.text for finding in look(path).of("warning"))


def test_rows_written_while_a_rule_was_off_are_found(path: Path) -> None:
    change(
        path,
        "DROP TRIGGER token_total_on_update",
        "UPDATE tokens SET total_amount = 7777, version = 2, prev_state = 'unspent', state = 'reserved', "
        "status = 'pending', reserved_by = 'tx-1'",
    )
    report = look(path, fix=True)
    assert report.fixed == ("made the trigger token_total_on_update",)
    found = error(report)
    assert found.check == "sums" and "a" in found.text and "7777" not in found.text


def test_rows_that_break_a_check_are_found(path: Path) -> None:
    change(path, "PRAGMA ignore_check_constraints = ON", "UPDATE tokens SET status = 'melted', version = 9")
    found = error(look(path))
    assert found.check == "integrity" and "tokens" in found.text


@pytest.mark.parametrize(
    "version, words",
    [("99", "made by a newer release"), ("0", "is older than"), ("'1'", "names no schema version")],
)
def test_another_schema_version_is_left_as_it_is(path: Path, version: str, words: str) -> None:
    change(path, f"UPDATE meta SET value = {version} WHERE key = 'schema_version'", "DROP INDEX audit_batch")
    before = content(path)
    found = error(look(path, fix=True))
    assert found.check == "schema version" and words in found.text
    assert content(path) == before


def test_a_write_ahead_log_that_is_off_is_turned_on(path: Path) -> None:
    change(path, "PRAGMA journal_mode = DELETE")
    assert error(look(path)).check == "journal"
    mended = look(path, fix=True)
    assert mended.healthy and mended.fixed == ("turned the write-ahead log on",)


def test_another_application_id_is_a_warning(path: Path) -> None:
    change(path, "PRAGMA application_id = 7")
    assert [f.check for f in look(path).of("warning") if f.check == "store"] == ["store"]


# -- the place -------------------------------------------------------------------------------------

MOUNTS = """\
/dev/root / ext4 rw 0 0
server:/export /srv/wallet\\040files nfs4 rw 0 0
tmpfs /srv/tmp tmpfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    "file, kind",
    [
        ("/srv/wallet.db", "ext4"),
        ("/srv/wallet files/wallet.db", "nfs4"),
        ("/srv/tmp/deep/wallet.db", "tmpfs"),
    ],
)
def test_the_file_system_of_a_file(file: str, kind: str) -> None:
    assert file_system(Path(file), MOUNTS) == kind
    assert file_system(Path(file), "") is None


@pytest.mark.parametrize("kind, words", [("nfs4", "network drive"), ("tmpfs", "in memory")])
def test_a_place_that_is_not_safe_is_a_warning(
    path: Path, kind: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_doctor, "file_system", lambda *_: kind)
    monkeypatch.setattr(sqlite_doctor, "FREE_MIN", 1 << 62)
    texts = [finding.text for finding in look(path).of("warning")]
    assert any(words in text for text in texts) and any("free" in text for text in texts)


# -- memory and nonsense ---------------------------------------------------------------------------


def test_memory_is_never_fit_and_says_what_it_lacks() -> None:
    report = examine("memory://", fix=True)
    assert error(report).check == "purpose"
    assert [finding.check for finding in report.of("info")] == [lack.capability for lack in LACKS]


@pytest.mark.parametrize(
    "url",
    ["postgres://user:hunter22@h/db", "wallet.db", "", "sqlite:///", "memory://a/b", "mongodb://u:hunter22@"],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreUnsupported) as caught:
        examine(url)
    assert "hunter22" not in caught.value.message
