"""Attacks on own kinds: R470-R482 (R473: test_own_data). Each of these was wrong once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, InvalidArgument, Refused, Secret, SimulatedMint, open_store
from nutstate.engine.admission.idempotency import Admission
from nutstate.engine.simulated.faults import UNREACHABLE
from nutstate.kinds import BUILT_IN, EffectContext, Kind, KindInvalid, Kinds, Run, new_token
from nutstate.machines.spec import NONE, Action, Event, edges
from nutstate.storage.errors import InvalidBatch
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Token
from tests.support import invariants
from tests.support.everything import everything
from tests.support.shop import BOB, Shop, own
from tests.support.wallet import NPUB, QUICK, invoice


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


def test_r472_the_same_start_is_the_same_operation_after_its_data_have_changed(tmp_path: Path) -> None:
    """R472: an effect that keeps new data does not make a repeated start another request."""
    shop = Shop(tmp_path)
    first = shop.ask()
    shop.approve(first)
    again = shop.ask()
    assert (again.id, again.state) == (first.id, "done")
    with pytest.raises(InvalidArgument) as refused:
        shop.ask(data=own.ApprovalData("eve", Secret(shop.invoice)))
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


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


def correct(context: EffectContext, token: Token) -> None:
    context.draft.change_token(
        token.transaction_id, "correct_spent", context.now, mint_spent_count=len(token.proofs)
    )


def take_one(context: EffectContext, token: Token) -> None:
    part = token.proofs[:1]
    context.draft.split_token(token.transaction_id, part, context.now)
    taken = new_token(context, "taken_token", "received", "split", part)
    context.draft.create_token("deposit", taken, context.now, moved_from={token.transaction_id: part})


@pytest.mark.parametrize("harm", [correct, take_one])
def test_r478_an_effect_of_an_own_kind_cannot_touch_the_money_of_another_owner(
    tmp_path: Path, harm: Callable[[EffectContext, Token], None]
) -> None:
    """R478: the store refuses a batch that changes a token of another npub than the operation's."""
    victims: list[Token] = []

    def effect(context: EffectContext) -> None:
        context.draft.load(victims)
        harm(context, victims[0])

    kind = attrs.evolve(own.APPROVAL_KIND, effects={**own.APPROVAL_KIND.effects, "note_approver": effect})
    shop = Shop(tmp_path, kind)
    victims += shop.store.tokens(TokenQuery(npub=BOB))
    asked = shop.ask()
    before = everything(shop.store)
    with pytest.raises(InvalidBatch):
        shop.approve(asked)
    assert everything(shop.store) == before


def test_r472_the_same_start_by_two_workers_at_once_is_one_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R472: both look, one stores; the other returns what was stored."""
    shop = Shop(tmp_path)
    once = Admission.once
    before: list[Shop] = [shop]

    def slower(self: Admission, *args: Any) -> Any:
        if before:
            before.pop().ask()
        return once(self, *args)

    monkeypatch.setattr(Admission, "once", slower)
    assert shop.ask().id == "tx_approval_1"
    assert len(shop.store.operations(OperationQuery(kind="approval"))) == 1


def test_r474_facts_that_raise_give_the_lease_up_and_tell_the_first_error(tmp_path: Path) -> None:
    """R474: code of an own kind that raises while its drive is counted as failed hides no error and keeps no
    lease."""
    broken: list[bool] = []

    def facts(look: Any) -> Any:
        if broken:
            raise LookupError("facts")
        return own.approval_facts(look)

    def action(run: Run) -> Any:
        broken.append(True)
        raise ZeroDivisionError("action")

    kind = attrs.evolve(own.APPROVAL_KIND, facts=facts, actions={"pay_invoice": action})
    shop = Shop(tmp_path, kind)
    asked = shop.ask()
    with pytest.raises(ZeroDivisionError):
        shop.approve(asked)
    stored = shop.store.operation(asked.id)
    assert stored is not None and stored.lease is None and stored.failures == 1


def test_r474_an_alarm_that_raises_is_no_failed_operation(tmp_path: Path) -> None:
    """R474: after a commit the kind's alarm is only told; one that raises is logged, and the call goes on."""

    def alarm(op: Any) -> str:
        raise LookupError("alarm")

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, alarm=alarm))
    assert shop.approve(shop.ask()).state == "done"


def test_r480_an_older_program_lists_operations_of_a_newer_version_of_an_own_kind(tmp_path: Path) -> None:
    """R480: the hooks of an own kind read operations of its own versions only; of others nothing is told."""

    @attrs.frozen
    class NewData:
        payer: str = "ann"

    def told(op: Any) -> Any:
        return old_kind[0].data_of(op).asked_by  # of the data of version 1

    old_kind: list[Kind[Any]] = []
    hooks: dict[str, Any] = dict.fromkeys(("cost", "alarm", "raises", "to_pay"), told)
    old_kind.append(attrs.evolve(own.APPROVAL_KIND, **hooks, sums=lambda op, records: told(op)))
    newer = attrs.evolve(
        own.APPROVAL_KIND,
        machines=(own.APPROVAL, attrs.evolve(own.APPROVAL, version=2)),
        data=NewData,
        facts=lambda look: own.ApprovalFacts(approved_by=look.data.payer),
    )
    shop = Shop(tmp_path, newer)
    asked = shop.engine.start("approval", npub=NPUB, mint_url=shop.mint.url, data=NewData("bob"))
    older = Engine(shop.store, shop.mint, kinds=BUILT_IN | old_kind[0], settings=QUICK, clock=shop.clock)
    (found,) = [h for h in older.operations(NPUB) if h.id == asked.id]
    assert (found.cost, found.alarm, found.as_dict()["state"]) == (None, None, "waiting")
    assert older.kinds.sums_of(found.record, ()) is None and older.kinds.to_pay(found.record) is None


def test_r481_an_engine_is_not_made_for_a_store_that_lacks_its_kinds(tmp_path: Path) -> None:
    """R481: its actions would pay, and no commit could say so."""
    url = f"sqlite:///{tmp_path}/plain.db"
    with open_store(url) as plain:
        with pytest.raises(KindInvalid) as refused:
            Engine(plain, SimulatedMint(), kinds=own.KINDS)
        assert "approval@1" in refused.value.message
    changed = attrs.evolve(own.APPROVAL, good_path=(NONE, "waiting", "declined"))
    other = BUILT_IN | attrs.evolve(own.APPROVAL_KIND, machines=(changed,))
    with open_store(url, kinds=own.KINDS) as store, pytest.raises(KindInvalid):
        Engine(store, SimulatedMint(), kinds=other)


def test_r481_an_engine_has_the_built_in_kinds(tmp_path: Path) -> None:
    """R481: without them a melt would end in a bare KeyError."""
    alone = Kinds(own.APPROVAL_KIND)
    with open_store(f"sqlite:///{tmp_path}/alone.db", kinds=alone) as store:
        with pytest.raises(KindInvalid) as refused:
            Engine(store, SimulatedMint(), kinds=alone)
    assert "BUILT_IN" in refused.value.message


def test_r482_the_audit_of_a_kind_hides_nothing_of_the_common_data(tmp_path: Path) -> None:
    """R482: what a kind tells stands beside the common data, and cannot replace them."""

    def audit(op: Any, evidence: Any) -> dict[str, Any]:
        return {"amount": 1, "npub": "nobody", "operator": "nobody", "more": "told", "secret": "S"}

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, audit=audit))
    (record,) = shop.ask().audit()
    assert (record.data["amount"], record.data["more"]) == (100, "told")
    assert record.data["npub"] != "nobody" and record.data["secret"] != "S"


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
