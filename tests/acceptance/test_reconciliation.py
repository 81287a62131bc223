"""R115 to R128: what an operation must have left, looked at again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, Store, TransitionEvent
from nutstate.engine.checks.reconcile import ReconcileReport
from nutstate.storage.port import OperationQuery
from tests.engine import test_reconcile as scenes
from tests.engine.test_reconcile import Case, Lines, case
from tests.support.apart import Apart
from tests.support.data import data_in, with_fields
from tests.support.foreign import Foreign
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB, fake_proof, funded, invoice

__all__ = ["case"]


def failed(report: ReconcileReport) -> list[str]:
    assert report.validation_passed == (not report.discrepancies_found)
    return [check.name for check in report.checks if not check.passed]


def looked(case: Case) -> list[str]:
    """The checks that fail, after one was known to pass."""
    return failed(case.engine.reconcile(case.melt.id))


def checks(case: Case) -> list[Any]:
    return [op for op in case.engine.operations() if op.kind == "check"]


def test_r115_each_melt_is_reconciled_by_itself(store: Store) -> None:
    """Reconciliation runs by itself with each melt: inside its last commit, or, where the documents are not
    found right there, after it; then it sees what changed since that commit."""
    engine, mint, clock = funded(store)
    done = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert [r.event for r in done.audit()].count("reconcile_passed") == 1

    def meddle(event: TransitionEvent) -> None:
        if event.to_state == "settled":
            settled = meddled.operation(event.operation_id)
            Foreign(store).delete(Case(meddled, store, Foreign(store), settled, Lines(), mint).change)

    apart: Any = Apart(store)
    meddled = Engine(apart, mint, clock=clock, settings=engine.settings, observer=meddle)
    second = meddled.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert second.state == "discrepant"


def test_r115_a_recorded_melt_is_reconciled_by_itself(store: Store) -> None:
    """… recorded melts too."""
    wallet = Wallet(store, 500)
    done = wallet.record([500], proofs(100), None, 400)
    assert "reconcile_passed" in [r.event for r in wallet.engine.audit(done.transaction_id)]


def test_r116_on_demand_and_against_an_expected_state(case: Case) -> None:
    """`reconcile(id, expected_state=None)` runs it on demand."""
    assert not looked(case)
    wrong = {"balance_changes": {"expected_unspent_balance": 1}}
    assert failed(case.engine.reconcile(case.melt.id, wrong)) == ["balance_consistency"]
    right = {"balance_changes": {"expected_unspent_balance": case.engine.balance(NPUB).unspent}}
    assert not failed(case.engine.reconcile(case.melt.id, expected_state=right))


def test_r117_as_a_sweep(case: Case) -> None:
    """Reconciliation also runs as a sweep over stored operations."""
    assert case.engine.reconcile_all().operations == 2
    case.foreign.delete(case.change)
    assert case.melt.id in {report.operation_id for report in case.engine.reconcile_all().failed}


@pytest.mark.parametrize("missing", ["change", "source", "index"])
def test_r118_a_missing_document(case: Case, missing: str) -> None:
    """Transaction completeness: every document the operation must have exists."""
    tamper = {"change": scenes._remove_change, "source": scenes._remove_source, "index": scenes._unindex}
    tamper[missing](case)
    wanted = "source_token_status" if missing == "source" else "transaction_completeness"
    assert wanted in looked(case)


def test_r119_one_document_too_many(case: Case) -> None:
    """Transaction completeness: no other document of this operation exists."""
    more = attrs.evolve(
        case.change, transaction_id=f"{case.melt.id}_more", proofs=(fake_proof(8, "more"),), total_amount=8
    )
    case.foreign.put(more)
    assert looked(case) == ["transaction_completeness"]


def test_r120_one_unit_is_seen(case: Case) -> None:
    """Balance consistency: exact integers."""
    case.foreign.put(with_fields(case.melt.record, input_fee=data_in(case.melt.record).input_fee + 1))
    assert looked(case) == ["balance_consistency"]


def test_r120_all_read_from_one_snapshot(case: Case) -> None:
    """… all read from one snapshot: a payment that begins when the look has begun is not seen."""
    store: Any = case.store
    before = case.engine.balance(NPUB).unspent
    expected = {"balance_changes": {"expected_unspent_balance": before}}

    class Between:
        """A payment is made while the documents are being read."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def snapshot(self, ahead: Any = ()) -> Any:
            return _Paying(store.snapshot(ahead), pay)

    paid: list[str] = []

    def pay() -> None:
        if not paid:
            bolt11 = invoice(100)
            paid.append(case.engine.melt(npub=NPUB, mint_url=case.mint.url, invoice=bolt11).id)

    looking: Any = Between()
    report = Engine(looking, case.mint).reconcile(case.melt.id, expected)
    assert paid and not failed(report) and case.engine.balance(NPUB).unspent < before


