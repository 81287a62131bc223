"""What a call makes its store do, counted by the store itself. No clock: the numbers are the same on every
machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import MongoClient

from nutstate.storage.sqlite import file
from nutstate.storage.sqlite.store import SqliteStore

Call = Callable[[], Any]
COUNTED = ("keysExamined", "docsExamined", "keysInserted", "keysDeleted")
_PROFILE_BYTES = 16 << 20


def of_mongodb(client: MongoClient[dict[str, Any]], call: Call) -> dict[str, int]:
    """Commands, and the index entries and documents that they read and wrote, by the server's profiler.
    Nothing else may use the database of the client's URL meanwhile."""
    database = client.get_default_database()
    database.command("profile", 0)
    database.drop_collection("system.profile")
    database.create_collection("system.profile", capped=True, size=_PROFILE_BYTES)
    database.command("profile", 2)
    try:
        call()
    finally:
        database.command("profile", 0)
    found = list(database["system.profile"].find({"ns": {"$not": {"$regex": r"system\.profile$"}}}))
    assert found, "the profiler saw the call"
    return {"commands": len(found)} | {name: sum(int(one.get(name, 0)) for one in found) for name in COUNTED}


def of_sqlite(store: SqliteStore, call: Call, *, every: int = 100) -> dict[str, int]:
    """Instructions of SQLite's virtual machine, in lots of ``every``."""
    lots = 0

    def tick() -> int:
        nonlocal lots
        lots += 1
        return 0

    links = [*(link for _, link in store._links), *store._idle]
    for link in links:
        link.connection.set_progress_handler(tick, every)
    try:
        call()
    finally:
        for link in links:
            link.connection.set_progress_handler(link._late, file._PROGRESS_STEPS)
    return {"lots": lots}
