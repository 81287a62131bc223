"""The pytest plugin ``nutstate``: every cell of declared machines as a test of its own. docs/kit.md.

    [tool.pytest.ini_options]
    nutstate_machines = ["shop.machines:ORDER"]

Without that setting (or ``--nutstate-machines``) it does nothing, and it imports nothing either: pytest
loads plugins before coverage is measured. Machines of the setting are tested unless only files or single
tests are named on the command line; those of the option always.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

NAME = "nutstate.pytest_plugin"
SETTING = "nutstate_machines"


class EntryPoint:
    """The entry point that pytest finds by itself. It registers the module unless that is done already."""

    def pytest_addoption(self, parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
        """Called as soon as this is registered, so the module's own hooks miss nothing."""
        if not pluginmanager.has_plugin(NAME):
            this: object = sys.modules[__name__]
            pluginmanager.register(this, NAME)


entry_point = EntryPoint()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting and the option."""
    words: Literal["args"] = "args"
    parser.addini(
        SETTING, "Machines to test exhaustively, each as MODULE or MODULE:NAME.", type=words, default=[]
    )
    parser.getgroup("nutstate").addoption(
        "--nutstate-machines",
        action="append",
        default=[],
        metavar="MODULE[:NAME]",
        help="Test these machines exhaustively: every Machine and Kind a module holds, or those of "
        "that name. May be given several times; replaces the setting nutstate_machines.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the machines' tests, before others choose among all tests (-k, -m, --lf)."""
    wanted: Sequence[str] = config.getoption("--nutstate-machines")
    if not wanted and not _only_files(config):
        wanted = config.getini(SETTING)
    if wanted:
        from ._machine_items import collected

        items += collected(session, wanted)


def _only_files(config: pytest.Config) -> bool:
    named = [argument.partition("::")[0] for argument in config.args]
    return bool(named) and all(Path(name).is_file() for name in named)
