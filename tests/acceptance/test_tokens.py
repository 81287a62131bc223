"""R1 to R16: what a stored token may be, and who may spend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest
from pymongo import MongoClient
from pymongo.errors import WriteError

from nutstate import Engine, InvalidArgument, NutstateError, Refused, Store
from nutstate.storage.errors import InvalidBatch
from nutstate.storage.mongo.codec import token_document
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Token, TokenMetadata
from nutstate.storage.sqlite.rows import token_row
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.engine.test_token_edges import born, carried, carry
from tests.support.everything import everything
from tests.support.recording import Wallet, as_json, proofs
from tests.support.wallet import NPUB, funded, invoice, npub_of

PARENT = TokenMetadata("change", "tx_parent_1")
LAWLESS = (InvalidBatch, sqlite3.IntegrityError, WriteError)
MOST = 2**53 - 1


def create(store: Store, event: str, facts: dict[str, Any] | None = None, **change: Any) -> str:
    """The code with which the birth of a token is refused; nothing of it is stored."""
    engine, run, clock = carried(store)
    carry(engine, run, clock, "request")
    with pytest.raises(NutstateError) as refused:
        run.draft.create_token(event, attrs.evolve(born(run, event), **change), run.now(), **(facts or {}))
    assert not store.tokens(TokenQuery())
    return refused.value.code


def write_past_the_engine(store: Store, token: Token) -> None:
    """What a program without our rules does; ``memory://`` has no server, only the store's own checks."""
    if store.url.startswith("memory:"):
        store.commit(batch_for(make_operation("tx_foreign"), tokens=[token]))
    elif store.url.startswith("sqlite:"):
        row = token_row(token)
        with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as db, db:
            db.execute(
                f"INSERT INTO tokens ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                (*row.values(),),
            )
    else:
        with MongoClient[dict[str, Any]](store.url) as client:
            client.get_default_database().cashu_tokens.insert_one(token_document(token))


def tokens_of(store: Store, **query: Any) -> list[Token]:
    return list(store.tokens(TokenQuery(**query)))


def other_token(engine: Engine, mint_url: str, **more: Any) -> str:
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint_url, "amount": 512} | more
    return f"{engine.mint_tokens(**whose).id}_minted"


def test_r001_no_token_is_created_melted(store: Store) -> None:
    """Creating a token of type melted is refused (MELTED_FORBIDDEN)."""
    assert create(store, "deposit", transaction_type="melted") == "MELTED_FORBIDDEN"
    with pytest.raises(InvalidBatch):
        store.commit(batch_for(make_operation(), tokens=[make_token(transaction_type="melted")]))


@pytest.mark.parametrize("other", ["melted", "sent", "minted"])
def test_r002_the_type_of_a_stored_token_never_changes(store: Store, other: str) -> None:
    """Changing a stored token's transaction_type is refused."""
    made = batch_for(make_operation(), tokens=[make_token()])
    store.commit(made)
    token, op = made.tokens[0].after, made.operation.after
    retyped = attrs.evolve(token, transaction_type=other, state="reserved", reserved_by=op.id)
    with pytest.raises(InvalidBatch, match="transaction_type"):
        store.commit(batch_for(attrs.evolve(op, state="quoted"), op, tokens=[(token, retyped)]))
    assert store.token(token.transaction_id) == token


def test_r003_no_melted_document_is_imported(store: Store) -> None:
    """Importing a document of type melted as a token is refused (MELTED_FORBIDDEN)."""
    migrated = {"from_migration": True}
    assert create(store, "import_spent", migrated, transaction_type="melted") == "MELTED_FORBIDDEN"


def test_r004_the_server_itself_refuses_a_melted_token(store: Store) -> None:
    """A raw write of a melted token by a foreign program is refused."""
    write_past_the_engine(store, make_token("lawful"))
    with pytest.raises(LAWLESS):
        write_past_the_engine(store, make_token("forged", transaction_type="melted"))
    assert store.token("forged") is None and store.token("lawful") is not None


def test_r005_what_the_mint_calls_spent_lies_in_a_spent_token(store: Store) -> None:
    """After a melt no token holds a consumed proof as money."""
    engine, mint, clock = funded(store)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    said = {"SPENT": 0, "UNSPENT": 0}
    for token in tokens_of(store):
        states = mint.check_states(mint.url, [str(proof.Y) for proof in token.proofs])
        for answer in states:  # type: ignore[union-attr]
            assert (answer.state == "SPENT") == (token.state == "spent")
            said[answer.state] += 1
    assert all(said.values())


