"""``machines explain``, ``paths``, ``tours``, ``simulate`` and ``table``, as a reviewer types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nutstate.cli import app
from nutstate.machines import CHECK, MELT
from nutstate.machines.registry import names
from nutstate.review.kit import explain, paths, simulate, tours

TOY = ("--from", "tests.machines.toy:ORDER")


def run(*args: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["machines", *args], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def document(*args: str, stdin: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*args, "--json", stdin=stdin).stdout)
    return found


def test_explain() -> None:
    shown = run("explain", "melt", "fencing", "fence_refused", "own_outputs_not_signed=no")
    assert shown.exit_code == 0
    assert shown.stdout == explain(MELT, "fencing", "fence_refused", {"own_outputs_not_signed": False}).text()
    assert "FENCE_STANDS" in shown.stdout
    told = document("explain", "melt", "quoted", "mint_paid")
    assert (told["outcome"], told["edges"]) == ("undefined", [])
    assert "order: tick in open" in run("explain", "order", "open", "tick", *TOY).stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("explain", "melt", "pendin", "mint_paid"), "melt has no state 'pendin'; did you mean pending"),
        (("explain", "melt", "pending", "paid"), "melt has no event 'paid'; did you mean mint_paid"),
        (("explain", "melt", "pending", "mint_paid", "payment_prove=yes"), "did you mean payment_proven or"),
        (
            ("explain", "check", "x", "y"),
            "no state 'x'; there are none, clean, corrected, discrepant, resolved",
        ),
        (("explain", "melt", "pending", "zzz"), "`nutstate machines table MACHINE` lists them"),
        (("explain", "melt", "pending", "mint_paid", "payment_proven"), "is not GUARD=yes or GUARD=no"),
        (("explain", "melt", "pending", "mint_paid", "=yes"), "is not GUARD=yes or GUARD=no"),
        (
            ("explain", "melt", "pending", "mint_paid", "payment_proven=yes", "payment_proven=no"),
            "answered twice",
        ),
        (("explain", "burn", "pending", "mint_paid"), "no machine named 'burn'"),
        (("paths", "melt", "--cover", "nodes"), "states, edges, pairs or a number from 1 to 32"),
        (("paths", "melt", "--cover", "0"), "a number from 1 to 32"),
        (("paths", "melt", "--cover", "9" * 5000), "a number from 1 to 32"),
        (("paths", "melt", "--cover", "9"), "more than 100000 sequences of up to 9 edges"),
        (("simulate", "melt"), "give --seed or --script"),
        (("simulate", "melt", "--seed", "1", "--script", "-"), "give --seed or --script"),
        (("simulate", "melt", "--script", "-", "--steps", "3"), "--steps goes with --seed"),
        (("simulate", "melt", "--seed", "x"), "not a valid integer"),
        (("simulate", "melt", "--seed", "1", "--steps", "0"), "--steps"),
        (("simulate", "melt", "--script", "no-such-file"), "no-such-file"),
    ],
)
def test_what_is_mistyped_is_told(args: tuple[str, ...], words: str) -> None:
    shown = run(*args)
    assert shown.exit_code == 2
    assert words in " ".join(shown.stderr.split())
    content = json.loads(run(*args, "--json").stdout)
    assert content["error"]["code"] == "USAGE"


def test_a_bad_script_is_told_with_its_line(tmp_path: Path) -> None:
    shown = run("simulate", "melt", "--script", "-", stdin="request\nquote_receivd\n")
    assert shown.exit_code == 2
    assert "line 2: melt has no event 'quote_receivd'; did you mean quote_received" in shown.stderr
    odd = tmp_path / "odd"
    odd.write_bytes(b"request\n\xff\xfe\n")
    assert "is not UTF-8 text" in run("simulate", "melt", "--script", str(odd)).stderr


@pytest.mark.parametrize("cover", ["states", "edges", "pairs", "3"])
def test_paths(cover: str) -> None:
    number: Any = int(cover) if cover.isdecimal() else cover
    found = paths(MELT, number)
    shown = run("paths", "melt", "--cover", cover)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert len(lines) == len(found.paths) + 1 and lines[-1].startswith(f"{len(found.paths)} paths, ")
    assert document("paths", "melt", "--cover", cover) == json.loads(json.dumps(found.as_data()))


def test_tours() -> None:
    shown = run("tours", "melt")
    assert shown.exit_code == 0
    found, edges = tours(MELT), len(MELT.transitions)
    told = f"{len(found.tours)} tours, {found.steps} steps: {edges} edges taken"
    assert shown.stdout.splitlines()[-1] == told
    assert document("tours", "melt") == found.as_data()


def test_what_cannot_be_reached_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lost_machine.py").write_text(
        "from tests.machines.toy import unreachable\nLOST = unreachable()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for command in ("paths", "tours"):
        shown = run(command, "unreachable", "--from", "lost_machine")
        assert shown.exit_code == 1
        assert "unreachable: 8.look.lost" in shown.stderr
        assert run(command, "unreachable", "--from", "lost_machine", "--json").exit_code == 1


@pytest.mark.parametrize("command", ["paths", "tours"])
def test_scripts_of_paths_are_played(command: str) -> None:
    *scripts, last = run(command, "check", "--script").stdout.split("\n\n")
    steps = len(CHECK.transitions)  # one of them, ``resolve``, comes behind another one
    assert len(scripts) == steps - 1 and last.startswith(f"# {steps - 1} {command}, {steps} steps")
    for script in scripts:
        played = run("simulate", "check", "--script", "-", stdin=script)
        assert (played.exit_code, played.stdout) == (0, script + "\n")


def test_simulate_prints_what_it_plays_again(tmp_path: Path) -> None:
    shown = run("simulate", "melt", "--seed", "7", "--steps", "20")
    assert shown.exit_code == 0 and shown.stdout == simulate(MELT, seed=7, steps=20).text()
    file = tmp_path / "walk.txt"
    file.write_text(shown.stdout)
    assert run("simulate", "melt", "--script", str(file)).stdout == shown.stdout
    told = document("simulate", "melt", "--seed", "7", "--steps", "20")
    assert told == document("simulate", "melt", "--script", str(file))
    assert len(told["steps"]) <= 20


@pytest.mark.parametrize("name", names())
def test_the_table_is_the_committed_page(name: str) -> None:
    shown = run("table", name)
    committed = (Path(__file__).parents[2] / "diagrams" / "out" / f"{name}.md").read_text(encoding="utf-8")
    pages = [
        [line for line in page.splitlines() if line.startswith("| ")] for page in (shown.stdout, committed)
    ]
    assert shown.exit_code == 0 and pages[0] == pages[1]
    assert document("table", name)["page"] == shown.stdout


def test_the_cells_in_letters() -> None:
    shown = run("table", "order", "--cells", *TOY)
    assert shown.stdout.splitlines() == [
        "   1  none", "   2  open", "   3  packed", "   4  held", "   5  done", "",
        "        1   2   3   4   5",
        "begin   A   .   .   .   .",
        "tick    .  Ab  Ar   .   b",
        "ship    .   r   A   .   .",
        "look    .   .   .   A   .",
        "",
        "A accepted, b absorbed, r refused, . undefined",
    ]  # fmt: skip
    cells = document("table", "melt", "--cells")["cells"]
    assert sum(len(events) for events in cells.values()) == len(MELT.states) * len(MELT.events)
    assert cells["unknown"]["mint_unpaid"] == ["accepted", "absorbed"]


def test_machines_that_cannot_be_told_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_machines.py").write_text(
        "import attrs\nfrom nutstate.machines.spec import Event, edges\n"
        "from tests.machines.toy import ORDER\n"
        "A = attrs.evolve(ORDER, name='a', transitions=edges('1', 'begin', 'none', 'lost'))\n"
        "B = attrs.evolve(ORDER, name='b', events=(Event('go on', 'x', 'caller'),),"
        " transitions=edges('1', 'go on', 'none', 'open'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    commands = (["paths"], ["tours"], ["table"], ["table", "--cells"], ["simulate", "--seed", "1"])
    for first, *rest in commands:
        shown = run(first, "a", "--from", "odd_machines", *rest)
        assert shown.exit_code == 2 and "no state 'lost', which 1.begin.none names" in shown.stderr
    for first, *rest in (["paths", "--script"], ["tours", "--script"], ["simulate", "--seed", "1"]):
        shown = run(first, "b", "--from", "odd_machines", *rest)
        assert (
            shown.exit_code == 2
            and "'go on' cannot be written in a script; --json can tell it" in shown.stderr
        )
    assert document("simulate", "b", "--from", "odd_machines", "--seed", "1")["steps"][0]["event"] == "go on"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("their_wrong", "'their_wrong' cannot be imported: TypeError: it is odd (their_wrong.py:3)"),
        ("their_torn", "'their_torn' cannot be imported: SyntaxError: '(' was never closed (their_torn.py,"),
        ("their_end", "'their_end' cannot be imported: SystemExit: 0 (their_end.py:1)"),
        ("./their_end.py", "'./their_end.py' is a file; give the name of its module, such as their_end"),
        (".their_end", "'.their_end' is not the name of a module"),
        ("", "'' is not the name of a module"),
        ("their_two", "'their_two' holds two different machines order@1"),
    ],
)  # fmt: skip
def test_a_module_that_is_wrong_is_told(
    module: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_wrong.py").write_text("\n\nraise TypeError('it is odd')\n")
    (tmp_path / "their_torn.py").write_text("x = (\n")
    (tmp_path / "their_end.py").write_text("raise SystemExit(0)\n")
    twice = "import attrs\nfrom tests.machines.toy import ORDER\nOTHER = attrs.evolve(ORDER)\n"
    (tmp_path / "their_two.py").write_text(twice)
    monkeypatch.syspath_prepend(tmp_path)
    shown = run("list", "--from", module)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert words in " ".join(shown.stderr.split())


@pytest.mark.parametrize(
    ("raised", "code", "said", "ends"),
    [
        (KeyboardInterrupt(), "INTERRUPTED", "interrupted", 130),
        (RuntimeError("nsec1"), "UNEXPECTED", "error: unexpected RuntimeError: this is a bug in nutstate", 1),
    ],
)
def test_what_ends_early_says_so_in_json_too(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: str, said: str, ends: int
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr("nutstate.cli.machines.listing.chosen", fails)
    shown = run("list")
    assert (shown.exit_code, shown.stdout, shown.stderr.strip()) == (ends, "", said)
    shown = run("list", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["error"]["code"], shown.stderr.strip()) == (
        ends,
        code,
        "",
    )


def test_the_list_is_of_some_or_of_all_and_is_a_record_of_what_is_released(tmp_path: Path) -> None:
    assert [item["name"] for item in document("list")["machines"]] == list(names())
    assert [item["name"] for item in document("list", "token", "melt")["machines"]] == ["token", "melt"]
    record = tmp_path / "released.json"
    record.write_text(run("list", *TOY, "--json").stdout)
    told = document("lint", *TOY, "--golden", str(record))["findings"]
    assert not [finding for finding in told if finding["code"] in ("L50", "L51")]
    record.write_text(run("list", "--json").stdout)
    told = document("lint", *TOY, "--golden", str(record))["findings"]
    assert [finding["code"] for finding in told if finding["code"] in ("L50", "L51")] == ["L51"]


def test_the_newest_version_of_a_module_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import attrs\nfrom tests.machines.toy import ORDER\nALL = "
    text += "tuple(attrs.evolve(ORDER, version=n) for n in (9, 11, 10))\n"
    (tmp_path / "their_versions.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = document("list", "--from", "their_versions:ALL")["machines"]
    assert found["version"] == 11
