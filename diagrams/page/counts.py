"""How many operations and tokens are in each state of a store, at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from ...machines.token.table import TOKEN
from ...storage.port import Reader, TokenQuery

_PAGE: Final = 1000


@frozen
class Counts:
    """``numbers``: machine name to state to how many are in it; ``worth``: unit to token state to value.
    ``at`` is when they were read (epoch ms), ``store`` where, without a password."""

    store: str
    at: int
    numbers: Mapping[str, Mapping[str, int]]
    worth: Mapping[str, Mapping[str, int]]

    def as_model(self) -> dict[str, Any]:
        """The form in which the page carries it."""
        return {
            "store": self.store,
            "at": self.at,
            "numbers": {name: dict(states) for name, states in self.numbers.items()},
            "worth": {unit: dict(states) for unit, states in self.worth.items()},
        }


def counted(reader: Reader, *, store: str, at: int, progress: Callable[[int], None] | None = None) -> Counts:
    """Count everything. ``reader`` is a snapshot, so that all numbers are of one moment; tokens are read page
    by page, and ``progress`` is told how many were. Raises what the reader raises."""
    numbers: dict[str, dict[str, int]] = {}
    for found in reader.count_operations():
        numbers.setdefault(found.kind, {})[found.state] = found.number
    tokens: Counter[str] = Counter()
    worth: dict[str, Counter[str]] = {}
    after: str | None = None
    while page := reader.tokens(TokenQuery(after=after, limit=_PAGE)):
        for token in page:
            tokens[token.state] += 1
            worth.setdefault(token.unit, Counter())[token.state] += token.total_amount
        after = page[-1].transaction_id
        if progress is not None:
            progress(tokens.total())
    if tokens:
        numbers[TOKEN.name] = dict(tokens)
    return Counts(
        store,
        at,
        {name: dict(sorted(states.items())) for name, states in sorted(numbers.items())},
        {unit: dict(sorted(states.items())) for unit, states in sorted(worth.items())},
    )
