"""A very odd machine, which every export must survive: names that mean something else
in other notations, sentences that end strings, a cell whose order decides, a final state that is left."""

from __future__ import annotations

from typing import Any

from nutstate.machines.spec import NONE, Event, Guard, Machine, Refuse, State, Transition

TEXT = "a \"b\" 'c' <d> & `e` | */ /* -- ]]> {{f}} %g \\n \\ ⇒ ü 😀\nnext\tline\r#1; ~x~ **y** __z__ $w$ ${v}"

WORDS = f"\x00\x07\u2028 {TEXT} \\"
"""The same with what XML and encodings cannot hold: for sentences, which no reader looks up."""


def _guard(name: str) -> Guard[Any]:
    return Guard(name, f"{name}: {WORDS}", f"CODE {TEXT}", lambda facts: bool(facts))


_A, _B, _C = _guard("class"), _guard("not a \"guard\" && 'b' <\n"), _guard("event")

ODD: Machine[Any] = Machine(
    name=f"../odd {TEXT}",
    version=3,
    facts=object,
    good_path=(NONE, "end", "state"),
    states=(
        State(NONE, WORDS, kind="pseudo"),
        State("end", WORDS, action=TEXT, write_ahead=True, group=TEXT, absorbs=("*", "*"),
              refuses=(Refuse("done.state", "FIRST", WORDS), Refuse("done.state", "SECOND", TEXT),
                       Refuse("*", "NEVER", TEXT))),
        State("state", TEXT, group="graph", absorbs=("go",)),
        State("a b", TEXT, kind="parked"),
        State("a-b", TEXT, kind="final", absorbs=("go",), refuses=(Refuse("*", "CODE", TEXT),)),
        State("a_b", TEXT, kind="final"),
        State(TEXT, TEXT, kind="final", group=TEXT),
        State(" ", TEXT, group="\\"),
        State("v", TEXT),
        State("row0", TEXT),
        State("node", TEXT),
        State("1st", TEXT),
        State("Ω", TEXT),
    ),
    events=(Event("go", WORDS, "caller"), Event("*", TEXT, "mint"), Event("done.state", TEXT, "clock"),
            Event("", TEXT, "engine"), Event(TEXT, TEXT, "operator")),
    transitions=(
        Transition(f"1.{TEXT}", "go", NONE, "end", (_A,), (_B,), (TEXT, "x; y"), TEXT),
        Transition("2.both", "go", NONE, "state", (_A,), (), ("alarm",), WORDS),
        Transition("3.rest", "go", NONE, "a b", (), (), (), TEXT),
        Transition("4.*", "*", "end", TEXT, (_B, _C), (), (), ""),
        Transition("5.state", "*", "state", "a-b", (), (_C,)),
        Transition("6.state", "", "state", "a_b", (), (_C, _A)),
        Transition("7.state", TEXT, "state", "state", (), ()),
        Transition("8.parked", TEXT, "a b", " ", (), ()),
        Transition("9.on", "go", " ", "v"),
        Transition("10.on", "go", "v", "row0"),
        Transition("11.on", "go", "row0", "node"),
        Transition("12.on", "go", "node", "1st"),
        Transition("13.on", "go", "1st", "Ω"),
        Transition("14.on", "go", "Ω", NONE),
        Transition("15.back", "go", "a_b", "a b", (_A,)),
    ),
)  # fmt: skip
