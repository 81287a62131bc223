"""The engine at the mint server, over HTTP, with answers that get lost."""

from __future__ import annotations

import pytest

from nutstate import Engine, open_store
from nutstate.engine.simulated.faults import ANSWER_LOST, CUT, DUPLICATED, SERVER_ERROR, Fault
from tests.support.wallet import NPUB

from .conftest import Bench


@pytest.mark.parametrize("fault", [ANSWER_LOST, CUT, DUPLICATED, SERVER_ERROR], ids=lambda fault: fault.kind)
def test_a_payment_whose_answer_is_spoiled_ends_paid_once(bench: Bench, fault: Fault) -> None:
    """R718: whatever the way does to the answers of a melt, the engine pays once and keeps the change."""
    with open_store("memory://") as store:
        engine = Engine(store, bench.port)
        engine.mint_tokens(npub=NPUB, mint_url=bench.url, amount=500)
        invoice = bench.done("payments/invoice", amount=100)["invoice"]
        bench.mint.faults.next("melt", fault)
        handle = engine.melt(npub=NPUB, mint_url=bench.url, invoice=invoice, wait_s=60)
        shown = bench.done("payments/show", invoice=invoice)
        assert (shown["payments"], handle.outcome) == (1, "paid")
        assert 390 <= engine.balance(npub=NPUB).unspent <= 400
