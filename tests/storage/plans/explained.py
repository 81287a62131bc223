"""What a server says about every command that a store sends it: the plan, and how much it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

READS = ("find", "aggregate", "update", "delete", "findAndModify", "count", "distinct")
BESIDE = ("lsid", "txnNumber", "autocommit", "startTransaction", "readConcern", "writeConcern", "maxTimeMS",
          "$db", "$clusterTime", "$readPreference")  # fmt: skip
SMALL = ("machines", "flags")
"""Collections of a handful of documents, which a program reads whole when it opens the store."""
TIMES = 10  # that a command of one shape is explained
FEW = 4
"""So many documents may be read in vain: an operation has few children, a moment few operations."""


@define
class Explained(CommandListener):
    """Explains every command when it is sent, before it changes anything. ``wrong``: what no command may do,
    each with the part of the workload that sent it."""

    url: str
    part: str = ""
    wrong: dict[str, str] = field(factory=dict)
    seen: Counter[str] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(self.url)

    def close(self, drop: str) -> None:
        self._client.drop_database(drop)
        self._client.close()

    def started(self, event: Any) -> None:
        if not self.part or event.command_name not in READS:
            return
        command = {name: value for name, value in event.command.items() if name not in BESIDE}
        for one in _single(event.command_name, command):
            self._look(event.database_name, event.command_name, one)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...

    def _look(self, database: str, name: str, command: dict[str, Any]) -> None:
        collection = command[name]
        if collection in SMALL or not isinstance(collection, str):
            return
        shape = f"{name} {collection} {_shape({k: v for k, v in command.items() if k != name})}"
        self.seen[shape] += 1
        if self.seen[shape] > TIMES:
            return
        told = self._client[database].command("explain", command, verbosity="executionStats")
        for stage in _stages(told):
            if stage in ("COLLSCAN", "SORT", "$sort"):
                self.wrong[f"{stage} {shape}"] = f"{self.part}: {stage} in {command}"
        for stats in _stats(told):
            returned = _returned(stats)
            if stats["totalDocsExamined"] > 2 * returned + FEW:
                read = f"{stats['totalDocsExamined']} documents for {returned}"
                self.wrong[f"reads {shape}"] = f"{self.part}: reads {read} in {command}"


def _single(name: str, command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A command with several updates or deletes, one by one: only one can be explained."""
    parts = {"update": "updates", "delete": "deletes"}.get(name)
    if parts is None:
        yield command
        return
    for part in command[parts]:
        yield {**command, parts: [part]}


def _shape(value: Any) -> Any:
    """The command without its values; lists by their first element."""
    if isinstance(value, Mapping):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        kinds: list[Any] = []
        for item in value:
            if (kind := _shape(item)) not in kinds:
                kinds.append(kind)
        return kinds
    return type(value).__name__


def _plans(told: Any) -> Iterator[Any]:
    """Every winning plan, also of the parts of an aggregate."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            if key == "winningPlan":
                yield value
            elif key != "rejectedPlans":
                yield from _plans(value)
    elif isinstance(told, list):
        for item in told:
            yield from _plans(item)


def _stages(told: Any) -> Iterator[str]:
    def names(node: Any) -> Iterator[str]:
        if isinstance(node, Mapping):
            if isinstance(node.get("stage"), str):
                yield node["stage"]
            for value in node.values():
                yield from names(value)
        elif isinstance(node, list):
            for item in node:
                yield from names(item)

    for plan in _plans(told):
        yield from names(plan)
    for stage in told.get("stages", ()):
        yield from (key for key in stage if key == "$sort")
        if int(stage.get("collectionScans", 0)):  # of a $lookup, which shows no plan
            yield "COLLSCAN"


def _stats(told: Any) -> Iterator[Mapping[str, Any]]:
    """The statistics of every plan that was run."""
    if isinstance(told, Mapping):
        if "totalDocsExamined" in told and "executionStages" in told:
            yield told
            return
        for value in told.values():
            yield from _stats(value)
    elif isinstance(told, list):
        for item in told:
            yield from _stats(item)


def _returned(stats: Mapping[str, Any]) -> int:
    """Documents that were given back, or that a write found."""
    found: list[int] = [stats["nReturned"]]

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            found.extend(node[name] for name in ("nMatched", "nWouldModify", "nWouldDelete") if name in node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(stats["executionStages"])
    return max(found)
