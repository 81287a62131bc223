"""``diagrams page`` and ``show --html``: what is written where, who may read it, and what is refused."""

from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from nutstate.machines.registry import RELEASED
from tests.cli.conftest import NPUB, Wallet


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_page_of_all_and_of_some(empty: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.folder)
    ran = empty.run("diagrams", "page", "--json")
    assert ran.json == {
        "file": "nutstate-machines.html",
        "machines": sorted({machine.name for machine in RELEASED}),
    }
    first = Path("nutstate-machines.html").read_bytes()
    assert empty.run("diagrams", "page").out == "nutstate-machines.html: open it in a browser\n"
    assert Path("nutstate-machines.html").read_bytes() == first
    assert empty.run("diagrams", "page", "token", "-o", "one.html").code == 0
    assert len(Path("one.html").read_bytes()) < len(first) / 2


def test_machines_of_somebody_else(empty: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("their_page_machines.py").write_text(
        "from nutstate.machines.spec import *\n"
        "TOY = Machine('toy', 1, object,\n"
        "              (State('none', 'not yet', kind='pseudo'), State('on', 'it is on')),\n"
        "              (Event('switch', 'somebody presses', 'caller'),),\n"
        "              edges('1', 'switch', 'none', 'on'))\n"
    )
    assert empty.run("diagrams", "page", "--from", "their_page_machines", "-o", "toy.html").code == 0
    assert "somebody presses" in Path("toy.html").read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("diagrams", "page", "nothing"), "no machine named 'nothing'"),
        (
            ("diagrams", "page", "-o", "no/such/place.html"),
            "--output: No such file or directory: 'no/such/place.html'",
        ),
        (("diagrams", "build", "--out", "/dev/null/x"), "--out: Not a directory: '/dev/null/x'"),
        (("diagrams", "page", "-o", "."), "is a directory"),
        (
            ("diagrams", "page", "--from", "tests.diagrams.test_export_command:BROKEN"),
            "does not declare the state",
        ),
        (("show", "tx", "--html", "x.html", "--report"), "--html cannot be combined with --report"),
        (("show", "tx", "--html", "x.html", "--show-preimage"), "cannot be combined"),
    ],
)
def test_wrong_usage(
    empty: Wallet, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(empty.folder)
    ran = empty.run(*args)
    assert ran.code == 2 and said in ran.err
    assert not list(Path().glob("*.html"))


def test_a_store_that_is_not_there_is_an_error_and_writes_nothing(empty: Wallet) -> None:
    file = empty.folder / "page.html"
    ran = empty.run("diagrams", "page", "--store", empty.url, "-o", str(file), "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "STORE_UNAVAILABLE"
    assert not file.exists() and not empty.file.exists()


def test_a_build_can_count_too(empty: Wallet) -> None:
    empty.fund()
    folder = empty.folder / "drawings"
    ran = empty.run("diagrams", "build", "--out", str(folder), "--store", empty.url, "--json")
    assert ran.code == 0 and ran.json["written"][-1] == "machines.html"
    assert (folder / "machines.html").stat().st_mode & 0o077 == 0
    assert "reconciled" in (folder / "machines.html").read_text() and (folder / "melt.svg").is_file()
    assert empty.run("diagrams", "build", "--store", empty.url).code == 2, "committed drawings count nothing"
    gone = empty.run("diagrams", "build", "--out", str(folder), "--store", f"{empty.url}x")
    assert gone.code == 1


def test_a_page_about_money_is_its_owners(empty: Wallet) -> None:
    empty.fund()
    page, counts, trail = (empty.folder / f"{name}.html" for name in ("page", "counts", "trail"))
    counts.write_text("somebody could read this")
    counts.chmod(0o644)
    assert empty.run("diagrams", "page", "-o", str(page)).code == 0
    assert empty.run("diagrams", "page", "--store", empty.url, "-o", str(counts)).code == 0
    funding = empty.run("history", "--json").json["operations"][0]["id"]
    ran = empty.run("show", funding, "--html", str(trail), "--json")
    assert ran.json == {"file": str(trail), "records": 6, "chain_verified": True}
    assert (mode(counts), mode(trail)) == (0o600, 0o600) and mode(page) & 0o200
    for file in (counts, trail):
        text = file.read_text(encoding="utf-8")
        assert not [secret for secret in empty.secrets() if secret in text]
        assert NPUB not in text
    assert "somebody could" not in counts.read_text()


def test_what_was_smuggled_into_the_log_stays_out_of_the_page(empty: Wallet) -> None:
    """A record that another program wrote past the engine: its chain is broken, and its secrets are taken
    out."""
    empty.fund()
    funding = empty.run("history", "--json").json["operations"][0]["id"]
    planted = '{"preimage":"MARKER-1","note":"cashuAMARKER2MARKER2","deep":[{"secret":"MARKER-3"}]}'
    with sqlite3.connect(empty.file) as db:
        (rule,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_fixed'").fetchone()
        db.execute("DROP TRIGGER audit_fixed")
        db.execute(
            "UPDATE audit SET doc = json_set(doc, '$.data', json(?), '$.actor', ?) WHERE seq = 1",
            (planted, "operator:nsec1" + "marker" * 8),
        )
        db.execute(rule)
    db.close()
    file = empty.folder / "trail.html"
    ran = empty.run("show", funding, "--html", str(file))
    text = file.read_text(encoding="utf-8")
    assert ran.code == 1, "the chain is broken"
    assert "marker" not in text.lower() and '"verified":false' in text
