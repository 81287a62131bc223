"""Parts beside the code of the kinds: evidence that callers hand over, and one action that reads what
the model does not keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ...engine.checks.documents import NO_CHECKS
from ...engine.checks.documents import Documents as Checked
from ...engine.checks.tally import Tally
from ...engine.loop.drive import Happened, Result, Run
from ...engine.loop.evidence import Chosen, Evidence, Recorded, Selection
from ...engine.operations.swap.choice import Wish, begin_swap
from ...storage.port import TokenQuery
from .labels import CALLERS_FEE, proof
from .stored import LONG, NOW


def _adds_up(run: Run) -> Result:
    """In place of the reconciliation: what the kind adds up, over the documents."""
    checks = run.kind.checks or NO_CHECKS
    tokens = {token.transaction_id: token for token in run.draft.all_tokens()}
    documents = Checked(run.operation, (), tokens, (), (), {}, {}, checks)
    tally = Tally()
    checks.completes(tally, documents)
    checks.sums(tally, documents)
    if tally.expected:
        return Happened("reconcile_failed", Evidence(checks_performed=1, discrepancies=tuple(tally.expected)))
    return Happened("reconcile_passed", Evidence(checks_performed=1))


def _hold(run: Run) -> Result:
    """A caller holds all of the tokens that it named."""
    named = _named(run)
    run.set_data(hold_until=NOW + LONG, sources_total=named.selection.amount if named.selection else 0)
    return Happened("hold", named)


def _record(run: Run) -> Result:
    """A caller says what it paid with the tokens, and hands over the change that it got."""
    named, op = _named(run), run.operation
    left = (named.selection.amount if named.selection else 0) - op.amount - CALLERS_FEE
    change = (proof(f"{op.id}.0", left),) if left > 0 else ()
    recorded = Recorded(amount=op.amount, fee=CALLERS_FEE, payment_hash=op.payment_hash)
    return Happened("record", attrs.evolve(named, recorded=recorded, proofs=change))


def _named(run: Run) -> Evidence:
    op = run.operation
    tokens = run.store.tokens(TokenQuery(ids=op.policy.sources, limit=len(op.policy.sources)))
    holder = run.store.operation_by_claim(op.payment_hash) if op.payment_hash else None
    selection = Selection(tuple(Chosen(token, token.proofs) for token in tokens), 0)
    return Evidence(selection=selection, claim_holder=None if holder is None else holder.id)


def _swap(run: Run) -> Result:
    """A caller swaps for exactly the amount of the plan."""
    return begin_swap(run, Wish((run.operation.amount,)))


CALLS: Mapping[str, Callable[[Run], Result]] = {"hold": _hold, "record": _record, "swap": _swap}
"""Events whose evidence comes from a caller."""


STAND_INS: Mapping[str, Callable[[Run], Result]] = {"reconcile": _adds_up}
"""Actions that read what the model does not keep."""
