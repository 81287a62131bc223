"""What of the tests a commit may leave out, in which parts, and which part a commit runs.

A test that belongs to no group runs in every commit. A group is cut into ``parts``: the part of a test is a
hash of its id, so it does not depend on what else is collected. A commit runs one part of every group: the
share, a number below ``SHARES``. Every part of every group is met on the way through all shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from pathlib import PurePosixPath
from typing import Any

from attrs import frozen

SHARES = 20
"""A multiple of the parts of every group: the shares 0 to 19 together run everything."""

TWICE = ("engine", "acceptance", "real_mint")
"""Folders whose tests run on SQLite in every commit, and are repeated on other stores."""

MUTANTS = ("tests/machines/test_mutants.py",)
EXPLORATION = ("tests/machines/test_product.py",)
CRASHES = (
    "tests/engine/test_crash.py",
    "tests/engine/test_crash_receive.py",
    "tests/engine/test_crash_swap.py",
)
RACES = ("tests/engine/test_races.py", "tests/contract/store/test_concurrency.py")
EDGES = (
    "tests/engine/test_edges.py",
    "tests/engine/test_edges_refused.py",
    "tests/engine/test_histories.py",
)


@frozen
class Case:
    """One collected test, as far as the choice depends on it."""

    id: str
    file: str
    markers: Set[str] = frozenset()
    params: tuple[Any, ...] = ()

    @property
    def folder(self) -> str:
        """The folder below ``tests/``; empty for a file outside of it."""
        parts = PurePosixPath(self.file).parts
        return parts[1] if len(parts) > 2 and parts[0] == "tests" else ""


@frozen
class Group:
    """Tests of which a commit runs one part."""

    name: str
    about: str
    parts: int
    in_full_after: tuple[str, ...] = ()
    """Folders and files: after a change in one of them the commit runs the group in full."""

    def part_of(self, case: Case) -> int:
        """The part that the test is in, from 0."""
        return int.from_bytes(hashlib.sha256(case.id.encode()).digest()[:8]) % self.parts

    def runs(self, case: Case, share: int) -> bool:
        """Whether a commit with this share runs a test of this group."""
        return self.part_of(case) == share % self.parts


_RULES = ("machines", "src/nutstate/review", "tests/machines")

MEMORY = Group("memory", "engine, acceptance and real mint again on the store in memory", 5)
MONGODB = Group("mongodb", "engine and acceptance tests again on a real MongoDB", 5)
MUTANT = Group("mutants", "small mistakes in the tables, each of which must be noticed", 4, _RULES)
EXPLORED = Group(
    "exploration", "the long explorations and the faults planted in them", 4,
    (*_RULES, "engine/loop", "engine/operations"),
)  # fmt: skip
ORACLE = Group(
    "oracles", "foreign programs that run the exports, and foreign wallets", 4,
    ("machines", "diagrams", "engine/simulated", "src/nutstate/mint_server", "tests/foreign_wallets",
     "tests/diagrams/oracles", "tests/diagrams/test_export_promela.py",
     "tests/diagrams/test_export_scxml.py", "tests/diagrams/test_export_xstate.py"),
)  # fmt: skip

CRASH = Group(
    "crashes", "a second crash, during the recovery from the first", 4,
    ("engine/loop", "engine/recovery", "engine/operations", "engine/admission", *CRASHES),
)  # fmt: skip

CLUSTER = Group(
    "cluster", "the store contract, races and faults over two replica sets that stand for a cluster", 5,
    ("storage", "tests/contract/store", "tests/servers", "tests/storage/sharding"),
)  # fmt: skip

FAULT = Group(
    "faults", "servers that are killed, frozen and cut off under load, and clients that die", 4,
    ("storage", "tests/faults", "tests/servers"),
)  # fmt: skip

REAL_MINT = Group(
    "real_mint", "payments at a real mint, with requests and answers that get lost", 2,
    ("engine/cashu", "engine/loop", "engine/operations", "tests/real_mint", "tests/servers"),
)  # fmt: skip

RACE = Group(
    "races", "hundreds of rounds in which threads and processes want one token", 4,
    ("storage", "engine/admission", *RACES),
)  # fmt: skip

EDGE = Group(
    "edges", "every edge, every refused cell and the histories again on the other stores", 4,
    ("machines", "storage", "engine/loop", "engine/operations", *EDGES),
)  # fmt: skip

GROUPS: Mapping[str, Group] = {
    group.name: group
    for group in (
        *(MEMORY, MONGODB, MUTANT, EXPLORED, ORACLE),
        *(CRASH, CLUSTER, FAULT, REAL_MINT, RACE, EDGE),
    )
}


def group_of(case: Case) -> Group | None:
    """The group of the test; None for a test that every commit runs."""
    if "oracle" in case.markers:
        return ORACLE
    if "cluster" in case.markers:
        return CLUSTER
    if case.file in MUTANTS:
        return MUTANT
    if case.file in EXPLORATION:
        return EXPLORED
    if case.file in CRASHES and "slow" in case.markers:
        return CRASH
    if case.folder == "faults":
        return FAULT
    if case.file in RACES and "slow" in case.markers:
        return RACE
    if case.file in EDGES and not {"memory", "mongodb"}.isdisjoint(case.params):
        return EDGE
    if case.folder in TWICE and "every_store" not in case.markers:
        if "memory" in case.params:
            return MEMORY
        if "mongodb" in case.params:
            return MONGODB
    return REAL_MINT if case.folder == "real_mint" else None


def left_out(case: Case, share: int | None, in_full: Set[str] = frozenset()) -> Group | None:
    """The group for whose sake the test does not run; None if it runs. Without a share every test runs."""
    group = group_of(case)
    if share is None or group is None or group.name in in_full or group.runs(case, share):
        return None
    return group


def in_full(changed: Set[str] | None) -> frozenset[str]:
    """Names of the groups to run in full after these files changed; with None, of all that name folders."""
    return frozenset(
        group.name
        for group in GROUPS.values()
        if group.in_full_after
        and (changed is None or any(_lies_in(file, group.in_full_after) for file in changed))
    )


def _lies_in(file: str, places: tuple[str, ...]) -> bool:
    return any(file == place or file.startswith(place + "/") for place in places)
