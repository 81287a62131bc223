"""A paid funding is issued whatever the mint forgets, refuses or rotates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, Refused, Store
from nutstate.engine.simulated import faults
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.crash import finish
from tests.support.data import data_in
from tests.support.ports import Between, on, silent
from tests.support.wallet import NPUB, QUICK, funded, invoice


def test_funding_without_restore_is_posted_again(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0, mint_options={"without": [9]})
    mint.faults.next("mint", faults.REQUEST_LOST)
    assert engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100).state == "issued"
    invariants.check(store, mint)


def test_funding_whose_answer_is_gone_for_good_ends_with_a_person(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0, mint_options={"without": [9]})
    mint.faults.next("mint", faults.ANSWER_LOST)
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=30)
    assert op.state == "restoring"
    finish(engine, store, clock, rounds=200)
    assert op.refresh().state == "attention"
    with pytest.raises(MintError):
        engine.write_off(op.id, "the mint has no NUT-09")
    assert engine.write_off(op.id, "the mint has no NUT-09", force=True).state == "written_off"
    invariants.check(store)


def test_a_keyset_rotated_before_the_issue_gets_new_outputs(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)

    class Rotating:
        """Rotates its keyset just before the first issue request arrives."""

        done = False

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                if name == "mint" and not self.done:
                    self.done = True
                    mint.rotate_keyset()
                return getattr(mint, name)(*args)

            return call

    port: Any = Rotating()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert op.state == "issued" and len(data_in(op.record).fences) == 1
    invariants.check(store, mint)


def test_an_issued_quote_can_be_resumed(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.faults.next("mint_quote_state", faults.quote_state("ISSUED"))
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert op.state == "attention"
    assert engine.resume(op.id, "the mint was wrong").state == "issued"
    invariants.check(store, mint)


def test_issued_proofs_are_not_written_off(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.faults.next("mint", faults.ANSWER_LOST)
    deaf = on(engine, store, Between(mint, restore=silent))
    op = deaf.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=20)
    finish(deaf, store, clock, rounds=100)
    assert op.refresh().state == "attention"
    assert engine.write_off(op.id, "give it up").state == "issued"
    assert engine.balance(NPUB).unspent == 100
    invariants.check(store, mint)


def test_parked_funding_is_polled(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.auto_pay = False
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=0)
    assert op.record.quote is not None
    mute = on(engine, store, Between(mint, mint_quote_state=silent))
    clock.advance(2 * 3600 + (op.record.quote.expires_at - clock.now()) / 1000)
    mute.recover(force=True)
    assert op.refresh().state == "attention"
    mint.pay_mint_quote(op.record.quote.id)
    mint.faults.next("mint_quote_state", faults.quote_state("PAID"))
    engine.recover(force=True, wait_s=5)
    assert any((r.from_state, r.event) == ("attention", "invoice_paid") for r in op.audit())


def test_paid_funding_survives_any_number_of_refusals(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    down = on(engine, store, Between(mint, mint=silent), issue_tries_max=3)
    op = down.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=60)
    assert op.state == "attention" and op.reason is not None and op.reason.code == "MINT_WILL_NOT_ISSUE"
    with pytest.raises(Refused) as refused:
        down.write_off(op.id, "it never came")
    assert refused.value.code == "MINT_CAN_ISSUE" and op.refresh().state == "attention"
    again = on(engine, store, mint, issue_tries_max=3)
    assert again.resume(op.id, "the mint is well again").state == "issued"
    invariants.check(store, mint)


def test_an_invoice_over_another_amount_than_asked_is_refused(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)

    class Dear:
        def __getattr__(self, name: str) -> Any:
            return getattr(mint, name)

        def mint_quote(self, url: str, amount: int, unit: str) -> Any:
            answer: Any = mint.mint_quote(url, amount, unit)
            return attrs.evolve(answer, request=Secret(invoice(amount * 1000, clock)))

    port: Any = Dear()
    with pytest.raises(Refused) as refused:
        Engine(store, port, settings=QUICK, clock=clock).mint_tokens(npub=NPUB, mint_url=mint.url, amount=100)
    assert refused.value.code == "QUOTE_MISMATCH"
