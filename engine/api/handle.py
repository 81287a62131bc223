"""Handles, which the calls return: an operation as it was last read, its outcome, and the way to read it
again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs
from attrs import frozen

from ...machines.token.states import BALANCES, RESERVED, STRANDED, UNSPENT
from ...machines.token.table import STATUS_OF_STATE, TOKEN
from ...storage.port import Store
from ...storage.records import AuditRecord, Operation, Reason
from ...storage.secret import Secret
from ..audit.verify import records_of
from ..errors import InvalidArgument
from ..loop.account import Account
from ..loop.effect_context import inputs_total_of
from ..loop.kinds import Kinds
from ..recovery.numbers import RecoveryNumbers
from .outcome import insist_on_paid, outcome_of


class Source(Protocol):
    """Where handles come from: the engine."""

    store: Store
    kinds: Kinds

    def operation(self, operation_id: str) -> Handle:
        """The operation as it is now."""


@frozen(eq=False)
class Handle:
    """An operation at one moment. Amounts are in ``unit``; :meth:`refresh` reads it again."""

    _engine: Source
    record: Operation

    def __repr__(self) -> str:
        return f"<{self.record.kind} {self.id} {self.state} {self.amount} {self.unit}>"

    @property
    def id(self) -> str:
        """The transaction id."""
        return self.record.id

    @property
    def kind(self) -> str:
        """melt, record, mint, swap, receive, deposit or check, or the name of an own kind."""
        return self.record.kind

    @property
    def state(self) -> str:
        """The state of its machine (docs/machines.md)."""
        return self.record.state

    @property
    def unit(self) -> str:
        """sat or msat."""
        return self.record.unit

    @property
    def amount(self) -> int:
        """The amount that is paid (melt), issued (mint), made (swap), credited (receive)
        or handed in (deposit)."""
        return self.record.amount

    @property
    def is_final(self) -> bool:
        """True when it has ended; nothing leaves a final state."""
        return self.record.kind_of_state == "final"

    @property
    def is_parked(self) -> bool:
        """True when it waits for an operator."""
        return self.record.kind_of_state == "parked"

    @property
    def outcome(self) -> str:
        """The outcome in one of four words.

        ``paid``: it did what was asked (a melt whose payment the mint has proven or the caller recorded,
        also while its change is awaited; issued, deposited, checked). ``unpaid``: it ended without, or its
        inputs are free again while the quote is still watched: a new attempt is allowed. ``open``: not known
        yet, it goes on; pay nothing elsewhere. ``parked``: it needs a person, or a person gave it up without
        knowing; pay nothing elsewhere.
        """
        return outcome_of(self.record, self._engine.kinds)

    @property
    def is_paid(self) -> bool:
        """Whether ``outcome`` is ``paid``."""
        return self.outcome == "paid"

    def raise_unless_paid(self) -> Handle:
        """Returns this handle if ``outcome`` is ``paid``, else raises a typed error: NotPaid (code
        NOT_PAID), StillOpen (OUTCOME_OPEN) or NeedsPerson (OUTCOME_PARKED), each with ``operation_id``."""
        insist_on_paid(self.record, self.outcome)
        return self

    @property
    def account(self) -> Account:
        """The numbers of its money, and how its payment is proven."""
        return self._engine.kinds.account_of(self.record)

    @property
    def fee_reserve(self) -> int:
        """The most Lightning may cost (NUT-05)."""
        return self.account.fee_reserve

    @property
    def input_fee(self) -> int:
        """The mint's fee for the inputs (NUT-02)."""
        return self.account.input_fee

    @property
    def lightning_fee(self) -> int | None:
        """The Lightning fee that was paid; None until the change is known."""
        payment = self.account.payment
        return payment.lightning_fee if payment else None

    @property
    def cost(self) -> int | None:
        """The wallet's loss to fees, in every end: Lightning and input fee of a payment, the mint's fee for
        taking unpaid inputs back (the fence); None until it is known. ``loss`` is the amount given up:
        balance before = balance after + amount (if paid) + cost + loss."""
        return self._engine.kinds.cost_of(self.record)

    @property
    def fee_paid(self) -> int | None:
        """The same as ``cost``."""
        return self.cost

    @property
    def inputs(self) -> int:
        """Value locked or spent for this operation."""
        return inputs_total_of(self.record)

    @property
    def change(self) -> int:
        """Change that came back (NUT-08)."""
        return self.account.change

    @property
    def kept(self) -> int:
        """Value of untouched proofs that were moved to ``<id>_keep``."""
        return self.account.kept

    @property
    def tokens(self) -> tuple[str, ...]:
        """Ids of the tokens that a swap or a receive made for its caller, in the order of the wanted
        amounts."""
        return self.account.made

    @property
    def preimage(self) -> Secret | None:
        """Proof of payment; a mint may leave it out."""
        payment = self.account.payment
        return payment.preimage if payment else None

    @property
    def invoice(self) -> Secret | None:
        """The invoice to be paid: by us (it came with the request) or to us (the mint's quote names it)."""
        request, quote = self.record.request, self.record.quote
        return quote.request if request is None and quote is not None else request

    @property
    def reason(self) -> Reason | None:
        """The reason why it ended early or waits."""
        return self.record.reason

    @property
    def alarm(self) -> str | None:
        """While it is parked: CRITICAL_MELT_FAILURE when its payment is proven or possible,
        CRITICAL_FUNDING_FAILURE when its invoice was paid."""
        return self._engine.kinds.alarm_of(self.record)

    @property
    def kinds(self) -> Kinds:
        """The kinds of operation that the engine of this handle knows."""
        return self._engine.kinds

    def audit(self) -> tuple[AuditRecord, ...]:
        """Every committed transition of this operation and of the tokens it changed, in order."""
        return tuple(records_of(self._engine.store, self.id, self.record.npub))

    def refresh(self) -> Handle:
        """The operation as it is now."""
        return self._engine.operation(self.id)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready and free of secrets."""
        record, account = self.record, self.account
        return {
            "id": record.id,
            "kind": record.kind,
            "state": record.state,
            "outcome": self.outcome,
            "paid": self.is_paid,
            "final": self.is_final,
            "parked": self.is_parked,
            "version": record.version,
            "npub": record.npub,
            "mint_url": record.mint_url,
            "unit": record.unit,
            "amount": record.amount,
            "fee_reserve": account.fee_reserve,
            "input_fee": account.input_fee,
            "lightning_fee": self.lightning_fee,
            "fee_paid": self.fee_paid,
            "cost": self.cost,
            "inputs": self.inputs,
            "kept": account.kept,
            "change": account.change,
            "loss": account.loss,
            "tokens": list(account.made),
            "payment_hash": record.payment_hash,
            "preimage_matches": account.payment.preimage_matches if account.payment else None,
            "reason": attrs.asdict(record.reason) if record.reason else None,
            "alarm": self.alarm,
            "machine": f"{record.machine.name}@{record.machine.version}",
            "created_at": record.created_at,
            "updated_at": record.updated_at,
            "finished_at": record.finished_at,
        }


class Recovered(tuple[Handle, ...]):
    """The operations that a recovery looked after: the first hundred of them, and ``numbers`` of all. Its
    size does not grow with their number; each list of ids holds a thousand at most."""

    numbers: RecoveryNumbers = RecoveryNumbers()
    others: tuple[Handle, ...] = ()
    """The first hundred open operations that were not due."""
    open_ids: tuple[str, ...] = ()
    """Live and parked ones, without those that wait for their caller."""
    parked_ids: tuple[str, ...] = ()
    failed_ids: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Sentences about documents that do not decode."""
    first_due_at: int | None = None
    """Epoch ms of the next look at one that was not due."""


