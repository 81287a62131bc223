"""Children of own kinds: R470, R471, R475 to R477, R479."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import InvalidArgument, Refused, Secret
from nutstate.engine.simulated.faults import UNREACHABLE
from nutstate.kinds import KindInvalid, Run
from nutstate.machines.spec import NONE, Action, Event, edges
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.everything import everything
from tests.support.shop import BOB, Shop, own
from tests.support.wallet import NPUB, invoice


def by_another_owner(shop: Shop, name: str) -> None:
    shop.engine.melt(
        npub=BOB, mint_url=shop.mint.url, invoice=invoice(1, shop.clock), transaction_id=name, wait_s=10
    )


def by_the_same_owner(shop: Shop, name: str) -> None:
    shop.engine.melt(
        npub=NPUB, mint_url=shop.mint.url, invoice=invoice(1, shop.clock), transaction_id=name, wait_s=10
    )


def by_a_deposit_of_no_money(shop: Shop, name: str) -> None:
    shop.engine.mint_tokens(npub=BOB, mint_url=shop.mint.url, amount=1, transaction_id=name, wait_s=10)


def by_a_recorded_melt(shop: Shop, name: str) -> None:
    """Its caller names the parent."""
    funded = shop.engine.mint_tokens(npub=NPUB, mint_url=shop.mint.url, amount=8, wait_s=10)
    token = f"{funded.id}_minted"
    shop.engine.record_melt(
        npub=NPUB, mint_url=shop.mint.url, sources=[token], keep=[], change=[], amount=8, fee=0,
        transaction_id=name, parent_transaction_id="tx_approval_1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "takes", [by_another_owner, by_the_same_owner, by_a_deposit_of_no_money, by_a_recorded_melt]
)
def test_r470_an_operation_that_has_the_id_of_a_child_is_no_child(
    tmp_path: Path, takes: Callable[[Shop, str], None]
) -> None:
    """R470: whoever takes the id of a child first cannot make a parent believe that its invoice is paid."""
    shop = Shop(tmp_path)
    asked = shop.ask()
    takes(shop, f"{asked.id}.melt")
    assert shop.engine.operation(f"{asked.id}.melt").outcome == "paid"
    ended = shop.approve(asked)
    assert (ended.state, ended.outcome) == ("failed", "unpaid")
    assert ended.reason is not None and ended.reason.code == "DUPLICATE_TRANSACTION_ID"
    if takes is not by_a_recorded_melt:  # that one tells of a payment the mint knows nothing of
        invariants.check(shop.store, shop.mint)


def test_r470_a_child_with_another_invoice_is_another_child(tmp_path: Path) -> None:
    """R470: an action that names a second invoice under the name of its child is told so; the end of the
    first invoice is not the end of the second."""
    invoices: list[str] = []

    def pays_two(run: Run) -> Any:
        assert run.children is not None
        found = [run.children.melt(run.operation, invoice=text).outcome for text in invoices]
        return own.Happened("melt_paid" if found == ["paid", "paid"] else "melt_unpaid")

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": pays_two}))
    invoices += [invoice(2, shop.clock), invoice(3, shop.clock)]
    asked = shop.ask()
    with pytest.raises(InvalidArgument) as refused:
        shop.approve(asked)
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
    assert shop.engine.operation(asked.id).state == "paying"
    assert len(shop.melts()) == 1


@pytest.mark.parametrize("length", [95, 96, 100])
def test_r471_an_operation_with_the_longest_id_has_children(tmp_path: Path, length: int) -> None:
    """R471: each id that a parent may have leaves room for its children."""
    shop = Shop(tmp_path)
    asked = shop.ask("x" * length)
    ended = shop.approve(asked)
    assert ended.state == "done"
    (child,) = shop.melts()
    assert len(child) <= 100 and shop.store.operation(child).parent_id == asked.id  # type: ignore[union-attr]
    assert shop.ask("x" * length).id == asked.id


def test_r475_a_funding_on_its_way_is_not_given_up_and_its_mint_is_not_asked(tmp_path: Path) -> None:
    """R475: the last look before an operator's event is taken only where the event has an edge."""
    shop = Shop(tmp_path)
    shop.mint.auto_pay = False
    funding = shop.engine.mint_tokens(npub=NPUB, mint_url=shop.mint.url, amount=5, wait_s=0)
    shop.mint.faults.always("mint_quote_state", [UNREACHABLE])
    before = everything(shop.store)
    with pytest.raises(Refused) as refused:
        shop.engine.write_off(funding.id, "tired of waiting")
    assert refused.value.code == "UNDEFINED_TRANSITION"
    assert everything(shop.store) == before


