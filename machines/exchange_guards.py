"""Questions about a request that exchanges inputs for outputs at the mint: a swap, or a receive. Each guard:
one question, two sentences, one refusal code. A machine's own guards stand beside its table."""

from __future__ import annotations

from typing import Any

from .exchange_facts import ExchangeFacts
from .money import is_amount
from .spec import Guard


def _outputs_fit(f: ExchangeFacts) -> bool:
    total = sum(f.output_amounts)
    return (
        bool(f.output_amounts)
        and all(map(is_amount, (f.amount, total, *f.output_amounts)))
        and (f.amount <= total <= f.amount_max)
    )


def _unresolved_too_long(f: ExchangeFacts) -> bool:
    """A stamp that lies as far ahead was made by a clock that was wrong. Its true age cannot be known. The
    end of a settle window may still decide, so nothing is too old before that."""
    if f.unresolved_since is None or abs(f.now - f.unresolved_since) < f.unknown_age_max_ms:
        return False
    return f.now < f.unresolved_since or not f.send_clock.may_arrive


outputs_fit = Guard[Any](
    "outputs_fit",
    "the outputs hold the wanted amount and are within the limits",
    "AMOUNT_OUT_OF_LIMITS",
    _outputs_fit,
    says_no="the outputs do not hold the wanted amount, or are not within the limits",
)
balanced = Guard[Any](
    "balanced",
    "the inputs equal the outputs and the input fee",
    "NOT_CONSERVED",
    lambda f: f.inputs_total > 0 and f.inputs_total == sum(f.output_amounts) + f.input_fee,
    says_no="the inputs do not equal the outputs and the input fee",
)
mint_can_restore = Guard[Any](
    "mint_can_restore",
    "the mint supports restore, so a lost answer is found again",
    "RESTORE_NOT_SUPPORTED",
    lambda f: f.mint_can_restore,
    says_no="the mint does not support restore (NUT-09), so a lost answer could not be found again",
)
outputs_verified = Guard[Any](
    "outputs_verified",
    "every output is signed and verified",
    "OUTPUTS_NOT_VERIFIED",
    lambda f: f.outputs_verified and 0 < f.signed_total == f.outputs_total,
    says_no="an output is not signed or does not verify",
)
refusal_is_clear = Guard[Any](
    "refusal_is_clear",
    "the mint gave the only sending a clear refusal",
    "NOT_REFUSED_FOR_GOOD",
    lambda f: f.refusal_kind is not None and f.sendings == 1,
    says_no="the mint gave no clear refusal, or the request was sent more than once",
)
refused_clearly = Guard[Any](
    "refused_clearly",
    "a clear refusal of the only sending is stored",
    "NOT_REFUSED_FOR_GOOD",
    lambda f: f.refused_for is not None,
    says_no="no clear refusal of the request is stored",
)
untouched = Guard[Any](
    "untouched",
    "the mint signed no output of ours and calls every input UNSPENT",
    "RELEASE_NOT_PROVEN",
    lambda f: f.untouched,
    says_no="the mint signed an output of ours, or does not call every input UNSPENT",
)
settled_untouched = Guard[Any](
    "settled_untouched",
    "the mint signed no output, calls every input UNSPENT, and the settle window is over",
    "RELEASE_NOT_PROVEN",
    lambda f: f.untouched and f.send_clock.over,
    says_no="an output may be signed, an input is not UNSPENT, or the settle window is not over",
)
tries_left = Guard[Any](
    "tries_left",
    "the limit of sendings is not reached",
    "NOT_REFUSED_FOR_GOOD",
    lambda f: f.sendings < f.sendings_max,
    says_no="the limit of sendings is reached",
)
spent_without_us = Guard[Any](
    "spent_without_us",
    "an input is SPENT, no output of ours is signed, and the settle window is over",
    "INPUTS_NOT_GONE",
    lambda f: "SPENT" in f.input_states and f.restored_none and f.send_clock.over,
    says_no="the mint does not say that another request spent the inputs, or the settle window is not over",
)
unresolved_too_long = Guard[Any](
    "unresolved_too_long",
    "the operation has been unresolved for longer than the limit",
    "NOT_TOO_OLD",
    _unresolved_too_long,
    says_no="the operation has not been unresolved for longer than the limit",
)
