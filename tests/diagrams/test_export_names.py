"""Identifiers and texts for other notations, and what cannot be exported at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.diagrams.exports import FORMATS, NotExportable, export, file_name
from nutstate.diagrams.exports.names import identifiers, visible
from nutstate.machines import CHECK
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine, State, edges
from tests.diagrams.oracles.odd import ODD
from tests.support.cases import every


@given(st.lists(st.text(max_size=6)), st.frozensets(st.sampled_from(["x", "a", "if", "x_2"])))
def test_identifiers_are_distinct_and_plain(names: list[str], reserved: frozenset[str]) -> None:
    found = identifiers(names, reserved)
    assert list(found) == list(dict.fromkeys(names))
    assert len(set(found.values())) == len(found)
    for name, short in found.items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", short) and short not in reserved
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and name not in reserved:
            assert short == name


def test_a_plain_name_is_never_taken_by_another() -> None:
    assert identifiers(["a b", "a_b", "a-b", "a_b_2"]) == {
        "a b": "a_b_3", "a_b": "a_b", "a-b": "a_b_4", "a_b_2": "a_b_2"
    }  # fmt: skip


@given(st.text())
def test_visible_text_is_one_line_of_what_xml_can_hold(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert not re.search("[\x00-\x1f\x7f-\x9f\ufffe\uffff]", shown)


def test_the_texts_do_not_depend_on_the_run() -> None:
    program = (
        "from nutstate.diagrams.exports import FORMATS, export\n"
        "from nutstate.machines.registry import RELEASED; import sys\n"
        "sys.stdout.buffer.write(''.join(export(m, name) for m in RELEASED for name in FORMATS).encode())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1 and runs != {b""}


@every("machine", [*RELEASED, ODD], ids=lambda machine: machine.name[:7])
@every("name", FORMATS)
def test_every_export_is_text_that_ends_with_a_line(name: str, machine: Machine[Any]) -> None:
    text = export(machine, name)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert machine.content_hash in text
    assert text.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f]", text)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_named_by_the_machine_but_never_outside_its_folder(name: str) -> None:
    extension, _ = FORMATS[name]
    assert file_name(CHECK, name) == f"check.{extension}"
    assert re.fullmatch(rf"odd_\w+\.{re.escape(extension)}", file_name(ODD, name))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"states": ()}, "no states"),
        ({"states": (*CHECK.states, CHECK.states[1])}, "the state 'clean' twice"),
        ({"events": (*CHECK.events, CHECK.events[0])}, "the event 'found_clean' twice"),
        ({"transitions": (*CHECK.transitions, CHECK.transitions[0])}, "the transition '1.found"),
        ({"states": (*CHECK.states, State("*", "any"))}, r"named '\*', which runs as something else"),
        ({"transitions": edges("1", "found_clean", "none", "gone")}, "the state 'gone' that '1.found"),
        ({"transitions": edges("1", "gone", "none", "clean")}, "the event 'gone'"),
        ({"good_path": ("none", "gone")}, "the state 'gone' that 'the good path'"),
        ({"states": (*CHECK.states, State("more", "", absorbs=("gone",)))}, "the event 'gone' that 'more'"),
    ],
)  # fmt: skip
def test_a_declaration_that_contradicts_itself_is_not_exported(change: dict[str, Any], why: str) -> None:
    wrong = attrs.evolve(CHECK, **change)
    for name in FORMATS:
        with pytest.raises(NotExportable, match=why):
            export(wrong, name)


def test_the_beginning_is_where_the_pseudo_state_is_whatever_its_name() -> None:
    """And wherever it stands: in each notation, as in the kit."""
    states = tuple(
        attrs.evolve(state, name="start" if state.name == "none" else state.name) for state in CHECK.states
    )
    moved = tuple(
        attrs.evolve(edge, source="start" if edge.source == "none" else edge.source)
        for edge in CHECK.transitions
    )
    renamed = attrs.evolve(
        CHECK, states=(*states[1:], states[0]), transitions=moved, good_path=("start", "clean")
    )
    assert 'initial="start"' in export(renamed, "scxml")
    assert '"initial": "start"' in export(renamed, "xstate")
    assert "mtype:state state = s_start;" in export(renamed, "promela")
    assert "[*] -" in export(renamed, "plantuml")
    assert "[*] --> clean" in export(renamed, "mermaid")
