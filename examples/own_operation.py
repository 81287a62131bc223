"""A kind of operation of one's own: a payment that a second person must approve.

    python examples/own_operation.py                       # SQLite, in a temporary folder
    python examples/own_operation.py mongodb://localhost/shop?replicaSet=rs0
    python examples/own_operation.py sqlite:///shop.db ask    # then: nutstate tell … --from own_operation

A clerk asks for a payment. Another person approves or declines it. After the approval a child melt pays the
invoice, and the approval ends as the melt ends. The engine's promises hold here too: each step is one commit
with its audit record, and a process that is killed at any moment is recovered.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import attrs
from attrs import field, frozen

from nutstate import Engine, Secret, SimulatedMint, open_store
from nutstate.kinds import (
    ALARM,
    BUILT_IN,
    RECORD_REASON,
    EffectContext,
    Evidence,
    Happened,
    Kind,
    Look,
    Pause,
    Result,
    Run,
    alarm,
    drives_fail,
    operator_gave_reason,
    record_reason,
)
from nutstate.machines.spec import NONE, Action, Effect, Event, Guard, Machine, Refuse, State, edges

# -- the rules: data and pure questions ------------------------------------------------------------------


@frozen(kw_only=True)
class ApprovalFacts:
    """Facts that the guards may ask. The defaults permit nothing."""

    asked_by: str = ""
    approved_by: str = ""
    operator_reason: str = ""
    failures: int = 0  # drives that ended in an exception
    failures_max: int = 0


second_person = Guard[ApprovalFacts](
    "second_person",
    "another person than the one who asked approves",
    "APPROVER_IS_ASKER",
    lambda facts: facts.approved_by != "" and facts.approved_by != facts.asked_by,
    says_no="the person who asked for a payment cannot approve it",
)

_PAYING = Refuse("decline", "ALREADY_APPROVED", "the payment is approved; only its melt can end it now")

APPROVAL: Machine[ApprovalFacts] = Machine(
    name="approval",
    version=1,
    facts=ApprovalFacts,
    good_path=(NONE, "waiting", "paying", "done"),
    actions=(Action("pay_invoice", "start the child melt, or look how it stands"),),
    effects=(Effect("note_approver", "keep who approved it", level="STANDARD"), RECORD_REASON, ALARM),
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("waiting", "waits for a second person", waits_for="caller", absorbs=("recover",)),
        State("paying", "approved; a child melt pays the invoice", action="pay_invoice", write_ahead=True,
              absorbs=("recover", "approve"), refuses=(_PAYING,)),
        State("attention", "a person must look", kind="parked", action="pay_invoice",
              absorbs=("recover", "melt_parked", "drive_failed", "approve"), refuses=(_PAYING,)),
        State("done", "paid", kind="final", ends="good", absorbs=("recover", "approve")),
        State("declined", "the second person said no", kind="final", ends="unpaid",
              absorbs=("recover", "decline")),
        State("failed", "the melt ended and paid nothing", kind="final", ends="unpaid", absorbs=("recover",)),
    ),
    events=(
        Event("ask", "a clerk asks for a payment", "caller"),
        Event("approve", "a second person approves it", "caller"),
        Event("decline", "a second person declines it", "caller"),
        Event("melt_paid", "the child melt paid the invoice", "engine"),
        Event("melt_unpaid", "the child melt ended and paid nothing", "engine"),
        Event("melt_parked", "the child melt waits for a person", "engine"),
        Event("drive_failed", "driving it failed too often", "engine"),
        Event("give_up", "an operator ends it; the child melt goes its own way", "operator"),
        Event("recover", "a restart found the operation", "restart"),
    ),
    transitions=(
        *edges("1", "ask", NONE, "waiting", reason="the wish exists before anything else"),
        *edges("2", "approve", "waiting", "paying", requires=(second_person,), effects="note_approver",
               reason="the approval is stored before any money moves"),
        *edges("3", "decline", "waiting", "declined", reason="nothing was paid"),
        *edges("4", "melt_paid", ("paying", "attention"), "done", reason="the invoice is paid"),
        *edges("5", "melt_unpaid", ("paying", "attention"), "failed", effects="record_reason",
               reason="a new attempt is a new approval"),
        *edges("6", "melt_parked", "paying", "attention", effects=("record_reason", "alarm"),
               reason="a person must look at the melt"),
        *edges("6", "drive_failed", "paying", "attention", requires=(drives_fail,),
               effects=("record_reason", "alarm"), reason="a person must look; the action is tried again"),
        *edges("7", "give_up", "attention", "failed", requires=(operator_gave_reason,),
               effects="record_reason", reason="the person decided"),
    ),
)  # fmt: skip


# -- the code: facts, actions, effects -------------------------------------------------------------------


@frozen
class ApprovalData:
    """Stored with each approval. ``invoice`` is a Secret: it never appears in logs, errors and the audit."""

    asked_by: str = ""
    invoice: Secret = field(factory=lambda: Secret(""), repr=False)
    approved_by: str = ""


def approval_facts(look: Look) -> ApprovalFacts:
    """The facts as they are now. ``look.own`` is the evidence that the caller handed in with the event."""
    return ApprovalFacts(
        asked_by=look.data.asked_by,
        approved_by=look.own if isinstance(look.own, str) else look.data.approved_by,
        operator_reason=look.evidence.operator_reason,
        failures=look.operation.failures,
        failures_max=look.settings.drive_failures_max,
    )


def pay_invoice(run: Run) -> Result:
    """Start the child melt, or look how it stands. The same call always means the same child."""
    assert run.children is not None
    child = run.children.melt(run.operation, invoice=run.data.invoice)
    if child.outcome == "open":
        return Pause(run.back_off())
    event = {"paid": "melt_paid", "unpaid": "melt_unpaid", "parked": "melt_parked"}[child.outcome]
    return Happened(event, Evidence(reason=child.reason))


def note_approver(context: EffectContext) -> None:
    """Keep who approved it."""
    context.keep(attrs.evolve(context.data, approved_by=context.own))


APPROVAL_KIND = Kind(
    machines=(APPROVAL,),
    facts=approval_facts,
    data=ApprovalData,
    actions={"pay_invoice": pay_invoice},
    effects={
        "note_approver": note_approver,
        "record_reason": record_reason,
        "alarm": alarm,
    },
    codes={
        "APPROVER_IS_ASKER": ("LOW", "the person who asked for a payment cannot approve it"),
        "ALREADY_APPROVED": ("LOW", "the payment is approved already"),
    },
)
KINDS = BUILT_IN | APPROVAL_KIND


def main(url: str | None = None, step: str = "all") -> None:
    """Fund a wallet at a simulated mint, ask for a payment, approve it (unless ``step`` is "ask"), and print
    its way."""
    npub = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"
    with tempfile.TemporaryDirectory() as folder:
        place = url or f"sqlite:///{Path(folder) / 'shop.db'}"
        file = place.removeprefix("sqlite:///")
        beside = None if file == place else Path(file).with_suffix(".mint.db")  # as `nutstate` looks for it
        with (
            SimulatedMint(path=beside) as mint,
            open_store(place, kinds=KINDS) as store,
            Engine(store, mint=mint, kinds=KINDS) as engine,
        ):
            engine.mint_tokens(npub=npub, mint_url=mint.url, amount=200)
            data = ApprovalData("ann", mint.lightning.invoice(100))
            asked = engine.start("approval", npub=npub, mint_url=mint.url, amount=100, data=data,
                                 transaction_id="tx_approval_17")  # fmt: skip
            print(f"{asked.id}: {asked.state}")
            if step == "ask":
                return
            paid = engine.tell(asked.id, "approve", "bob")
            for record in paid.audit():
                who = record.actor.partition(":")[0]
                print(f"  {record.from_state} -> {record.to_state}  ({record.event}, by {who})")
            print(f"{paid.id}: {paid.state}, outcome {paid.outcome}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