@frozen
class Balance:
    """Value of a wallet by state, per mint and unit, all read at one moment.

    ``owned()`` is the user's money. Units are never added: a sum over all mints takes a unit, and
    without one a wallet that holds several is refused (code MIXED_UNITS).
    """

    by_wallet: dict[tuple[str, str], dict[str, int]]

    def of(self, state: str, unit: str = "sat") -> int:
        """Sum over all mints of the tokens in ``state``."""
        return sum(states.get(state, 0) for (_, u), states in self.by_wallet.items() if u == unit)

    @property
    def unspent(self) -> int:
        """Spendable, in sat."""
        return self.of(UNSPENT)

    @property
    def reserved(self) -> int:
        """Locked by operations, in sat."""
        return self.of(RESERVED)

    @property
    def stranded(self) -> int:
        """Coins that their mint will not take, in sat: owned, but not spendable until an operator acts."""
        return self.of(STRANDED)

    @property
    def units(self) -> tuple[str, ...]:
        """The units the wallet has tokens of."""
        return tuple(sorted({unit for _, unit in self.by_wallet}))

    def owned(self, unit: str | None = None, mint_url: str | None = None) -> int:
        """The user's money in one unit, over all mints or at one, without spent money. Without ``unit`` the
        wallet must hold one unit only. Code MIXED_UNITS."""
        return owned_of(self._states(unit, mint_url))

    def legacy(self, unit: str | None = None, mint_url: str | None = None) -> dict[str, int]:
        """The four numbers by the ``status`` of token documents: ``total_balance`` (spent money too),
        ``unspent_balance``, ``pending_balance`` (awaiting, reserved, stranded, outstanding),
        ``spent_balance``.
        Without a unit of the only one there is. Code MIXED_UNITS."""
        return balances_of(self._states(unit, mint_url))

    def _states(self, unit: str | None, mint_url: str | None) -> list[dict[str, int]]:
        if unit is None and len(self.units) > 1:
            raise InvalidArgument(
                f"the wallet holds {' and '.join(self.units)}, which are never added: name the unit",
                code="MIXED_UNITS",
                units=list(self.units),
            )
        return [
            states
            for (url, held), states in self.by_wallet.items()
            if unit in (None, held) and mint_url in (None, url)
        ]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: one entry per mint and unit, with what is owned and the amount in each state."""
        return {
            "wallets": [
                {"mint_url": mint_url, "unit": unit, "owned": owned_of([states]), **states}
                for (mint_url, unit), states in sorted(self.by_wallet.items())
            ]
        }


def owned_of(states: Iterable[Mapping[str, int]]) -> int:
    """The sum of these amounts without spent ones, by state. All amounts are of one unit."""
    return sum(
        amount for amounts in states for state, amount in amounts.items() if TOKEN.state(state).kind == "live"
    )


def balances_of(states: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The four balances of amounts by state. All amounts are of one unit."""
    by_status = dict.fromkeys(STATUS_OF_STATE.values(), 0)
    for amounts in states:
        for state, amount in amounts.items():
            by_status[STATUS_OF_STATE[state]] += amount
    named = {f"{status}_balance": by_status[status] for status in BALANCES}
    return {"total_balance": sum(by_status.values()), **named}
