"""Reconciliation: after a melt, every document it must have left is looked at again."""

from __future__ import annotations

from attrs import define, field

from ..machines.money import conserved
from ..storage.audit_hash import audit_hash
from ..storage.batch import proof_key
from ..storage.port import AuditQuery, Reader
from ..storage.records import Operation, Reason, Token
from .evidence import Evidence
from .run import Happened, Result, Run


@define
class Checks:
    """What was checked and what was wrong. Texts name documents, never secrets."""

    performed: int = 0
    discrepancies: list[str] = field(factory=list)

    def that(self, holds: bool, otherwise: str) -> None:
        self.performed += 1
        if not holds:
            self.discrepancies.append(otherwise)


def reconcile(run: Run) -> Result:
    """The action of ``settled``: check from one snapshot and say what was found."""
    with run.store.snapshot() as reader:
        checks = check_melt(reader, run.operation.id)
    found = tuple(checks.discrepancies)
    if not found:
        return Happened("reconcile_passed", Evidence(checks_performed=checks.performed))
    reason = Reason("RECONCILIATION_FAILED", "; ".join(found)[:300], details={"count": len(found)})
    evidence = Evidence(checks_performed=checks.performed, discrepancies=found, reason=reason)
    return Happened("reconcile_failed", evidence)


def check_melt(reader: Reader, operation_id: str) -> Checks:
    """Check the documents of one paid melt: inputs, keep, change, sums and the audit chain."""
    checks = Checks()
    op = reader.operation(operation_id)
    checks.that(op is not None, "the operation is missing")
    if op is None:
        return checks
    checks.that(op.payment is not None, "the payment is not recorded")
    for part in op.inputs:
        token = reader.token(part.token_id)
        checks.that(token is not None, f"input {part.token_id} is missing")
        if token is not None:
            checks.that(
                token.state == "spent" and token.spent_at is not None, f"{part.token_id} is not spent"
            )
            checks.that(token.total_amount == part.amount, f"{part.token_id} has another amount")
            checks.that(token.npub == op.npub, f"{part.token_id} has another owner")
            _indexed(reader, checks, token)
    _born(reader, checks, op, op.keep_token_id, op.keep_total)
    _born(reader, checks, op, op.change_token_id, op.change_amount)
    checks.that(_sums(op), "value is not conserved")
    _audit(reader, checks, op)
    return checks


def _sums(op: Operation) -> bool:
    fee = op.payment.lightning_fee if op.payment else None
    loss = 0 if op.evidence == "caller" else op.loss  # sources that others used are theirs to account for
    return fee is not None and conserved(
        op.sources_total, op.amount, fee, op.input_fee, op.keep_total, op.change_amount, loss
    )


def _born(reader: Reader, checks: Checks, op: Operation, token_id: str | None, amount: int) -> None:
    """A token this melt created; it may have been used since, but not have another origin."""
    checks.that((token_id is not None) == (amount > 0), "an amount has no token or a token no amount")
    if token_id is None:
        return
    token = reader.token(token_id)
    checks.that(token is not None, f"{token_id} is missing")
    if token is None:
        return
    checks.that(token.transaction_type == "change", f"{token_id} is not change")
    checks.that(token.metadata.parent_transaction_id == op.id, f"{token_id} has another parent")
    checks.that(token.npub == op.npub and token.mint_url == op.mint_url, f"{token_id} has another owner")
    if token.version == 1:
        checks.that(token.state == "unspent", f"{token_id} is not unspent")
        checks.that(token.total_amount == amount, f"{token_id} has another amount")
        _indexed(reader, checks, token)


def _indexed(reader: Reader, checks: Checks, token: Token) -> None:
    keys = [proof_key(proof.secret) for proof in token.proofs]
    owners = reader.proof_owners(keys)
    checks.that(
        all(owners.get(key) == token.transaction_id for key in keys),
        f"the proof index disagrees about {token.transaction_id}",
    )


def _audit(reader: Reader, checks: Checks, op: Operation) -> None:
    records = reader.audit(AuditQuery(operation_id=op.id))
    checks.that(len(records) == op.audit_seq, "audit records are missing or too many")
    previous, own = "", 0
    intact = True
    for seq, record in enumerate(records, 1):
        intact = intact and record.seq == seq and record.prev_hash == previous
        intact = intact and audit_hash(record) == record.hash
        previous = record.hash
        own += record.entity == f"operation:{op.id}"
    checks.that(intact and previous == op.audit_hash, "the audit chain is broken")
    checks.that(own == op.version, "the number of audit records is not the operation's version")
