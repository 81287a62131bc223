"""What an embedding service declares is shown as text, whatever it is; and the page reaches for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nutstate.diagrams.page import Counts, Trail, page
from nutstate.machines.spec import NONE, Event, Guard, Machine, Refuse, State, edges
from tests.browser.chromium import Shown

ATTACKS = (
    "</script><img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "</title></style></template></svg><svg onload=alert(3)>",
    '"><a href="javascript:alert(4)">',
    "<!--<script>]]>&lt;b&gt;@@script@@ \u2028 \u202egnp",
)


def hostile(text: str) -> Machine[Any]:
    """A machine in which every word is the text."""
    guard: Guard[Any] = Guard(f"g {text}", text, f"C {text}", bool)
    return Machine(
        name=f"m {text}",
        version=1,
        facts=object,
        states=(
            State(NONE, text, kind="pseudo"),
            State(
                f"s {text}", text, action=f"a {text}", write_ahead=True, absorbs=(f"f {text}",), group=text
            ),
            State("end", text, kind="final", refuses=(Refuse(f"e {text}", f"C {text}", text),), group=text),
        ),
        events=(Event(f"e {text}", text, "caller"), Event(f"f {text}", text, "mint")),
        transitions=(
            *edges(
                "1", f"e {text}", NONE, f"s {text}", requires=(guard,), effects=(f"w {text}",), reason=text
            ),
            *edges("2", f"e {text}", f"s {text}", "end", forbids=(guard,), reason=text),
        ),
        good_path=(NONE, f"s {text}", "end"),
    )


@pytest.mark.parametrize("text", ATTACKS)
def test_hostile_words_stay_words(view: Shown, tmp_path: Path, text: str) -> None:
    machine = hostile(text)
    trail = Trail(
        machine.name,
        ((text, text),),
        ({"own": _record(machine, text), "tokens": [_record(machine, text)]},),
        False,
        text,
    )
    counts = Counts(text, 0, {machine.name: {f"s {text}": 3, text: 1}, text: {text: 1}}, {text: {text: 5}})
    (tmp_path / "page.html").write_text(page([machine], trail=trail, counts=counts), encoding="utf-8")
    state, event = f"s {text}", f"e {text}"
    places = [
        (), ("state", state), ("event", event), ("edge", f"1.{event}.none"), ("wire", state, "end"),
        ("guard", f"g {text}"), ("code", f"C {text}"), ("effect", f"w {text}"), ("try", state, event, "1"),
        ("replay", "1"), ("counts",),
    ]  # fmt: skip
    view.see(tmp_path / "page.html")
    before = view.page.evaluate("document.querySelectorAll('script, style, img, iframe, object').length")
    assert before == 5, "our two scripts and three styles"
    for place in places:
        view.page.evaluate(
            "parts => { location.hash = parts.map(encodeURIComponent).join('/') }", [machine.name, *place]
        )
        view.page.wait_for_timeout(20)
        assert text.split("\u2028")[0].strip()[:12] in view.text().replace("\n", " "), place
        found = "script, style, img, iframe, object, [onload], [onerror], a[href^='javascript']"
        assert view.page.evaluate(f"""document.querySelectorAll("{found}").length""") == before
    view.find("#search").fill(text[:8])
    assert view.find("#found [role=option]").count() > 1
    assert view.page.evaluate("document.querySelectorAll('script, img').length") == 2


def _record(machine: Machine[Any], text: str) -> dict[str, Any]:
    return {
        "seq": 1, "entity": text, "machine": f"{machine.name}@1", "event": f"e {text}", "from": NONE,
        "to": f"s {text}", "transition": f"1.e {text}.none",
        "verdicts": [[f"1.e {text}.none", f"g {text}", True, True], [text, text, None, False]],
        "actor": text, "at": 5, "level": text, "batch": text, "hash": text,
        "facts": {text: [text, {text: None}]},
    }  # fmt: skip


def test_the_policy_forbids_what_was_smuggled_in(view: Shown, released: Path) -> None:
    """Even markup that got in somehow would neither run nor fetch anything."""
    view.see(released)
    view.page.evaluate(
        """const div = document.createElement("div");
           div.innerHTML = '<img src="https://example.invalid/x.png" onerror="window.ran = 1">';
           document.body.append(div);
           const script = document.createElement("script");
           script.textContent = "window.ran = 1";
           document.body.append(script);
           fetch("https://example.invalid/").catch(() => { window.refused = 1 });"""
    )
    view.page.wait_for_function("window.refused === 1")
    assert view.page.evaluate("window.ran") is None
    assert len(view.errors) >= 3 and all("Content Security Policy" in error for error in view.errors)
    assert view.refused == {"https://example.invalid/x.png": "csp"}
    view.errors.clear()
    view.requests.remove("https://example.invalid/x.png")
