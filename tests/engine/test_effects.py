"""What each effect writes, to the value: the machines' tables say that something is written, the edge tests
that nothing else is, and here it says what. Each test walks to an edge that has the effect and compares with
values written by hand: 122 sat in two tokens, 106 of them chosen for a payment of 100, with 5 in reserve and
an input fee of 1."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Store
from nutstate.engine.loop.drive import Happened
from nutstate.engine.loop.evidence import Evidence, Selection
from nutstate.machines import MELT
from nutstate.machines.registry import latest
from nutstate.storage.port import AuditQuery
from nutstate.storage.records import InputRef, Operation, Token
from nutstate.storage.rules.audit_hash import token_hash
from nutstate.storage.secret import Secret
from tests.support.data import data_in

from .edge_scenes import AMOUNT, INPUT_FEE, RESERVE, WHY, quote, worth_of
from .edge_walks import Walk, start, walk_for

FIRST, SECOND = "tx_deposit_1_deposit", "tx_deposit_2_deposit"
MELT_ID, MINT_ID = "tx_melt_under_test", "tx_mint_under_test"
YEAR_MS = 366 * 24 * 3_600_000


def walk_before(store: Store, edge_id: str, machine: str = "melt") -> tuple[Walk, Any]:
    """A walk that stands just before the edge, and the edge."""
    spec = latest(machine)
    edge = next(t for t in spec.transitions if t.id == edge_id)
    path = walk_for(spec, edge)
    return start(store, spec, path).along(path[:-1]), edge


def walked(store: Store, edge_id: str, machine: str = "melt", **changed: Any) -> Operation:
    """The operation after the edge, whose evidence may be changed before it is taken."""
    walk, edge = walk_before(store, edge_id, machine)
    walk.take(edge, attrs.evolve(walk.evidence_for(edge), **changed))
    return walk.run.operation


def the(store: Store, token_id: str | None) -> Token:
    found = store.token(str(token_id))
    assert found is not None
    return found


def amounts(token: Token) -> list[int]:
    return sorted(proof.amount for proof in token.proofs)


# -- before anything is sent ---------------------------------------------------------------------------


def test_the_quote_is_kept_with_its_reserve_and_expiry(store: Store) -> None:
    """What may be spent on fees and until when it may be started."""
    walk, edge = walk_before(store, "1.quote_received.requested")
    evidence = walk.evidence_for(edge)
    walk.take(edge, evidence)
    op = walk.run.operation
    assert op.quote is not None and evidence.quote is not None
    assert (op.quote.id, op.quote.amount, op.quote.fee_reserve) == (f"quote-{MELT_ID}", AMOUNT, RESERVE)
    assert op.quote.expires_at == evidence.quote.expires_at and data_in(op).fee_reserve == RESERVE


def test_a_quote_without_an_expiry_gets_one(store: Store) -> None:
    """Without it a prepared payment would hold its inputs for ever."""
    walk, edge = walk_before(store, "1.quote_received.requested")
    named = attrs.evolve(quote(walk.run), expires_at=None)
    walk.take(edge, Evidence(quote=named))
    op = walk.run.operation
    assert op.quote is not None
    assert op.quote.expires_at == op.updated_at + walk.run.settings.quote_lifetime_s * 1000


@pytest.mark.parametrize("ahead", [None, 1])
def test_an_expiry_more_than_a_year_ahead_is_none(store: Store, ahead: int | None) -> None:
    """R265: it names no expiry, so the configured lifetime counts; a prepared payment would else hold its
    inputs for as long as the mint likes."""
    walk, edge = walk_before(store, "1.quote_received.requested")
    far = 2**52 if ahead is None else walk.run.now() + YEAR_MS + ahead
    walk.take(edge, Evidence(quote=attrs.evolve(quote(walk.run), expires_at=far)))
    op = walk.run.operation
    assert op.quote is not None
    assert op.quote.expires_at == op.updated_at + walk.run.settings.quote_lifetime_s * 1000


def test_an_expiry_just_a_year_ahead_is_believed(store: Store) -> None:
    walk, edge = walk_before(store, "1.quote_received.requested")
    far = walk.run.now() + YEAR_MS
    walk.take(edge, Evidence(quote=attrs.evolve(quote(walk.run), expires_at=far)))
    op = walk.run.operation
    assert op.quote is not None and op.quote.expires_at == far


def test_inputs_are_reserved_and_what_is_not_needed_is_kept_apart(store: Store) -> None:
    """Sources 122 = inputs 106 + keep 16; the claim, the blanks and the very bytes are durable."""
    walk, edge = walk_before(store, "5.inputs_chosen.quoted")
    evidence = walk.evidence_for(edge)
    walk.take(edge, evidence)
    op = walk.run.operation
    assert op.inputs == (InputRef(FIRST, 96, 2), InputRef(SECOND, 10, 2))
    assert (data_in(op).input_fee, data_in(op).sources_total, data_in(op).keep_total) == (INPUT_FEE, 122, 16)
    assert (op.claim, data_in(op).blanks, data_in(op).request_body) == (
        "ab" * 32,
        evidence.blanks,
        evidence.request_body,
    )
    for name, worth in ((FIRST, [32, 64]), (SECOND, [2, 8])):
        token = the(store, name)
        assert (token.state, token.reserved_by, amounts(token)) == ("reserved", MELT_ID, worth)
        assert (token.prev_state, token.total_amount) == ("unspent", sum(worth))
    keep = the(store, data_in(op).keep_token_id)
    assert (keep.state, amounts(keep), keep.transaction_type) == ("unspent", [16], "change")
    assert keep.metadata.parent_transaction_id == MELT_ID and data_in(op).keep_token_id == f"{MELT_ID}_keep"


@pytest.mark.parametrize("edge", ["3.cancel.prepared", "4.expire.prepared", "15.recover.prepared"])
def test_what_was_reserved_is_freed_when_nothing_was_sent(store: Store, edge: str) -> None:
    op = walked(store, edge)
    for name in (FIRST, SECOND):
        token = the(store, name)
        assert (token.state, token.reserved_by, token.spent_at) == ("unspent", None, None)
        assert token.prev_state == "reserved"
    assert op.claim is None and op.finished_at is not None and op.next_check_at is None and op.lease is None


def test_only_what_the_mint_calls_spent_is_corrected(store: Store) -> None:
    """64 of 106 are gone: they are split off and spent, everything else stays money."""
    op = walked(store, "8.preflight_blocked.quoted")
    spent = the(store, f"{MELT_ID}_split_1")
    assert (spent.state, amounts(spent), spent.spent_at) == ("spent", [64], op.updated_at)
    assert (the(store, FIRST).state, amounts(the(store, FIRST))) == ("unspent", [16, 32])
    assert spent.metadata == the(store, FIRST).metadata, "where it came from is known of both parts"
    assert spent.transaction_type == the(store, FIRST).transaction_type
    assert (the(store, SECOND).state, the(store, SECOND).version) == ("unspent", 1)
    assert op.reason == WHY


def test_a_correction_between_the_steps_frees_the_rest(store: Store) -> None:
    op = walked(store, "8b.preflight_blocked.prepared")
    spent = [the(store, f"{MELT_ID}_split_1")]
    assert [(t.state, amounts(t)) for t in spent] == [("spent", [64])]
    assert (the(store, FIRST).state, amounts(the(store, FIRST))) == ("unspent", [32])
    assert (the(store, SECOND).state, op.claim) == ("unspent", None)


def test_a_split_replaces_the_inputs_and_its_fee_leaves_the_sources(store: Store) -> None:
    """The child's swap cost 1: 122 - 1 = inputs 105 + keep 16."""
    walk, edge = walk_before(store, "6.split_done.splitting")
    evidence = walk.evidence_for(edge)
    proofs = worth_of(walk.run, "split", AMOUNT + RESERVE)
    walk.take(edge, attrs.evolve(evidence, proofs=proofs, selection=Selection((), 0)))
    op = walk.run.operation
    (part,) = op.inputs
    token = the(store, part.token_id)
    assert (part.amount, part.proof_count) == (105, len(proofs)) and data_in(op).input_fee == 0
    assert (token.state, token.reserved_by, token.total_amount) == ("reserved", MELT_ID, 105)
    assert data_in(op).sources_total == 121 == data_in(op).keep_total + part.amount
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["spent", "spent"]


