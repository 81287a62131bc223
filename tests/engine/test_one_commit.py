"""Settling and reconciling in one commit: the documents are read back before it is final."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, Store
from nutstate.engine.cashu.keysets import Keysets
from nutstate.engine.checks import foresee as foreseeing
from nutstate.engine.checks.reconcile_rules import CHECKS_PERFORMED
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.storage.errors import CorruptRecord, StorageError
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.testing.records import FaultyStore
from tests.support.apart import Apart, Seen
from tests.support.data import with_fields
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice


def batches_of(store: Store, operation_id: str) -> list[list[str]]:
    """The events of the operation itself, commit by commit."""
    found: dict[str, list[str]] = {}
    for record in store.audit(AuditQuery(operation_id=operation_id)):
        events = found.setdefault(record.batch_id, [])
        if record.entity == f"operation:{operation_id}":
            events.append(record.event)
    return list(found.values())


BEGUN = ["request", "quote_received", "inputs_chosen", "pay"]
SETTLED = ["mint_paid", "change_received"]


def test_r614_a_melt_that_is_paid_at_once_is_two_commits(store: Store) -> None:
    """R614: the second holds the payment, the change and the reconciliation, each with its audit record and
    version; the number of checks stands in the record; the sweep finds nothing afterwards."""
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert batches_of(store, melt.id) == [BEGUN, [*SETTLED, "reconcile_passed"]]
    own = store.audit(AuditQuery(entity=f"operation:{melt.id}"))
    assert [record.to_state for record in own][-3:] == ["paid", "settled", "reconciled"]
    assert [record.version for record in own] == list(range(1, melt.record.version + 1))
    assert own[-1].data["checks_performed"] == CHECKS_PERFORMED == len(engine.reconcile(melt.id).checks)
    assert (melt.record.prev_state, melt.record.lease, melt.record.next_check_at) == ("settled", None, None)
    assert melt.record.finished_at is not None and engine.report(melt.id).commits == 2
    assert engine.verify_audit().holds and engine.reconcile_all().validation_passed


def test_r614_a_recorded_payment_is_one_commit(store: Store) -> None:
    """R614: what the caller paid itself is stored and reconciled at once."""
    engine, mint, _ = funded(store)
    (token,) = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    paid = engine.record_melt(
        [token.transaction_id], None, None, token.total_amount - 1, 1, npub=NPUB, mint_url=mint.url
    )
    assert batches_of(store, paid.transaction_id) == [["record", "reconcile_passed"]]
    assert engine.reconcile(paid.transaction_id).validation_passed and engine.verify_audit().holds


class Altered:
    """A reader that changes what it reads."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


class NoChange(Altered):
    def tokens(self, query: Any) -> Any:
        return [t for t in self._reader.tokens(query) if not t.transaction_id.endswith("_melt_change")]


class Stray(Altered):
    def tokens(self, query: Any) -> Any:
        found = list(self._reader.tokens(query))
        if query.parent is None:
            return found
        more = {"proofs": (fake_proof(8, "stray"),), "total_amount": 8}
        return [*found, attrs.evolve(found[0], transaction_id="tx_of_nothing", **more)]


class Unindexed(Altered):
    def proof_owners(self, keys: Any, home: Any = None) -> Any:
        return dict(list(self._reader.proof_owners(keys, home).items())[1:])


class OtherFee(Altered):
    def operation(self, name: str, home: Any = None) -> Any:
        op = self._reader.operation(name, home)
        return with_fields(op, input_fee=op.data["input_fee"] + 1) if "input_fee" in op.data else None


class Unspent(Altered):
    def tokens(self, query: Any) -> Any:
        found = self._reader.tokens(query)
        return [attrs.evolve(t, state="unspent", spent_at=None) if t.state == "spent" else t for t in found]


class ForgedSignature(Altered):
    def tokens(self, query: Any) -> Any:
        return [self._forged(token) for token in self._reader.tokens(query)]

    @staticmethod
    def _forged(token: Any) -> Any:
        if not token.transaction_id.endswith("_melt_change"):
            return token
        first, *rest = token.proofs
        forged = attrs.evolve(first, dleq=attrs.evolve(first.dleq, s="1" * 64))
        return attrs.evolve(token, proofs=(forged, *rest))


