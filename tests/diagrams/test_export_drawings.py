"""DOT, PlantUML and Mermaid show every transition of a machine and nothing else; a mistake would show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nutstate.diagrams.build import render
from nutstate.diagrams.exports import export
from nutstate.machines import MELT, MINT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine
from tests.diagrams.oracles.drawn import (
    declared,
    dot_shows,
    mermaid_declared,
    mermaid_shows,
    plantuml_ends,
    plantuml_shows,
)
from tests.diagrams.oracles.expected import MISTAKES, with_another_dest, without_a_guard
from tests.diagrams.oracles.odd import ODD

every_machine = pytest.mark.parametrize("machine", RELEASED, ids=lambda machine: machine.name)
every_mistake = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
Mistake = Callable[[Machine[Any]], Machine[Any]]


@every_machine
def test_dot_shows_every_transition(machine: Machine[Any]) -> None:
    assert dot_shows(export(machine, "dot")) == declared(machine)


@every_machine
def test_dot_puts_states_into_their_groups(machine: Machine[Any]) -> None:
    text = export(machine, "dot")
    for group in {state.group for state in machine.states if state.group}:
        _, _, rest = text.partition(f'graph [label="{group}"')
        inside, _, _ = rest.partition("\n  }\n")
        for state in machine.states:
            assert (f'    "{state.name}" [' in inside) == (state.group == group)


@every_machine
def test_plantuml_shows_every_transition_and_end(machine: Machine[Any]) -> None:
    text = export(machine, "plantuml")
    assert plantuml_shows(text) == declared(machine)
    assert plantuml_ends(text) == {state.name for state in machine.states if state.kind == "final"}


@every_machine
def test_mermaid_shows_every_transition(machine: Machine[Any]) -> None:
    assert mermaid_shows(export(machine, "mermaid")) == mermaid_declared(machine)


@every_machine
def test_mermaid_and_markdown_are_the_committed_drawings_and_pages(machine: Machine[Any]) -> None:
    files = render()
    assert export(machine, "mermaid") == files[f"{machine.name}.mmd"]
    page = files[f"{machine.name}.md"]
    pictures, mermaid = page.index("[!["), page.index("```mermaid")
    end = page.index("</details>")
    alone = page[:pictures] + page[mermaid:end].rstrip() + "\n" + page[end + len("</details>\n") :]
    assert export(machine, "markdown") == alone, "an export has no pictures beside it"


@pytest.mark.parametrize("machine", [MELT, MINT], ids=lambda machine: machine.name)
@every_mistake
def test_a_mistake_shows_in_every_drawing(machine: Machine[Any], mistake: Mistake) -> None:
    wrong = mistake(machine)
    assert dot_shows(export(wrong, "dot")) != declared(machine)
    assert plantuml_shows(export(wrong, "plantuml")) != declared(machine)
    assert mermaid_shows(export(wrong, "mermaid")) != mermaid_declared(machine)


@every_mistake
def test_mermaid_names_no_more_than_one_guard_and_no_order_so_its_head_vouches_for_them(
    mistake: Mistake,
) -> None:
    head, shown = mermaid_shows(export(mistake(MINT), "mermaid"))
    wanted_head, wanted = mermaid_declared(MINT)
    assert head != wanted_head
    assert (shown != wanted) == (mistake in (with_another_dest, without_a_guard))


def test_odd_words_neither_end_a_label_nor_start_a_line() -> None:
    dot = export(ODD, "dot").splitlines()
    assert all(line.count('"') - line.count('\\"') & ~1 >= 0 for line in dot)
    edges = [line for line in dot if '" -> "' in line]
    assert len(edges) == len({(edge.source, edge.dest) for edge in ODD.transitions})
    assert all(line.endswith("];") for line in edges)
    plain = export(ODD, "plantuml").splitlines()
    arrows = [line for line in plain if "]-> " in line and "[*]" not in line]
    assert len(arrows) == len(edges)
    assert not [line for line in plain[3:] if set('"') & set(line.partition(" : ")[2])]
    assert plain[-1] == "@enduml" and sum(line.startswith("@") for line in plain) == 2
    drawn = state_pairs(export(ODD, "mermaid"))
    assert len(drawn) == len(edges)


def state_pairs(text: str) -> set[tuple[str, str]]:
    """The pairs of states a Mermaid text joins by a labelled arrow."""
    return {
        (words[0], words[2].rstrip(":"))
        for words in (line.split() for line in text.splitlines())
        if len(words) > 3 and words[1] == "-->"
    }


def test_markdown_of_an_odd_machine_keeps_its_tables() -> None:
    text = export(ODD, "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith(" |") or set(line) <= set("|- ") for line in rows)
    assert "<d>" not in text.replace("`", "").replace("\\<", "") or "\\<d>" in text
    assert ODD.content_hash in text