# -- sent ----------------------------------------------------------------------------------------------


def test_a_send_is_stamped_and_a_retry_counts(store: Store) -> None:
    """The settle window counts from here, and the number of tries is bounded."""
    first = walked(store, "9.pay.prepared")
    assert (first.sent_at, first.attempts) == (first.updated_at, 1) and first.sent_by


def test_a_retry_is_stamped_anew(store: Store) -> None:
    walk, edge = walk_before(store, "18.retry.unpaid")
    before = walk.run.operation
    walk.take(edge, walk.evidence_for(edge))
    op = walk.run.operation
    assert before.sent_at is not None and op.sent_at == op.updated_at > before.sent_at
    assert (before.attempts, op.attempts) == (1, 2)


@pytest.mark.parametrize(("preimage", "matches"), [(None, None), ("00" * 32, False)], ids=["none", "another"])
def test_the_payment_is_kept_with_what_its_preimage_proves(
    store: Store, preimage: str | None, matches: bool | None
) -> None:
    walk, edge = walk_before(store, "10.mint_paid.paying")
    shown = None if preimage is None else Secret(preimage)
    walk.take(edge, Evidence(quote=quote(walk.run, "PAID", preimage=shown)))
    op = walk.run.operation
    assert data_in(op).payment is not None and (data_in(op).payment.paid_at, data_in(op).proven_by) == (
        op.updated_at,
        "mint",
    )
    assert (data_in(op).payment.preimage, data_in(op).payment.preimage_matches) == (shown, matches)
    for name in (FIRST, SECOND):
        token = the(store, name)
        assert (token.state, token.spent_at) == ("spent", op.updated_at)


