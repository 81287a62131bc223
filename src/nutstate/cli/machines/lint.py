"""``machines lint``."""

from __future__ import annotations

import importlib
import json
import pkgutil
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click

from ... import machines as our_machines
from ..._declared import imported
from ...diagrams.build import GOLDEN, NotACheckout, checkout
from ...machines.refusals import CODES
from ...machines.spec import Machine
from ...machines.words import ACTIONS, EFFECTS
from ...review.lint import SEVERITIES, Finding, Gap, gaps, lint, unused_guards
from ..ends import Exit
from ..output import Output
from .choose import available, chosen, from_option, json_option

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_FOLDED = "L24"
"""The rule whose notes are only counted, unless ``--gaps`` asks for them: there is one for most cells."""


@click.command(
    "lint",
    epilog="\b\nExample:\n  nutstate machines lint melt --gaps\n"
    "  nutstate machines lint --from shop.machines --strict",
)
@click.argument("wanted", metavar="[MACHINE]...", nargs=-1)
@from_option
@click.option(
    "--golden", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The record of released tables to compare with, such as `machines list --json` prints.  "
    "[default: the checkout's own, for the machines of this release]",
)  # fmt: skip
@click.option(
    "--gaps", "with_gaps", is_flag=True, help="Also list every combination of facts no edge accepts."
)
@click.option("--strict", is_flag=True, help="Exit code 1 on warnings too.")
@json_option
def lint_machines(
    wanted: Sequence[str],
    origin: str | None,
    golden: Path | None,
    with_gaps: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Look for mistakes in the tables, before anything runs.

    An error is wrong. A warning is probably wrong, or depends on something that the table does not say. A
    note asks whether something is meant. docs/lint.md explains every rule. Exit code 1 when there are errors.
    """
    out = Output(as_json)
    specs = chosen(wanted, origin)
    found = _findings(specs, origin, golden)
    counts = Counter(finding.severity for finding in found)
    bad = bool(counts["error"] or (strict and counts["warning"]))
    if as_json:
        document: dict[str, Any] = {
            "machines": [f"{spec.name}@{spec.version}" for spec in specs],
            "counts": {severity: counts[severity] for severity in SEVERITIES},
            "findings": [{**attrs.asdict(f), "rule": f.rule.name} for f in found],
        }
        if with_gaps:
            document["gaps"] = [attrs.asdict(gap) for spec in specs for gap in _listed(spec)]
        out.document(document)
        return Exit.REFUSED if bad else Exit.DONE
    for spec in specs:
        out.line((f"{spec.name}@{spec.version}", "bold"))
        _show(out, [f for f in found if f.machine == spec.name], with_gaps)
        if with_gaps:
            _show_gaps(out, spec)
    if rest := [f for f in found if not f.machine]:
        out.line(("all machines together", "bold"))
        _show(out, rest, with_gaps)
    out.line(", ".join(_many(counts[severity], severity) for severity in SEVERITIES))
    return Exit.REFUSED if bad else Exit.DONE


def _findings(specs: Sequence[Machine[Any]], origin: str | None, golden: Path | None) -> tuple[Finding, ...]:
    """Our machines are checked against our vocabularies, guards and record; those of a module against
    its guards. Unused words can be judged over all machines only, so they are told when all were chosen."""
    everything = available(origin)
    every_one = len(specs) == len(everything)
    wanted = {spec.name for spec in specs}
    words: dict[str, Any] = {"golden": _record(golden, ours=origin is None)}
    if origin is None:
        words |= {"effects": EFFECTS, "actions": ACTIONS, "codes": CODES}
        modules = [importlib.import_module(name) for name in _guard_modules()]
    else:
        modules = [imported(origin.partition(":")[0])]
    try:
        found = lint(everything, **words)
    except ValueError as error:
        raise click.UsageError(f"--golden: {error}") from None
    kept = tuple(f for f in found if f.machine in wanted or (every_one and not f.machine))
    return kept + (_unused(modules, everything) if every_one else ())


def _unused(modules: Sequence[ModuleType], specs: Sequence[Machine[Any]]) -> tuple[Finding, ...]:
    return tuple(f for module in modules for f in unused_guards(module, specs))


def _record(golden: Path | None, ours: bool) -> Any:
    if golden is None:
        try:
            golden = checkout() / GOLDEN if ours else None
        except NotACheckout:
            golden = None
        if golden is None or not golden.is_file():
            return None
    try:
        record = json.loads(golden.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--golden: {golden} is not JSON: {error}") from None
    if isinstance(record, dict):
        record = record.get("machines")
    if not isinstance(record, list):
        raise click.UsageError(f"--golden: {golden} holds no list of machines")
    return record


def _show(out: Output, found: Sequence[Finding], with_gaps: bool) -> None:
    folded = [] if with_gaps else [f for f in found if f.code == _FOLDED and f.severity == "note"]
    for finding in found:
        if finding in folded:
            continue
        style = _STYLES[finding.severity]
        head = f"{finding.code} {finding.rule.name}"
        out.line("  ", (finding.severity.ljust(8), style), head, "  ", (finding.where, "bold"))
        _indented(out, finding.sentence, 11)
        _indented(out, f"→ {finding.fix}", 11, "dim")
    if folded:
        cells = "1 cell refuses" if len(folded) == 1 else f"{len(folded)} cells refuse"
        words = f"{_FOLDED} {folded[0].rule.name}  {cells} some events from outside; see --gaps"
        out.line("  ", ("note".ljust(8), _STYLES["note"]), words)
    if not found:
        out.line("  nothing found")


def _show_gaps(out: Output, spec: Machine[Any]) -> None:
    out.line("  ", ("gaps: the smallest conditions under which no edge of a cell is taken", "dim"))
    for gap in _listed(spec):
        _indented(out, gap.sentence, 4)


def _indented(out: Output, words: str, columns: int, style: str = "") -> None:
    """A sentence, broken between words on a terminal; every line of it stands as far in as the first."""
    width = max(40, out.console.width - columns) if out.console.is_terminal else len(words)
    for line in textwrap.wrap(words, max(width, 1)):
        out.line(" " * columns, (line, style))


def _listed(spec: Machine[Any]) -> tuple[Gap, ...]:
    try:
        return gaps(spec)
    except ValueError as error:
        raise click.UsageError(f"--gaps: {spec.name}: {error}") from None


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _guard_modules() -> list[str]:
    """Names of the modules that hold the guards of our own machines."""
    found = pkgutil.walk_packages(our_machines.__path__, f"{our_machines.__name__}.")
    return [module.name for module in found if module.name.rpartition(".")[2].startswith("guards")]
