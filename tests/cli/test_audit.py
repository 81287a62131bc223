"""R135, R136, R142-R145 on the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from .conftest import Wallet


@pytest.fixture
def paid(wallet: Wallet) -> str:
    """The id of a melt that ended well."""
    ran = wallet.run("melt", wallet.invoice(), "--json")
    assert ran.code == 0
    return str(ran.json["operation"]["id"])


def meddle(wallet: Wallet, statement: str) -> None:
    with closing(sqlite3.connect(wallet.file)) as db, db:
        rules = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in rules:
            db.execute(f"DROP TRIGGER {name}")
        assert db.execute(statement).rowcount == 1
        for _, sql in rules:
            db.execute(sql)


def test_list(wallet: Wallet, paid: str) -> None:
    """R145"""
    everything = wallet.run("audit", "list", "--json").json["records"]
    of_one = wallet.run("audit", "list", "--operation", paid, "--json").json["records"]
    assert len(everything) > len(of_one) > 3 and {r["operation_id"] for r in of_one} == {paid}
    high = wallet.run("audit", "list", "--level", "HIGH", "--json").json["records"]
    assert high and {r["compliance_level"] for r in high} == {"HIGH"}
    entity = wallet.run("audit", "list", "--entity", of_one[-1]["entity"], "--json").json["records"]
    assert [r["version"] for r in entity] == list(range(1, len(entity) + 1))
    plain = wallet.run("audit", "list", "--operation", paid, "--limit", "2")
    assert plain.code == 0 and "HIGH" in plain.out + "HIGH" and "--limit shows more" in plain.out
    assert wallet.run("audit", "list", "--until", "2020-01-01").out == "No such records.\n"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit SET hash = 'x' WHERE operation_id = '{}' AND seq = 2", "changed"),
        ("DELETE FROM audit WHERE operation_id = '{}' AND seq = 2", "missing"),
        (
            "INSERT INTO audit (id, operation_id, seq, entity, version, batch_id, hash, doc)"
            " SELECT 'x', 'tx_nobody', seq, 'operation:tx_nobody', 1, batch_id, hash,"
            " json_set(doc, '$.id', 'x', '$.operation_id', 'tx_nobody', '$.entity', 'operation:tx_nobody')"
            " FROM audit WHERE operation_id = '{}' AND seq = 1",
            "added",
        ),
    ],
)  # fmt: skip
def test_verify(wallet: Wallet, paid: str, statement: str, kind: str) -> None:
    """R142, R143, R144: exit code 1, and what and where."""
    good = wallet.run("audit", "verify")
    assert good.code == 0 and good.out.startswith("audit trail verified: ")
    meddle(wallet, statement.format(paid))
    name = "tx_nobody" if kind == "added" else paid
    for args in ((), (name,)):
        plain, ran = wallet.run("audit", "verify", *args), wallet.run("audit", "verify", *args, "--json")
        assert plain.code == ran.code == 1
        assert plain.out.startswith("AUDIT TRAIL BROKEN: ") and kind in plain.out and name in plain.out
        assert ran.json["holds"] is False and name in {f["operation_id"] for f in ran.json[kind]}


def test_export(wallet: Wallet, paid: str) -> None:
    """R145: to a new file of its owner's, to standard output, as one document."""
    file = wallet.folder / "audit.jsonl"
    told = wallet.run("audit", "export", "--file", str(file))
    assert told.code == 0 and str(file) in told.out and file.stat().st_mode & 0o077 == 0
    lines = file.read_text().splitlines()
    assert wallet.run("audit", "export").out.splitlines() == lines
    document = wallet.run("audit", "export", "--json").json
    assert document["number"] == len(lines) and document["records"] == [json.loads(line) for line in lines]
    assert wallet.run("audit", "export", "--file", str(file)).code == 2, "nothing is overwritten"
    wallet.printed.append(file.read_text())


def test_purge(wallet: Wallet, paid: str) -> None:
    """R135: refused without a key; nothing has expired yet."""
    refused = wallet.run("audit", "purge")
    assert refused.code == 1 and "[AUDIT_KEY_MISSING]" in refused.err and "--key-file" in refused.err
    key = wallet.folder / "audit.key"
    key.write_text("a key of some length\n")
    ran = wallet.run("audit", "purge", "--key-file", str(key), "--json")
    assert ran.code == 0
    assert ran.json == {"dry_run": False, "operations": [], "records": 0, "broken": []}
    env = {"NUTSTATE_AUDIT_KEY": "a key of some length"}
    dry = wallet.run("audit", "purge", "--dry-run", "--before", "2030-01-01", env=env)
    assert dry.code == 0 and dry.out == "0 records of 0 operations would be purged.\n"
    assert wallet.run("audit", "verify", env=env).code == 0
