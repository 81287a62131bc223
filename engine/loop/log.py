"""One structured log event per committed transition, one per refusal; never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import attrs
from attrs import frozen

from ...machines.shown import shown
from ...machines.spec import Decision
from ...storage.errors import CorruptRecord
from ...storage.records import AuditRecord, Operation
from ..audit.records import sanitise

NAME = "nutstate"
logging.getLogger(NAME).addHandler(logging.NullHandler())  # else the standard library prints warnings itself


@cache
def _standard() -> Any:
    import structlog

    return structlog.wrap_logger(
        logging.getLogger(NAME),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def default_logger() -> Any:
    """The logger ``nutstate``: structlog's, once the program has configured structlog, else the standard
    library's, which is silent until the program gives it a handler. Without a configuration
    structlog would print to standard output."""
    import structlog  # with the terminal library that it loads it takes longer than all of the machines

    return structlog.get_logger(NAME) if structlog.is_configured() else _standard()


@frozen(slots=False)
class TransitionEvent:
    """A committed transition, as handed to an observer and to the log."""

    operation_id: str
    entity: str
    machine: str
    version: int
    event: str
    from_state: str
    to_state: str
    guards: Mapping[str, bool]
    compliance_level: str
    at: int
    duration_ms: float
    data: Mapping[str, Any]
    alarm: str | None = None  # CRITICAL_…_FAILURE: a person must look, money left or may have left

    __repr__ = shown


_LOGGED = tuple(
    field.name
    for field in attrs.fields(TransitionEvent)
    if field.name not in ("event", "at", "data", "alarm")
)


class Log:
    """Writes events to a structlog logger, by default to :func:`default_logger` as it is at that moment."""

    def __init__(self, logger: Any = None) -> None:
        self._given = logger

    @property
    def _logger(self) -> Any:
        return default_logger() if self._given is None else self._given

    def transition(self, event: TransitionEvent, logger: Any = None) -> None:
        """``logger`` is that of :meth:`bound`, where several events are written."""
        critical = event.compliance_level == "CRITICAL" or event.alarm is not None
        fields: dict[str, Any] = {name: getattr(event, name) for name in _LOGGED}
        fields["guards"] = dict(event.guards)
        if event.alarm is not None:
            fields["alarm"] = event.alarm
        fields |= {"trigger": event.event} | {f"data_{k}": v for k, v in event.data.items()}
        self._write("critical" if critical else "info", "transition", fields, logger)

    def bound(self) -> Any:
        """The logger, found and bound once for the events of one commit; None: each event finds it itself."""
        try:
            return self._logger.bind()
        except Exception:  # noqa: BLE001 - a logger of another library, or one that fails
            return None

    def refused(self, operation: Operation, decision: Decision) -> None:
        fields = {
            "operation_id": operation.id,
            "machine": decision.machine,
            "trigger": decision.event,
            "state": decision.state,
            "outcome": decision.outcome,
            "refusals": [refusal.code for refusal in decision.refusals],
            "guards": {verdict.guard: verdict.held for verdict in decision.verdicts},
        }
        self._write("warning", "refused", fields)

    def note(self, name: str, **fields: Any) -> None:
        self._write("info", name, {key: sanitise(value) for key, value in fields.items()})

    def hook_failed(self, operation: Operation, hook: str, error: Exception) -> None:
        """Code of a kind that raised while the operation was read. Its words may hold a secret."""
        fields = {"operation_id": operation.id, "kind": operation.kind, "hook": hook}
        self._write("warning", "hook_failed", fields | {"error": type(error).__name__})

    def unreadable(self, error: CorruptRecord) -> None:
        """A stored document that does not decode and was left out."""
        self._write("critical", "unreadable", {"document": error.details.get("document"), "code": error.code})

    def _write(self, level: str, name: str, fields: Mapping[str, Any], logger: Any = None) -> None:
        """A logger that fails must not look like a payment that failed, nor stop one (R215)."""
        try:
            getattr(self._logger if logger is None else logger, level)(name, **fields)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the logger's
            logging.getLogger(NAME).error("the logger failed (%s) at %s", type(error).__name__, name)


def transition_event(record: AuditRecord, duration_ms: float, alarm: str | None = None) -> TransitionEvent:
    """A committed audit record as the event that is logged and observed."""
    return TransitionEvent(
        operation_id=record.operation_id,
        entity=record.entity,
        machine=record.machine,
        version=record.version,
        event=record.event,
        from_state=record.from_state,
        to_state=record.to_state,
        guards={name.rpartition(":")[2]: held for name, held in record.verdicts.items()},
        compliance_level=record.compliance_level,
        at=record.at,
        duration_ms=duration_ms,
        data=record.data,
        alarm=alarm,
    )


def _drop(logger: Any, name: str, event: Any) -> Any:
    import structlog

    raise structlog.DropEvent


def configure_logging(form: str = "console", level: str = "info") -> None:
    """Set structlog up for a program of its own: ``console``, ``json`` or ``off``, to standard error.
    A service that embeds the engine configures structlog, or gives the standard library's logger ``nutstate``
    a handler, and does not call this. Without either the engine logs nothing (R305)."""
    import structlog

    floor = {"debug": 10, "info": 20, "warning": 30, "critical": 50}[level]
    renderer: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[_drop]
        if form == "off"
        else [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(floor),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
