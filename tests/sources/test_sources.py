"""The sources keep the habits we promised (docs: style)."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import nutstate
from nutstate.cli.commands import COMMANDS
from tests.sources.tree import Function, Module, functions, imports, modules, text_files

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
PLAIN_LINES_MAX = 8

LONG_FILES: dict[str, str] = {}
"""Files that may be longer, with the reason."""

ENTRY_POINTS = {
    "nutstate": "what callers import",
    "nutstate.__main__": "python -m nutstate",
    "nutstate.cli": "the nutstate program",
    "nutstate.aio": "what asynchronous callers import",
    "nutstate.kinds": "what services with kinds of their own import",
    "nutstate.pytest_plugin": "what pytest loads",
    "nutstate.testing": "what the tests of embedding programs import",
}

WORDS_NOT_OURS = ("manager", "handler", "helper", "util", "utils")


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 60
    assert {"nutstate.machines.melt.table", "nutstate.cli", "nutstate.storage.port"} <= {
        m.name for m in modules()
    }


def test_functions_are_short() -> None:
    too_long = [
        f"{module.path}:{function.lineno} {function.name}: {_lines(function)} lines"
        for module in modules()
        for function in functions(module)
        if _lines(function) > FUNCTION_LINES_MAX
    ]
    assert not too_long, _list(too_long)


def test_files_are_short() -> None:
    too_long = [
        f"{module.path}: {module.text.count(chr(10))} lines"
        for module in modules()
        if module.text.count("\n") > FILE_LINES_MAX and module.path not in LONG_FILES
    ]
    assert not too_long, _list(too_long)


def test_every_exemption_is_needed() -> None:
    lengths = {module.path: module.text.count("\n") for module in modules()}
    assert not [path for path in LONG_FILES if lengths.get(path, 0) <= FILE_LINES_MAX]


def test_every_module_has_an_importer() -> None:
    imported = {name for module in modules() for name in imports(module) if name != module.name}
    imported |= {f"nutstate.cli.{place.partition(':')[0]}" for place, _ in COMMANDS.values()}
    parents = {name.rpartition(".")[0] for name in (module.name for module in modules())}
    lonely = [m.path for m in modules() if m.name not in imported | parents | ENTRY_POINTS.keys()]
    assert not lonely, _list(lonely)


def test_no_error_is_swallowed() -> None:
    silent = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert not silent, _list(silent)


def test_nothing_is_left_to_do() -> None:
    words = re.compile(r"\b(TO" + "DO|FIX" + r"ME|X" + r"XX)\b")
    left = [f"{path}: {match[0]}" for path, text in text_files() for match in words.finditer(text)]
    assert not left, _list(left)


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if not module.name.startswith("nutstate.cli")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing, _list(printing)


def test_names_say_what_things_are() -> None:
    named = [(m.path, m.name.rpartition(".")[2]) for m in modules()]
    named += [(m.path, n.name) for m in modules() for n in ast.walk(m.tree) if isinstance(n, ast.ClassDef)]
    vague = [f"{path}: {name}" for path, name in named if set(_words(name)) & set(WORDS_NOT_OURS)]
    assert not vague, _list(vague)


def test_public_names_are_explained() -> None:
    silent = [f"{module.path}:{line} {name}" for module in modules() for name, line in _unexplained(module)]
    assert not silent, _list(silent)


def test_no_path_of_somebodys_machine() -> None:
    machine = re.compile(r"(?<![\w.:/~-])/(?:home|Users|root|work)/[A-Za-z0-9_.-]+")
    found = [f"{path}: {match[0]}" for path, text in text_files() for match in machine.finditer(text)]
    assert not found, _list(found)


def test_machines_import_only_what_is_pure() -> None:
    allowed = {
        "__future__", "abc", "attrs", "collections", "dataclasses", "enum", "functools", "hashlib",
        "itertools", "json", "math", "operator", "transitions", "types", "typing",
    }  # fmt: skip
    excused = {
        ("nutstate.machines.step", "logging"),  # it silences the library's logger
        ("nutstate.review.kit.simulate", "random"),  # always seeded by the caller
    }
    impure = [
        f"{module.path}: {name}"
        for module in modules()
        if module.name.startswith("nutstate.machines")
        for name in imports(module)
        if not name.startswith("nutstate.machines")
        and name.partition(".")[0] not in allowed
        and (module.name, name) not in excused
    ]
    assert not impure, _list(impure)


def _lines(function: Function) -> int:
    """Lines of a function without its docstring: explaining costs nothing."""
    first = function.body[0]
    explained = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if explained else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _unexplained(module: Module) -> Iterator[tuple[str, int]]:
    """Modules, public classes and public functions without a docstring; of what ``nutstate`` exports,
    public methods too. A very short function may let its name speak."""
    private = any(part.startswith("_") for part in module.name.split("."))
    if not ast.get_docstring(module.tree):
        yield module.name, 1
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_") or private:
            continue
        plain = not isinstance(node, ast.ClassDef) and _lines(node) <= PLAIN_LINES_MAX
        if not ast.get_docstring(node) and not plain:
            yield node.name, node.lineno
        if isinstance(node, ast.ClassDef) and _exported(module, node.name):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    setter = any(isinstance(d, ast.Attribute) for d in method.decorator_list)
                    if not ast.get_docstring(method) and not setter:
                        yield f"{node.name}.{method.name}", method.lineno


def _exported(module: Module, name: str) -> bool:
    found = getattr(nutstate, name, None) if name in nutstate.__all__ else None
    return found is not None and getattr(found, "__module__", "") == module.name


def _list(found: list[str]) -> str:
    counted: dict[str, int] = defaultdict(int)
    for line in found:
        counted[line] += 1
    return "\n" + "\n".join(sorted(counted))
