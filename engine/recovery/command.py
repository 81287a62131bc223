"""Events from outside the loop: decisions of callers and operators about a stored operation."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import define

from ...storage.errors import Conflict
from ...storage.records import Operation
from .. import arguments
from ..errors import Refused
from ..loop.drive import Happened, Run
from ..loop.driver import TOO_OLD, Driver
from ..loop.evidence import Evidence
from ..settings import Settings


def operator_says(reason: object, operator: object) -> Evidence:
    """The operator's reason and name as evidence. Codes OPERATOR_REASON_MISSING, INVALID_OPERATOR."""
    return Evidence(operator_reason=arguments.reason(reason), operator=arguments.operator(operator))


@define(eq=False)
class Outside:
    """Decides one event on the very version that was looked at; a race looks and decides again."""

    driver: Driver
    settings: Settings
    stored: Callable[[object], Operation]
    open_run: Callable[[Operation, str], Run]

    def apply(self, operation_id: str, event: str, said: Evidence, *, force: bool = False) -> Operation:
        """The operation after the event (unchanged when its state absorbs it), or the refusal. Before an
        operator's event its kind looks at the mint, and may find a better event; the audit record keeps in
        both cases why the operator wanted it."""
        if not said.operator_reason:
            return self._race(operation_id, "caller", lambda run: Happened(event, said))
        return self._race(operation_id, "operator", lambda run: _looked(run, event, said, force))

    def _race(self, operation_id: str, actor: str, look: Callable[[Run], Happened]) -> Operation:
        for _ in range(self.settings.commit_tries_max):
            run = self.open_run(self.stored(operation_id), actor)
            run.strict = True
            try:
                if actor == "operator":
                    self._park_if_old(run)
                return self._decided(run, look(run))
            except Conflict:
                continue
        raise Refused(
            "another worker keeps changing the operation",
            code="CONCURRENT_OPERATION",
            tokens=[],
            operations=[operation_id],
        )

    def _park_if_old(self, run: Run) -> None:
        """An operator need not wait for the next drive to find a live operation too old."""
        happened = Happened("too_old", Evidence(reason=TOO_OLD))
        if run.draft.machine.state(run.operation.state).kind != "live":
            return
        decision = run.decide(happened.event, happened.evidence)
        if decision.accepted:
            self.driver.stage(run, happened, decision)
            self.driver.commit(run)

    def _decided(self, run: Run, happened: Happened) -> Operation:
        decision = run.decide(happened.event, happened.evidence)
        if decision.outcome == "absorbed":
            return run.operation
        if not decision.accepted:
            self.driver.log.refused(run.operation, decision)
            raise run.refusal(
                decision, state=decision.state, operation=run.operation.id, event=happened.event
            )
        self.driver.stage(run, happened, decision)
        self.driver.commit(run)
        return run.operation


def _looked(run: Run, event: str, said: Evidence, force: bool) -> Happened:
    """The operator's event with what the kind asks of the mint before it, or a better event that it found.
    For an event without an edge in the state, no mint is asked."""
    look = run.kind.operator_looks.get(event)
    if look is None or (run.operation.state, event) not in run.draft.machine.cells:
        return Happened(event, said)
    found = look(run, force)
    if isinstance(found, Happened):
        return Happened(found.event, _saying(found.evidence, said))
    return Happened(event, _saying(found, said))


def _saying(found: Evidence, said: Evidence) -> Evidence:
    """The evidence that the look found, with the operator's words. Own evidence of the look wins: an operator
    must not say in its place what the mint answered."""
    own = said.own if found.own is None else found.own
    return attrs.evolve(found, operator_reason=said.operator_reason, operator=said.operator, own=own)
