"""The errors of the engine: ``Refused`` (the caller can correct it) and ``MintError`` (the mint refused)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..machines.spec import Refusal
from ..storage.errors import NutstateError


class Refused(NutstateError):
    """The caller asked for something the rules do not allow.

    Unless ``details`` names an ``operation_id``, nothing was written. With one, the operation was
    stored as rejected together with its audit record, and no token changed. One exception: a melt that
    the caller made (CONCURRENT_OPERATION, CRITICAL, from ``record_melt``) is stored and parked with its
    keep and change, for the money is paid already.
    """

    family = "Refused"
    code = "REFUSED"


class InvalidArgument(Refused):
    """An argument is malformed; known from the arguments alone, so nothing was written."""

    code = "INVALID_ARGUMENT"


class KindInvalid(InvalidArgument):
    """A kind of operation does not fit its machines. The message names the place and what to do."""

    code = "KIND_INVALID"


class NotFound(Refused):
    """No such operation or token."""

    code = "NOT_FOUND"


class NotPaid(Refused):
    """From ``raise_unless_paid``: the operation ended and paid nothing. A new attempt is allowed."""

    code = "NOT_PAID"


class StillOpen(Refused):
    """From ``raise_unless_paid``: the outcome is not known yet. Pay nothing elsewhere."""

    code = "OUTCOME_OPEN"


class NeedsPerson(Refused):
    """From ``raise_unless_paid``: only a person can say. Pay nothing elsewhere."""

    code = "OUTCOME_PARKED"


class MintError(NutstateError):
    """The mint refused or could not be asked; details carry its code, never its secrets."""

    family = "MintError"
    code = "MINT_ERROR"


def _no_edge(details: Mapping[str, Any]) -> str:
    if "event" in details and "state" in details:
        return f"the machine has no transition for {details['event']} in state {details['state']}"
    return "the machine has no such transition here"


def refusal_error(refusals: Iterable[Refusal], **details: Any) -> Refused:
    """The first refusal as an error, with every failed rule in ``details["refusals"]``."""
    found = tuple(refusals)
    first = found[0] if found else Refusal("UNDEFINED_TRANSITION", _no_edge(details))
    return Refused(
        first.sentence,
        code=first.code,
        refusals=[refusal.code for refusal in found],
        **details,
    )
