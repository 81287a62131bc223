"""Events from outside the loop: what callers and operators decide about a stored operation."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import define

from ...storage.errors import Conflict
from ...storage.records import Operation
from .. import arguments
from ..errors import Refused
from ..settings import Settings
from .drive import Happened, Run
from .driver import TOO_OLD, Driver
from .evidence import Evidence


def operator_says(reason: object, operator: object) -> Evidence:
    """What an operator says, and who that is. Codes OPERATOR_REASON_MISSING, INVALID_OPERATOR."""
    return Evidence(operator_reason=arguments.reason(reason), operator=arguments.operator(operator))


@define(eq=False)
class Outside:
    """Decides one event on the very version that was looked at; a race looks and decides again."""

    driver: Driver
    settings: Settings
    stored: Callable[[object], Operation]
    open_run: Callable[[Operation, str], Run]

    def apply(self, operation_id: str, event: str, evidence: Evidence) -> Operation:
        """The operation after the event (unchanged when its state absorbs it), or the refusal. An operator's
        event for which the kind looks first is decided with what that look found."""
        actor = "operator" if evidence.operator_reason else "caller"
        return self._race(operation_id, actor, lambda run: _looked(run, event, evidence, False))

    def write_off(self, operation_id: str, said: Evidence, force: bool) -> Operation:
        """Give a parked operation up, unless a last look finds something better. Why the operator wanted
        it stands in the audit record in both cases."""

        return self._race(operation_id, "operator", lambda run: _looked(run, "write_off", said, force))

    def release(self, operation_id: str, said: Evidence) -> Operation:
        """Free the inputs of a parked melt on the mint's word, asked now."""
        return self.apply(operation_id, "release", said)

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
    """The event with what the kind asks of the mint before it, or a better event that this look found."""
    look = run.kind.operator_looks.get(event)
    found = Evidence() if look is None else look(run, force)
    if isinstance(found, Happened):
        return Happened(found.event, _saying(found.evidence, said))
    return Happened(event, _saying(found, said))


def _saying(found: Evidence, said: Evidence) -> Evidence:
    """What was found, with what was said."""
    return attrs.evolve(found, operator_reason=said.operator_reason, operator=said.operator, own=said.own)
