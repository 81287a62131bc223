"""A receive in flight: what became of it, and why it ended as it did."""

from __future__ import annotations

from ....storage.records import Reason
from ...loop.drive import Result, Run
from ..shared import exchanging

_GONE = Reason(
    "TOKEN_SPENT",
    "the giver of the token, or another receiver, spent it: the mint signed no output of ours for it",
)


def ask_outcome(run: Run) -> Result:
    """Restore first; only when no output is signed the proofs of the token decide."""
    return exchanging.ask_outcome(run, exchanging.Said(_GONE, _not_received))


def _not_received(run: Run) -> Reason:
    if run.operation.reason is not None:
        return run.operation.reason
    words = "the mint did not exchange the token, and it calls every proof of it UNSPENT"
    return Reason("MINT_WILL_NOT_SWAP", words, retryable=True)
