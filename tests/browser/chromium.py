"""A real Chromium, driven without a display and without a network, or a plain word on what did not run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from attrs import define, field
from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@define
class Shown:
    """A page in a browser, and everything it did that it must not do."""

    page: Page
    errors: list[str] = field(factory=list)
    requests: list[str] = field(factory=list)
    refused: dict[str, str | None] = field(factory=dict)  # requests that failed, and why

    def see(self, file: Path, hash_: str = "") -> None:
        """Open the file at this place."""
        self.page.goto(f"{file.as_uri()}{hash_ and '#' + hash_}")

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def text(self, selector: str = "#view") -> str:
        """What a person reads there."""
        return self.page.locator(selector).inner_text()

    def hash(self) -> str:
        """Where the address says we are."""
        return str(self.page.evaluate("decodeURIComponent(location.hash.slice(1))"))

    def view_box(self) -> tuple[float, ...]:
        """The part of the drawing that is in sight: x, y, width, height."""
        box = self.page.locator(".sheet:not([hidden]) > svg").get_attribute("viewBox") or ""
        return tuple(float(part) for part in box.split())


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile. Where there is none: a failure on CI (``CI`` is set), elsewhere a skip
    that says why."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        _not_run(f"there is none of {', '.join(NAMES)} on the path")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        except Error as error:
            _not_run(f"{program} does not start: {str(error).splitlines()[0]}")
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(browser: Browser, **options: Any) -> Iterator[Shown]:
    """A fresh page, 1440 x 900 unless told. At its end nothing may have gone wrong in it, and nothing but the
    file itself may have been asked for."""
    settings: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "offline": True} | options
    context = browser.new_context(**settings)
    context.set_default_timeout(10_000)
    seen = Shown(context.new_page())
    seen.page.on("console", lambda said: seen.errors.append(said.text))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.errors.append(f"dialog: {dialog.message}"))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("requestfailed", lambda request: seen.refused.update({request.url: request.failure}))
    try:
        yield seen
        assert not seen.errors
        assert all(url.startswith("file:///") and ".html" in url for url in seen.requests), seen.requests
    finally:
        context.close()


def _not_run(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"a real Chromium must run on CI: {why}", pytrace=False)
    pytest.skip(f"NOT RUN in a browser: {why}")
