"""The mint is asked about chosen proofs before they are reserved."""

from __future__ import annotations

from collections.abc import Iterable

from ....storage.evolve import evolve
from ....storage.records import Reason
from ...cashu.keysets import MintSilent
from ...cashu.port import Failure, ProofState
from ...checks.preflight_table import Asked, PreflightReport, judge
from ...loop.drive import Run
from ...loop.evidence import Chosen, Selection
from ...tokens.proofs import name_of, named


def report_about(parts: Iterable[Chosen], state: str, said: Iterable[ProofState]) -> PreflightReport:
    """The report of the pre-flight table about these proofs, all of which are in one state of the store."""
    asked = [
        Asked(name_of(proof), part.token.transaction_id, proof.amount, state)
        for part in parts
        for proof in part.proofs
    ]
    return judge(asked, [(answer.Y, answer.state) for answer in said])


def confirmed_spent(run: Run, states: tuple[ProofState, ...]) -> frozenset[str]:
    """The Ys the mint calls SPENT, asked twice: marking money as spent rests on more than one answer."""
    once = [state.Y for state in states if state.state == "SPENT"]
    if not once:
        return frozenset()
    again = run.mint.check_states(run.mint_url, once)
    if isinstance(again, Failure):
        raise MintSilent(again)
    return frozenset(state.Y for state in again if state.state == "SPENT")


def inconsistent(spent: frozenset[str], report: PreflightReport) -> Reason:
    """The reason of an operation that found chosen proofs SPENT, and corrects them."""
    return Reason(
        "PROOF_STATE_INCONSISTENCY",
        "the mint calls some chosen proofs SPENT; they were corrected",
        retryable=True,
        details={
            "spent_proofs": len(spent),
            "counts": dict(report.counts),
            "recommendation": report.recommendation,
            "finding": report.code,
        },
    )


def with_names(selection: Selection) -> Selection:
    """The same selection with every chosen proof carrying its Y (NUT-07 name)."""
    parts = []
    for part in selection.chosen:
        names = {proof.secret: named(proof) for proof in part.proofs}
        proofs = tuple(names.get(proof.secret, proof) for proof in part.token.proofs)
        parts.append(Chosen(evolve(part.token, proofs=proofs), tuple(names.values())))
    return evolve(selection, chosen=tuple(parts))
