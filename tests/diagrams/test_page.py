"""The review page as text: what it carries, that it is safe to embed, and always the same."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

from nutstate.diagrams.page import page
from nutstate.diagrams.page.document import embedded
from nutstate.diagrams.page.model import model
from nutstate.diagrams.page.sheet import UnfitDrawing, sheet
from nutstate.diagrams.svg import drawing
from nutstate.machines.refusals import CODES
from nutstate.machines.registry import RELEASED, latest, names
from nutstate.machines.spec import NONE, Event, Machine, State, edges
from nutstate.machines.words import ACTIONS, EFFECTS

MELT = latest("melt")


def small(text: str = "plain") -> Machine[Any]:
    """What an embedding service may declare: words that this release does not know."""
    return Machine(
        name="theirs",
        version=3,
        facts=object,
        states=(State(NONE, text, kind="pseudo"), State("on", text, action="their_action")),
        events=(Event("go", text, "caller"),),
        transitions=edges("1", "go", NONE, "on", effects=("their_effect",), reason=text),
    )


def carried(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', text)
    assert found is not None
    value: dict[str, Any] = json.loads(found[1])
    return value


@pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)
def test_the_model_is_the_declaration_and_its_sentences(machine: Machine[Any]) -> None:
    told = model(machine)
    assert machine.as_data().items() <= told.items()
    assert told["content_hash"] == machine.content_hash
    for edge in machine.transitions:
        assert {name: EFFECTS[name].sentence for name in edge.effects}.items() <= told["effects"].items()
    for state in machine.states:
        assert state.action is None or told["actions"][state.action] == ACTIONS[state.action].sentence
        for refuse in state.refuses:
            assert told["codes"][refuse.code] == CODES[refuse.code]
    assert {guard.code for guard in machine.guards.values()} <= told["codes"].keys()


def test_a_machine_of_somebody_else_has_a_page() -> None:
    text = page([small()])
    (told,) = carried(text)["machines"]
    assert told["effects"] == {"their_effect": ""} and told["actions"] == {"their_action": ""}
    assert "their_action" in text.partition('<script type="application/json"')[0], "it is drawn"


def test_no_machine_has_no_page() -> None:
    with pytest.raises(ValueError, match="needs a machine"):
        page([])


def test_the_same_machines_give_the_same_text() -> None:
    machines = [latest(name) for name in names()]
    assert page(machines) == page(machines)
    assert [told["name"] for told in carried(page(machines))["machines"]] == list(names())
    assert page(machines[::-1]) != page(machines)


def test_it_names_no_other_place() -> None:
    """No address at all but the one that names SVG, and nothing that loads."""
    text = page([latest(name) for name in names()])
    assert set(re.findall(r"[a-z]+://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|<link|<img|<iframe|src=", text)


def test_the_policy_allows_exactly_what_is_in_it() -> None:
    text = page([MELT, small()])
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert found is not None
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(found[1]).split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in found[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL)
    assert rules["script-src"].split() == [hashed(script) for script in scripts]
    assert rules["style-src"].split() == [hashed(style) for style in styles]
    assert (len(scripts), len(styles)) == (1, 3)


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "<!--<script>", "@@script@@ @@title@@", "a\u2028b\u2029c",
     '&quot;"', "\x00\x0b\x1b[0m", "<img src=x onerror=alert(1)>", "]]>", "\u202e evil"],
)  # fmt: skip
def test_whatever_a_machine_says_stays_inside(text: str) -> None:
    whole = page([small(text)])
    assert carried(whole)["machines"][0]["states"][0]["meaning"] == text
    assert whole.count("</script>") == 2 and whole.encode("utf-8").count(b"<!--") == 0
    assert tags(whole) == tags(page([small()]))


def tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every element of the page with the names of its attributes, as a parser of HTML sees them. How many
    lines a text takes in a drawing is its own affair."""
    found: list[tuple[str, tuple[str, ...]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag != "text":
                found.append((tag, tuple(name for name, _ in attrs)))

    Reader().feed(text)
    return found


def test_json_is_embedded_without_anything_that_markup_knows() -> None:
    value = {"</script>": ["<!--", "&amp;", "é\u2028", '"\\']}
    text = embedded(value)
    assert not set(text) & set("<>&") and text.isascii()
    assert json.loads(text) == value


def test_a_drawing_loses_its_style_and_gets_ids_of_its_own() -> None:
    text = sheet(drawing(MELT), "x-")
    assert "<style" not in text and "xmlns" not in text and "width=" not in text.partition(">")[0]
    assert all(name.startswith("x-") for name in re.findall(r'\sid="([^"]*)"', text))
    labels = re.findall(r'aria-labelledby="([^"]*)"', text)
    assert labels and all(f'id="{name}"' in text for name in labels[0].split())
    for state in MELT.states:
        assert f'data-state="{state.name}"' in text
    drawn = {name for names_ in re.findall(r'data-edge="([^"]*)"', text) for name in names_.split()}
    assert drawn == {edge.id for edge in MELT.transitions}


@pytest.mark.parametrize(
    "inside",
    ["<script>1</script>", "<image/>", '<g onload="x"/>', '<g style="x"/>', '<g href="x"/>',
     '<g xmlns:l="http://www.w3.org/1999/xlink" l:href="x"/>', "<foreignObject/>", "<g><style>x</style></g>"],
)  # fmt: skip
def test_a_drawing_with_more_than_shapes_is_refused(inside: str) -> None:
    with pytest.raises(UnfitDrawing):
        sheet(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>', "x-")


def test_several_sheets_share_no_id() -> None:
    found = re.findall(r'\sid="([^"]*)"', page([MELT, attrs.evolve(MELT, version=2)]))
    assert _repeated(found) == []


def _repeated(found: Sequence[str]) -> list[str]:
    return sorted({name for name in found if found.count(name) > 1})
