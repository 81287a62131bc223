"""R115 to R128: what an operation must have left, looked at again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, InvalidArgument, NotFound, NutstateError, Store
from nutstate.engine.api.handle import Handle
from nutstate.engine.cashu.port import Unreachable
from nutstate.engine.checks.reconcile import ReconcileReport
from nutstate.storage.batch import proof_key
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.records import Token
from nutstate.storage.secret import Secret
from tests.support.apart import Apart
from tests.support.data import data_in, with_fields
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice

NAMES = (
    "transaction_completeness", "balance_consistency", "source_token_status", "change_verification",
    "audit_chain",
)  # fmt: skip


class Lines:
    """A logger that keeps what is CRITICAL."""

    def __init__(self) -> None:
        self.critical_lines: list[dict[str, Any]] = []

    def critical(self, name: str, **fields: Any) -> None:
        self.critical_lines.append(fields)

    def info(self, name: str, **fields: Any) -> None:
        """Not kept."""

    warning = info


@attrs.frozen
class Case:
    engine: Engine
    store: Store
    foreign: Foreign
    melt: Handle
    lines: Lines
    mint: Any

    def token(self, token_id: str | None) -> Token:
        found = self.store.token(str(token_id))
        assert found is not None
        return found

    @property
    def change(self) -> Token:
        return self.token(data_in(self.melt.record).change_token_id)

    @property
    def source(self) -> Token:
        return self.token(self.melt.record.inputs[0].token_id)


@pytest.fixture
def case(store: Store) -> Case:
    lines = Lines()
    engine, mint, clock = funded(store, logger=lines)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "reconciled" and melt.change
    return Case(engine, store, Foreign(store), melt, lines, mint)


def failed(report: ReconcileReport) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


def test_r115_to_r126_nothing_is_wrong(case: Case) -> None:
    report = case.engine.reconcile(case.melt.id)
    assert report.validation_passed and report.checks_performed == NAMES and not report.discrepancies_found
    told = report.as_dict()
    assert told.keys() >= {
        "checks_performed",
        "discrepancies_found",
        "validation_passed",
        "performance_metrics",
    }
    metrics = told["performance_metrics"]
    assert metrics["checks_count"] == 5 and metrics["discrepancies_count"] == 0
    assert metrics["reconciliation_duration_ms"] >= metrics["snapshot_ms"] > 0
    assert all(check.compared and check.duration_ms >= 0 for check in report.checks)
    assert report.check_id is not None
    check = case.engine.operation(report.check_id)
    assert (check.kind, check.state, check.record.parent_id) == ("check", "clean", case.melt.id)
    assert "audit_chain: passed" in str(report) and not case.lines.critical_lines
    assert case.engine.reconcile(check.id).validation_passed


Tamper = Callable[[Case], None]


def _remove_change(case: Case) -> None:
    case.foreign.delete(case.change)


def _add_change(case: Case) -> None:
    extra = (fake_proof(8, "extra"),)
    case.foreign.put(
        attrs.evolve(case.change, transaction_id=f"{case.melt.id}_more", proofs=extra, total_amount=8)
    )


def _unindex(case: Case) -> None:
    case.foreign.unindex(proof_key(case.change.proofs[0].secret))


def _another_fee(case: Case) -> None:
    op = case.melt.record
    case.foreign.put(with_fields(op, input_fee=data_in(op).input_fee + 1))


def _remove_source(case: Case) -> None:
    case.foreign.delete(case.source)


def _resurrect_source(case: Case) -> None:
    case.foreign.put(attrs.evolve(case.source, state="unspent", spent_at=None, reserved_by=None))


def _another_parent(case: Case) -> None:
    metadata = attrs.evolve(case.change.metadata, parent_transaction_id="tx_of_somebody_else")
    case.foreign.put(attrs.evolve(case.change, metadata=metadata))


def _less_change(case: Case) -> None:
    token = case.change
    rest = token.proofs[1:]
    case.foreign.put(attrs.evolve(token, proofs=rest, total_amount=sum(p.amount for p in rest)))


def _forged_signature(case: Case) -> None:
    token = case.change
    forged = attrs.evolve(token.proofs[0], C=case.source.proofs[0].C)
    case.foreign.put(attrs.evolve(token, proofs=(forged, *token.proofs[1:])))


def _remove_record(case: Case) -> None:
    case.foreign.delete(case.melt.audit()[-1])


def _alter_record(case: Case) -> None:
    record = next(r for r in case.melt.audit() if r.event == "pay")
    case.foreign.put(attrs.evolve(record, actor="somebody"))


def _add_record(case: Case) -> None:
    last = case.melt.audit()[-1]
    seq = last.seq + 1
    fake = attrs.evolve(
        last, id=f"{case.melt.id}#{seq}", seq=seq, version=last.version + 1, prev_hash=last.hash
    )
    case.foreign.put(fake)


TAMPERED: list[tuple[str, Tamper]] = [
    ("transaction_completeness", _remove_change),
    ("transaction_completeness", _add_change),
    ("transaction_completeness", _unindex),
    ("balance_consistency", _another_fee),
    ("source_token_status", _remove_source),
    ("source_token_status", _resurrect_source),
    ("change_verification", _another_parent),
    ("change_verification", _less_change),
    ("change_verification", _forged_signature),
    ("audit_chain", _remove_record),
    ("audit_chain", _alter_record),
    ("audit_chain", _add_record),
]


@pytest.mark.parametrize(("name", "tamper"), TAMPERED, ids=[t.__name__ for _, t in TAMPERED])
def test_r118_to_r128_each_check_sees_its_own(case: Case, name: str, tamper: Tamper) -> None:
    """Exactly one check fails; the stored look parks and is CRITICAL in audit and log."""
    tamper(case)
    report = case.engine.reconcile(case.melt.id)
    assert failed(report) == [name], str(report)
    assert not report.validation_passed and report.discrepancies_found[0].startswith(name)
    assert report.check_id is not None
    check = case.engine.operation(report.check_id)
    assert check.state == "discrepant" and check.is_parked, "R127"
    assert [r.compliance_level for r in check.audit()] == ["CRITICAL"], "R128"
    assert case.lines.critical_lines[-1]["operation_id"] == check.id, "R128"
    assert check.record.reason is not None and check.record.reason.code == "RECONCILIATION_FAILED"
    for proof in case.store.tokens(TokenQuery(npub=NPUB))[0].proofs:
        assert proof.secret.reveal() not in str(report) + str(report.as_dict())
    with pytest.raises(NutstateError):
        case.engine.resolve(check.id, " ")
    assert case.engine.resolve(check.id, "looked at it").state == "resolved"


def test_a_document_that_does_not_decode_is_reported(case: Case) -> None:
    proof = attrs.evolve(case.change.proofs[0], amount=3)
    case.foreign.put(attrs.evolve(case.change, proofs=(proof,)))  # total_amount stays
    report = case.engine.reconcile(case.melt.id)
    assert failed(report)[0] in NAMES[:2] and not report.validation_passed
    assert not case.engine.reconcile_all().validation_passed


@pytest.mark.parametrize("tamper", [_remove_change, _resurrect_source, _another_parent])
def test_r115_a_melt_looks_at_itself(store: Store, tamper: Tamper) -> None:
    """Between a commit of ``settled`` alone and the look, another program changes a document."""
    lines = Lines()
    apart: Any = Apart(store)
    engine, mint, clock = funded(apart, logger=lines)
    seen: list[str] = []

    def between(event: Any) -> None:
        if event.to_state == "settled" and not seen:
            seen.append(event.operation_id)
            tamper(Case(engine, store, Foreign(store), engine.operation(event.operation_id), lines, mint))

    engine._driver.observer = between
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "discrepant" and seen == [melt.id]
    assert melt.audit()[-1].compliance_level == "CRITICAL"
    assert lines.critical_lines[-1]["to_state"] == "discrepant"
    report = engine.reconcile(melt.id)
    assert not report.validation_passed and report.check_id is None, "parked already: a report only"


# -- what a caller expects -----------------------------------------------------------------------------


def truth(case: Case) -> dict[str, Any]:
    op = case.melt.record
    return {
        "source_token_ids": [part.token_id for part in op.inputs],
        "keep_proofs_count": len(case.token(data_in(op).keep_token_id).proofs),
        "melt_change_proofs_count": len(case.change.proofs),
        "balance_changes": {"expected_unspent_balance": case.engine.balance(NPUB).unspent},
    }


def test_r116_the_expected_state_is_compared(case: Case) -> None:
    assert case.engine.reconcile(case.melt.id, truth(case)).validation_passed
    for name, wrong, check in (
        ("source_token_ids", ["tx_another_token"], "source_token_status"),
        ("source_token_ids", [], "source_token_status"),
        ("keep_proofs_count", 99, "change_verification"),
        ("melt_change_proofs_count", 0, "change_verification"),
        ("balance_changes", {"expected_unspent_balance": 1}, "balance_consistency"),
    ):
        assert failed(case.engine.reconcile(case.melt.id, truth(case) | {name: wrong})) == [check], name


@pytest.mark.parametrize(
    "value",
    [
        {"sources": []},
        {"balance_changes": {"unspent": 1}},
        {"keep_proofs_count": True},
        {"keep_proofs_count": -1},
        {"keep_proofs_count": 1.0},
        {"source_token_ids": "tx_one"},
        {"source_token_ids": [1]},
        {"balance_changes": []},
        [],
        "x",
    ],
)
def test_r116_what_is_not_understood_is_refused(case: Case, value: Any) -> None:
    before = len(case.store.operations(OperationQuery()))
    with pytest.raises(InvalidArgument) as refused:
        case.engine.reconcile(case.melt.id, value)
    assert refused.value.code == "INVALID_EXPECTED_STATE"
    assert len(case.store.operations(OperationQuery())) == before


def test_r116_unknown_operations_are_refused(case: Case) -> None:
    with pytest.raises(NotFound):
        case.engine.reconcile("tx_nosuch_operation")


def test_r123_a_silent_mint_is_said(case: Case) -> None:
    case.mint.keys = lambda url, keyset: Unreachable("nobody there")
    engine = Engine(case.store, case.mint)
    report = engine.reconcile(case.melt.id)
    assert report.validation_passed
    (change,) = (check for check in report.checks if check.name == "change_verification")
    assert len(change.not_checked) == 1 and "does not answer" in change.not_checked[0]


def test_r116_every_end_is_judged_and_live_ones_reported_only(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(300, clock))
    live = engine.reconcile(plan.id)
    assert live.validation_passed and live.check_id is None
    engine.cancel(plan.id)
    mint.auto_pay = False
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5, wait_s=0)
    with pytest.raises(NutstateError):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(9000, clock))
    clock.advance(4000)
    engine.recover(force=True)
    ended = {(h.kind, h.state) for h in engine.operations() if h.is_final}
    assert ended >= {("melt", "cancelled"), ("melt", "rejected"), ("mint", "issued")}
    for handle in engine.operations():
        report = engine.reconcile(handle.id)
        assert report.validation_passed, str(report)
        assert (report.check_id is not None) == handle.is_final


# -- the sweep -----------------------------------------------------------------------------------------


def test_r117_r125_a_sweep_stores_what_it_found_and_a_summary(case: Case) -> None:
    clean = case.engine.reconcile_all()
    assert clean.validation_passed and clean.operations == 2 and clean.wallets == 1
    assert clean.summary_id is not None and case.engine.operation(clean.summary_id).state == "clean"
    _another_parent(case)
    seen: list[tuple[int, int]] = []
    found = case.engine.reconcile_all(progress=lambda *at: seen.append(at))
    assert [r.operation_id for r in found.failed] == [case.melt.id] and seen[-1] == (3, 3)
    check = case.engine.operation(str(found.failed[0].check_id))
    assert (check.state, check.record.parent_id) == ("discrepant", case.melt.id)
    assert case.engine.operation(str(found.summary_id)).state == "discrepant"
    assert not found.as_dict()["validation_passed"] and found.performance_metrics["discrepancies_count"] == 1
    again = case.engine.reconcile_all()
    assert again.known == (case.melt.id,) and not again.validation_passed
    assert len(case.store.operations(OperationQuery(parent_id=case.melt.id))) == 1, "told once"
    assert case.engine.operation(str(again.summary_id)).state == "clean", "nothing new"
    case.engine.resolve(check.id, "looked at it")
    assert case.engine.reconcile_all().known == ()


def test_r117_a_balance_that_is_not_the_sum_of_its_proofs(case: Case) -> None:
    stray = attrs.evolve(
        case.source, transaction_id="tx_of_nobody", state="unspent", spent_at=None, reserved_by=None,
        proofs=(fake_proof(8, "stray"),), total_amount=9,
    )  # fmt: skip
    case.foreign.put(stray)
    report = case.engine.reconcile_all()
    assert len(report.wallet_discrepancies) == 1 and not report.validation_passed


def test_r117_filters(case: Case) -> None:
    now = case.engine.clock.now()
    assert case.engine.reconcile_all(since=now + 1).operations == 0
    assert case.engine.reconcile_all(until=0).operations == 0
    assert case.engine.reconcile_all(npub=NPUB, mint_url=case.mint.url, until=now + 1).operations == 2
    for wrong in (-1, 1.5, True, "2026"):
        with pytest.raises(InvalidArgument):
            case.engine.reconcile_all(since=wrong)  # type: ignore[arg-type]


def test_r117_more_than_a_thousand_operations(new_store: Callable[[], Store]) -> None:
    store = new_store()
    engine, mint, clock = funded(store, amount=0, settings=attrs.evolve(QUICK, page_size=17))
    template = fake_proof(1, "template")
    many = 120 if store.url.startswith("memory:") else 1010  # the double reads everything every time
    for n in range(many):
        proof = attrs.evolve(template, secret=Secret(f"many-{n}"), Y=None)
        _deposit(engine, mint.url, proof, clock.now())
        clock.advance(0.001)
    seen: list[tuple[int, int]] = []
    report = engine.reconcile_all(progress=lambda *at: seen.append(at))
    assert report.operations == many and report.validation_passed, report.discrepancies_found[:3]
    assert len(seen) == many + 1 and seen[-1] == (many, many)


def _deposit(engine: Engine, mint_url: str, proof: Any, now: int) -> None:
    from nutstate.engine.admission import new_operation
    from nutstate.engine.loop.draft import Draft
    from nutstate.engine.loop.drive import Happened
    from nutstate.engine.loop.evidence import Evidence
    from nutstate.machines.registry import latest

    op = new_operation.new_operation(
        latest("deposit"), now=now, npub=NPUB, mint_url=mint_url, unit="sat", amount=proof.amount
    )
    run = engine._run(Draft(latest("deposit"), op, stored=False, actor="caller"))
    engine._driver.take(run, Happened("deposit", Evidence(proofs=(proof,))))
    engine._driver.commit(run)


def test_r120_writers_are_no_discrepancy(store: Store) -> None:
    engine, mint, clock = funded(store, amount=500, settings=attrs.evolve(QUICK, page_size=5))
    trouble: list[NutstateError] = []

    def write() -> None:
        worker = Engine(store, mint, settings=QUICK, clock=clock)
        for _ in range(8):
            try:
                worker.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64)
                worker.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(20, clock))
            except NutstateError as error:
                if error.code not in ("INSUFFICIENT_BALANCE", "CONCURRENT_OPERATION", "CONFLICT"):
                    trouble.append(error)
                    return

    writer = threading.Thread(target=write)
    writer.start()
    sweeps = 0
    while writer.is_alive() or not sweeps:
        report = engine.reconcile_all()
        assert report.validation_passed, report.discrepancies_found
        for handle in engine.operations(limit=2):
            single = engine.reconcile(handle.id)
            assert single.validation_passed, str(single)
        sweeps += 1
    writer.join()
    assert not trouble and not store.audit(AuditQuery(levels=("CRITICAL",)))
