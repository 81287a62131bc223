"""Whether a kind has code for every word of its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...machines.spec import Machine
from ...storage.catalogue import ERRORS
from ..errors import KindInvalid

if TYPE_CHECKING:
    from .kinds import Kind


def check_code(kind: Kind[Any], machine: Machine[Any]) -> None:
    """Every action and effect of the machine has code, and every refusal a grade. Code KIND_INVALID."""
    named = f"{machine.name}@{machine.version}"
    for state in machine.states:
        if state.action is not None and state.action not in kind.actions:
            raise KindInvalid(
                f"state {state.name!r} of {named} names the action {state.action!r}, for which the kind "
                "has no code: add it to actions"
            )
        word = machine.action_in(state.name)
        if word is not None and word.reads_back and word.name not in kind.foresees:
            raise KindInvalid(
                f"the action {word.name!r} of {named} reads back, and the kind does not foresee its event: "
                "add it to foresees"
            )
    for edge in machine.transitions:
        for effect in edge.effects:
            if effect not in kind.effects:
                raise KindInvalid(
                    f"transition {edge.id!r} of {named} names the effect {effect!r}, for which the kind "
                    "has no code: add it to effects"
                )

    graded = ERRORS.keys() | kind.codes.keys()
    refusals = [(f"guard {guard.name!r}", guard.code) for guard in machine.guards.values()]
    for state in machine.states:
        refusals += [(f"state {state.name!r}", refuse.code) for refuse in state.refuses]
    for place, code in refusals:
        if code not in graded:
            raise KindInvalid(
                f"{place} of {named} refuses with {code!r}, which has no grade: add it to codes, such as "
                f'codes={{"{code}": ("LOW", "what it means")}}'
            )
