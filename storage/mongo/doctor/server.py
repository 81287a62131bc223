"""Is this MongoDB server, or set of servers, set up to keep money? Asks only, changes nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, Final

import pymongo
from attrs import frozen
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from ...findings import Finding
from ..gateway import Document
from ..open import Address
from ..schema import KEYS
from ..setup import OLDEST_SERVER
from ..shards import collections_of
from .url import is_far, standalone

ASK_S: Final = 5.0
CLOCK_WARNING_S: Final = 1.0
CLOCK_ERROR_S: Final = 30.0  # as long as a lease: a fresh lease of one worker looks over to another
LIFETIME_BEST_S: Final = 10
LIFETIME_MAX_S: Final = 30
# The first releases in which CVE-2025-14847 is fixed.
_ZLIB_MENDED: Final = ((6, 0, 27), (7, 0, 28), (8, 0, 17), (8, 2, 3))
_MONITOR: Final = "Ask as a user with the role clusterMonitor on the database admin."
_NEEDED: Final = ("find", "insert", "update")


class Server:
    """A server that answers. ``hello`` is what it says about itself, ``version`` None if it does not say."""

    def __init__(self, client: MongoClient[Document]) -> None:
        # Its own options: times and zones in the URL must not change the values that we read.
        self._admin = client.get_database("admin", codec_options=CodecOptions(tz_aware=True, tzinfo=UTC))
        self.hello: Document = self._admin.command("hello")
        built = self.ask("buildInfo")
        self.version: tuple[int, ...] | None = tuple(built["versionArray"]) if built else None

    @property
    def is_mongos(self) -> bool:
        """Whether it stands before a sharded cluster."""
        return self.hello.get("msg") == "isdbgrid"

    def ask(self, command: str, **arguments: Any) -> Document | None:
        """The answer, or None if this user may not ask, or this server does not know the question."""
        try:
            with pymongo.timeout(ASK_S):
                answer: Document = self._admin.command(command, **arguments)
                return answer
        except OperationFailure:
            return None


def of_server(server: Server, place: Address) -> Iterator[Finding]:
    """Everything about the server but the database."""
    yield _release(server)
    if server.is_mongos:
        text = "this is a mongos, the entrance of a sharded cluster: nutstate's own tests run without one"
        hint = "`nutstate doctor --shard verify` checks the cluster; `make test-cluster` tests a new one."
        yield Finding("replica set", "warning", text, hint)
    else:
        yield from _replica_set(server)
    yield from _settings(server)
    yield _compression(server)
    yield _clock(server)
    yield _latency(server)
    yield from _login(server, place)


def _unknown(check: str, what: str, hint: str = _MONITOR) -> Finding:
    return Finding(check, "unknown", f"{what} cannot be asked by this user", hint)


def _release(server: Server) -> Finding:
    if server.version is None:
        return _unknown("server", "the release")
    found = standalone(server.hello, server.version)
    if found.status == "error":
        return found
    answer = server.ask("getParameter", featureCompatibilityVersion=1)
    setting = (answer or {}).get("featureCompatibilityVersion", {}).get("version")
    if setting is None:
        return Finding("server", "ok", f"{found.text} (its compatibility setting cannot be asked)")
    if tuple(int(part) for part in str(setting).split(".")[:2]) < OLDEST_SERVER:
        text = f"{found.text}, held back to the features of {setting}"
        hint = (
            'Finish the upgrade: db.adminCommand({setFeatureCompatibilityVersion: "6.0"}), or what you run.'
        )
        return Finding("server", "warning", text, hint)
    return Finding("server", "ok", f"{found.text}, with the features of {setting}")


# -- the replica set -----------------------------------------------------------------------------


@frozen
class _Member:
    host: str
    arbiter: bool
    votes: bool
    state: str  # "" when it cannot be asked

    @property
    def is_up(self) -> bool:
        return self.state in ("PRIMARY", "SECONDARY", "ARBITER")


def _members(server: Server) -> tuple[list[_Member], int | None]:
    """The members, and how many must confirm a write if that can be asked."""
    status, config = server.ask("replSetGetStatus"), server.ask("replSetGetConfig")
    hello = server.hello
    if status is None or config is None:
        data = [*hello.get("hosts", ()), *hello.get("passives", ())]
        members = [_Member(host, False, True, _told(hello, host)) for host in data]
        return members + [_Member(host, True, True, "") for host in hello.get("arbiters", ())], None
    states = {m["name"]: m["stateStr"] if m["health"] else "DOWN" for m in status["members"]}
    members = [
        _Member(m["host"], bool(m["arbiterOnly"]), m["votes"] > 0, states.get(m["host"], "DOWN"))
        for m in config["config"]["members"]
    ]
    return members, int(status["writeMajorityCount"])


def _told(hello: Mapping[str, Any], host: str) -> str:
    return "PRIMARY" if host == hello.get("primary") else ""


def _replica_set(server: Server) -> Iterator[Finding]:
    members, needed = _members(server)
    if not server.hello.get("isWritablePrimary"):
        text = "the connection leads to a member that takes no writes"
        hint = "Take directConnection out of the URL and name the set with replicaSet=NAME."
        yield Finding("replica set", "error", text, hint)
    yield _availability(str(server.hello["setName"]), members, needed)
    arbiters = [member.host for member in members if member.arbiter]
    if arbiters:
        text = (
            f"arbiters vote but keep no data: {', '.join(arbiters)}; with one data member down, writes stall"
        )
        yield Finding("arbiter", "warning", text, "Replace each by a member that keeps data.")


def _availability(name: str, members: list[_Member], needed: int | None) -> Finding:
    primary = next((member.host for member in members if member.state == "PRIMARY"), "none")
    about = f"{name}: {len(members)} member{'s' if len(members) > 1 else ''}, primary {primary}"
    keeping = [member for member in members if member.votes and not member.arbiter]
    down = [f"{member.host} ({member.state})" for member in members if not member.is_up]
    if len(keeping) == 1 and primary != "none":
        text = f"{about}: atomic, but not available when it is down, and lost with its disk"
        return Finding("replica set", "warning", text, "Fine for development; three members for production.")
    if needed is None:
        return _unknown("replica set", f"{about}; whether all are up")
    up = sum(member.is_up for member in keeping)
    if up < needed:
        text = f"{about}; down: {', '.join(down)}; {needed} must confirm a write and {up} can: payments stall"
        return Finding("replica set", "error", text, "Bring members back.")
    if down:
        text = f"{about}; down: {', '.join(down)}; {needed} must confirm a write and {up} can"
        return Finding("replica set", "warning", text, "Bring them back before another one fails.")
    return Finding("replica set", "ok", f"{about}, all up")


# -- settings ------------------------------------------------------------------------------------


def _settings(server: Server) -> Iterator[Finding]:
    yield _engine(server)
    if not server.is_mongos:
        yield _journal(server)
    yield _defaults(server)
    yield _lifetime(server)


def _engine(server: Server) -> Finding:
    engine = (server.ask("serverStatus") or {}).get("storageEngine", {}).get("name")
    if engine is None:
        return _unknown("storage engine", "the storage engine")
    if engine != "wiredTiger":
        text = f"the storage engine is {engine}: only wiredTiger keeps money through a crash"
        return Finding("storage engine", "error", text)
    return Finding("storage engine", "ok", "wiredTiger")


def _journal(server: Server) -> Finding:
    config = (server.ask("replSetGetConfig") or {}).get("config")
    if config is None:
        return _unknown("journal", "whether a majority means written to disk")
    if not config.get("writeConcernMajorityJournalDefault", True):
        text = "writeConcernMajorityJournalDefault is false: a confirmed write may be lost in a power cut"
        return Finding("journal", "error", text, "Set it to true with rs.reconfig().")
    return Finding("journal", "ok", "a write is confirmed when it is in the journal of a majority")


def _defaults(server: Server) -> Finding:
    answer = server.ask("getDefaultRWConcern")
    if answer is None:
        return _unknown("concerns", "the default read and write concern")
    write = answer.get("defaultWriteConcern", {}).get("w", 1)
    if write != "majority":
        text = "by default this server confirms writes before a majority has them"
        hint = (
            "nutstate overrides it; other programs on it do not. "
            "db.adminCommand({setDefaultRWConcern: 1, defaultWriteConcern: {w: 'majority'}})"
        )
        return Finding("concerns", "warning", text, hint)
    text = "writes go to a majority by default; nutstate asks for it, and for the journal, by itself"
    return Finding("concerns", "ok", text)


def _lifetime(server: Server) -> Finding:
    name = "transactionLifetimeLimitSeconds"
    limit = (server.ask("getParameter", **{name: 1}) or {}).get(name)
    if limit is None:
        return _unknown("transactions", f"{name}")
    if limit > LIFETIME_MAX_S:
        text = f"{name} is {limit}: documents of a wallet that died stay locked for up to {limit * 3 // 2} s"
        hint = f"Set it to {LIFETIME_BEST_S} on every member: --setParameter {name}={LIFETIME_BEST_S}."
        return Finding("transactions", "warning", text, hint)
    return Finding("transactions", "ok", f"locks of a wallet that died end after {limit * 3 // 2} s")


def _compression(server: Server) -> Finding:
    # A server names the compressors it shares with every client; no right is needed for that.
    answer = server.ask("hello", compression=["zlib"])
    if answer is None:
        return _unknown("compression", "which compressors the server offers")
    if "zlib" not in answer.get("compression", ()):
        return Finding("compression", "ok", "zlib is not offered")
    version = server.version or (0,)
    if version[:2] > max(_ZLIB_MENDED)[:2] or any(
        version[:2] == mended[:2] and version >= mended for mended in _ZLIB_MENDED
    ):
        return Finding("compression", "ok", "zlib is offered, by a release in which CVE-2025-14847 is fixed")
    text = "the server offers zlib: every client can read parts of its memory (CVE-2025-14847)"
    hint = "Update MongoDB, or start it with --networkMessageCompressors snappy,zstd."
    return Finding("compression", "warning", text, hint)


# -- time ----------------------------------------------------------------------------------------


def wall_clock() -> float:
    """This machine's clock, in seconds."""
    return time.time()


