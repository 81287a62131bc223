"""Two releases that share a store: N is this one, N+1 has the next version of melt and token, with one more
edge each."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Final

import attrs
from bson import json_util
from pymongo.database import Database

from nutstate.engine.loop.kinds import Kinds
from nutstate.engine.operations.built_in import BUILT_IN as KINDS
from nutstate.machines.melt.table import MELT
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Machine, Transition, edges
from nutstate.machines.token.table import TOKEN
from nutstate.storage.port import Store
from nutstate.storage.records import MachineRef, Operation, Token
from nutstate.storage.rules.machines import BUILT_IN, Machines, Version
from nutstate.storage.testing.records import batch_for, make_operation

NEW_EDGE: Final = ("quoted", "attention")
"""Of melt@2. No melt@1 has it."""
NEW_TOKEN_EDGE: Final = ("outstanding", "unspent")
"""Of token@2. No token@1 has it."""


def _next(spec: Machine[Any], edge: tuple[str, str]) -> Machine[Any]:
    assert edge not in {(t.source, t.dest) for t in spec.transitions}
    event = next(event.name for event in spec.events)
    more: tuple[Transition[Any], ...] = edges(
        "99", event, edge[0], edge[1], reason="only the next version has it"
    )
    return attrs.evolve(spec, version=spec.version + 1, transitions=(*spec.transitions, *more))


MELT_2: Final = _next(MELT, NEW_EDGE)
TOKEN_2: Final = _next(TOKEN, NEW_TOKEN_EDGE)
N: Final = BUILT_IN
NEXT: Final = Machines.of((*RELEASED, MELT_2, TOKEN_2))
GIFT: Final = attrs.evolve(MELT, name="gift")
"""A kind of operation that another service added."""
ANOTHER: Final = Machines.of((*RELEASED, GIFT))
CHANGED: Final = Machines.of(
    (*(m for m in RELEASED if m is not MELT), attrs.evolve(MELT_2, version=MELT.version))
)
"""A program that changed melt@1 without giving it a new version."""

FAULTY: Final = Machines(
    attrs.evolve(version, edges=version.edges | {NEW_EDGE, NEW_TOKEN_EDGE})
    if version.label in ("melt@1", "token@1")
    else version
    for version in NEXT.versions
    if version.label != "token@2"
)
"""A program that takes the edges of the next versions for edges of melt@1 and token@1."""

_NUMBERS: Final = itertools.count()


def ref_of(spec: Machine[Any]) -> MachineRef:
    """How an operation names the machine."""
    return MachineRef(spec.name, spec.version, spec.content_hash)


def begun(store: Store, spec: Machine[Any] = MELT, machines: Machines = NEXT, **fields: Any) -> Operation:
    """A stored operation under the machine, in state ``requested``."""
    name = fields.pop("name", f"tx-{spec.name}{spec.version}-{next(_NUMBERS)}")
    op = make_operation(name, machines=machines, machine=ref_of(spec), kind=spec.name, **fields)
    return advanced(store, op, None, machines=machines)


def advanced(
    store: Store,
    op: Operation,
    before: Operation | None,
    *,
    machines: Machines = NEXT,
    tokens: tuple[Any, ...] = (),
) -> Operation:
    """Commit the operation as it is to be; returns it as it is stored."""
    batch = batch_for(op, before, machines=machines, tokens=tokens)
    store.commit(batch)
    return batch.operation.after


def goes(store: Store, op: Operation, state: str, machines: Machines = NEXT, *tokens: Any) -> Operation:
    """The stored operation goes on to ``state``, by the shortest way that ``machines`` know."""
    return advanced(store, attrs.evolve(op, state=state), op, machines=machines, tokens=tokens)


def given_back(token: Token) -> Token:
    """The token behind the new edge of token@2."""
    return attrs.evolve(token, state=NEW_TOKEN_EDGE[1], reserved_by=None)


# -- the store that schema 1 left ----------------------------------------------------------------------

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "stores"
SCHEMA_1: Final = Machines(
    Version.from_data(data)
    for data in json.loads((FIXTURES / "schema-1.machines.json").read_text(encoding="utf-8"))
)
"""The machines of the release that made it."""


def restore_schema_1(database: Database[dict[str, Any]]) -> None:
    """Fill an empty database with what a release of schema 1 left: collections, indexes, documents."""
    dump = json_util.loads((FIXTURES / "schema-1.json").read_text(encoding="utf-8"))
    for name, stored in dump.items():
        database.create_collection(name, **stored["options"])
        for index in stored["indexes"]:
            options = {key: value for key, value in index.items() if key not in ("v", "key", "ns")}
            if options["name"] != "_id_":
                database[name].create_index(list(index["key"].items()), **options)
        if stored["documents"]:
            database[name].insert_many(stored["documents"])


def kinds_of_next() -> Kinds:
    """The kinds of N+1: melt has both versions, and a new melt takes the higher one."""
    return Kinds(
        *(
            attrs.evolve(kind, machines=(*kind.machines, MELT_2)) if kind.name == MELT.name else kind
            for kind in KINDS
        )
    )
