"""The loop: decide, commit, log, act, and take the answer as the next event."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from attrs import define

from ...machines.shown import shown
from ...machines.spec import Decision, Machine, State
from ...storage.errors import (
    CommitUnknown,
    Conflict,
    Duplicate,
    StorageError,
    StoreUnavailable,
)
from ...storage.port import DropLease, KeepLease, Reschedule, Store, TokenQuery
from ...storage.read_back import ReadBack
from ...storage.records import AuditRecord, Lease, Operation, Reason
from ..ports import Clock, Faults, Worker, rest
from ..settings import Settings
from .audit_data import audit_data
from .draft import Draft, operation_entity
from .drive import CommitFirst, Happened, Pause, Result, Run
from .effect_context import EffectContext
from .evidence import Evidence
from .failures import failed, still_open
from .foreseen import Foreseen
from .kinds import Kinds
from .log import Log, TransitionEvent, transition_event

Observer = Callable[[TransitionEvent], None]

TOO_OLD = Reason("UNRESOLVED_TOO_LONG", "the mint gave no final answer in time", retryable=True)


@define(eq=False)
class Driver:
    """Drives operations. Holds no operation itself; many threads may use one driver."""

    kinds: Kinds
    store: Store
    settings: Settings
    clock: Clock
    worker: Worker
    faults: Faults
    log: Log
    observer: Observer | None = None

    __repr__ = shown

    def drive(self, run: Run, wait_s: float, poll_parked: bool = False) -> Operation:
        """Run until the operation is final, parked, waits for the caller, or ``wait_s`` is over. Everything
        decided is committed before this returns. If it raises, the lease is given up at once."""
        try:
            return self._drive(run, wait_s, poll_parked)
        except Exception as error:
            with contextlib.suppress(StorageError):
                failed(self, run.operation, run.worker, error)
            with contextlib.suppress(StorageError):
                self._let_go(run, at_once=True)
            if isinstance(error, StorageError) and (run.draft.stored or isinstance(error, CommitUnknown)):
                still_open(error, run)
            raise

    def _drive(self, run: Run, wait_s: float, poll_parked: bool) -> Operation:
        deadline = self.clock.monotonic() + wait_s
        entered = {run.operation.state}
        polled = False
        for _ in range(self.settings.steps_per_run_max):
            state = run.draft.machine.state(run.operation.state)
            if state.kind == "final" or state.action is None:
                break
            if state.kind == "parked":
                if polled or not poll_parked:
                    break
                polled = True
            if run.draft.dirty and not reads_only(run.draft.machine, state):
                self.commit(run)
                continue  # a conflict may have moved the operation
            run.asked_from = self.clock.monotonic()
            try:
                result = self._aged(run, state, run.kind.actions[state.action](run))
            except Conflict as moved:  # another worker led the operation on before the action did anything
                if run.draft.dirty or moved.entity != operation_entity(run.operation.id):
                    raise
                self._reload(run)
                continue
            run.answered = state.write_ahead
            if isinstance(result, Happened):
                polls = run.idle_polls
                if self.take(run, result):
                    if not self._been_there(run, entered):
                        continue
                    run.idle_polls = polls + 1
                    if self._pause(run, run.back_off(), deadline):
                        continue
                    return run.operation
                if polled and self._stays(run):
                    continue
                result = Pause(run.back_off())
            elif isinstance(result, Pause):
                run.idle_polls += 1  # the next look comes later, for every kind of wait
            if isinstance(result, CommitFirst):
                self.commit(run)
            elif not self._pause(run, result.seconds, deadline):
                return run.operation
        self.commit(run)
        self._let_go(run)
        return run.operation

    @staticmethod
    def _aged(run: Run, state: State, result: Result) -> Result:
        """The result of an action, or ``too_old`` in its place: when the wait that the state belongs to has
        lasted too long, and the result neither ends it nor leads to another wait."""
        if not state.patience or isinstance(result, CommitFirst):
            return result
        if isinstance(result, Happened):
            decision = run.decide(result.event, result.evidence)
            if decision.accepted and run.draft.machine.state(decision.next_state).patience != state.patience:
                return result
        old = Happened("too_old", Evidence(reason=TOO_OLD))
        return old if run.decide(old.event, old.evidence).accepted else result

    @staticmethod
    def _been_there(run: Run, entered: set[str]) -> bool:
        """Whether the new state asks the mint and was entered before in this drive: then go on slowly."""
        state = run.draft.machine.state(run.operation.state)
        slow = not reads_only(run.draft.machine, state) and not state.write_ahead
        again = slow and state.name in entered
        entered.add(state.name)
        return again

    @staticmethod
    def _stays(run: Run) -> bool:
        return run.draft.machine.state(run.operation.state).kind == "parked"

    def take(self, run: Run, happened: Happened) -> bool:
        """Decide an event and stage it. True if it was accepted. A refusal is raised if the operation
        is not stored yet; any other refusal is logged and changes nothing."""
        decision = run.decide(happened.event, happened.evidence)
        if decision.accepted:
            self.stage(run, happened, decision)
            return True
        if decision.outcome != "absorbed":
            self.log.refused(run.operation, decision)
            if not run.draft.stored:
                raise run.refusal(decision)
        run.idle_polls += 1
        return False

    def stage(self, run: Run, happened: Happened, decision: Decision) -> None:
        """Stage an accepted decision with its effects."""
        if run.draft.machine.state(decision.state).frees and not run.draft.dirty:
            # The inputs are free again: another operation may have moved or spent them. Read them anew.
            run.draft = self.open_draft(run.operation, run.draft.actor)
        now = run.now()
        evidence, sendings = run.kind.before_effects(run, decision, happened.evidence), run.operation.attempts
        run.draft.advance(decision, now, audit_data(run, evidence))
        run.kind.apply(EffectContext(run.kind, run.draft, decision, evidence, self.settings, now, run.worker))
        sends_again = run.operation.attempts > sendings
        if run.answered and run.draft.machine.state(decision.state).write_ahead and not sends_again:
            # our own request is answered, or was sent and may still arrive: from here the settle window
            # counts, for every process
            run.draft.set(sent_at=now, sent_by=None)
            run.sent_here = (now, self.clock.monotonic())
        if (
            run.draft.machine.state(decision.next_state).patience
            != run.draft.machine.state(decision.state).patience
        ):
            run.draft.set(failures=0)
        run.staged.append((happened, run.answered))
        run.answered = False
        run.evidence = evidence
        run.idle_polls = 0

    # -- committing ------------------------------------------------------------------------------

    def commit(self, run: Run) -> None:
        """Commit and log the draft, and start a fresh one. After a conflict the events are decided again. A
        state whose action only reads back is committed together with the event that this action gives."""
        if not run.draft.dirty:
            return
        for _ in range(self.settings.commit_tries_max):
            try:
                if not self._write_and_read_back(run):
                    self._write(run)
            except Conflict:
                if run.strict or not run.draft.stored:
                    raise
                self._again(run)
                if not run.draft.dirty:
                    return
                continue
            return
        raise Conflict(f"operation:{run.operation.id}")

    def _write_and_read_back(self, run: Run) -> bool:
        """Commit what is staged and the event of the action that reads it back. False: the action is of
        another kind, or both cannot be one commit, for whatever reason. Then nothing is committed, and the
        draft is as it was, under another name. Only an error that says something about the draft itself is
        raised, and one that leaves open what is stored."""
        foreseen = self._foreseen(run)
        if foreseen is None:
            return False
        before, evidence, staged = run.draft.copy(), run.evidence, list(run.staged)
        try:
            decision = run.decide(foreseen.happened.event, foreseen.happened.evidence)
            if (
                run.draft.actor == "operator"
            ):  # whose word is the event before: this one is found by ourselves
                run.draft.actor = f"worker:{run.worker}"
            self.stage(run, foreseen.happened, decision)
            self._write(run, foreseen.read_back)
            return True
        except Exception as error:
            if run.draft.batch_id != before.batch_id:
                raise  # both are committed
            run.draft, run.evidence, run.staged = before, evidence, staged
            if isinstance(error, Conflict | Duplicate | CommitUnknown):
                raise
            name, why = type(error).__name__, error.message if isinstance(error, StorageError) else None
            self.log.note("not_in_one_commit", operation_id=run.operation.id, error=name, why=why)
            run.draft.rename()
            return False

    def _foreseen(self, run: Run) -> Foreseen | None:
        """The event that the action of the staged state gives if the store holds what is staged. None: the
        action does more than reading back, or it can only look after the commit."""
        state = run.draft.machine.state(run.operation.state)
        action = run.draft.machine.action_in(state.name)
        if action is None or not action.reads_back or state.kind != "live" or state.write_ahead:
            return None
        try:
            foreseen = run.kind.foresees[action.name](run)
            if foreseen is None or self._aged(run, state, foreseen.happened) is not foreseen.happened:
                return None
            decision = run.decide(foreseen.happened.event, foreseen.happened.evidence)
        except Exception as error:  # noqa: BLE001 - after the commit the action itself tells it
            self.log.note("not_foreseen", operation_id=run.operation.id, error=type(error).__name__)
            return None
        return foreseen if decision.accepted else None

    def _write(self, run: Run, read_back: ReadBack | None = None) -> None:
        self._complete(run)
        run.draft.set(timings=run.spent.onto(run.draft.batch_id, run.operation.timings))
        batch, started = run.draft.batch(), self.clock.monotonic()
        state = run.operation.state
        self.faults.reach(f"before_commit:{state}")
        unknown: CommitUnknown | None = None
        for left in reversed(range(self.settings.commit_tries_max)):
            try:
                with run.spent.commit():
                    self.store.commit(batch, read_back)
                break
            except CommitUnknown as error:
                if not left:
                    raise
                unknown = error
                self.clock.sleep(0.05)
            except StoreUnavailable as error:
                if unknown is None:
                    raise
                raise unknown from error  # this try wrote nothing, an earlier one perhaps did
        self.faults.reach(f"after_commit:{state}")
        duration_ms = (self.clock.monotonic() - started) * 1000
        run.draft = self.fresh(batch.operation.after, run.draft)
        run.staged.clear()
        run.spent.stored()
        self.tell(run.operation, batch.audit, duration_ms)

    def tell(self, operation: Operation, records: tuple[AuditRecord, ...], duration_ms: float) -> None:
        """Log what was committed, and tell the observer."""
        newest, logger = (operation_entity(operation.id), operation.version), self.log.bound()
        for record in records:
            alarm = self.kinds.alarm_of(operation) if (record.entity, record.version) == newest else None
            event = transition_event(record, round(duration_ms, 3), alarm)
            self.log.transition(event, logger)
            self._tell(event)

    def _tell(self, event: TransitionEvent) -> None:
        """An observer that fails must not look like a payment that failed."""
        if self.observer is None:
            return
        try:
            self.observer(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the observer's
            self.log.note("observer_failed", operation_id=event.operation_id, error=type(error).__name__)

    def fresh(self, operation: Operation, previous: Draft) -> Draft:
        """A draft that starts from what was just committed."""
        draft = Draft(previous.machine, operation, stored=True, actor=previous.actor)
        draft.load(previous.all_tokens())
        return draft

    def _complete(self, run: Run) -> None:
        """Fields that follow from the state: when it ended, who drives it, when to look again."""
        op, now = run.operation, run.now()
        state = run.draft.machine.state(op.state)
        lease_ms = int(self.settings.lease_s * 1000)
        if state.kind == "final":
            run.draft.set(finished_at=op.finished_at or now, lease=None, next_check_at=None)
            return
        if not run.draft.stored and state.kind == "live":
            run.draft.set(lease=Lease(run.worker, now + lease_ms, 1))
        if state.action is None:
            run.draft.set(next_check_at=None)
        elif state.kind == "parked":
            run.draft.set(next_check_at=now + int(self.settings.poll_max_s * 1000))
        else:
            due_at = run.kind.due_at(op)
            run.draft.set(next_check_at=now + lease_ms if due_at is None else due_at)

    def _again(self, run: Run) -> None:
        staged = list(run.staged)
        self._reload(run)
        for happened, run.answered in staged:
            decision = run.decide(happened.event, happened.evidence)
            if not decision.accepted:
                return
            self.stage(run, happened, decision)

    def _reload(self, run: Run) -> None:
        """Go on from the stored operation, without the transitions that were staged."""
        stored = self.store.operation(run.operation.id, run.operation.npub)
        if stored is None:
            raise StorageError("the operation vanished from the store", operation_id=run.operation.id)
        run.reloaded(self.open_draft(stored, run.draft.actor))

    def open_draft(self, operation: Operation, actor: str) -> Draft:
        """A draft of a stored operation with the tokens it holds. Code UNKNOWN_MACHINE."""
        draft = Draft(self.kinds.machine_of(operation), operation, stored=True, actor=actor)
        ids = {part.token_id for part in operation.inputs}
        ids.update(self.kinds.of(operation).tokens(operation, self.store))
        if ids:
            wanted = TokenQuery(ids=tuple(sorted(ids)), limit=len(ids), home=operation.npub)
            draft.load(self.store.tokens(wanted))
        return draft

    # -- waiting ---------------------------------------------------------------------------------

    def _pause(self, run: Run, seconds: float | None, deadline: float) -> bool:
        """Commit, then wait; False if the drive ends here (the operation stays open for later)."""
        self.commit(run)
        left = deadline - self.clock.monotonic()
        self._reschedule(run, seconds)
        told = run.draft.machine.state(run.operation.state).settles
        if seconds is None or left <= 0 or told or run.is_stopping:
            self._let_go(run)
            return False
        self.faults.reach(f"waiting:{run.operation.state}")
        rest(self.clock, min(seconds, left), run.stopping)
        if run.is_stopping:
            self._let_go(run)
        return not run.is_stopping

    def _reschedule(self, run: Run, seconds: float | None) -> None:
        """Tell other workers when to look and keep our lease while we wait ourselves."""
        op = run.operation
        if op.lease is None or op.lease.worker != run.worker:
            return
        now, term = run.now(), op.lease.term
        if seconds is not None:
            due = now + int(seconds * 1000)
            self._noted(run, Reschedule(op.id, run.worker, term, due, op.npub))
        if op.lease.until - now < self.settings.lease_s * 500:
            until = now + int(self.settings.lease_s * 1000)
            self._noted(run, KeepLease(op.id, run.worker, term, until, op.npub))

    def _let_go(self, run: Run, *, at_once: bool = False) -> None:
        op = run.operation
        lease = op.lease
        if lease is not None and lease.worker == run.worker:
            if at_once:
                self._noted(run, Reschedule(op.id, run.worker, lease.term, run.now(), op.npub))
            self._noted(run, DropLease(op.id, run.worker, lease.term, op.npub))

    def _noted(self, run: Run, note: Reschedule | KeepLease | DropLease) -> None:
        stored = self.store.note(note)
        if stored is not None:
            run.draft.adopt(lease=stored.lease, next_check_at=stored.next_check_at)


def reads_only(machine: Machine[Any], state: State) -> bool:
    """Whether the action of the state may run while transitions are still staged."""
    action = machine.action_in(state.name)
    return action is not None and action.reads_only
