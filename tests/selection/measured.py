"""Whose coverage a run measures. Measuring doubles the time of a test, so a commit measures one room of the
sources by the tests of that room, and ``make test ALL=1`` measures everything."""

from __future__ import annotations

from attrs import frozen

from tests.selection.groups import Case

UNMEASURED = frozenset({"real_mint", "faults", "browser", "oracle", "slow"})
"""Markers of tests that are never measured: they wait for other programs, or run the same code many times."""


@frozen
class Room:
    """Packages of ours, and the folders of tests that must reach ``least`` per cent of lines and branches."""

    name: str
    packages: tuple[str, ...]
    tests: frozenset[str]
    least: int

    def options(self) -> list[str]:
        """The options of pytest-cov."""
        sources = [f"--cov={package}" for package in self.packages]
        return [*sources, "--cov-report=term", f"--cov-fail-under={self.least}"]


ROOMS = (
    Room("machines", ("nutstate.machines",), frozenset({"machines"}), 99),
    Room("review", ("nutstate.review",), frozenset({"machines"}), 90),
    Room("storage", ("nutstate.storage",), frozenset({"storage", "contract"}), 88),
    Room("engine", ("nutstate.engine",), frozenset({"engine", "acceptance", "contract"}), 95),
    Room("tools", ("nutstate.cli", "nutstate.diagrams"), frozenset({"cli", "diagrams"}), 90),
)  # fmt: skip
EVERYTHING = Room(
    "all",
    ("nutstate",),
    frozenset(
        {"acceptance", "cli", "contract", "diagrams", "docs", "engine", "machines", "packaging", "selection"}
        | {"foreign_wallets", "mint_server", "sources", "storage"}
    ),
    95,
)
"""What ``make test ALL=1`` measures."""


def room(share: int | None) -> Room:
    """The room that a commit with this share measures; everything without a share."""
    return EVERYTHING if share is None else ROOMS[share % len(ROOMS)]


def is_measured(case: Case, where: Room) -> bool:
    """One way through the code: on SQLite, and on a real MongoDB what is about the store itself."""
    if case.folder not in where.tests or case.markers & UNMEASURED or "memory" in case.params:
        return False
    return "real_mongo" not in case.markers or case.folder in ("storage", "contract")
