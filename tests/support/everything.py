"""All that a store holds, to be compared before and after."""

from __future__ import annotations

from attrs import frozen

from nutstate.storage.batch import proof_key
from nutstate.storage.port import AuditQuery, Held, OperationQuery, Reader, TokenQuery
from nutstate.storage.records import AuditRecord, Operation, Token

LIMIT = 100_000


@frozen
class Everything:
    """Operations, tokens, audit records, the proof index and the balances of every npub."""

    operations: dict[str, Operation]
    tokens: dict[str, Token]
    audit: dict[str, AuditRecord]
    owners: dict[str, str]
    balances: dict[str, tuple[Held, ...]]


def everything(store: Reader) -> Everything:
    """A copy of what can be read; two are equal when nothing was written between them."""
    operations = {op.id: op for op in store.operations(OperationQuery(limit=LIMIT))}
    tokens = {token.transaction_id: token for token in store.tokens(TokenQuery(limit=LIMIT))}
    trails = [store.audit(AuditQuery(operation_id=name, limit=LIMIT)) for name in operations]
    keys = [proof_key(proof.secret) for token in tokens.values() for proof in token.proofs]
    npubs = {op.npub for op in operations.values()} | {token.npub for token in tokens.values()}
    return Everything(
        operations=operations,
        tokens=tokens,
        audit={record.id: record for trail in trails for record in trail},
        owners=dict(store.proof_owners(keys)),
        balances={npub: tuple(store.balance(npub)) for npub in sorted(npubs)},
    )
