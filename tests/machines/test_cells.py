"""Every state x event cell, for every valuation of its guards, against an independent reading of the
declaration; and the tables against the rows they were specified by."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.machines import CHECK, DEPOSIT, MELT, MINT, RECORD, SWAP, TOKEN, step
from nutstate.machines.refusals import CODES
from nutstate.machines.registry import RELEASED, UnknownMachine, latest, names, released
from nutstate.machines.spec import Machine
from nutstate.machines.words import ACTIONS, EFFECTS
from nutstate.review.kit import cells, contradictions, endless, matrix, unreached

MACHINES = [TOKEN, MELT, RECORD, MINT, SWAP, DEPOSIT, CHECK]


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_every_cell_under_every_valuation(spec: Machine[Any]) -> None:
    assert not [sentence for cell in matrix(spec) for sentence in contradictions(spec, cell)]
    assert len(matrix(spec)) == len(spec.states) * len(spec.events)
    assert len(list(cells(spec))) == sum(2 ** len(cell.guards) for cell in matrix(spec))


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_no_two_edges_of_a_cell_agree(spec: Machine[Any]) -> None:
    """No machine leans on the order of its rows."""
    for edges in spec.cells.values():
        asked = sorted({g.name for t in edges for g in (*t.requires, *t.forbids)})
        for answers in itertools.product((False, True), repeat=len(asked)):
            facts = dict(zip(asked, answers, strict=True))
            agreeing = [
                t.id
                for t in edges
                if all(facts[g.name] for g in t.requires) and not any(facts[g.name] for g in t.forbids)
            ]
            assert len(agreeing) <= 1, (agreeing, facts)


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_empty_facts_permit_nothing_that_moves_money(spec: Machine[Any]) -> None:
    """The default of every fact is the answer that permits nothing."""
    harmless = {
        "record_reason",
        "alarm",
        "expect_token",
        "fail_token",
        "release_inputs",
        "drop_claim",
        "stamp_watch",
        "stamp_paid",
        "count_refusal",
        "forget_unspent",
    }
    for state, event in itertools.product((s.name for s in spec.states), (e.name for e in spec.events)):
        decision = step(spec, state, event, spec.facts())
        assert not decision.accepted or set(decision.effects) <= harmless | {"correct_spent"}


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_the_declaration_is_sound(spec: Machine[Any]) -> None:
    states = {s.name for s in spec.states}
    events = {e.name for e in spec.events}
    finals = {s.name for s in spec.states if s.kind == "final"}
    ids = [t.id for t in spec.transitions]
    assert len(ids) == len(set(ids))
    for t in spec.transitions:
        assert {t.source, t.dest} <= states and t.event in events and t.reason
        assert set(t.effects) <= set(EFFECTS)
        assert t.source not in finals, "nothing leaves a final state"
        assert {g.code for g in (*t.requires, *t.forbids)} <= set(CODES)
    for s in spec.states:
        assert s.meaning and (s.action is None or s.action in ACTIONS)
        assert set(s.absorbs) | {r.event for r in s.refuses} <= events
        assert {r.code for r in s.refuses} <= set(CODES)
    used = {t.event for t in spec.transitions} | {e for s in spec.states for e in s.absorbs}
    used |= {refusal.event for s in spec.states for refusal in s.refuses}
    assert events == used, "an event nobody waits for"
    for s in spec.states:
        if spec is not TOKEN and s.kind in ("live", "parked"):
            assert (s.name, "recover") in spec.cells or "recover" in s.absorbs, f"{s.name}: recover"


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_every_state_is_reached_and_leads_to_an_end(spec: Machine[Any]) -> None:
    assert unreached(spec) == () and endless(spec) == ()


def test_r430_a_word_means_the_same_in_every_machine() -> None:
    """R430: one name has one sentence and one level in all released machines."""
    for words in ([w for m in RELEASED for w in m.effects], [w for m in RELEASED for w in m.actions]):
        assert len({word.name for word in words}) == len(set(words))


def test_effects_and_actions_are_all_used_and_all_implemented() -> None:
    used = {e for m in RELEASED for t in m.transitions for e in t.effects}
    assert used == set(EFFECTS)
    assert {a for m in RELEASED for s in m.states for a in [s.action] if a} == set(ACTIONS)
    for kind in BUILT_IN:
        (machine,) = kind.machines
        assert {e for t in machine.transitions for e in t.effects} == set(kind.effects)
        assert {s.action for s in machine.states if s.action} == set(kind.actions)


OURS = ("mint_paid", "mint_pending", "mint_unpaid", "mint_refused", "reply_lost", "fence_done", "change_received",
        "request", "pay", "recover")  # fmt: skip


@pytest.mark.parametrize("state", ["held", "contested"])
def test_what_was_never_sent_has_no_answers(state: str) -> None:
    """The caller paid, or may be paying: no answer about a request of ours means anything here."""
    for event in OURS[:-1]:
        assert step(RECORD, state, event, RECORD.facts()).outcome == "undefined", event
    assert step(RECORD, state, "recover", RECORD.facts()).outcome == "absorbed"
    assert step(RECORD, state, "mint_unreachable", RECORD.facts()).outcome == "absorbed"


@pytest.mark.parametrize(
    ("state", "event", "code"),
    [("held", "cancel", "HOLD_NOT_OVER"), ("contested", "cancel", "ALREADY_SENT"),
     ("contested", "unhold", "NOT_HELD"), ("reconciled", "unhold", "ALREADY_FINAL")],
)  # fmt: skip
def test_no_word_ends_what_the_caller_may_have_paid(state: str, event: str, code: str) -> None:
    decision = step(RECORD, state, event, RECORD.facts())
    assert (decision.outcome, decision.refusals[0].code) == ("refused", code)
    assert step(RECORD, "cancelled", event, RECORD.facts()).outcome == "absorbed"


@pytest.mark.parametrize("row", ["8", "8b"])
def test_a_contradicted_proof_is_critical(row: str) -> None:
    assert all("alarm" in t.effects for t in MELT.transitions if t.id.split(".")[0] == row)


SENT = "paying pending unknown paid unpaid fencing watching settled attention discrepant"
QUOTE = ("mint_paid", "mint_pending", "mint_unpaid")


@pytest.mark.parametrize("state", SENT.split())
def test_after_sending_cancel_is_refused(state: str) -> None:
    decision = step(MELT, state, "cancel", MELT.facts())
    assert (decision.outcome, decision.refusals[0].code) == ("refused", "ALREADY_SENT")


def test_a_running_child_refuses_cancel() -> None:
    assert step(MELT, "splitting", "cancel", MELT.facts()).refusals[0].code == "CHILD_RUNNING"


@pytest.mark.parametrize("final", [s.name for s in MELT.states if s.kind == "final"])
@pytest.mark.parametrize("event", [*QUOTE, "mint_refused", "reply_lost", "mint_unreachable", "recover"])
def test_final_states_absorb_late_answers(final: str, event: str) -> None:
    assert step(MELT, final, event, MELT.facts(quote_state="PAID")).outcome == "absorbed"


@pytest.mark.parametrize("state", ["paid", "settled", "discrepant"])
@pytest.mark.parametrize("event", QUOTE)
def test_later_quote_answers_are_absorbed(state: str, event: str) -> None:
    assert step(MELT, state, event, MELT.facts(quote_state="PAID")).outcome == "absorbed"


@pytest.mark.parametrize("state", ["fencing", "attention"])
@pytest.mark.parametrize("event", ["mint_pending", "mint_unpaid"])
def test_fencing_and_attention_absorb_pending_and_unpaid(state: str, event: str) -> None:
    assert step(MELT, state, event, MELT.facts(quote_state="UNPAID")).outcome == "absorbed"


def test_every_external_answer_is_covered_in_every_state_after_sending() -> None:
    answers = (*QUOTE, "mint_refused", "reply_lost", "mint_unreachable")
    for state, event in itertools.product(SENT.split(), answers):
        for facts in (MELT.facts(), MELT.facts(quote_state="PAID"), MELT.facts(quote_state="UNPAID")):
            assert step(MELT, state, event, facts).outcome in ("accepted", "absorbed", "refused")
            if event != "mint_paid":
                assert step(MELT, state, event, facts).outcome != "refused", (state, event)


def test_the_registry_answers_exactly() -> None:
    assert names() == ("check", "deposit", "melt", "mint", "receive", "record", "swap", "token")
    assert latest("melt") is MELT
    assert released("melt", 1, MELT.content_hash) is MELT
    with pytest.raises(UnknownMachine):
        latest("burn")
    with pytest.raises(UnknownMachine):
        released("melt", 99, MELT.content_hash)
    with pytest.raises(UnknownMachine, match="without a new version"):
        released("melt", 1, "0" * 64)
