"""Opening a store by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .storage.errors import unknown_address
from .storage.port import Store
from .storage.rules.machines import BUILT_IN, Machines

if TYPE_CHECKING:
    from .engine.loop.kinds import Kinds


def open_store(
    url: str, *, create: bool = True, kinds: Kinds | None = None, machines: Machines | None = None
) -> Store:
    """The store at ``url``, ready to use; a context manager that closes it.

    | URL | store |
    |---|---|
    | ``sqlite:///wallet.db``, ``sqlite:////srv/wallet.db`` | one file, the default |
    | ``mongodb://host/database?replicaSet=rs0`` | production: a replica set, many processes and machines |
    | ``memory://``, ``memory://name`` | tests only: private, or shared by name inside the process |

    ``create=False`` refuses to make a new SQLite file, or the collections, indexes and validators of a
    MongoDB database. ``kinds`` are those that the program knows (default: the built-in ones; ``machines``
    names their machines without their code). A store that lacks one of the machines gets it, and keeps all
    that it has. Raises StoreUnsupported for a URL, server or schema that
    this release cannot work with, with code MACHINE_CHANGED when the store knows another machine under the
    same name and version, StoreUnavailable when the place cannot be reached."""
    known = machines or (BUILT_IN if kinds is None else Machines.of(kinds.machines))
    scheme = url.partition("://")[0] if isinstance(url, str) and "://" in url else ""
    if scheme == "sqlite":
        from .storage.sqlite.store import SqliteStore

        return SqliteStore(url, create=create, machines=known)
    if scheme == "memory":
        from .storage.memory import open_memory

        return open_memory(url, machines=known)
    if scheme in ("mongodb", "mongodb+srv"):
        from .storage.mongo.open import open_mongo

        return open_mongo(url, create=create, machines=known)
    raise unknown_address(url)
