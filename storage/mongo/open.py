"""``mongodb://`` and ``mongodb+srv://``: from the URL to a store that was checked."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any, Final

from attrs import frozen
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from ..errors import StoreUnsupported
from ..rules.machines import BUILT_IN, Machines
from .client import Budget, ClientGateway
from .gateway import Document
from .store import MongoStore

DEFAULT_DATABASE: Final = "nutstate"


@frozen
class Address:
    """A MongoDB URL taken apart. ``shown`` has no user, no password and no options but the set's name."""

    url: str
    database: str
    shown: str
    app: str | None

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address(url: str) -> Address:
    """StoreUnsupported for a URL that pymongo does not read; the URL itself is never shown."""
    try:
        parsed = parse_uri(url)
    except (PyMongoError, ValueError, LookupError) as error:
        reason = type(error).__name__
    else:
        hosts = ",".join(f"{host}:{port}" if port else str(host) for host, port in parsed["nodelist"])
        database = parsed["database"] or DEFAULT_DATABASE
        replica_set = parsed["options"].get("replicaSet")
        named = f"?replicaSet={replica_set}" if replica_set else ""
        app = parsed["options"].get("appname") or parsed["options"].get("appName")
        return Address(url, database, f"mongodb://{hosts}/{database}{named}", app)
    raise StoreUnsupported(
        f"this is no MongoDB URL ({reason}); wanted is mongodb://[user:password@]host:port/database"
        "?replicaSet=name, with special characters of user and password percent-encoded"
    )


class _Commands(logging.Filter):
    """Lets nothing pass: at level DEBUG the driver logs whole documents, and ours are money."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


_SILENT: Final = _Commands()


def connect(place: Address) -> MongoClient[Document]:
    """A client that has not connected yet."""
    logging.getLogger("pymongo.command").addFilter(_SILENT)
    try:
        # Concerns in the URL are overridden where they matter: money is always written to a majority
        # and read from the primary.
        app = place.app or f"nutstate/{version('nutstate')}"
        # Dates and texts that Python does not know are read all the same: they are other programs'.
        tolerant: dict[str, Any] = {
            "datetime_conversion": "DATETIME_AUTO",
            "unicode_decode_error_handler": "replace",
        }
        return MongoClient(place.url, appname=app, retryWrites=True, **tolerant)
    except (PyMongoError, ValueError, LookupError, TypeError) as error:
        reason = type(error).__name__
    raise StoreUnsupported(f"pymongo does not accept the options of this MongoDB URL ({reason})")


def open_mongo(
    url: str, *, create: bool = True, machines: Machines = BUILT_IN, budget: Budget | None = None
) -> MongoStore:
    """The store at ``url``. With ``create``, missing collections, indexes, validators and machines are made;
    without, they must be there (but for machines: nothing is committed under one that is not). Raises
    StoreUnsupported, StoreUnavailable."""
    place = address(url)
    gateway = ClientGateway(connect(place), place.database, budget)
    try:
        gateway.prepare(create, machines)
    except BaseException:
        gateway.close()
        raise
    return MongoStore(place.shown, gateway, machines)
