"""What a sweep over everything must not leave out: each unit of a wallet, each state, what cannot be read,
and what it says of itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Token
from tests.support.data import data_in
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, fake_proof, funded, invoice, npub_of

pytestmark = pytest.mark.every_store


def stray(store: Store, name: str, worth: int, told: int, **fields: Any) -> Token:
    """A token that no operation made, worth something else than it says."""
    (token, *_) = store.tokens(TokenQuery(npub=NPUB, limit=1))
    made = attrs.evolve(
        token, transaction_id=name, proofs=(fake_proof(worth, name),), total_amount=told, **fields
    )
    Foreign(store).put(made)
    return made


def test_each_unit_of_a_wallet_is_counted(store: Store) -> None:
    """A wallet of sat and msat has two balances; the second one is looked at too."""
    engine, mint, clock = funded(store)
    fine = SimulatedMint("https://other.simulated", now_ms=clock.now, unit="msat")
    Engine(store, fine, clock=clock).mint_tokens(npub=NPUB, mint_url=fine.url, amount=5000, unit="msat")
    engine.mint_tokens(npub=npub_of(1), mint_url=mint.url, amount=8)
    assert engine.reconcile_all().wallets == 3
    stray(store, "tx_of_nobody", 8, 9, unit="msat", mint_url=fine.url)
    found = engine.reconcile_all()
    assert len(found.wallet_discrepancies) == 1 and "msat" in found.wallet_discrepancies[0]


def test_a_balance_is_compared_state_by_state(store: Store) -> None:
    """Too much unspent and as much too little spent add up: it is money that cannot be paid with."""
    engine, _, _ = funded(store)
    stray(store, "tx_of_nobody_1", 8, 9)
    stray(store, "tx_of_nobody_2", 9, 8, state="spent", spent_at=1, prev_state="reserved")
    report = engine.reconcile_all()
    assert len(report.wallet_discrepancies) == 1
    assert "'unspent': 2008" in report.wallet_discrepancies[0] and "'unspent': 2009" in str(report.as_dict())


def test_a_wallets_discrepancy_is_told_everywhere(store: Store) -> None:
    """In the sentences, in the verdict, in the count, and in the summary, which parks."""
    engine, mint, _ = funded(store)
    clean = engine.reconcile_all()
    stray(store, "tx_of_nobody", 8, 9)
    report = engine.reconcile_all()
    assert clean.validation_passed and not report.validation_passed and not report.failed
    assert report.discrepancies_found == report.wallet_discrepancies
    assert report.performance_metrics["discrepancies_count"] == 1
    assert engine.operation(str(clean.summary_id)).state == "clean"
    assert engine.operation(str(report.summary_id)).state == "discrepant"


def test_a_summary_is_no_wallet(store: Store) -> None:
    """The sweeps before this one are looked at like every operation; their findings have no owner."""
    engine, _, _ = funded(store)
    first = engine.reconcile_all()
    second = engine.reconcile_all()
    assert (first.wallets, second.wallets) == (1, 1) and second.operations == first.operations + 1


def test_a_summary_belongs_to_whom_it_is_about(store: Store) -> None:
    """A sweep for one npub is found among that npub's operations."""
    engine, mint, _ = funded(store)
    report = engine.reconcile_all(npub=NPUB)
    summary = engine.operation(str(report.summary_id)).record
    assert (summary.npub, summary.mint_url, summary.kind) == (NPUB, "*", "check")
    everybody = engine.operation(str(engine.reconcile_all().summary_id)).record
    assert everybody.npub == "*"


def test_what_goes_on_is_reported_and_nothing_is_stored_about_it(store: Store) -> None:
    """A prepared payment whose token is gone: told each time, and no check parks while it may end."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(300, clock))
    (part,) = plan.record.inputs
    token = store.token(part.token_id)
    assert token is not None
    Foreign(store).delete(token)
    for _ in range(2):
        report = engine.reconcile_all()
        told = {failed.operation_id: failed.check_id for failed in report.failed}
        assert plan.id in told and told[plan.id] is None and plan.id not in report.known
    assert not store.operations(OperationQuery(parent_id=plan.id))


def test_an_open_check_is_known_and_a_settled_one_is_not(store: Store) -> None:
    """Told once while it is open; when an operator has settled it and it is still wrong, told again."""
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    change = store.token(str(data_in(melt.record).change_token_id))
    assert change is not None
    Foreign(store).put(attrs.evolve(change, proofs=(fake_proof(1, "another"),), total_amount=1))
    first = engine.reconcile_all()
    check = first.failed[0].check_id
    assert check is not None and not first.known
    assert engine.reconcile_all().known == (melt.id,)
    engine.resolve(check, "looked at it")
    again = engine.reconcile_all()
    assert again.known == () and again.failed[0].check_id not in (None, check)


def unreadable(store: Store) -> None:
    """A token of the wallet whose proofs are no JSON any more."""
    stray(store, "tx_of_nobody", 8, 8)
    path = store.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE tokens SET proofs = '[{\"amount\": 7}]' WHERE transaction_id = 'tx_of_nobody'")


def test_what_cannot_be_read_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """One broken document must neither pass for a sound wallet nor hide the other wallets."""
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        engine, mint, _ = funded(store)
        engine.mint_tokens(npub=npub_of(1), mint_url=mint.url, amount=8)
        unreadable(store)
        report = engine.reconcile_all()
    assert not report.validation_passed and report.wallets == 2
    (told,) = report.wallet_discrepancies
    assert NPUB in told and "tx_of_nobody" in told


@pytest.mark.parametrize("own", [True, False])
def test_a_wallet_that_nobody_asked_for_is_not_looked_at(store: Store, own: bool) -> None:
    engine, mint, _ = funded(store)
    engine.mint_tokens(npub=npub_of(1), mint_url=mint.url, amount=8)
    stray(store, "tx_of_nobody", 8, 9)
    report = engine.reconcile_all(npub=NPUB if own else npub_of(1))
    assert bool(report.wallet_discrepancies) is own and report.wallets == 1
