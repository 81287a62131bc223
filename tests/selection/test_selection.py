"""What a commit leaves out, other commits run, and ``make test ALL=1``: nothing is left out for ever."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.selection.choose import Choice, before, changed, choose, share_of
from tests.selection.groups import (
    CRASHES,
    EDGE,
    EDGES,
    EXPLORATION,
    FAULT,
    GROUPS,
    MONGODB,
    MUTANT,
    MUTANTS,
    ORACLE,
    RACE,
    RACES,
    REAL_MINT,
    SHARES,
    Case,
    group_of,
    in_full,
    left_out,
)
from tests.selection.measured import EVERYTHING, ROOMS, is_measured, room
from tests.selection.order import in_order
from tests.selection.plugin import CASES, told

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"

ids = st.text(st.characters(codec="utf-8"), min_size=1)
files = st.sampled_from(
    ["tests/engine/test_melt.py", "tests/acceptance/test_ids.py", "tests/machines/test_mutants.py",
     "tests/machines/test_product.py", "tests/diagrams/test_svg.py", "tests/storage/test_codec.py"]
)  # fmt: skip
markers = st.frozensets(st.sampled_from(["oracle", "slow", "real_mongo", "every_store", "faults"]))
params = st.lists(st.sampled_from(["sqlite", "memory", "mongodb", "melt"]), max_size=2).map(tuple)
cases = st.builds(Case, ids, files, markers, params)


def test_r400_every_collected_test_runs_in_some_share(request: pytest.FixtureRequest) -> None:
    """R400: the shares together are everything that was collected here, and none is missing with ALL=1."""
    found = request.config.stash[CASES]
    assert found
    for case in found:
        assert any(left_out(case, share) is None for share in range(SHARES)), case.id
        assert left_out(case, None) is None


@given(cases)
def test_r400_any_test_runs_in_some_share(case: Case) -> None:
    """R400: also a test that is not written yet; it runs in as many shares as its group has parts in them."""
    runs = [share for share in range(SHARES) if left_out(case, share) is None]
    group = group_of(case)
    assert len(runs) == (SHARES if group is None else SHARES // group.parts)
    assert left_out(case, None) is None
    assert left_out(case, 0, frozenset(GROUPS)) is None


def test_r400_the_shares_fit_every_group() -> None:
    assert all(SHARES % group.parts == 0 for group in GROUPS.values())
    assert all(name == group.name for name, group in GROUPS.items())


def test_r401_the_part_of_a_test_is_a_hash_of_its_id() -> None:
    """R401: the same on every machine and in every process; the numbers were written down once."""
    parts = [MONGODB.part_of(Case(f"tests/engine/test_melt.py::test[mongodb-{n}]", "")) for n in range(8)]
    assert parts == [1, 2, 3, 1, 2, 2, 2, 3]
    many = Counter(MONGODB.part_of(Case(f"test[{n}]", "")) for n in range(5_000))
    assert set(many) == set(range(5)) and min(many.values()) > 900


@pytest.mark.parametrize("store", ["memory", "mongodb"])
@pytest.mark.parametrize("folder", ["engine", "acceptance", "contract", "storage", "cli"])
def test_r402_only_repetitions_of_engine_and_acceptance_are_cut(folder: str, store: str) -> None:
    """R402: SQLite always; the contract, storage and marked cases on each store in every commit."""
    case = Case("x", f"tests/{folder}/test_it.py", frozenset({"real_mongo"}), (store,))
    twice = folder in ("engine", "acceptance")
    assert group_of(case) == (GROUPS[store] if twice else None)
    assert group_of(evolve(case, params=("sqlite",))) is None
    assert group_of(evolve(case, markers=frozenset({"every_store"}))) is None


def test_r402_real_parts_run_in_every_commit(request: pytest.FixtureRequest) -> None:
    """R402: each share runs some of the tests with a real mint and with servers that are killed, and all with
    a browser and of the contracts."""
    for marker in ("browser", "disk", "real_mint"):
        for folder in ("browser", "contract", "engine"):
            assert group_of(Case("x", f"tests/{folder}/test_it.py", frozenset({marker}))) is None
    found = request.config.stash[CASES]
    for group in (FAULT, REAL_MINT):
        its = [case for case in found if group_of(case) is group]
        for share in range(SHARES) if its else ():
            assert any(left_out(case, share) is None for case in its), (group.name, share)


def test_r402_long_races_and_edges_on_other_stores_are_shared() -> None:
    """R402: the races of hundreds of rounds, and each edge again on a second and third store."""
    race = Case("x", RACES[0], frozenset({"slow"}), ("sqlite",))
    assert (group_of(race), group_of(evolve(race, markers=frozenset()))) == (RACE, None)
    for file in EDGES:
        for store in ("memory", "mongodb"):
            assert group_of(Case("x", file, frozenset({"every_store"}), (store, "melt@1"))) is EDGE
        assert group_of(Case("x", file, frozenset({"every_store"}), ("sqlite", "melt@1"))) is None


def test_r402_the_cut_files_exist() -> None:
    """R402: a renamed file would leave its group in silence, a renamed folder would never run it in full."""
    for group in GROUPS.values():
        assert all((ROOT / place).exists() for place in group.in_full_after), group
    for name in (*MUTANTS, *EXPLORATION, *CRASHES, *RACES, *EDGES, "tests/engine", "tests/faults"):
        assert (ROOT / name).exists(), name


def test_r403_after_a_change_the_groups_of_its_folder_run_in_full() -> None:
    """R403: a folder is meant with what lies in it, and not with what begins with the same letters."""
    assert in_full(frozenset({"machines/melt/table.py"})) == {"mutants", "exploration", "oracles", "edges"}
    assert in_full(frozenset({"diagrams/exports/promela.py"})) == {"oracles"}
    assert in_full(frozenset({"tests/machines/rows.py"})) == {"mutants", "exploration"}
    assert in_full(frozenset({"engine/api/engine.py", "machines.py", "docs/machines/x.md"})) == set()
    assert in_full(frozenset()) == set()
    case = Case("x", "tests/machines/test_mutants.py")
    other = (MUTANT.part_of(case) + 1) % MUTANT.parts
    assert left_out(case, other) is MUTANT
    assert left_out(case, other, in_full(frozenset({"machines/melt/table.py"}))) is None


def test_r403_without_history_everything_that_asks_for_it_runs() -> None:
    """R403: what is not known counts as changed."""
    assert in_full(None) == {name for name, group in GROUPS.items() if group.in_full_after}
    assert ORACLE.name in in_full(None)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    run(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "README.md")
    return tmp_path


def run(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")
    run(folder, "add", name)
    run(folder, "commit", "-q", "-m", name)
    return run(folder, "rev-parse", "HEAD")


def test_r404_the_commit_chooses_and_what_it_chose_can_be_repeated(repository: Path) -> None:
    """R404: the printed command gives the same options, whatever was committed afterwards."""
    first = run(repository, "rev-parse", "HEAD")
    head = commit(repository, "machines/table.py")
    choice = choose({}, repository)
    assert choice.share == share_of(head) == int(head, 16) % SHARES
    assert choice.in_full == {"mutants", "exploration", "oracles", "edges"}
    assert f"`make test SHARE={choice.share} SINCE={first[:12]}` repeats it" in choice.why
    commit(repository, "README2.md")
    again = choose({"SHARE": str(choice.share), "SINCE": first[:12]}, repository)
    assert again.options(measured=True) == choice.options(measured=True)
    assert f"--share={choice.share}" in choice.options(measured=False)
    assert "--in-full=edges,exploration,mutants,oracles" in choice.options(measured=False)


def test_r404_files_are_compared_with_the_parent_or_with_what_was_pushed(
    repository: Path, tmp_path: Path
) -> None:
    """R404: the last commit's files, or all files since the branch left what it follows; new files too."""
    assert before(repository) is None
    first = run(repository, "rev-parse", "HEAD")
    commit(repository, "machines/table.py")
    assert before(repository) == first
    run(repository, "branch", "known", first)
    run(repository, "branch", "--set-upstream-to", "known")
    commit(repository, "storage/port.py")
    assert before(repository) == first
    (repository / "diagrams").mkdir()
    (repository / "diagrams" / "new.py").write_text("x")
    (repository / "README.md").write_text("changed")
    assert changed(first, repository) == frozenset(
        {"machines/table.py", "storage/port.py", "diagrams/new.py", "README.md"}
    )


