"""The defaults of the hooks of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...machines.spec import Decision
from ...storage.errors import NutstateError
from ...storage.port import Reader
from ...storage.records import AuditRecord, InputRef, Operation
from ...storage.secret import Secret
from .account import NOTHING, Account
from .draft import Draft
from .drive import Run
from .evidence import Evidence


def no_tokens(op: Operation, reader: Reader) -> Iterable[str]:
    """No tokens beside the inputs."""
    return ()


def all_inputs(draft: Draft) -> tuple[InputRef, ...]:
    """Every input."""
    return draft.operation.inputs


def as_it_is(run: Run, decision: Decision, evidence: Evidence) -> Evidence:
    """The evidence unchanged."""
    return evidence


def no_time(op: Operation) -> int | None:
    """None: there is no such time."""
    return None


def same_pause(run: Run, seconds: float) -> float:
    """The engine's pause unchanged."""
    return seconds


def no_alarm(op: Operation) -> str | None:
    """No alarm beyond the audit record's."""
    return None


def no_account(op: Operation) -> Account:
    """It moves no money of its own."""
    return NOTHING


def no_cost(op: Operation) -> int | None:
    """0: it costs nothing."""
    return 0


def no_sums(op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
    """None: it has no sources."""
    return None


def never(op: Operation) -> bool:
    """False."""
    return False


def raises_nothing(op: Operation) -> NutstateError | None:
    """None: every end is returned."""
    return None


def nothing_to_pay(op: Operation) -> Secret | None:
    """None: a person has nothing to pay."""
    return None


def nothing_more(op: Operation, evidence: Evidence) -> Mapping[str, Any]:
    """No data beside the common ones."""
    return {}
