"""The last question to the mint before an operator gives a melt up or frees its inputs."""

from __future__ import annotations

from ...cashu.keysets import MintSilent
from ...cashu.port import Unreachable
from ...errors import Refused
from ...loop.drive import Happened, Run
from ...loop.evidence import Evidence
from ..shared.unanswered import UNANSWERED, unanswered
from .actions.change import change_at_last
from .actions.find_fence import find_fence
from .actions.pay import ask_state
from .data import melt_of


def look_before_write_off(run: Run, force: bool) -> Happened | Evidence:
    """An event that ends the operation better than giving it up, or the evidence to give it up by.

    Code MINT_UNREACHABLE for what the mint does not answer; with ``force`` only that part stays unknown."""
    if run.operation.state not in ("attention", "stuck"):
        return Evidence()
    try:
        return _fence_or_change(run, force)
    except MintSilent:
        error = unanswered()
    raise error


def _fence_or_change(run: Run, force: bool) -> Happened | Evidence:
    op = run.operation
    if op.quote is None:
        return Evidence()
    if op.state == "stuck":
        return _watched(run, force)
    evidence = Evidence()
    # twice, because a fence of ours may be executed between the questions
    for ask in (True, False):
        fence = find_fence(run)
        if isinstance(fence, Happened):
            return fence
        if fence is None and not force:
            raise MintSilent(Unreachable("no answer about our fence"))
        if ask:
            evidence = change_at_last(run, force)
            if melt_of(op).payment is None and run.decide("mint_paid", evidence).accepted:
                return Happened("mint_paid", evidence)  # then its change is waited for, as after any payment
    unspent = evidence.states is not None and {state.state for state in evidence.states} == {"UNSPENT"}
    if unspent and not force:
        raise Refused(
            "the mint calls every input UNSPENT: free them with release, or give them up with force",
            code="INPUTS_STILL_UNSPENT",
        )
    return evidence


def _watched(run: Run, force: bool) -> Happened | Evidence:
    """An answer that ends the watch by itself comes before an operator's word. While the mint does not tell
    the fate of the payment or of a fence, only force ends the watch."""
    found = ask_state(run)
    assert isinstance(found, Happened)
    if run.decide(found.event, found.evidence).accepted:
        return found
    if force:
        return found.evidence
    if found.event in UNANSWERED:
        raise MintSilent(Unreachable("no answer about what is watched"))
    if found.event != "mint_unpaid":
        raise Refused(
            "the mint does not call the quote UNPAID: wait, or end it by force", code="PAYMENT_IN_FLIGHT"
        )
    fence = find_fence(run)
    if fence is None:
        raise MintSilent(Unreachable("no answer about our fence"))
    return fence if isinstance(fence, Happened) else found.evidence


def look_before_release(run: Run, force: bool) -> Happened | Evidence:
    """Quote and input states as they are now, for an operator who would trust them. Raises what
    :func:`look_before_write_off` raises when the mint does not answer."""
    if run.operation.state != "attention":
        return Evidence()
    try:
        fence = find_fence(run)
        if fence is None:
            raise MintSilent(Unreachable("no answer about our fence"))
        return fence.evidence if isinstance(fence, Happened) else change_at_last(run, force=False)
    except MintSilent:
        error = unanswered()
    raise error
