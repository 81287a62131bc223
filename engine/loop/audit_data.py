"""The data of a transition's audit record beside the states."""

from __future__ import annotations

from typing import Any

import attrs

from ...machines.money import is_amount
from .drive import Run
from .evidence import Evidence


def audit_data(run: Run, evidence: Evidence) -> dict[str, Any]:
    """Amounts, times and reasons of the evidence, never anything that is money."""
    op = run.operation
    data: dict[str, Any] = {"kind": op.kind, "amount": op.amount, "unit": op.unit, "npub": op.npub}
    if op.payment_hash is not None:
        data["payment_hash"] = op.payment_hash
    if evidence.selection is not None:
        data |= {
            "inputs": evidence.selection.amount,
            "input_fee": evidence.selection.input_fee,
            "kept": sum(proof.amount for proof in evidence.selection.left_behind),
        }
    if evidence.quote is not None:
        data["quote_state"] = evidence.quote.state
        if is_amount(evidence.quote.fee_reserve, 0):
            data["fee_reserve"] = evidence.quote.fee_reserve
    if evidence.mint_quote is not None:
        data["quote_state"] = evidence.mint_quote.state
    for quote in (evidence.quote, evidence.mint_quote):
        if quote is not None and (quote.said or quote.notes):
            data |= {"quote_said": quote.said or "", "set_aside": list(quote.notes)}
    if evidence.states is not None:
        names = sorted({state.state for state in evidence.states})
        data["input_states"] = {n: sum(s.state == n for s in evidence.states) for n in names}
    if evidence.proofs is not None:
        data["new_value"] = sum(proof.amount for proof in evidence.proofs)
    if evidence.checks_performed:
        data |= {"checks_performed": evidence.checks_performed, "discrepancies": list(evidence.discrepancies)}
    if evidence.reason is not None:
        data["reason"] = attrs.asdict(evidence.reason)
    if evidence.operator_reason:
        data["operator_reason"] = evidence.operator_reason
    if evidence.operator is not None:
        data["operator"] = evidence.operator
    return dict(run.kind.audit(op, evidence)) | data
