"""The hand-written wallets that the engine is measured against write what the engine writes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from benchmarks.fair.books import Lost
from benchmarks.fair.mongo import MongoBooks
from benchmarks.fair.sqlite import SqliteBooks
from benchmarks.fair.wallet import Wallet
from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.storage.batch import proof_key
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.rules.codec import to_plain
from nutstate.storage.secret import Secret
from tests.support.apart import Apart
from tests.support.data import data_in
from tests.support.wallet import NPUB

MELTS = (100, 64, 1, 777)


class Place:
    """One database of one kind: a store, and the hand-written way to it."""

    def __init__(self, url: str) -> None:
        self.store: Store = open_store(url)
        if url.startswith("sqlite"):
            self.books: Any = SqliteBooks(Path(url.removeprefix("sqlite:///")))
            self.close = self.books.close
        else:
            client: MongoClient[dict[str, Any]] = MongoClient(url)
            self.books, self.close = MongoBooks(client, client.get_default_database().name), client.close


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.real_mongo)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Place]]:
    made: list[Place] = []
    mongo = request.getfixturevalue("mongo_urls") if request.param == "mongodb" else None

    def make() -> Place:
        made.append(Place(mongo() if mongo else f"sqlite:///{tmp_path}/{len(made)}.db"))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.store.close()


def _paid(place: Place, mint: SimulatedMint, *, reads_back: bool) -> Wallet:
    Engine(place.store, mint).mint_tokens(npub=NPUB, mint_url=mint.url, amount=5000)
    wallet = Wallet(place.books, mint, mint.url, NPUB, reads_back)
    for amount in MELTS:
        assert wallet.melt(mint.lightning.invoice(amount)) == ("reconciled" if reads_back else "settled")
    return wallet


@pytest.mark.every_store
@pytest.mark.parametrize("reads_back", [True, False], ids=["fair-3", "fair-2"])
def test_the_engine_finds_nothing_in_its_store(place: Callable[[], Place], reads_back: bool) -> None:
    """R555: the engine opens a store of the baseline; verify_audit, reconcile and the sweep find nothing, and
    the engine goes on with what fair-2 left settled."""
    here = place()
    with SimulatedMint() as mint:
        _paid(here, mint, reads_back=reads_back)
        engine = Engine(here.store, mint)
        assert engine.verify_audit().holds
        for op in here.store.operations(OperationQuery(kind="melt")):
            assert engine.reconcile(op.id).discrepancies_found == ()
            assert engine.operation(op.id).refresh().state == ("reconciled" if reads_back else "settled")
        engine.recover()
        melts = here.store.operations(OperationQuery(kind="melt"))
        assert len(melts) == len(MELTS) and {op.state for op in melts} == {"reconciled"}
        assert engine.reconcile_all().discrepancies_found == ()
        assert engine.verify_audit().holds
        spent = sum(
            op.amount + data_in(op).input_fee + (data_in(op).payment.lightning_fee or 0)
            for op in melts
            if data_in(op).payment
        )
        assert engine.balance(NPUB).unspent == 5000 - spent


_RANDOM = re.compile(r"[0-9a-f]{24,}|tx_[a-z]+_\d+_|b_[0-9a-f]+|npub1\w+|lnbc\w+|[0-9a-f-]{36}")
_OWN = {"timings", "sent_by", "lease", "request_body", "blanks"}  # measured, or random throughout
_TIMES = re.compile(r"(_at|^at|_timestamp|until)$")


def _shape(value: Any, name: str = "") -> Any:
    """The value with times and random parts masked."""
    if name in _OWN:
        return bool(value)
    if _TIMES.search(name) and value is not None:
        return "a time"
    if isinstance(value, dict):
        return {key: _shape(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shape(item) for item in value]
    return _RANDOM.sub("*", value) if isinstance(value, str) else value


def _documents(store: Store) -> dict[str, list[Any]]:
    """Everything stored, in the order in which it was written."""
    operations = sorted(store.operations(OperationQuery()), key=lambda op: op.created_at)
    audit = [record for op in operations for record in store.audit(AuditQuery(operation_id=op.id))]
    tokens = sorted(store.tokens(TokenQuery()), key=lambda t: (t.created_at, t.transaction_id[-6:]))
    keys = [store.proof_owners([key]) for key in _keys(tokens)]
    found: dict[str, list[Any]] = {"operations": operations, "audit": audit, "tokens": tokens}
    return {name: [_shape(to_plain(record)) for record in records] for name, records in found.items()} | {
        "index": _shape([list(owner.values()) for owner in keys])
    }


def _keys(tokens: Any) -> list[str]:
    return [proof_key(proof.secret) for token in tokens for proof in token.proofs]


@pytest.mark.every_store
def test_its_documents_are_those_of_the_engine(place: Callable[[], Place]) -> None:
    """R556: operations, tokens, proof index and audit records of the baseline are the engine's, but for times
    and random parts, where the engine looks at its documents after their commit as the baseline does."""
    ours, theirs = place(), place()
    with SimulatedMint() as mint, SimulatedMint() as other:
        _paid(theirs, other, reads_back=True)
        apart: Any = Apart(ours.store)
        engine = Engine(apart, mint)
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5000)
        for amount in MELTS:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=mint.lightning.invoice(amount).reveal())
    assert _documents(theirs.store) == _documents(ours.store)


@pytest.mark.every_store
def test_it_holds_the_engines_guarantees(place: Callable[[], Place]) -> None:
    """R557: the baseline is refused where the engine is: for a token that another program took meanwhile, for
    the same request again, and for a document that is not as it was written."""
    here = place()
    with SimulatedMint() as mint:
        wallet = _paid(here, mint, reads_back=True)
        Engine(here.store, mint).mint_tokens(npub=NPUB, mint_url=mint.url, amount=5000)
        first = mint.lightning.invoice(5)
        wallet.melt(first)
        before = _documents(here.store)
        with pytest.raises(Lost):
            wallet.melt(first)  # inside the duplicate window

        class Twice:
            """Books in which another program pays from the same token between choice and commit."""

            def __getattr__(self, name: str) -> Any:
                return getattr(here.books, name)

            def commit(self, commit: Any) -> None:
                if commit.before is None:
                    Wallet(here.books, mint, mint.url, NPUB, True).melt(mint.lightning.invoice(5))
                here.books.commit(commit)

        late = Wallet(Twice(), mint, mint.url, NPUB, True)
        with pytest.raises(Lost):
            late.melt(mint.lightning.invoice(6))
        assert len(_documents(here.store)["operations"]) == len(before["operations"]) + 1

        class Forgetful(Twice):
            def commit(self, commit: Any) -> None:
                here.books.commit(commit)

            def agrees(self, operation: Any, tokens: Any, records: Any) -> bool:
                agreed: bool = here.books.agrees(operation, tokens[:-1], records)
                return agreed

        with pytest.raises(Lost, match="not the ones that were written"):
            Wallet(Forgetful(), mint, mint.url, NPUB, True).melt(mint.lightning.invoice(7))


def test_the_rules_of_the_file_bind_it(tmp_path: Path) -> None:
    """R557: the baseline writes under the product's own triggers."""
    here = Place(f"sqlite:///{tmp_path}/w.db")
    with SimulatedMint() as mint:
        wallet = _paid(here, mint, reads_back=True)
        invoice: Secret = mint.lightning.invoice(9)

        class Wrong:
            def __getattr__(self, name: str) -> Any:
                return getattr(here.books, name)

            def commit(self, commit: Any) -> None:
                commit.born[0]["total_amount"] += 1
                here.books.commit(commit)

        wallet.books = Wrong()
        with pytest.raises(sqlite3.IntegrityError, match="sum of the proofs"):
            wallet.melt(invoice)
    here.close()
    here.store.close()
