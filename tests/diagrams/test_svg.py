"""The SVG drawings: nothing lies on anything else, everything is there, and it stays the same."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest

from nutstate.diagrams import svg
from nutstate.diagrams.build import GOOD_PATH_WITHOUT
from nutstate.diagrams.svg import chart, text
from nutstate.diagrams.svg.chart import Chart
from nutstate.diagrams.svg.draw import drawn
from nutstate.diagrams.svg.layout import Layout, arranged
from nutstate.machines import MELT
from nutstate.machines.registry import latest, names
from nutstate.machines.spec import NONE, Event, Kind, Machine, State, Transition, edges

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[int, int, int, int]


def odd(states: int) -> Machine[Any]:
    """A machine of another service: no good path, no groups, every state leads to every other."""
    found = [State(NONE, "nothing", kind="pseudo")]
    found += [State(f"state_{n}", "one & <two>", group="x" if n % 3 == 0 else "") for n in range(states)]
    found += [State("end", "over", kind="final"), State("stuck", "help", kind="parked", group="stop")]
    names_ = [state.name for state in found]
    table: list[Transition[Any]] = []
    for number, source in enumerate(names_):
        for dest in names_[1:] if source != "end" else ():
            event = f"an_event_with_quite_a_long_name_{number}"
            table += edges(f"{number}{dest}", event, source, dest)
    events = tuple(Event(name, "it happened", "engine") for name in dict.fromkeys(t.event for t in table))
    return Machine("odd one", 1, object, tuple(found), events, tuple(table))


def any_machine(seed: int) -> Machine[Any]:
    """A random machine, the same for the same seed."""
    chance = random.Random(seed)
    found = [State(NONE, "nothing", kind="pseudo")]
    for number in range(chance.randint(1, 13)):
        name = chance.choice(["s", "a_long_name_of_a_state_that_goes_on_", "a-b ", "a b-"]) + str(number)
        kind: Kind = chance.choice(["live", "live", "live", "final", "parked"])
        found.append(
            State(name, "some meaning " * chance.randint(0, 4), kind, chance.choice([None, "act"]),
                  chance.random() < 0.2, group=chance.choice(["", "a", "b", "a very long name of a group"]))
        )  # fmt: skip
    known = [state.name for state in found]
    table = []
    for number in range(chance.randint(0, 5 * len(known))):
        event = chance.choice(["go", "recover", "an_event_with_quite_a_long_name"])
        source, dest = chance.choice(known), chance.choice(known[1:])
        effects = ("an_effect",) * chance.randint(0, 3)
        table.append(Transition[Any](f"{number}.{event}.{source}", event, source, dest, effects=effects))
    path = (NONE, *chance.sample(known[1:], min(3, len(known) - 1))) if chance.random() < 0.7 else ()
    events = tuple(Event(name, "it happened", "restart") for name in dict.fromkeys(t.event for t in table))
    return Machine(f"any {seed}", 1, object, tuple(found), events, tuple(table), path)


def charts() -> Iterator[tuple[str, Chart]]:
    for name in names():
        machine = latest(name)
        yield name, chart.whole(machine)
        yield f"{name}-events", chart.whole(machine, "events")
        for group in dict.fromkeys(state.group for state in machine.states if state.group):
            yield f"{name}-{group}", chart.part(machine, group)
    yield "good-path", chart.good_path(MELT, GOOD_PATH_WITHOUT[MELT])
    yield "mint-good-path", chart.good_path(latest("mint"))
    yield "odd", chart.whole(odd(5))
    for seed in range(20):
        yield f"any-{seed}", chart.whole(any_machine(seed), "full" if seed % 2 else "events")


ALL = dict(charts())
every_chart = pytest.mark.parametrize("drawing", ALL.values(), ids=ALL.keys())
every_machine = pytest.mark.parametrize("machine", [latest(name) for name in names()], ids=names())


def card_boxes(layout: Layout) -> dict[str, Box]:
    return {
        card.inside.card.id: (card.x, card.y, card.x + card.inside.width, card.y + card.inside.height)
        for card in layout.cards
    }


def labels(layout: Layout) -> Iterator[tuple[str, str, Box]]:
    """Every text: the card it is on (or the area it names), its words and its box."""
    for card in layout.cards:
        told = [*card.inside.words, *(words for block in card.inside.blocks for words in block.words)]
        for words in told:
            x, y = card.x + words.x, card.y + words.y
            yield card.inside.card.id, words.content, (x, y, x + words.width, y + words.face.line)
    for area in layout.areas:
        box = (area.x + 10, area.y + 6, area.x + 10 + text.width(area.label, text.BAND), area.y + 21)
        yield "", area.label, box


def meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@every_chart
def test_no_two_cards_meet_and_none_leaves_the_canvas(drawing: Chart) -> None:
    layout = arranged(drawing)
    boxes = card_boxes(layout)
    assert len(boxes) == len(drawing.cards)
    assert not [pair for pair in combinations(boxes, 2) if meet(boxes[pair[0]], boxes[pair[1]])]
    for left, top, right, bottom in boxes.values():
        assert 0 <= left < right <= layout.width
        assert 0 <= top < bottom <= layout.height


@every_chart
def test_no_two_labels_meet_and_each_lies_on_its_card(drawing: Chart) -> None:
    layout = arranged(drawing)
    boxes = card_boxes(layout)
    found = list(labels(layout))
    assert not [(a[1], b[1]) for a, b in combinations(found, 2) if meet(a[2], b[2])]
    for owner, words, box in found:
        assert box[0] >= 0 and box[2] <= layout.width and box[1] >= 0 and box[3] <= layout.height, words
        strangers = [name for name, card in boxes.items() if name != owner and meet(box, card)]
        assert not strangers, f"{words!r} lies on {strangers}"
        if owner:
            left, top, right, bottom = boxes[owner]
            assert left <= box[0] and box[2] <= right and top <= box[1] and box[3] <= bottom, (owner, words)


@every_chart
def test_the_name_of_a_group_is_shown_whole(drawing: Chart) -> None:
    """R313: as long as it is a name, and not a sentence wider than two cards."""
    for area in arranged(drawing).areas:
        if text.width(area.name, text.BAND) < 250:
            assert area.label == area.name


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith(("any-", "odd"))])
def test_nothing_of_ours_is_cut(name: str) -> None:
    """R313: every word of the shipped drawings can be read."""
    words = [shown for _, shown, _ in labels(arranged(ALL[name]))]
    assert words and not [shown for shown in words if "…" in shown]


@every_chart
def test_no_line_runs_over_a_card_or_a_label(drawing: Chart) -> None:
    layout = arranged(drawing)
    taken = [*card_boxes(layout).values(), *(box for owner, _, box in labels(layout) if not owner)]
    for line in layout.lines:
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
            assert x1 == x2 or y1 == y2, "every part is horizontal or vertical"
            part = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            assert part[0] >= 0 and part[2] <= layout.width and part[1] >= 0 and part[3] <= layout.height
            # a line may begin and end on a border, never run inside
            inner = [(x + 1, y + 1, right - 1, bottom - 1) for x, y, right, bottom in taken]
            thick = (part[0], part[1], part[2] + 1, part[3] + 1)
            assert not [box for box in inner if meet(thick, box)], (line.wire.source, line.wire.dest)


@every_chart
def test_lines_lie_on_one_another_only_when_they_lead_to_one_card(drawing: Chart) -> None:
    parts = [
        (line.wire.dest, line.wire.source, first, last)
        for line in arranged(drawing).lines
        for first, last in zip(line.points, line.points[1:], strict=False)
    ]
    on_another = []
    for (dest, source, a, b), (other, other_source, c, d) in combinations(parts, 2):
        if dest == other or (dest, source) == (other, other_source):
            continue
        for across, along in ((0, 1), (1, 0)):
            if a[across] == b[across] == c[across] == d[across]:
                low = max(min(a[along], b[along]), min(c[along], d[along]))
                high = min(max(a[along], b[along]), max(c[along], d[along]))
                if low < high:
                    on_another.append((source, dest, other_source, other))
    assert not on_another


@every_machine
def test_every_state_and_transition_is_drawn_once(machine: Machine[Any]) -> None:
    root = ElementTree.fromstring(svg.drawing(machine))
    states = [group.get("data-state", "") for group in root.iter(f"{SVG}g") if group.get("data-state")]
    assert states == [state.name for state in machine.states]
    drawn_edges = [group for group in root.iter(f"{SVG}g") if group.get("data-edge")]
    ids = [name for group in drawn_edges for name in group.get("data-edge", "").split()]
    assert sorted(ids) == sorted(t.id for t in machine.transitions)
    table = {t.id: t for t in machine.transitions}
    for group in drawn_edges:
        mine = [table[name] for name in group.get("data-edge", "").split()]
        assert {t.source for t in mine} == {group.get("data-source")}
        assert {t.dest for t in mine} == {group.get("data-dest")}
        assert {t.event for t in mine} == set(group.get("data-events", "").split())


@every_machine
def test_a_card_tells_events_guards_effects_and_action(machine: Machine[Any]) -> None:
    root = ElementTree.fromstring(svg.drawing(machine))
    told = {
        group.get("data-edge"): " ".join(element.text or "" for element in group.iter(f"{SVG}text"))
        for group in root.iter(f"{SVG}g") if group.get("data-edge")
    }  # fmt: skip
    table = {t.id: t for t in machine.transitions}
    for ids, words in told.items():
        for transition in (table[name] for name in (ids or "").split()):
            assert transition.event in words.replace("_ ", "_")
            assert transition.id.partition(".")[0] in words
            for effect in transition.effects:
                assert effect in words.replace("_ ", "_")
            for guard in (*transition.requires, *transition.forbids):
                assert guard.name in words.replace("_ ", "_") or guard.sentence in words
    for state in machine.states:
        if state.action:
            assert f">{state.action}</text>" in svg.drawing(machine)


@every_chart
def test_ids_are_unique_and_the_picture_has_a_name_for_those_who_do_not_see_it(drawing: Chart) -> None:
    root = ElementTree.fromstring(drawn(drawing))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"
    assert root[1].text


@every_machine
def test_version_and_content_hash_are_on_it(machine: Machine[Any]) -> None:
    assert f"version {machine.version} · content hash {machine.content_hash[:16]}" in svg.drawing(machine)


def test_the_good_path_runs_straight_down() -> None:
    straight = [line for line in arranged(chart.whole(MELT)).lines if line.straight]
    steps = list(zip(MELT.good_path, MELT.good_path[1:], strict=False))
    assert sorted((line.wire.source, line.wire.dest) for line in straight) == sorted(steps)
    assert len({x for line in straight for x, _ in line.points}) == 1


def test_written_ahead_ended_and_parked_states_look_so() -> None:
    root = ElementTree.fromstring(svg.drawing(MELT))
    for state in MELT.states:
        (group,) = [g for g in root.iter(f"{SVG}g") if g.get("data-state") == state.name]
        classes = (group.get("class") or "").split()
        texts = [element.text for element in group.iter(f"{SVG}text")]
        assert ("ahead" in classes) == ("written ahead" in texts) == state.write_ahead
        rings = [element for element in group.iter() if element.get("class") == "ring"]
        assert bool(rings) == (state.kind == "final")
        assert ("parked" in classes) == (state.kind == "parked")


def test_nothing_is_fetched_and_no_font_is_brought() -> None:
    for theme in svg.THEMES:
        drawing = svg.svg(MELT, theme)
        assert not re.search(r"(?:href|src|url\(|@import|@font-face)", drawing)
        assert set(re.findall(r"https?://[^\"' ]+", drawing)) == {"http://www.w3.org/2000/svg"}


def test_it_is_light_and_dark_as_the_reader_prefers_or_as_told() -> None:
    auto, light, dark = (svg.svg(MELT, theme) for theme in svg.THEMES)
    assert "@media (prefers-color-scheme:dark)" in auto
    assert "@media" not in light + dark
    assert ".paper{fill:#ffffff}" in light and ".paper{fill:#ffffff}" not in dark
    assert re.sub(r"<style>.*?</style>", "", light, flags=re.DOTALL) == re.sub(
        r"<style>.*?</style>", "", dark, flags=re.DOTALL
    )


def test_every_colour_of_light_has_one_in_dark() -> None:
    light, dark = (
        re.findall(r"^(\.nutstate [^{]+)\{", svg.svg(MELT, theme), re.MULTILINE)
        for theme in ("light", "dark")
    )
    assert light == dark


def test_a_page_of_text_holds_the_good_path_and_a_screen_every_drawing() -> None:
    assert arranged(ALL["good-path"]).width + 44 <= 830
    ours = [
        arranged(drawing).width + 44 for name, drawing in ALL.items() if not name.startswith(("odd", "any"))
    ]
    assert max(ours) <= 1440  # as wide as a common screen of a laptop


def test_another_interpreter_draws_the_same_bytes() -> None:
    program = (
        "import hashlib; from nutstate.diagrams import svg; from nutstate.machines import MELT; "
        "print(hashlib.sha256((svg.drawing(MELT) + svg.overview(MELT)).encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for seed in ("0", "1", "77")
    }  # fmt: skip
    assert len(said) == 1


def test_words_that_mean_something_in_xml_are_told_as_they_are() -> None:
    root = ElementTree.fromstring(svg.drawing(odd(2)))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "one & <two>" in texts


def test_a_machine_without_good_path_or_edges_is_drawn() -> None:
    alone = Machine[Any]("alone", 1, object, (State("here", "the only one"),), (), ())
    assert 'data-state="here"' in svg.drawing(alone)
    assert "Good path: none declared" in svg.drawing(alone)


@pytest.mark.parametrize("words", ["", "a", "the mint says PAID", "W" * 40, "inputs_spent_elsewhere"])
def test_folded_lines_hold_their_room_and_lose_nothing(words: str) -> None:
    for face in (text.GUARD, text.EVENT, text.TITLE):
        lines = text.folded(words.split(), face, 90)
        assert all(text.width(line, face) <= 90 for line in lines)
        assert "".join(lines).replace(" ", "") == words.replace(" ", "")
