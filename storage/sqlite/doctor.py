"""Is this SQLite file fit to keep money in? Looking never makes the file and changes no row."""

from __future__ import annotations

import math
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import CorruptRecord, StorageError
from ..findings import Finding, Report, of_machines
from ..migration import Migration
from ..rules.machines import Machines
from .doctor_shapes import declared, of_shapes, present_in
from .file import Link, meaning, prepare, primary_code
from .machines import stored_machines
from .migrate import OLDEST, migrate, planned
from .schema import APPLICATION_ID, SQLITE_OLDEST, SQLITE_SCHEMA_VERSION
from .store import sqlite_path

READ_THROUGH_S: Final = 120.0  # how long reading the whole file may take
FREE_MIN: Final = 100 * 1024 * 1024
_SHOWN_MAX: Final = 5
_MUST_HOLD: Final = ("file", "store", "schema version", "integrity")
"""The checks that must pass before ``--fix`` touches anything."""

_NETWORK: Final = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "vboxsf"),
    *("fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
)
_VOLATILE: Final = ("ramfs", "tmpfs")


def examine_sqlite(url: str, *, fix: bool = False, machines: Machines) -> Report:
    """The report on the file of ``url``; with ``fix``, after putting right what can be."""
    path = sqlite_path(url)
    findings = list(_look(path, machines))
    plan = _plan(path)
    if not fix or not any(finding.fixable for finding in findings):
        return Report(url, tuple(findings), migration=plan)
    in_the_way = [f for f in findings if f.status == "error" and not f.fixable and f.check in _MUST_HOLD]
    if in_the_way:
        text = f"nothing was changed, because of this: {in_the_way[0].check}: {in_the_way[0].text}"
        return Report(url, (*findings, Finding("fix", "error", text)), migration=plan)
    failed: list[Finding] = []
    if plan is not None:
        try:
            plan = migrate(path, machines)
        except StorageError as error:
            failed.append(Finding("fix", "error", f"the store was not migrated: {error.message}"))
            return Report(url, (*findings, *failed), migration=plan)
    failed = list(_mend(path, machines))
    again = list(_look(path, machines))
    left = {_what_was_done(finding) for finding in again if finding.fixable}
    done = [what for finding in findings if finding.fixable and (what := _what_was_done(finding)) not in left]
    return Report(url, (*again, *failed), tuple(done), plan)


def _plan(path: Path) -> Migration | None:
    """The migration of the file to this schema; None when it is not needed or the file cannot be read."""
    try:
        with _link(path) as link:
            return planned(link.connection, path)
    except (sqlite3.Error, StorageError):
        return None


def _look(path: Path, machines: Machines) -> Iterator[Finding]:
    yield _library()
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        hint = "Check --store; `nutstate mint` and `nutstate deposit` make a new one."
        yield Finding("file", "error", f"there is no store at {path}", hint)
        return
    except OSError as error:
        yield Finding("file", "error", f"{path} cannot be looked at: {error.strerror}")
        return
    if not stat.S_ISREG(info.st_mode):
        yield Finding("file", "error", f"{path} is not a file")
        return
    if not os.access(path, os.R_OK | os.W_OK):
        yield Finding("file", "error", f"this user may not read and write {path}")
        return
    yield Finding("file", "ok", f"{path}, {_size(info.st_size)}")
    if os.name == "posix":
        yield from _access(path, info)
    yield from _place(path)
    yield from _log(path)
    try:
        with _link(path) as link:
            yield from _content(link, path, machines)
    except sqlite3.Error as error:
        meant = meaning(error, path)
        broken = isinstance(meant, CorruptRecord)
        yield Finding(
            "store", "error", meant.message, "Keep a copy, restore it from a backup." if broken else None
        )


# -- the machine and the file --------------------------------------------------------------------


def _library() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SQLITE_OLDEST:
        return Finding("library", "error", f"SQLite {found} is too old: 3.31 or later is needed")
    return Finding("library", "ok", f"SQLite {found}")


def _access(path: Path, info: os.stat_result) -> Iterator[Finding]:
    """Who can read, replace or remove the money."""
    beside = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in beside if p.exists()}
    loose = [f"{name} ({mode:04o})" for name, mode in modes.items() if mode & 0o077]
    if loose:
        text = f"other users of this machine can reach the money: {', '.join(loose)}; wanted is 0600"
        yield Finding("permissions", "error", text, fixable=True)
    else:
        yield Finding("permissions", "ok", "only its owner can read and write the file (0600)")
    if info.st_uid != os.geteuid():
        text = f"the file belongs to user number {info.st_uid}, this program runs as {os.geteuid()}"
        yield Finding("owner", "warning", text, "Run nutstate as the user who owns the wallet.")
    yield _folder(path.parent)


