"""``machines lint``: what a person and a script see, and the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nutstate.cli import app
from nutstate.diagrams.build import GOLDEN
from nutstate.machines import MELT

ROOT = Path(__file__).parents[2]

SHOP = """
from nutstate.machines.spec import NONE, Event, Guard, Machine, State, edges

paid = Guard("paid", "it is paid", "NOT_PAID", lambda f: f["paid"])
NOTHING, DONE = State(NONE, "nothing", kind="pseudo"), State("done", "done", kind="final")
sent = Guard("sent", "it is sent", "NOT_SENT", lambda f: f["sent"])

ORDER = Machine(
    name="order", version=1, facts=dict, good_path=(NONE, "open", "done"),
    states=(NOTHING, State("open", "open"), DONE),
    events=(Event("place", "placed", "caller"), Event("settle", "paid", "mint")),
    transitions=(*edges("1", "place", NONE, "open"), *edges("2", "settle", "open", "done", requires=(paid,))),
)
BAD = Machine(
    name="bad", version=1, facts=dict,
    states=(NOTHING, State("stuck", "stuck"), DONE),
    events=(Event("place", "placed", "caller"), Event("end", "ended", "operator")),
    transitions=(*edges("1", "place", NONE, "stuck"), *edges("2", "end", NONE, "done")),
)
"""


def run(*args: str) -> Result:
    result = CliRunner().invoke(app, ["machines", "lint", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "lint_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "lint_shop"
    sys.modules.pop("lint_shop", None)


def test_our_machines_have_no_errors() -> None:
    ran = run()
    assert ran.exit_code == 0, ran.stdout
    for name in ("check@1", "deposit@1", "melt@1", "mint@1", "record@1", "token@1", "all machines together"):
        assert name in ran.stdout.splitlines()
    assert ran.stdout.splitlines()[-1].startswith("0 errors, 0 warnings, ")
    assert run("--strict").exit_code == 0


def test_json_is_one_document_and_says_the_same() -> None:
    document = json.loads(run("--json").stdout)
    assert document["counts"]["error"] == 0 and document["machines"][2] == "melt@1"
    assert sum(document["counts"].values()) == len(document["findings"])
    first = document["findings"][0]
    assert set(first) == {"code", "rule", "severity", "machine", "where", "sentence", "fix"}
    assert "gaps" not in document
    (gap,) = [
        g for g in json.loads(run("deposit", "--json", "--gaps").stdout)["gaps"] if len(g["terms"]) == 1
    ][:1]
    assert gap["terms"] == [["proofs_few_enough", False]] and gap["outcome"] == "refused"


def test_only_what_was_named_is_told() -> None:
    ran = run("mint")
    assert "mint@1" in ran.stdout and "melt@1" not in ran.stdout and "unused" not in ran.stdout


def test_gaps_are_sentences() -> None:
    assert "paid + change_received" not in run("melt").stdout
    shown = run("melt", "--gaps").stdout
    assert (
        "paid + change_received is refused when it does not hold that the change is within what is owed"
        in shown
    )
    assert "paid + change_missing is absorbed when it holds that the change window is still open" in shown


def test_machines_of_a_module(shop: str) -> None:
    ran = run("--from", shop)
    assert ran.exit_code == 1
    assert "L11 trap  stuck" in ran.stdout and "L44 unused-guard  lint_shop.sent" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("1 error, 3 warnings, ")
    fine = run("order", "--from", f"{shop}:ORDER")
    assert fine.exit_code == 0 and "bad@1" not in fine.stdout


def test_a_changed_table_is_an_error(shop: str, tmp_path: Path) -> None:
    record = tmp_path / "released.json"
    record.write_text(json.dumps([{"name": "order", "version": 1, "content_hash": "0" * 64}]))
    ran = run("--from", f"{shop}:ORDER", "--golden", str(record))
    assert ran.exit_code == 1 and "L50 changed-release  order@1" in ran.stdout
    assert run("--golden", str(ROOT / GOLDEN)).exit_code == 0
    ours = [{"name": "melt", "version": 1, "content_hash": MELT.content_hash[::-1]}]
    record.write_text(json.dumps(ours))
    assert run("melt", "--golden", str(record)).exit_code == 1
    assert run("token", "--golden", str(record)).exit_code == 0


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"name": "melt"}]', "7", '[{"name":"m","version":"x","content_hash":""}]']
)
def test_a_record_that_is_none_is_wrong_usage(tmp_path: Path, text: str) -> None:
    record = tmp_path / "released.json"
    record.write_text(text)
    ran = run("--golden", str(record))
    assert ran.exit_code == 2 and "--golden" in ran.stderr


@pytest.mark.parametrize("args", [("nosuch",), ("--from", "nosuch.module"), ("--golden", "nosuch.json")])
def test_wrong_usage(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2
