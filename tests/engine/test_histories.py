"""Histories of released versions, replayed by the code of today: judged by its machines, committed to every
store, verified, loaded and shown. And planted changes, each of which must be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from nutstate import Engine, Store
from nutstate.cli.app import app
from nutstate.engine.loop.kinds import Kinds
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.machines.melt.table import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine, Transition
from nutstate.storage.errors import StorageError
from nutstate.storage.port import OperationQuery
from tests.engine.edge_places import MongoPlace, Place, SqlitePlace, opened
from tests.fixtures import histories
from tests.fixtures.histories import Book, Line
from tests.fixtures.release import history_text, main
from tests.fixtures.replay import disagreements
from tests.support import invariants
from tests.support.stores import STORES

pytestmark = pytest.mark.every_store

FILES = sorted(histories.FOLDER.glob("*.jsonl"))
SIZE_MAX = 900_000  # bytes of a version: three quarters of it are the ways of a melt, of which it has most
TODAY: dict[str, Machine[Any]] = {f"{spec.name}@{spec.version}": spec for spec in RELEASED}
MELT_FILE = histories.path_of("melt", 1)


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(request, tmp_path_factory.mktemp("histories")) as found:
        yield found


def written(store: Store, way: list[Line]) -> Engine:
    """An engine on a store into which the history was committed, batch by batch."""
    for batch in histories.batches(way):
        store.commit(batch)
    return Engine(store)


def test_every_released_version_has_histories_of_every_edge() -> None:
    assert {path.stem for path in FILES} == set(TODAY), "record them with `python -m tests.fixtures.release`"
    assert sum(path.stat().st_size for path in FILES) < SIZE_MAX * len({m.version for m in RELEASED})
    for path in FILES:
        spec, book = TODAY[path.stem], histories.read(path)
        covered = {r.transition for r in book.records() if r.machine == path.stem}
        assert covered == {edge.id for edge in spec.transitions}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_todays_machines_agree_with_it(path: Path) -> None:
    found = list(disagreements(histories.read(path), TODAY.get))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_can_be_written_verified_loaded_and_shown(place: Place, path: Path) -> None:
    """Each commit is taken by the rules of every store; a corrected proof breaks the balance, as it must."""
    for way in histories.read(path).histories():
        store = place.empty()
        engine = written(store, way)
        report = engine.verify_audit()
        assert report.holds, report.faults
        assert report.records == sum(len(line["audit"]) for line in way)
        for op in store.operations(OperationQuery()):
            shown = engine.operation(op.id).as_dict()
            assert (shown["state"], shown["id"]) == (op.state, op.id)
            assert engine._open(op, "test").draft.machine is TODAY[f"{op.kind}@{op.machine.version}"]
        if isinstance(place, MongoPlace):
            continue  # the same documents again; here it is the server's rules that count
        if not {"correct_spent", "import_spent", "hand_out", "claim", "reclaim"} & _events(way):
            _whole(path.stem, store)


def _events(way: list[Line]) -> set[str]:
    """Events and effects of a history."""
    records = [record for batch in histories.batches(way) for record in batch.audit]
    edges = {t.id: t for spec in RELEASED for t in spec.transitions}
    return {r.event for r in records} | {e for r in records for e in edges[r.transition].effects}


def _whole(name: str, store: Store) -> None:
    """Beyond the audit: value, proofs and states. Tokens of the token histories come from nowhere."""
    if not name.startswith("token@"):
        invariants.check(store)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_line_verifies_and_shows_it(path: Path, tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    way = list(histories.read(path).histories())[-1]
    try:
        engine = written(place.empty(), way)
        names = [op.id for op in place.store.operations(OperationQuery())]
        engine.close()
        url = place.store.url
    finally:
        place.close()
    for arguments in (["audit", "verify"], *(["show", name] for name in names)):
        done = CliRunner().invoke(app, [arguments[0], *arguments[1:], "--store", url], env={"COLUMNS": "120"})
        assert done.exit_code == 0, done.output
        assert arguments[-1] in done.output or arguments == ["audit", "verify"]


FROZEN: frozenset[str] = frozenset()
"""Released versions whose edges today's engine rightly writes otherwise (another field, another word): their
histories stay as they were recorded, and are replayed but not recorded again."""


@pytest.mark.parametrize(
    "spec", [spec for name, spec in TODAY.items() if name not in FROZEN], ids=lambda spec: spec.name
)
def test_recording_again_gives_the_same_bytes(spec: Machine[Any]) -> None:
    """The engine of today walks every edge to the very same documents and records."""
    now = history_text(spec)
    stored = histories.path_of(spec.name, spec.version).read_text(encoding="utf-8")
    other = [n for n, (a, b) in enumerate(zip_longest(now.split("\n"), stored.split("\n")), 1) if a != b]
    assert not other, (
        f"{spec.name}@{spec.version}: line {other[0]} is written otherwise now: see docs/versions.md"
    )


def test_recording_touches_nothing_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in FILES}
    assert main([]) == 0
    assert main(["--again"]) == 2 and main(["--again", "burn@1"]) == 2 and main(["melt@1"]) == 2
    assert {path: path.stat().st_mtime_ns for path in FILES} == before
    assert capsys.readouterr().out == ""


# -- planted changes, all under the same name and version --------------------------------------------------


def changed(edge_id: str, change: Callable[[Transition[Any]], Transition[Any] | None]) -> dict[str, Any]:
    """The machines of today with one edge of melt changed, or gone."""
    edges = (change(edge) if edge.id == edge_id else edge for edge in MELT.transitions)
    spec = attrs.evolve(MELT, transitions=tuple(edge for edge in edges if edge is not None))
    assert spec.content_hash != MELT.content_hash
    return TODAY | {"melt@1": spec}


PLANTED: dict[str, tuple[dict[str, Any], str]] = {
    "redirected": (
        changed("10.mint_paid.unknown", lambda edge: attrs.evolve(edge, dest="settled")),
        "10.mint_paid.unknown: led to paid, now 10.mint_paid.unknown leads to settled",
    ),
    "another effect": (
        changed("17.too_old.unknown", lambda edge: attrs.evolve(edge, effects=("release_inputs", "alarm"))),
        "edge 17.too_old.unknown was ['too_old', 'unknown', 'attention', ['record_reason', 'alarm']], is",
    ),
    "one guard more": (
        changed(
            "9.pay.prepared",
            lambda edge: attrs.evolve(edge, requires=(*edge.requires, MELT.guards["two_step"])),
        ),
        "9.pay.prepared: 'two_step' is asked now and was not then",
    ),
    "one guard less": (
        changed("10.mint_paid.unknown", lambda edge: attrs.evolve(edge, requires=())),
        "10.mint_paid.unknown: other guards are asked now",
    ),
    "gone": (changed("19.fence.unpaid", lambda edge: None), "edge 19.fence.unpaid was ['fence'"),
    "a version gone": ({k: v for k, v in TODAY.items() if k != "melt@1"}, "stays in the registry for ever"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_change_is_seen(planted: str) -> None:
    machines, said = PLANTED[planted]
    found = list(disagreements(histories.read(MELT_FILE), machines.get))
    assert any(said in line for line in found), "\n".join(found)


def test_the_engine_itself_refuses_a_changed_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An operation of the same version, but of another content hash, is not touched."""
    place = SqlitePlace(tmp_path)
    engine = written(place.empty(), next(iter(histories.read(MELT_FILE).histories())))
    other = PLANTED["redirected"][0]["melt@1"]
    melt = attrs.evolve(engine.kinds.named("melt"), machines=(other,))
    monkeypatch.setattr(engine._driver, "kinds", Kinds(melt))
    op = engine.store.operations(OperationQuery(kind="melt"))[0]
    with pytest.raises(StorageError, match="changed without a new version") as refused:
        engine._open(op, "test")
    assert refused.value.code == "UNKNOWN_MACHINE"
    place.close()


def test_a_changed_record_is_seen() -> None:
    """One word of one record: its own hash, or that of its successor, does not fit any more."""
    book = histories.read(MELT_FILE)
    number, line = next((n, c) for n, c in book.commits.items() if c["audit"][0].get("event") == "request")
    first = {**line["audit"][0], "actor": "somebody else"}
    forged: Book = attrs.evolve(
        book, commits={**book.commits, number: {**line, "audit": [first, *line["audit"][1:]]}}
    )
    assert any("does not fit its hash" in text for text in disagreements(forged, TODAY.get))


def test_effects_of_the_histories_are_implemented() -> None:
    named = {
        effect
        for path in FILES
        for edge in histories.read(path).head.edges.values()
        for effect in edge[3]
        if not path.stem.startswith("token@")
    }
    assert named == {effect for kind in BUILT_IN for effect in kind.effects}
