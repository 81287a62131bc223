"""The time that one operation took: per state, per commit and per kind of mint call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from ...machines.shown import shown
from ...storage.records import AuditRecord, Operation
from ..loop.draft import operation_entity

SLOW_MINT_CALL_MS = 2_000
SLOW_COMMIT_MS = 500
MANY_STATE_ASKS = 20


@frozen
class PerformanceReport:
    """Milliseconds and counts of one operation. ``state_ms`` comes from the audit trail; mint and store
    are what its drivers measured and stored with the next commit, so the time of the last commit, and
    of drives that changed nothing, is not in them."""

    transaction_id: str
    kind: str
    machine: str
    state: str
    total_ms: int
    state_ms: Mapping[str, int]
    commits: int
    mint_calls: int
    mint_ms: int
    mint: Mapping[str, Mapping[str, int]]  # kind of call: calls, ms
    store_ms: int
    commit_tries: int
    recommendations: tuple[str, ...]

    __repr__ = shown

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: ``transaction_id``, ``performance_metrics`` and ``recommendations``."""
        return {
            "transaction_id": self.transaction_id,
            "performance_metrics": {
                "kind": self.kind,
                "state": self.state,
                "total_ms": self.total_ms,
                "state_ms": dict(self.state_ms),
                "commits": self.commits,
                "mint_calls": self.mint_calls,
                "mint_ms": self.mint_ms,
                "mint": {kind: dict(counted) for kind, counted in self.mint.items()},
                "store_ms": self.store_ms,
                "commit_tries": self.commit_tries,
            },
            "recommendations": list(self.recommendations),
        }


def performance(op: Operation, records: Sequence[AuditRecord], now: int) -> PerformanceReport:
    """The report of a stored operation and its audit trail; ``now`` ends what is still going on."""
    own = [record for record in records if record.entity == operation_entity(op.id)]
    begun = own[0].at if own else op.created_at
    ended = now if op.finished_at is None else op.finished_at
    states: dict[str, int] = {}
    for record, until in zip(own, [*(later.at for later in own[1:]), ended], strict=False):  # purged: none
        states[record.to_state] = states.get(record.to_state, 0) + max(0, until - record.at)
    if op.finished_at is not None:
        states.pop(op.state, None)  # nothing happens in a final state
    timings = op.timings
    kinds = sorted(name.removeprefix("calls_") for name in timings if name.startswith("calls_"))
    found = PerformanceReport(
        transaction_id=op.id,
        kind=op.kind,
        machine=f"{op.machine.name}@{op.machine.version}",
        state=op.state,
        total_ms=max(0, ended - begun),
        state_ms=states,
        commits=len({record.batch_id for record in records}),
        mint_calls=timings.get("mint_calls", 0),
        mint_ms=timings.get("mint_ms", 0),
        mint={k: {"calls": timings[f"calls_{k}"], "ms": timings.get(f"ms_{k}", 0)} for k in kinds},
        store_ms=timings.get("store_ms", 0),
        commit_tries=timings.get("commit_tries", 0),
        recommendations=(),
    )
    return _advised(found, op)


def _advised(found: PerformanceReport, op: Operation) -> PerformanceReport:
    said: list[str] = []
    slowest = max(found.mint.items(), key=lambda item: item[1]["ms"], default=None)
    if slowest is not None and found.mint_ms > SLOW_MINT_CALL_MS * max(1, found.mint_calls):
        kind, counted = slowest
        said.append(
            f"The mint answers slowly: {found.mint_ms} ms in {found.mint_calls} calls, "
            f"{counted['ms']} ms of it in {counted['calls']} calls of {kind}."
        )
    if found.commit_tries and found.store_ms > SLOW_COMMIT_MS * found.commit_tries:
        said.append(
            f"The store commits slowly: {found.store_ms} ms in {found.commit_tries} commits; "
            "`nutstate doctor` looks at it."
        )
    if found.commits and found.commit_tries > found.commits + 1:
        said.append(
            f"{found.commit_tries} commits were tried for {found.commits} that held: others change the "
            "same documents, or the store is not steady."
        )
    asked = found.mint.get("melt_quote_state", {}).get("calls", 0)
    if asked > MANY_STATE_ASKS:
        said.append(f"The mint was asked {asked} times whether it paid: the payment was long in flight.")
    said += _where_the_time_went(found, op)
    return attrs.evolve(found, recommendations=tuple(said))


def _where_the_time_went(found: PerformanceReport, op: Operation) -> list[str]:
    if op.kind_of_state == "parked":
        return [f"It waits for a person: state {op.state} for {found.state_ms.get(op.state, 0)} ms."]
    longest = max(found.state_ms.items(), key=lambda item: item[1], default=("", 0))
    if longest[1] > SLOW_MINT_CALL_MS and longest[1] * 2 > found.total_ms:
        return [f"Most of the time went by in state {longest[0]}: {longest[1]} of {found.total_ms} ms."]
    return []
