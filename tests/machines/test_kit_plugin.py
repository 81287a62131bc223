"""The pytest plugin, used as a project that embeds us would use it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "machines" / "toy.py"
PLUGIN = "nutstate.pytest_plugin"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the toy machines and a test of its own."""
    pytester.makepyfile(shop=HERE.read_text(encoding="utf-8"))
    pytester.makepyfile(test_own="def test_own(): pass")
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{pytester.path}")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    """In this process, and with no other plugin than ours."""
    return project.runpytest_inprocess("-p", PLUGIN, "-p", "no:cacheprovider", *args)


def setting(project: pytest.Pytester, value: str) -> None:
    project.makeini(f"[pytest]\naddopts = --strict-config\nnutstate_machines = {value}\n")


def test_without_the_setting_it_does_nothing(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(passed=1)


def test_every_cell_is_a_test(project: pytest.Pytester) -> None:
    setting(project, "shop:ORDER")
    result = run(project, "-v", "-k", "not lint")
    result.assert_outcomes(passed=1 + 5 * 4 + 2, deselected=1)
    result.stdout.fnmatch_lines(
        ["*nutstate::order::cell?open-tick? PASSED*", "*nutstate::order::every state can end PASSED*"]
    )


def test_cells_are_chosen_by_name(project: pytest.Pytester) -> None:
    setting(project, "shop:ORDER")
    run(project, "-k", "open-tick").assert_outcomes(passed=1, deselected=23)


def test_broken_machines_fail_and_say_where(project: pytest.Pytester) -> None:
    project.makepyfile(
        broken="import shop\nALL = [shop.unreachable(), shop.trapped(), shop.two_faced(), shop.twins()]"
    )
    result = run(project, "--nutstate-machines=broken:ALL", "-k", "not lint")
    result.assert_outcomes(passed=1 + 6 * 4 + 2 + 3 * (5 * 4 + 2) - 5, failed=5, deselected=4)
    result.stdout.fnmatch_lines_random(
        [
            "no path from the pseudo-state reaches lost",
            "from held no final state can be reached",
            "look in packed with paid=no: *decides codes ?'OTHER'?, its declaration says ?'NOT_PAID'?",
            "tick in open with paid=no, old=yes: *decides effects ('a',), its declaration says ('b',)",
        ]
    )
    result.stdout.no_fnmatch_line("*_machine_items.py:*")
    result.stdout.fnmatch_lines(["collected 97 items / 4 deselected / 93 selected"])


def test_a_machine_without_finals_is_told(project: pytest.Pytester) -> None:
    project.makepyfile(
        endless="import attrs, shop\nE = attrs.evolve(shop.ORDER, states=shop.ORDER.states[:-1], transitions=shop.ORDER.transitions[:4])"
    )
    result = run(project, "--nutstate-machines=endless:E", "-k", "end", "-rs")
    result.stdout.fnmatch_lines(["SKIPPED*order declares no final state"])


def test_the_lint_is_a_test(project: pytest.Pytester) -> None:
    project.makepyfile(tidy="import shop\nTIDY = shop.tidy()")
    project.makepyfile(lost="import shop\nLOST = shop.unreachable()")
    run(project, "--nutstate-machines=tidy:TIDY", "-k", "lint").assert_outcomes(passed=1, deselected=23)
    result = run(project, "--nutstate-machines=shop:ORDER", "-k", "lint")
    result.assert_outcomes(failed=1, deselected=23)
    result.stdout.fnmatch_lines(["L33 packed: *", "L34 held: *"])
    result = run(project, "--nutstate-machines=lost:LOST", "-k", "lint")
    result.assert_outcomes(failed=1, deselected=27)
    result.stdout.fnmatch_lines(["L13 8.look.lost: it leaves 'lost', which is final"])
    result.stdout.no_fnmatch_line("*L4*")


def test_the_setting_waits_for_a_run_of_more_than_files(project: pytest.Pytester) -> None:
    setting(project, "shop:ORDER")
    run(project, "test_own.py").assert_outcomes(passed=1)
    run(project, "test_own.py::test_own").assert_outcomes(passed=1)
    run(project, ".", "-k", "own or open-tick").assert_outcomes(passed=2, deselected=22)
    run(project, "test_own.py", "--nutstate-machines=shop:ORDER", "-k", "own or open-tick").assert_outcomes(
        passed=2, deselected=22
    )


def test_a_machine_that_is_named_twice_is_tested_once(project: pytest.Pytester) -> None:
    setting(project, "shop shop:ORDER")
    run(project, "-k", "open-tick").assert_outcomes(passed=1, deselected=23)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("no_such_module", "*'no_such_module' cannot be imported*pythonpath*"),
        ("shop:NOTHING", "*'shop' holds no 'NOTHING'*"),
        ("shop.py", "*'shop.py' is a file*shop*"),
        ("wrong", "*'wrong' cannot be imported: TypeError: *'version'* (wrong.py:3)*"),
        ("json", "*'json' holds no Machine*"),
        ("same", "*two different machines order@1*"),
    ],
)
def test_a_machine_that_is_not_there_ends_the_run(project: pytest.Pytester, origin: str, words: str) -> None:
    project.makepyfile(same="import attrs, shop\nA = attrs.evolve(shop.ORDER)\nB = attrs.evolve(shop.ORDER)")
    project.makepyfile(wrong="from nutstate.machines.spec import Machine\n\nM = Machine(name='m')")
    result = run(project, f"--nutstate-machines={origin}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([words])


def test_two_versions_of_a_machine_are_told_apart(project: pytest.Pytester) -> None:
    project.makepyfile(both="import attrs, shop\nA = shop.ORDER\nB = attrs.evolve(shop.ORDER, version=2)")
    result = run(project, "--nutstate-machines=both", "-v", "-k", "open-tick")
    result.stdout.fnmatch_lines(
        ["*nutstate::order@1::cell?open-tick? PASSED*", "*nutstate::order@2::cell*PASSED*"]
    )


@pytest.mark.parametrize("how", [(), ("-p", PLUGIN), ("-p", "nutstate")])
def test_the_entry_point_registers_once(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    """An installed distribution, as far as pytest can see; its entry point is the one we declare."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    folder = project.mkdir("shelf-1.dist-info")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    points = "".join(f"{name} = {value}\n" for name, value in declared["pytest11"].items())
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    setting(project, "shop:ORDER")
    result = project.runpytest_subprocess(*how, "-p", "no:cacheprovider", "-k", "not lint")
    result.assert_outcomes(passed=23, deselected=1)


def test_loading_it_imports_nothing_else() -> None:
    code = (
        "import sys, nutstate.pytest_plugin\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in"
        " ('nutstate', 'transitions', 'pymongo', 'httpx', 'click', 'coincurve')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "['nutstate', 'nutstate.pytest_plugin']"


def test_the_package_still_offers_everything() -> None:
    code = (
        "import sys, nutstate\n"
        "assert 'nutstate.engine' not in sys.modules\n"
        "found = {name: getattr(nutstate, name) for name in nutstate.__all__}\n"
        "from nutstate import *\n"
        "assert found['Engine'] is Engine is nutstate.engine.api.engine.Engine\n"
        "assert set(nutstate.__all__) <= set(dir(nutstate)) and not hasattr(nutstate, 'Enginee')\n"
        "print(sorted(nutstate._WHERE) == sorted(nutstate.__all__))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True"
