"""What a database must have before money is kept in it: a server with transactions, and our
collections, indexes and validators exactly as declared. Looking never changes anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from ..errors import StoreUnsupported
from .gateway import Document
from .rules import VALIDATORS
from .schema import COLLECTIONS, FLAGS, INDEXES, MONGO_SCHEMA_VERSION, Index

OLDEST_SERVER: Final = (6, 0)
_STRICT: Final[dict[str, Any]] = {"validationLevel": "strict", "validationAction": "error"}
_HARMLESS: Final = {"validator", "validationLevel", "validationAction", "changeStreamPreAndPostImages"}
_EXISTS: Final = 48  # NamespaceExists: another process made it first


@frozen
class Problem:
    """One thing that is not as it must be. ``fixable``: :func:`create` can put it right."""

    kind: str  # collection | index | validator | documents | schema
    name: str
    text: str
    fixable: bool = True


def check_server(hello: Mapping[str, Any], version: tuple[int, ...]) -> None:
    """StoreUnsupported for a server that cannot do transactions, or not as we need them."""
    shown = ".".join(map(str, version[:2]))
    if version[:2] < OLDEST_SERVER:
        raise StoreUnsupported(f"MongoDB {shown} is too old: 6.0 or newer is needed")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreUnsupported(
            f"this MongoDB {shown} is a standalone server and has no transactions: start it with "
            "--replSet NAME and run rs.initiate() once; a replica set of one node is enough"
        )


def problems(database: Database[Document]) -> list[Problem]:
    """Everything in the database that is not as declared; empty when it is ready for money."""
    found = {info["name"]: info for info in database.list_collections()}
    return [*_schema_problems(database, found), *_shapes(database, found)]


def _schema_problems(database: Database[Document], found: Mapping[str, Any]) -> Iterator[Problem]:
    stored = database[FLAGS].find_one({"_id": "schema"}) if FLAGS in found else None
    version = stored.get("version") if stored else None
    if type(version) is not int and not (type(version) is float and version > MONGO_SCHEMA_VERSION):
        yield Problem("schema", FLAGS, "the schema version is not recorded")
    elif version > MONGO_SCHEMA_VERSION:
        text = f"made by a newer release (schema {version}, this one knows {MONGO_SCHEMA_VERSION})"
        yield Problem("schema", FLAGS, text, fixable=False)
    elif version < MONGO_SCHEMA_VERSION:
        yield Problem("schema", FLAGS, f"schema {version} is older than {MONGO_SCHEMA_VERSION}")


def _shapes(database: Database[Document], found: Mapping[str, Any]) -> Iterator[Problem]:
    if not _is_plain(found.get(FLAGS)):
        yield Problem("collection", FLAGS, "is not a plain collection", fixable=False)
    for name in COLLECTIONS:
        info = found.get(name)
        if info is None:
            yield Problem("collection", name, "is missing")
            continue
        options = info.get("options", {})
        if not _is_plain(info):
            yield Problem("collection", name, "is not a plain collection", fixable=False)
            continue
        if options.get("validator") != VALIDATORS[name]:
            what = (
                "another validator than this release declares" if "validator" in options else "no validator"
            )
            yield Problem("validator", name, f"has {what}")
            yield from _foreign_documents(database, name)
        elif {key: options.get(key, value) for key, value in _STRICT.items()} != _STRICT:
            yield Problem("validator", name, "does not enforce its validator (level strict, action error)")
            yield from _foreign_documents(database, name)
        yield from _index_problems(name, database[name].index_information())


def _is_plain(info: Mapping[str, Any] | None) -> bool:
    """Whether it stores documents as they come and for ever: not capped, not a view, no other order
    of text, nothing that deletes by itself."""
    return info is None or (info.get("type") == "collection" and info.get("options", {}).keys() <= _HARMLESS)


def _foreign_documents(database: Database[Document], name: str) -> Iterator[Problem]:
    # Only asked while the validator does not stand: behind it nothing else can come in.
    if database[name].find_one({"$nor": [VALIDATORS[name]]}, {"_id": 1}) is not None:
        text = "holds documents of another program that are not migrated to our rules"
        yield Problem("documents", name, text, fixable=False)


def _index_problems(collection: str, present: Mapping[str, Any]) -> Iterator[Problem]:
    ours = {"_id_"} | {index.name for index in INDEXES if index.collection == collection}
    for name, stored in present.items():
        if "expireAfterSeconds" in stored:
            text = "deletes documents by their age, and they are money: drop it"
            yield Problem("index", f"{collection}.{name}", text, fixable=False)
        elif stored.get("unique") and name not in ours:
            text = "is a unique index of somebody else and may refuse our documents: drop it"
            yield Problem("index", f"{collection}.{name}", text, fixable=False)
    for index in (index for index in INDEXES if index.collection == collection):
        stored = present.get(index.name)
        if stored is None:
            yield Problem("index", f"{collection}.{index.name}", "is missing")
        elif not _same_index(index, stored):
            text = "is another index under this name: drop it while nothing writes, then run `doctor --fix`"
            yield Problem("index", f"{collection}.{index.name}", text, fixable=False)


def _same_index(index: Index, stored: Mapping[str, Any]) -> bool:
    same_keys = [(field, int(order)) for field, order in stored["key"]] == list(index.keys)
    plain = not stored.keys() & {"sparse", "collation", "expireAfterSeconds", "hidden"}
    return (
        same_keys
        and plain
        and bool(stored.get("unique")) == index.unique
        and stored.get("partialFilterExpression") == index.partial
    )


def create(database: Database[Document]) -> None:
    """Make what is missing and put right what can be. Never inside a transaction; several processes
    may do it at once. StoreUnsupported when documents or indexes of somebody else are in the way."""
    wrong = problems(database)
    refuse([problem for problem in wrong if not problem.fixable])
    for problem in wrong:
        if problem.kind == "collection":
            _create_collection(database, problem.name)
        elif problem.kind == "validator":
            change = {"collMod": problem.name, "validator": VALIDATORS[problem.name], **_STRICT}
            database.command(change)
    missing = {problem.name for problem in wrong if problem.kind in ("index", "collection")}
    for index in INDEXES:
        if missing & {index.collection, f"{index.collection}.{index.name}"}:
            _create_index(database, index)
    if any(problem.kind == "schema" for problem in wrong):
        no_number = {"$not": {"$type": ["int", "long"]}}
        database[FLAGS].delete_one({"_id": "schema", "version": no_number})
        newest = {"$max": {"version": MONGO_SCHEMA_VERSION}}  # a newer release may be doing the same
        database[FLAGS].update_one({"_id": "schema"}, newest, upsert=True)


def _create_collection(database: Database[Document], name: str) -> None:
    try:
        database.create_collection(name, validator=VALIDATORS[name], check_exists=False, **_STRICT)
    except CollectionInvalid:
        return
    except OperationFailure as error:
        if error.code != _EXISTS:
            raise


def _create_index(database: Database[Document], index: Index) -> None:
    try:
        database[index.collection].create_index(list(index.keys), **index.options())
        return
    except OperationFailure as error:
        if error.code != 11000:
            raise
    # Outside the handler: the server's text shows the value, which may be a secret.
    raise StoreUnsupported(f"{index.collection} holds duplicates, so {index.name} cannot be made")


def refuse(wrong: list[Problem]) -> None:
    """StoreUnsupported naming the first problems, if there are any."""
    if not wrong:
        return
    shown = "; ".join(f"{problem.name} {problem.text}" for problem in wrong[:3])
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    hint = "; `nutstate doctor --fix` puts it right" if all(problem.fixable for problem in wrong) else ""
    names = [problem.name for problem in wrong]
    raise StoreUnsupported(f"MongoDB: {shown}{more}{hint}", problems=names)