class OtherRecord(Altered):
    def audit(self, query: Any) -> Any:
        *others, last = self._reader.audit(query)
        return [*others, attrs.evolve(last, actor="another")] if query.operation_id else [*others, last]


class NoRecord(Altered):
    def audit(self, query: Any) -> Any:
        return self._reader.audit(query)[:-1]


class Unreadable(Altered):
    def tokens(self, query: Any) -> Any:
        raise CorruptRecord("a token does not decode")


class Gone(Altered):
    def operation(self, name: str, home: Any = None) -> Any:
        return None


class Broken(Altered):
    def proof_owners(self, keys: Any, home: Any = None) -> Any:
        raise ZeroDivisionError


ALTERED: list[tuple[type[Altered], str]] = [
    (NoChange, "transaction_completeness"),
    (Stray, "transaction_completeness"),
    (Unindexed, "transaction_completeness"),
    (OtherFee, "balance_consistency"),
    (Unspent, "source_token_status"),
    (ForgedSignature, "change_verification"),
    (OtherRecord, "audit_chain"),
    (NoRecord, "audit_chain"),
    (Unreadable, "transaction_completeness"),
    (Gone, "operation"),
    (Broken, "the check raised ZeroDivisionError"),
]


@pytest.mark.parametrize(("alter", "named"), ALTERED, ids=[alter.__name__ for alter, _ in ALTERED])
def test_r624_what_is_not_found_right_is_settled_alone(
    store: Store, alter: type[Altered], named: str
) -> None:
    """R624: every check refuses the commit with its own. Nothing of it is stored; the payment is committed
    alone as another batch, and the documents that are stored then are judged: here they are right."""
    seen: Any = Seen(store, alter)
    engine, mint, clock = funded(store)
    melt = Engine(seen, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled" and len(seen.found) == 1 and seen.found[0].startswith(named)
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_passed"]]
    tried = [(batch.id, back) for batch, back in seen.batches]
    assert [back for _, back in tried] == [False, True, False, False] and len(
        {name for name, _ in tried}
    ) == 4
    assert not store.audit(AuditQuery(batch_id=tried[1][0])), "the refused batch left something"
    assert engine.verify_audit().holds and engine.reconcile(melt.id).validation_passed
    assert engine.report(melt.id).commit_tries == 3, (
        "the refused one is counted, the last cannot count itself"
    )


def test_r625_documents_that_are_wrong_end_discrepant(store: Store) -> None:
    """R625: when the documents are wrong after the commit too, the operation is parked with an alarm, and the
    payment stays stored: nothing that was paid is rolled back for good."""

    class Wrong(Seen):
        def snapshot(self, ahead: Any = ()) -> Any:
            return _Around(self._store.snapshot(ahead), NoChange)

    wrong: Any = Wrong(store, NoChange)
    engine, mint, clock = funded(store)
    melt = Engine(wrong, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "discrepant" and melt.audit()[-1].compliance_level == "CRITICAL"
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_failed"]]
    fees = (melt.input_fee or 0) + (melt.lightning_fee or 0)
    assert engine.reconcile(melt.id).validation_passed and engine.balance(NPUB).unspent == 1300 - fees


class _Around:
    def __init__(self, inner: Any, alter: Callable[[Any], Any]) -> None:
        self._inner, self._alter = inner, alter

    def __enter__(self) -> Any:
        return self._alter(self._inner.__enter__())

    def __exit__(self, *error: Any) -> Any:
        return self._inner.__exit__(*error)


def test_r625_a_stored_settled_is_reconciled_by_recovery(store: Store) -> None:
    """R625: a process that dies after it committed `settled` alone leaves it to the next one."""

    class Dies(BaseException):
        """The process is gone."""

    class Faults:
        def reach(self, point: str) -> None:
            if point == "after_commit:settled":
                raise Dies

    apart: Any = Apart(store)
    engine, mint, clock = funded(store)
    dying = Engine(apart, mint, settings=QUICK, clock=clock, faults=Faults())
    with pytest.raises(Dies):
        dying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == "settled"
    clock.advance(61)
    engine.recover(force=True)
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_passed"]]


class Asked:
    """A store and a mint that know of each other: the mint is never asked while a commit is under way."""

    def __init__(self, store: Any, mint: Any) -> None:
        self.store, self.mint, self.committing = store, mint, False

    def port(self) -> Any:
        outer = self

        class Port(Apart):
            def commit(self, *args: Any) -> None:
                outer.committing = True
                try:
                    self._store.commit(*args)
                finally:
                    outer.committing = False

        return Port(self.store)

    def __getattr__(self, name: str) -> Any:
        assert not self.committing, f"the mint is asked for {name} inside a commit"
        return getattr(self.mint, name)


@pytest.mark.parametrize("known", ["before", "never", "not inside"])
def test_r626_the_mint_is_not_asked_inside_the_commit(
    store: Store, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R626: keys that would have to be asked for are asked for after the commit, as is everything else that
    takes long: a signature that this process has not verified yet."""
    engine, mint, clock = funded(store)
    asked = Asked(store, mint)
    real, looks = Keysets.remembered, 0

    def remembered(self: Any, mint_url: str, keyset_id: str) -> Any:
        nonlocal looks
        looks += 1
        inside = asked.committing
        return (
            None
            if known == "never" or (known == "not inside" and inside)
            else real(self, mint_url, keyset_id)
        )

    monkeypatch.setattr(Keysets, "remembered", remembered)
    port: Any = asked
    melt = Engine(asked.port(), port, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled" and looks
    assert len(batches_of(store, melt.id)) == (2 if known == "before" else 3)


def test_r627_code_that_fails_does_not_keep_a_payment_from_being_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R627: the kind's own check raises: the payment is stored as settled, the drive fails as before, and is
    finished once the code works. Code that fails before the commit changes nothing either."""
    engine, mint, clock = funded(store)
    kind = BUILT_IN.named("melt")
    assert kind.checks is not None
    broken = [True]
    real = kind.checks.sums

    def sums(tally: Any, docs: Any) -> None:
        if broken[0]:
            raise ZeroDivisionError
        real(tally, docs)

    object.__setattr__(kind.checks, "sums", sums)
    try:
        with pytest.raises(ZeroDivisionError):
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        (melt,) = store.operations(OperationQuery(kind="melt"))
        assert melt.state == "settled" and engine.balance(NPUB).unspent < 1300
        broken[0] = False
        clock.advance(61)
        engine.recover(force=True)
    finally:
        object.__setattr__(kind.checks, "sums", real)
    assert batches_of(store, melt.id)[1:] == [SETTLED, ["reconcile_passed"]]
    monkeypatch.setattr(foreseeing, "documents_of", lambda *_: 1 // 0)
    other = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(70, clock))
    assert batches_of(store, other.id)[1:] == [SETTLED, ["reconcile_passed"]]


@pytest.mark.parametrize(
    ("words", "commits"),
    [(("ok", "lost"), 2), (("ok", "unknown"), 2), (("ok", "lost", "unknown"), 2), (("ok", "conflict"), 3)],
)
def test_r628_a_lost_answer_of_the_one_commit(store: Store, words: Any, commits: int) -> None:
    """R628: the same batch is sent again until its outcome is known. After a conflict everything is decided
    again on documents that are loaded anew; not all that it made is among them, so the checks come after the
    commit. In each case there is one payment and one reconciliation."""
    engine, mint, clock = funded(store)
    faulty: Any = FaultyStore(store, words)
    melt = Engine(faulty, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled" and len(batches_of(store, melt.id)) == commits
    later = [event for events in batches_of(store, melt.id)[1:] for event in events]
    assert later == [*SETTLED, "reconcile_passed"]
    assert engine.verify_audit().holds


def test_r628_an_outage_at_the_one_commit_leaves_the_payment_to_recovery(store: Store) -> None:
    """R628: nothing is written, neither both nor the payment alone; the caller is told that the payment may
    have been made, the lease is given up at once, and recovery pays nothing twice."""
    engine, mint, clock = funded(store)
    faulty: Any = FaultyStore(store, ["ok", "unavailable", "unavailable"])
    with pytest.raises(StorageError) as failed:
        Engine(faulty, mint, settings=QUICK, clock=clock).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
        )
    assert failed.value.code == "CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS"
    assert failed.value.details["state"] == "settled"
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == "paying" and melt.lease is None and (melt.next_check_at or 0) <= clock.now()
    engine.recover()
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == "reconciled" and mint.lightning.payments(str(melt.payment_hash)) == 1
