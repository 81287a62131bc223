"""R528: a child melt that cannot start at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate.engine.simulated.faults import UNREACHABLE
from nutstate.kinds import Child, Run
from tests.support import invariants
from tests.support.shop import Shop, own
from tests.support.wallet import NPUB

READS = ("melt_quote", "check_states", "keysets")


@pytest.mark.parametrize("endpoint", READS)
def test_a_child_waits_for_a_mint_that_is_silent(tmp_path: Path, endpoint: str) -> None:
    """R528: while the mint answers no read before the payment the child is open and nothing is stored of it;
    its parent is driven on, and pays once when the mint answers."""
    shop = Shop(tmp_path)
    asked = shop.ask()
    shop.mint.faults.always(endpoint, [UNREACHABLE])
    waiting = shop.another().tell(asked.id, "approve", "bob", wait_s=10)
    assert (waiting.state, waiting.outcome, shop.melts()) == ("paying", "open", [])
    shop.clock.advance(900)
    shop.another().recover(force=True, wait_s=5)
    assert shop.melts() == [] and shop.engine.balance(NPUB).unspent == 2000
    assert shop.engine.operation(asked.id).state == "paying"
    shop.mint.faults.stop()
    shop.another().recover(force=True, wait_s=30)
    ended = shop.engine.operation(asked.id)
    assert (ended.state, ended.outcome) == ("done", "paid")
    assert shop.melts() == [f"{asked.id}.melt"]
    assert shop.engine.verify_audit().holds
    invariants.check(shop.store, shop.mint)


def test_the_child_says_why_it_waits(tmp_path: Path) -> None:
    """R528: an action may tell a person; the reason has the code of the mint's silence and is retryable."""
    seen: list[Child] = []

    def pay(run: Run) -> Any:
        assert run.children is not None
        seen.append(run.children.melt(run.operation, invoice=run.data.invoice))
        return own.pay_invoice(run)

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": pay}))
    asked = shop.ask()
    shop.mint.faults.always("melt_quote", [UNREACHABLE])
    shop.engine.tell(asked.id, "approve", "bob", wait_s=0)
    (child,) = seen
    assert (child.outcome, child.operation) == ("open", None)
    assert child.reason is not None
    assert (child.reason.code, child.reason.retryable) == ("MINT_UNREACHABLE", True)
    assert shop.invoice not in repr(child)


def test_a_second_driver_of_the_parent_starts_no_second_child(tmp_path: Path) -> None:
    """R528: one worker heard nothing and waits; another one starts the child. The first finds that child."""
    shop = Shop(tmp_path)
    asked = shop.ask()
    shop.mint.faults.always("melt_quote", [UNREACHABLE])
    shop.engine.tell(asked.id, "approve", "bob", wait_s=0)
    shop.mint.faults.stop()
    parent = shop.store.operation(asked.id)
    assert parent is not None
    children = [shop.another()._children for _ in range(2)]
    found = [
        child.melt(parent, invoice=shop.invoice) for child in children if child is not None for _ in range(2)
    ]
    assert {one.operation.id for one in found if one.operation} == {f"{asked.id}.melt"}
    shop.engine.recover(force=True, wait_s=30)
    assert shop.engine.operation(asked.id).state == "done"
    cost = shop.engine.operation(f"{asked.id}.melt").cost
    assert cost is not None and shop.engine.balance(NPUB).unspent == 2000 - 100 - cost
    invariants.check(shop.store, shop.mint)


def test_an_invoice_that_runs_out_meanwhile_ends_the_child_for_good(tmp_path: Path) -> None:
    """R528: the child waits as long as it may be paid. Its refusal is stored, and the parent ends unpaid."""
    shop = Shop(tmp_path)
    asked = shop.ask()
    shop.mint.faults.always("melt_quote", [UNREACHABLE])
    shop.engine.tell(asked.id, "approve", "bob", wait_s=0)
    shop.clock.advance(2 * 24 * 3600)
    shop.another().recover(force=True, wait_s=5)
    ended = shop.engine.operation(asked.id)
    assert (ended.state, ended.outcome) == ("failed", "unpaid")
    assert ended.reason is not None and ended.reason.code == "INVOICE_EXPIRED"
    assert shop.engine.operation(f"{asked.id}.melt").state == "rejected"
