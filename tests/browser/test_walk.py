"""Walking through the page: by pointer, by keyboard, by links."""

from __future__ import annotations

from pathlib import Path

import pytest

from nutstate.machines.registry import latest
from tests.browser.chromium import Shown

MELT, RECORD = latest("melt"), latest("record")


def test_a_press_on_a_state_tells_everything_of_it(view: Shown, released: Path) -> None:
    view.see(released, "record")
    view.find('.sheet:not([hidden]) [data-state="held"] .name').click()
    assert view.hash() == "record/state/held"
    told = view.text()
    held = RECORD.state("held")
    assert held.meaning in told and "watch_hold" in told and held.refuses[0].sentence in told
    for event in held.absorbs:
        assert event in told
    for edge in RECORD.transitions:
        if edge.source == "held":
            assert f"→ {edge.dest}" in told
    view.see(released, "melt/state/paying")
    assert "post the stored melt request" in view.text()
    assert "Written ahead" in view.text()


def test_a_press_on_an_edge_tells_guards_effects_and_reason(view: Shown, released: Path) -> None:
    view.see(released, "melt/state/quoted")
    view.find('[data-source="quoted"][data-dest="prepared"] text.event').first.locator("visible=true").click()
    assert view.hash() == "melt/edge/5.inputs_chosen.quoted"
    edge = next(edge for edge in MELT.transitions if edge.id == "5.inputs_chosen.quoted")
    told = view.text()
    for guard in edge.requires:
        assert guard.sentence in told and guard.code in told
    for effect in edge.effects:
        assert effect in told
    assert edge.reason in told and "must hold" in told
    view.see(released, "melt/edge/13.mint_unpaid.paying")
    assert "must not hold" in view.text() and "number 2 of 2" in view.text()


def test_a_line_of_several_edges_tells_them_all(view: Shown, released: Path) -> None:
    view.see(released, "melt/state/paying")
    view.page.evaluate(
        """document.querySelector('.sheet:not([hidden]) [data-source="paying"][data-dest="unknown"] .reach')
             .dispatchEvent(new MouseEvent("click", { bubbles: true }))"""
    )
    assert view.hash() == "melt/wire/paying/unknown"
    assert view.find("#view details.card").count() == 6
    assert "is-taken" in (
        view.find('.sheet:not([hidden]) [data-source="paying"][data-dest="unknown"]').get_attribute("class")
        or ""
    )


def test_the_keyboard_alone_is_enough(view: Shown, released: Path) -> None:
    """Search a guard, go on to an edge, try it, turn a switch, and come back, without a pointer."""
    view.see(released, "melt")
    keyboard = view.page.keyboard
    keyboard.press("/")
    keyboard.type("unpaid_is_proven")
    assert view.find("#found [role=option]").first.inner_text().startswith("guard")
    keyboard.press("Enter")
    assert view.hash() == "melt/guard/unpaid_is_proven"
    assert "NOT_PROVEN_UNPAID" in view.text()
    for _ in range(40):
        keyboard.press("Tab")
        if "mint_unpaid.paying" in str(view.page.evaluate("document.activeElement.getAttribute('href')")):
            break
    keyboard.press("Enter")
    assert view.hash() == "melt/edge/12.mint_unpaid.paying"
    view.find("#tab-details").focus()
    keyboard.press("ArrowRight")
    assert view.hash().startswith("melt/try/paying/mint_unpaid")
    for _ in range(20):
        keyboard.press("Tab")
        if view.page.evaluate("document.activeElement.getAttribute('role')") == "switch":
            break
    assert view.find(".answer").get_attribute("data-next") == "unpaid"
    keyboard.press("Space")
    assert view.find(".answer").get_attribute("data-next") == "unknown"
    assert view.page.evaluate("document.activeElement.getAttribute('role')") == "switch"
    view.find("#board").focus()
    for _ in range(8):
        keyboard.press("Tab")
        if view.page.evaluate("document.activeElement.dataset.state"):
            break
    name = view.page.evaluate("document.activeElement.dataset.state")
    keyboard.press("Enter")
    assert name and view.hash().startswith(f"melt/try/{name}")
    keyboard.press("Escape")
    keyboard.press("Escape")
    assert view.hash() in ("melt/try", "melt")


