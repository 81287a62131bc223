"""Effects, stores and versions of own kinds: R472, R478, R480 to R482."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, InvalidArgument, Secret, SimulatedMint, open_store
from nutstate.engine.admission.idempotency import Admission
from nutstate.kinds import BUILT_IN, EffectContext, Kind, KindInvalid, Kinds, new_token
from nutstate.machines.spec import NONE
from nutstate.storage.errors import InvalidBatch
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Token
from tests.support.everything import everything
from tests.support.shop import BOB, Shop, own
from tests.support.wallet import NPUB, QUICK


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