def _folder(folder: Path) -> Finding:
    info = folder.stat()
    mode = stat.S_IMODE(info.st_mode)
    if not os.access(folder, os.W_OK | os.X_OK):
        text = f"this user may not write in {folder}, and SQLite keeps its log beside the file"
        return Finding(
            "folder", "error", text, "Run nutstate as a user who may, or change the folder's mode."
        )
    # In a sticky folder, such as /tmp, only the owner of a file can replace it.
    if mode & 0o022 and not mode & stat.S_ISVTX:
        everybody = bool(mode & 0o002)
        who = "every user" if everybody else "users of its group"
        text = f"{who} can replace or remove the file: {folder} has mode {mode:04o}"
        return Finding("folder", "error" if everybody else "warning", text, f"chmod go-w {folder}")
    if info.st_uid not in (os.geteuid(), 0):
        text = f"{folder} belongs to user number {info.st_uid}, who can replace or remove the file"
        return Finding("folder", "warning", text)
    return Finding("folder", "ok", "no other user can replace the file")


def _place(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path.parent).free
    if free < FREE_MIN:
        text = f"only {_size(free)} free: a full disk stops every payment"
        yield Finding("disk", "warning", text, "Make room before it is full.")
    else:
        yield Finding("disk", "ok", f"{_size(free)} free")
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # not Linux
    kind = file_system(path, mounts)
    if kind in _NETWORK:
        text = f"the file lies on a network drive ({kind}), where SQLite's locks and log are not safe"
        yield Finding("file system", "warning", text, "Move it to a disk of this machine, or use MongoDB.")
    elif kind in _VOLATILE:
        text = f"the file lies in memory ({kind}) and is gone when this machine restarts"
        yield Finding("file system", "warning", text, "Move it to a disk.")
    elif kind is not None:
        yield Finding("file system", "ok", f"a local one ({kind})")


def file_system(path: Path, mounts: str) -> str | None:
    """The kind of file system ``path`` lies on, from the text of ``/proc/self/mounts``."""
    place = path.resolve()
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        # Of two on the same place the later one covers the other.
        if place.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = len(point.parts), fields[2]
    return found[1] if found else None


def _log(path: Path) -> Iterator[Finding]:
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size:
        text = f"{log.name} holds {_size(size)} that may not be in the file yet: never delete or forget it"
        yield Finding("log", "info", text, "To copy the wallet: `sqlite3 wallet.db '.backup copy.db'`.")


def _size(number: int) -> str:
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} bytes"


# -- the content ---------------------------------------------------------------------------------


@contextmanager
def _link(path: Path) -> Iterator[Link]:
    link = Link(path)
    try:
        yield link
    finally:
        link.rollback()
        link.connection.close()


def _content(link: Link, path: Path, machines: Machines) -> Iterator[Finding]:
    present = present_in(link)
    if "meta" not in present:
        yield Finding("store", "error", f"{path} is not a nutstate store; it is left as it is")
        return
    version = link.connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    finding = _schema_version(version[0] if version else None)
    yield finding
    if finding.status == "error":
        return
    if _pragma(link, "application_id") == APPLICATION_ID:
        yield Finding("store", "ok", "the file calls itself a nutstate store")
    else:
        text = "the file does not carry the application id of nutstate: was it copied table by table?"
        yield Finding("store", "warning", text, "Copy the whole file, or use `.backup`.")
    if _pragma(link, "journal_mode") == "wal":
        yield Finding("journal", "ok", "changes go to a write-ahead log first (WAL)")
    else:
        yield Finding("journal", "error", "the write-ahead log (WAL) is off", fixable=True)
    if _pragma(link, "synchronous") == 2:
        text = "each commit waits for the disk (synchronous=FULL, set by nutstate itself)"
        yield Finding("durability", "ok", text)
    else:
        text = "SQLite does not take synchronous=FULL: a commit may not survive a power cut"
        yield Finding("durability", "error", text)
    yield from _integrity(link)
    yield from of_shapes(present)
    if present.keys() >= {"machines", "edges", "states"}:
        yield from of_machines(stored_machines(link.connection), machines)
    if present.keys() >= {"tokens"}:
        yield from _sums(link)


def _pragma(link: Link, name: str) -> object:
    return link.connection.execute(f"PRAGMA {name}").fetchone()[0]


