"""Engines of two releases on one store: an operation ends under the version it began with."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from nutstate import Engine, Store, open_store
from nutstate.machines.melt.table import MELT

from ..support.releases import MELT_2, kinds_of_next, ref_of
from ..support.stores import STORES
from ..support.wallet import NPUB, QUICK, funded, invoice, payment_hash

pytestmark = pytest.mark.every_store
_NAMES = itertools.count()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "mongodb":
        found: str = request.getfixturevalue("fresh_database")
        return found
    return f"sqlite:///{tmp_path}/w.db" if request.param == "sqlite" else f"memory://two{next(_NAMES)}"


def machines_of(store: Store, *ids: str) -> list[str]:
    found = [store.operation(name) for name in ids]
    return [f"{op.machine.name}@{op.machine.version}" for op in found if op is not None]


def test_r410_each_engine_ends_what_it_has_the_machine_for(url: str) -> None:
    """R410, R417: N+1 pays under melt@2 and ends what N began under melt@1; N leaves melt@2 alone and goes
    on."""
    with open_store(url) as old_store:
        old, mint, clock = funded(old_store)
        prepared = old.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(30, clock))
        kinds = kinds_of_next()
        with open_store(url, kinds=kinds) as new_store:
            new = Engine(new_store, mint, settings=QUICK, clock=clock, kinds=kinds)
            text = invoice(40, clock)
            mint.lightning.script(payment_hash(text), "PENDING")
            later = new.melt(npub=NPUB, mint_url=mint.url, invoice=text, wait_s=0)
            mine = old.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
            assert mine.state == "reconciled" and new.confirm(prepared.id).state == "reconciled"
            mint.lightning.settle(payment_hash(text))
            (left,) = old.recover(wait_s=60, force=True)
            assert (left.id, left.outcome, left.record.lease) == (later.id, "open", None)
            (done,) = new.recover(wait_s=60, force=True)
            assert done.state == "reconciled" and old.operation(later.id).is_paid
            assert machines_of(old_store, prepared.id, mine.id, later.id) == ["melt@1", "melt@1", "melt@2"]
            assert later.record.machine == ref_of(MELT_2) and mine.record.machine == ref_of(MELT)
            for engine in (old, new):
                assert engine.verify_audit().holds
                found = engine.reconcile_all()
                assert found.validation_passed, found.discrepancies_found


def test_r410_a_payment_that_n_sent_is_ended_by_n_plus_1_after_n_is_gone(url: str) -> None:
    """R410: an upgrade in the middle of a payment; the next release recovers it under melt@1."""
    with open_store(url) as store:
        engine, mint, clock = funded(store)
        text = invoice(100, clock)
        mint.lightning.script(payment_hash(text), "PENDING")
        sent = engine.melt(npub=NPUB, mint_url=mint.url, invoice=text, wait_s=0)
    mint.lightning.settle(payment_hash(text))
    kinds = kinds_of_next()
    with open_store(url, kinds=kinds) as store:
        engine = Engine(store, mint, settings=QUICK, clock=clock, kinds=kinds)
        (done,) = engine.recover(wait_s=60, force=True)
        assert (done.id, done.state, done.record.machine) == (sent.id, "reconciled", ref_of(MELT))