@pytest.mark.parametrize("parent", [None, ""])
def test_r006_change_names_its_parent(store: Store, parent: str | None) -> None:
    """A change token without metadata.parent_transaction_id is refused (CHANGE_WITHOUT_PARENT)."""
    orphan: dict[str, Any] = {"transaction_type": "change", "metadata": TokenMetadata("change", parent)}
    assert create(store, "deposit", **orphan) == "CHANGE_WITHOUT_PARENT"
    with pytest.raises(InvalidBatch):
        store.commit(batch_for(make_operation(), tokens=[make_token(**orphan)]))


@pytest.mark.parametrize("parent", [None, ""])
def test_r006_nor_does_a_foreign_program_store_it(store: Store, parent: str | None) -> None:
    """A raw write of a change token without a parent is refused too."""
    with pytest.raises(LAWLESS):
        write_past_the_engine(
            store, make_token(transaction_type="change", metadata=TokenMetadata("change", parent))
        )


def test_r007_change_is_never_born_spent(store: Store) -> None:
    """A change token is never born spent (CHANGE_BORN_SPENT)."""
    change: dict[str, Any] = {"transaction_type": "change", "metadata": PARENT}
    assert create(store, "import_spent", {"from_migration": True}, **change) == "CHANGE_BORN_SPENT"
    with pytest.raises(LAWLESS):
        write_past_the_engine(store, make_token(state="spent", **change))


def test_r008_change_can_be_spent_later(store: Store) -> None:
    """A change token born unspent can be spent like any other."""
    engine, mint, clock = funded(store)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    change = max(tokens_of(store, parent=first.id), key=lambda token: token.total_amount)
    assert (change.transaction_type, change.state) == ("change", "unspent")
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), sources=[change.transaction_id])
    spent = store.token(change.transaction_id)
    assert spent is not None and (spent.transaction_type, spent.state) == ("change", "spent")


def test_r009_spent_at_is_stamped_once(store: Store) -> None:
    """spent_at is stamped exactly once, when the token becomes spent, and never changes or vanishes."""
    engine, mint, clock = funded(store)
    assert {token.spent_at for token in tokens_of(store)} == {None}
    before = clock.now()
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    (spent,) = tokens_of(store, states=("spent",))
    assert spent.spent_at is not None and before <= spent.spent_at <= clock.now()
    clock.advance(1000)
    engine.reconcile(melt.id)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(7, clock))
    assert store.token(spent.transaction_id) == spent
    op = melt.refresh().record
    for forged in (None, spent.spent_at + 1):
        with pytest.raises(InvalidBatch, match="spent_at"):
            store.commit(batch_for(op, op, tokens=[(spent, attrs.evolve(spent, spent_at=forged))]))
    assert store.token(spent.transaction_id) == spent


@pytest.mark.parametrize("wrong", [6, 8, 0])
def test_r010_the_total_is_the_sum_of_the_proofs(store: Store, wrong: int) -> None:
    """total_amount equals the sum of the proofs (TOTAL_MISMATCH)."""
    assert create(store, "deposit", total_amount=wrong) == "TOTAL_MISMATCH"  # the proofs are 4, 2, 1
    with pytest.raises(LAWLESS):
        write_past_the_engine(store, make_token("forged", 4, 2, 1, total_amount=wrong))


@pytest.mark.parametrize("amount", [0, -1, True, 1.0, 1.5, "5", None, MOST + 1])
def test_r011_a_proof_amount_is_a_positive_integer(store: Store, amount: Any) -> None:
    """Every proof amount is a positive integer up to 2^53-1; a bool, float or text is refused."""
    wallet = Wallet(store, 500)
    before = everything(store)
    given = as_json(proofs(1)[0])
    for keep, change in (([given | {"amount": amount}], None), (None, [given | {"amount": amount}])):
        with pytest.raises(InvalidArgument) as refused:
            wallet.record([500], keep, change, 499)
        assert refused.value.code == "INVALID_AMOUNT"
    handed: Any = attrs.evolve(proofs(1)[0], amount=amount)
    with pytest.raises(InvalidArgument) as refused:
        wallet.engine.deposit(npub=NPUB, proofs=[handed], mint_url=wallet.mint.url)
    assert refused.value.code == "INVALID_AMOUNT"
    assert everything(store) == before


