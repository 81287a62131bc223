"""The last question to the mint before an operator gives an exchange up, a swap or a receive, or ends it on
the mint's word."""

from __future__ import annotations

from ....storage.evolve import evolve
from ...cashu.port import Failure
from ...errors import Refused
from ...loop.drive import Happened, Run
from ...loop.evidence import Evidence
from .exchanging import ask_sent, signed_outputs
from .unanswered import unanswered


def look_before_write_off(run: Run, force: bool) -> Happened | Evidence:
    """An event that ends the operation better than giving it up, or the evidence to give it up by.

    Code MINT_UNREACHABLE for what the mint does not answer; with ``force`` only that part stays unknown."""
    found = _looked(run, force)
    if isinstance(found, Happened) or run.draft.machine.state(run.operation.state).frees:
        return found
    unspent = found.states is not None and {state.state for state in found.states} == {"UNSPENT"}
    if unspent and not force:
        raise Refused(
            "the mint calls every input UNSPENT: free them with release, or give them up with force",
            code="INPUTS_STILL_UNSPENT",
        )
    return found


def look_before_release(run: Run, force: bool) -> Happened | Evidence:
    """The answers of restore and of the inputs as they are now, for an operator who would trust them. Code
    MINT_UNREACHABLE when the mint does not answer."""
    return _looked(run, force=False)


def _looked(run: Run, force: bool) -> Happened | Evidence:
    """Restore, the inputs, and restore again: the request may be executed between the questions."""
    evidence = Evidence(forced=force)
    for last in (False, True):
        found = signed_outputs(run)
        if found is None and not force:
            raise unanswered()
        if found is not None and run.decide("signatures_restored", found).accepted:
            return Happened("signatures_restored", found)
        none = found is not None and found.restored_none
        evidence = evolve(evidence, restored_none=none and (evidence.restored_none or not last))
        if not last:
            states = ask_sent(run)
            if isinstance(states, Failure) and not force:
                raise unanswered()
            evidence = evolve(evidence, states=None if isinstance(states, Failure) else states)
    return evidence
