"""A request to pay an invoice: checked once, where it comes in, and handed on as it is."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from ...machines.spec import Machine
from ...storage.records import Operation, Policy
from .. import arguments
from ..settings import ON_UNPAID, Settings
from .new_operation import new_operation

ON_DUPLICATE = ("return", "error")


@frozen
class MeltRequest:
    """A checked request: the melt that it would be (in pseudo-state ``none``), the end of its invoice in
    epoch ms, and how the caller wants repetitions and waiting to be treated."""

    op: Operation
    invoice_expires_at: int
    on_duplicate: str
    wait_s: float
    named: bool = (
        True  # by a transaction id of the caller; one that was drawn here belongs to no other request
    )

    @classmethod
    def checked(
        cls,
        machine: Machine[Any],
        settings: Settings,
        now: int,
        *,
        npub: object,
        mint_url: object,
        unit: object,
        invoice: object,
        two_step: bool = False,
        wallet_id: str | None = None,
        sources: object = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        on_duplicate: object = "return",
        on_unpaid: object = None,
        fee_max: object = None,
        wait_s: object = None,
        parent_id: str | None = None,
    ) -> MeltRequest:
        """The request of these arguments, those of :meth:`Engine.melt`. ``parent_id`` is the operation whose
        action starts the melt. Codes INVALID_*, INVOICE_WITHOUT_AMOUNT."""
        owner, url, unit = arguments.npub(npub), arguments.mint_url(mint_url), arguments.unit(unit)
        text, decoded, amount = arguments.invoice(invoice, unit)
        repeated = arguments.choice(on_duplicate, "on_duplicate", ON_DUPLICATE)
        chosen = settings.on_unpaid if on_unpaid is None else on_unpaid
        unpaid = arguments.choice(chosen, "on_unpaid", ON_UNPAID)
        wait = settings.wait_s if wait_s is None else arguments.seconds(wait_s, "wait_s")
        most = None if fee_max is None else arguments.fee(fee_max, settings.amount_max, "fee_max")
        named = arguments.source_ids(sources, settings.proofs_per_operation_max)
        said = {"on_unpaid": None if on_unpaid is None else unpaid, "fee_max": most}
        op = new_operation(
            machine,
            now=now,
            npub=owner,
            mint_url=url,
            unit=unit,
            amount=arguments.amount(amount, settings.amount_max),
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            policy=Policy(two_step, unpaid, named, most),
            request=text,
            payment_hash=decoded.payment_hash,
            parent_id=parent_id,
            bound={name: value for name, value in said.items() if value is not None},
        )
        return cls(op, decoded.expires_at, repeated, wait, named=transaction_id is not None)
