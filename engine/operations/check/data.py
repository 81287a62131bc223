"""The data of a check."""

from __future__ import annotations

from attrs import frozen

from ....storage.records import Operation
from ...loop.own_data import data_of
from ..shared.data import number


@frozen(kw_only=True)
class CheckData:
    """The fields of a check beside those that every operation has."""

    change_token_id: str | None = None  # change of a payment that was given up, or what a fence of it brought
    change_amount: int = number()
    loss: int = number()  # stranded coins that were given up


def check_of(op: Operation) -> CheckData:
    """The data of an operation of kind check."""
    return data_of(op, CheckData)
