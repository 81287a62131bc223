"""Questions about one receive. Each guard: one question, two sentences, one refusal code. Those that other
machines ask too are in :mod:`~nutstate.machines.common_guards` and
:mod:`~nutstate.machines.exchange_guards`."""

from __future__ import annotations

from ..spec import Guard
from .facts import ReceiveFacts

not_received = Guard[ReceiveFacts](
    "not_received",
    "no operation receives this token now, or has received it",
    "ALREADY_RECEIVED",
    lambda f: f.holder_asked and f.claim_holder is None,
    says_no="another operation receives this token now, or has received it",
)
nothing_of_ours = Guard[ReceiveFacts](
    "nothing_of_ours",
    "the mint signed no output of ours, and the settle window is over",
    "RESTORE_INCOMPLETE",
    lambda f: f.restored_none and f.send_clock.over,
    says_no="the mint signed an output of ours or did not answer, or the settle window is not over",
)
