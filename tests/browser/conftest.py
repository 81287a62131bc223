"""One browser for all tests here; while it lives, nothing else in its thread may run an event loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from nutstate.diagrams.page import page
from nutstate.machines.registry import latest, names
from tests.browser.chromium import Shown, chromium, shown

HERE = Path(__file__).parent
_open: list[tuple[Browser, ExitStack]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the browser."""
    for item in items:
        if str(item.path).startswith(f"{HERE}{os.sep}"):  # asked of every test: parents would be made anew
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A fixture of the session would live on among the tests of other folders, which run event loops."""
    if _open and (nextitem is None or HERE not in nextitem.path.parents):
        _open.pop()[1].close()


@pytest.fixture
def browser() -> Browser:
    """The browser, started by the first test that asks for it."""
    if not _open:
        stack = ExitStack()
        _open.append((stack.enter_context(chromium()), stack))
    return _open[0][0]


@pytest.fixture
def view(browser: Browser) -> Iterator[Shown]:
    """An empty page, in light colours."""
    with shown(browser, color_scheme="light") as seen:
        yield seen


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of every machine of this release."""
    file = tmp_path_factory.mktemp("page") / "machines.html"
    file.write_text(page([latest(name) for name in names()]), encoding="utf-8")
    return file
