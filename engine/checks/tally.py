"""The comparisons and differences of one check, and the checks that a kind of operation adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from ...machines.token.states import UNSPENT
from ...storage.records import Operation, Proof
from .documents import Documents


@frozen
class CheckResult:
    """One named check. ``expected`` and ``found`` hold what differed, by what it is about."""

    name: str
    passed: bool
    compared: int
    expected: Mapping[str, Any]
    found: Mapping[str, Any]
    not_checked: tuple[str, ...]
    duration_ms: float

    def texts(self) -> tuple[str, ...]:
        """One sentence per difference."""
        return tuple(
            f"{self.name}: {what}: expected {self.expected[what]}, found {self.found[what]}"
            for what in self.expected
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "passed": self.passed,
            "compared": self.compared,
            "expected": dict(self.expected),
            "found": dict(self.found),
            "not_checked": list(self.not_checked),
            "duration_ms": round(self.duration_ms, 3),
        }


@define
class Tally:
    """The comparisons of one check, and the differences."""

    compared: int = 0
    expected: dict[str, Any] = field(factory=dict)
    found: dict[str, Any] = field(factory=dict)
    not_checked: list[str] = field(factory=list)

    def that(self, what: str, found: Any, expected: Any = True) -> None:
        """Compare one thing."""
        self.compared += 1
        if found != expected:
            self.expected[what], self.found[what] = expected, found


Check = Callable[[Tally, Documents], None]


def _nothing(tally: Tally, docs: Documents) -> None:
    """Nothing to compare."""


@frozen
class KindChecks:
    """The checks that one kind of operation adds to a reconciliation. Every part is optional."""

    makes: Callable[[Operation], tuple[str, ...]] = lambda op: ()
    """Ids of the tokens that the operation must have made, beside keep, change and fenced."""

    completes: Check = _nothing
    """Of ``transaction_completeness``: what must be stored with it."""

    sums: Check = _nothing
    """Of ``balance_consistency``: what must add up."""

    spends: Callable[[Operation], bool] = lambda op: False
    """Of ``source_token_status``: whether every source must be spent."""

    made: Check = _nothing
    """Of ``change_verification``: the tokens that it made."""


NO_CHECKS = KindChecks()
"""Those of a kind that adds none."""

UNKNOWN_KIND = KindChecks()
"""Those of a machine that this program does not have: what only it tells is not checked."""


def made_token(tally: Tally, docs: Documents, token_id: str, kind: str, amount: int | None) -> None:
    """Compare a token that the operation made. Others may have used it since; it has no other origin."""
    op, token = docs.operation, docs.tokens.get(token_id)
    if token is None:
        return  # transaction_completeness says so
    tally.that(f"{token_id}: type", token.transaction_type, kind)
    if kind == "change":
        tally.that(f"{token_id}: parent", token.metadata.parent_transaction_id, op.id)
    same = (token.npub, token.mint_url, token.unit) == (op.npub, op.mint_url, op.unit)
    tally.that(f"{token_id}: owner, mint and unit are the operation's", same)
    born = docs.born.get(token_id)
    if amount is not None and born is not None and kind == "change":
        tally.that(f"{token_id}: value at birth", born.amount, amount)
    if token.version == (2 if kind == "minted" else 1):
        tally.that(f"{token_id}: state", token.state, UNSPENT)
        if amount is not None:
            tally.that(f"{token_id}: value", value_of(token.proofs), amount)


def value_of(proofs: Iterable[Proof]) -> int:
    """The sum of the proofs."""
    return sum(proof.amount for proof in proofs)
