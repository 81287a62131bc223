"""R148 to R156: codes with their severity, alarms, and a store that fails after the payment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, Refused, StorageError, Store, TransitionEvent
from nutstate.engine.simulated import faults
from nutstate.storage.ahead import Read
from nutstate.storage.batch import Batch
from nutstate.storage.catalogue import DB_FAILURE_AFTER_SUCCESS, ERRORS, MELT_FAILURE
from nutstate.storage.errors import CommitUnknown, Conflict, StoreUnavailable
from nutstate.storage.port import OperationQuery, Reader
from nutstate.storage.read_back import ReadBack
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.cases import every
from tests.support.everything import everything
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

# -- the catalogue in the errors -----------------------------------------------------------------------


@every("code", sorted(ERRORS))
def test_r150_r151_an_error_takes_severity_and_retryable_from_the_catalogue(code: str) -> None:
    entry = ERRORS[code]
    error = NutstateError("words", code=code, detail=1)
    assert (error.severity, error.retryable) == (entry.severity, entry.retryable)
    assert error.as_dict()["details"] == {"detail": 1}


def test_the_situation_may_decide_otherwise() -> None:
    error = Refused("words", code="CONCURRENT_OPERATION", severity="CRITICAL", retryable=False)
    assert (error.severity, error.retryable, dict(error.details)) == ("CRITICAL", False, {})
    assert (Conflict("x").severity, Conflict("x").retryable) == ("LOW", True)
    assert (CommitUnknown("b").severity, CommitUnknown("b").retryable) == ("CRITICAL", True)
    assert NutstateError("words", code="SOMEBODY_ELSES").severity == "HIGH"


@pytest.mark.parametrize(
    ("code", "severity", "retryable"),
    [
        ("PROOF_STATE_INCONSISTENCY", "HIGH", True),
        ("CONCURRENT_OPERATION", "LOW", True),
        ("NOT_CONSERVED", "HIGH", False),
        ("RECONCILIATION_FAILED", "CRITICAL", False),
        ("INSUFFICIENT_BALANCE", "LOW", False),
        ("MINT_UNREACHABLE", "MEDIUM", True),
        (DB_FAILURE_AFTER_SUCCESS, "CRITICAL", True),
        (MELT_FAILURE, "CRITICAL", False),
    ],
)
def test_r150_severities_that_callers_rely_on(code: str, severity: str, retryable: bool) -> None:
    assert (ERRORS[code].severity, ERRORS[code].retryable) == (severity, retryable)


# -- a store that fails after the payment --------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "cause"), [("unavailable", "STORE_UNAVAILABLE"), ("unknown", "COMMIT_UNKNOWN")]
)
def test_r155_a_store_that_fails_once_the_request_was_sent(store: Store, word: Any, cause: str) -> None:
    engine, mint, clock = funded(store)
    fragile = Engine(FaultyStore(store, ["ok", *([word] * 20)]), mint, settings=QUICK, clock=clock)
    bolt11 = invoice(700, clock)
    with pytest.raises(StorageError) as failed:
        fragile.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    error = failed.value
    assert type(error) is (StoreUnavailable if word == "unavailable" else CommitUnknown), "the class stays"
    assert (error.code, error.severity, error.retryable) == (DB_FAILURE_AFTER_SUCCESS, "CRITICAL", True)
    assert error.details["cause"] == cause and error.details["sent"] is True
    assert mint.lightning.payments(payment_hash(bolt11)) == 1
    engine.recover(force=True, wait_s=30)  # R156
    assert engine.operation(error.details["operation_id"]).state == "reconciled"
    invariants.check(store, mint)


def test_r155_not_before_anything_could_be_sent(store: Store) -> None:
    """The commit that writes the request ahead fails: nothing was sent, and the code says nothing else."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    fragile = Engine(FaultyStore(store, ["unavailable"]), mint, settings=QUICK, clock=clock)
    with pytest.raises(StorageError) as failed:
        fragile.confirm(plan.id)
    assert failed.value.code == "STORE_UNAVAILABLE" and failed.value.details["sent"] is False
    assert engine.confirm(plan.id).state == "reconciled"
    invariants.check(store, mint)


# -- alarms --------------------------------------------------------------------------------------------


def test_r154_a_proven_payment_that_is_parked_is_an_alarm(store: Store) -> None:
    seen: list[TransitionEvent] = []
    engine, mint, clock = funded(store, observer=seen.append)
    mint.faults.next("melt", faults.change_short(50))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.is_parked and melt.alarm == melt.as_dict()["alarm"] == MELT_FAILURE
    alarms = [(event.entity, event.to_state) for event in seen if event.alarm]
    assert alarms == [(f"operation:{melt.id}", "attention")]
    done = engine.write_off(melt.id, "checked")
    assert done.alarm is None and done.as_dict()["alarm"] is None


def test_r154_the_log_carries_it(store: Store) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []

    class Logger:
        def __getattr__(self, level: str) -> Callable[..., None]:
            return lambda name, **fields: lines.append((level, fields))

    engine, mint, clock = funded(store, logger=Logger())
    mint.faults.next("melt", faults.change_short(50))
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    alarms = [level for level, fields in lines if fields.get("alarm") == MELT_FAILURE]
    assert alarms == ["critical"] and not any("alarm" in f and f["alarm"] is None for _, f in lines)


def test_r154_a_possible_payment_is_an_alarm_too(store: Store) -> None:
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.chaos(1, 100, kinds=("unreachable",), endpoints=("melt_quote_state",))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=2)
    assert melt.alarm is None, "it is live: nobody needs to look yet"
    for _ in range(80):
        clock.advance(61)
        engine.recover(force=True, wait_s=5)
    parked = melt.refresh()
    assert parked.state == "attention" and not parked.is_paid and parked.alarm == MELT_FAILURE


# -- who took the tokens -------------------------------------------------------------------------------


def test_r48_a_lost_race_for_chosen_tokens_names_them(store: Store) -> None:
    """The engine chose, and each time another worker was faster: the error names token and holder."""
    engine, mint, clock = funded(store)
    rival = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(20, clock))
    held = rival.record.inputs[0].token_id

    class AlwaysLate(FaultyStore):
        def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
            raise Conflict(f"token:{held}")

    late = Engine(AlwaysLate(store), mint, settings=QUICK, clock=clock)
    before = everything(store)
    with pytest.raises(Refused) as refused:
        late.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(30, clock))
    assert refused.value.code == "CONCURRENT_OPERATION" and refused.value.retryable
    assert refused.value.details == {"tokens": [held], "operations": [rival.id]}
    assert everything(store) == before


def test_r36_r45_given_up_unpaid_is_no_duplicate_but_keeps_the_invoice(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.chaos(1, 100, kinds=("unreachable",), endpoints=("melt_quote_state",))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=2)
    first = store.operation(melt.id)
    assert first is not None and store.operation_by_claim(payment_hash(bolt11)) is not None
    gone = attrs.evolve(first, state="written_off", kind_of_state="final", ends="lost")

    class Written(FaultyStore):
        def operation(self, operation_id: str, home: str | None = None) -> Any:
            return gone if operation_id == melt.id else self.store.operation(operation_id, home)

        def snapshot(self, ahead: Sequence[Read] = ()) -> AbstractContextManager[Reader]:
            return nullcontext(self)  # nothing changes meanwhile

    after = Engine(Written(store), mint, settings=QUICK, clock=clock)
    with pytest.raises(Refused) as refused:
        after.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED" and refused.value.details["holder"] == melt.id
    assert len(store.operations(OperationQuery(kind="melt"))) == 1
