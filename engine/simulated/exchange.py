"""One request to the simulated mint and what the way does to its answer."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from attrs import evolve, field, frozen

from ..cashu.port import (
    UNKNOWN,
    Ambiguous,
    Answer,
    Failure,
    MeltQuote,
    MintQuote,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from .melts import FaultsOfCall

T = TypeVar("T")
QUOTE_STATES = frozenset({"UNPAID", "PENDING", "PAID", "ISSUED"})
LOST_ON_THE_WAY = frozenset({"unreachable", "request_lost", "late"})
"""Faults of requests that the mint never sees, or not yet."""
TURNED_AWAY = frozenset({"locked", "too_large", "rate_limited"})
"""Faults of requests that are answered with no before the mint looks at them."""


@frozen
class Exchange(Generic[T]):
    """The answer of the mint (None: it saw no request), and the faults of this call."""

    answer: T | Refused | None = field(repr=False)
    faults: FaultsOfCall

    @property
    def delay_ms(self) -> int:
        """How much later the answer arrives."""
        return int(self.faults["answer_delayed"]["ms"]) if "answer_delayed" in self.faults else 0

    def arrived(self) -> Answer[T]:
        """The answer as it reaches the wallet."""
        if self.answer is None:
            return _prevented(self.faults)
        for kind, detail in (
            ("answer_lost", "no answer in time"),
            ("cut", "body is not JSON"),
            ("server_error", "HTTP 500"),
        ):
            if kind in self.faults:
                return Ambiguous(detail)
        return self.answer


def is_prevented(faults: FaultsOfCall) -> bool:
    """Whether the request never gets through, or not yet."""
    return not (LOST_ON_THE_WAY | TURNED_AWAY).isdisjoint(faults)


def _prevented(faults: FaultsOfCall) -> Failure:
    if "locked" in faults:
        return Refused(0, "database is locked", definitive=False)
    if "too_large" in faults:
        return Refused(None, "HTTP 413", definitive=False)
    if "unreachable" in faults:
        return Unreachable("connection refused")
    if "rate_limited" in faults:
        return Ambiguous("HTTP 429")
    return Ambiguous("no answer in time")


def lie(answer: T, faults: FaultsOfCall) -> T:
    """The answer as scripted, of the same type as the true one."""
    return cast("T", _lie(answer, faults))


def _lie(answer: object, faults: FaultsOfCall) -> object:
    if "quote_state" in faults:
        said = faults["quote_state"]["state"]
        state = said if said in QUOTE_STATES else UNKNOWN
        word = None if state == said else said
        if isinstance(answer, MintQuote):
            return evolve(answer, state=state, said=word)
        if isinstance(answer, MeltQuote):
            told = answer if state == "PAID" else evolve(answer, change=(), preimage=None)
            return evolve(told, state=state, said=word)
    if isinstance(answer, tuple) and "states" in faults:
        lies = faults["states"]["states"]
        return tuple(ProofState(entry.Y, lies.get(entry.Y, entry.state)) for entry in answer)
    if isinstance(answer, Restored) and "restore_partial" in faults:
        n = faults["restore_partial"]["n"]
        return Restored(answer.outputs[:n], answer.signatures[:n])
    return answer
