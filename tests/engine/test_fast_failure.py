"""A payment that the mint itself refuses: told within seconds, at no cost, still watched (R320 to R326)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Refused, Store
from nutstate.engine.cashu.port import Failure, is_value
from nutstate.engine.cashu.port import Refused as No
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, engine_on
from tests.support.stories import failing
from tests.support.wallet import NPUB, QUICK, funded, invoice, npub_of, payment_hash


def test_r320_a_clear_refusal_is_told_within_seconds_and_costs_nothing(store: Store) -> None:
    """The mint answers 20004, the quote is UNPAID and every input UNSPENT, twice: no fence, no fee."""
    engine, mint, clock, bolt11 = failing(store)
    begun = clock.monotonic()
    between = Between(mint)
    melt = engine_on(store, clock, between).melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (melt.state, melt.outcome, melt.is_paid) == ("watching", "unpaid", False)
    assert clock.monotonic() - begun < engine.settings.settle_window_s, "not even a settle window"
    assert "swap" not in between.asked and between.asked.count("check_states") >= 3
    assert engine.balance(NPUB).unspent == 2000
    assert melt.reason is not None and melt.reason.details["mint_code"] == 20004
    clock.advance(QUICK.watch_window_h * 3600 + 1)
    engine.recover(force=True)
    assert melt.refresh().state == "released", "the watch ends by itself"
    invariants.check(store, mint)


def test_r321_asked_only_once_nothing_is_free(store: Store) -> None:
    """Before the second look, a refusal window after the first, the inputs stay reserved."""
    _engine, mint, clock, bolt11 = failing(store)
    melt = engine_on(store, clock, mint).melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    assert melt.state == "refused" and melt.outcome == "open"
    assert engine_on(store, clock, mint).balance(NPUB).reserved == melt.inputs
    states = [r.to_state for r in melt.audit() if r.entity == f"operation:{melt.id}"]
    assert states[-1] == "refused"
    ended = engine_on(store, clock, mint).melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert ended.id == melt.id and ended.state == "watching"
    invariants.check(store, mint)


@pytest.mark.parametrize("second", ["PENDING", "PAID", "SPENT", "PENDING input", "UNKNOWN"])
def test_r321_a_second_look_that_says_otherwise_frees_nothing(store: Store, second: str) -> None:
    """What the mint says the second time counts: then the request may be under way after all."""
    engine, mint, clock, bolt11 = failing(store)
    looks = {"quote": 0, "states": 0}

    def quote(url: str, name: str) -> Any:
        told, looks["quote"] = mint.melt_quote_state(url, name), looks["quote"] + 1
        if looks["quote"] == 2 and second in ("PENDING", "PAID", "UNKNOWN"):
            return attrs.evolve(told, state=second, said="FAILED" if second == "UNKNOWN" else None)
        return told

    def states(url: str, names: Any) -> Any:
        told = mint.check_states(url, names)
        looks["states"] += looks["quote"] > 0
        if looks["states"] == 2 and second in ("SPENT", "PENDING input"):
            return (attrs.evolve(told[0], state=second.split()[0]), *told[1:])
        return told

    lying = engine_on(store, clock, Between(mint, melt_quote_state=quote, check_states=states))
    melt = lying.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=3)
    assert melt.state not in ("watching", "released") and lying.balance(NPUB).reserved == (
        0 if melt.is_paid else melt.inputs
    )
    if second != "PAID":
        finish(engine, store, clock)
        assert melt.refresh().state == "released", "then a fence ends it"
        invariants.check(store, mint)


@pytest.mark.parametrize(
    "answer",
    [
        No(0, "database is locked", False),
        No(11000, "no", False),
        No(20005, "pending", False),
        No(None, "no", False),
    ],
    ids=["locked", "generic", "pending", "no code"],
)
def test_r322_an_unclear_refusal_waits_for_its_fence(store: Store, answer: Failure) -> None:
    """Only a code that says that this request is not executed is a clear refusal."""
    engine, mint, clock = funded(store)
    unclear = engine_on(store, clock, Between(mint, melt=lambda *_: answer))
    melt = unclear.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock), wait_s=3)
    assert melt.state == "unknown"
    finish(engine, store, clock)
    assert melt.refresh().state == "released" and data_in(melt.refresh().record).fenced_token_id is not None
    invariants.check(store, mint)


def test_r323_the_same_owner_may_try_again_and_nobody_else(store: Store) -> None:
    """The watched attempt lets go of the invoice for its owner; another npub is refused meanwhile."""
    engine, mint, clock, bolt11 = failing(store)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="a")
    assert first.state == "watching"
    engine.mint_tokens(npub=npub_of(1), mint_url=mint.url, amount=500)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=npub_of(1), mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="a").id == first.id
    second = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert second.id != first.id and second.state == "reconciled"
    assert first.refresh().record.claim is None and second.record.claim == payment_hash(bolt11)
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    assert mint.lightning.payments(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


def test_r323_a_mint_that_quotes_the_same_again(store: Store) -> None:
    """The second attempt may get the quote of the first; that it is PAID then is the second one's doing.
    R521: the first let go of the quote with its claim, so the store's unique key permits it."""
    engine, mint, clock, bolt11 = failing(store)
    quotes: dict[str, Any] = {}

    def same_quote(url: str, request: Any, unit: str) -> Any:
        return quotes.setdefault(request.reveal(), mint.melt_quote(url, request, unit))

    stubborn = engine_on(store, clock, Between(mint, melt_quote=same_quote))
    first = stubborn.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    second = stubborn.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert (first.state, second.state) == ("watching", "reconciled")
    assert first.record.quote is not None and second.record.quote is not None
    assert first.record.quote.id == second.record.quote.id
    assert first.refresh().record.quote_let_go and not second.record.quote_let_go
    stubborn.recover(force=True, wait_s=5)
    ended = first.refresh()
    assert ended.state == "released" and not ended.is_paid, "the inputs of the first were not used"
    assert engine.balance(NPUB).unspent == 2000 - 50 - (second.cost or 0)
    invariants.check(store, mint)


