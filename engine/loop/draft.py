"""A draft: transitions staged in memory until one commit makes them true together."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from ...machines import TOKEN, step
from ...machines.money import is_amount
from ...machines.spec import NONE, Decision, Machine
from ...machines.token.facts import TokenFacts
from ...machines.token.states import SPENT
from ...machines.token.words import CLEAR_RESERVED_BY, SET_RESERVED_BY, SET_SPENT_AT
from ...storage.batch import Advance, Batch, DedupTake, IndexInsert, IndexMove, Insert, proof_key
from ...storage.errors import Duplicate
from ...storage.evolve import evolve
from ...storage.records import AuditRecord, Operation, Proof, Token
from ...storage.rules.audit_hash import token_hash
from ..audit import records as audit
from ..errors import refusal_error


def new_batch_id() -> str:
    return f"b_{secrets.token_hex(12)}"


def operation_entity(operation_id: str) -> str:
    return f"operation:{operation_id}"


def token_entity(token_id: str) -> str:
    return f"token:{token_id}"


class Draft:
    """Everything the next commit will write for one operation. Dropping it undoes it."""

    token_machine: Machine[Any] = TOKEN
    """It decides about tokens. The exploration puts other tables in its place."""

    def __init__(self, machine: Machine[Any], operation: Operation, stored: bool, actor: str) -> None:
        self.machine = machine
        self.operation = operation
        self.actor = actor
        self._before = operation if stored else None
        self._tokens_before: dict[str, Token] = {}
        self._tokens: dict[str, Token] = {}
        self._index: list[IndexInsert | IndexMove] = []
        self._records: list[AuditRecord] = []
        self._seq = operation.audit_seq
        self.dedup: DedupTake | None = None
        self.changes = 0
        """Counts every change of the draft: what was found out about it holds until the next one."""
        self.batch_id = new_batch_id()

    def copy(self) -> Draft:
        """The draft as it is now: what is staged in one of the two from here on is not in the other."""
        twin = copy.copy(self)
        twin._tokens, twin._tokens_before = dict(self._tokens), dict(self._tokens_before)
        twin._index, twin._records = list(self._index), list(self._records)
        return twin

    def rename(self) -> None:
        """Make it another batch: one with the old id was sent, and holds something else."""
        self.changes += 1
        self.batch_id = new_batch_id()
        self._records = [evolve(record, batch_id=self.batch_id) for record in self._records]

    @property
    def dirty(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._records)

    @property
    def stored(self) -> bool:
        """Whether the operation exists in the store already."""
        return self._before is not None

    def load(self, tokens: Iterable[Token]) -> None:
        """Make stored tokens known; their state and version become the commit's condition."""
        self.changes += 1
        for token in tokens:
            if token.transaction_id not in self._tokens:
                self._tokens_before[token.transaction_id] = token
                self._tokens[token.transaction_id] = token

    def token(self, token_id: str) -> Token:
        """The token as it would be after the commit. Raises KeyError if it was not loaded."""
        return self._tokens[token_id]

    def was_spent(self, token_id: str) -> bool:
        """Whether the token is stored as spent already."""
        before = self._tokens_before.get(token_id)
        return before is not None and before.state == SPENT

    def all_tokens(self) -> tuple[Token, ...]:
        return tuple(self._tokens.values())

    def adopt(self, **noted: Any) -> None:
        """Take over lease and schedule as a note left them; they are not part of the next commit."""
        self.changes += 1
        self.operation = evolve(self.operation, **noted)
        if self._before is not None:
            self._before = evolve(self._before, **noted)

    def known(self, token_id: str) -> bool:
        return token_id in self._tokens

    # -- the operation ---------------------------------------------------------------------------

    def advance(self, decision: Decision, now: int, data: Mapping[str, Any]) -> None:
        """Stage an accepted decision about the operation itself. Effects are staged after it."""
        version = self.operation.version + 1
        state = self.machine.state(decision.next_state)
        self._record(self.machine, decision, operation_entity(self.operation.id), version, now, data)
        self.changes += 1
        self.operation = evolve(
            self.operation,
            prev_state=None if decision.state == NONE else decision.state,
            state=decision.next_state,
            kind_of_state=state.kind,
            ends=state.ends,
            version=version,
            updated_at=now,
        )

    def set(self, **changes: Any) -> None:
        """Change fields of the operation that are not its state."""
        self.changes += 1
        self.operation = evolve(self.operation, **changes)

    # -- tokens ----------------------------------------------------------------------------------

    def create_token(
        self,
        event: str,
        token: Token,
        now: int,
        moved_from: Mapping[str, tuple[Proof, ...]] | None = None,
        **facts: Any,
    ) -> None:
        """Stage a new token born by ``event``. Proofs in ``moved_from`` were split off those stored
        tokens in this draft and change place in the index; all others enter it."""
        if token.transaction_id in self._tokens:
            # an id that was free when the caller looked: another call has taken it meanwhile
            raise Duplicate("token_id")
        self._decide(event, NONE, token, now, facts)
        moved = moved_from or {}
        known = {proof.secret for proofs in moved.values() for proof in proofs}
        for source_id, proofs in sorted(moved.items()):
            self._index.append(IndexMove(self._keys(token, proofs), source_id, token.transaction_id))
        fresh = tuple(proof for proof in token.proofs if proof.secret not in known)
        if fresh:
            self._index.append(IndexInsert(self._keys(token, fresh), token.transaction_id))

    def split_token(self, token_id: str, moved: tuple[Proof, ...], now: int) -> None:
        """Stage the removal of some proofs, which the caller puts into another token at once."""
        token = self._tokens[token_id]
        gone = {proof.secret for proof in moved}
        rest = tuple(proof for proof in token.proofs if proof.secret not in gone)
        after = evolve(token, proofs=rest, total_amount=sum(proof.amount for proof in rest))
        self._decide("split", token.state, after, now, {"moved_count": len(moved)}, described=token)

    def fill_token(self, token_id: str, proofs: tuple[Proof, ...], now: int) -> None:
        """Stage the issue of an awaited token."""
        token = self._tokens[token_id]
        after = evolve(token, proofs=proofs, total_amount=sum(proof.amount for proof in proofs))
        self._decide("issue", token.state, after, now, {})
        self._index.append(IndexInsert(self._keys(token, proofs), token_id))

    def change_token(self, token_id: str, event: str, now: int, **facts: Any) -> None:
        """Stage a transition of a stored token that leaves its proofs alone."""
        token = self._tokens[token_id]
        self._decide(event, token.state, token, now, facts)

    def _decide(
        self,
        event: str,
        state: str,
        after: Token,
        now: int,
        facts: Mapping[str, Any],
        described: Token | None = None,
    ) -> None:
        facts_of = token_facts(described or after, self.operation, facts)
        decision = step(self.token_machine, state, event, facts_of)
        if not decision.accepted:
            raise refusal_error(decision.refusals, token=after.transaction_id, event=event, state=state)
        changes: dict[str, Any] = {}
        if SET_RESERVED_BY.name in decision.effects:
            changes["reserved_by"] = self.operation.id
        if CLEAR_RESERVED_BY.name in decision.effects:
            changes["reserved_by"] = None
        if SET_SPENT_AT.name in decision.effects:
            changes["spent_at"] = now
        changed = evolve(
            after,
            prev_state=None if state == NONE else state,
            state=decision.next_state,
            version=after.version + 1,
            updated_at=now,
            **changes,
        )
        data = {
            "amount": after.total_amount,
            "proof_count": len(after.proofs),
            "unit": after.unit,
            "token_hash": token_hash(changed),
        }
        self._record(
            self.token_machine, decision, token_entity(after.transaction_id), changed.version, now, data
        )
        self._tokens[after.transaction_id] = changed
        self.changes += 1

    # -- the commit ------------------------------------------------------------------------------

    def batch(self) -> Batch:
        """The staged changes as plain data, the records chained and bound to the operation as it will be
        stored. The same draft always gives the same batch."""
        before = self._before
        records, end = audit.chained(self._records, self.operation, before.audit_hash if before else "")
        operation = evolve(self.operation, audit_seq=self._seq, audit_hash=end)
        tokens: list[Insert[Token] | Advance[Token]] = []
        for token_id in sorted(self._tokens):
            now, old = self._tokens[token_id], self._tokens_before.get(token_id)
            if old is None:
                tokens.append(Insert(now))
            elif now is not old:
                tokens.append(Advance(old, now))
        return Batch(
            id=self.batch_id,
            operation=Insert(operation) if before is None else Advance(before, operation),
            tokens=tuple(tokens),
            index=tuple(self._index),
            dedup=self.dedup,
            audit=records,
        )

    def _record(
        self,
        machine: Machine[Any],
        decision: Decision,
        entity: str,
        version: int,
        now: int,
        data: Mapping[str, Any],
    ) -> None:
        self._seq += 1
        record = audit.build(
            machine=machine,
            decision=decision,
            operation_id=self.operation.id,
            entity=entity,
            version=version,
            seq=self._seq,
            actor=self.actor,
            at=now,
            batch_id=self.batch_id,
            data=data,
        )
        self._records.append(record)

    @staticmethod
    def _keys(token: Token, proofs: Iterable[Proof]) -> tuple[str, ...]:
        return tuple(proof_key(proof.secret) for proof in proofs)


def token_facts(token: Token, operation: Operation, extra: Mapping[str, Any]) -> TokenFacts:
    """The facts about ``token`` for a step that ``operation`` makes."""
    return TokenFacts(
        **{
            "type": token.transaction_type,
            "parent": token.metadata.parent_transaction_id,
            "proof_count": len(token.proofs),
            "proofs_total": sum(proof.amount for proof in token.proofs),
            "total_amount": token.total_amount,
            "distinct_secrets": len({proof.secret for proof in token.proofs}),
            "bad_amounts": sum(not is_amount(proof.amount) for proof in token.proofs),
            "reserved_by": token.reserved_by,
            "operation_id": operation.id,
            "owner": token.npub,
            "operation_owner": operation.npub,
            "wallet": (token.wallet_id, token.mint_url, token.unit),
            "operation_wallet": (operation.wallet_id, operation.mint_url, operation.unit),
            **extra,
        }
    )
