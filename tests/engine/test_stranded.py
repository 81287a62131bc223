"""Coins that the mint will not take: in no payment and no sum of spendable money, and what an operator can
do with them (R283 to R286)."""

from __future__ import annotations

import pytest

from nutstate import Engine, NutstateError, SimulatedMint, Store
from nutstate.engine.checks.wallet_preflight import Wallet, new_check
from nutstate.engine.loop.draft import Draft
from nutstate.machines.registry import latest
from nutstate.storage.port import AuditQuery, TokenQuery
from nutstate.storage.records import Token
from tests.engine.edge_scenes import strand
from tests.engine.test_preflight import Saying, wallet
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.wallet import NPUB, invoice

Scene = tuple[Engine, SimulatedMint, FakeClock, Saying, Token]


@pytest.fixture
def scene(store: Store) -> Scene:
    """2000 sat in two tokens; the one that is named is stranded."""
    engine, mint, clock, saying = wallet(store, amount=500)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1500)
    here = Wallet(NPUB, token.wallet_id, token.mint_url, "sat")
    check = new_check(here, 0, clock.now())
    strand(engine._run(Draft(latest("check"), check, stored=False, actor="test")), token.transaction_id)
    return engine, mint, clock, saying, token


def now(engine: Engine, token: Token) -> Token:
    found = engine.store.token(token.transaction_id)
    assert found is not None
    return found


def test_r283_a_stranded_coin_is_owned_and_never_selected(scene: Scene) -> None:
    """A stranded coin has a number of its own in the balance, and no payment picks it."""
    engine, mint, clock, _, token = scene
    balance = engine.balance(NPUB)
    assert (balance.unspent, balance.stranded, balance.owned()) == (1500, 500, 2000)
    with pytest.raises(NutstateError) as short:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1700, clock))
    assert short.value.code == "INSUFFICIENT_BALANCE" and short.value.details["available"] == 1500
    with pytest.raises(NutstateError) as named:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), sources=[token.transaction_id])
    assert named.value.code == "CONCURRENT_OPERATION"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock)).state == "reconciled"
    assert now(engine, token).state == "stranded"
    invariants.check(engine.store, mint)


def test_r284_an_operator_makes_it_spendable_again(scene: Scene) -> None:
    """``retry_stranded`` makes it spendable, once, with the reason in the audit trail and an alarm."""
    engine, mint, clock, _, token = scene
    (done,) = engine.retry_stranded(NPUB, mint.url, reason="the mint was mended")
    assert (done.kind, done.state, done.amount) == ("check", "retried", 500)
    assert (now(engine, token).state, now(engine, token).reserved_by) == ("unspent", None)
    (record,) = [r for r in done.audit() if r.entity == f"operation:{done.id}"]
    assert record.data["operator_reason"] == "the mint was mended"
    assert (record.actor, record.compliance_level) == ("operator", "CRITICAL")
    assert engine.balance(NPUB).unspent == 2000
    with pytest.raises(NutstateError) as again:
        engine.retry_stranded(NPUB, mint.url, reason="twice")
    assert again.value.code == "NOTHING_STRANDED"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1700, clock)).state == "reconciled"
    assert engine.reconcile_all().validation_passed
    invariants.check(engine.store, mint)


def test_r284_only_what_the_mint_calls_unspent_becomes_money(scene: Scene) -> None:
    """A coin that the mint does not call UNSPENT, or says nothing of, stays stranded; SPENT is corrected by
    a look at the wallet."""
    engine, mint, _, saying, token = scene
    saying.all_of(token, "PENDING")
    for silent, code in ((False, "PROOFS_NOT_UNSPENT"), (True, "MINT_UNREACHABLE")):
        saying.silent = silent
        before = len(engine.store.audit(AuditQuery()))
        with pytest.raises(NutstateError) as refused:
            engine.retry_stranded(NPUB, mint.url, reason="try", tokens=[token.transaction_id])
        assert refused.value.code == code
        assert now(engine, token).state == "stranded" and len(engine.store.audit(AuditQuery())) == before
    saying.silent = False
    saying.lies = {str(token.proofs[0].Y): ["SPENT"]}
    assert engine.preflight(NPUB, mint.url, correct=True).corrected == token.proofs[0].amount
    assert now(engine, token).state == "stranded"
    assert engine.balance(NPUB).stranded == 500 - token.proofs[0].amount
    saying.all_of(token, "SPENT")
    engine.preflight(NPUB, mint.url, correct=True)
    assert now(engine, token).state == "spent"


def test_r285_an_operator_gives_it_up(scene: Scene) -> None:
    """``write_off_stranded`` marks it spent, asks no mint, and the loss stands in the operation."""
    engine, mint, _, saying, token = scene
    saying.silent = True
    (done,) = engine.write_off_stranded(
        NPUB, mint.url, reason="the mint is gone", tokens=[token.transaction_id]
    )
    assert (done.state, done.amount, data_in(done.record).loss) == ("written_off", 500, 500)
    assert (now(engine, token).state, now(engine, token).reserved_by) == ("spent", None)
    assert (engine.balance(NPUB).stranded, engine.balance(NPUB).unspent) == (0, 1500)
    saying.silent = False
    assert engine.reconcile_all().validation_passed
    invariants.check(engine.store)


@pytest.mark.parametrize("call", ["retry_stranded", "write_off_stranded"])
def test_r286_a_wrong_call_changes_nothing(scene: Scene, call: str) -> None:
    """No reason, an unknown token, one that is not stranded, one of another owner: refused by a code."""
    engine, mint, _, _, token = scene
    (other,) = engine.store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    before = len(engine.store.audit(AuditQuery()))
    for more, code in (
        ({"reason": " "}, "OPERATOR_REASON_MISSING"),
        ({"tokens": ["tx_nothing"]}, "TOKEN_NOT_FOUND"),
        ({"tokens": [other.transaction_id]}, "NOTHING_STRANDED"),
        ({"tokens": []}, "INVALID_SOURCES"),
        ({"unit": "msat", "tokens": [token.transaction_id]}, "MINT_OR_UNIT_MISMATCH"),
        ({"unit": "msat"}, "NOTHING_STRANDED"),
    ):
        with pytest.raises(NutstateError) as refused:
            getattr(engine, call)(NPUB, mint.url, **{"reason": "why", **more})
        assert refused.value.code == code
    assert now(engine, token).state == "stranded" and len(engine.store.audit(AuditQuery())) == before