def test_r324_a_mint_that_lied_is_seen_and_nothing_more_is_lost(store: Store) -> None:
    """It refuses, confirms it twice, and executes the request after all: paid, CRITICAL, change is ours."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    sent: list[Any] = []

    def refuse(url: str, body: Any) -> Any:
        sent.append(body)
        return No(20004, "Lightning payment failed", False)

    melt = engine_on(store, clock, Between(mint, melt=refuse)).melt(
        npub=NPUB, mint_url=mint.url, invoice=bolt11
    )
    assert melt.state == "watching" and engine.balance(NPUB).unspent == 2000
    assert is_value(mint.melt(mint.url, sent[0]))
    engine.recover(force=True, wait_s=30)
    paid = melt.refresh()
    assert paid.state == "reconciled" and paid.is_paid and paid.change > 0
    assert any(r.compliance_level == "CRITICAL" and r.event == "mint_paid" for r in paid.audit())
    invariants.check(store, mint)


def test_r325_the_policies_stay_selectable(store: Store) -> None:
    """With ``fence`` the same refusal waits for the settle window and a fence."""
    engine, mint, clock, bolt11 = failing(store)
    begun = clock.monotonic()
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="fence")
    assert (
        melt.state == "released" and data_in(melt.record).fenced_token_id is not None and (melt.cost or 0) > 0
    )
    assert clock.monotonic() - begun >= engine.settings.settle_window_s - 1
    invariants.check(store, mint)


def test_r326_a_second_sending_is_never_a_clear_refusal(store: Store) -> None:
    """After a retry an earlier request may still be open: its refusal says nothing about the first one."""
    engine, mint, clock = funded(store)
    answers = iter(["lost", "refused"])

    def melt(url: str, body: Any) -> Any:
        if next(answers) == "lost":
            return mint.melt("https://elsewhere.example", body)
        return No(20004, "Lightning payment failed", False)

    twice = engine_on(store, clock, Between(mint, melt=melt))
    ended = twice.melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock), on_unpaid="retry_then_fence", wait_s=100
    )
    assert "refused" not in [r.to_state for r in ended.audit()] and ended.state == "released"
    assert data_in(ended.record).fenced_token_id is not None
    invariants.check(store, mint)
