"""A recording as the caller asks for it, compared with what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs import field, frozen

from ....machines.spec import Machine
from ....storage.records import Operation, Policy, Reason, Token
from ... import arguments
from ...admission import new_operation
from ...errors import InvalidArgument, Refused
from ...loop.effect_context import is_free
from ...loop.evidence import Recorded
from ...settings import Settings
from ...tokens.ids import validate_transaction_id
from . import holds
from .data import record_of
from .proofs import KeepAndChange, keep_and_change


@frozen
class Wanted:
    """A checked recording: the operation that it would be, and the caller's report of the payment."""

    op: Operation
    said: Recorded
    handed: KeepAndChange = field(repr=False)
    hold: str | None = None

    @classmethod
    def checked(
        cls,
        machine: Machine[Any],
        settings: Settings,
        now: int,
        hold_of: Callable[[str, str], Operation],
        *,
        sources: object,
        keep: object,
        change: object,
        amount: object,
        fee: object,
        npub: object,
        mint_url: object,
        unit: object,
        wallet_id: object,
        transaction_id: str | None,
        payment_request: object,
        parent_transaction_id: object,
        idempotency_key: str | None,
        hold: str | None,
    ) -> Wanted:
        """The recording of these arguments, those of :meth:`Engine.record_melt`. ``hold_of`` reads a hold of
        an owner; nothing else is looked at in the store. Codes INVALID_*, TOO_MANY_PROOFS, DUPLICATE_SECRET,
        NOT_FOUND, NOT_HELD, HOLD_MISMATCH, MINT_OR_UNIT_MISMATCH."""
        most = settings.proofs_per_operation_max
        owner, url, unit = arguments.npub(npub), arguments.mint_url(mint_url), arguments.unit(unit)
        wallet = arguments.wallet_id(wallet_id, owner)
        paid, cost = arguments.amount(amount, settings.amount_max), arguments.fee(fee, settings.amount_max)
        handed = keep_and_change(keep, change, most)
        parent = None if parent_transaction_id is None else arguments.operation_id(parent_transaction_id)
        request = arguments.payment_request(payment_request, unit)
        named = holds.named_sources(sources, hold, most)
        if transaction_id is not None:
            validate_transaction_id(transaction_id)
        arguments.idempotency_key(idempotency_key)
        if hold is not None:
            held = holds.in_wallet(hold_of(hold, owner), wallet, url, unit)
            named = holds.sources_of_hold(held, named, transaction_id)
            request = holds.request_of_hold(held, request, unit)
        text, hashed, asked = request
        _check_asked(asked, paid)
        op = new_operation.new_operation(
            machine,
            now=now,
            npub=owner,
            mint_url=url,
            unit=unit,
            amount=paid,
            wallet_id=wallet,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            policy=Policy(sources=named),
            request=text,
            payment_hash=hashed,
            bound={"fee": cost, "parent": parent, "recorded": handed.fingerprint},
        )
        said = Recorded(
            amount=paid, fee=cost, payment_hash=hashed, request=text, fingerprint=handed.fingerprint
        )
        return cls(attrs.evolve(op, id=hold or op.id, parent_id=parent), said, handed, hold)


def _check_asked(asked: int | None, paid: int) -> None:
    if asked is not None and asked != paid:
        raise InvalidArgument(
            "the invoice asks for another amount", code="INVALID_AMOUNT", invoice=asked, amount=paid
        )


def repeated(first: Operation, wanted: Wanted) -> Operation:
    """The first recording, if it is the same in every respect. Returning it for another keep or change
    would drop proofs."""
    op = wanted.op
    same = new_operation.dedup_key(first) == new_operation.dedup_key(op)
    if same and record_of(first).recorded_hash == wanted.said.fingerprint:
        return first
    if not same and wanted.hold is None:
        raise new_operation.taken_id(op)
    raise Refused(
        "this melt was recorded before, with other amounts or another keep or change",
        code="DUPLICATE_OPERATION",
        first_operation=first.id,
        age_s=round((op.created_at - first.created_at) / 1000, 3),
    )


def parked(op: Operation, tokens: tuple[Token, ...]) -> Reason:
    taken = sorted(token.transaction_id for token in tokens if not is_free(token, op))
    return Reason(
        "CONCURRENT_OPERATION",
        "the payment is recorded, but a source or the invoice belongs to another operation",
        details={"tokens": taken},
    )


def account(wanted: Wanted, tokens: tuple[Token, ...]) -> dict[str, object]:
    """The sum as the store sees it, for a caller whose sources have changed."""
    return {
        "sources": {token.transaction_id: token.total_amount for token in tokens},
        "amount": wanted.said.amount,
        "fee": wanted.said.fee,
        "keep": sum(proof.amount for proof in wanted.handed.keep),
        "change": sum(proof.amount for proof in wanted.handed.change),
    }
