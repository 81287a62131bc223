"""Questions about one swap. Each guard: one question, two sentences, one refusal code. Those that other
machines ask too are in :mod:`~nutstate.machines.common_guards` and
:mod:`~nutstate.machines.exchange_guards`."""

from __future__ import annotations

from ..spec import Guard
from .facts import SwapFacts

coin_refused = Guard[SwapFacts](
    "coin_refused",
    "the mint refused the only coin of the request for good",
    "REFUSAL_NOT_PROVEN",
    lambda f: f.refused_for == "coin" and f.input_count == 1,
    says_no="the mint did not refuse a coin alone and for good",
)
request_dead = Guard[SwapFacts](
    "request_dead",
    "the request is dead: an input is SPENT, no input PENDING and no output of ours signed",
    "PAYMENT_IN_FLIGHT",
    lambda f: f.restored_none and "SPENT" in f.input_states and "PENDING" not in f.input_states,
    says_no="the request may still be executed: only a SPENT input with no output of ours rules it out",
)
