"""The refusal of a request that the coins do not cover, or that other operations keep from its coins."""

from __future__ import annotations

from typing import Any

from .....storage.records import Reason
from .... import errors as caller
from ....loop.drive import Run
from ....tokens.coins import stranded_value
from .choice import Shortfall
from .held_money import expected_release


def funds_reserved(run: Run, short: Shortfall, some_pending: bool) -> caller.Refused:
    """FUNDS_RESERVED: the wallet has the money, but other operations hold it now. Nothing was written."""
    pending: dict[str, Any] = {"some_proofs_pending": True} if some_pending else {}
    return caller.Refused(
        f"{short.required} {run.operation.unit} needed, {short.available} available, "
        f"{short.reserved} held by other operations; call again when they have ended",
        code="FUNDS_RESERVED",
        required=short.required,
        available=short.available,
        reserved=short.reserved,
        expected_release=expected_release(run.store, run.kinds, short.holders, run.now()),
        **pending,
    )


def funds_missing(run: Run, short: Shortfall, some_pending: bool) -> Reason:
    """INSUFFICIENT_BALANCE with its figures; TOO_MANY_PROOFS when only more proofs would cover it."""
    if short.too_many:
        words = "the wallet covers it, but only with more proofs than one operation may use"
        return Reason("TOO_MANY_PROOFS", words)
    stranded = stranded_value(run.store, run.keysets, run.operation)
    told = f", and {stranded} that the mint will not take" if stranded else ""
    return Reason(
        "INSUFFICIENT_BALANCE",
        f"{short.required} {run.operation.unit} needed, {short.available} available, "
        f"{short.missing} missing{told}",
        details={
            "stranded": stranded,
            "required": short.required,
            "available": short.available,
            "shortfall": short.missing,
            **({"reserved": short.reserved} if short.reserved else {}),
            **({"some_proofs_pending": True} if some_pending else {}),
        },
    )
