"""The check machine: the result of a look at stored documents or proofs, in one step."""

from __future__ import annotations

from .. import common_guards as common
from ..spec import NONE, Event, Machine, State, edges
from . import guards as g
from .facts import CheckFacts
from .words import EFFECTS

DISCREPANT, RESOLVED = "discrepant", "resolved"
"""A contradiction that waits for a person, of this machine and of others; and one that a person settled."""

CHECK: Machine[CheckFacts] = Machine(
    name="check",
    version=1,
    facts=CheckFacts,
    good_path=(NONE, "clean"),
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("clean", "everything agreed", kind="final", group="final", absorbs=("recover",), ends="good"),
        State("corrected", "proofs that the mint calls SPENT are marked spent", kind="final", group="final",
              absorbs=("recover",), ends="good"),
        State(DISCREPANT, "documents contradict one another; a person must look", kind="parked", group="parked",
              absorbs=("recover",)),
        State(RESOLVED, "an operator settled the contradiction", kind="final", group="final",
              absorbs=("recover", "resolve"), ends="good"),
        State("retried", "an operator made stranded coins spendable again", kind="final", group="final",
              absorbs=("recover",), ends="good"),
        State("collected", "a payment that was given up ended after all; its returned value is ours", kind="final",
              group="final", absorbs=("recover",), ends="good"),
        State("written_off", "an operator gave stranded coins up as lost", kind="final", group="final",
              absorbs=("recover",), ends="lost"),
    ),
    events=(
        Event("found_clean", "every document agrees", "engine"),
        Event("found_spent", "the mint calls unspent proofs SPENT", "mint"),
        Event("found_wrong", "documents contradict one another", "engine"),
        Event("resolve", "an operator settled the contradiction", "operator"),
        Event("retry", "an operator wants stranded coins tried again", "operator"),
        Event("write_off", "an operator gives stranded coins up", "operator"),
        Event("found_paid", "a payment that was given up is PAID, or a fence of it is signed", "mint"),
        Event("recover", "a restart found the operation", "restart"),
    ),
    transitions=(
        *edges("1", "found_clean", NONE, "clean", requires=(common.documents_agree,), reason="the look itself is on record"),
        *edges("2", "found_spent", NONE, "corrected", requires=(g.spent_said_twice,),
               effects=("correct_spent", "record_reason", "alarm"), reason="the mint is right about spent proofs"),
        *edges("3", "found_wrong", NONE, "discrepant", forbids=(common.documents_agree,),
               effects=("record_reason", "alarm"), reason="a person must look"),
        *edges("4", "resolve", "discrepant", "resolved", requires=(common.operator_gave_reason,),
               effects=("record_reason",), reason="an operator settled it"),
        *edges("5", "retry", NONE, "retried", requires=(common.operator_gave_reason, g.something_stranded),
               effects=("free_stranded", "record_reason", "alarm"), reason="the mint may take them now"),
        *edges("6", "write_off", NONE, "written_off", requires=(common.operator_gave_reason, g.something_stranded),
               effects=("drop_stranded", "record_reason", "record_loss", "alarm"), reason="an operator calls them lost"),
        *edges("7", "found_paid", NONE, "collected", requires=(common.operator_gave_reason, g.paid_after_all),
               effects=("correct_spent", "store_late_change", "record_reason", "alarm"),
               reason="its cost is spent, its returned value is ours"),
    ),
)  # fmt: skip
