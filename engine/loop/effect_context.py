"""The context of an effect, and the small steps that several effects share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from ...machines.money import owed_max, owed_min
from ...machines.spec import Decision
from ...machines.token.states import CORRECT_SPENT, DEPOSIT, RESERVED, UNSPENT
from ...storage.evolve import evolve
from ...storage.records import Operation, Proof, Token, TokenMetadata
from ...storage.secret import Secret
from ..settings import Settings
from ..tokens.ids import legacy_operation_hash
from .draft import Draft
from .evidence import Evidence
from .own_data import OwnData


@frozen
class EffectContext:
    """Everything that an effect may read or stage."""

    kind: OwnData
    draft: Draft
    decision: Decision
    evidence: Evidence
    settings: Settings
    now: int
    worker: str = ""

    @property
    def operation(self) -> Operation:
        """The operation as staged so far."""
        return self.draft.operation

    @property
    def data(self) -> Any:
        """The operation's data, as the kind's class."""
        return self.kind.data_of(self.draft.operation)

    @property
    def own(self) -> Any:
        """The evidence of a kind's own event."""
        return self.evidence.own

    def keep(self, data: object) -> None:
        """Stage new data of the operation, an instance of the kind's class. Code INVALID_DATA."""
        self.draft.set(data=self.kind.stored(data))

    def set_data(self, **fields: Any) -> None:
        """Stage other values of these fields of the operation's data. Code INVALID_DATA."""
        self.keep(evolve(self.data, **fields))


Effect = Callable[[EffectContext], None]


def inputs_total_of(op: Operation) -> int:
    return sum(part.amount for part in op.inputs)


def inputs_total(context: EffectContext) -> int:
    return inputs_total_of(context.draft.operation)


def owed_bounds(amount: int, fee_reserve: int, input_fee: int, inputs: int) -> tuple[int, int]:
    """(owed_min, owed_max) of the change, in the operation's unit."""
    return owed_min(inputs, amount, input_fee, fee_reserve), owed_max(inputs, amount, input_fee)


def new_token(
    context: EffectContext, token_id: str, kind: str, source: str, proofs: tuple[Proof, ...]
) -> Token:
    """A token of this operation that does not exist yet. Only change names its parent here."""
    op = context.draft.operation
    return Token(
        transaction_id=token_id,
        npub=op.npub,
        wallet_id=op.wallet_id,
        mint_url=op.mint_url,
        unit=op.unit,
        transaction_type=kind,
        state="none",
        version=0,
        proofs=proofs,
        total_amount=sum(proof.amount for proof in proofs),
        metadata=TokenMetadata(
            source=source,
            parent_transaction_id=op.id if kind == "change" else None,
            operation_hash=legacy_operation_hash(
                npub=op.npub,
                mint_url=op.mint_url,
                amount=op.amount,
                source_ids=op.policy.sources,
                operation_type=op.kind,
            ),
            atomic_operation=True,
            operation_timestamp=context.now,
        ),
        created_at=context.now,
        updated_at=context.now,
    )


def move_off(context: EffectContext, token: Token, proofs: tuple[Proof, ...], new_id: str) -> Token:
    """A new unspent token of the same kind with proofs that were just split off ``token``."""
    draft = context.draft
    part = new_token(context, new_id, token.transaction_type, token.metadata.source, proofs)
    part = evolve(part, metadata=token.metadata)
    draft.create_token(DEPOSIT, part, context.now, moved_from={token.transaction_id: proofs})
    return part


def mark_spent(context: EffectContext, token: Token, gone: frozenset[Secret], new_id: str) -> None:
    """Split off those of the token's proofs that the mint calls SPENT, and mark them as spent; the rest stays
    money."""
    spent = tuple(proof for proof in token.proofs if proof.secret in gone)
    if not spent:
        return
    if len(spent) < len(token.proofs):
        context.draft.split_token(token.transaction_id, spent, context.now)
        token = move_off(context, token, spent, new_id)
    context.draft.change_token(token.transaction_id, CORRECT_SPENT, context.now, mint_spent_count=len(spent))


def consumed_tokens(tokens: Iterable[Token], secrets: frozenset[Secret]) -> tuple[Token, ...]:
    """The tokens that hold any of these proofs."""
    return tuple(token for token in tokens if any(proof.secret in secrets for proof in token.proofs))


def is_free(token: Token, op: Operation) -> bool:
    """Whether the token is unspent, or reserved by this operation."""
    return token.state == UNSPENT or (token.state == RESERVED and token.reserved_by == op.id)
