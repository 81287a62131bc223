"""R211, R213 to R217: one broken document, a broken logger, a wrong clock or a second sweep never stops or
falsifies what is done about everything else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest
from pymongo.errors import DuplicateKeyError

from nutstate import Engine, Store, configure_logging
from nutstate.engine.checks import read_documents as documents
from nutstate.engine.checks.sweep import Sweep
from nutstate.engine.loop.log import TransitionEvent
from nutstate.engine.tokens.coins import OWNED
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Lease, Operation
from nutstate.storage.testing.records import make_proofs
from tests.engine.test_audit_trail import KEY
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, QUICK, funded, invoice

pytestmark = pytest.mark.every_store


def spoil_operation(store: Store, operation_id: str) -> None:
    """Make it undecodable."""
    if store.url.startswith("sqlite:"):
        with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute(
                "UPDATE operations SET doc = json_remove(doc, '$.amount') WHERE id = ?", (operation_id,)
            )
        return
    with Foreign(store)._collections() as collections:
        bypass = {} if store.url.startswith("memory:") else {"bypass_document_validation": True}
        collections["operations"].update_one({"_id": operation_id}, {"$unset": {"amount": 1}}, **bypass)


def spoil_token(store: Store, token_id: str) -> None:
    """Make it undecodable."""
    if store.url.startswith("sqlite:"):
        with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute(
                "UPDATE tokens SET metadata = json_remove(metadata, '$.source') WHERE transaction_id = ?",
                (token_id,),
            )
        return
    with Foreign(store)._collections() as collections:
        bypass = {} if store.url.startswith("memory:") else {"bypass_document_validation": True}
        collections["cashu_tokens"].update_one(
            {"transaction_id": token_id}, {"$unset": {"metadata.source": 1}}, **bypass
        )


def two_plans(store: Store, **more: Any) -> tuple[Engine, Any, Any, str, str]:
    """A wallet with two prepared melts whose invoices then expire."""
    engine, mint, clock = funded(store, **more)
    ids = []
    for amount in (50, 60):
        ids.append(engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock)).id)
        clock.advance(1)
    clock.advance(30 * 24 * 3600)
    return engine, mint, clock, ids[0], ids[1]


@pytest.mark.parametrize("spoilt", [0, 1])
def test_r214_a_broken_operation_stops_no_other_recovery(store: Store, spoilt: int) -> None:
    """R214: the other one ends; the broken one is named in the result and not called ended."""
    engine, _, _, *ids = two_plans(store)
    spoil_operation(store, ids[spoilt])
    done = engine.recover(wait_s=5)
    assert [(handle.id, handle.is_final) for handle in done] == [(ids[1 - spoilt], True)]
    (told,) = done.unreadable
    assert ids[spoilt] in told and "amount" in told
    assert [handle.id for handle in engine.open_operations()] == []


def test_r214_what_can_be_read_is_listed_and_counted(store: Store) -> None:
    """R214: a list of operations leaves out the broken one, a count counts it."""
    engine, _, _, first, second = two_plans(store)
    spoil_operation(store, first)
    assert [handle.id for handle in engine.operations(kind="melt")] == [second]
    assert sum(c.number for c in store.count_operations(NPUB) if c.kind == "melt") == 2


def test_r214_a_sweep_and_a_verification_look_at_everything_else(store: Store) -> None:
    """R214: both tell of the broken document, and of what is wrong in documents behind it."""
    engine, mint, clock, first, second = two_plans(
        store, settings=attrs.evolve(QUICK, page_size=1), audit_key=KEY
    )
    engine.recover(wait_s=5)
    spoil_operation(store, second)  # the newest comes first
    (deposit,) = engine.operations(kind="mint")
    Foreign(store).edit(deposit.id, amount=7)
    report = engine.reconcile_all()
    assert report.operations == 2 and any(second in text for text in report.wallet_discrepancies)
    assert deposit.id in {found.operation_id for found in report.failed}
    verified = engine.verify_audit()
    assert any(second in fault.text for fault in verified.changed)
    assert deposit.id in {fault.operation_id for fault in verified.changed}


def test_r214_a_broken_token_hides_no_other(store: Store) -> None:
    """R214: a pre-flight goes on behind it, names it and advises to look at everything; verifying too."""
    engine, mint, _ = funded(store, settings=attrs.evolve(QUICK, page_size=1))
    for _ in range(2):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=8)
    tokens = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    spoil_token(store, tokens[0].transaction_id)
    report = engine.preflight(NPUB, mint.url)
    assert report.proofs == sum(len(token.proofs) for token in tokens[1:])
    (told,) = report.unreadable
    assert tokens[0].transaction_id in told and report.recommendation == "PERFORM_FULL_RECONCILIATION"
    assert report.as_dict()["unreadable"] == [told]
    changed = engine.verify_audit().changed
    assert {tokens[0].transaction_id} == {fault.text.partition("token:")[2].split()[0] for fault in changed}


# -- observers and loggers (R215) --------------------------------------------------------------------------


class Broken:
    """A logger whose every method raises."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("the logger is broken")

        return fail


