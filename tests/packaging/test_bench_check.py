"""`make bench-check`: ratios of a melt beside those that were accepted. The measuring itself is no test."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks import check, plot
from benchmarks.melts import Result, table
from tests.sources.tree import ROOT


def test_it_fails_when_a_ratio_is_over_15_percent_worse() -> None:
    """R558: it says which ratio, by how much, and what is accepted; within 15 % it says nothing."""
    accepted = {"SQLite": {"wall : fair-3": 2.0, "cpu : fair-3": 3.0}}
    assert check.worse({"SQLite": {"wall : fair-3": 2.29, "cpu : fair-3": 1.0}}, accepted) == []
    (said,) = check.worse({"SQLite": {"wall : fair-3": 2.5, "cpu : fair-3": 3.1}}, accepted)
    assert said == (
        "SQLite: `wall : fair-3` is 2.50; accepted is 2.00, so it is 25 % worse (15 % are allowed)"
    )
    assert "bench-accept" in check.HOW_TO_ACCEPT
    (unknown,) = check.worse({"MongoDB": {"wall : fair-3": 1.0}}, accepted)
    assert "no value" in unknown


def test_a_ratio_must_be_worse_twice() -> None:
    """R558: of two runs the better value of each ratio counts."""
    first, second = {"SQLite": {"a": 2.0, "b": 1.0}}, {"SQLite": {"a": 1.5, "b": 9.0}}
    assert check.better_of(first, second) == {"SQLite": {"a": 1.5, "b": 1.0}}


def test_accepting_keeps_what_was_not_measured(tmp_path: Path) -> None:
    """R558: the accepted ratios are a file of ratios by store and name."""
    path = tmp_path / "ratios.json"
    check.accept({"SQLite": {"a": 2.123}}, path)
    check.accept({"MongoDB": {"a": 1.0}}, path)
    assert check.accepted(path) == {"SQLite": {"a": 2.12}, "MongoDB": {"a": 1.0}}


def test_the_committed_ratios_are_checked_by_all_tests() -> None:
    """R559: `make test ALL=1` runs bench-check, and the committed file names both stores, single melts and
    threads."""
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ntest:")[2].partition("\n\n")[0]
    assert '[ -z "$(ALL)" ]' in recipe and "$(MAKE) bench-check" in recipe
    committed = check.accepted()
    assert committed.keys() == {"SQLite", "MongoDB"}
    for ratios in committed.values():
        assert {
            "wall : fair-3",
            "cpu : fair-3",
            "wall : fair-2",
            "16 threads, time : fair-3",
        } <= ratios.keys()


def test_table_and_drawing_show_the_ratios(tmp_path: Path) -> None:
    """R559: both ratios, statements and threads stand in the table; the drawing is an SVG file of bars."""
    ms = {name: {"wall": wall, "cpu": wall, "mint": 1.0} for name, wall in _WALLS.items()}
    names = [f"{kind} : {other}" for kind in ("wall", "cpu", "asked") for other in ("fair-3", "fair-2")]
    per_second = {
        "engine, 1 thread": 10.0,
        "engine, 16 threads": 12.0,
        "fair-3, 1 thread": 20.0,
        "fair-3, 16 threads": 15.0,
    }
    ratios = dict.fromkeys(names, 2.0)
    result = Result(ms, dict.fromkeys(_WALLS, 30.0), per_second, ratios, ratios)
    text = table({"SQLite": result})
    assert "engine : fair-3   wall 2.00   cpu 2.00" in text and "engine : fair-2" in text
    assert "with 16 threads: 0.80 of its melts per second, 1.20 times" in text
    plot.draw({"SQLite": result}, tmp_path / "speed.svg")
    drawn = ElementTree.parse(tmp_path / "speed.svg").getroot()
    bars = [element for element in drawn.iter() if element.tag.endswith("rect")]
    assert len(bars) == 1 + 3 + 3 + 4


_WALLS = {"engine": 20.0, "fair-2": 9.0, "fair-3": 10.0}
