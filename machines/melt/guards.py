"""Questions about one melt. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..money import is_amount
from ..spec import Guard
from .facts import MeltFacts


def _quote_matches(f: MeltFacts) -> bool:
    return (
        f.quoted_amount is not None
        and is_amount(f.quoted_amount)
        and f.quoted_amount in (f.invoice_amount, f.invoice_amount_floor)
        and f.quoted_unit == f.unit
        and not f.quote_names_other_request
    )


def _unpaid_is_proven(f: MeltFacts) -> bool:
    return f.quote_state == "UNPAID" and _inputs_settled_unspent(f)


def _inputs_spent_without_us(f: MeltFacts) -> bool:
    return (
        f.quote_state == "UNPAID"
        and "SPENT" in f.input_states
        and f.own_outputs_asked
        and not f.own_outputs_signed
    )


def _unresolved_too_long(f: MeltFacts) -> bool:
    """A stamp that lies as far ahead was made by a clock that was wrong; how old it is cannot be known.
    The end of a settle window may still decide, so nothing is too old before that."""
    if f.unresolved_since is None or abs(f.now - f.unresolved_since) < f.unknown_age_max_ms:
        return False
    return f.now < f.unresolved_since or not f.send_clock.may_arrive


def _inputs_settled_unspent(f: MeltFacts) -> bool:
    return f.send_clock.over and f.inputs_all_unspent


quote_matches_invoice = Guard[MeltFacts](
    "quote_matches_invoice",
    "the quote is for this invoice and unit",
    "QUOTE_MISMATCH",
    _quote_matches,
    says_no="the quote is not for this invoice, amount and unit",
)
quote_unexpired = Guard[MeltFacts](
    "quote_unexpired",
    "the quote has not expired",
    "QUOTE_EXPIRED",
    lambda f: f.quote_expires_at is not None and f.now < f.quote_expires_at,
    says_no="the quote has expired",
)
amount_in_limits = Guard[MeltFacts](
    "amount_in_limits",
    "amount and fee reserve are within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    lambda f: is_amount(f.amount) and f.amount <= f.amount_max and is_amount(f.fee_reserve, 0),
    says_no="amount or fee reserve is not within the limits",
)
nothing_sent = Guard[MeltFacts](
    "nothing_sent",
    "no request was sent",
    "ALREADY_SENT",
    lambda f: f.sent_at is None,
    says_no="the request may have been sent; only the mint's evidence can end the operation now",
)
two_step = Guard[MeltFacts](
    "two_step",
    "the caller asked to confirm first",
    "WAITS_FOR_CALLER",
    lambda f: f.two_step,
    says_no="the caller did not ask to confirm first",
)
inputs_cover = Guard[MeltFacts](
    "inputs_cover",
    "the inputs cover amount, fee reserve and input fee",
    "INSUFFICIENT_BALANCE",
    lambda f: f.inputs_total > 0 and f.inputs_total >= f.amount + f.fee_reserve + f.input_fee,
    says_no="the inputs do not cover amount, fee reserve and input fee",
)
fee_acceptable = Guard[MeltFacts](
    "fee_acceptable",
    "fee reserve and input fee together are within the allowed cost",
    "FEE_TOO_HIGH",
    lambda f: f.fee_max is not None and f.fee_reserve + f.input_fee <= f.fee_max,
    says_no="fee reserve and input fee together are above the allowed cost",
)
exact_inputs_wanted = Guard[MeltFacts](
    "exact_inputs_wanted",
    "the policy asks for exact inputs",
    "EXACT_INPUTS_NOT_WANTED",
    lambda f: f.exact_inputs_wanted,
    says_no="the policy does not ask for exact inputs",
)
child_ended_unspent = Guard[MeltFacts](
    "child_ended_unspent",
    "the child operation has ended and its inputs are unspent",
    "INPUTS_STILL_HELD",
    lambda f: f.child_ended_unspent,
    says_no="the child operation has not given the inputs back",
)
inputs_reserved_by_operation = Guard[MeltFacts](
    "inputs_reserved_by_operation",
    "the inputs are reserved by this operation",
    "NOT_RESERVED",
    lambda f: f.inputs_reserved,
    says_no="the inputs are not reserved by this operation",
)
payment_proven = Guard[MeltFacts](
    "payment_proven",
    "the mint says PAID",
    "NOT_PROVEN_PAID",
    lambda f: f.payment_recorded or f.quote_state == "PAID",
    says_no="the mint has not said PAID",
)
payment_is_news = Guard[MeltFacts](
    "payment_is_news",
    "the payment was not recorded before, or its change has arrived",
    "NOT_PROVEN_PAID",
    lambda f: not f.payment_recorded or f.change_is_complete,
    says_no="the payment is recorded already, and its change has not arrived",
)
unpaid_is_proven = Guard[MeltFacts](
    "unpaid_is_proven",
    "the quote is UNPAID, every input is UNSPENT and the settle window is over",
    "NOT_PROVEN_UNPAID",
    _unpaid_is_proven,
    says_no="it is not proven unpaid: the quote must be UNPAID, every input UNSPENT, the settle window over",
)
inputs_settled_unspent = Guard[MeltFacts](
    "inputs_settled_unspent",
    "every input is UNSPENT and the settle window is over",
    "NOT_PROVEN_UNPAID",
    _inputs_settled_unspent,
    says_no="it is not proven unpaid: every input must be UNSPENT and the settle window over",
)
inputs_spent_without_us = Guard[MeltFacts](
    "inputs_spent_without_us",
    "the quote is UNPAID, inputs are SPENT and no fence of ours is signed",
    "INPUTS_NOT_GONE",
    _inputs_spent_without_us,
    says_no="the mint does not say that other requests spent the inputs",
)
unresolved_too_long = Guard[MeltFacts](
    "unresolved_too_long",
    "the operation has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    _unresolved_too_long,
    says_no="the operation has not been unresolved for longer than the limit",
)
policy_allows_retry = Guard[MeltFacts](
    "policy_allows_retry",
    "the policy allows another try",
    "POLICY_FORBIDS",
    lambda f: f.policy == "retry_then_fence" and f.retries < f.retries_max,
    says_no="the policy allows no other try",
)
policy_trusts_mint = Guard[MeltFacts](
    "policy_trusts_mint",
    "the policy trusts the mint's word",
    "POLICY_FORBIDS",
    lambda f: f.policy == "trust",
    says_no="the policy does not trust the mint's word",
)
not_in_flight = Guard[MeltFacts](
    "not_in_flight",
    "the request is dead: the mint says UNPAID, calls an input SPENT and no input PENDING",
    "PAYMENT_IN_FLIGHT",
    lambda f: f.quote_state == "UNPAID" and "SPENT" in f.input_states and "PENDING" not in f.input_states,
    says_no="the request may still be executed: only UNPAID, an input SPENT and no input PENDING rule it out",
)
quote_still_unpaid = Guard[MeltFacts](
    "quote_still_unpaid",
    "the mint says UNPAID now",
    "NOT_PROVEN_UNPAID",
    lambda f: f.quote_state == "UNPAID",
    says_no="the mint does not say UNPAID now",
)