def test_r404_without_git_everything_runs(tmp_path: Path, repository: Path) -> None:
    """R404: no commit, no share; one commit without a parent, a share with every such group in full."""
    bare = tmp_path / "bare"
    bare.mkdir()
    none = choose({}, bare / "not there")
    assert none.share is None and none.options(measured=False) == []
    only = choose({}, repository)
    assert only.share is not None and only.in_full == in_full(None)


def test_r404_all_is_everything(repository: Path) -> None:
    """R404: ``make test ALL=1`` gives no share, and measures the whole."""
    choice = choose({"ALL": "1", "SHARE": "3"}, repository)
    assert choice.share is None
    assert choice.options(measured=False) == []
    assert choice.options(measured=True)[:2] == ["--measured=all", "--cov=nutstate"]


@pytest.mark.parametrize("bad", ["20", "-1", "x", "1.5", "٣"])
def test_r404_a_share_that_does_not_exist_is_refused(bad: str, repository: Path) -> None:
    with pytest.raises(SystemExit, match=f"SHARE={bad}: a share is a number from 0 to 19"):
        choose({"SHARE": bad}, repository)


def test_r404_an_unknown_commit_is_refused(repository: Path) -> None:
    with pytest.raises(SystemExit, match="SINCE=nowhere: git knows no such commit"):
        choose({"SINCE": "nowhere"}, repository)


