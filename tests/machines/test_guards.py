"""Every guard says yes once and no for each way its rule can be broken."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate.machines import common_guards as common
from nutstate.machines import exchange_guards as exchange
from nutstate.machines.check import guards as check
from nutstate.machines.check.facts import CheckFacts
from nutstate.machines.deposit import guards as deposit
from nutstate.machines.deposit.facts import DepositFacts
from nutstate.machines.melt import guards as melt
from nutstate.machines.melt import guards_change as changes
from nutstate.machines.melt import guards_fences as fences
from nutstate.machines.melt import guards_refusal as refusal
from nutstate.machines.melt.facts import MeltFacts
from nutstate.machines.mint import guards as mint
from nutstate.machines.mint.facts import MintFacts
from nutstate.machines.money import AMOUNT_MAX
from nutstate.machines.receive import guards as receive
from nutstate.machines.receive.facts import ReceiveFacts
from nutstate.machines.record import guards as record
from nutstate.machines.record.facts import RecordFacts
from nutstate.machines.spec import Guard
from nutstate.machines.swap import guards as swap
from nutstate.machines.swap.facts import SwapFacts
from nutstate.machines.token import guards as token
from nutstate.machines.token.facts import TokenFacts

T, M, R, I, D, C = TokenFacts, MeltFacts, RecordFacts, MintFacts, DepositFacts, CheckFacts  # noqa: E741
S, V0 = SwapFacts, ReceiveFacts
W = ("wallet", "https://mint", "sat")
V = ("other", "https://mint", "sat")
UNSPENT = frozenset({"UNSPENT"})
Case = tuple[Guard[Any], Any, list[dict[str, Any]]]

UNPAID = M(
    quote_state="UNPAID", inputs_asked=3, input_count=3, input_states=UNSPENT, since_last_send_ms=30_000,
    settle_window_ms=30_000,
)  # fmt: skip
HELD = R(inputs_asked=2, input_count=2, input_states=UNSPENT)
SETTLED = M(
    inputs_asked=2,
    input_count=2,
    input_states=frozenset({"UNSPENT"}),
    since_last_send_ms=9,
    settle_window_ms=9,
)
UNTOUCHED = S(
    restored_none=True, inputs_asked=2, input_count=2, input_states=UNSPENT, since_last_send_ms=9,
    settle_window_ms=9,
)  # fmt: skip
GONE = S(
    restored_none=True, inputs_asked=2, input_count=2, input_states=frozenset({"UNSPENT", "SPENT"}),
    since_last_send_ms=9, settle_window_ms=9,
)  # fmt: skip
NOT_UNTOUCHED: list[dict[str, Any]] = [
    {"restored_none": False}, {"inputs_asked": 1}, {"inputs_asked": 0, "input_count": 0},
    {"input_states": frozenset({"UNSPENT", "PENDING"})}, {"input_states": frozenset()},
]  # fmt: skip
RECORDED = R(sources_total=800, amount=550, recorded_fee=0, keep_total=200, recorded_change=50)

CASES: list[Case] = [
    (token.type_is_storable, T(type="change"), [{"type": "melted"}, {"type": ""}, {"type": "Change"}]),
    (token.type_is_minted, T(type="minted"), [{"type": "change"}]),
    (token.type_is_sent, T(type="sent"), [{"type": "received"}]),
    (token.type_is_not_change, T(type="received"), [{"type": "change"}]),
    (token.change_has_parent, T(type="change", parent="tx"), [{"parent": None}, {"parent": ""}]),
    (token.has_proofs, T(proof_count=1), [{"proof_count": 0}]),
    (token.has_no_proofs, T(), [{"proof_count": 1}, {"total_amount": 1}]),
    (token.total_matches_proofs, T(total_amount=5, proofs_total=5),
     [{"total_amount": 4}, {"bad_amounts": 1}, {"total_amount": 0, "proofs_total": 0},
      {"total_amount": 2**53, "proofs_total": 2**53}]),
    (token.secrets_distinct, T(proof_count=2, distinct_secrets=2), [{"distinct_secrets": 1}]),
    (token.belongs_to_operation, T(reserved_by="a", operation_id="a"),
     [{"reserved_by": "b"}, {"reserved_by": None}, {"reserved_by": None, "operation_id": None}]),
    (token.mint_cannot_issue, T(mint_cannot_issue=True), [{"mint_cannot_issue": False}]),
    (token.from_migration, T(from_migration=True), [{"from_migration": False}]),
    (token.refusal_is_proven, T(mint_refuses=True), [{"mint_refuses": False}]),
    (token.owner_matches, T(owner="a", operation_owner="a"),
     [{"owner": "b"}, {"owner": None, "operation_owner": None}]),
    (token.wallet_mint_unit_match, T(wallet=W, operation_wallet=W),
     [{"wallet": V}, {"wallet": None, "operation_wallet": None}]),
    (token.moved_is_proper_subset, T(proof_count=3, moved_count=2), [{"moved_count": 0}, {"moved_count": 3}]),
    (token.release_is_proven, T(release="nothing_sent"), [{"release": None}, {"release": "too_old"}]),
    (token.release_is_proven, T(release="trusted"), [{"release": "expired"}]),
    (token.release_is_proven, T(release="request_dead"), [{"release": "UNPAID"}]),
    (token.release_is_proven, T(release="caller_word"), [{"release": "hold_over"}]),
    (token.release_is_proven, T(release="mint_says_unspent"), [{"release": "mint_says_pending"}]),
    (token.consumption_is_proven, T(consumption="paid"), [{"consumption": None}, {"consumption": "hope"}]),
    (token.consumption_is_proven, T(consumption="swapped"), [{"consumption": "pending"}]),
    (token.consumption_is_proven, T(consumption="recorded"), [{"consumption": ""}]),
    (token.consumption_is_proven, T(consumption="written_off"), [{"consumption": "PAID"}]),
    (token.mint_says_all_spent, T(proof_count=2, mint_spent_count=2),
     [{"mint_spent_count": 1}, {"proof_count": 0, "mint_spent_count": 0}]),
    (melt.quote_matches_invoice, M(quoted_amount=5, invoice_amount=5, quoted_unit="sat", unit="sat"),
     [{"quoted_amount": 6}, {"quoted_amount": None, "invoice_amount": None}, {"quoted_unit": "msat"},
      {"quote_names_other_request": True}]),
    (melt.quote_matches_invoice,
     M(quoted_amount=5, invoice_amount=6, invoice_amount_floor=5, quoted_unit="sat", unit="sat"),
     [{"quoted_amount": 4}, {"quoted_amount": 7}, {"invoice_amount_floor": None},
      {"quoted_amount": 0, "invoice_amount_floor": 0, "invoice_amount": 1}]),
    (melt.quote_unexpired, M(now=9, quote_expires_at=10), [{"now": 10}, {"quote_expires_at": None}]),
    (melt.amount_in_limits, M(amount=5, amount_max=5),
     [{"amount": 6}, {"amount": 0}, {"amount": -1}, {"amount": True}, {"amount": 1.0}, {"fee_reserve": -1},
      {"fee_reserve": 1.5}]),
    (melt.nothing_sent, M(), [{"sent_at": 0}]),
    (melt.two_step, M(two_step=True), [{"two_step": False}]),
    (common.owner_matches, M(owner="a", source_owners=frozenset({"a"})),
     [{"source_owners": frozenset()}, {"source_owners": frozenset({"a", "b"})}]),
    (common.one_mint_one_unit, M(wallet=W, source_wallets=frozenset({W})),
     [{"source_wallets": frozenset({W, V})}, {"wallet": None}, {"source_wallets": frozenset()}]),
    (common.inputs_unspent, M(source_states=frozenset({"unspent"})),
     [{"source_states": frozenset()}, {"source_states": frozenset({"unspent", "reserved"})}]),
    (melt.inputs_cover, M(inputs_total=106, amount=100, fee_reserve=5, input_fee=1),
     [{"inputs_total": 105}, {"input_fee": 2}, {"fee_reserve": 6}]),
    (common.inputs_few_enough, M(input_count=2, input_count_max=2), [{"input_count": 3}, {"input_count": 0}]),
    (melt.fee_acceptable, M(fee_max=6, fee_reserve=5, input_fee=1),
     [{"fee_max": None}, {"fee_max": 5}, {"fee_reserve": 6}, {"input_fee": 2}]),
    (common.preflight_clear, M(preflight_asked=True),
     [{"preflight_asked": False}, {"preflight_blocked_count": 1}]),
    (common.claim_free, M(operation_id="a"), [{"claim_holder": "b"}]),
    (common.claim_free, M(operation_id="a", claim_holder="a"), [{"operation_id": "c"}]),
    (melt.exact_inputs_wanted, M(exact_inputs_wanted=True), [{"exact_inputs_wanted": False}]),
    (melt.child_ended_unspent, M(child_ended_unspent=True), [{"child_ended_unspent": False}]),
    (melt.inputs_reserved_by_operation, M(inputs_reserved=True), [{"inputs_reserved": False}]),
    (melt.payment_proven, M(quote_state="PAID"), [{"quote_state": "PENDING"}, {"quote_state": None}]),
    (melt.payment_proven, M(payment_recorded=True), [{"payment_recorded": False}]),
    (melt.payment_is_news, M(), [{"payment_recorded": True}]),
    (melt.payment_is_news, M(payment_recorded=True, change_is_complete=True), [{"change_is_complete": False}]),
    (melt.unpaid_is_proven, UNPAID,
     [{"quote_state": "PENDING"}, {"quote_state": None}, {"input_states": frozenset({"UNSPENT", "PENDING"})},
      {"input_states": frozenset({"SPENT"})}, {"input_states": frozenset()}, {"inputs_asked": 2},
      {"inputs_asked": 0, "input_count": 0}, {"since_last_send_ms": 29_999}, {"since_last_send_ms": None}]),
    (melt.inputs_spent_without_us,
     M(quote_state="UNPAID", input_states=frozenset({"SPENT"}), own_outputs_asked=True),
     [{"quote_state": "PAID"}, {"input_states": UNSPENT}, {"own_outputs_asked": False},
      {"own_outputs_signed": True}]),
    (melt.unresolved_too_long, M(now=100, unresolved_since=0, unknown_age_max_ms=100),
     [{"now": 99}, {"unresolved_since": None}]),
    (melt.policy_allows_retry, M(policy="retry_then_fence", retries=0, retries_max=1),
     [{"policy": "fence"}, {"retries": 1}]),
    (melt.policy_trusts_mint, M(policy="trust"), [{"policy": "fence"}]),
    (fences.mint_can_swap_and_restore,
     M(mint_can_swap=True, mint_can_restore=True, fence_generations=7, fence_generations_max=8),
     [{"mint_can_swap": False}, {"mint_can_restore": False}, {"fence_generations": 8}]),
    (common.watch_window_over, M(now=100, watch_since=0, watch_window_ms=100),
     [{"now": 99}, {"watch_since": None}]),
    (fences.outputs_verified, M(fence_outputs_verified=True, fence_total=9, fence_owed=9),
     [{"fence_outputs_verified": False}, {"fence_total": 8}, {"fence_owed": None},
      {"fence_total": 0, "fence_owed": 0}]),
    (fences.own_outputs_not_signed, M(own_outputs_asked=True),
     [{"own_outputs_asked": False}, {"own_outputs_signed": True}]),
    (fences.refusal_means_inputs_gone, M(fence_refusal_means_inputs_gone=True),
     [{"fence_refusal_means_inputs_gone": False}]),
    (fences.fence_takes_all, M(fence_takes_all=True), [{"fence_takes_all": False}]),
    (fences.refused_for_good, M(fence_refused_for_good=True), [{"fence_refused_for_good": False}]),
    (fences.new_outputs_may_help, M(fence_renewable=True), [{"fence_renewable": False}]),
    (fences.cannot_be_fenced, M(strands=1), [{"strands": 0}]),
    (fences.last_of_all, M(strands_all=True), [{"strands_all": False}]),
    (fences.something_fenced, M(fences_done=1), [{"fences_done": 0}]),
    (changes.change_in_bounds, M(change_total=4, owed_min=2, owed_max=4),
     [{"change_total": 5}, {"change_total": 1}, {"change_total": None}, {"change_total": 0, "owed_min": 0},
      {"owed_max": None}]),
    (changes.change_verified, M(change_verified=True), [{"change_verified": False}]),
    (changes.blanks_used_once, M(change_blanks_distinct=True), [{"change_blanks_distinct": False}]),
    (changes.owed_min_is_zero, M(owed_min=0), [{"owed_min": 1}, {"owed_min": None}]),
    (changes.repeatedly_empty, M(owed_max=0), [{"owed_max": 1}]),
    (changes.repeatedly_empty,
     M(owed_max=3, now=10, change_empty_since=0, change_seen_empty=True, change_window_ms=10),
     [{"now": 9}, {"change_empty_since": None}, {"change_seen_empty": False}]),
    (changes.first_seen_empty, M(owed_max=3, change_seen_empty=True),
     [{"change_seen_empty": False}, {"change_empty_since": 5}, {"owed_max": 0}]),
    (melt.not_in_flight, M(quote_state="UNPAID", input_states=frozenset({"UNSPENT", "SPENT"})),
     [{"quote_state": "PENDING"}, {"quote_state": None}, {"input_states": frozenset()},
      {"input_states": frozenset({"UNSPENT"})}, {"input_states": frozenset({"SPENT", "PENDING"})}]),
    (melt.quote_still_unpaid, M(quote_state="UNPAID"), [{"quote_state": None}, {"quote_state": "PAID"}]),
    (changes.attempts_left, M(now=5, change_awaited_since=0, change_window_ms=6), [{"now": 6}]),
    (melt.unresolved_too_long, M(now=9, unresolved_since=0, unknown_age_max_ms=9),
     [{"now": 8}, {"unresolved_since": None}, {"since_last_send_ms": 4, "settle_window_ms": 5}]),
    (melt.unresolved_too_long, M(now=0, unresolved_since=9, unknown_age_max_ms=9), [{"unresolved_since": 8}]),
    (melt.unresolved_too_long,
     M(now=0, unresolved_since=9, unknown_age_max_ms=9, since_last_send_ms=0, settle_window_ms=5),
     [{"now": 9, "unresolved_since": 0}]),
    (common.forced, M(forced=True), [{"forced": False}]),
    (check.paid_after_all, C(quote_paid=True), [{"quote_paid": False}]),
    (check.paid_after_all, C(fence_signed=True), [{"fence_signed": False}]),
    (common.drives_fail, M(failures=3, failures_max=3), [{"failures": 2}, {"failures": 0, "failures_max": 0}]),
    (changes.change_above_owed, M(change_total=5, owed_max=4),
     [{"change_total": 4}, {"change_total": None}, {"owed_max": None}]),
    (refusal.quote_unclear, M(quote_state="UNKNOWN"), [{"quote_state": "UNPAID"}, {"quote_state": None}]),
    (refusal.unclear_is_news, M(), [{"unclear_told": True}]),
    (melt.inputs_settled_unspent, SETTLED,
     [{"since_last_send_ms": 8}, {"since_last_send_ms": None}, {"inputs_asked": 1},
      {"input_states": frozenset({"UNSPENT", "PENDING"})}, {"inputs_asked": 0, "input_count": 0}]),
    (refusal.refusal_decides, M(policy="fast", refusal_kind="payment", sendings=1),
     [{"policy": "fence"}, {"refusal_kind": None}, {"sendings": 2}, {"sendings": 0}]),
    (refusal.refusal_confirmed, attrs.evolve(SETTLED, quote_state="UNPAID"),
     [{"quote_state": "PENDING"}, {"inputs_asked": 1}, {"input_states": frozenset({"UNSPENT", "SPENT"})}]),
    (common.refusal_was_confirmed, M(held_unspent_since=0), [{"held_unspent_since": None}]),
    (common.refusal_window_over, M(now=5, held_unspent_since=0, refusal_window_ms=5),
     [{"now": 4}, {"held_unspent_since": None}]),
    (refusal.refusal_blames_inputs, M(refused_for="inputs"), [{"refused_for": "payment"}, {"refused_for": None}]),
    (refusal.refusal_stood, M(refused_for="limit"), [{"refused_for": None}]),
    (refusal.claim_held, M(claim_held=True), [{"claim_held": False}]),
    (refusal.inputs_taken, M(inputs_taken=True), [{"inputs_taken": False}]),
    (common.documents_agree, M(checks_performed=3), [{"discrepancies": 1}, {"checks_performed": 0}]),
    (common.operator_gave_reason, M(operator_reason="why"), [{"operator_reason": " "}, {"operator_reason": ""}]),
    (record.sources_touched, R(sources_touched=True), [{"sources_touched": False}]),
    (record.sources_are_the_held, R(sources_are_the_held=True), [{"sources_are_the_held": False}]),
    (record.nothing_contested, R(sources_contested=0, operation_id="a"),
     [{"sources_contested": 1}, {"sources_contested": None}, {"claim_holder": "b"}]),
    (record.nothing_contested, R(sources_contested=0, operation_id="a", claim_holder="a"), [{"operation_id": "b"}]),
    (common.recorded_already, M(payment_recorded=True), [{"payment_recorded": False}]),
    (record.hold_in_limits, R(now=5, hold_until=6, hold_max_ms=1),
     [{"hold_until": 5}, {"hold_until": 7}, {"hold_until": None}]),
    (record.hold_is_over, R(now=5, hold_until=5), [{"now": 4}, {"hold_until": None}]),
    (record.held_first_seen_unspent, HELD,
     [{"held_unspent_since": 0}, {"input_states": frozenset()}, {"inputs_asked": 1},
      {"inputs_asked": 0, "input_count": 0}, {"input_states": frozenset({"UNSPENT", "PENDING"})},
      {"input_states": frozenset({"SPENT"})}]),
    (record.held_was_unspent, R(held_unspent_since=0), [{"held_unspent_since": None}]),
    (record.held_proven_unspent, attrs.evolve(HELD, now=9, held_unspent_since=0, settle_window_ms=9),
     [{"now": 8}, {"held_unspent_since": None}, {"input_states": frozenset({"UNSPENT", "PENDING"})},
      {"inputs_asked": 1}]),
    (record.held_not_in_flight, R(input_states=frozenset({"UNSPENT", "SPENT"})),
     [{"input_states": frozenset({"UNSPENT", "PENDING"})}, {"input_states": frozenset()}]),
    (record.held_seen_spent, R(input_states=frozenset({"UNSPENT", "SPENT"})),
     [{"input_states": frozenset({"PENDING"})}, {"input_states": frozenset()}]),
    (common.documents_agree, C(checks_performed=3), [{"discrepancies": 1}, {"checks_performed": 0}]),
    (record.unresolved_too_long, R(now=9, unresolved_since=0, unknown_age_max_ms=9),
     [{"now": 8}, {"unresolved_since": None}]),
    (record.unresolved_too_long, R(now=0, unresolved_since=9, unknown_age_max_ms=9), [{"unresolved_since": 8}]),
    (common.owner_matches, R(owner="a", source_owners=frozenset({"a"})),
     [{"source_owners": frozenset()}, {"source_owners": frozenset({"a", "b"})}]),
    (common.one_mint_one_unit, R(wallet=W, source_wallets=frozenset({W})),
     [{"source_wallets": frozenset({W, V})}, {"wallet": None}, {"source_wallets": frozenset()}]),
    (common.inputs_unspent, R(source_states=frozenset({"unspent"})),
     [{"source_states": frozenset()}, {"source_states": frozenset({"unspent", "reserved"})}]),
    (common.claim_free, R(operation_id="a"), [{"claim_holder": "b"}]),
    (common.claim_free, R(operation_id="a", claim_holder="a"), [{"operation_id": "c"}]),
    (common.recorded_already, R(payment_recorded=True), [{"payment_recorded": False}]),
    (common.drives_fail, R(failures=3, failures_max=3), [{"failures": 2}, {"failures": 0, "failures_max": 0}]),
    (common.documents_agree, R(checks_performed=3), [{"discrepancies": 1}, {"checks_performed": 0}]),
    (common.operator_gave_reason, R(operator_reason="why"), [{"operator_reason": " "}, {"operator_reason": ""}]),
    (common.forced, R(forced=True), [{"forced": False}]),
    (check.spent_said_twice, C(said_spent=2, said_spent_again=2),
     [{"said_spent_again": 1}, {"said_spent": 0, "said_spent_again": 0}]),
    (check.something_stranded, C(stranded_tokens=1), [{"stranded_tokens": 0}]),
    (common.operator_gave_reason, C(operator_reason="why"), [{"operator_reason": " "}]),
    (record.recorded_conserved, RECORDED,
     [{"amount": 549}, {"recorded_fee": None}, {"recorded_fee": -1, "amount": 551}, {"keep_total": 201}]),
    (record.secrets_distinct, R(secrets_distinct=True), [{"secrets_distinct": False}]),
    (mint.quote_matches, I(amount=5, quoted_amount=5, quoted_unit="sat", unit="sat"),
     [{"quoted_amount": 4}, {"quoted_unit": "msat"}]),
    (mint.amount_in_limits, I(amount=5, amount_max=5), [{"amount": 6}, {"amount": 0}]),
    (mint.amount_in_limits, I(amount=AMOUNT_MAX, amount_max=2**60), [{"amount": AMOUNT_MAX + 1}]),
    (mint.invoice_is_paid, I(quote_state="PAID"), [{"quote_state": "ISSUED"}, {"quote_state": None}]),
    (mint.quote_is_dead, I(quote_state="UNPAID", quote_expires_at=5, now=5),
     [{"quote_state": "PAID"}, {"now": 4}, {"quote_expires_at": None}]),
    (mint.outputs_verified, I(outputs_verified=True, issued_total=5, amount=5),
     [{"outputs_verified": False}, {"issued_total": 4}]),
    (common.nothing_restored, I(restored_none=True), [{"restored_none": False}]),
    (mint.issued_to_others, I(restored_none=True, quote_state="ISSUED"),
     [{"restored_none": False}, {"quote_state": "PAID"}]),
    (common.operator_gave_reason, I(operator_reason="why"), [{"operator_reason": ""}]),
    (mint.outputs_written, I(outputs_written=True), [{"outputs_written": False}]),
    (mint.outputs_useless, I(outputs_useless=True), [{"outputs_useless": False}]),
    (mint.retry_is_due, I(now=9, sent_at=0, retry_after_ms=9), [{"now": 8}, {"sent_at": None}, {"sent_at": 17}]),
    (mint.retry_is_due, I(now=0, sent_at=9, retry_after_ms=9), [{"sent_at": 8}]),
    (common.drives_fail, I(failures=2, failures_max=2), [{"failures": 1}, {"failures_max": 0}]),
    (mint.paid_noted, I(paid_since=0), [{"paid_since": None}]),
    (mint.blocked_too_long, I(now=9, paid_since=0, blocked_max_ms=9),
     [{"now": 8}, {"paid_since": None}, {"paid_since": 17}]),
    (mint.still_unpaid, I(quote_state="UNPAID"), [{"quote_state": "PAID"}, {"quote_state": None},
                                                  {"quote_state": "UNKNOWN"}]),
    (mint.late_watch_over, I(watch_passed_ms=2, watched_ms=3, watch_window_ms=5),
     [{"watch_passed_ms": 1}, {"watched_ms": 2}, {"watch_passed_ms": None, "watched_ms": 9}]),
    (mint.watch_part_over, I(watch_passed_ms=3, watch_part_ms=3),
     [{"watch_passed_ms": 2}, {"watch_passed_ms": None}]),
    (mint.watch_part_over, I(watch_passed_ms=-1, watch_part_ms=3), [{"watch_passed_ms": 0}]),
    (mint.unresolved_too_long, I(now=9, unresolved_since=0, unknown_age_max_ms=9),
     [{"now": 8}, {"unresolved_since": None}, {"unresolved_since": 17}]),
    (mint.unresolved_too_long, I(now=0, unresolved_since=9, unknown_age_max_ms=9), [{"now": 1}]),
    (mint.tries_left, I(tries=1, tries_max=2), [{"tries": 2}]),
    (exchange.outputs_fit, S(output_amounts=(4, 1), amount=4, amount_max=5),
     [{"output_amounts": ()}, {"output_amounts": (4, 0)}, {"amount": 6}, {"amount": 0}, {"amount_max": 4}]),
    (exchange.balanced, S(inputs_total=6, output_amounts=(4, 1), input_fee=1),
     [{"inputs_total": 5}, {"input_fee": 0}, {"inputs_total": 0, "output_amounts": (), "input_fee": 0}]),
    (exchange.mint_can_restore, S(mint_can_restore=True), [{"mint_can_restore": False}]),
    (exchange.outputs_verified, S(outputs_verified=True, signed_total=5, outputs_total=5),
     [{"outputs_verified": False}, {"signed_total": 4}, {"outputs_total": None},
      {"signed_total": 0, "outputs_total": 0}]),
    (exchange.refusal_is_clear, S(refusal_kind="coin", sendings=1), [{"refusal_kind": None}, {"sendings": 2}]),
    (exchange.refused_clearly, S(refused_for="request"), [{"refused_for": None}]),
    (swap.coin_refused, S(refused_for="coin", input_count=1), [{"refused_for": "keyset"}, {"input_count": 2}]),
    (exchange.untouched, UNTOUCHED, NOT_UNTOUCHED),
    (exchange.settled_untouched, UNTOUCHED, [*NOT_UNTOUCHED, {"since_last_send_ms": 8}, {"since_last_send_ms": None}]),
    (exchange.tries_left, S(sendings=1, sendings_max=2), [{"sendings": 2}]),
    (exchange.spent_without_us, GONE,
     [{"restored_none": False}, {"since_last_send_ms": 8}, {"input_states": UNSPENT}]),
    (swap.request_dead, GONE,
     [{"restored_none": False}, {"input_states": UNSPENT}, {"input_states": frozenset({"SPENT", "PENDING"})}]),
    (exchange.unresolved_too_long, S(now=9, unresolved_since=0, unknown_age_max_ms=9),
     [{"now": 8}, {"unresolved_since": None}, {"since_last_send_ms": 1, "settle_window_ms": 2}]),
    (exchange.unresolved_too_long, S(now=0, unresolved_since=9, unknown_age_max_ms=9), [{"now": 1}]),
    (receive.not_received, V0(holder_asked=True), [{"holder_asked": False}, {"claim_holder": "tx"}]),
    (receive.nothing_of_ours, V0(restored_none=True, since_last_send_ms=9, settle_window_ms=9),
     [{"restored_none": False}, {"since_last_send_ms": 8}, {"since_last_send_ms": None}]),
    (deposit.proofs_few_enough, D(proof_count=2, proof_count_max=2), [{"proof_count": 3}, {"proof_count": 0}]),
    (deposit.amount_in_limits, D(total=5, amount_max=5), [{"total": 6}, {"total": 0}]),
]  # fmt: skip

MODULES = (
    *(common, exchange, token, melt, changes, fences, refusal, record, mint, swap, receive, deposit, check),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].name)
def test_a_guard(case: Case) -> None:
    asked, good, breaks = case
    assert asked.holds(good) is True
    for change in breaks:
        assert asked.holds(attrs.evolve(good, **change)) is False, change


def test_every_guard_has_a_case() -> None:
    declared = [guard for module in MODULES for guard in vars(module).values() if isinstance(guard, Guard)]
    assert {id(guard) for guard in declared} == {id(case[0]) for case in CASES}