def _clock(server: Server) -> Finding:
    """Compare the clocks. Of a few looks the one with the shortest way tells the most."""
    looks: list[tuple[float, float]] = []
    for _ in range(3):
        start, begun = wall_clock(), time.perf_counter()
        answer = server.ask("hello")
        way = time.perf_counter() - begun
        if answer is not None:
            looks.append((way, answer["localTime"].timestamp() - (start + way / 2)))
    if not looks:
        return _unknown("clock", "the server's clock")
    way, ahead = min(looks)
    apart = max(0.0, abs(ahead) - way / 2)
    if apart <= CLOCK_WARNING_S:
        return Finding(
            "clock", "ok", f"this machine and the server agree within {abs(ahead) + way / 2:.3f} s"
        )
    side = "behind" if ahead > 0 else "ahead of"
    text = f"this machine's clock is {abs(ahead):.1f} s {side} the server's"
    hint = (
        "Workers compare leases and deadlines by the clocks of their machines: two may do the same work, or "
        "one wait too long. Money stays safe, every step is checked against what is stored. Run NTP."
    )
    if apart <= CLOCK_ERROR_S:
        return Finding("clock", "warning", text, hint)
    return Finding("clock", "error", f"{text}, more than a lease lasts", hint)


def _latency(server: Server) -> Finding:
    ways = []
    for _ in range(5):
        begun = time.perf_counter()
        server.ask("ping")
        ways.append(time.perf_counter() - begun)
    text = f"a round trip to the server takes {statistics.median(ways) * 1000:.1f} ms"
    return Finding("round trip", "info", text)


