"""The stretches of time that matter to an operation: time passes in its document, which is dated back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from ...machines.send_clock import SendClock
from ...storage.records import Operation
from . import mint
from .setting import Setting
from .stored import LONG, NOW, SHORT, Stored, data_in
from .world import World

Changes = Callable[[Operation], dict[str, Any]]
Window = tuple[str, bool, Changes]
"""Its words for a label, whether it has begun and can end now, and what its end changes in the operation."""


def windows(setting: Setting, world: World, index: int, op: Stored) -> Iterator[tuple[str, Changes]]:
    """Each stretch of time that can end now, by its words. One that is over already changes nothing."""
    if op.kind == "melt":
        found = _of_melt(setting, world, index, op)
    elif op.kind == "swap":
        found = _of_swap(setting, world, index, op)
    else:
        found = _of_issue(op) if op.kind == "mint" else _of_hold(op)
    for words, begun, changes in found:
        if begun:
            yield words, changes


def _back(at: Any, by: int) -> Any:
    """At least so long ago, if ever."""
    return None if at is None else min(at, NOW - by)


def _dated(*names: str, by: int) -> Changes:
    """These times of the operation, or of its data, lie at least so long back."""

    def changes(op: Operation) -> dict[str, Any]:
        data = data_in(op)
        return {name: _back(getattr(op if hasattr(op, name) else data, name), by) for name in names}

    return changes


def _run_out(op: Operation, by: int = 0) -> dict[str, Any]:
    quote = op.quote
    return {"quote": quote and attrs.evolve(quote, expires_at=_back(quote.expires_at, by))}


def _of_issue(op: Stored) -> Iterator[Window]:
    record = op.record
    paid = op.data.paid_seen_at is not None
    yield "the invoice", op.state == "quoted" and not paid, _run_out
    yield "the watch", op.state == "lapsed" and not paid, _dated("watch_since", "resumed_at", by=LONG)
    run_out = op.state == "quoted" and record.quote is not None and record.quote.expires_at <= NOW
    yield "patience", bool(op.declared.patience) and (run_out or paid), _unissued
    parked = op.state == "attention" and record.sent_at is not None
    yield "the wait for the next try", parked, _dated("sent_at", by=SHORT)


def _of_hold(op: Stored) -> Iterator[Window]:
    held = op.state == "held"
    yield (
        "the hold",
        held,
        lambda op: _dated("hold_until", by=0)(op) | _dated("created_at", by=LONG)(op),
    )
    seen = held and SendClock.stamped(SHORT, op.data.held_unspent_since, NOW).may_arrive
    yield "the settle window", seen, _dated("held_unspent_since", by=SHORT)
    over = held and op.data.hold_until is not None and op.data.hold_until <= NOW
    tired: Changes = lambda op: {"hold_until": NOW - LONG, "created_at": NOW - 2 * LONG}  # noqa: E731
    yield "patience", over, tired


def _unissued(op: Operation) -> dict[str, Any]:
    """Everything that the patience of an issue may count from lies long ago."""
    expiry = {} if data_in(op).paid_seen_at else _run_out(op, LONG)
    return expiry | _dated("paid_seen_at", "sent_at", "resumed_at", by=LONG)(op)


def _of_melt(setting: Setting, world: World, index: int, op: Stored) -> Iterator[Window]:
    record, state = op.record, op.state
    arrived = all(request.op != op.id for request in world.net)
    starts = record.sent_at is None or record.policy.on_unpaid == "retry_then_fence"
    yield "the quote", starts and not op.paid and record.quote is not None, _run_out
    # an answer to our own request starts the settle window anew, so it cannot end before
    waits = state == "paying" or op.paid or op.declared.frees
    sent = SendClock.stamped(SHORT, record.sent_at, NOW)
    settles = sent.may_arrive and not waits and (setting.late or arrived)
    yield "the settle window", settles, _dated("sent_at", by=SHORT)
    watched = op.data.watch_since is not None and op.data.watch_since <= NOW - LONG
    begun = watched if op.declared.frees else sent.over
    # no request is open for as long as patience lasts
    tired = bool(op.declared.patience) and world.workers[index].stale is None
    yield "patience", tired and ((begun and not op.paid) or state == "paid"), _unresolved
    confirmed = state == "refused" and op.data.held_unspent_since is not None
    yield "the refusal window", confirmed, _dated("held_unspent_since", by=SHORT)
    yield "the watch window", op.declared.frees and arrived, _dated("watch_since", by=LONG)
    if state != "paid" or (mint.change_owed(setting, world, index) and not setting.withholds):
        return
    yield "the change window", True, lambda op: _paid(op, SHORT) | _dated("resumed_at", by=SHORT)(op)
    yield "the wait for empty change", True, _dated("change_empty_since", by=SHORT)


def _of_swap(setting: Setting, world: World, index: int, op: Stored) -> Iterator[Window]:
    record, state = op.record, op.state
    arrived = all(request.op != op.id for request in world.net)
    sent = SendClock.stamped(SHORT, record.sent_at, NOW)
    waits = state == "swapping" or op.declared.frees or bool(op.data.swapped)
    settles = sent.may_arrive and not waits and (setting.late or arrived)
    yield "the settle window", settles, _dated("sent_at", by=SHORT)
    watched = op.data.watch_since is not None and op.data.watch_since <= NOW - LONG
    begun = watched if op.declared.frees else sent.over and not waits
    # no request is open for as long as patience lasts
    tired = bool(op.declared.patience) and world.workers[index].stale is None
    yield "patience", tired and begun, _unswapped
    confirmed = state == "restoring" and op.data.held_unspent_since is not None
    yield "the refusal window", confirmed, _dated("held_unspent_since", by=SHORT)
    yield "the watch window", op.declared.frees and arrived, _dated("watch_since", by=LONG)


def _unswapped(op: Operation) -> dict[str, Any]:
    """Everything that the patience of a swap may count from lies long ago."""
    return _dated("created_at", by=LONG)(op) | _dated("watch_since", "resumed_at", by=2 * LONG)(op)


def _paid(op: Operation, by: int) -> dict[str, Any]:
    payment = data_in(op).payment
    return {"payment": payment and attrs.evolve(payment, paid_at=_back(payment.paid_at, by))}


def _unresolved(op: Operation) -> dict[str, Any]:
    """Everything that the patience of a melt may count from lies long ago."""
    times = _dated("created_at", "sent_at", by=LONG)(op) | _dated("watch_since", "resumed_at", by=2 * LONG)(
        op
    )
    return times | _paid(op, LONG)
