"""The past of many wallets, quickly made: a million tokens in minutes.

The product makes the documents of a few melts, with its own codec, and they are written again and again under
other names. So the store's rules accept them, and every index has its real size. Only the hashes of the audit
records are those of the first melt: ``verify_audit`` would complain."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
from attrs import evolve, field, frozen
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from nutstate import SimulatedMint
from nutstate.engine.cashu.coins import crypto
from nutstate.machines.melt.table import MELT
from nutstate.storage.batch import Batch, proof_key
from nutstate.storage.mongo.codec import document_id
from nutstate.storage.mongo.schema import INDEXES
from nutstate.storage.mongo.setup import create_indexes
from nutstate.storage.mongo.write import apply_batch as write_documents
from nutstate.storage.records import Proof
from nutstate.storage.rules.batch import check_batch
from nutstate.storage.rules.machines import BUILT_IN
from nutstate.storage.secret import Secret
from nutstate.storage.sqlite.write import apply_batch
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.wallet import NPUB, npub_of

TOKENS = 4  # of one melt
SIZES = 12  # of coins: 1 to 2048
OTHERS = 50  # wallets beside the one that pays
AT = 1_700_000_000_000
PART = 2_000  # melts of one write

Progress = Callable[[int], None]


@frozen
class Melt:
    """One melt that ended: what is different from all others. All texts have the same lengths everywhere."""

    number: int
    npub: str
    mint_url: str

    @property
    def id(self) -> str:
        return f"tx_past_{self.number:09}"

    @property
    def at(self) -> int:
        return AT + self.number

    @property
    def kind(self) -> tuple[Any, ...]:
        """Melts of one kind differ by their names and times only."""
        return type(self), self.npub == NPUB, self.number * TOKENS % SIZES, self.mint_url

    @property
    def names(self) -> list[str]:
        """The texts that are the melt's own, in an order that all melts share."""
        secrets = [self.secret(n) for n in range(TOKENS)]
        keys = [proof_key(Secret(secret)) for secret in secrets]
        return [self.id, self.npub, *secrets, *keys, *(self.signature(n) for n in range(TOKENS))]

    @property
    def token_ids(self) -> list[str]:
        return [f"{self.id}_{n}" for n in range(TOKENS)]

    def amount(self, n: int) -> int:
        return 1 << (self.number * TOKENS + n) % SIZES

    def secret(self, n: int) -> str:
        return hashlib.sha256(f"{self.id} {n}".encode()).hexdigest()

    def signature(self, n: int) -> str:
        """No mint ever gave it: the coin is spent, or another wallet's."""
        return "02" + hashlib.sha256(f"C {self.id} {n}".encode()).hexdigest()

    def keyset(self) -> str:
        return "009a1f293253e41e"

    def is_spent(self, n: int) -> bool:
        """All of the paying wallet, and of the others every second one."""
        return self.npub == NPUB or n % 2 == 0

    def batch(self) -> Batch:
        """The whole melt, made by the product."""
        wallet: dict[str, Any] = {"npub": self.npub, "wallet_id": self.npub, "mint_url": self.mint_url}
        born: dict[str, Any] = {"created_at": self.at, "updated_at": self.at}
        op = make_operation(self.id, state=MELT.good_path[-1], finished_at=self.at, **born, **wallet)
        tokens = []
        for n, name in enumerate(self.token_ids):
            proof = Proof(self.keyset(), self.amount(n), Secret(self.secret(n)), Secret(self.signature(n)))
            gone: dict[str, Any] = {"state": "spent", "reserved_by": self.id, "spent_at": self.at}
            state = gone if self.is_spent(n) else {}
            tokens.append(make_token(name, proofs=(proof,), **born, **wallet, **state))
        return batch_for(op, tokens=tokens, at=self.at)


@frozen
class Coins(Melt):
    """Free coins of the paying wallet, which the mint honours."""

    mint: SimulatedMint = field(eq=False)

    @property
    def id(self) -> str:
        return f"tx_coin_{self.number:09}"

    def signature(self, n: int) -> str:
        keys = self.mint._keys
        secret, key = self.secret(n), keys.private(keys.newest().index, self.amount(n))
        return crypto.sign(crypto.hash_to_curve(secret.encode()).format().hex(), key)

    def keyset(self) -> str:
        return self.mint._keys.newest().id

    def is_spent(self, n: int) -> bool:
        return False