def test_r215_a_broken_logger_and_observer_stop_nothing(store: Store) -> None:
    """R215: a melt is paid, a refusal is a refusal, and a recovery goes on to the next operation."""
    seen: list[TransitionEvent] = []

    def observer(event: TransitionEvent) -> None:
        seen.append(event)
        raise RuntimeError("the observer is broken")

    configure_logging("off")
    engine, mint, clock, *ids = two_plans(store, logger=Broken(), observer=observer)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(70, clock))
    assert melt.state == "reconciled" and seen
    done = engine.recover(wait_s=5, force=True)
    assert {handle.id for handle in done} == set(ids) and all(handle.is_final for handle in done)
    assert engine.verify_audit().holds


# -- the wall clock (R213) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "taken"), [(9, False), (11, True)])
def test_r213_a_lease_from_a_clock_that_was_ahead_is_taken(store: Store, ahead: int, taken: bool) -> None:
    """R213: up to ten lengths of a lease it is respected, beyond it counts as run out."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    until = clock.now() + int(ahead * engine.settings.lease_s * 1000)
    Foreign(store).put(attrs.evolve(plan.record, lease=Lease("elsewhere/1/1", until, 3)))
    engine.recover(force=True)
    stored = store.operation(plan.id)
    assert stored is not None and (stored.lease is None) is taken


def test_r213_a_schedule_from_a_clock_that_was_ahead_is_not_waited_for(store: Store) -> None:
    """R213: what was stored under a clock a year ahead is looked at by the next recovery."""
    engine, mint, clock = funded(store)
    year = 365 * 24 * 3600
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    ahead = clock.now() + year * 1000
    Foreign(store).put(attrs.evolve(plan.record, updated_at=ahead, next_check_at=ahead))
    assert plan.id in {handle.id for handle in engine.recover()}


# -- pre-flight and reconciliation -------------------------------------------------------------------------


def copy_of(store: Store, token_id: str, **fields: Any) -> bool:
    """Store the proofs of a token a second time. A real MongoDB takes no copy from any writer."""
    token = store.token(token_id)
    assert token is not None
    copy = attrs.evolve(token, transaction_id=f"{token_id}_copy", **fields)
    if store.url.startswith("mongodb:"):
        with pytest.raises(DuplicateKeyError):
            Foreign(store).put(copy)
        return False
    Foreign(store).put(copy)
    return True


@pytest.mark.parametrize("indexed", ["unspent", "spent"])
def test_r211_every_document_that_holds_a_proof_is_looked_at(store: Store, indexed: str) -> None:
    """R211: the copy that a foreign program wrote is in no index, and is looked at all the same."""
    engine, mint, clock = funded(store)
    if indexed == "spent":
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        (token, *_) = store.tokens(TokenQuery(npub=NPUB, states=("spent",)))
        copied = copy_of(store, token.transaction_id, state="unspent", spent_at=None, reserved_by=None)
        wanted = ("HIGH", "unspent", f"{token.transaction_id}_copy")
    else:
        (token,) = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
        copied = copy_of(store, token.transaction_id, state="spent", spent_at=clock.now())
        wanted = ("MEDIUM", "spent", f"{token.transaction_id}_copy")
    report = engine.preflight(NPUB, mint.url)
    found = {(d.severity, d.store_state, d.token_id) for d in report.discrepancies}
    assert found == ({wanted} if copied else set())
    assert len(report.discrepancies) == (len(token.proofs) if copied else 0)


def test_r211_a_copy_that_the_mint_calls_spent_is_corrected(store: Store) -> None:
    """R211: the copy is marked as spent; the token that was rightly spent stays as it is."""
    engine, mint, clock = funded(store)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (token, *_) = store.tokens(TokenQuery(npub=NPUB, states=("spent",)))
    if not copy_of(store, token.transaction_id, state="unspent", spent_at=None, reserved_by=None):
        return
    assert engine.preflight(NPUB, mint.url, correct=True).corrected == token.total_amount
    copy = store.token(f"{token.transaction_id}_copy")
    assert copy is not None and copy.state == "spent" and store.token(token.transaction_id) == token
    assert engine.preflight(NPUB, mint.url).recommendation == "PROCEED"


def test_r216_a_look_at_one_operation_does_not_read_what_was_ever_spent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R216: its own documents; what the wallet owns now when a balance is expected; the sweep adds up
    everything."""
    engine, mint, clock = funded(store)
    for amount in (50, 60):
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock))
    asked: list[TokenQuery] = []
    paged = documents.paged

    def watched(reader: Any, query: TokenQuery) -> Any:
        asked.append(query)
        return paged(reader, query)

    monkeypatch.setattr(documents, "paged", watched)
    assert engine.reconcile(melt.id).validation_passed
    assert not [query for query in asked if query.npub is not None], "no coin of the wallet is read"
    expected = {"balance_changes": {"expected_unspent_balance": engine.balance(NPUB).unspent}}
    assert engine.reconcile(melt.id, expected).validation_passed
    (whole,) = (query for query in asked if query.npub is not None)
    assert set(whole.states) == set(OWNED) and "spent" not in whole.states
    asked.clear()
    assert engine.reconcile_all().validation_passed
    assert [query.states for query in asked if query.npub is not None] == [()]