def test_a_payment_is_stored_once(store: Store) -> None:
    """A later answer about a paid quote moves neither the time nor the preimage."""
    walk, edge = walk_before(store, "28a.resume.attention")
    before = data_in(walk.run.operation).payment
    walk.clock.advance(60)
    other = quote(walk.run, "PAID", preimage=Secret("11" * 32))
    walk.take(edge, attrs.evolve(walk.evidence_for(edge), quote=other))
    assert before is not None and data_in(walk.run.operation).payment == before


def test_what_went_wrong_on_the_way_is_no_reason_any_more_once_it_is_paid(store: Store) -> None:
    walk, edge = walk_before(store, "10.mint_paid.unknown")
    walk.run.draft.set(reason=WHY)
    walk.take(edge, walk.evidence_for(edge))
    assert walk.run.operation.reason is None


def test_change_is_money_with_a_parent_and_the_rest_was_the_fee(store: Store) -> None:
    """106 - 1 - 100 = 5 may come back; 2 came, so the payment cost 3."""
    op = walked(store, "24.change_received.paid")
    token = the(store, data_in(op).change_token_id)
    assert (token.state, token.total_amount, data_in(op).change_amount) == ("unspent", 2, 2)
    assert token.metadata.parent_transaction_id == MELT_ID
    assert data_in(op).payment is not None and data_in(op).payment.lightning_fee == 3


def test_the_windows_of_empty_change_and_watching_start_with_the_answer(store: Store) -> None:
    empty = walked(store, "25b.change_seen_empty.paid")
    assert data_in(empty).change_empty_since == empty.updated_at > empty.created_at - 1


