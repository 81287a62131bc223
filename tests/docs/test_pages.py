"""The pages of docs/: each has a place, each anchor is a heading, each word of the glossary exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from nutstate import Engine
from nutstate.machines.registry import RELEASED
from nutstate.machines.words import ACTIONS, EFFECTS
from nutstate.storage.port import Store
from tests.sources.tree import modules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")))
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
ORDER = ["Start", "Guides", "Reference", "Why", "For reviewers"]

ROW = re.compile(r"^\| ([^|]+) \| ([^|]*) \| ([^|]+) \| \[[^]]+\]\(([^)]+)\) \|$", re.MULTILINE)
GLOSSARY = [
    (word.strip(), names.strip(), meaning.strip(), link)
    for word, names, meaning, link in ROW.findall((DOCS / "glossary.md").read_text(encoding="utf-8"))
]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_stands_once_in_the_index() -> None:
    """R451: add a new page of docs/ to docs/index.md, in its section, with one line."""
    assert re.findall(r"^## (.+)$", INDEX, re.MULTILINE) == ORDER
    listed = re.findall(r"^\| \[([a-z-]+\.md)\]\(([a-z-]+\.md)\) \| (.+) \|$", INDEX, re.MULTILINE)
    assert all(name == link and line for name, link, line in listed)
    names = [name for name, _, _ in listed]
    assert len(names) == len(set(names))
    assert set(names) == {page.name for page in DOCS.glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_anchors_of_links_exist(page: Path) -> None:
    """R451: a link with an anchor leads to a heading."""
    for file, anchor in re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        target = page.parent / file if file else page
        assert anchor in anchors(target.read_text(encoding="utf-8")), f"{file}#{anchor}"


def test_the_glossary_is_sorted_and_short() -> None:
    """R452: about thirty to fifty words, each once, in one or two sentences or three short ones."""
    words = [word for word, _, _, _ in GLOSSARY]
    assert 30 <= len(words) <= 50
    assert words == sorted(set(words), key=str.lower)
    for word, _, meaning, _ in GLOSSARY:
        assert meaning.endswith(".") and len(re.findall(r"\.(?: |$)", meaning)) <= 2, word


@pytest.mark.parametrize(("word", "names"), [(word, names) for word, names, _, _ in GLOSSARY if names])
def test_the_words_of_the_glossary_exist(word: str, names: str) -> None:
    """R452: a state, effect, action, kind, event, class or attribute of the second column is still there."""
    found = re.fullmatch(r"`([A-Za-z_.]+)`(?: \((.+)\))?", names)
    assert found is not None, names
    name, role = found[1], found[2] or "class"
    assert name in known(role), f"{word}: there is no {role} {name!r}"


def test_the_check_of_the_glossary_sees_a_missing_word() -> None:
    """R452: a name of no machine, and a state of another machine."""
    assert "melted" not in known("state of token")
    assert "stranded" not in known("state of melt")
    assert "Helper" not in known("class")


def known(role: str) -> set[str]:
    """The names that a role may have today."""
    if role.startswith("state of "):
        machine = role.removeprefix("state of ")
        return {state.name for spec in RELEASED if spec.name == machine for state in spec.states}
    names: dict[str, set[str]] = {
        "effect": set(EFFECTS),
        "action": set(ACTIONS),
        "kind": {spec.name for spec in RELEASED if spec.name != "token"},
        "machine": {spec.name for spec in RELEASED},
        "event": {event.name for spec in RELEASED for event in spec.events},
        "kind of state": {state.kind for spec in RELEASED for state in spec.states},
        "class": CLASSES,
    }
    return names[role]


def _classes() -> set[str]:
    """Every class of the sources and ``Class.attribute`` of each; for Engine and Store inherited ones too."""
    found = {f"{face.__name__}.{name}" for face in (Engine, Store) for name in dir(face)}
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            found.add(node.name)
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    found.add(f"{node.name}.{line.target.id}")
                elif isinstance(line, ast.FunctionDef):
                    found.add(f"{node.name}.{line.name}")
    return found


CLASSES = _classes()