def _schema_version(stored: object) -> Finding:
    wanted = SQLITE_SCHEMA_VERSION
    if type(stored) is not int:
        return Finding("schema version", "error", "the file names no schema version: it is no nutstate store")
    if stored > wanted:
        text = f"made by a newer release of nutstate (schema {stored}, this release knows {wanted})"
        return Finding("schema version", "error", text, "Update nutstate; the file is left as it is.")
    if stored < wanted:
        text = f"schema {stored} is older than {wanted}, which this release works with"
        if stored < OLDEST:
            return Finding("schema version", "error", text, "No release can migrate it.")
        hint = "Stop every program that uses the store; `doctor --fix` copies the file and migrates it."
        return Finding("schema version", "error", text, hint, fixable=True)
    return Finding("schema version", "ok", str(stored))


def _integrity(link: Link) -> Iterator[Finding]:
    try:
        with _deadline(link):
            rows = link.connection.execute(f"PRAGMA quick_check({_SHOWN_MAX})").fetchall()
    except sqlite3.Error as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        text = f"reading the whole file takes longer than {READ_THROUGH_S:.0f} s and was stopped"
        yield Finding("integrity", "unknown", text, "Run it by hand: sqlite3 wallet.db 'PRAGMA quick_check'")
        return
    said = [str(row[0]) for row in rows]
    if said == ["ok"]:
        yield Finding("integrity", "ok", "every page and every row reads well and keeps its rules")
    else:
        text = f"SQLite finds damage: {'; '.join(' '.join(line.split()) for line in said)}"
        hint = "Stop all programs that use it, keep a copy, restore from a backup."
        yield Finding("integrity", "error", text, hint)


def _sums(link: Link) -> Iterator[Finding]:
    """The sums that a trigger checks, checked once more: another program may have dropped it for a while."""
    wrong = (
        "SELECT transaction_id FROM tokens WHERE NOT json_valid(proofs) OR total_amount IS NOT "
        "(SELECT coalesce(sum(json_extract(value, '$.amount')), 0) FROM json_each(proofs)) LIMIT ?"
    )
    try:
        with _deadline(link):
            found = [str(row[0]) for row in link.connection.execute(wrong, (_SHOWN_MAX + 1,))]
    except sqlite3.Error as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        yield Finding("sums", "unknown", f"took longer than {READ_THROUGH_S:.0f} s and was stopped")
        return
    if found:
        more = " and more" if len(found) > _SHOWN_MAX else ""
        text = f"tokens whose total is not the sum of their proofs: {', '.join(found[:_SHOWN_MAX])}{more}"
        hint = "Another program wrote past nutstate. Compare with `nutstate show ID`."
        yield Finding("sums", "error", text, hint)
    else:
        yield Finding("sums", "ok", "the total of every token is the sum of its proofs")


@contextmanager
def _deadline(link: Link) -> Iterator[None]:
    link.deadline = time.monotonic() + READ_THROUGH_S
    try:
        yield
    finally:
        link.deadline = math.inf


# -- putting right ------------------------------------------------------------------------------


def _what_was_done(finding: Finding) -> str:
    """A fixable finding, once it is no more."""
    if finding.check == "permissions":
        return "took the access of other users to the file away"
    if finding.check == "journal":
        return "turned the write-ahead log on"
    if finding.check == "schema version":
        return f"migrated the store to schema {SQLITE_SCHEMA_VERSION}"
    if finding.check == "machines":
        return f"added {finding.text.partition(' is not stored')[0]}"
    return f"made {finding.text.partition(' is missing')[0]}"


def _mend(path: Path, machines: Machines) -> Iterator[Finding]:
    """Put right what can be, and say what could not."""
    try:
        prepare(path, create=False, machines=machines)  # mode, write-ahead log and machines
    except StorageError as error:
        yield Finding("fix", "error", f"nothing was changed: {error.message}")
        return
    try:
        with _link(path) as link:
            missing = declared().keys() - present_in(link).keys()
            for name, (kind, statement) in declared().items():
                if name in missing and kind != "table":
                    yield from _make(link, path, f"the {kind} {name}", statement)
    except sqlite3.Error as error:
        yield Finding("fix", "error", f"not everything was put right: {meaning(error, path).message}")


def _make(link: Link, path: Path, what: str, statement: str) -> Iterator[Finding]:
    try:
        link.connection.execute("BEGIN IMMEDIATE")
        link.connection.execute(statement)
        link.connection.execute("COMMIT")
    except sqlite3.Error as error:
        link.rollback()
        yield Finding("fix", "error", f"{what} cannot be made: {meaning(error, path).message}")
