"""Melts in two steps: what may happen between them."""

from __future__ import annotations

from typing import Any

import pytest

from nutstate import Refused, Store
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Operation
from tests.support import invariants
from tests.support.ports import Between, on
from tests.support.wallet import NPUB, funded, invoice, payment_hash


def test_an_input_spent_between_the_two_steps_frees_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (held,) = store.tokens(TokenQuery(reserved_by=plan.id))
    gone = held.proofs[0]
    for _ in range(2):
        mint.faults.next("check_states", faults.lie_about({name_of(gone): "SPENT"}))
    with pytest.raises(Refused) as refused:
        engine.confirm(plan.id)
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
    assert engine.balance(NPUB).unspent == 2000 - gone.amount and engine.balance(NPUB).reserved == 0
    invariants.check(store)


def test_a_stale_confirm_posts_nothing_unstamped(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    stale: Operation = plan.record
    mint.faults.next("melt", faults.LATE)
    engine.confirm(plan.id, wait_s=0)
    calls: list[Any] = []

    def counting(*args: Any) -> Any:
        calls.append(args)
        return mint.melt(*args)

    counted = on(engine, store, Between(mint, melt=counting))
    counted._recovery.resume(stale, 0, confirmed=True)
    assert not calls


def test_a_quote_that_runs_out_between_the_steps_is_not_started(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert plan.record.quote is not None
    left = (plan.record.quote.expires_at - clock.now()) / 1000

    def slow(*args: Any) -> Any:
        answer = mint.check_states(*args)
        clock.advance(left)
        return answer

    with pytest.raises(Refused) as refused:
        on(engine, store, Between(mint, check_states=slow)).confirm(plan.id, wait_s=left + 60)
    assert refused.value.code == "QUOTE_EXPIRED" and plan.refresh().state == "expired"
    assert mint.lightning.attempts(payment_hash(bolt11)) == 0
    assert engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_a_prepared_payment_is_not_mistaken_for_an_unknown_one(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).id == plan.id
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "WAITS_FOR_CALLER" and refused.value.details["prepared"] == plan.id
