"""Is this MongoDB database fit to keep money in? Looking changes nothing; fixing only adds what is
declared, through :mod:`nutstate.storage.mongo.setup`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pymongo
from attrs import define, field
from bson import ObjectId
from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ...errors import StorageError, StoreUnsupported
from ...findings import Finding, Report, of_machines
from ...migration import Migration
from ...rules.machines import Machines
from ..client import DURABLE
from ..gateway import Document
from ..migrate import migrate, planned
from ..open import Address, address, connect
from ..rules import validator
from ..schema import MACHINES, MONGO_SCHEMA_VERSION
from ..session import named
from ..setup import Problem, create, problems, schema_of, stored_machines
from ..shards import collections_of, indexes, state_of
from .server import Server, is_logged_in, of_server
from .url import of_url, standalone, why_not_reached

CONNECT_S: Final = 5.0
LOOK_S: Final = 15.0
READ_THROUGH_S: Final = 20.0  # how long reading through one collection may take
FIX_S: Final = 600.0  # an index of a large collection takes its time
_SHOWN_MAX: Final = 5
_SHOWN_ID_MAX: Final = 100
_UNAUTHORIZED: Final = 13
_CHECKS: Final = {
    "collection": "collections",
    "validator": "validators",
    "index": "indexes",
    "schema": "schema version",
    "documents": "documents",
    "machine": "machines",
}


def examine_mongo(url: str, *, fix: bool = False, machines: Machines) -> Report:
    """The report on the database of ``url``; with ``fix``, after putting right what can be."""
    place = address(url)
    findings = list(of_url(place))
    done = _Done()
    with connect(place) as client:
        try:
            with pymongo.timeout(CONNECT_S):
                server = Server(client)
        except PyMongoError as error:
            return Report(place.shown, (why_not_reached(place, error), *findings))
        unfit = standalone(server.hello, server.version or (99,))
        if unfit.status == "error":
            return Report(place.shown, (unfit, *findings))
        try:
            for finding in of_server(server, place):
                findings.append(finding)
            in_the_way = [finding for finding in findings if finding.status == "error"]
            if fix and in_the_way:
                fix = False
                text = f"nothing was changed, because of this: {in_the_way[0].check}: {in_the_way[0].text}"
                findings.append(Finding("fix", "error", text))
            for finding in _of_database(client, server, place, machines, done, fix=fix):
                findings.append(finding)
        except PyMongoError as error:
            text = f"the connection was lost while looking ({named(error)}); the rest was not examined"
            findings.append(Finding("connection", "error", text, "Run it again."))
    return Report(place.shown, tuple(findings), tuple(done.fixed), done.migration)


@define
class _Done:
    """The repairs, and the migration that was made or is needed."""

    fixed: list[str] = field(factory=list)
    migration: Migration | None = None


def _of_database(
    client: MongoClient[Document],
    server: Server,
    place: Address,
    machines: Machines,
    done: _Done,
    *,
    fix: bool,
) -> Iterator[Finding]:
    database = client.get_database(
        place.database,
        read_concern=ReadConcern("majority"),
        write_concern=DURABLE,
        read_preference=ReadPreference.PRIMARY,
    )
    try:
        done.migration = planned(schema_of(database))
        if done.migration is not None and fix:
            yield from _migrate(database, place, machines, done)
        wrong = _problems(database, machines)
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        yield _refused(server, place)
        return
    except StorageError as error:
        yield Finding("schema version", "error", error.message)
        return
    if wrong and fix and not any(problem.kind == "schema" and not problem.fixable for problem in wrong):
        yield from _fix(database, place, machines)
        before, wrong = wrong, _problems(database, machines)
        done.fixed += [_what_was_done(problem) for problem in before if problem not in wrong]
    if schema_of(database).is_ours:
        stored = stored_machines(database)
        broken = list(_documents(database, machines.beside(stored)))
        named_already = {finding.text.partition(":")[0] for finding in broken if finding.status == "error"}
        left = [p for p in wrong if p.kind != "documents" or p.name not in named_already]
        yield from _shapes(left, state_of(database) != "")
        if MACHINES in database.list_collection_names():
            yield from of_machines(stored, machines)
        yield from broken
    else:
        yield from _older_or_newer(wrong, done.migration)


def _older_or_newer(wrong: Sequence[Problem], needed: Migration | None) -> Iterator[Finding]:
    """The finding for a database of another schema. Nothing else is compared: its rules are others."""
    for problem in wrong:
        hint = "Update nutstate; the database is left as it is."
        if needed is not None:
            hint = (
                "Stop every program that uses the database and make a copy of it (mongodump); `doctor --fix` "
                "migrates it, step by step, and goes on after an interruption."
            )
        yield Finding("schema version", "error", problem.text, hint, fixable=needed is not None)


def _migrate(
    database: Database[Document], place: Address, machines: Machines, done: _Done
) -> Iterator[Finding]:
    try:
        with pymongo.timeout(FIX_S):
            done.migration = migrate(database, machines)
        done.fixed.append(f"migrated the database to schema {MONGO_SCHEMA_VERSION}")
    except StorageError as error:
        yield Finding("fix", "error", f"the database was not migrated: {error.message}")
    except OperationFailure as error:
        why = "this user may not" if error.code == _UNAUTHORIZED else named(error)
        hint = f"Run it as a user with the role dbAdmin on {place.database}."
        yield Finding("fix", "error", f"the database was not migrated: {why}", hint)


def _problems(database: Database[Document], machines: Machines) -> list[Problem]:
    with pymongo.timeout(LOOK_S):
        return problems(database, machines)


def _refused(server: Server, place: Address) -> Finding:
    if is_logged_in(server) is False:
        text = "the server wants a user and a password, and the URL has none"
        return Finding("login", "error", text, "mongodb://user:password@host:port/database?…")
    text = f"this user may not read the database {place.database}"
    return Finding("rights", "error", text, f"Grant it the role readWrite on {place.database}.")


def _shapes(wrong: Sequence[Problem], sharded: bool) -> Iterator[Finding]:
    for problem in wrong:
        if problem.kind == "machine" and not problem.text.startswith("is not in the rules"):
            continue  # of_machines tells it
        text = problem.text if problem.kind == "schema" else f"{problem.name} {problem.text}"
        yield Finding(_CHECKS[problem.kind], "error", text, fixable=problem.fixable)
    kinds = {problem.kind for problem in wrong}
    if "collection" not in kinds:
        yield Finding("collections", "ok", f"{len(collections_of(sharded))}, all there")
        if not kinds & {"validator", "machine"}:
            text = "the server itself refuses documents that break our rules"
            yield Finding("validators", "ok", text)
        if "index" not in kinds:
            yield Finding("indexes", "ok", f"{len(indexes(sharded))}, all as declared")
    if "schema" not in kinds:
        yield Finding("schema version", "ok", str(MONGO_SCHEMA_VERSION))


# -- documents -----------------------------------------------------------------------------------


def _documents(database: Database[Document], machines: Machines) -> Iterator[Finding]:
    """Documents that their validator would refuse: from another program, or from a time without it."""
    all_good = True
    for name in collections_of(state_of(database) != ""):
        finding = _rule_breakers(database, name, validator(name, machines))
        if finding is not None:
            all_good = False
            yield finding
    if all_good:
        yield Finding("documents", "ok", "every document keeps the rules of its collection")


def _rule_breakers(database: Database[Document], name: str, rule: Document) -> Finding | None:
    try:
        with pymongo.timeout(READ_THROUGH_S):
            breakers = database[name].find({"$nor": [rule]}, {"_id": 1}, limit=_SHOWN_MAX + 1)
            ids = [_shown(document["_id"]) for document in breakers]
    except (PyMongoError, BSONError) as error:
        if isinstance(error, PyMongoError) and error.timeout:
            text = (
                f"{name}: looking at every document takes longer than {READ_THROUGH_S:.0f} s and was stopped"
            )
            return Finding("documents", "unknown", text, "Run it again at a quiet time.")
        if isinstance(error, PyMongoError) and not isinstance(error, OperationFailure):
            raise
        return Finding("documents", "unknown", f"{name}: the documents cannot be compared with the rules")
    if not ids:
        return None
    many = f"more than {_SHOWN_MAX} documents break" if len(ids) > _SHOWN_MAX else _count(len(ids))
    text = f"{name}: {many} the rules: {', '.join(ids[:_SHOWN_MAX])}"
    hint = (
        "Another program wrote them, perhaps past the rules. Nothing is changed here: repair, "
        "migrate or remove them before nutstate works on this database."
    )
    return Finding("documents", "error", text, hint)


def _count(number: int) -> str:
    return "1 document breaks" if number == 1 else f"{number} documents break"


def _shown(value: Any) -> str:
    """An id for people; of one that is no plain id only the kind."""
    if isinstance(value, str | int | ObjectId):
        text = str(value)
        return text if len(text) <= _SHOWN_ID_MAX else f"{text[:_SHOWN_ID_MAX]}…"
    return f"(an id of type {type(value).__name__})"


# -- putting right -------------------------------------------------------------------------------


def _fix(database: Database[Document], place: Address, machines: Machines) -> Iterator[Finding]:
    try:
        with pymongo.timeout(FIX_S):
            create(database, machines)
    except StoreUnsupported as error:
        yield Finding("fix", "error", f"not everything was put right: {error.message}")
    except OperationFailure as error:
        why = "this user may not" if error.code == _UNAUTHORIZED else named(error)
        text = f"not everything was put right: {why}"
        yield Finding("fix", "error", text, f"Run it as a user with the role dbAdmin on {place.database}.")


def _what_was_done(problem: Problem) -> str:
    if problem.kind == "validator":
        return f"set the rules of {problem.name}"
    if problem.kind == "machine":
        return (
            f"added {problem.name}"
            if problem.text == "is not stored"
            else f"made {problem.name} hold in the rules"
        )
    if problem.kind == "schema":
        return f"recorded schema version {MONGO_SCHEMA_VERSION}"
    return f"made the {problem.kind} {problem.name}"
