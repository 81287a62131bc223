"""From an older schema of a MongoDB database to that of this release. The document ``schema`` of the
collection ``flags`` is the journal: from the first step on it holds the new number and ``migrating`` (from
which schema, and which steps are done), so that no program opens the database in between. After an
interruption the next run goes on with the step that was not done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ..batch import proof_key
from ..errors import StoreUnsupported
from ..migration import Migration, Step, operation_of_schema_2, unknown_machines, way
from ..rules.machines import Machines
from ..schema_1 import EMPTY
from ..secret import Secret
from .gateway import Document
from .rules import validator
from .schema import (
    AUDIT,
    FLAGS,
    MACHINES,
    MONGO_SCHEMA_VERSION,
    OPERATIONS,
    TOKENS,
    TOMBSTONES,
)
from .setup import SchemaState, create_indexes, create_shapes, schema_of

MongoStep = Step[Database[Document]]


def planned(state: SchemaState) -> Migration | None:
    """The migration that :func:`migrate` would make or finish; None when the schema is not an older one."""
    start, end = _ends(state)
    return None if start == end else _told(way(STEPS, start, end), start, done=False)


def migrate(
    database: Database[Document], machines: Machines, reached: Callable[[str], None] = lambda name: None
) -> Migration:
    """Bring the database to the schema of this release, or finish what was interrupted. ``reached`` is told
    the name of each step before it begins. Several processes may do it at once.

    Raises StoreUnsupported with code UNKNOWN_MACHINE, before anything was changed, when an operation runs
    under a machine that is not among ``machines``; and what the driver raises."""
    state = schema_of(database)
    start, end = _ends(state)
    steps = way(STEPS, start, end)
    if not steps:
        return Migration(start, end, ())
    flags = database[FLAGS]
    if state.migrating_from is None:
        _check_machines(database, machines)
        reached("journal")
        journal = {"version": end, "migrating": {"from": start, "done": []}}
        flags.update_one({"_id": "schema", "version": start}, {"$set": journal})
    for step in steps:
        reached(step.name)
        if step.name not in _done(database):
            step.run(database, machines)
            under_way: Document = {"_id": "schema", "migrating.from": start}
            flags.update_one(under_way, {"$addToSet": {"migrating.done": step.name}})
    reached("end")
    every = [step.name for step in steps]
    flags.update_one({"_id": "schema", "migrating.done": {"$all": every}}, {"$unset": {"migrating": ""}})
    return _told(steps, start, done=True)


def _ends(state: SchemaState) -> tuple[int, int]:
    end = MONGO_SCHEMA_VERSION
    if state.version is None or state.version > end:
        return end, end
    start = state.version if state.migrating_from is None else state.migrating_from
    if state.migrating_from is not None and state.version != end:
        raise StoreUnsupported(
            f"a migration from schema {start} to {state.version} was interrupted: finish it with the release "
            f"that began it; this one works with schema {end}",
            schema_version=state.version,
        )
    return start, end


def _told(steps: tuple[MongoStep, ...], start: int, *, done: bool) -> Migration:
    return Migration(start, MONGO_SCHEMA_VERSION, tuple(step.text for step in steps), done)


def _done(database: Database[Document]) -> list[str]:
    stored = database[FLAGS].find_one({"_id": "schema"}) or {}
    journal = stored.get("migrating")
    return list(journal["done"]) if isinstance(journal, dict) else [step.name for step in STEPS]


# -- from 1 to 2: machines are documents, and validators hold every step to them --------

_NOT_MOVED: Final[Document] = {"kind_of_state": {"$exists": False}}


def _check_machines(database: Database[Document], machines: Machines) -> None:
    """Only of a machine that this program has is it known what a state is, and where it leads."""
    known = [
        {"machine.name": v.name, "machine.version": v.number, "machine.hash": v.hash}
        for v in machines.versions
    ]
    found = database[OPERATIONS].find({"$nor": known}, {"machine": 1}).sort("_id")
    unknown: dict[str, list[str]] = {}
    for document in found:
        machine: dict[str, Any] = document.get("machine") or {}
        unknown.setdefault(f"{machine.get('name')}@{machine.get('version')}", []).append(str(document["_id"]))
    if unknown:
        raise unknown_machines(unknown)


def _store_machines(database: Database[Document], machines: Machines) -> None:
    create_shapes(database, machines, only=(MACHINES,))


def _set_rules(database: Database[Document], machines: Machines) -> None:
    """From here on no program of the older release can write an operation."""
    create_shapes(database, machines)


_INDEXES_OF_SCHEMA_1: Final = {
    TOKENS: ("token_choice", "reserved_by_1"),
    OPERATIONS: (
        "state_1_next_check_at_1", "npub_1_created_at_-1", "created_at_-1__id_-1", "npub_1_kind_1_state_1",
        "parent_id_1_created_at_-1",
    ),
    AUDIT: ("batch_id_1", "at_1"),
    TOMBSTONES: ("spans.entity_1",),
}  # fmt: skip
_NO_SUCH_INDEX: Final = 27


def _make_indexes(database: Database[Document], machines: Machines) -> None:
    """The old ones go first: the server might choose them."""
    for collection, names in _INDEXES_OF_SCHEMA_1.items():
        for name in names:
            try:
                database[collection].drop_index(name)
            except OperationFailure as error:
                if error.code != _NO_SUCH_INDEX:
                    raise
    create_indexes(database)


def _move_operations(database: Database[Document], machines: Machines) -> None:
    """One by one; after an interruption the next run finds the ones that are left."""
    operations = database[OPERATIONS]
    for document in operations.find(_NOT_MOVED):
        machine = document["machine"]
        version = machines.by_label[f"{machine['name']}@{machine['version']}"]
        as_read = {"_id": document["_id"], "version": document["version"], **_NOT_MOVED}
        moved = operation_of_schema_2(document, version)
        del moved["lease"]  # a note may have changed it meanwhile
        change: Document = {
            "$set": {name: moved[name] for name in moved if name != "_id"},
            "$unset": {name: "" for name in document if name in EMPTY},
            "$rename": {"lease.fence": "lease.term"},
        }
        operations.update_one(as_read, change)


_WITHOUT_OWNER: Final[Document] = {"npub": {"$exists": False}}
_OPERATION_OF: Final = {
    AUDIT: "operation_id",
    TOMBSTONES: "_id",
}
_AT_ONCE: Final = 500


def _add_owners(database: Database[Document], machines: Machines) -> None:
    """Every document names its wallet. A record of an operation that is not there keeps an empty name: the
    audit's check tells of it."""
    for collection, field in _OPERATION_OF.items():
        stored = database[collection]
        while page := list(stored.find(_WITHOUT_OWNER, {field: 1}).limit(_AT_ONCE)):
            names = list({document[field] for document in page})
            owners = {
                operation["_id"]: operation["npub"]
                for operation in database[OPERATIONS].find({"_id": {"$in": names}}, {"npub": 1})
            }
            stored.bulk_write(
                [
                    UpdateOne({"_id": document["_id"]}, {"$set": {"npub": owners.get(document[field], "")}})
                    for document in page
                ]
            )


