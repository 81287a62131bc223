"""Each rule finds what it is for, and nothing in a sound machine."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from nutstate.machines import MELT, MINT
from nutstate.machines.check import guards as check_guards
from nutstate.machines.deposit import guards as deposit_guards
from nutstate.machines.melt import guards as melt_guards
from nutstate.machines.melt import guards_change as change_guards
from nutstate.machines.melt import guards_fences as fence_guards
from nutstate.machines.melt import guards_refusal as refusal_guards
from nutstate.machines.mint import guards as mint_guards
from nutstate.machines.refusals import CODES
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import NONE, Action, Effect, Event, Guard, Machine, Refuse, State, edges
from nutstate.machines.token import guards as token_guards
from nutstate.machines.words import ACTIONS, EFFECTS
from nutstate.review.kit import switched
from nutstate.review.lint import RULES, Finding, lint, rules_table, unused_guards

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def guard(name: str, **more: Any) -> Guard[Any]:
    return attrs.evolve(Guard(name, f"{name} holds", f"NOT_{name.upper()}", lambda f: True), **more)


A, B, C, D = guard("a"), guard("b"), guard("c", code="NOT_B"), guard("d")
EFFECT_NAMES, ACTION_NAMES, CODE_NAMES = ("take", "give"), ("ask",), ("NOT_A", "NOT_B", "NEVER")

SOUND: Machine[Any] = Machine(
    name="sound",
    version=1,
    facts=dict,
    good_path=(NONE, "asking", "done"),
    states=(
        State(NONE, "nothing", kind="pseudo"),
        State("asking", "asked", action="ask", write_ahead=True, absorbs=("restart",),
              refuses=(Refuse("stop", "NEVER", "it never stops"),)),
        State("parked", "a person looks", kind="parked", absorbs=("restart", "yes", "no")),
        State("done", "done", kind="final", absorbs=("yes", "no", "restart"), ends="good"),
    ),
    events=(
        Event("begin", "begins", "caller"), Event("stop", "shall stop", "caller"),
        Event("yes", "the mint says yes", "mint"), Event("no", "the mint says no", "mint"),
        Event("mend", "somebody mends it", "operator"), Event("restart", "again", "restart"),
    ),
    transitions=(
        *edges("1", "begin", NONE, "asking", requires=(A,), effects=("take",)),
        *edges("2", "yes", "asking", "done", requires=(A,), effects=("give",)),
        *edges("3", "yes", "asking", "parked", requires=(B,), forbids=(A,)),
        *edges("4", "no", "asking", "parked"),
        *edges("5", "mend", "parked", "done"),
    ),
)  # fmt: skip
WORDS: dict[str, Any] = {"effects": EFFECT_NAMES, "actions": ACTION_NAMES, "codes": CODE_NAMES}


def plus(*more: Any, **changes: Any) -> Machine[Any]:
    """The sound machine with more edges."""
    table = tuple(edge for group in more for edge in group)
    return attrs.evolve(SOUND, transitions=(*SOUND.transitions, *table), **changes)


def less(*ids: str) -> Machine[Any]:
    return attrs.evolve(SOUND, transitions=tuple(e for e in SOUND.transitions if e.id not in ids))


def state(name: str, spec: Machine[Any] = SOUND, **changes: Any) -> Machine[Any]:
    states = tuple(attrs.evolve(s, **changes) if s.name == name else s for s in spec.states)
    return attrs.evolve(spec, states=states)


def added(*states: State) -> tuple[State, ...]:
    return (*SOUND.states, *states)


def events(*more: Event) -> tuple[Event, ...]:
    return (*SOUND.events, *more)


LOST = State("lost", "nobody finds it", absorbs=("restart", "yes", "no"))
LOOP = State("loop", "round and round", absorbs=("restart", "yes", "no"))
GO = events(Event("go", "goes", "operator"))
POLL = events(Event("late", "an answer", "mint"), Event("go", "goes", "operator"))

BROKEN: list[tuple[str, str, Machine[Any]]] = [
    ("L01", "9.begin.parked", plus(edges("9", "begin", "parked", "nowhere", forbids=(C,)))),
    ("L01", "good_path", attrs.evolve(SOUND, good_path=(NONE, "nowhere"))),
    ("L02", "9.nothing.parked", plus(edges("9", "nothing", "parked", "done"))),
    ("L02", "done", state("done", absorbs=("yes", "no", "restart", "nothing"))),
    ("L02", "parked", state("parked", refuses=(Refuse("nothing", "NEVER", "no"),))),
    ("L03", "9.begin.parked", plus(edges("9", "begin", "parked", "done", effects=("sing",)))),
    ("L04", "asking", state("asking", action="sing")),
    ("L05", "d", plus(edges("9", "begin", "parked", "done", requires=(D,)))),
    ("L05", "asking + stop", state("asking", refuses=(Refuse("stop", "SING", "no"),))),
    ("L06", "1.begin.none", plus(edges("1", "begin", NONE, "parked", forbids=(A,)))),
    ("L06", "stop", attrs.evolve(SOUND, events=events(Event("stop", "once more", "caller")))),
    ("L06", "done + yes", state("done", absorbs=("yes", "yes", "no", "restart"))),
    ("L07", "a", plus(edges("9", "begin", "parked", "done", requires=(attrs.evolve(A, code="NOT_B"),)))),
    ("L07", "a", plus(edges("9", "begin", "parked", "done", requires=(guard("a", predicate=lambda f: False),)))),
    ("L10", "lost", plus(edges("9", "go", "lost", "done"), states=added(LOST), events=GO)),
    ("L11", "lost", plus(edges("9", "go", "parked", "lost"), states=added(LOST), events=GO)),
    ("L11", "lost, loop", plus(edges("9", "go", ("parked", "loop"), "lost"), edges("9", "go", "lost", "loop"),
                               states=added(LOST, LOOP), events=GO)),
    ("L12", "none", state("done", kind="live")),
    ("L13", "9.go.done", plus(edges("9", "go", "done", "parked"), events=GO)),
    ("L14", "asking", state("asking", absorbs=())),
    ("L15", "none → done", attrs.evolve(SOUND, good_path=(NONE, "done"))),
    ("L16", "parked", attrs.evolve(SOUND, events=tuple(
        attrs.evolve(e, origin="restart") if e.name == "mend" else e for e in SOUND.events))),
    ("L17", "parked", state("parked", write_ahead=True, action="ask")),
    ("L18", "lost", plus(edges("8", "go", "parked", "lost"), edges("9", "made", "lost", "done"),
                         states=added(LOST), events=(*GO, Event("made", "made", "engine")))),
    ("L19", "done", state("done", ends="")),
    ("L19", "parked", state("parked", ends="lost")),
    ("L35", "parked", state("parked", waits_for="caller")),
    ("L35", "asking", state("asking", waits_for="confirmation")),
    ("L36", "asking", plus(edges("9", "drive_failed", "parked", "done"),
                           events=events(Event("drive_failed", "it failed too often", "engine")))),
    ("L33", "asking", plus(edges("9", "late", "parked", "done"),
                           events=(*SOUND.events, Event("late", "it lasts too long", "clock")))),
    ("L34", "parked", attrs.evolve(less("5.mend.parked"), transitions=(
        *less("5.mend.parked").transitions, *edges("9", "mend", "parked", "asking")))),
    ("L20", "9.no.asking", plus(edges("9", "no", "asking", "done", requires=(A,)))),
    ("L20", "9.yes.asking", plus(edges("9", "yes", "asking", "done", requires=(A, B)))),
    ("L21", "9.begin.none", plus(edges("9", "begin", NONE, "parked", requires=(B,)))),
    ("L22", "9.begin.none", plus(edges("9", "begin", NONE, "parked", requires=(B,), forbids=(B,)))),
    ("L23", "parked + begin", plus(edges("8", "begin", "parked", "done", requires=(A, B)),
                                   edges("9", "begin", "parked", "asking", forbids=(A, B)))),
    ("L24", "asking + restart", state("asking", plus(edges("9", "restart", "asking", "parked", requires=(A,))),
                                      absorbs=())),
    ("L25", "9.go.parked", plus(edges("9", "go", "parked", None), events=GO)),
    ("L26", "parked + mend", state("parked", absorbs=("restart", "yes", "no", "mend"))),
    ("L26", "parked + yes", state("parked", refuses=(Refuse("yes", "NEVER", "no"),))),
    ("L30", "late", state("done", plus(
        edges("8", "go", "parked", "lost"), edges("9", "late", "lost", "done"),
        states=added(attrs.evolve(LOST, action="ask")), events=POLL), absorbs=("yes", "no", "restart", "late"))),
    ("L31", "yes", state("done", absorbs=("no", "restart"))),
    ("L31", "no", state("parked", absorbs=("restart", "yes"))),
    ("L32", "late", plus(edges("9", "late", "parked", "done"),
                         events=events(Event("late", "its time is over", "clock")))),
    ("L40", "go", attrs.evolve(SOUND, events=GO)),
]  # fmt: skip


def missed(spec: Machine[Any]) -> list[Finding]:
    """What is found in a machine; L24 of outside events is in the sound one too."""
    return [f for f in lint((spec,), **WORDS) if (f.code, f.severity) != ("L24", "note")]


def test_a_sound_machine_has_no_findings() -> None:
    assert missed(SOUND) == []
    (gap,) = lint((SOUND,), **WORDS)
    assert (gap.code, gap.where) == ("L24", "asking + yes")
    assert (
        gap.sentence == "it is refused when it does not hold that a holds, and it does not hold that b holds"
    )
    assert lint((switched(SOUND),)) == lint((SOUND,)), "other predicate objects, no other code"


ALSO: dict[str, set[str]] = {
    "L04": {"L42"},  # the action that is meant is used nowhere
    "L05": {"L43"},
    "L07": {"L43"},
    "L12": {"L19", "L34"},  # what cannot end at all, no operator can end
    "L20": {"L21"},  # what is shadowed overlaps
    "L32": {"L33"},
    "L33": {"L32"},
}
"""What else follows from the mistake."""


@pytest.mark.parametrize(("code", "where", "spec"), BROKEN, ids=[f"{c}-{w}" for c, w, _ in BROKEN])
def test_a_rule_finds_its_mistake(code: str, where: str, spec: Machine[Any]) -> None:
    found = missed(spec)
    hits = [f for f in found if f.code == code]
    assert [f.where for f in hits] == [where], found
    assert {f.code for f in found} - {code} <= ALSO.get(code, set()), found
    assert all(f.machine == "sound" for f in hits)
    assert all(f.sentence and f.fix and f.rule.code == f.code for f in found)


def test_every_rule_has_a_machine_that_breaks_it() -> None:
    elsewhere = {"L41", "L42", "L43", "L44", "L50", "L51"}
    assert {code for code, _, _ in BROKEN} | elsewhere == set(RULES)


def test_a_machine_that_never_hears_of_failed_drives_is_told_once() -> None:
    """R530: with words of its actions it is meant for the engine, so the missing event is worth a note. A
    machine without words, and actions that only read, are left alone."""
    spec = attrs.evolve(SOUND, actions=(Action("ask", "ask the mint"),))
    (told,) = [f for f in missed(spec) if f.code == "L36"]
    assert (told.severity, told.where) == ("note", "asking")
    assert "declares no event drive_failed" in told.sentence
    reading = attrs.evolve(SOUND, actions=(Action("ask", "ask the store", reads_only=True),))
    assert not [f for spec in (SOUND, reading) for f in missed(spec) if f.code == "L36"]


def test_every_driven_state_of_ours_has_a_way_out_when_its_drives_fail() -> None:
    """R530: no live state of a released machine is driven for ever by an action that raises."""
    assert [f for f in lint(RELEASED) if f.code == "L36"] == []


def test_what_is_unknown_is_judged_only_with_a_vocabulary() -> None:
    odd = state("asking", plus(edges("9", "begin", "parked", "done", effects=("sing",))), action="sing")
    assert {f.code for f in lint((odd,))} <= {"L24"}
    assert {f.code for f in lint((odd,), **WORDS)} >= {"L03", "L04", "L42"}
    assert {f.code for f in lint((odd,), effects=())} >= {"L03"}


def test_r430_a_machine_is_held_to_the_words_it_declares() -> None:
    """R430: unknown, unused and doubled words of a machine are found without any vocabulary."""
    words: dict[str, Any] = {
        "actions": (Action("ask", "asks", reads_only=True),),
        "effects": (Effect("take", "taken"), Effect("give", "given")),
    }
    assert {f.code for f in lint((attrs.evolve(SOUND, **words),))} == {"L24"}
    odd = attrs.evolve(
        SOUND,
        actions=(Action("dance", "dances"),),
        effects=(Effect("take", "taken"), Effect("take", "again"), Effect("sing", "sung")),
    )
    found = [(f.code, f.where) for f in lint((odd,)) if f.code not in ("L24", "L36")]
    assert sorted(found) == [
        ("L03", "2.yes.asking"), ("L04", "asking"), ("L06", "take"), ("L41", "sing"), ("L42", "dance"),
    ]  # fmt: skip


def test_r430_a_word_outside_of_its_choice_is_refused_at_once() -> None:
    """R430: an unknown way to end, to wait, or level names the state or effect, the field and the choice."""
    odd: Any = "well"
    for made, told in (
        (
            lambda: State("over", "ended", kind="final", ends=odd),
            "State 'over': ends is one of '', good, unpaid, lost",
        ),
        (
            lambda: State("open", "waits", waits_for=odd),
            "State 'open': waits_for is one of '', caller, confirmation",
        ),
        (
            lambda: Effect("take", "taken", level=odd),
            "Effect 'take': level is one of STANDARD, HIGH, CRITICAL",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(f"{told}, not 'well'")):
            made()


def test_r430_a_machine_without_words_and_facets_works() -> None:
    """R430: without words an effect moves money, an action may write and ask; an end frees nothing."""
    bare = state("done", ends="")
    action = bare.action_in("asking")
    assert action == Action("ask", "") and not action.reads_only and not action.asks_no_mint
    assert bare.action_in("done") is None
    assert bare.effect("take") == Effect("take", "", level="HIGH")
    assert (bare.level(()), bare.level(("take", "give"))) == ("STANDARD", "HIGH")
    assert bare.ended("unpaid") == frozenset() and bare.ended("") == {"done"}


def test_r431_what_is_offered_are_the_events_of_an_origin_with_an_edge_here() -> None:
    """R431: in the order of the declaration; what is only absorbed or refused is not offered."""
    assert SOUND.offered("asking", "caller") == ()
    assert SOUND.offered("parked", "caller", "operator") == ("mend",)
    assert SOUND.offered(NONE, "caller", "operator") == ("begin",)


def test_what_no_machine_uses() -> None:
    more: dict[str, Any] = {
        "effects": (*EFFECT_NAMES, "sing"),
        "actions": (*ACTION_NAMES, "dance"),
        "codes": (*CODE_NAMES, "NO"),
    }
    found = [(f.code, f.machine, f.where) for f in lint((SOUND,), **more) if f.code != "L24"]
    assert found == [("L41", "", "sing"), ("L42", "", "dance"), ("L43", "", "NO")]
    singing = attrs.evolve(plus(edges("9", "begin", "parked", "done", effects=("sing",))), name="other")
    assert "L41" not in {f.code for f in lint((SOUND, singing), **more)}, "one machine that uses it is enough"


def test_guards_of_a_module_that_nobody_asks() -> None:
    module: Any = ModuleType("shop.guards")
    module.a, module.b, module.c, module.number = A, guard("b"), C, 3
    assert [f.where for f in unused_guards(module, (SOUND,))] == ["shop.guards.b", "shop.guards.c"]


def test_a_default_that_stands_last_is_only_noted() -> None:
    spec = plus(edges("9", "begin", NONE, "parked"))
    (found,) = [f for f in missed(spec) if f.code == "L21"]
    assert (found.severity, found.where) == ("note", "9.begin.none")
    assert "when a" in found.sentence


def test_the_golden_record() -> None:
    record = {"name": "sound", "version": 1, "content_hash": SOUND.content_hash}
    assert {f.code for f in lint((SOUND,), golden=[record])} == {"L24"}
    assert next(f.code for f in lint((less("4.no.asking"),), golden=[record])) == "L50"
    (found,) = [f for f in lint((attrs.evolve(SOUND, version=2),), golden=[record]) if f.code != "L24"]
    assert (found.code, found.severity) == ("L51", "warning")
    with pytest.raises(ValueError, match="content_hash"):
        lint((SOUND,), golden=[{"name": "sound"}])


def test_two_machines_of_one_version() -> None:
    assert next(f.code for f in lint((SOUND, SOUND))) == "L06"


def test_severity_goes_with_who_is_told() -> None:
    """A hole for an event from outside is an error; a person can ask again."""
    twins = (
        edges("8", "yes", "parked", "done", requires=(A, B)),
        edges("9", "yes", "parked", "asking", forbids=(A, B)),
    )
    (hole,) = [
        f for f in lint((state("parked", plus(*twins), absorbs=("restart", "no")),)) if f.code == "L23"
    ]
    assert hole.severity == "error"
    assert [f for f in lint((plus(*twins),)) if f.code == "L23"] == [], "what is absorbed is no hole"


def test_findings_come_in_a_fixed_order_whatever_is_asked_first() -> None:
    both = lint((MELT, MINT))
    assert both == (*lint((MELT,)), *lint((MINT,)))
    assert both == lint(iter((MELT, MINT)))


def test_our_machines_have_no_errors_and_no_warnings() -> None:
    found = lint(RELEASED, effects=EFFECTS, actions=ACTIONS, codes=CODES)
    assert [f for f in found if f.severity != "note"] == []
    for module in (
        change_guards,
        check_guards,
        deposit_guards,
        fence_guards,
        melt_guards,
        mint_guards,
        refusal_guards,
        token_guards,
    ):
        assert unused_guards(module, RELEASED) == ()


def test_the_page_holds_the_rules() -> None:
    assert rules_table() in PAGE.read_text(encoding="utf-8")