def test_r476_a_discrepant_child_is_no_word_about_its_parent(tmp_path: Path) -> None:
    """R476: a check tells of a contradiction in an operation's documents; a child does not."""
    from nutstate.engine.admission.discrepancy import told_of

    shop = Shop(tmp_path)
    asked = shop.approve(shop.ask())
    child = shop.store.operation(f"{asked.id}.melt")
    assert child is not None
    discrepant = attrs.evolve(child, state="discrepant")

    class Reader:
        """Answers as a store does that holds one discrepant child."""

        def operations(self, query: OperationQuery) -> tuple[Any, ...]:
            return (discrepant,) if query.kind in (None, discrepant.kind) else ()

    assert told_of(Reader(), asked.record) is None  # type: ignore[arg-type]


def test_r477_a_child_that_was_refused_never_starts_later(tmp_path: Path) -> None:
    """R477: a parent ends because its child was refused; a slower driver of the same parent, which decides
    when the source is there, finds the refusal and pays nothing."""
    sources = ["tx_a_later_funding_minted"]

    def pay(run: Run) -> Any:
        assert run.children is not None
        child = run.children.melt(run.operation, invoice=run.data.invoice, sources=sources)
        return own.Happened("melt_unpaid", own.Evidence(reason=child.reason))

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": pay}))
    ended = shop.approve(shop.ask())
    assert (ended.state, ended.reason.code) == ("failed", "TOKEN_NOT_FOUND")
    shop.engine.mint_tokens(
        npub=NPUB, mint_url=shop.mint.url, amount=512, transaction_id="tx_a_later_funding"
    )
    slower = shop.another()
    assert slower._children is not None
    child = slower._children.melt(ended.record, invoice=shop.invoice, sources=sources)
    assert child.outcome == "unpaid" and child.operation is not None and child.operation.state == "rejected"
    assert shop.engine.balance(NPUB).unspent == 2512
    paid = shop.engine.melt(npub=NPUB, mint_url=shop.mint.url, invoice=shop.invoice, wait_s=10)
    assert paid.is_paid
    assert shop.engine.verify_audit().holds
    invariants.check(shop.store, shop.mint)


def test_r479_a_child_starts_only_while_its_parent_is_as_it_is_stored(tmp_path: Path) -> None:
    """R479: a parent that another worker has led on, to its end perhaps, starts no child any more."""
    later: list[Callable[[], object]] = []

    def pays_late(run: Run) -> Any:
        while later:
            later.pop()()
        return own.pay_invoice(run)

    table = attrs.evolve(
        own.APPROVAL,
        transitions=(
            *own.APPROVAL.transitions,
            *edges("8", "give_up", "paying", "declined", requires=(own.operator_gave_reason,)),
        ),
    )
    shop = Shop(
        tmp_path, attrs.evolve(own.APPROVAL_KIND, machines=(table,), actions={"pay_invoice": pays_late})
    )
    asked = shop.ask()
    other = shop.another()
    later.append(lambda: other.tell(asked.id, "give_up", reason="too late", wait_s=0))
    assert shop.approve(asked).state == "declined"
    assert (shop.engine.operation(asked.id).state, shop.melts()) == ("declined", [])
    assert shop.store.operation(asked.id).failures == 0  # type: ignore[union-attr]


def test_r479_an_action_that_runs_before_the_commit_starts_no_child(tmp_path: Path) -> None:
    """R479: an action whose word is reads_only may run while its state is only staged."""
    word = Action("pay_invoice", "start the child melt too early", reads_only=True)
    table = attrs.evolve(
        own.APPROVAL,
        actions=(word,),
        states=tuple(attrs.evolve(state, write_ahead=False) for state in own.APPROVAL.states),
        transitions=(
            *own.APPROVAL.transitions,
            *edges("9", "insist", NONE, "paying", reason="nothing is waited for"),
        ),
        events=(*own.APPROVAL.events, Event("insist", "a clerk wants it paid at once", "caller")),
    )
    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, machines=(table,)))
    before = everything(shop.store)
    with pytest.raises(KindInvalid):
        shop.engine.start(
            "approval", npub=NPUB, mint_url=shop.mint.url, event="insist",
            data=own.ApprovalData("ann", Secret(shop.invoice)),
        )  # fmt: skip
    assert everything(shop.store) == before
