"""The calls for melts that the caller makes at the mint: hold, unhold and record_melt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import attrs

from ...machines.record.table import RECORD
from ...storage.batch import DedupTake
from ...storage.errors import CommitUnknown, Conflict, Duplicate, StorageError
from ...storage.records import DedupRecord, Operation, Policy, Proof, Token
from .. import arguments
from ..admission import new_operation
from ..errors import Refused, refusal_error
from ..loop.drive import Happened, Run
from ..loop.evidence import Chosen, Evidence, Selection
from ..operations.record import holds
from ..operations.record.data import record_of
from ..operations.record.outcome import contested, is_contested
from ..operations.record.proofs import check_new, sort_out
from ..operations.record.wanted import Wanted, account, parked, repeated
from .core import Core
from .handle import Handle
from .recorded import RecordedMelt, recorded_melt

Proofs = Iterable[Proof | Mapping[str, object]]


class Recordings(Core):
    """Melts that a service makes at the mint itself, with tokens of ours."""

    def record_melt(
        self,
        sources: Iterable[str] | None,
        keep: Proofs | None,
        change: Proofs | None,
        amount: int,
        fee: int,
        *,
        transaction_id: str | None = None,
        npub: str,
        wallet_id: str | None = None,
        mint_url: str,
        unit: str = "sat",
        payment_request: str | None = None,
        parent_transaction_id: str | None = None,
        idempotency_key: str | None = None,
        hold: str | None = None,
    ) -> RecordedMelt:
        """Store a melt you made: the sources spent, keep and change as new money, all in one commit.

        ``sources`` are whole tokens; sources = amount + fee + keep + change. Proofs in ``keep`` that are
        a source's own were not used and are moved to ``<id>_keep``; all other keep and change proofs are
        new. ``fee`` is all the mint took beside the amount. With ``hold`` exactly the held sources are
        spent (``sources`` may be empty). The same recording inside the duplicate window, or with the
        same key or id at any time, returns the first result. The mint is not asked.

        When another operation holds or has spent a source, or claims the payment, keep and change are
        stored all the same and CONCURRENT_OPERATION is raised, CRITICAL, with ``operation_id``: do not
        pay again; it settles when the sources become free, or an operator decides. Every other refusal
        writes nothing: keep the proofs until this returns or raises with ``operation_id``.

        Codes: INVALID_*, TOO_MANY_PROOFS, DUPLICATE_SECRET, DUPLICATE_PROOF, SOURCE_UNTOUCHED,
        NOT_CONSERVED, IDEMPOTENCY_KEY_REUSED, DUPLICATE_OPERATION, DUPLICATE_TRANSACTION_ID, NOT_FOUND,
        TOKEN_NOT_FOUND, OWNER_MISMATCH, MINT_OR_UNIT_MISMATCH, HOLD_MISMATCH, NOT_HELD,
        CONCURRENT_OPERATION.
        """
        wanted = Wanted.checked(
            self.kinds.named(RECORD.name).latest, self.settings, self.clock.now(), self._hold_of,
            sources=sources, keep=keep, change=change, amount=amount, fee=fee, transaction_id=transaction_id,
            npub=npub, wallet_id=wallet_id, mint_url=mint_url, unit=unit, payment_request=payment_request,
            parent_transaction_id=parent_transaction_id, idempotency_key=idempotency_key, hold=hold,
        )  # fmt: skip
        return self._record(wanted)

    def hold(
        self,
        sources: Iterable[str],
        ttl_s: float,
        *,
        npub: str,
        wallet_id: str | None = None,
        mint_url: str,
        unit: str = "sat",
        transaction_id: str | None = None,
        payment_request: str | None = None,
    ) -> Handle:
        """Reserve whole tokens for a melt you are about to make, from 1 second to ``hold_max_h``.

        ``record_melt(hold=id)`` ends it when you paid, :meth:`unhold` when you did not. The end of the
        time alone frees nothing: :meth:`recover` asks the mint, and only proofs it calls UNSPENT twice,
        a settle window apart, are freed. Until it is recorded, ``amount`` is the held amount.

        A ``payment_request`` is claimed for it, so the sources must cover its amount.

        Codes: INVALID_*, DUPLICATE_TRANSACTION_ID, TOKEN_NOT_FOUND, OWNER_MISMATCH, INSUFFICIENT_BALANCE,
        MINT_OR_UNIT_MISMATCH, CONCURRENT_OPERATION, PAYMENT_ALREADY_CLAIMED (nothing written).
        """
        limit = self.settings.proofs_per_operation_max
        owner, url, unit = arguments.npub(npub), arguments.mint_url(mint_url), arguments.unit(unit)
        request, hashed, asked = arguments.payment_request(payment_request, unit)
        lasts = arguments.ttl(ttl_s, self.settings.hold_max_h)
        named = arguments.source_ids(sources if sources is not None else (), limit)
        op = new_operation.new_operation(
            self.kinds.named(RECORD.name).latest,
            now=self.clock.now(),
            npub=owner,
            mint_url=url,
            unit=unit,
            amount=1,  # until the sources are known
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            policy=Policy(sources=named),
            request=request,
            payment_hash=hashed,
        )
        taken: str | None = None
        for _ in range(self._tries(op)):
            stored = self.store.operation(op.id)
            if stored is not None and holds.same_hold(stored, op):
                return Handle(self, stored)
            new_operation.check_id_free(self.store, op)
            new_operation.check_claim(self.store, self.kinds, op)
            tokens = new_operation.free_sources(self.store, op)
            holds.check_covers(tokens, asked)
            try:
                return self._begin_hold(op, lasts, tokens)
            except Conflict as conflict:
                taken = conflict.entity
            except Duplicate as duplicate:
                _explained(duplicate)
        new_operation.check_sources(self.store, op)
        raise new_operation.lost_race(self.store, op, taken)

    def unhold(self, operation_id: str, *, npub: str | None = None) -> Handle:
        """Free the held tokens, on your word that you did not pay and will not pay. Unholding again changes
        nothing. Codes: NOT_FOUND, NOT_HELD, ALREADY_FINAL, UNDEFINED_TRANSITION, UNKNOWN_MACHINE."""
        op = self._stored(self._bound(operation_id, npub))
        self.kinds.machine_of(op)  # whether it is a hold, only an engine that has its machine can say
        holds.checked_hold(op)
        return Handle(self, self._outside.apply(op.id, "unhold", Evidence()))

    # -- holding -------------------------------------------------------------------------------------

    def _begin_hold(self, op: Operation, lasts: int, tokens: tuple[Token, ...]) -> Handle:
        op = attrs.evolve(op, amount=sum(token.total_amount for token in tokens))
        run = self._new_run(op, "caller")
        run.set_data(hold_until=run.judged_at() + lasts, sources_total=op.amount)
        selection = Selection(tuple(Chosen(token, token.proofs) for token in tokens), 0)
        self._driver.take(
            run, Happened("hold", Evidence(selection=selection, claim_holder=self._claimer(op)))
        )
        self._commit(run)
        held = run.operation
        with contextlib.suppress(StorageError):  # it is held; when to look again can be said later
            held = self._driver.drive(run, 0)
        return Handle(self, held)

    # -- recording -----------------------------------------------------------------------------------

    def _hold_of(self, hold: str, owner: str) -> Operation:
        return self._stored(self._bound(hold, owner))

    def _record(self, wanted: Wanted) -> RecordedMelt:
        for _ in range(self._tries(wanted.op)):
            first, previous = self._first(wanted)
            if first is not None:
                return self._result(first)
            try:
                return self._result(self._store(wanted, previous))
            except Conflict:
                continue  # another worker was faster: decide again with its result
            except Duplicate as duplicate:
                _explained(duplicate)
                continue  # if a proof is taken, the next look names who has it
            except Refused as error:
                if "operation_id" in error.details:
                    raise
                refused = error
            # The faster call may have made this very recording.
            first, _previous = self._first(wanted)
            if first is None:
                raise refused
            return self._result(first)
        raise new_operation.concurrent(dict.fromkeys(wanted.op.policy.sources))  # nothing written: call again

    def _first(self, wanted: Wanted) -> tuple[Operation | None, DedupRecord | None]:
        """The recording this one repeats: by key, by id or hold, or inside the duplicate window."""
        op = wanted.op
        found = new_operation.by_key(self.store, op)
        if found is not None:
            return found, None
        stored = self.store.operation(op.id)
        if stored is not None and self.kinds.account_of(stored).payment is not None:
            if (stored.npub, stored.kind) != (op.npub, op.kind):
                raise new_operation.taken_id(op)
            return repeated(stored, wanted), None
        if wanted.hold is None:
            new_operation.check_id_free(self.store, op)
        record = self.store.dedup(new_operation.dedup_key(op), op.npub)
        if record is None or record.expires_at <= self.clock.now():
            return None, record
        first = self.store.operation(record.operation_id)
        if first is None or record_of(first).payment is None or first.ends == "unpaid":
            return None, record
        return repeated(first, wanted), None

    def _store(self, wanted: Wanted, previous: DedupRecord | None) -> Operation:
        """Decide and commit. Raises Conflict or Duplicate when another worker was faster."""
        run = self._opened(wanted)
        tokens = new_operation.sources_of(self.store, wanted.op)
        chosen, fresh = sort_out(tokens, wanted.handed)
        check_new(self.store, wanted.op.npub, (*fresh, *wanted.handed.change))
        evidence = Evidence(
            selection=Selection(chosen, 0),
            recorded=wanted.said,
            keep=fresh,
            proofs=wanted.handed.change,
            claim_holder=self._claimer(wanted.op),
            reason=parked(run.operation, tokens),
        )
        decision = run.decide("record", evidence)
        if not decision.accepted:
            self._driver.log.refused(run.operation, decision)
            raise refusal_error(decision.refusals, **account(wanted, tokens))
        if run.draft.machine.state(decision.next_state).kind != "parked":
            evidence = attrs.evolve(evidence, reason=None)
        self._driver.stage(run, Happened("record", evidence), decision)
        run.draft.set(
            operation_hash=wanted.op.operation_hash,
            idempotency=wanted.op.idempotency or run.operation.idempotency,
            parent_id=wanted.op.parent_id or run.operation.parent_id,
        )
        until = self.clock.now() + int(self.settings.dedup_window_s * 1000)
        run.draft.dedup = DedupTake(
            DedupRecord(new_operation.dedup_key(wanted.op), run.operation.id, until), previous
        )
        self._commit(run)
        recorded = run.operation
        with contextlib.suppress(StorageError):  # it is recorded; recovery makes the checks if this cannot
            if wanted.hold is None:
                return self._driver.drive(run, 0)
            return self._recovery.follow(recorded, 0)
        return recorded

    def _opened(self, wanted: Wanted) -> Run:
        if wanted.hold is None:
            run = self._new_run(wanted.op, "caller")
        else:
            op = self._stored(wanted.hold)
            if op.ends in ("unpaid", "lost"):
                raise Refused(
                    "the hold has ended; record it with its sources and without the hold",
                    code="NOT_HELD", hold=op.id, state=op.state,
                )  # fmt: skip
            run = self._open(op, "caller")
        run.strict = True
        return run

    def _result(self, op: Operation) -> RecordedMelt:
        if is_contested(op):
            raise contested(self.store, op)
        return recorded_melt(self.store, Handle(self, op))

    # -- both ----------------------------------------------------------------------------------------

    def _commit(self, run: Run) -> None:
        try:
            self._driver.commit(run)
        except CommitUnknown as error:
            error.details = {**error.details, "operation_id": run.operation.id}
            raise

    def _claimer(self, op: Operation) -> str | None:
        holder = self.store.operation_by_claim(op.payment_hash) if op.payment_hash else None
        return holder.id if holder else None

    def _tries(self, op: Operation) -> int:
        """Each source can be taken and freed by others while we decide; enough for all of them."""
        return self.settings.selection_tries_max + 2 * len(op.policy.sources)


def _explained(duplicate: Duplicate) -> None:
    """Whether to look again after a unique key was taken between our look and our commit."""
    if duplicate.key not in ("idempotency_key", "dedup", "operation_id", "claim", "token_id", "proof"):
        raise duplicate
