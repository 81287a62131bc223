"""A browser per module: while it lives, nothing else in this thread may run an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from nutstate.diagrams.page import page
from nutstate.machines.registry import latest, names
from tests.browser.chromium import Shown, chromium, shown


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def view(browser: Browser) -> Iterator[Shown]:
    """An empty page, in light colours."""
    with shown(browser, color_scheme="light") as seen:
        yield seen


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of every machine of this release."""
    file = tmp_path_factory.mktemp("page") / "machines.html"
    file.write_text(page([latest(name) for name in names()]), encoding="utf-8")
    return file