def test_a_watch_is_stamped(store: Store) -> None:
    op = walked(store, "21.release.unpaid")
    assert data_in(op).watch_since == op.updated_at and op.claim == "ab" * 32, "it may still be paid"
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["unspent", "unspent"]


# -- fences --------------------------------------------------------------------------------------------


def test_a_later_fence_keeps_the_earlier_ones(store: Store) -> None:
    """Any generation may be the one that the mint signs: forgotten outputs are lost money."""
    walk, edge = walk_before(store, "23b.fence_refused.fencing")
    walk.take(edge, walk.evidence_for(edge))
    again = next(t for t in MELT.transitions if t.id == "19.fence.unpaid")
    first = data_in(walk.run.operation).fences
    walk.take(again, walk.evidence_for(again))
    both = data_in(walk.run.operation).fences
    assert len(first) == 1 and both[:1] == first and [fence.generation for fence in both] == [1, 2]
    assert both[1].outputs != first[0].outputs and walk.run.operation.attempts == 1


def test_what_a_fence_brings_back_is_money_with_a_parent(store: Store) -> None:
    op = walked(store, "22.fence_done.fencing")
    token = the(store, data_in(op).fenced_token_id)
    assert (token.state, token.total_amount) == ("unspent", 106 - INPUT_FEE)
    assert token.metadata.parent_transaction_id == MELT_ID and op.claim is None
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["spent", "spent"]


def test_a_part_is_set_apart_and_only_it_is_spent(store: Store) -> None:
    """The first coin of the first token and the last of the second: both tokens are broken up."""
    op = walked(store, "22c.fence_done.fencing")
    part, back = the(store, f"{MELT_ID}_part_2"), the(store, f"{MELT_ID}_fenced_2")
    assert (part.state, amounts(part), part.reserved_by) == ("spent", [2, 64], MELT_ID)
    assert (back.state, back.total_amount) == ("unspent", 66 - INPUT_FEE)
    assert data_in(op).fenced_token_id == back.transaction_id and op.claim is not None
    assert [amounts(the(store, name)) for name in (FIRST, SECOND)] == [[32], [8]]
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["reserved", "reserved"]
    assert op.inputs == (InputRef(FIRST, 32, 1), InputRef(SECOND, 8, 1), InputRef(f"{MELT_ID}_part_2", 66, 2))
    assert [fence.end for fence in data_in(op).fences] == ["", "done"]


def test_a_part_that_came_late_is_split_off_what_was_freed(store: Store) -> None:
    op = walked(store, "22d.fence_done.watching")
    spent = [the(store, f"{MELT_ID}_part_2_{n}") for n in (1, 2)]
    assert sorted(amount for token in spent for amount in amounts(token)) == [2, 64]
    assert {token.state for token in spent} == {"spent"} and op.state == "watching"
    assert [the(store, name).state for name in (FIRST, SECOND)] == ["unspent", "unspent"]


def test_what_is_stranded_leaves_the_inputs_and_keeps_its_finder(store: Store) -> None:
    op = walked(store, "19b.strand.unpaid")
    token = the(store, f"{MELT_ID}_stranded_1")
    assert (token.state, token.total_amount, token.reserved_by) == ("stranded", 64, MELT_ID)
    assert data_in(op).stranded == (InputRef(f"{MELT_ID}_stranded_1", 64, 1),)
    assert op.inputs == (InputRef(FIRST, 32, 1), InputRef(SECOND, 10, 2)) and op.reason == WHY


def test_when_all_is_stranded_the_claim_stays_unless_something_was_fenced(store: Store) -> None:
    op = walked(store, "19d.strand.unpaid")
    assert data_in(op).watch_since == op.updated_at and op.claim is not None and op.inputs == ()
    assert sum(part.amount for part in data_in(op).stranded) == 106
    assert {the(store, name).state for name in (FIRST, SECOND)} == {"stranded"}


