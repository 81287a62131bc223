"""Small machines with known numbers, and some that are broken on purpose."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import frozen

from nutstate.machines.spec import NONE, Event, Guard, Machine, Refuse, State, edges


@frozen(kw_only=True)
class Facts:
    paid: Any = False
    old: Any = False


PAID = Guard[Facts]("paid", "it is paid", "NOT_PAID", lambda f: f.paid)
OLD = Guard[Facts]("old", "it is old", "NOT_OLD", lambda f: f.old)

ORDER: Machine[Facts] = Machine(
    name="order",
    version=1,
    facts=Facts,
    states=(
        State(NONE, "nothing yet", kind="pseudo"),
        State("open", "waits for money", action="send_reminder", absorbs=("tick",),
              refuses=(Refuse("ship", "TOO_EARLY", "it is not paid"),)),
        State("packed", "on its way", action="call_courier", write_ahead=True),
        State("held", "somebody must look", kind="parked"),
        State("done", "delivered", kind="final", absorbs=("tick",)),
    ),
    events=(
        Event("begin", "a customer orders", "caller"),
        Event("tick", "time passes", "clock"),
        Event("ship", "it leaves", "engine"),
        Event("look", "somebody looked", "operator"),
    ),
    transitions=(
        *edges("1", "begin", NONE, "open", effects=("print_slip",), reason="it begins"),
        *edges("2", "tick", "open", "packed", requires=(PAID,), reason="money came"),
        *edges("3", "tick", "open", "held", requires=(OLD,), forbids=(PAID,), reason="nobody paid"),
        *edges("4", "tick", "packed", None, forbids=(OLD,), reason="still driving"),
        *edges("5", "ship", "packed", "done", reason="it arrived"),
        *edges("6", "look", "held", "open", reason="once more"),
    ),
)  # fmt: skip


def tidy() -> Machine[Facts]:
    """The order as the lint wants it: time alone brings a stuck parcel to a person, who can end it."""
    return attrs.evolve(
        ORDER,
        name="tidy",
        transitions=(
            *ORDER.transitions[:-1],
            *edges("4b", "tick", "packed", "held", requires=(OLD,), reason="the courier did not come"),
            *edges("6", "look", "held", "open", forbids=(PAID,), reason="once more"),
            *edges("6b", "look", "held", "done", requires=(PAID,), reason="handed over in the shop"),
        ),
    )


def unreachable() -> Machine[Facts]:
    """``lost`` is entered from nowhere, and an edge stands behind one that always wins."""
    return attrs.evolve(
        ORDER,
        name="unreachable",
        states=(*ORDER.states, State("lost", "nobody knows", kind="final")),
        transitions=(
            *ORDER.transitions,
            *edges("7", "ship", "packed", "lost", requires=(OLD,)),
            *edges("8", "look", "lost", "lost"),
        ),
    )


def trapped() -> Machine[Facts]:
    """From ``held`` nothing leads anywhere."""
    return attrs.evolve(ORDER, name="trapped", transitions=ORDER.transitions[:-1])


def two_faced() -> Machine[Facts]:
    """Two guards share a name; the machine tells the code of the wrong one."""
    other = attrs.evolve(PAID, code="OTHER")
    both = (
        *edges("8", "look", "packed", "held", requires=(PAID,)),
        *edges("9", "ship", "held", None, requires=(other,)),
    )
    return attrs.evolve(ORDER, name="two_faced", transitions=(*ORDER.transitions, *both))


def twins() -> Machine[Facts]:
    """Two edges of one cell share an id; the machine writes the effects of the wrong one."""
    first = edges("2", "tick", "open", "packed", requires=(PAID,), effects=("a",))
    second = edges("2", "tick", "open", "packed", requires=(OLD,), forbids=(PAID,), effects=("b",))
    rest = [edge for edge in ORDER.transitions if edge.event != "tick" or edge.source != "open"]
    return attrs.evolve(ORDER, name="twins", transitions=(*rest, *first, *second))