def test_r405_what_did_not_run_is_told() -> None:
    """R405: how many of what, and the command that runs them."""
    lines = told(Counter(mongodb=1394, mutants=2), 3)
    assert "1394 of mongodb: engine and acceptance tests again on a real MongoDB (5 parts)" in lines[0]
    assert "2 of mutants" in lines[1]
    assert "1396 tests" in lines[2] and "`make test ALL=1` runs everything" in lines[2]
    assert told(Counter(), 3) == []


def test_r406_every_room_is_measured_by_some_share() -> None:
    """R406: and ALL=1 measures what no room holds, too."""
    assert {room(share) for share in range(SHARES)} == set(ROOMS)
    assert room(None) is EVERYTHING
    folders = {path.name for path in TESTS.iterdir() if any(path.glob("**/test_*.py"))}
    never = {"faults", "real_mint", "browser"}
    assert EVERYTHING.tests | never == folders
    assert all(where.tests < EVERYTHING.tests for where in ROOMS)


def test_r406_what_waits_or_repeats_is_not_measured() -> None:
    case = Case("x", "tests/engine/test_it.py")
    assert is_measured(case, EVERYTHING)
    assert not is_measured(evolve(case, params=("memory",)), EVERYTHING)
    assert not is_measured(evolve(case, markers=frozenset({"real_mongo"})), EVERYTHING)
    assert is_measured(Case("x", "tests/storage/test_it.py", frozenset({"real_mongo"})), EVERYTHING)
    assert not is_measured(evolve(case, markers=frozenset({"slow"})), EVERYTHING)


def test_r407_long_tests_come_first_and_none_is_lost() -> None:
    """R407: what waits for servers opens the first worker's slice, what computes the second's."""
    short = [Case(f"short{n}", "tests/engine/test_it.py") for n in range(40)]
    outside = [Case(f"fault{n}", "tests/faults/test_it.py", frozenset({"faults"})) for n in range(4)]
    long = [Case(f"long{n}", "tests/machines/test_mutants.py") for n in range(4)]
    every = [*short[:20], *long, *short[20:], *outside]
    ordered = in_order([(case, case) for case in every])
    assert Counter(ordered) == Counter(every)
    assert ordered[:4] == outside
    assert ordered[24:28] == long
    assert in_order([(case, case) for case in every], workers=3)[16:20] == long
    assert [case for case in ordered if case in short] == short


def test_r407_a_choice_of_nothing_is_in_order() -> None:
    assert in_order([]) == []
    assert Choice(None).options(measured=False) == []