def test_r217_two_sweeps_at_once_store_one_check(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R217: the second one looked before the first had stored; what it found is known then. After it was
    settled the next sweep stores it anew."""
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    source = store.token(melt.record.inputs[0].token_id)
    assert source is not None
    Foreign(store).put(attrs.evolve(source, state="unspent", spent_at=None, reserved_by=None))
    store_report: Any = Sweep.store_report
    others: list[Any] = []

    def after_another(self: Sweep, *arguments: Any) -> Operation:
        if not others:
            others.append(None)
            others[0] = engine.reconcile_all()
        stored: Operation = store_report(self, *arguments)
        return stored

    monkeypatch.setattr(Sweep, "store_report", after_another)
    second = engine.reconcile_all()
    (first,) = others
    checks = store.operations(OperationQuery(parent_id=melt.id, kind="check"))
    assert len(checks) == 1 and checks[0].state == "discrepant"
    assert (first.known, second.known) == ((), (melt.id,))
    assert [report.check_id for report in (*first.failed, *second.failed)] == [checks[0].id] * 2
    engine.resolve(checks[0].id, "settled by hand")
    assert engine.reconcile_all().known == ()
    assert len(store.operations(OperationQuery(parent_id=melt.id, kind="check"))) == 2


def test_r212_a_melted_document_is_in_no_balance_of_the_engine(store: Store) -> None:
    """R212: nor does it stop the balance from being told."""
    engine, mint, _ = funded(store)
    before = engine.balance(NPUB).as_dict()
    (token,) = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    forced = attrs.evolve(
        token,
        transaction_id="tx_old",
        transaction_type="melted",
        proofs=make_proofs("m", 64),
        total_amount=64,
    )
    Foreign(store).put(forced)
    assert engine.balance(NPUB).as_dict() == before
