"""R432: what one kind of operation needs stands in its room. Outside ``machines/`` and ``engine/operations/``
no state, kind or effect is named by a literal: code asks the declaration (how a state ends, who it waits for,
where inputs are free, the level of an effect), a hook of the kind, or a constant beside the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

from nutstate.machines.registry import RELEASED
from tests.sources.tree import Module, modules

ROOMS = ("machines/", "engine/operations/")
"""Where names are declared and may be written."""

NAMES = frozenset(
    {machine.name for machine in RELEASED}
    | {state.name for machine in RELEASED for state in machine.states if state.kind != "pseudo"}
    | {effect for machine in RELEASED for edge in machine.transitions for effect in edge.effects}
)

Meanings = Mapping[str, tuple[str, ...]]

OTHER_MEANINGS: Mapping[str, Meanings] = {
    "alarm": {
        "the tone of a line that leads to a person": (
            "diagrams/exports/dot.py", "diagrams/exports/plantuml.py", "diagrams/mermaid.py",
            "diagrams/sketch.py", "diagrams/svg/draw.py",
        ),
        "the field that holds the code of an alarm": ("engine/api/handle.py", "engine/loop/log.py"),
        "a function that own kinds share": ("src/nutstate/kinds.py",),
    },
    "check": {
        "the command `diagrams check`": ("src/nutstate/cli/drawings/build.py",),
        "a step of a migration": ("storage/mongo/migrate.py", "storage/sqlite/migrate.py"),
    },
    "corrected": {"the value that a look marked as spent": ("engine/checks/preflight_table.py",)},
    "deposit": {
        "the event": ("engine/api/payments.py",),
        "the name of a command": ("src/nutstate/cli/commands.py",),
    },
    "failed": {
        "the reports of a sweep that found something": ("engine/checks/sweep.py",),
        "a payment of the demo's network that fails": ("src/nutstate/cli/demo/demo.py",),
    },
    "held": {
        "what exploration found of a property": ("src/nutstate/cli/machines/explore.py",),
        "the answer of a guard": ("src/nutstate/review/kit/explanation.py",),
    },
    "melt": {
        "the name of a command": ("src/nutstate/cli/commands.py",),
        "the name of a child": ("engine/loop/children.py",),
        "a call of the mint": (
            "engine/loop/asking.py", "engine/loop/timing.py", "engine/simulated/faults.py",
            "engine/simulated/requests.py", "src/nutstate/cli/demo/demo.py",
        ),
    },
    "mint": {
        "the name of a command": ("src/nutstate/cli/commands.py",),
        "a call of the mint": (
            "engine/loop/asking.py", "engine/loop/timing.py", "engine/simulated/faults.py",
            "engine/simulated/requests.py",
        ),
        "the program of the real mint, and its folder": ("src/nutstate/mint_server/real.py",),
        "the mint itself: a row, a column, an option or a field": (
            "diagrams/page/trail.py", "engine/api/report.py", "engine/cashu/coins/token_codec.py",
            "src/nutstate/cli/stores/checks.py", "src/nutstate/cli/context.py",
            "src/nutstate/cli/demo/report.py", "src/nutstate/cli/operators/operations.py",
            "src/nutstate/cli/operators/render.py", "src/nutstate/cli/operators/stranded.py",
            "src/nutstate/cli/money/wallet.py",
        ),
        "who causes an event": (
            "src/nutstate/review/lint/answers.py", "src/nutstate/review/lint/celled.py",
            "src/nutstate/review/lint/graph.py",
        ),
    },
    "paid": {
        "an outcome, and the field that tells it": (
            "engine/api/handle.py", "engine/api/outcome.py", "engine/loop/children.py",
        ),
        "the outcome in words": ("src/nutstate/cli/operators/render.py",),
        "a field of the mint's answer": ("engine/cashu/wire/bodies.py",),
        "a payment of the demo's network": ("src/nutstate/cli/demo/demo.py",),
    },
    "pending": {"a payment of the demo's network that hangs": ("src/nutstate/cli/demo/demo.py",)},
    "record_reason": {"a function that own kinds share": ("src/nutstate/kinds.py",)},
    "record": {
        "the event": ("engine/api/recording.py", "src/nutstate/cli/operators/render.py"),
        "a column of the audit log": ("src/nutstate/cli/stores/audit.py",),
    },
    "refused": {
        "an outcome of step": (
            "diagrams/exports/promela.py", "diagrams/exports/rules.py", "diagrams/exports/scxml.py",
            "diagrams/exports/xstate.py", "src/nutstate/cli/machines/table.py",
            "src/nutstate/review/kit/explain.py", "src/nutstate/review/kit/explanation.py",
            "src/nutstate/review/kit/reading.py", "src/nutstate/review/lint/gaps.py",
        ),
        "the name of a line of the log": ("engine/loop/log.py",),
        "a word in the text of a network error": ("storage/mongo/doctor/url.py",),
    },
    "receive": {"the name of a command": ("src/nutstate/cli/commands.py",)},
    "rejected": {"the words of an error": ("engine/admission/rejected.py",)},
    "restart_patience": {"a function that own kinds share": ("src/nutstate/kinds.py",)},
    "retried": {"the word of a command": ("src/nutstate/cli/operators/stranded.py",)},
    "settled": {"whether the schema of a file is complete": ("storage/sqlite/file.py",)},
    "stranded": {
        "a row": ("src/nutstate/cli/operators/render.py",),
    },
    "swap": {
        "the name of a command": ("src/nutstate/cli/commands.py",),
        "a call of the mint": (
            "engine/loop/asking.py", "engine/loop/timing.py", "engine/simulated/faults.py",
            "engine/simulated/requests.py",
        ),
    },
    "token": {
        "an entity of the audit trail": ("engine/api/audit.py",),
        "a field that holds money as text": ("engine/audit/sanitise.py", "engine/cashu/coins/token_codec.py"),
        "a column or an argument": ("src/nutstate/cli/stores/checks.py", "src/nutstate/cli/money/wallet.py",
            "src/nutstate/cli/money/receive.py",),
    },
    "unknown": {
        "a check of the doctor that could not be made": (
            "src/nutstate/cli/stores/doctor.py", "storage/findings.py", "storage/mongo/doctor/examine.py",
            "storage/mongo/doctor/server.py", "storage/sqlite/doctor.py",
        ),
        "a commit of which the caller does not learn": ("storage/testing/records.py",),
    },
    "unpaid": {
        "an outcome": ("engine/api/own.py", "engine/loop/children.py"),
        "how an operation ends": (
            "engine/api/outcome.py",
            "engine/api/payments.py", "engine/api/recording.py", "engine/admission/new_operation.py",
            "src/nutstate/cli/demo/demo.py", "src/nutstate/cli/money/melt.py",
            "src/nutstate/cli/operators/operations.py", "src/nutstate/cli/money/record.py",
            "src/nutstate/cli/operators/render.py", "src/nutstate/cli/operators/start.py",
            "src/nutstate/cli/operators/tell.py",
            "storage/mongo/codec.py",
            "storage/mongo/rules.py",
        ),
    },
}  # fmt: skip
"""Words that are also names, and mean something else in these files. By word, meaning and files."""

NOT_YET: Mapping[str, str] = {
    "src/nutstate/review/explore": "invariants and windows of time name the states that they are about",
}
"""Files and folders that still name what they should ask for, and what becomes of it. It only shrinks."""


@cache
def named() -> dict[str, dict[str, int]]:
    """File outside of the rooms, to the names that stand in it as literals and the first line of each."""
    return {
        module.path: found
        for module in modules()
        if not module.path.startswith(ROOMS) and (found := dict(_names(module)))
    }


def _names(module: Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
            yield node.value, node.lineno


def elsewhere(path: str, name: str) -> bool:
    """Whether the name means something else in this file."""
    return any(path in files for files in OTHER_MEANINGS.get(name, {}).values())


def is_not_yet(path: str) -> bool:
    return any(path == entry or path.startswith(f"{entry}/") for entry in NOT_YET)


def test_r432_names_stand_in_the_rooms_only() -> None:
    """R432: a state, kind or effect that another file names by a literal."""
    found = [
        f"{path}:{line}: {name!r}"
        for path, names in named().items()
        if not is_not_yet(path)
        for name, line in names.items()
        if not elsewhere(path, name)
    ]
    assert not found, "\n".join(["ask the declaration, a hook of the kind, or a constant:", *found])


def test_r432_no_exception_is_kept_that_is_not_needed() -> None:
    """R432: every exception is still there, of a name, in one file and with one meaning."""
    listed = [
        (name, path)
        for name, meanings in OTHER_MEANINGS.items()
        for files in meanings.values()
        for path in files
    ]
    assert len(listed) == len(set(listed))
    idle = [(name, path) for name, path in listed if name not in named().get(path, {})]
    idle += [("", entry) for entry in NOT_YET if not any(_rest(path, entry) for path in named())]
    assert not idle


def _rest(path: str, entry: str) -> bool:
    """Whether this file of the entry names something that no other meaning explains."""
    inside = path == entry or path.startswith(f"{entry}/")
    return inside and any(not elsewhere(path, name) for name in named()[path])


def test_r432_a_name_is_seen_wherever_it_stands() -> None:
    """R432: in a comparison, a set, a call, a match and a default; not in a text that holds it."""
    source = (
        "if a == 'watching': pass\nb = {'stuck', f(state='held')}\ndef c(d='melt'): 'paying'\n"
        "match e:\n    case 'spend_inputs': pass\nx = 'it is watching'\n"
    )
    module = Module("nutstate.x", "x.py", source, ast.parse(source))
    assert {name for name, _ in _names(module)} == {
        "watching", "stuck", "held", "melt", "paying", "spend_inputs",
    }  # fmt: skip
