"""A throw-away kind of operation: all that it needs stands in this file and comes from public modules.

It pays nothing. It waits for `go`, runs, and is blocked when its data say so; an operator has every verb.
"""

from __future__ import annotations

from attrs import evolve, frozen

from nutstate.kinds import (
    ALARM,
    BUILT_IN,
    RECORD_REASON,
    EffectContext,
    Evidence,
    Happened,
    Kind,
    Look,
    Reason,
    Result,
    Run,
    alarm,
    drives_fail,
    record_reason,
)
from nutstate.machines.spec import NONE, Action, Effect, Event, Guard, Machine, State, edges


@frozen(kw_only=True)
class ErrandFacts:
    operator_reason: str = ""
    failures: int = 0
    failures_max: int = 0
    mint_was_asked: bool = False


gave_reason = Guard[ErrandFacts](
    "gave_reason",
    "the operator says why",
    "OPERATOR_REASON_MISSING",
    lambda facts: facts.operator_reason != "",
)
mint_was_asked = Guard[ErrandFacts](
    "mint_was_asked", "the mint was asked before", "ERRAND_NOT_LOOKED_AT", lambda facts: facts.mint_was_asked
)

ERRAND: Machine[ErrandFacts] = Machine(
    name="errand",
    version=1,
    facts=ErrandFacts,
    good_path=(NONE, "idle", "underway", "delivered"),
    actions=(Action("carry", "carry it, unless the way is blocked"),),
    effects=(
        RECORD_REASON,
        ALARM,
        Effect("clear_the_way", "the way is free from now on", level="STANDARD"),
    ),
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("idle", "waits for the word to go", waits_for="caller", absorbs=("recover",)),
        State("underway", "on its way", action="carry", write_ahead=True, absorbs=("recover",)),
        State("blocked", "the way is blocked", kind="parked", absorbs=("recover", "drive_failed")),
        State("delivered", "delivered", kind="final", ends="good", absorbs=("recover",)),
        State("called_off", "called off", kind="final", ends="unpaid", absorbs=("recover", "cancel")),
        State("gone", "given up", kind="final", ends="lost", absorbs=("recover",)),
    ),
    events=(
        Event("begin", "somebody wants something carried", "caller"),
        Event("go", "it may go", "caller"),
        Event("cancel", "it is not wanted any more", "caller"),
        Event("arrived", "it arrived", "engine"),
        Event("stopped", "the way is blocked", "engine"),
        Event("drive_failed", "driving it failed too often", "engine"),
        Event("resume", "an operator cleared the way", "operator"),
        Event("release", "an operator brings it back", "operator"),
        Event("write_off", "an operator gives it up", "operator"),
        Event("resolve", "an operator delivered it by hand", "operator"),
        Event("recover", "a restart found the operation", "restart"),
    ),
    transitions=(
        *edges("1", "begin", NONE, "idle", reason="it is stored before anything happens"),
        *edges("2", "go", "idle", "underway", reason="the caller said so"),
        *edges("3", "cancel", "idle", "called_off", effects="record_reason", reason="nothing was carried"),
        *edges("4", "arrived", "underway", "delivered", reason="that is what it is for"),
        *edges("5", "stopped", "underway", "blocked", effects=("record_reason", "alarm"),
               reason="a person must look"),
        *edges("5", "drive_failed", "underway", "blocked", requires=(drives_fail,),
               effects=("record_reason", "alarm"), reason="a person must look"),
        *edges("6", "resume", "blocked", "underway", requires=(gave_reason,),
               effects=("record_reason", "clear_the_way"), reason="it is tried again"),
        *edges("7", "release", "blocked", "called_off", requires=(gave_reason, mint_was_asked),
               effects="record_reason", reason="nothing was carried"),
        *edges("8", "write_off", "blocked", "gone", requires=(gave_reason,), effects="record_reason",
               reason="the person decided"),
        *edges("9", "resolve", "blocked", "delivered", requires=(gave_reason,), effects="record_reason",
               reason="the person says so"),
    ),
)  # fmt: skip


@frozen
class ErrandData:
    what: str = "parcel"
    blocked: bool = False


def errand_facts(look: Look) -> ErrandFacts:
    return ErrandFacts(
        operator_reason=look.evidence.operator_reason,
        failures=look.operation.failures,
        failures_max=look.settings.drive_failures_max,
        mint_was_asked=look.own == "asked",
    )


def carry(run: Run) -> Result:
    if run.data.blocked:
        return Happened("stopped", Evidence(reason=Reason("ERRAND_BLOCKED", "there is snow", False)))
    return Happened("arrived")


def clear_the_way(context: EffectContext) -> None:
    context.keep(evolve(context.data, blocked=False))


def ask_the_mint(run: Run, force: bool) -> Evidence:
    run.mint.keysets(run.operation.mint_url)
    return Evidence(own="asked")


ERRAND_KIND = Kind(
    machines=(ERRAND,),
    facts=errand_facts,
    data=ErrandData,
    actions={"carry": carry},
    effects={"record_reason": record_reason, "alarm": alarm, "clear_the_way": clear_the_way},
    operator_looks={"release": ask_the_mint},
    alarm=lambda op: "ERRAND_BLOCKED",
    codes={
        "ERRAND_BLOCKED": ("CRITICAL", "an errand cannot go on by itself"),
        "ERRAND_NOT_LOOKED_AT": ("LOW", "the mint was not asked before the errand is brought back"),
    },
)
KINDS = BUILT_IN | ERRAND_KIND
