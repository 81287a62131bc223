"""R527: the arguments of a melt and of a recording are checked in one place each."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate.engine.admission.melt_request import MeltRequest
from nutstate.engine.settings import Settings
from nutstate.kinds import Run
from nutstate.machines.melt.table import MELT
from tests.support.clock import FakeClock
from tests.support.shop import Shop, own
from tests.support.wallet import NPUB, invoice

ENGINE = Path(__file__).parents[2] / "engine"


@pytest.mark.parametrize(
    "name, told, places",
    [
        ("melt", {"on_unpaid", "fee_max"}, {"melt", "prepare_melt", "checked"}),
        ("recording", {"keep", "change", "hold"}, {"record_melt", "checked"}),
    ],
)
def test_only_the_call_and_the_check_list_the_arguments(name: str, told: set[str], places: set[str]) -> None:
    """R527: no third function takes them one by one."""
    listed = {
        node.name
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and told <= {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}
    }
    assert listed == places, name


def test_a_request_keeps_what_was_said_and_shows_no_invoice() -> None:
    """R527: what the caller left out is the settings'; only what it said is bound to its key."""
    clock = FakeClock()
    text = invoice(5, clock)
    base: dict[str, Any] = {"npub": NPUB, "mint_url": "https://Mint.Example/", "unit": "sat", "invoice": text}
    settings = Settings(on_unpaid="trust", wait_s=7)
    request = MeltRequest.checked(MELT, settings, clock.now(), **base)
    assert (request.op.state, request.op.amount, request.op.mint_url) == ("none", 5, "https://mint.example")
    assert (request.wait_s, request.on_duplicate, request.op.policy.on_unpaid) == (7, "return", "trust")
    assert text not in repr(request)
    told = {
        MeltRequest.checked(MELT, settings, clock.now(), **base, idempotency_key="k", **said).op.idempotency
        for said in ({}, {"on_unpaid": "trust"}, {"fee_max": 0}, {"wait_s": 9, "on_duplicate": "error"})
    }
    assert len(told) == 3


@pytest.mark.parametrize("chosen", ["two_step", "npub", "wallet_id", "transaction_id", "parent_id", "weird"])
def test_an_action_does_not_choose_whose_melt_its_child_is(tmp_path: Path, chosen: str) -> None:
    """R527: owner, wallet, id, parent and the single step of a child follow from its parent; a call that
    names one is a mistake of the program, and nothing is stored."""
    raised: list[str] = []
    wrong: dict[str, Any] = {chosen: True}

    def pay(run: Run) -> Any:
        assert run.children is not None
        try:
            run.children.melt(run.operation, invoice=run.data.invoice, **wrong)
        except TypeError as error:
            raised.append(str(error))
        return own.Happened("melt_unpaid")

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": pay}))
    ended = shop.approve(shop.ask())
    assert (ended.state, shop.melts()) == ("failed", [])
    assert len(raised) == 1 and chosen in raised[0]