# -- who may do what -----------------------------------------------------------------------------


def is_logged_in(server: Server) -> bool | None:
    """Whether the connection belongs to a user; None if the server does not say."""
    answer = server.ask("connectionStatus")
    return None if answer is None else bool(answer["authInfo"]["authenticatedUsers"])


def _login(server: Server, place: Address) -> Iterator[Finding]:
    answer = server.ask("connectionStatus", showPrivileges=True)
    if answer is None:
        yield _unknown("login", "who is logged in")
        return
    known = answer["authInfo"]
    if known["authenticatedUsers"]:
        yield Finding("login", "ok", "a user is logged in")
        privileges = known.get("authenticatedUserPrivileges", [])
        yield _rights(privileges, place.database, sharded=server.is_mongos)
    elif server.ask("getCmdLineOpts") is None:
        return  # access control is on: the look at the database says what is missing
    elif is_far(place):
        text = "the URL names no user: if this works, every client of the server can take the money"
        yield Finding(
            "login", "warning", text, "Turn on access control, and give nutstate a user of its own."
        )
    else:
        text = "the server needs no login: every program on this machine can read and change the money"
        yield Finding("login", "info", text, "Turn on access control before it holds real money.")


def _rights(privileges: list[Document], database: str, *, sharded: bool = False) -> Finding:
    granted = [_granted(privileges, database, name) for name in collections_of(sharded)]
    missing = [action for action in _NEEDED if not all(action in actions for actions in granted)]
    if sharded and "remove" not in _granted(privileges, database, KEYS):
        text = f"this user may not remove from {KEYS}: keys of refused commits stay claimed for a minute"
        return Finding("rights", "error", text, f"Grant it remove on {database}.{KEYS}.")
    if missing:
        text = f"this user may not {', '.join(missing)} in every collection of {database}"
        return Finding("rights", "error", text, f"Grant it the role readWrite on {database}.")
    if any("bypassDocumentValidation" in actions for actions in granted):
        text = "this user may write past the rules of the collections, and change them"
        hint = "Let the service run as a user with readWrite only; keep dbAdmin for `doctor --fix`."
        return Finding("rights", "info", text, hint)
    return Finding("rights", "ok", "this user may read and write, and not past the rules of the collections")


def _granted(privileges: list[Document], database: str, collection: str) -> set[str]:
    actions: set[str] = set()
    for privilege in privileges:
        on = privilege["resource"]
        named = on.get("db") in ("", database) and on.get("collection") in ("", collection)
        if named or on.get("anyResource"):
            actions.update(privilege["actions"])
    return actions
