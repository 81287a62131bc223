"""The requirements of a database for money: a server with transactions, and our collections, indexes and
validators exactly as declared. Looking never changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from ..errors import StoreUnsupported
from ..migration import wrong_schema
from ..rules.codec import corrupt
from ..rules.machines import Machines, Version
from .gateway import Document
from .rules import named_in, needed_in, validator
from .schema import COLLECTIONS, FLAGS, MACHINES, MONGO_SCHEMA_VERSION, Index
from .shards import collections_of, indexes, state_of

OLDEST_SERVER: Final = (6, 0)
_STRICT: Final[dict[str, Any]] = {"validationLevel": "strict", "validationAction": "error"}
_HARMLESS: Final = {"validator", "validationLevel", "validationAction", "changeStreamPreAndPostImages"}
_EXISTS: Final = 48  # NamespaceExists: another process made it first


@frozen
class Problem:
    """One thing that is not as it must be. ``fixable``: :func:`create` can put it right. ``machine``: a
    machine of this program is not in the rules; whatever does not need it works."""

    kind: str  # collection | index | validator | documents | schema | machine
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


def problems(database: Database[Document], machines: Machines) -> list[Problem]:
    """Everything in the database that is not as declared; empty when it is ready for money under
    ``machines``."""
    found = {info["name"]: info for info in database.list_collections()}
    state = schema_of(database)
    if state.wrong is not None:
        return [Problem("schema", FLAGS, state.wrong, fixable=False)]
    unrecorded = [] if state.version is not None else [Problem("schema", FLAGS, _UNRECORDED)]
    stored = stored_machines(database)
    return [*unrecorded, *_changed(stored, machines), *_shapes(database, found, stored, machines)]


_UNRECORDED: Final = "the schema version is not recorded"
_MISSING: Final = "is missing"


@frozen
class SchemaState:
    """The recorded schema of the database: the number (None: not recorded), and the number with which an
    interrupted migration began."""

    version: int | None
    migrating_from: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this release can work on it as it is, or make it ready."""
        return self.version in (None, MONGO_SCHEMA_VERSION) and self.migrating_from is None

    @property
    def wrong(self) -> str | None:
        """The reason why this release cannot use the schema, in words; None: it can."""
        if self.version is not None and self.version > MONGO_SCHEMA_VERSION:
            return f"made by a newer release (schema {self.version}, this one knows {MONGO_SCHEMA_VERSION})"
        if self.migrating_from is not None:
            return f"a migration from schema {self.migrating_from} to {self.version} was interrupted"
        if self.version is not None and self.version < MONGO_SCHEMA_VERSION:
            return f"schema {self.version} is older than {MONGO_SCHEMA_VERSION}"
        return None


def schema_of(database: Database[Document]) -> SchemaState:
    """Read it. Changes nothing."""
    stored = database[FLAGS].find_one({"_id": "schema"}) or {}
    version, journal = stored.get("version"), stored.get("migrating")
    if type(version) is float and version > MONGO_SCHEMA_VERSION:
        version = int(version)
    return SchemaState(
        version if type(version) is int and version > 0 else None,
        int(journal["from"]) if isinstance(journal, dict) else None,
    )


def check_schema(database: Database[Document]) -> None:
    """StoreUnsupported, with what to do, for a database of another schema or in the middle of a migration."""
    state = schema_of(database)
    if state.is_ours:
        return
    host, port = database.client.address or ("HOST", 27017)
    url = f"mongodb://{host}:{port}/{database.name}"
    if state.migrating_from is not None and state.version == MONGO_SCHEMA_VERSION:
        raise StoreUnsupported(
            f"the database {database.name}: {state.wrong}. Finish it: nutstate doctor --fix --store {url}",
            schema_version=state.version,
        )
    raise wrong_schema(f"the database {database.name}", state.version or 0, MONGO_SCHEMA_VERSION, url)


def stored_machines(database: Database[Document]) -> Machines:
    """Every machine that the database knows. Raises CorruptRecord."""
    found = []
    for document in database[MACHINES].find():
        try:
            found.append(Version.from_data(document))
        except (KeyError, TypeError, ValueError):
            failure = corrupt(f"machine {document.get('_id')}", "")
        else:
            continue
        raise failure
    return Machines(found)


