"""Pre-flight: the meaning of each pair of answers, of the store and of the mint, about one proof.

Pure: no store and no mint is asked here. One table serves the choice of inputs, the moment before a
prepared melt is paid, and the look at a whole wallet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from ...machines.shown import shown
from ...machines.token.states import OUTSTANDING, RESERVED, SPENT, STRANDED, UNSPENT
from ..audit.records import short

HIGH, MEDIUM, LOW = "HIGH", "MEDIUM", "LOW"
SEVERITIES = (HIGH, MEDIUM, LOW)
MINT_STATES = ("UNSPENT", "SPENT", "PENDING")
OURS, OTHERS, UNKNOWN = "reserved_by_this", "reserved_by_other", "not_in_store"
STORE_STATES = (UNSPENT, OURS, OTHERS, STRANDED, OUTSTANDING, SPENT, UNKNOWN)

ABORT, FULL, MONITOR, PROCEED = (
    "ABORT_OPERATION", "PERFORM_FULL_RECONCILIATION", "MONITOR_DISCREPANCIES", "PROCEED",
)  # fmt: skip


@frozen
class Pair:
    """The meaning of one pair. ``severity`` is None where store and mint do not contradict one another."""

    severity: str | None
    action: str


TABLE: Mapping[tuple[str, str], Pair] = MappingProxyType(
    {
        (UNSPENT, "UNSPENT"): Pair(None, "ok"),
        (UNSPENT, "SPENT"): Pair(HIGH, "block_and_correct"),
        (UNSPENT, "PENDING"): Pair(MEDIUM, "do_not_select"),
        (OURS, "UNSPENT"): Pair(None, "ok"),
        (OURS, "SPENT"): Pair(None, "ask_quote"),
        (OURS, "PENDING"): Pair(None, "wait"),
        (OTHERS, "UNSPENT"): Pair(None, "refuse"),
        (OTHERS, "SPENT"): Pair(None, "refuse"),
        (OTHERS, "PENDING"): Pair(None, "refuse"),
        (STRANDED, "UNSPENT"): Pair(None, "operator"),
        (STRANDED, "SPENT"): Pair(HIGH, "block_and_correct"),
        (STRANDED, "PENDING"): Pair(None, "wait"),
        (OUTSTANDING, "UNSPENT"): Pair(None, "ok"),
        (OUTSTANDING, "SPENT"): Pair(None, "claim"),
        (OUTSTANDING, "PENDING"): Pair(None, "wait"),
        (SPENT, "UNSPENT"): Pair(MEDIUM, "investigate"),
        (SPENT, "SPENT"): Pair(None, "ok"),
        (SPENT, "PENDING"): Pair(LOW, "monitor"),
        (UNKNOWN, "UNSPENT"): Pair(LOW, "unknown_proof"),
        (UNKNOWN, "SPENT"): Pair(LOW, "unknown_proof"),
        (UNKNOWN, "PENDING"): Pair(LOW, "unknown_proof"),
    }
)
"""Every pair of what the store and what the mint say (R83 to R100, R280 to R282). Nothing
resurrects money."""

_GRAVITY = {HIGH: 4, MEDIUM: 3, LOW: 2, None: 1}


@frozen
class Asked:
    """One proof as the store knows it. ``token_id`` is None for a proof that is not in the store."""

    Y: str
    token_id: str | None
    amount: int
    store_state: str

    __repr__ = shown


@frozen
class Discrepancy:
    """A proof about which store and mint contradict one another, named by its Y, never by its secret."""

    Y: str
    token_id: str | None
    amount: int
    store_state: str
    mint_state: str
    severity: str
    action: str

    __repr__ = shown

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with the Y shortened."""
        return {
            "Y": short(self.Y),
            "token_id": self.token_id,
            "amount": self.amount,
            "store_state": self.store_state,
            "mint_state": self.mint_state,
            "severity": self.severity,
            "action": self.action,
        }


