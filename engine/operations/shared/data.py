"""Fields that the data of several kinds have."""

from __future__ import annotations

import json
from typing import Any

import attrs
from attrs import field, frozen

from ....machines.money import is_amount
from ....machines.shown import shown
from ....storage.batch import proof_key
from ....storage.records import InputRef, Payment
from ....storage.rules.codec import BadField
from ....storage.secret import Secret
from ...loop.account import Account


def _not_negative(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not is_amount(value, 0):
        raise BadField(attribute.name)


def _none_negative(instance: object, attribute: attrs.Attribute[Any], value: tuple[InputRef, ...]) -> None:
    if not all(is_amount(part.amount, 0) and is_amount(part.proof_count, 0) for part in value):
        raise BadField(attribute.name)


def _a_witness(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("mint", "caller", None):
        raise BadField(attribute.name)


def number() -> int:
    """A field for a whole number: 0 at first, at most 2**53-1."""
    return field(default=0, validator=_not_negative)


def time() -> int | None:
    """A field for a time in epoch ms: None at first."""
    made: int | None = field(default=None, validator=_not_negative)
    return made


def input_refs() -> tuple[InputRef, ...]:
    """A field for tokens of the operation: () at first."""
    made: tuple[InputRef, ...] = field(default=(), validator=_none_negative)
    return made


@frozen(kw_only=True, slots=False)
class Paying:
    """The data of a kind that pays with tokens of ours."""

    input_fee: int = number()
    sources_total: int = number()
    keep_total: int = number()
    loss: int = number()
    keep_token_id: str | None = None
    request_body: Secret | None = None
    payment: Payment | None = None
    proven_by: str | None = field(default=None, validator=_a_witness)  # who says that it was paid
    change_token_id: str | None = None
    change_amount: int = number()
    held_unspent_since: int | None = time()  # first answer, after a hold or a refusal: all inputs unspent
    stranded: tuple[InputRef, ...] = input_refs()  # inputs that the mint will not take

    __repr__ = shown

    def _sent(self) -> tuple[Secret, ...]:
        if self.request_body is None:
            return ()
        inputs = json.loads(self.request_body.reveal()).get("inputs", ())
        return tuple(Secret(str(item["secret"])) for item in inputs)

    def sent_secrets(self) -> frozenset[Secret]:
        """The secrets of the proofs in the stored request, wherever those proofs are by now."""
        return frozenset(self._sent())

    def sent_keys(self) -> tuple[str, ...]:
        """The index keys of the proofs in the stored request, in its order."""
        return tuple(proof_key(secret) for secret in self._sent())

    def was_taken_late(self) -> bool:
        """Whether the mint took the inputs after they had been freed on its word."""
        return False

    def account(self) -> Account:
        """The numbers of the operation's money."""
        return Account(
            sources=self.sources_total,
            input_fee=self.input_fee,
            kept=self.keep_total,
            change=self.change_amount,
            stranded=sum(part.amount for part in self.stranded),
            loss=self.loss,
            payment=self.payment,
            proven_by=self.proven_by,
        )
