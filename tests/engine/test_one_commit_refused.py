"""Whatever the one commit meets, a payment that was made is stored: alone, when it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve as changed

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.kinds import BUILT_IN
from nutstate.machines.spec import Effect
from nutstate.storage.batch import Batch
from nutstate.storage.errors import (
    BatchTooLarge,
    CommitUnknown,
    CorruptRecord,
    InvalidBatch,
    StorageError,
    StoreUnavailable,
)
from nutstate.storage.port import OperationQuery
from nutstate.storage.read_back import ReadBack
from tests.engine.test_one_commit import BEGUN, SETTLED, batches_of
from tests.engine.test_own_read_back import NOTE, note_kind
from tests.support.apart import Wrapped
from tests.support.wallet import NPUB, QUICK, funded, invoice


class NeverBoth(Wrapped):
    """A store that answers each commit that reads back with an error: it is too slow for both, or too small.
    ``wrote``: it writes the batch before."""

    def __init__(self, store: Any, error: Callable[[Batch], StorageError], wrote: bool = False) -> None:
        super().__init__(store)
        self.error, self.wrote = error, wrote

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        if read_back is None or self.wrote:
            self._store.commit(batch, read_back)
        if read_back is not None:
            raise self.error(batch)


@pytest.mark.parametrize(
    "error",
    [
        lambda batch: StoreUnavailable("the transaction ran out of its time"),
        lambda batch: BatchTooLarge(257),
        lambda batch: InvalidBatch("the audit record of the reconciliation cannot be stored"),
        lambda batch: CorruptRecord("a document does not decode"),
    ],
    ids=["unavailable", "too large", "invalid", "corrupt"],
)
def test_r455_a_payment_does_not_wait_for_its_reconciliation(
    store: Store, error: Callable[[Batch], StorageError]
) -> None:
    """R455: a store that can never do both at once gets the payment alone, in the drive that paid it; the
    reconciliation follows. Nothing is paid twice."""
    engine, mint, clock = funded(store)
    port: Any = NeverBoth(store, error)
    melt = Engine(port, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
    )
    assert melt.state == "reconciled"
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_passed"]]
    assert mint.lightning.payments(str(melt.record.payment_hash)) == 1 and engine.verify_audit().holds


@pytest.mark.parametrize("wrote", [True, False])
def test_r455_an_unknown_commit_is_never_sent_as_another_batch(store: Store, wrote: bool) -> None:
    """R455: when it is not known whether both were written, the payment is not sent alone under another name:
    the drive ends, and recovery finds what is stored."""
    engine, mint, clock = funded(store)
    port: Any = NeverBoth(store, lambda batch: CommitUnknown(batch.id, "no answer"), wrote)
    with pytest.raises(StorageError) as failed:
        Engine(port, mint, settings=QUICK, clock=clock).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)
        )
    assert failed.value.details["cause"] == "COMMIT_UNKNOWN"
    (melt,) = store.operations(OperationQuery(kind="melt"))
    assert melt.state == ("reconciled" if wrote else "paying")
    clock.advance(61)
    engine.recover(force=True)
    events = [event for batch in batches_of(store, melt.id) for event in batch if event != "recover"]
    assert events == [*BEGUN, *SETTLED, "reconcile_passed"]
    assert mint.lightning.payments(str(melt.payment_hash)) == 1 and engine.verify_audit().holds


def _fails(*_: Any) -> Any:
    raise ZeroDivisionError


def _fails_later(event: str, real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda run, decision, evidence: (
        _fails() if decision.event == event else real(run, decision, evidence)
    )


BOOK = Effect("book", "write it into the books of the service")
AGREEING = tuple(
    changed(edge, effects=("book",)) if edge.event == "agrees" else edge for edge in NOTE.transitions
)
FAILING: dict[str, dict[str, Any]] = {
    "effect": {
        "machines": (changed(NOTE, transitions=AGREEING, effects=(BOOK,)),),
        "effects": {"book": _fails},
    },
    "before_effects": {"before_effects": _fails_later("agrees", lambda run, decision, evidence: evidence)},
}


@pytest.mark.parametrize("hook", FAILING)
def test_r455_code_of_the_second_transition_does_not_keep_the_first_from_being_stored(hook: str) -> None:
    """R455: the state that is to be read back is stored, and the drive fails afterwards, as it did when both
    were commits of their own."""
    kinds = BUILT_IN | note_kind(**FAILING[hook])
    with open_store("memory://", kinds=kinds) as store, SimulatedMint() as mint:
        with pytest.raises(ZeroDivisionError):
            Engine(store, mint, kinds=kinds).start("note", npub=NPUB, mint_url=mint.url, amount=1)
        (note,) = store.operations(OperationQuery(kind="note"))
        assert note.state == "written"


def test_r455_facts_that_fail_before_the_second_transition(store: Store, monkeypatch: Any) -> None:
    """R455: the facts of a kind fail once the payment is settled: the payment is stored all the same."""
    engine, mint, clock = funded(store)
    kind, broken = BUILT_IN.named("melt"), [True]
    real = kind.facts

    def facts(look: Any) -> Any:
        if broken[0] and look.operation.state == "settled":
            raise ZeroDivisionError
        return real(look)

    object.__setattr__(kind, "facts", facts)
    try:
        with pytest.raises(ZeroDivisionError):
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        (melt,) = store.operations(OperationQuery(kind="melt"))
        assert melt.state == "settled" and melt.lease is None
        broken[0] = False
        clock.advance(61)
        engine.recover(force=True)
    finally:
        object.__setattr__(kind, "facts", real)
    assert batches_of(store, melt.id) == [BEGUN, SETTLED, ["reconcile_passed"]]
