"""R149: every code that can reach a caller stands in the catalogue, and nothing else does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from nutstate.machines import refusals
from nutstate.machines.registry import RELEASED
from nutstate.storage import catalogue
from nutstate.storage.catalogue import ERRORS
from tests.sources.tree import Function, Module, functions, modules

COMING: dict[str, str] = {}
"""Codes of packages that are being built, with the rule that needs them. A code that is used leaves."""

CALLS_WITH_CODE = {"Reason": 0, "Refusal": 0, "recode": 0, "error_content": 1}
CODE = re.compile(r"[A-Z][A-Z_]+")


def test_every_code_in_the_sources_is_in_the_catalogue() -> None:
    unknown = sorted({f"{path}: {code}" for path, code in used() if code not in ERRORS and code[-1] != "*"})
    assert not unknown, unknown


def test_the_guards_codes_are_in_the_catalogue() -> None:
    guards = {g.code for m in RELEASED for t in m.transitions for g in (*t.requires, *t.forbids)}
    refused = {refusal.code for m in RELEASED for s in m.states for refusal in s.refuses}
    assert guards | refused <= ERRORS.keys()
    assert refusals.CODES.keys() <= ERRORS.keys()
    assert all(ERRORS[code].sentence == sentence for code, sentence in refusals.CODES.items())


def test_nothing_in_the_catalogue_is_unused() -> None:
    found = {code for _, code in used()} | refusals.CODES.keys()
    prefixes = tuple(code[:-1] for code in found if code[-1] == "*")
    unused = {code for code in ERRORS if code not in found and not code.startswith(prefixes)}
    assert unused == COMING.keys(), sorted(unused ^ COMING.keys())


def test_what_is_coming_has_not_come_yet() -> None:
    found = {code for _, code in used()} | refusals.CODES.keys()
    assert not COMING.keys() & found, "used now: take it from the list"
    assert COMING.keys() <= ERRORS.keys()


def test_the_scan_sees_something() -> None:
    found = {code for _, code in used()}
    assert len(found) > 60
    assert {"INVALID_NPUB", "CHANGE_MISSING", "OPERATOR_*", "MINT_UNREACHABLE", "INTERRUPTED", "CONFLICT",
            catalogue.DB_FAILURE_AFTER_SUCCESS, catalogue.MELT_FAILURE,
            catalogue.FUNDING_FAILURE} <= found  # fmt: skip


def test_entries_are_well_formed() -> None:
    for code, entry in ERRORS.items():
        assert entry.code == code and CODE.fullmatch(code)
        assert entry.severity in catalogue.SEVERITIES and entry.family in catalogue.FAMILIES
        assert entry.sentence and entry.sentence[0].islower() and not entry.sentence.endswith(".")
    own = (*catalogue._REFUSED, *refusals.CODES, *catalogue._OTHERS)
    assert len(own) == len(set(own)) == len(ERRORS), "a code stands in one place"
    assert catalogue._GRADES.keys() <= refusals.CODES.keys()


def used() -> Iterator[tuple[str, str]]:
    """Path and code of every place that names one; ``PREFIX_*`` where the rest is made at run time."""
    for module in modules():
        if module.name in ("nutstate.storage.catalogue", "nutstate.machines.refusals"):
            continue
        for node in ast.walk(module.tree):
            yield from ((module.path, code) for code in _codes(module, node))


def _codes(module: Module, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ClassDef) and module.name.endswith(".errors"):
        for line in node.body:
            value = getattr(line, "value", None)
            target = line.target if isinstance(line, ast.AnnAssign) else None
            names = [target] if target else getattr(line, "targets", [])
            if any(isinstance(n, ast.Name) and n.id == "code" for n in names):
                yield from _constants(module, value)
    if isinstance(node, ast.alias) and hasattr(catalogue, node.name):
        value = getattr(catalogue, node.name)
        if isinstance(value, str) and value in ERRORS:
            yield value
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg == "code":
            yield from _constants(module, keyword.value)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    place = CALLS_WITH_CODE.get(name)
    if place is not None and len(node.args) > place:
        yield from _constants(module, node.args[place])


def _constants(module: Module, value: ast.AST | None) -> Iterator[str]:
    """What the expression can be, as far as the text of its function tells."""
    if isinstance(value, ast.Constant):
        if isinstance(value.value, str) and CODE.fullmatch(value.value):
            yield value.value
    elif isinstance(value, ast.JoinedStr) and isinstance(value.values[0], ast.Constant):
        yield f"{value.values[0].value!s}*"
    elif isinstance(value, ast.IfExp):
        yield from _constants(module, value.body)
        yield from _constants(module, value.orelse)
    elif isinstance(value, ast.Name):
        for function in functions(module):
            if value in ast.walk(function):
                yield from _assigned(module, function, value.id)


def _assigned(module: Module, function: Function, name: str) -> Iterator[str]:
    for line in ast.walk(function):
        if isinstance(line, ast.Assign) and any(getattr(t, "id", None) == name for t in line.targets):
            yield from _constants(module, line.value)