@pytest.mark.parametrize(
    ("typed", "hash_"),
    [
        ("paying", "melt/state/paying"),
        ("mint_pending", "melt/event/mint_pending"),
        ("ALREADY_SENT", "melt/code/ALREADY_SENT"),
        ("quote settle window", "melt/guard/unpaid_is_proven"),
        ("move_proofs", "token/effect/move_proofs"),
    ],
)
def test_search_finds_by_name_and_by_sentence(view: Shown, released: Path, typed: str, hash_: str) -> None:
    view.see(released, "melt")
    view.find("#search").fill(typed)
    view.page.keyboard.press("Enter")
    assert view.hash() == hash_


def test_search_says_when_there_is_nothing(view: Shown, released: Path) -> None:
    view.see(released, "melt")
    view.find("#search").fill("no such thing")
    assert "Nothing" in view.text("#found")
    view.page.keyboard.press("Enter")
    assert view.hash() == "melt"


def test_the_drawing_moves_and_zooms(view: Shown, released: Path) -> None:
    view.see(released, "melt")
    whole = tuple(
        float(part)
        for part in (view.find(".sheet:not([hidden]) > svg").get_attribute("data-box") or "").split()
    )
    keyboard = view.page.keyboard
    keyboard.press("0")
    box = view.view_box()
    assert box[2] > whole[2] - 1 and box[3] > whole[3] - 1, "all of it is in sight"
    keyboard.press("w")
    wide = view.view_box()
    keyboard.press("+")
    assert view.view_box()[2] < wide[2]
    keyboard.press("-")
    assert view.view_box()[2] == pytest.approx(wide[2])
    keyboard.press("ArrowDown")
    assert view.view_box()[1] > wide[1]
    view.page.mouse.move(400, 400)
    before = view.view_box()
    view.page.mouse.down()
    view.page.mouse.move(400, 250, steps=4)
    view.page.mouse.up()
    assert view.view_box()[1] > before[1]
    assert view.hash() == "melt", "dragging selects nothing"
    view.page.mouse.wheel(0, -300)
    assert view.view_box()[2] < before[2]
    keyboard.press("g")
    assert "if " in view.text(".sheet:not([hidden])"), "guards in the drawing"


def test_links_lead_to_machine_and_selection(view: Shown, released: Path) -> None:
    view.see(released)
    assert view.find("nav [aria-current]").inner_text() == "melt"
    view.see(released, "token/state/reserved")
    assert view.find("nav [aria-current]").inner_text() == "token"
    assert "is-chosen" in (
        view.find('.sheet:not([hidden]) [data-state="reserved"]').get_attribute("class") or ""
    )
    view.find("nav >> text=mint").click()
    assert view.hash() == "mint"
    view.page.go_back()
    assert view.hash() == "token/state/reserved"
    for nonsense in (
        "melt/state/nowhere",
        "nothing",
        "melt/%E0%A4%A",
        "melt/try/x/y/z",
        "melt/replay/9",
        "melt/constructor/x",
    ):
        view.see(released, nonsense)
        assert view.text()


def test_try_it_walks_on(view: Shown, released: Path) -> None:
    view.see(released, "melt/try/none/request")
    assert view.find(".answer").get_attribute("data-next") == "requested"
    view.find("#walk").click()
    view.find("#trial-event").select_option("quote_received")
    for switch in view.find(".switches [role=switch]").all():
        assert switch.get_attribute("aria-checked") == "true"
    view.find(".switches [role=switch]").first.click()
    assert view.find(".answer").get_attribute("data-outcome") == "refused"
    assert "QUOTE_MISMATCH" in view.text(".answer") and "the quote is not for this invoice" in view.text(
        ".answer"
    )
    assert "says no" in view.text("#trial-edges")
    view.find("text=Make it agree").click()
    view.find("#walk").click()
    assert view.hash().startswith("melt/try/quoted")
    assert "none" in view.text() and "quote_received" in view.text()
    view.find("#trial-state").select_option("paying")
    view.find("#trial-event").select_option("write_off")
    assert view.find(".answer").get_attribute("data-outcome") == "undefined"
    view.find("#trial-event").select_option("cancel")
    assert "ALREADY_SENT" in view.text(".answer")


def test_an_address_keeps_the_switches(view: Shown, released: Path) -> None:
    view.see(released, "melt/try/paying/mint_unpaid/0")
    assert view.find(".answer").get_attribute("data-next") == "unknown"
    view.find(".switches [role=switch]").click()
    assert view.hash() == "melt/try/paying/mint_unpaid/1"
    view.page.reload()
    assert view.find(".answer").get_attribute("data-next") == "unpaid"