def test_when_something_was_fenced_the_claim_goes(store: Store) -> None:
    op = walked(store, "19c.strand.unpaid")
    assert op.claim is None and sum(part.amount for part in data_in(op).stranded) == 40


def test_refusals_are_counted_from_the_first(store: Store) -> None:
    walk, edge = walk_before(store, "23d.fence_refused.fencing")
    for _ in range(2):
        walk.clock.advance(5)
        walk.take(edge, walk.evidence_for(edge))
    (fence,) = data_in(walk.run.operation).fences
    assert (fence.refusals, fence.end) == (2, "") and fence.refused_at == walk.run.operation.updated_at
    assert fence.refused_since == fence.refused_at - 5000


def test_a_fence_that_is_refused_for_good_is_kept(store: Store) -> None:
    walk, edge = walk_before(store, "23c.fence_refused.fencing")
    before = data_in(walk.run.operation).fences
    walk.take(edge, walk.evidence_for(edge))
    (fence,) = data_in(walk.run.operation).fences
    assert fence == attrs.evolve(before[0], end="refused")


# -- given up ------------------------------------------------------------------------------------------


def test_what_a_dead_request_left_is_freed_and_only_the_rest_is_lost(store: Store) -> None:
    op = walked(store, "29b.write_off.attention")
    assert data_in(op).loss == 64, "one input is spent elsewhere"
    states: dict[str, int] = {}
    for token_id in (FIRST, SECOND, f"{MELT_ID}_split_1"):
        token = the(store, token_id)
        states[token.state] = states.get(token.state, 0) + token.total_amount
    assert states == {"spent": 64, "unspent": 42}


def test_a_proof_that_the_mint_says_nothing_about_is_not_freed(store: Store) -> None:
    """Of four inputs one is SPENT, two are UNSPENT, one is not named: it is given up, not made money."""
    walk, edge = walk_before(store, "29b.write_off.attention")
    evidence = walk.evidence_for(edge)
    assert evidence.states is not None
    walk.take(edge, attrs.evolve(evidence, states=evidence.states[:-1]))
    assert data_in(walk.run.operation).loss == 64 + 2


def test_what_is_left_of_a_hold_that_nobody_recorded_is_freed(store: Store) -> None:
    """64 of 112 are spent, 48 come back; there is no request of ours that could still take them."""
    op = walked(store, "9.write_off.contested", "record")
    assert data_in(op).loss == 64 and (the(store, FIRST).state, amounts(the(store, FIRST))) == ("spent", [64])
    freed = the(store, f"{op.id}_split_1")
    assert (freed.state, amounts(freed)) == ("unspent", [16, 32])


@pytest.mark.parametrize("missing", ["quote", "states", "spent", "paid"])
def test_nothing_is_freed_without_the_whole_proof(store: Store, missing: str) -> None:
    """No quote, no states, no SPENT among them, or a quote that is not UNPAID: the request may still win."""
    walk, edge = walk_before(store, "29b.write_off.attention")
    evidence = walk.evidence_for(edge)
    assert evidence.states is not None
    unspent = tuple(attrs.evolve(state, state="UNSPENT") for state in evidence.states)
    without: dict[str, dict[str, Any]] = {
        "quote": {"quote": None},
        "states": {"states": None},
        "spent": {"states": unspent},
        "paid": {"quote": quote(walk.run, "PENDING")},
    }
    changed = without[missing]
    decision = walk.run.decide(edge.event, attrs.evolve(evidence, **changed))
    if decision.accepted:
        walk.take(edge, attrs.evolve(evidence, **changed))
        assert data_in(walk.run.operation).loss == 106
    assert "unspent" not in {the(store, name).state for name in (FIRST, SECOND)}


