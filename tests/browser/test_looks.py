"""It can be read: in light and dark, in a small window, with enough contrast, and by those who listen."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Shown, shown

PLACES = (
    "melt", "melt/state/paying", "melt/edge/13.mint_unpaid.paying", "melt/guard/unpaid_is_proven",
    "melt/try/quoted/inputs_chosen/0000000", "melt/code/ALREADY_SENT",
)  # fmt: skip
CONTRAST = """() => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(value => linear(value / 255))
    .reduce((sum, v, place) => sum + v * [.2126, .7152, .0722][place], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("header *, #panel *, #tools *")) {
    const words = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!words || !box.width || element.closest(".unseen, option, optgroup")) continue;
    const [one, other] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    found.push([ratio, element.tagName + "." + element.className, element.textContent.slice(0, 30)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser: Browser, released: Path, scheme: Any) -> None:
    """WCAG AA: 4.5 to 1."""
    with shown(browser, color_scheme=scheme) as view:
        for place in PLACES:
            view.see(released, place)
            found = view.page.evaluate(CONTRAST)
            assert len(found) > 20
            assert [item for item in found if item[0] < 4.5] == [], place


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_drawing_is_seen(browser: Browser, released: Path, scheme: Any) -> None:
    """A screenshot has many colours, and its paper is light or dark as wanted; the button turns it round."""
    with shown(browser, color_scheme=scheme) as view:
        view.see(released, "melt/state/paying")
        assert brightness(view) is (scheme == "light")
        assert colours(view) > 200
        view.find("#theme").click()
        assert brightness(view) is (scheme == "dark")
        assert colours(view) > 200


def brightness(view: Shown) -> bool:
    """Whether the paper is light: of the page, of the panel and of the drawing alike."""
    found = {
        view.page.evaluate(
            f"""Number(getComputedStyle(document.querySelector({where!r})).{what}.match(/\\d+/)[0]) > 127"""
        )
        for where, what in (
            ("body", "backgroundColor"),
            ("#board", "backgroundColor"),
            (".sheet:not([hidden]) .paper", "fill"),
        )
    }
    assert len(found) == 1, "page and drawing differ"
    return bool(found.pop())


def colours(view: Shown) -> int:
    """How many different colours the drawing's picture has, counted by the browser itself."""
    picture = base64.b64encode(view.find("#board").screenshot()).decode()
    blank = view.page.context.new_page()  # without the page's policy
    number = blank.evaluate(
        """async text => {
             const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
             const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
             const brush = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
             brush.drawImage(picture, 0, 0);
             const { data } = brush.getImageData(0, 0, picture.width, picture.height);
             return new Set(new Uint32Array(data.buffer)).size;
           }""",
        picture,
    )
    blank.close()
    return int(number)


@pytest.mark.parametrize("width", [1000, 1920])
def test_nothing_is_cut_off(browser: Browser, released: Path, width: int) -> None:
    """No sideways scrolling, and every button in sight."""
    with shown(browser, viewport={"width": width, "height": 800}) as view:
        for place in PLACES:
            view.see(released, place)
            assert view.page.evaluate("document.documentElement.scrollWidth") <= width
            assert (
                view.page.evaluate(
                    "(view => view.scrollWidth - view.clientWidth)(document.getElementById('view'))"
                )
                <= 0
            )
        for button in view.find("header button:visible, #tools button, #tabs button").all():
            box = button.bounding_box()
            if button.get_attribute("id") != "skip":
                assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_it_is_told_to_those_who_listen(view: Shown, released: Path) -> None:
    """Everything that can be pressed has a name; tabs, switches and lists say what they are."""
    view.see(released, "melt/try/paying/mint_unpaid")
    nameless = view.page.evaluate(
        """[...document.querySelectorAll("button, a, input, select, [role=button], [role=switch]")]
             .filter(element => !(element.getAttribute("aria-label") || element.textContent.trim()
               || element.labels?.length)).map(element => element.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    assert view.find("[role=tab][aria-selected=true]").inner_text() == "Try it"
    assert view.page.get_by_role("switch").count() == 1
    repeated = view.page.evaluate(
        """(ids => ids.filter((id, place) => ids.indexOf(id) !== place))(
             [...document.querySelectorAll("[id]")].map(element => element.id))"""
    )
    assert repeated == []
    assert "paying" in view.page.title()


def test_focus_is_seen(view: Shown, released: Path) -> None:
    view.see(released, "melt/state/paying")
    for _ in range(12):
        view.page.keyboard.press("Tab")
        assert view.page.evaluate(
            """(style => style.outlineStyle !== "none" || document.activeElement.closest("svg") !== null)(
                 getComputedStyle(document.activeElement))"""
        )
