"""The facts of a check, for its guards."""

from __future__ import annotations

from ....machines.check.facts import CheckFacts
from ...loop.look import Look


def check_facts(look: Look) -> CheckFacts:
    """The facts of a check. ``preflight_spent`` are the proofs that the mint called SPENT at first,
    ``states`` its second answer about these proofs."""
    evidence = look.evidence
    first = evidence.preflight_spent or frozenset()
    again = {state.Y for state in evidence.states or () if state.state == "SPENT"}
    chosen = evidence.selection.chosen if evidence.selection is not None else ()
    return CheckFacts(
        checks_performed=evidence.checks_performed,
        discrepancies=len(evidence.discrepancies),
        said_spent=len(first),
        said_spent_again=len(first & again),
        operator_reason=evidence.operator_reason,
        quote_paid=evidence.quote is not None and evidence.quote.state == "PAID",
        fence_signed=evidence.fence_outputs_signed,
        stranded_tokens=sum(part.token.state == "stranded" for part in chosen),
    )