def test_change_that_does_not_come_is_a_loss_of_what_was_owed_at_least(store: Store) -> None:
    """Owed at least 5 - 5 = 0: nothing is lost, and the payment cost all of the reserve but what came."""
    op = walked(store, "29a.write_off.attention")
    assert data_in(op).payment is not None and (data_in(op).change_amount, data_in(op).loss) == (1, 0)
    assert data_in(op).payment.lightning_fee == 4


def test_an_operators_words_are_the_reason(store: Store) -> None:
    op = walked(store, "28b.resume.attention")
    assert op.reason is not None
    assert (op.reason.code, op.reason.message) == ("OPERATOR_RESUME", "looked at it")


# -- funding -------------------------------------------------------------------------------------------


def test_an_awaited_token_is_reserved_for_its_funding(store: Store) -> None:
    walk, edge = walk_before(store, first_with("expect_token"), "mint")
    walk.take(edge, walk.evidence_for(edge))
    token = the(store, f"{MINT_ID}_minted")
    assert (token.state, token.reserved_by, token.proofs) == ("awaiting", MINT_ID, ())
    assert token.metadata.parent_transaction_id is None


def first_with(effect: str, machine: str = "mint") -> str:
    return next(t.id for t in latest(machine).transitions if effect in t.effects)


def test_new_outputs_keep_every_earlier_generation_restorable(store: Store) -> None:
    """A request with the older outputs may be executed late: only they open its signatures."""
    walk, edge = walk_before(store, "9a.restore_empty.restoring", "mint")
    lost = next(t for t in walk.spec.transitions if t.id == "8.reply_lost.issuing")
    for generation in (1, 2):
        before = walk.run.operation
        walk.run.draft.set(attempts=0)
        walk.take(edge, walk.evidence_for(edge))
        fences = data_in(walk.run.operation).fences
        assert len(fences) == generation == fences[-1].generation and fences[:-1] == data_in(before).fences
        assert fences[-1].outputs == data_in(before).blanks
        walk.take(lost, walk.evidence_for(lost))


def test_issued_proofs_are_money(store: Store) -> None:
    op = walked(store, first_with("issue_token"), "mint")
    token = the(store, f"{MINT_ID}_minted")
    assert (token.state, token.total_amount, token.reserved_by) == ("unspent", AMOUNT, None)
    assert op.state == "issued"


def test_funding_given_up_is_a_loss_of_all_of_it(store: Store) -> None:
    spec = latest("mint")
    edges = [t for t in spec.transitions if "record_loss" in t.effects]
    assert edges
    op = walked(store, edges[0].id, "mint")
    assert data_in(op).loss == AMOUNT and the(store, f"{MINT_ID}_minted").state == "failed"


def test_a_resume_starts_the_tries_anew(store: Store) -> None:
    walk, edge = walk_before(store, first_with("reset_tries"), "mint")
    walk.run.draft.set(attempts=7)
    walk.take(edge, walk.evidence_for(edge))
    assert walk.run.operation.attempts == 0


# -- every edge ----------------------------------------------------------------------------------------


def test_a_step_names_the_state_before_it(store: Store) -> None:
    """``prev_state`` of operation and token, which an auditor follows without the log."""
    op = walked(store, "9.pay.prepared")
    assert (op.prev_state, op.state, op.version) == ("prepared", "paying", 4)


def test_a_token_record_holds_the_hash_of_what_was_stored(store: Store) -> None:
    walked(store, "10.mint_paid.paying")
    (newest,) = store.audit(AuditQuery(entity=f"token:{FIRST}"))[-1:]
    assert newest.data["token_hash"] == token_hash(the(store, FIRST))
    assert (newest.data["amount"], newest.data["proof_count"], newest.data["unit"]) == (96, 2, "sat")


def test_a_refused_event_stages_nothing(store: Store) -> None:
    walk, _ = walk_before(store, "10.mint_paid.paying")
    assert not walk.engine._driver.take(walk.run, Happened("mint_paid", Evidence()))
    assert not walk.run.draft.dirty
