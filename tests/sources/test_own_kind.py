"""R499: the files that a new kind of operation touches. A kind of a service: one file of the service. A kind
of this package: its room under ``machines/`` and ``engine/operations/`` each, and a line in two lists."""

from __future__ import annotations

import ast
from pathlib import Path

from nutstate.machines.registry import RELEASED
from tests.sources.tree import ROOT, Module, imports, modules

PUBLIC = {
    "__future__",
    "attrs",
    "nutstate",
    "nutstate.kinds",
    "nutstate.machines.spec",
    "sys",
    "tempfile",
    "pathlib",
}
"""What a kind of a service's own may import: the public face, and the standard library."""

OWN = (ROOT / "tests" / "support" / "errand.py", ROOT / "examples" / "own_operation.py")

LISTS = ("machines/registry.py", "engine/operations/built_in.py")
"""The two files that list the kinds of this package: their machines, and their code."""

ROOMS = frozenset(path.parent.name for path in (ROOT / "machines").glob("*/table.py")) - {"token"}

INSIDE = tuple(f"{top}/{room}/" for top in ("machines", "engine/operations") for room in ROOMS)
"""The rooms themselves: melt and its records may know one another."""

SEVERAL_ROOMS = {
    "machines/__init__.py": "the public names of the tables",
    "engine/api/payments.py": "the calls that start a melt, a funding and a deposit",
    "engine/api/stranded.py": "coins that were stranded with a melt or a swap",
    "src/nutstate/cli/operators/render.py": "the numbers of a melt, and a funding that was paid late",
    "src/nutstate/cli/machines/explore.py": "the product of melt, funding and token",
}
"""Files outside of the rooms that know more than one of them, and why. It only shrinks."""


def rooms_in(module: Module) -> set[str]:
    """The kinds whose rooms the module imports from."""
    parts = [name.split(".") for name in imports(module)]
    return {
        path[at + 1]
        for path in parts
        for at, part in enumerate(path[:-1])
        if part in ("machines", "operations") and path[at + 1] in ROOMS
    }


def imported(path: Path) -> set[str]:
    """The modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module or "")
    return found


def test_r499_a_kind_of_a_services_own_is_one_file_of_public_names() -> None:
    """R499: table, facts, code and kind import the public face only. R490 to R498 run this kind through the
    API, the stores, the command line and the drawings."""
    for path in OWN:
        assert imported(path) <= PUBLIC, path
        assert path.read_text(encoding="utf-8").count("Kind(") == 1


def test_r499_no_file_of_the_package_knows_the_throw_away_kind() -> None:
    """R499: neither its name, nor one of its own states, events, effects and codes."""
    from tests.support.errand import ERRAND, ERRAND_KIND

    words = {ERRAND.name, *ERRAND_KIND.codes, *(state.name for state in ERRAND.states)}
    words |= {effect for edge in ERRAND.transitions for effect in edge.effects}
    ours = {state.name for machine in RELEASED for state in machine.states}
    ours |= {effect for machine in RELEASED for edge in machine.transitions for effect in edge.effects}
    own = {word for word in words - ours if len(word) > 4}
    assert {"errand", "underway", "blocked", "clear_the_way", "ERRAND_BLOCKED"} <= own
    found = [
        (module.path, node.value)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and node.value in own and not module.path.startswith("machines/")
    ]
    assert not found


def test_r499_only_two_files_list_the_kinds_of_the_package() -> None:
    """R499: a file outside of the rooms imports from one kind's room at most; the lists import from all."""
    found = {
        module.path: rooms
        for module in modules()
        if not module.path.startswith(INSIDE) and len(rooms := rooms_in(module)) > 1
    }
    assert {path: rooms for path, rooms in found.items() if path in LISTS} == {p: set(ROOMS) for p in LISTS}
    others = {path: sorted(rooms) for path, rooms in found.items() if path not in LISTS}
    assert sorted(others) == sorted(SEVERAL_ROOMS), others


def test_r499_an_import_from_a_room_is_seen() -> None:
    """R499: absolute and relative, of a module and of a name."""
    source = (
        "from ..machines.melt.table import MELT\nfrom ..engine.operations.mint import kind\n"
        "import nutstate.machines.deposit.words\nfrom .check import x\n"
    )
    module = Module("nutstate.api.x", "api/x.py", source, ast.parse(source))
    assert rooms_in(module) == {"melt", "mint", "deposit"}
