"""A machine as a Promela model, for the model checker SPIN.

One process is the machine. Every round it meets some event, and every guard of the cell answers something:
SPIN tries all of them. An edge that is taken writes its number (its place in the table, from 1) to
``edge``. The top of the text lists the properties that can be verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...machines.spec import Machine, State, Transition
from .names import event_identifiers, guard_identifiers, identifiers, state_identifiers, visible
from .rules import NotExportable, Rule, initial_of, rules_of

NAMES_MAX = 255
"""So many names an ``mtype`` of SPIN can hold."""

_HOW = """\
every event in every state; a final state that is left is an assertion violated:
    spin -search -noclaim FILE
only what moves; a state that is not final and that nothing leaves is an invalid end state:
    spin -DMOVES -search -noclaim FILE
whether a state is ever reached: it is if this finds an error, whose trail is the way there:
    spin -DREACH -search -ltl never_STATE FILE
a walk at random: spin -u200 FILE"""


def export(machine: Machine[Any]) -> str:
    """The Promela text. NotExportable above ``NAMES_MAX`` states or events."""
    ids = _Ids(machine)
    for what, names in (("states", ids.states), ("events", ids.events)):
        if len(names) > NAMES_MAX:
            raise NotExportable(f"{machine.name!r} has {len(names)} {what}; Promela knows {NAMES_MAX} names")
    if not machine.events:
        raise NotExportable(f"{machine.name!r} has no events; a model without any would do nothing")
    first, nothing = ids.states[initial_of(machine).name], next(iter(ids.events.values()))
    lines = [
        _comment(f"{machine.name}@{machine.version} {machine.content_hash}"),
        *(_comment(line) for line in _HOW.splitlines()),
        "",
        *_declared("state", ids.states, [f"{s.kind}: {s.meaning}" for s in machine.states]),
        *_declared("event", ids.events, [f"{e.origin}: {e.meaning}" for e in machine.events]),
        "mtype:outcome = { accepted, absorbed, refused, undefined }",
        "",
        f"mtype:state state = {first};",
        f"mtype:state was = {first};",
        f"mtype:event event = {nothing};",
        "mtype:outcome outcome = undefined;",
        "short edge = 0;",
        *(
            f"bool {ids.guards[name]}; {_comment(f'{guard.code}: {guard.sentence}')}"
            for name, guard in machine.guards.items()
        ),
        "",
        "inline any(guard) { if :: guard = false :: guard = true fi }",
        "inline take(number, dest) { outcome = accepted; edge = number; state = dest }",
        "inline stay(what) { outcome = what; edge = 0 }",
        "inline told() {",
        '  printf("case "); printm(was); printf(" "); printm(event);',
        '  printf(" -> "); printm(outcome); printf(" "); printm(state); printf(" %d\\n", edge);',
        f"  assert(!({_final(machine, ids)}) || state == was);",
        f"  was = {first}; event = {nothing}",
        "}",
        "",
    ]
    for state in machine.states:
        lines += _cells(machine, ids, state)
    lines += _others(machine, ids)
    lines += _proctype(machine, ids)
    lines += _claims(machine, ids)
    return "\n".join(lines) + "\n"


class _Ids:
    """The identifiers of one machine; their prefixes keep them apart from words of the language."""

    def __init__(self, machine: Machine[Any]) -> None:
        self.plain = state_identifiers(machine)
        self.states = {name: f"s_{short}" for name, short in self.plain.items()}
        self.events = {name: f"e_{short}" for name, short in event_identifiers(machine).items()}
        self.guards = {name: f"g_{short}" for name, short in guard_identifiers(machine).items()}
        self.numbers = {edge.id: number for number, edge in enumerate(machine.transitions, 1)}
        self.process = identifiers([machine.name])[machine.name]


def _cells(machine: Machine[Any], ids: _Ids, state: State) -> list[str]:
    """The cells with edges of a state, as an inline that meets one of them."""
    cells = [(event, edges) for (source, event), edges in machine.cells.items() if source == state.name]
    if not cells:
        return []
    rest = {rule.event: rule for rule in reversed(rules_of(machine, state)) if rule.edge is None}
    lines = [f"inline moves_{ids.plain[state.name]}() {{", "  if"]
    for event, edges in cells:
        lines += _cell(ids, event, edges, rest.get(event))
    return [*lines, "  fi", "}", ""]


def _cell(ids: _Ids, event: str, edges: tuple[Transition[Any], ...], rest: Rule | None) -> list[str]:
    asked = [
        ids.guards[name]
        for name in dict.fromkeys(g.name for edge in edges for g in (*edge.requires, *edge.forbids))
    ]
    lines = [f"  :: event = {ids.events[event]};"]
    lines += [f"     any({name});" for name in asked]
    if len(edges) == 1 and not asked:
        (edge,) = edges
        return [*lines, f"     {_take(ids, edge)}"]
    lines.append("     d_step {")
    depth = 0
    for edge in edges:
        indent = "     " + "   " * depth
        depth += 1
        lines += [
            f"{indent}if",
            f"{indent}:: {_condition(ids, edge)} -> {_take(ids, edge)}",
            f"{indent}:: else ->",
        ]
    indent = "     " + "   " * depth
    lines.append(f"{indent}stay({rest.outcome if rest else 'refused'})" + _why(rest))
    lines += ["     " + "   " * level + "fi" for level in range(depth - 1, 0, -1)]
    told = "".join(f"{name}=%d " for name in asked)
    lines += ["     fi;", f'     printf("{told}", {", ".join(asked)})'] if asked else ["     fi"]
    return [*lines, *(f"     ; {name} = false" for name in asked), "     }"]


def _take(ids: _Ids, edge: Transition[Any]) -> str:
    told = _comment(" / ".join((edge.id, *edge.effects)))
    return f"take({ids.numbers[edge.id]}, {ids.states[edge.dest]}) {told}"


def _condition(ids: _Ids, edge: Transition[Any]) -> str:
    parts = [ids.guards[g.name] for g in edge.requires] + [f"!{ids.guards[g.name]}" for g in edge.forbids]
    return " && ".join(parts) or "true"


def _others(machine: Machine[Any], ids: _Ids) -> list[str]:
    """The answers of every state to events without an edge there: an inline that meets one of them, and
    begins the round anew if it has met another."""
    lines = ["inline rests() {", "  if"]
    lines += [f"  :: event = {name}" for name in ids.events.values()]
    lines += ["  fi;", "  if"]
    for state in machine.states:
        moved = {event for source, event in machine.cells if source == state.name}
        answers: dict[str, list[str]] = {"goto next": [e.name for e in machine.events if e.name in moved]}
        for rule in rules_of(machine, state):
            if rule.event not in moved:
                answers.setdefault(f"stay({rule.outcome})", []).append(rule.event)
        for what, events in answers.items():
            if events:
                met = " || ".join(f"event == {ids.events[name]}" for name in events)
                lines.append(f"  :: {_at(ids, state)} && ({met}) -> {what}")
    return [*lines, "  :: else -> stay(undefined)", "  fi", "}", ""]


def _at(ids: _Ids, state: State) -> str:
    return f"state == {ids.states[state.name]}"


def _why(rule: Rule | None) -> str:
    return "" if rule is None or rule.refusal is None else " " + _comment(rule.refusal.code)


def _proctype(machine: Machine[Any], ids: _Ids) -> list[str]:
    """A round meets an event of which the state has an edge, or another one, or is the last."""
    moving = [state for state in machine.states if any(source == state.name for source, _ in machine.cells)]
    lines = [f"active proctype machine_{ids.process}() {{", "next:", "  do"]
    lines += [f"  :: {_at(ids, state)} -> break" for state in machine.states if state.kind == "final"]
    if moving:
        lines += [
            f"  :: atomic {{ ({' || '.join(_at(ids, state) for state in moving)}) -> was = state;",
            "     if",
        ]
        lines += [f"     :: {_at(ids, state)} -> moves_{ids.plain[state.name]}()" for state in moving]
        lines += ["     fi;", "     told() }"]
    lines += [
        "#ifndef MOVES",
        "  :: atomic { was = state; rests(); told() }",
        "#else",
        "  :: false",
        "#endif",
    ]
    return [*lines, "  od", "}", ""]


def _claims(machine: Machine[Any], ids: _Ids) -> list[str]:
    claims = [
        f"ltl never_{name} {{ [] (state != {ids.states[state]}) }}" for state, name in ids.plain.items()
    ]
    return ["#ifdef REACH", *claims, "#endif"]


def _final(machine: Machine[Any], ids: _Ids) -> str:
    finals = [f"was == {ids.states[state.name]}" for state in machine.states if state.kind == "final"]
    return " || ".join(finals) or "false"


def _declared(kind: str, names: dict[str, str], told: Iterable[str]) -> list[str]:
    lines = list(names.values())
    comments = [
        _comment(text if name.endswith(f"_{original}") else f"{original!r}, {text}")
        for (original, name), text in zip(names.items(), told, strict=True)
    ]
    body = [
        f"  {name}{',' if place < len(lines) - 1 else ''} {comment}"
        for place, (name, comment) in enumerate(zip(lines, comments, strict=True))
    ]
    return [f"mtype:{kind} = {{", *body, "}"]


def _comment(text: str) -> str:
    """A comment that nothing in the text can end: SPIN runs the C preprocessor, which joins lines and
    knows trigraphs, quotes and directives."""
    kept = visible(text).replace("*/", "* /").replace("/*", "/ *").replace("\\", "⧵")
    return f"/* {kept} */"
