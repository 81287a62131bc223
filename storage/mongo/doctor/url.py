"""The options of a MongoDB URL, and the reason why no server answers at it. Values of the URL are never
shown."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from ...errors import StoreUnsupported
from ...findings import Finding
from ..gateway import Document
from ..open import Address
from ..session import named
from ..setup import OLDEST_SERVER, check_server

PROBE_S: Final = 2.0
_SEEDS_MAX: Final = 7
_STRONG_READS: Final = ("majority", "linearizable", "snapshot")
_UNCHECKED: Final = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
_OURS_HOLDS: Final = (
    "nutstate overrides it: money is written to a majority, with journal, and read from the primary. "
    "Take it out of the URL all the same, before another program copies it."
)
_NOT_LOGGED_IN: Final = 18


def is_loopback(host: str) -> bool:
    """Whether traffic to ``host`` stays on this machine."""
    if host == "localhost" or host.endswith(".sock"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(place: Address) -> list[tuple[str, int | None]]:
    """The hosts the URL names, with their ports."""
    return [(str(host), port) for host, port in parse_uri(place.url)["nodelist"]]


def is_far(place: Address) -> bool:
    """Whether the URL leads to another machine."""
    return not all(is_loopback(host) for host, _ in hosts_of(place))


def of_url(place: Address) -> Iterator[Finding]:
    """The weaknesses that options of the URL cause."""
    options = parse_uri(place.url)["options"]
    weak = list(_weak_options(options))
    for text, hint in weak:
        yield Finding("url", "warning", text, hint)
    if not weak:
        yield Finding("url", "ok", "nothing in the URL weakens the store")
    unchecked = [name for name in _UNCHECKED if options.get(name)]
    if options.get("tls") and unchecked:
        text = f"the connection is encrypted, but {unchecked[0]} lets every program pose as the server"
        yield Finding("encryption", "warning", text, "Trust the server's certificate with tlsCAFile instead.")
    elif options.get("tls"):
        yield Finding("encryption", "ok", "the connection is encrypted (TLS)")
    elif is_far(place):
        text = "the connection to another machine is not encrypted: money and password cross the network"
        yield Finding("encryption", "warning", text, "Set up TLS on the servers and add tls=true to the URL.")
    else:
        yield Finding("encryption", "ok", "the connection stays on this machine")


def _weak_options(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if options.get("w", "majority") != "majority":
        yield "option w: writes need not reach a majority and can be lost with one server", _OURS_HOLDS
    if options.get("journal") is False:
        yield "option journal=false: writes can be lost in a power cut", _OURS_HOLDS
    if options.get("readConcernLevel", "majority") not in _STRONG_READS:
        yield "option readConcernLevel: reads may see what is undone later", _OURS_HOLDS
    if options.get("readPreference", "primary") != "primary":
        yield "option readPreference: reads may come late, from a secondary", _OURS_HOLDS
    if options.get("retryWrites") is False:
        text = "option retryWrites=false: a write fails when the primary changes"
        yield text, "nutstate overrides it. Take it out of the URL all the same."
    if options.get("directConnection"):
        text = "option directConnection=true: when this server is down, no other one takes over"
        yield text, "Take it out of the URL and name the set with replicaSet=NAME."


# -- no server answers -----------------------------------------------------------------------------


def why_not_reached(place: Address, error: PyMongoError) -> Finding:
    """One clear finding instead of the driver's error: asks each named server who it is."""
    if isinstance(error, OperationFailure):
        if error.code == _NOT_LOGGED_IN:
            hint = (
                "Percent-encode special characters of both; add authSource=admin if the user was made in "
                "the database admin."
            )
            return Finding("login", "error", "the server refuses the user or the password", hint)
        return Finding("connection", "error", f"the server refuses the connection ({named(error)})")
    parsed = parse_uri(place.url)
    tls = {name: value for name, value in parsed["options"].items() if name.startswith("tls")}
    hellos: list[Document] = []
    silent: list[str] = []
    for host, port in hosts_of(place)[:_SEEDS_MAX]:
        answer = _look_at(host, port, tls)
        if isinstance(answer, str):
            silent.append(f"{host}:{port} {answer}" if port else f"{host} {answer}")
        else:
            hellos.append(answer)
    if not hellos:
        text = f"no server answers: {'; '.join(silent)}"
        hint = (
            "Is mongod running, is the address right, does a firewall stand between? "
            "If the server wants TLS, add tls=true."
        )
        return Finding("connection", "error", text, hint)
    return _no_primary(hellos, parsed["options"].get("replicaSet"))


def _look_at(host: str, port: int | None, tls: Mapping[str, Any]) -> Document | str:
    limit = round(PROBE_S * 1000)
    try:
        client: MongoClient[Document] = MongoClient(
            host,
            port,
            directConnection=True,
            serverSelectionTimeoutMS=limit,
            connectTimeoutMS=limit,
            socketTimeoutMS=limit,
            **tls,
        )
        with client, pymongo.timeout(PROBE_S):
            return client.admin.command("hello")
    except PyMongoError as error:
        return _reason(str(error))


def _reason(text: str) -> str:
    """The driver's text in a few words; it may show more than is wanted."""
    signs = {
        "does not listen": ("refused",),
        "has an unknown name": ("getaddrinfo", "Name or service not known", "nodename nor servname"),
        "does not agree on TLS": ("SSL", "certificate"),
        "hangs up at once": ("connection closed", "reset by peer"),
        "does not answer": ("timed out",),
        "cannot be reached from this network": ("unreachable", "No route"),
    }
    for reason, words in signs.items():
        if any(word in text for word in words):
            return reason
    return "does not answer"


def _no_primary(hellos: list[Document], wanted: str | None) -> Finding:
    """Servers answer, yet there is none that takes writes."""
    for hello in hellos:
        if hello.get("setName") or hello.get("msg") == "isdbgrid":
            continue
        if hello.get("isreplicaset"):
            text = "the server was started with --replSet, but its replica set was never made"
            return Finding("replica set", "error", text, "Run rs.initiate() in mongosh, once, on one member.")
        return standalone(hello)
    names = sorted({str(hello["setName"]) for hello in hellos if hello.get("setName")})
    if wanted and wanted not in names:
        found = ", ".join(names) or "no replica set (mongos)"
        text = f"the servers belong to {found}, the URL asks for another replica set"
        return Finding("connection", "error", text, "Correct replicaSet=NAME in the URL.")
    members = sorted({str(host) for hello in hellos for host in hello.get("hosts", ())})
    text = f"no primary can be reached; the set {', '.join(names)} names its members {', '.join(members)}"
    hint = (
        "If members are down, bring back enough for a majority. If all are up, these names and ports must "
        "be reachable from this machine: the driver connects to them and not to those in the URL."
    )
    return Finding("connection", "error", text, hint)


def standalone(hello: Document, version: tuple[int, ...] = OLDEST_SERVER) -> Finding:
    """A server that cannot do what we need, in the words of the check at start-up; ok if it can."""
    try:
        check_server(hello, version)
    except StoreUnsupported as error:
        return Finding("server", "error", error.message)
    return Finding("server", "ok", f"MongoDB {'.'.join(map(str, version[:3]))}")
