"""The deposit machine: proofs enter the store in one step."""

from __future__ import annotations

from ..spec import NONE, Event, Machine, State, edges
from . import guards as g
from .facts import DepositFacts
from .words import EFFECTS

DEPOSIT: Machine[DepositFacts] = Machine(
    name="deposit",
    version=1,
    facts=DepositFacts,
    good_path=(NONE, "deposited"),
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("deposited", "the proofs are in the store", kind="final", group="final", absorbs=("recover",), ends="good"),
    ),
    events=(
        Event("deposit", "a caller hands proofs in", "caller"),
        Event("recover", "a restart found the operation", "restart"),
    ),
    transitions=(
        *edges("1", "deposit", NONE, "deposited", requires=(g.proofs_few_enough, g.amount_in_limits),
               effects=("store_deposit",), reason="value enters from outside, once"),
    ),
)  # fmt: skip