def test_r011_the_largest_amount_is_an_amount(store: Store) -> None:
    """2^53-1 is refused for the sum only."""
    with pytest.raises(Refused) as refused:
        Wallet(store, 500).record([500], proofs(MOST), None, 1)
    assert refused.value.code == "NOT_CONSERVED"


def test_r012_an_npub_has_a_valid_checksum(store: Store) -> None:
    """npub is a bech32 public key, checksum included (INVALID_NPUB)."""
    engine, mint, clock = funded(store, amount=0)
    other_end = "q" if NPUB[-1] != "q" else "p"
    wrong: tuple[Any, ...] = (
        NPUB[:-1] + other_end,
        NPUB[:-1],
        NPUB.upper(),
        "nsec" + NPUB[4:],
        "npub1",
        "",
        None,
    )
    for npub in wrong:
        for call in (
            lambda npub=npub: engine.melt(npub=npub, mint_url=mint.url, invoice=invoice(5, clock)),
            lambda npub=npub: engine.mint_tokens(npub=npub, mint_url=mint.url, amount=5),
            lambda npub=npub: engine.balance(npub),
        ):
            with pytest.raises(InvalidArgument) as refused:
                call()
            assert refused.value.code == "INVALID_NPUB"
    assert engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5).is_final


@pytest.mark.parametrize(
    "url", ["ftp://mint.example", "mint.example", "https://", "file:///etc", "", None, 5]
)
def test_r013_a_mint_is_an_http_address(store: Store, url: Any) -> None:
    """mint_url is an http or https address (INVALID_MINT_URL)."""
    engine, mint, clock = funded(store, amount=0)
    for call in (
        lambda: engine.melt(npub=NPUB, mint_url=url, invoice=invoice(5, clock)),
        lambda: engine.mint_tokens(npub=NPUB, mint_url=url, amount=5),
        lambda: engine.preflight(NPUB, url),
    ):
        with pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.code == "INVALID_MINT_URL"
    for fine in ("http://mint.example", "https://mint.example/path"):
        assert engine.balance(NPUB, fine).units == ()


def spending(engine: Engine, clock: Any, source: str, **whose: Any) -> list[Callable[[], Any]]:
    """Every call that takes a source."""
    return [
        lambda: engine.melt(**whose, invoice=invoice(5, clock), sources=[source]),
        lambda: engine.prepare_melt(**whose, invoice=invoice(5, clock), sources=[source]),
        lambda: engine.hold([source], 100, **({"wallet_id": None} | whose)),
        lambda: engine.record_melt([source], None, None, 512, 0, **({"wallet_id": None} | whose)),
    ]


def refused_source(store: Store, code: str, source: str, calls: list[Callable[[], Any]]) -> None:
    before = everything(store)
    for call in calls:
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == code
    assert everything(store) == before
    token = store.token(source)
    assert token is not None and token.state == "unspent"


def test_r014_nobody_spends_the_token_of_another(store: Store) -> None:
    """A source of another npub is refused (OWNER_MISMATCH)."""
    engine, mint, clock = funded(store)
    source = other_token(engine, mint.url, npub=npub_of(1))
    refused_source(
        store, "OWNER_MISMATCH", source, spending(engine, clock, source, npub=NPUB, mint_url=mint.url)
    )


def test_r015_a_source_of_another_wallet(store: Store) -> None:
    """A source of another wallet is refused (MINT_OR_UNIT_MISMATCH)."""
    engine, mint, clock = funded(store)
    source = other_token(engine, mint.url, wallet_id="savings")
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url}
    refused_source(store, "MINT_OR_UNIT_MISMATCH", source, spending(engine, clock, source, **whose))
    whose["wallet_id"] = "savings"
    assert engine.melt(**whose, invoice=invoice(5, clock), sources=[source]).is_paid


@pytest.mark.parametrize("other", [{"mint_url": "https://other.example"}, {"unit": "msat"}])
def test_r016_a_source_of_another_mint_or_unit(store: Store, other: dict[str, str]) -> None:
    """A source of another mint or another unit is refused (MINT_OR_UNIT_MISMATCH)."""
    engine, mint, clock = funded(store)
    source = other_token(engine, mint.url)
    whose = {"npub": NPUB, "mint_url": mint.url} | other
    refused_source(store, "MINT_OR_UNIT_MISMATCH", source, spending(engine, clock, source, **whose))
