"""A named check: the values that it compared and those that differed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from ...storage.records import Proof


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


def value_of(proofs: Iterable[Proof]) -> int:
    """The sum of the proofs."""
    return sum(proof.amount for proof in proofs)