def melts(mint_url: str, first: int, last: int) -> Iterator[Melt]:
    """Melts number ``first`` to ``last``: every second one is the paying wallet's."""
    others = [npub_of(1 + n) for n in range(OTHERS)]
    for number in range(first, last):
        yield Melt(number, NPUB if number % 2 else others[number // 2 % OTHERS], mint_url)


def coins(mint: SimulatedMint, number: int) -> Iterator[Coins]:
    """So many free coins of the paying wallet."""
    for first in range(number // TOKENS):
        yield Coins(first, NPUB, mint.url, mint)


# -- SQLite ----------------------------------------------------------------------------------------


class _Statements:
    """Takes the statements of a batch instead of a connection."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Sequence[Any]]] = []

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        self.taken.append((sql, list(values)))


def _statements(example: Melt) -> tuple[list[str], str, list[str]]:
    batch, taken = example.batch(), _Statements()
    apply_batch(taken, batch, check_batch(batch, BUILT_IN))  # type: ignore[arg-type]
    values = json.dumps([values for _, values in taken.taken])
    return [sql for sql, _ in taken.taken], values, example.names


def into_file(path: Path, some: Iterable[Melt], told: Progress = lambda done: None) -> None:
    """Write the melts into a SQLite file, some thousands in each transaction. One melt of each kind is
    written under the file's triggers; for the others these and the indexes are made anew afterwards."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    examples: dict[tuple[Any, ...], tuple[Melt, Any]] = {}
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        rest = []
        for melt in some:
            if melt.kind not in examples:
                examples[melt.kind] = melt, _statements(melt)
                _write(connection, [melt], examples)
            else:
                rest.append(melt)
        with _bare(connection):
            for part in _parts(rest):
                _write(connection, part, examples)
                told(len(part))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _write(connection: sqlite3.Connection, melts: Sequence[Melt], examples: Mapping[Any, Any]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for melt in melts:
        example, (sqls, text, names) = examples[melt.kind]
        for old, new in zip(names, melt.names, strict=True):
            text = text.replace(old, new)
        text = text.replace(str(example.at), str(melt.at))
        for sql, values in zip(sqls, json.loads(text), strict=True):
            connection.execute(sql, values)
    connection.execute("COMMIT")


@contextmanager
def _bare(connection: sqlite3.Connection) -> Iterator[None]:
    """Without indexes and triggers; what a trigger would have written is written at the end."""
    wanted = "type IN ('index', 'trigger') AND sql IS NOT NULL"
    made = connection.execute(f"SELECT type, name, sql FROM sqlite_master WHERE {wanted}").fetchall()
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM tokens").fetchone()
    for kind, name, _ in made:
        connection.execute(f"DROP {kind} {name}")
    yield
    connection.execute(
        "INSERT INTO token_secrets SELECT json_extract(value, '$.secret') AS secret, transaction_id"
        " FROM tokens, json_each(proofs) WHERE tokens.rowid > ? ORDER BY secret",
        (last,),
    )
    for _, _, sql in made:
        connection.execute(sql)


# -- MongoDB ---------------------------------------------------------------------------------------


class Documents:
    """Takes the documents of a batch instead of a transaction."""

    def __init__(self) -> None:
        self.taken: dict[str, list[dict[str, Any]]] = {}

    def insert_many(self, collection: str, documents: Sequence[dict[str, Any]]) -> None:
        self.taken.setdefault(collection, []).extend(documents)

    def write(self, collection: str, changes: Sequence[Any], births: Sequence[dict[str, Any]]) -> bool:
        assert not changes, "only new documents are written here"
        self.insert_many(collection, births)
        return True


def _bytes(example: Melt) -> tuple[dict[str, tuple[bytes, list[int]]], list[bytes]]:
    """By collection: all its documents, one behind the other, and their lengths."""
    taken: Any = Documents()
    write_documents(taken, example.batch())
    found = {}
    for name, documents in taken.taken.items():
        encoded = [bson.encode(document) for document in documents]
        found[name] = b"".join(encoded), [len(one) for one in encoded]
    return found, _marks(example)


def _marks(melt: Melt) -> list[bytes]:
    empty = make_token("", created_at=melt.at)
    ids = [document_id(evolve(empty, transaction_id=name)).binary for name in melt.token_ids]
    return [*(name.encode() for name in melt.names), struct.pack("<q", melt.at), *ids]


def into_database(url: str, some: Iterable[Melt], told: Progress = lambda done: None) -> None:
    """Write the melts into a MongoDB database, some thousands in each command. Its indexes are made anew
    afterwards, which is quicker."""
    examples: dict[tuple[Any, ...], Any] = {}
    with MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        for name in {index.collection for index in INDEXES}:
            database[name].drop_indexes()
        for part in _parts(some):
            documents: dict[str, list[RawBSONDocument]] = {}
            for melt in part:
                if melt.kind not in examples:
                    examples[melt.kind] = _bytes(melt)
                templates, marks = examples[melt.kind]
                changes = list(zip(marks, _marks(melt), strict=True))
                for name, (whole, lengths) in templates.items():
                    for old, new in changes:
                        whole = whole.replace(old, new)
                    start = 0
                    for length in lengths:
                        documents.setdefault(name, []).append(RawBSONDocument(whole[start : start + length]))
                        start += length
            for name, found in documents.items():
                database[name].insert_many(found, ordered=False)
            told(len(part))
        create_indexes(database)


def _parts(some: Iterable[Melt]) -> Iterator[list[Melt]]:
    part: list[Melt] = []
    for melt in some:
        part.append(melt)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


def into(url: str, some: Iterable[Melt], told: Progress = lambda done: None) -> None:
    """Write the melts into the store at ``url``; ``told`` is given the number that went each time."""
    if url.startswith("sqlite"):
        into_file(Path(url.removeprefix("sqlite:///")), some, told)
    else:
        into_database(url, some, told)