@frozen
class PreflightReport:
    """The discrepancies of some proofs, and the recommended next step."""

    counts: Mapping[str, int]
    actions: Mapping[str, int]
    discrepancies: tuple[Discrepancy, ...]
    recommendation: str
    code: str | None = None
    proofs: int = 0
    corrected: int = 0  # value that was marked as spent
    operations: tuple[str, ...] = field(default=())  # that did it
    unreadable: tuple[str, ...] = ()  # documents that do not decode, and could not be looked at

    __repr__ = shown

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready and free of secrets."""
        return {
            "recommendation": self.recommendation,
            "code": self.code,
            "proofs_checked": self.proofs,
            "counts": dict(self.counts),
            "actions": dict(self.actions),
            "discrepancies": [found.as_dict() for found in self.discrepancies],
            "corrected": self.corrected,
            "operations": list(self.operations),
            "unreadable": list(self.unreadable),
        }


def classify(store_state: str, mint_state: str) -> Pair:
    """The table's word on one pair. An answer that is none of the three is as good as PENDING: nothing
    is built on it. Raises KeyError for a state that no store has."""
    return TABLE[store_state, mint_state if mint_state in MINT_STATES else "PENDING"]


def store_state_of(state: str, reserved_by: str | None, operation_id: str | None) -> str | None:
    """The column of the table for a token's state; None for one that holds no proofs."""
    if state == RESERVED:
        return OURS if operation_id is not None and reserved_by == operation_id else OTHERS
    return state if state in (UNSPENT, STRANDED, OUTSTANDING, SPENT) else None


def judge(
    asked: Iterable[Asked],
    answers: Iterable[tuple[str, str]],
    *,
    corrected: int = 0,
    operations: Sequence[str] = (),
) -> PreflightReport:
    """Classify every proof, the most severe pair first, and say what to do. ``answers`` are (Y, state);
    a proof may be asked and answered several times, and one without an answer is as if PENDING."""
    said: dict[str, list[str]] = {}
    for name, state in answers:
        said.setdefault(name, []).append(state)
    worst: dict[str, tuple[Asked, str, Pair]] = {}
    for proof in asked:
        for state in said.get(proof.Y, ["PENDING"]):
            pair = classify(proof.store_state, state)
            known = worst.get(proof.Y)
            if known is None or _graver(pair, known[2]):
                worst[proof.Y] = (proof, state, pair)
    found = [
        Discrepancy(p.Y, p.token_id, p.amount, p.store_state, state, pair.severity, pair.action)
        for p, state, pair in worst.values()
        if pair.severity is not None
    ]
    actions = Counter(pair.action for _, _, pair in worst.values())
    return report_of(found, actions, len(worst), corrected=corrected, operations=operations)


def report_of(
    found: Iterable[Discrepancy],
    actions: Mapping[str, int],
    proofs: int,
    *,
    corrected: int = 0,
    operations: Sequence[str] = (),
) -> PreflightReport:
    """The report on discrepancies that were classified already."""
    listed = tuple(sorted(found, key=lambda d: (-_GRAVITY[d.severity], d.token_id or "", d.Y)))
    counted = Counter(d.severity for d in listed)
    advice = recommend(listed)
    return PreflightReport(
        counts={severity: counted[severity] for severity in SEVERITIES},
        actions=dict(sorted(actions.items())),
        discrepancies=listed,
        recommendation=advice,
        code="HIGH_SEVERITY_DISCREPANCIES" if advice == ABORT else None,
        proofs=proofs,
        corrected=corrected,
        operations=tuple(operations),
    )


def recommend(found: Sequence[Discrepancy]) -> str:
    """R103 to R106: the recommendation for the most severe discrepancy."""
    severities = {d.severity for d in found}
    if HIGH in severities:
        return ABORT
    if any(d.action == "investigate" for d in found):
        return FULL
    return MONITOR if MEDIUM in severities else PROCEED


def _graver(pair: Pair, than: Pair) -> bool:
    if _GRAVITY[pair.severity] != _GRAVITY[than.severity]:
        return _GRAVITY[pair.severity] > _GRAVITY[than.severity]
    return than.action == "ok" and pair.action != "ok"