_PROOF_INDEX: Final = "proof_index"  # {_id: key of a proof, token_id}: a collection of schema 1
_DEDUP: Final = "dedup"  # {_id: key, operation_id, expires_at}: another one


def _move_proof_keys(database: Database[Document], machines: Machines) -> None:
    """Every token gets the keys of its proofs. The old index said nothing else, and goes."""
    tokens = database[TOKENS]
    without: Document = {"proof_keys": {"$exists": False}}
    while page := list(tokens.find(without, {"proofs.secret": 1}).limit(_AT_ONCE)):
        tokens.bulk_write(
            [
                UpdateOne({"_id": token["_id"], **without}, {"$set": {"proof_keys": _keys_of(token)}})
                for token in page
            ]
        )
    database[_PROOF_INDEX].drop()


def _move_windows(database: Database[Document], machines: Machines) -> None:
    """Every operation gets the duplicate window that it holds."""
    without: Document = {"dedup": {"$exists": False}}
    windows = database[_DEDUP]
    # Each page is one answer: another process may drop the collection at any moment.
    while page := list(windows.find().limit(_AT_ONCE).batch_size(_AT_ONCE)):
        for held in page:
            holder = {"_id": held["operation_id"], **without}
            window = {"key": held["_id"], "until": held["expires_at"]}
            database[OPERATIONS].update_one(holder, {"$set": {"dedup": window}})
        windows.delete_many({"_id": {"$in": [held["_id"] for held in page]}})
    windows.drop()


def _keys_of(token: Document) -> list[str]:
    return [proof_key(Secret(proof["secret"])) for proof in token["proofs"]]


def _check(database: Database[Document], machines: Machines) -> None:
    left = database[OPERATIONS].count_documents({"$nor": [validator(OPERATIONS, machines)]})
    if left:
        raise StoreUnsupported(f"{left} operations break the rules of schema 2: `nutstate doctor` names them")


STEPS: Final = (
    MongoStep(1, "machines", "make the collection machines with all that this program has", _store_machines),
    MongoStep(1, "rules", "hold each step to the machine of its operation", _set_rules),
    MongoStep(1, "indexes", "make the indexes that every query walks, in place of older ones", _make_indexes),
    MongoStep(1, "operations", "note in each operation what kind of state it is in", _move_operations),
    MongoStep(1, "owners", "note in each other document whose wallet it belongs to", _add_owners),
    MongoStep(1, "proofs", "keep the proof index in the tokens", _move_proof_keys),
    MongoStep(1, "windows", "keep the duplicate window in its operation", _move_windows),
    MongoStep(1, "check", "look at every operation once more", _check),
)
"""Every step there ever was, by the schema it begins with."""