def _changed(stored: Machines, machines: Machines) -> Iterator[Problem]:
    try:
        missing = machines.missing_in(stored.hashes)
    except StoreUnsupported as error:
        yield Problem("machine", str(error.details["machine"]), error.message, fixable=False)
        return
    for version in missing:
        yield Problem("machine", version.label, "is not stored")


def _shapes(
    database: Database[Document], found: Mapping[str, Any], stored: Machines, own: Machines
) -> Iterator[Problem]:
    if not _is_plain(found.get(FLAGS)):
        yield Problem("collection", FLAGS, "is not a plain collection", fixable=False)
    sharded = state_of(database) != ""
    for name in collections_of(sharded):
        info = found.get(name)
        if info is None:
            yield Problem("collection", name, _MISSING)
            continue
        if not _is_plain(info):
            yield Problem("collection", name, "is not a plain collection", fixable=False)
            continue
        yield from _validator_problems(database, name, info.get("options", {}), own.beside(stored), own)
        ours = [index for index in indexes(sharded) if index.collection == name]
        yield from _index_problems(name, ours, database[name].index_information())


def _validator_problems(
    database: Database[Document], name: str, options: Mapping[str, Any], known: Machines, own: Machines
) -> Iterator[Problem]:
    """``known`` are the machines of the database and our ``own``."""
    there = options.get("validator")
    named = named_in(there)
    unknown = sorted(named - known.by_label.keys())
    if unknown:
        text = f"is ruled by {', '.join(unknown)}, which is not stored: open it with the release that has it"
        yield Problem("validator", name, text, fixable=False)
        return
    weak = {key: options.get(key, value) for key, value in _STRICT.items()} != _STRICT
    if there != validator(name, known.only(named)):
        what = "another validator than this release declares" if there is not None else "no validator"
        yield Problem("validator", name, f"has {what}")
    elif weak:
        yield Problem("validator", name, "does not enforce its validator (level strict, action error)")
    else:
        for label in sorted(needed_in(name, own) - named):
            yield Problem("machine", label, f"is not in the rules of {name}")
        return
    # Only asked while the validator does not stand: behind it nothing else can come in.
    if database[name].find_one({"$nor": [validator(name, known)]}, {"_id": 1}) is not None:
        text = "holds documents of another program that are not migrated to our rules"
        yield Problem("documents", name, text, fixable=False)


def _is_plain(info: Mapping[str, Any] | None) -> bool:
    """Whether it stores documents as they come and for ever: not capped, not a view, no other order
    of text, nothing that deletes by itself."""
    return info is None or (info.get("type") == "collection" and info.get("options", {}).keys() <= _HARMLESS)


def _index_problems(
    collection: str, declared: Sequence[Index], present: Mapping[str, Any]
) -> Iterator[Problem]:
    ours = {"_id_"} | {index.name for index in declared}
    forget = {index.name for index in declared if index.expire_after_s is not None}
    for name, stored in present.items():
        if "expireAfterSeconds" in stored and name not in forget:
            text = "deletes documents by their age, and they are money: drop it"
            yield Problem("index", f"{collection}.{name}", text, fixable=False)
        elif stored.get("unique") and name not in ours:
            text = "is a unique index that nutstate did not make; it may refuse our documents: drop it"
            yield Problem("index", f"{collection}.{name}", text, fixable=False)
    for index in declared:
        stored = present.get(index.name)
        if stored is None:
            yield Problem("index", f"{collection}.{index.name}", "is missing")
        elif not same_index(index, stored):
            text = "is another index under this name: drop it while nothing writes, then run `doctor --fix`"
            yield Problem("index", f"{collection}.{index.name}", text, fixable=False)


def same_index(index: Index, stored: Mapping[str, Any]) -> bool:
    """Whether an index of the server is the declared one."""
    orders = [(field, order if isinstance(order, str) else int(order)) for field, order in stored["key"]]
    same_keys = orders == list(index.keys)
    plain = not stored.keys() & {"sparse", "collation", "hidden"}
    return (
        same_keys
        and plain
        and bool(stored.get("unique")) == index.unique
        and stored.get("partialFilterExpression") == index.partial
        and stored.get("expireAfterSeconds") == index.expire_after_s
    )


