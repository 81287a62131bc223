"""The time between the one commit that was refused and the payment that is then stored alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, Refused, Store
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.storage.batch import Batch
from nutstate.storage.errors import CommitUnknown, NotAsWritten, StoreUnavailable
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.read_back import ReadBack
from nutstate.storage.testing.records import batch_for, make_operation
from tests.engine.test_one_commit import BEGUN, SETTLED, NoChange, batches_of
from tests.support.apart import Seen, Wrapped
from tests.support.memory_cluster import MemoryCluster
from tests.support.wallet import NPUB, QUICK, funded, invoice


class Interrupted(Wrapped):
    """A store that refuses each commit that reads back, after ``meanwhile`` has run."""

    def __init__(self, store: Any, meanwhile: Callable[[], None]) -> None:
        super().__init__(store)
        self.meanwhile = meanwhile

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        if read_back is not None:
            self.meanwhile()
            raise NotAsWritten("a token is missing")
        self._store.commit(batch)


def test_r458_another_worker_may_settle_it_meanwhile(store: Store) -> None:
    """R458: recovery takes the operation over when the lease has run out, and reconciles it, while this drive
    was refused: its payment alone is a conflict, and the stored end is the answer. There is one payment."""
    engine, mint, clock = funded(store)

    def overtaken() -> None:
        clock.advance(3600)
        Engine(store, mint, settings=QUICK, clock=clock).recover(force=True)

    port: Any = Interrupted(store, overtaken)
    melt = Engine(port, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled" and mint.lightning.payments(str(melt.record.payment_hash)) == 1
    events = [event for batch in batches_of(store, melt.id) for event in batch if event != "recover"]
    assert events == [*BEGUN, *SETTLED, "reconcile_passed"]
    assert engine.verify_audit().holds and engine.reconcile_all().validation_passed


class Dies(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
def test_r458_a_crash_while_the_payment_is_stored_alone(store: Store, place: str, nth: int) -> None:
    """R458: at each commit after the payment was made (both, the payment alone, the reconciliation) the
    process dies: recovery ends it with one payment and one reconciliation, and the money adds up."""
    engine, mint, clock = funded(store)
    reached = [0]

    class Faults:
        def reach(self, point: str) -> None:
            if point.startswith(f"{place}:") and point.partition(":")[2] in ("settled", "reconciled"):
                reached[0] += 1
                if reached[0] == nth:
                    raise Dies

    seen: Any = Seen(store, NoChange)
    dying = Engine(seen, mint, settings=QUICK, clock=clock, faults=Faults())
    try:
        dying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    except Dies:
        pass
    else:
        assert (place, nth) == ("after_commit", 3), "a refused commit has no answer"
    clock.advance(3600)
    Engine(store, mint, settings=QUICK, clock=clock).recover(force=True)
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == "reconciled" and mint.lightning.payments(str(melt.payment_hash)) == 1
    events = [event for batch in batches_of(store, melt.id) for event in batch if event != "recover"]
    assert events == [*BEGUN, *SETTLED, "reconcile_passed"]
    assert engine.verify_audit().holds and engine.reconcile_all().validation_passed


@pytest.mark.parametrize("alone", ["unknown", "lost", "unavailable"])
def test_r458_the_payment_alone_has_an_uncertain_end(store: Store, alone: str) -> None:
    """R458: the commit of the payment alone is as certain as any: it is sent again, or the caller is told."""
    engine, mint, clock = funded(store)

    class Uncertain(Wrapped):
        tries = 0

        def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
            if read_back is not None:
                raise NotAsWritten("a token is missing")
            self.tries += 1
            if alone == "lost" or self.tries != 2:
                self._store.commit(batch)
            if self.tries == 2:
                if alone == "unavailable":
                    raise StoreUnavailable("the store is not there")
                raise CommitUnknown(batch.id, "no answer")

    port: Any = Uncertain(store)
    mine = Engine(port, mint, settings=QUICK, clock=clock)
    if alone == "unavailable":
        with pytest.raises(StoreUnavailable) as failed:
            mine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        assert failed.value.code == "CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS"
        engine.recover()
    else:
        assert mine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).state == "reconciled"
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == "reconciled" and mint.lightning.payments(str(melt.payment_hash)) == 1
    events = [event for batch in batches_of(store, melt.id) for event in batch if event != "recover"]
    assert events == [*BEGUN, *SETTLED, "reconcile_passed"] and engine.verify_audit().holds


@pytest.mark.parametrize("does", ["reads", "reads a snapshot", "writes"])
def test_r458_a_check_that_uses_the_store_itself_blocks_nothing(
    store: Store, does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R458: the checks of a kind run while the store holds its locks. One that reads the store beside its
    reader waits for nothing; one that writes ends in time, and the payment is stored."""
    engine, mint, clock = funded(store)
    monkeypatch.setattr("nutstate.storage.sqlite.store.BUSY_TIMEOUT_S", 0.05)
    kind = BUILT_IN.named("melt")
    assert kind.checks is not None
    real, asked = kind.checks.sums, [0]

    def sums(tally: Any, docs: Any) -> None:
        asked[0] += 1
        if does == "writes" and asked[0] == 1:
            store.commit(batch_for(make_operation("tx-beside")))
        elif does == "reads":
            assert store.operation(docs.operation.id, NPUB) is not None
        else:
            with store.snapshot() as reader:
                assert reader.operation(docs.operation.id, NPUB) is not None
        real(tally, docs)

    object.__setattr__(kind.checks, "sums", sums)
    try:
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    finally:
        object.__setattr__(kind.checks, "sums", real)
    assert melt.state == "reconciled" and asked[0]
    assert mint.lightning.payments(str(melt.record.payment_hash)) == 1
    assert engine.verify_audit().holds and engine.reconcile_all().validation_passed


@pytest.mark.parametrize("forgets", [False, True])
def test_r458_on_a_cluster_the_keys_are_claimed_again(forgets: bool) -> None:
    """R458: the keys of the refused attempt are given back and claimed for the payment alone, also where the
    server has forgotten each committed attempt: no key is held twice or without its entry."""
    cluster = MemoryCluster(forgets=forgets)
    store = cluster.store()
    seen: Any = Seen(store, NoChange)
    engine, mint, clock = funded(store)
    melt = Engine(seen, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled" and len(seen.found) == 1
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_passed"]]
    cluster.check_keys()
    assert engine.verify_audit().holds and engine.reconcile_all().validation_passed


def test_r459_the_reconciliation_is_not_an_operators_decision(store: Store) -> None:
    """R459: an operator gives up a recorded payment whose coins another operation holds. The reconciliation
    in the same commit is made by the engine: its record does not name the operator as the deciding party."""
    engine, mint, _ = funded(store)
    (token,) = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    engine.hold([token.transaction_id], 60, npub=NPUB, mint_url=mint.url)
    with pytest.raises(Refused) as contested:
        engine.record_melt(
            [token.transaction_id], None, None, token.total_amount - 1, 1, npub=NPUB, mint_url=mint.url
        )
    named = contested.value.details["operation_id"]
    ended = engine.write_off(named, "it was spent twice", operator="alice", force=True)
    assert batches_of(store, named)[-1] == ["write_off", "reconcile_passed"]
    *_, given_up, looked = [record for record in ended.audit() if record.entity == f"operation:{named}"]
    assert (given_up.actor, given_up.data["operator"]) == ("operator", "alice")
    assert looked.event == "reconcile_passed" and looked.actor.startswith("worker:")
    assert engine.verify_audit().holds
