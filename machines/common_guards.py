"""The questions that several machines ask. Each guard reads facts that the facts class of every machine that
asks it has. A machine's own guards stand beside its table."""

from __future__ import annotations

from typing import Any

from .spec import Guard


def _refusal_window_over(f: Any) -> bool:
    return f.held_unspent_since is not None and bool(f.now - f.held_unspent_since >= f.refusal_window_ms)


owner_matches = Guard[Any](
    "owner_matches",
    "every source belongs to this npub",
    "OWNER_MISMATCH",
    lambda f: f.source_owners == frozenset({f.owner}),
    says_no="a source belongs to another npub",
)
one_mint_one_unit = Guard[Any](
    "one_mint_one_unit",
    "every source is of this wallet, mint and unit",
    "MINT_OR_UNIT_MISMATCH",
    lambda f: f.wallet is not None and f.source_wallets == frozenset({f.wallet}),
    says_no="a source belongs to another wallet, mint or unit",
)
inputs_unspent = Guard[Any](
    "inputs_unspent",
    "every source is unspent and free",
    "CONCURRENT_OPERATION",
    lambda f: f.source_states == frozenset({"unspent"}),
    says_no="a source is spent, or another operation holds it",
)
claim_free = Guard[Any](
    "claim_free",
    "no other operation pays or has paid this invoice",
    "PAYMENT_ALREADY_CLAIMED",
    lambda f: f.claim_holder is None or f.claim_holder == f.operation_id,
    says_no="another operation pays or has paid this invoice",
)
recorded_already = Guard[Any](
    "recorded_already",
    "the payment is recorded",
    "ALREADY_RECORDED",
    lambda f: f.payment_recorded,
    says_no="the payment is not recorded",
)
drives_fail = Guard[Any](
    "drives_fail",
    "the drives of the operation failed as often as the limit allows",
    "NOT_TOO_OLD",
    lambda f: f.failures >= f.failures_max > 0,
    says_no="the drives of the operation did not fail as often as the limit allows",
)
documents_agree = Guard[Any](
    "documents_agree",
    "every check was made and found nothing",
    "RECONCILIATION_FAILED",
    lambda f: f.checks_performed > 0 and f.discrepancies == 0,
    says_no="the stored documents contradict one another, or were not checked",
)
operator_gave_reason = Guard[Any](
    "operator_gave_reason",
    "an operator gave a reason",
    "OPERATOR_REASON_MISSING",
    lambda f: bool(f.operator_reason.strip()),
    says_no="the operator gave no reason",
)
forced = Guard[Any](
    "forced",
    "the operator gives the operation up by force",
    "PAYMENT_IN_FLIGHT",
    lambda f: f.forced,
    says_no="the payment may still be in flight, and the operator did not give it up by force",
)
inputs_few_enough = Guard[Any](
    "inputs_few_enough",
    "the number of inputs is within the limit",
    "TOO_MANY_PROOFS",
    lambda f: 0 < f.input_count <= f.input_count_max,
    says_no="the number of inputs is 0 or above the limit",
)
preflight_clear = Guard[Any](
    "preflight_clear",
    "the mint calls every input UNSPENT",
    "PROOF_STATE_INCONSISTENCY",
    lambda f: f.preflight_asked and f.preflight_blocked_count == 0,
    says_no="the mint does not call every input UNSPENT",
)
watch_window_over = Guard[Any](
    "watch_window_over",
    "the watch window is over",
    "WATCH_NOT_OVER",
    lambda f: f.watch_since is not None and f.now - f.watch_since >= f.watch_window_ms,
    says_no="the watch window is still open",
)
refusal_was_confirmed = Guard[Any](
    "refusal_was_confirmed",
    "the mint confirmed its refusal before",
    "NOT_PROVEN_UNPAID",
    lambda f: f.held_unspent_since is not None,
    says_no="the mint did not confirm its refusal before",
)
refusal_window_over = Guard[Any](
    "refusal_window_over",
    "the mint confirmed its refusal a refusal window ago",
    "NOT_PROVEN_UNPAID",
    _refusal_window_over,
    says_no="the refusal window is still open",
)
nothing_restored = Guard[Any](
    "nothing_restored",
    "the mint signed none of our outputs",
    "RESTORE_INCOMPLETE",
    lambda f: f.restored_none,
    says_no="the mint signed an output of ours, or did not answer",
)