def create(database: Database[Document], machines: Machines) -> None:
    """Make what is missing and put right what can be; machines are only added. Never inside a transaction;
    several processes, also of different releases, may do it at once. StoreUnsupported when documents or
    indexes of another program are in the way, and with code MACHINE_CHANGED."""
    wrong = problems(database, machines)
    machines.missing_in(stored_machines(database).hashes)  # the typed error comes first
    refuse([problem for problem in wrong if not problem.fixable])
    create_shapes(database, machines)
    missing = {problem.name for problem in wrong if problem.kind in ("index", "collection")}
    create_indexes(
        database, lambda index: bool(missing & {index.collection, f"{index.collection}.{index.name}"})
    )
    if any(problem.kind == "schema" for problem in wrong):
        no_number = {"$not": {"$type": ["int", "long"]}}
        database[FLAGS].delete_one({"_id": "schema", "version": no_number})
        newest = {"$max": {"version": MONGO_SCHEMA_VERSION}}  # a newer release may be doing the same
        database[FLAGS].update_one({"_id": "schema"}, newest, upsert=True)


def create_shapes(
    database: Database[Document], machines: Machines, only: tuple[str, ...] | None = None
) -> None:
    """Make the collections that are missing, add the machines and set the rules that lack one."""
    only = only or collections_of(state_of(database) != "")
    present = set(database.list_collection_names())
    if MACHINES not in present:
        _create_collection(database, MACHINES, machines)
    add_machines(database, machines)
    for name in set(only) - present - {MACHINES}:
        _create_collection(database, name, machines.beside(stored_machines(database)))
    put_rules_right(database, machines, only)


def add_machines(database: Database[Document], machines: Machines) -> None:
    """Store the machines that the database does not know. Code MACHINE_CHANGED."""
    for version in machines.missing_in(stored_machines(database).hashes):
        try:
            database[MACHINES].insert_one({"_id": version.label, **version.as_data()})
        except DuplicateKeyError:
            continue  # another process added it just now; its content is compared next
    machines.missing_in(stored_machines(database).hashes)


def put_rules_right(
    database: Database[Document],
    machines: Machines,
    only: tuple[str, ...] | None = None,
    *,
    of: tuple[str, ...] = ("validator", "machine"),
) -> bool:
    """Set each validator that lacks one of the machines, or is another one than ours (``of`` says which of
    the two); whether one was set.

    Another process may set an older one over ours at the same moment: each looks again after it has set one,
    and then wants every stored machine in it, so that the last one leaves the union."""
    changed = False
    for name in only or collections_of(state_of(database) != ""):
        wanted = machines
        while _lacks(database, name, wanted, of):
            known = machines.beside(stored_machines(database))
            change = {"collMod": name, "validator": validator(name, known), **_STRICT}
            database.command(change)
            changed, wanted = True, machines.beside(stored_machines(database))
    return changed


def _lacks(database: Database[Document], name: str, machines: Machines, of: tuple[str, ...]) -> bool:
    info = next(iter(database.list_collections(filter={"name": name})), {})
    known = machines.beside(stored_machines(database))
    return any(
        problem.kind in of
        for problem in _validator_problems(database, name, info.get("options", {}), known, machines)
    )


def _create_collection(database: Database[Document], name: str, machines: Machines) -> None:
    try:
        database.create_collection(name, validator=validator(name, machines), check_exists=False, **_STRICT)
    except CollectionInvalid:
        return
    except OperationFailure as error:
        if error.code != _EXISTS:
            raise


def create_indexes(
    database: Database[Document], wanted: Callable[[Index], bool] = lambda index: True
) -> None:
    """Make the wanted indexes, those that are there excepted. Raises StoreUnsupported."""
    for index in indexes(state_of(database) != ""):
        if wanted(index):
            create_index(database, index)


def create_index(database: Database[Document], index: Index) -> None:
    """Make the index. StoreUnsupported when documents hold one of its keys twice."""
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
    if {Problem("collection", name, _MISSING) for name in COLLECTIONS} <= set(wrong):
        names = [problem.name for problem in wrong]
        raise StoreUnsupported(
            "MongoDB: the database holds no store of nutstate; `nutstate doctor --fix` makes one",
            problems=names,
        )
    shown = "; ".join(
        problem.text if problem.kind == "schema" else f"{problem.name} {problem.text}"
        for problem in wrong[:3]
    )
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    hint = "; `nutstate doctor --fix` puts it right" if all(problem.fixable for problem in wrong) else ""
    names = [problem.name for problem in wrong]
    raise StoreUnsupported(f"MongoDB: {shown}{more}{hint}", problems=names)