class _Paying:
    """A snapshot during which, after its first read, another worker writes."""

    def __init__(self, snapshot: Any, pay: Callable[[], None]) -> None:
        self._snapshot, self._pay = snapshot, pay

    def __enter__(self) -> Any:
        self._reader = self._snapshot.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._snapshot.__exit__(*error)

    def operation(self, name: str) -> Any:
        found = self._reader.operation(name)
        self._pay()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def test_r121_every_source_is_spent(case: Case) -> None:
    """Source status: every source is `spent`."""
    case.foreign.put(attrs.evolve(case.source, state="unspent", spent_at=None, reserved_by=None))
    assert looked(case) == ["source_token_status"]


def test_r121_a_missing_source_is_a_failure(case: Case) -> None:
    """Source status: a missing id is a failure."""
    case.foreign.delete(case.source)
    assert looked(case) == ["source_token_status"]


@pytest.mark.parametrize("tamper", [scenes._less_change, scenes._another_parent])
def test_r122_amounts_and_parents(case: Case, tamper: Callable[[Case], None]) -> None:
    """Change verification: amounts and parents."""
    tamper(case)
    assert looked(case) == ["change_verification"]


def test_r123_a_stored_dleq_is_verified(case: Case) -> None:
    """Change verification: DLEQ, where one is stored."""
    token = case.change
    assert token.proofs[0].dleq is not None
    forged = attrs.evolve(token.proofs[0], C=case.source.proofs[0].C)
    case.foreign.put(attrs.evolve(token, proofs=(forged, *token.proofs[1:])))
    assert looked(case) == ["change_verification"]
    bare = attrs.evolve(token, proofs=tuple(attrs.evolve(p, dleq=None) for p in token.proofs))
    case.foreign.put(bare)
    assert not looked(case), "where none is stored there is nothing to verify"


def test_r124_r126_the_result_has_timings_and_four_parts(case: Case) -> None:
    """`checks_performed`, `discrepancies_found`, `validation_passed`, `performance_metrics`."""
    told = case.engine.reconcile(case.melt.id).as_dict()
    parts = {"checks_performed", "discrepancies_found", "validation_passed", "performance_metrics"}
    assert parts <= told.keys() and len(told["checks_performed"]) == 5
    metrics = told["performance_metrics"]
    assert metrics["reconciliation_duration_ms"] >= metrics["snapshot_ms"] > 0


@pytest.mark.parametrize("wrong", [False, True])
def test_r125_every_reconciliation_leaves_a_record(case: Case, wrong: bool) -> None:
    """Every reconciliation leaves an audit record: passed or not, one or all."""
    if wrong:
        case.foreign.delete(case.change)
    report = case.engine.reconcile(case.melt.id)
    sweep = case.engine.reconcile_all()
    for name in (report.check_id, sweep.summary_id):
        assert name is not None and len(case.engine.audit(name)) == 1
    assert len(case.engine.operation(str(report.check_id)).audit()[0].hash) == 64


def test_r127_a_discrepancy_parks(case: Case) -> None:
    """A discrepancy parks the operation: its check waits for a person."""
    case.engine.reconcile(case.melt.id)
    assert not [check for check in checks(case) if check.is_parked]
    case.foreign.delete(case.change)
    parked = case.engine.operation(str(case.engine.reconcile(case.melt.id).check_id))
    assert parked.is_parked and parked.record.parent_id == case.melt.id
    assert case.store.operations(OperationQuery(states=("discrepant",)))


def test_r128_a_discrepancy_is_critical(case: Case) -> None:
    """A discrepancy is CRITICAL, in the audit record and in the log."""
    case.engine.reconcile(case.melt.id)
    assert not case.engine.audit(levels=["CRITICAL"]) and not case.lines.critical_lines
    case.foreign.delete(case.change)
    check = str(case.engine.reconcile(case.melt.id).check_id)
    assert [record.operation_id for record in case.engine.audit(levels=["CRITICAL"])] == [check]
    assert [line["operation_id"] for line in case.lines.critical_lines] == [check]
