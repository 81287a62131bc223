"""Melt, refused by the mint itself: does it stand by that?"""

from __future__ import annotations

from ....cashu.answers import post_failed, quote_event
from ....cashu.port import Failure
from ....loop.drive import Happened, Pause, Result, Run
from ....loop.evidence import Evidence
from ...shared.asked import ask_inputs
from ..data import melt_of
from .pay import paid_with_ours, said_of


def confirm_refusal(run: Run) -> Result:
    """Ask the quote, then every input. UNPAID and UNSPENT twice, a refusal window apart, frees the inputs;
    anything else means that the request may be under way after all."""
    op = run.operation
    assert op.quote is not None
    since = melt_of(op).held_unspent_since
    if since is not None:
        left = run.settings.refusal_window_s - (run.judged_at() - since) / 1000
        if left > 0:
            return Pause(left + 0.001)
    quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        return Happened(post_failed(quote), Evidence(answer=quote))
    if quote.state == "PAID":
        return paid_with_ours(run, quote)
    if quote.state != "UNPAID":
        return Happened(quote_event(quote), said_of(quote))
    states = ask_inputs(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(answer=states))
    evidence = Evidence(quote=quote, states=states)
    for event in ("refusal_stands", "refusal_seen"):
        if run.decide(event, evidence).accepted:
            return Happened(event, evidence)
    return Happened("mint_unpaid", evidence)
