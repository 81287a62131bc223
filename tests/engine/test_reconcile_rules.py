"""R223: rules of reconciling and verifying that hung on one test or on none, each by itself."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, Store
from nutstate.engine.checks.documents import Born, Documents
from nutstate.engine.checks.read_documents import read_documents
from nutstate.engine.checks.reconcile_rules import Expected, KeyBook, judge_documents
from nutstate.engine.checks.tally import CheckResult
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Fence, InputRef, Operation, Output, Token
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import make_operation, make_token
from tests.support.data import data_in, with_fields
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, fake_proof, funded, invoice


def judged(docs: Documents, keys: Any = lambda _: None) -> dict[str, CheckResult]:
    return {check.name: check for check in judge_documents(docs, keys, Expected())}


def documents_of(store: Store, op: Operation) -> Documents:
    with store.snapshot() as reader:
        return read_documents(reader, op, BUILT_IN, with_wallet=False, driven=True)


@pytest.fixture
def paid(store: Store) -> tuple[Engine, Operation]:
    engine, mint, clock = funded(store)
    return engine, engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock)).record


@pytest.mark.parametrize(("unit", "holds"), [("sat", True), ("msat", False)])
def test_r223_a_signature_of_a_keyset_of_another_unit_is_none(
    paid: tuple[Engine, Operation], unit: str, holds: bool
) -> None:
    """R223: the same key would sign for a thousandth of the value."""
    engine, op = paid
    book = KeyBook(engine._keysets).of(op.mint_url)

    def keys(keyset_id: str) -> Any:
        keyset: Any = book(keyset_id)
        return attrs.evolve(keyset, unit=unit)

    found = judged(documents_of(engine.store, op), keys)["change_verification"]
    assert found.passed is holds
    assert holds or all("DLEQ does not verify" in text for text in found.texts())


def made_up(op: Operation, *tokens: Token, born: dict[str, Born] | None = None) -> Documents:
    """Documents of an operation without a trail."""
    by_id = {token.transaction_id: token for token in tokens}
    checks = BUILT_IN.of(op).checks
    assert checks is not None
    return Documents(op, (), by_id, (), (), {}, born or {}, checks)


FENCED = make_operation(
    state="released", fenced_token_id="tx-1_fenced", finished_at=5, inputs=(InputRef("a", 7, 3),),
    sources_total=7, fences=(Fence(1, (Output("k", 5, "02aa", Secret("s"), Secret("r")),), 2, end="done"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        (make_token("a", state="spent"), True),
        (make_token("a"), False),
        (make_token("a", state="reserved"), False),
        (make_token("a", 1, 2, state="spent"), False),
        (attrs.evolve(make_token("a", state="spent"), npub="another"), False),
    ],
    ids=["spent", "unspent", "reserved", "less", "of another"],
)
def test_r223_a_source_of_a_fence_is_spent(source: Token, holds: bool) -> None:
    """R223: what a fence consumed is spent, with its value and owner, though nothing was paid."""
    assert judged(made_up(FENCED, source))["source_token_status"].passed is holds


@pytest.mark.parametrize(("amount", "holds"), [(5, True), (4, False), (6, False), (7, False)])
def test_r223_a_fence_is_worth_its_inputs_less_its_fee(amount: int, holds: bool) -> None:
    """R223: not a satoshi more or less."""
    docs = made_up(FENCED, make_token("a", state="spent"), born={"tx-1_fenced": Born(amount, 1)})
    checks = judged(docs)
    assert all(checks[name].passed for name in ("balance_consistency", "change_verification")) is holds


@pytest.mark.parametrize(("fee", "holds"), [(2, True), (1, False), (3, False)])
def test_r223_inputs_are_the_fence_and_its_fee(fee: int, holds: bool) -> None:
    """R223: the fee that is stored is the one that was paid."""
    (fence,) = data_in(FENCED).fences
    op = with_fields(FENCED, fences=(attrs.evolve(fence, input_fee=fee),))
    docs = made_up(op, make_token("a", state="spent"), born={"tx-1_fenced": Born(5, 1)})
    assert judged(docs)["balance_consistency"].passed is holds


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "reserved", "transaction_id": "tx_of_nobody"},
        {"state": "unspent", "transaction_id": "tx_of_nobody", "transaction_type": "change"},
        {"state": "unspent", "transaction_id": "{}_change2", "transaction_type": "change"},
    ],
    ids=["held", "its child", "its id"],
)
def test_r223_a_token_that_nothing_accounts_for_is_told(
    paid: tuple[Engine, Operation], fields: dict[str, Any]
) -> None:
    """R223: one that says that the operation holds it, or made it, and that no record names."""
    engine, op = paid
    (token, *_) = engine.store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    name = fields["transaction_id"].format(op.id)
    stray = attrs.evolve(
        token, **fields | {"transaction_id": name}, proofs=(fake_proof(8, "stray"),), total_amount=8,
        reserved_by=op.id if fields["state"] == "reserved" else None,
        metadata=attrs.evolve(token.metadata, parent_transaction_id=op.id),
    )  # fmt: skip
    assert documents_of(engine.store, op).strays == ()
    Foreign(engine.store).put(stray)
    assert documents_of(engine.store, op).strays == (name,)
    found = judged(documents_of(engine.store, op))["transaction_completeness"]
    assert found.found["tokens nothing accounts for"] == [name]


def test_r223_another_previous_state_is_told(paid: tuple[Engine, Operation]) -> None:
    """R223: of a token and of an operation; it is the replay of the records that sees it."""
    engine, op = paid
    foreign = Foreign(engine.store)
    source = engine.store.token(op.inputs[0].token_id)
    assert source is not None and source.prev_state == "reserved"
    foreign.put(attrs.evolve(source, prev_state="unspent"))
    (fault,) = engine.verify_audit().changed
    assert (fault.entity, fault.text) == (
        f"token:{source.transaction_id}",
        "the stored state is not where its records end",
    )
    foreign.put(source)
    foreign.put(attrs.evolve(op, prev_state="paid"))
    texts = {fault.text for fault in engine.verify_audit(op.id).changed}
    assert "the stored state is not where its records end" in texts
