"""Lint for declared machines: mistakes in a table, and doubtful places, before anything runs.

Works for any :class:`~nutstate.machines.spec.Machine`; docs/lint.md explains every rule. Pure: nothing is
run, read or written, and the predicates of guards are never called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ...machines.spec import Machine
from .answers import answers
from .celled import cell_rules
from .gaps import Gap, gaps
from .golden import Record, changed_releases
from .graph import exits, facets, failures, good_path, restarts, resting, ways
from .names import duplicates, guard_clashes, same_machines, unknown_names, unknown_words
from .rules import RULES, SEVERITIES, Finding, Rule, Severity, rules_table
from .unused import unused_events, unused_guards, unused_own_words, unused_words

__all__ = [
    "RULES",
    "SEVERITIES",
    "Finding",
    "Gap",
    "Rule",
    "Severity",
    "gaps",
    "lint",
    "rules_table",
    "unused_guards",
]


def lint(
    specs: Iterable[Machine[Any]],
    *,
    effects: Collection[str] | None = None,
    actions: Collection[str] | None = None,
    codes: Collection[str] | None = None,
    golden: Iterable[Record] | None = None,
) -> tuple[Finding, ...]:
    """Everything the rules find, machine by machine, errors first, then in the order of the rules and of
    the table. Rules that need a vocabulary (``effects``, ``actions``, refusal ``codes``) or the record
    of released tables (``golden``, as tests/fixtures/machines.json) run only when it is given.
    ValueError for a golden record that is none."""
    machines = tuple(specs)
    found: list[Finding] = [*same_machines(machines)]
    for spec in machines:
        found += unknown_names(spec)
        found += unknown_words(spec, effects, actions, codes)
        for rule in (duplicates, guard_clashes, ways, restarts, good_path, resting, exits, failures, facets,
                     cell_rules, answers, unused_events, unused_own_words):  # fmt: skip
            found += rule(spec)
    found += unused_words(machines, effects, actions, codes)
    if golden is not None:
        found += changed_releases(machines, golden)
    order = {spec.name: n for n, spec in reversed(tuple(enumerate(machines)))}
    return tuple(
        sorted(
            dict.fromkeys(found),
            key=lambda f: (order.get(f.machine, len(order)), SEVERITIES.index(f.severity), f.code),
        )
    )
