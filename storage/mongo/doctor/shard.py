"""From one replica set to a sharded cluster: what is to be done, doing it through mongos, and whether it
holds.

No document of a wallet is rewritten. The collections get their shard keys and the indexes of a cluster, and
``global_keys`` is filled from what the documents hold. ``flags`` says how far it came: while it says
``applying`` no program opens the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import pymongo
from attrs import frozen
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ...errors import StorageError, StoreUnavailable, StoreUnsupported
from ...rules.machines import Machines
from ..client import DURABLE
from ..gateway import Document
from ..keys import FILLED, HELD_FIELDS, held_by, keys_of_token
from ..open import address, connect
from ..schema import FLAGS, KEYS, OPERATIONS, TOKENS
from ..session import insert_new, named
from ..setup import Problem, check_schema, create_index, create_shapes, problems, same_index
from ..shards import APPLYING, OWNER, SHARD_KEYS, SHARDED, SHARDING, indexes, state_of

CONNECT_S: Final = 10.0
AT_ONCE: Final = 500
_SHOWN: Final = 5


class Admin(Protocol):
    """The cluster as an administrator meets it."""

    @property
    def is_mongos(self) -> bool:
        """Whether this is a way into a cluster, and not one replica set."""

    def command(self, command: Mapping[str, Any]) -> Document:
        """``enableSharding`` or ``shardCollection``."""

    def shard_keys(self, database: str) -> Mapping[str, Document]:
        """The shard key of each sharded collection."""


class Mongos:
    """:class:`Admin` over a client that is connected to mongos, or to a replica set."""

    def __init__(self, client: MongoClient[Document]) -> None:
        self._client = client

    @property
    def is_mongos(self) -> bool:
        return self._client.admin.command("hello").get("msg") == "isdbgrid"

    def command(self, command: Mapping[str, Any]) -> Document:
        return self._client.admin.command(dict(command))

    def shard_keys(self, database: str) -> Mapping[str, Document]:
        if not self.is_mongos:
            return {}
        found = self._client["config"]["collections"].find(
            {"_id": {"$gte": f"{database}.", "$lt": f"{database}/"}}
        )
        return {entry["_id"].removeprefix(f"{database}."): dict(entry["key"]) for entry in found}


@frozen
class Collection:
    """One collection on its way. ``steps`` are still to be done; ``wrong`` stands in the way."""

    name: str
    key: Mapping[str, object]
    sharded: bool
    steps: tuple[str, ...]
    wrong: tuple[str, ...] = ()


@frozen
class ShardReport:
    """``state``: ``replica set``, ``applying`` or ``sharded``. ``needs`` is what ``apply`` wants first;
    ``faults`` is what ``verify`` found wrong."""

    url: str
    state: str
    collections: tuple[Collection, ...]
    needs: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.faults and not any(collection.wrong for collection in self.collections)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**attrs.asdict(self), "healthy": self.healthy}


def plan(database: Database[Document], machines: Machines, admin: Admin, url: str) -> ShardReport:
    """The way of each collection, and what ``apply`` needs first. Changes nothing."""
    sharded = admin.shard_keys(database.name)
    found = tuple(_collection(database, name, sharded.get(name)) for name in SHARD_KEYS)
    return ShardReport(
        url, state_of(database) or "replica set", found, tuple(_needs(database, machines, admin))
    )


def _needs(database: Database[Document], machines: Machines, admin: Admin) -> Iterator[str]:
    if not admin.is_mongos:
        yield (
            "a connection to mongos: make the replica set a shard of a cluster (sh.addShard), and give the "
            "address of mongos as --store"
        )
    if state_of(database) != "":
        return
    found = tuple(problems(database, machines))
    for command, fixable in (("doctor --fix", True), ("doctor", False)):
        told = [_sentence(problem) for problem in found if problem.fixable is fixable]
        if told:
            yield f"`nutstate {command}` first: {_some(told)}"


def _sentence(problem: Problem) -> str:
    return problem.text if problem.kind == "schema" else f"{problem.name} {problem.text}"


def _some(texts: list[str]) -> str:
    """The first few, and how many more there are."""
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _collection(database: Database[Document], name: str, sharded: Document | None) -> Collection:
    key, stored = SHARD_KEYS[name], database[name]
    steps, wrong = [], []
    names = database.list_collection_names(filter={"name": name})
    present = stored.index_information() if names else {}
    if not names:
        steps.append("make the collection")
    steps += [f"drop the index {old}" for old in _to_drop(name, present)]
    steps += [f"make the index {index.name}" for index in _to_make(name, present)]
    if name == KEYS and state_of(database) != SHARDED:
        steps.append("fill it with the keys that operations, tokens and proofs hold")
    if sharded is None:
        steps.append(f"shard it by {_shown(key)}")
    elif dict(sharded) != dict(key):
        wrong.append(f"it is sharded by {_shown(sharded)}, and must be by {_shown(key)}")
    if OWNER in key and stored.find_one({OWNER: {"$not": {"$type": "string"}}}, {"_id": 1}) is not None:
        wrong.append("a document does not say whose wallet it belongs to: `nutstate doctor --fix` first")
    return Collection(name, dict(key), sharded is not None, tuple(steps), tuple(wrong))


def _shown(key: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{field}: {order}" for field, order in key.items()) + "}"


def _to_drop(collection: str, present: Mapping[str, Any]) -> list[str]:
    """The unique indexes of one replica set that a cluster cannot keep."""
    wanted = {index.name: index for index in indexes(True) if index.collection == collection}
    return [
        name
        for name, stored in sorted(present.items())
        if stored.get("unique")
        and name != "_id_"
        and not (name in wanted and same_index(wanted[name], stored))
    ]


def _to_make(collection: str, present: Mapping[str, Any]) -> list[Any]:
    return [
        index
        for index in indexes(True)
        if index.collection == collection
        and not (index.name in present and same_index(index, present[index.name]))
    ]


# -- apply -----------------------------------------------------------------------------------------


def apply(
    database: Database[Document],
    machines: Machines,
    admin: Admin,
    url: str,
    reached: Callable[[str], None] = lambda step: None,
) -> ShardReport:
    """Shard the collections through mongos. Every program that uses the database must be stopped. After an
    interruption the next run goes on. ``reached`` is told each step before it begins. StoreUnsupported, with
    what is needed, before anything was changed."""
    before = plan(database, machines, admin, url)
    in_the_way = [*before.needs, *(f"{c.name}: {text}" for c in before.collections for text in c.wrong)]
    if in_the_way:
        raise StoreUnsupported("nothing was changed. Needed is " + _some(in_the_way))
    check_schema(database)
    done: list[str] = []

    def step(text: str) -> None:
        reached(text)
        done.append(text)

    if state_of(database) != SHARDED:
        step("close the database to every program")
        database[FLAGS].update_one({"_id": SHARDING}, {"$set": {"state": APPLYING}}, upsert=True)
    create_shapes(database, machines)
    if state_of(database) != SHARDED:
        step("fill global_keys")
        fill(database)
    for name in SHARD_KEYS:
        present = database[name].index_information()
        for old in _to_drop(name, present):
            step(f"{name}: drop the index {old}")
            database[name].drop_index(old)
        for index in _to_make(name, database[name].index_information()):
            step(f"{name}: make the index {index.name}")
            create_index(database, index)
    admin.command({"enableSharding": database.name})
    for name, key in SHARD_KEYS.items():
        if name not in admin.shard_keys(database.name):
            step(f"{name}: shard it by {_shown(key)}")
            admin.command({"shardCollection": f"{database.name}.{name}", "key": dict(key)})
    after = verify(database, machines, admin, url)
    if not after.faults:
        step("open the database again")
        database[FLAGS].update_one({"_id": SHARDING}, {"$set": {"state": SHARDED}})
        after = attrs.evolve(after, state=SHARDED)
    return attrs.evolve(after, done=tuple(done))


def fill(database: Database[Document]) -> int:
    """Enter every key that stored documents hold into ``global_keys``; the number of new ones. A key that two
    wallets hold raises StoreUnsupported."""
    new = 0
    for page in _held(database):
        entries = {entry["_id"]: entry for entry in page}
        existed = insert_new(database[KEYS], list(entries.values()))
        new += len(entries) - len(existed)
        for entry in database[KEYS].find({"_id": {"$in": sorted(existed)}}):
            wanted = entries[entry["_id"]]
            if entry[OWNER] != wanted[OWNER]:
                raise StoreUnsupported(
                    f"two wallets hold one key: operations {entry['op']} and {wanted['op']}"
                )
    return new


def _held(database: Database[Document]) -> Iterator[list[Document]]:
    """An entry for each key that the documents hold, page by page."""
    fields = dict.fromkeys(HELD_FIELDS, 1)
    for page in _pages(database, OPERATIONS, fields):
        yield [_entry(key, op, op["_id"]) for op in page for key in sorted(held_by(op))]
    for page in _pages(database, TOKENS, {"transaction_id": 1, OWNER: 1, "proof_keys": 1}):
        yield [
            _entry(key.id, token, token["transaction_id"]) for token in page for key in keys_of_token(token)
        ]


def _entry(key: str, document: Document, op: str) -> Document:
    return {"_id": key, OWNER: document[OWNER], "op": op, "attempt": FILLED, "until": 0}


def _pages(
    database: Database[Document], collection: str, fields: Mapping[str, int]
) -> Iterator[Sequence[Document]]:
    page: list[Document] = []
    for document in database[collection].find({}, dict(fields)):
        page.append(document)
        if len(page) == AT_ONCE:
            yield page
            page = []
    if page:
        yield page


# -- verify ----------------------------------------------------------------------------------------


def verify(database: Database[Document], machines: Machines, admin: Admin, url: str) -> ShardReport:
    """Whether the cluster is as it must be: shard keys, indexes, rules, and a global key for everything that
    the documents hold. Changes nothing."""
    report = plan(database, machines, admin, url)
    return attrs.evolve(report, faults=tuple(_faults(database, machines, report)))


def _faults(database: Database[Document], machines: Machines, report: ShardReport) -> Iterator[str]:
    if report.state not in (APPLYING, SHARDED):
        yield "the database is not sharded: `nutstate doctor --shard apply`"
        return
    for collection in report.collections:
        if not collection.sharded:
            yield f"{collection.name} is not sharded"
        yield from (f"{collection.name}: {text}" for text in collection.wrong)
    yield from map(_sentence, problems(database, machines))
    missing: list[str] = []
    foreign: list[str] = []
    for page in _held(database):
        wanted = {entry["_id"]: entry for entry in page}
        found = {e["_id"]: e[OWNER] for e in database[KEYS].find({"_id": {"$in": list(wanted)}}, {OWNER: 1})}
        missing += [entry["op"] for key, entry in wanted.items() if key not in found]
        foreign += [e["op"] for key, e in wanted.items() if found.get(key, e[OWNER]) != e[OWNER]]
    for text, names in (
        ("hold a key that is not in", missing),
        ("hold a key that another wallet has in", foreign),
    ):
        if names:
            shown = ", ".join(sorted(set(names))[:_SHOWN])
            yield f"{len(names)} documents {text} {KEYS}, of {shown}"


# -- for the command line ----------------------------------------------------------------------------

ACTIONS: Final = {"plan": plan, "apply": apply, "verify": verify}


def shard(url: str, action: str, machines: Machines) -> ShardReport:
    """The report of ``plan``, ``apply`` or ``verify`` on the database at ``url``. StoreUnsupported for a URL
    that is no MongoDB, and when ``apply`` needs something first; StoreUnavailable."""
    if not url.startswith(("mongodb://", "mongodb+srv://")):
        raise StoreUnsupported("only a MongoDB can be sharded: give its address as --store")
    place = address(url)
    failure: StorageError
    try:
        with connect(place) as client:
            database = client.get_database(
                place.database,
                read_concern=ReadConcern("majority"),
                write_concern=DURABLE,
                read_preference=ReadPreference.PRIMARY,
            )
            with pymongo.timeout(CONNECT_S):
                client.admin.command("hello")
            return ACTIONS[action](database, machines, Mongos(client), place.shown)
    except OperationFailure as error:
        failure = StoreUnsupported(f"MongoDB refuses ({named(error)}): a user with the role clusterAdmin may")
    except PyMongoError as error:
        failure = StoreUnavailable(named(error))
    raise failure  # outside the handlers: the driver's text may show values
