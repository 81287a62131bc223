"""The last look before an operator gives up a melt that the caller makes itself."""

from __future__ import annotations

from ...cashu.keysets import MintSilent
from ...loop.drive import Run
from ...loop.evidence import Evidence
from ..shared.asked import settled_states
from ..shared.unanswered import unanswered
from .data import record_of


def look_before_write_off(run: Run, force: bool) -> Evidence:
    """The evidence to give it up by. A recorded payment stands; for a hold without a record, the mint tells
    the states of its proofs. Code MINT_UNREACHABLE when the mint does not answer; with ``force`` the states
    stay unknown."""
    if run.operation.state != "contested":
        return Evidence()
    if record_of(run.operation).payment is not None:
        return Evidence(told_by_others=_told_by_others(run))
    try:
        return Evidence(states=settled_states(run, force), forced=force)
    except MintSilent:
        error = unanswered()
    raise error


def _told_by_others(run: Run) -> frozenset[str]:
    """Contested tokens whose end stands in another account: an operation wrote them off, or a check
    corrected them or gave them up."""
    found = set()
    for token in run.draft.all_tokens():
        holder = None if token.reserved_by is None else run.store.operation(token.reserved_by)
        if token.state == "spent" and (holder is None or holder.ends == "lost"):
            found.add(token.transaction_id)
    return frozenset(found)
