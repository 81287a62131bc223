"""What the doctor makes of URLs, of silence and of answers that no server here gives."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nutstate.storage.doctor import examine
from nutstate.storage.findings import Finding
from nutstate.storage.mongo.doctor import examine as mongo_doctor
from nutstate.storage.mongo.doctor import url as mongo_doctor_url
from nutstate.storage.mongo.doctor.server import Server, of_server
from nutstate.storage.mongo.doctor.url import _reason, is_loopback, of_url
from nutstate.storage.mongo.open import address
from nutstate.storage.mongo.schema import COLLECTIONS

PASSWORD = "hunter22"
MARK = "MARKER-never-to-be-shown"
Document = dict[str, Any]

# -- no server there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place, words",
    [
        ("127.0.0.1:1", "127.0.0.1:1 does not listen"),
        ("127.0.0.1:1,127.0.0.1:2", "127.0.0.1:2 does not listen"),
    ],
)
def test_nobody_there_is_one_clear_error_soon(
    place: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_doctor, "CONNECT_S", 0.5)
    monkeypatch.setattr(mongo_doctor_url, "PROBE_S", 0.5)
    begun = time.monotonic()
    report = examine(f"mongodb://user:{PASSWORD}@{place}/db?replicaSet=rs0", fix=True)
    assert time.monotonic() - begun < 15
    (said,) = report.of("error")
    assert said.check == "connection" and said.text.startswith("no server answers: ") and words in said.text
    assert "firewall" in str(said.hint)
    assert PASSWORD not in str(report.as_dict()) and "user" not in report.url


@pytest.mark.parametrize(
    "text, reason",
    [
        ("h:1: [Errno -2] Name or service not known", "has an unknown name"),
        ("SSL handshake failed: h:1: certificate verify failed", "does not agree on TLS"),
        ("h:1: connection closed (configured timeouts: 1s)", "hangs up at once"),
        (f"anything else {MARK}", "does not answer"),
    ],
)
def test_reasons_are_words_of_ours(text: str, reason: str) -> None:
    assert _reason(text) == reason


# -- the URL ---------------------------------------------------------------------------------------


def url_findings(url: str, check: str, status: str) -> list[str]:
    found = [f for f in of_url(address(url)) if (f.check, f.status) == (check, status)]
    return [finding.text for finding in found]


@pytest.mark.parametrize(
    "option", ["w=1", "w=0", "journal=false", "readConcernLevel=local", "readPreference=nearest",
               "retryWrites=false", "directConnection=true"],
)  # fmt: skip
def test_options_that_weaken(option: str) -> None:
    (said,) = url_findings(f"mongodb://127.0.0.1/db?{option}", "url", "warning")
    assert said.startswith(f"option {option.partition('=')[0]}")


def test_strong_options_are_fine() -> None:
    strong = "w=majority&journal=true&readConcernLevel=majority&readPreference=primary&retryWrites=true"
    assert url_findings(f"mongodb://127.0.0.1/db?{strong}&directConnection=false", "url", "ok")


def test_encryption() -> None:
    assert url_findings("mongodb://db.example/x", "encryption", "warning")
    assert url_findings("mongodb://127.0.0.1,db.example/x", "encryption", "warning")
    assert url_findings("mongodb://db.example/x?tls=true", "encryption", "ok")
    assert url_findings("mongodb://localhost,[::1]:3,127.0.0.9/x", "encryption", "ok")
    (said,) = url_findings("mongodb://db.example/x?tls=true&tlsInsecure=true", "encryption", "warning")
    assert "tlsInsecure" in said


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "::1", "/tmp/mongodb-27017.sock")))
    assert not any(map(is_loopback, ("db", "10.0.0.1", "localhost.example")))


# -- answers no server here gives ------------------------------------------------------------------


class Scripted(Server):
    """A server of three members whose answers are given."""

    def __init__(self, version: tuple[int, ...] = (7, 0, 30), **answers: Any) -> None:
        members = [
            {"host": f"db{n}:1", "arbiterOnly": False, "votes": 1, "state": state}
            for n, state in enumerate(answers.pop("states", ("PRIMARY", "SECONDARY", "SECONDARY")))
        ]
        for member in members:
            if member["state"] == "ARBITER":
                member["arbiterOnly"] = True
        self.hello = {
            "setName": "rs0",
            "isWritablePrimary": True,
            "primary": "db0:1",
            "hosts": [m["host"] for m in members if not m["arbiterOnly"]],
            "arbiters": [m["host"] for m in members if m["arbiterOnly"]],
        } | answers.pop("hello", {})
        self.version = version
        self.offers: tuple[str, ...] = answers.pop("offers", ("snappy", "zstd"))
        self.answers: Document = {
            "getParameter": {
                "featureCompatibilityVersion": {"version": "7.0"},
                "transactionLifetimeLimitSeconds": 10,
            },
            "serverStatus": {"storageEngine": {"name": "wiredTiger"}},
            "getDefaultRWConcern": {"defaultWriteConcern": {"w": "majority"}},
            "replSetGetConfig": {"config": {"members": members}},
            "replSetGetStatus": {
                "members": [
                    {"name": m["host"], "stateStr": m["state"], "health": float(m["state"] != "(down)")}
                    for m in members
                ],
                "writeMajorityCount": 2,
            },
            "connectionStatus": {"authInfo": {"authenticatedUsers": []}},
            "getCmdLineOpts": {},
            "ping": {},
        } | answers

    def ask(self, command: str, **arguments: Any) -> Document | None:
        if command == "hello" and "compression" in arguments:
            return {"compression": [name for name in self.offers if name in arguments["compression"]]}
        answer: Document | None = self.answers.get(command)
        return answer


def scripted(check: str, **answers: Any) -> list[Finding]:
    place = address("mongodb://db0:1/db?tls=true")
    return [finding for finding in of_server(Scripted(**answers), place) if finding.check == check]


def test_a_good_script_is_good() -> None:
    found = list(of_server(Scripted(), address("mongodb://db0:1/db?tls=true")))
    assert {f.check for f in found if f.status != "ok"} == {"clock", "login", "round trip"}


@pytest.mark.parametrize(
    "check, status, words, answers",
    [
        ("server", "error", "too old", {"version": (5, 0, 9)}),
        ("server", "warning", "held back to the features of 5.0",
         {"getParameter": {"featureCompatibilityVersion": {"version": "5.0"}}}),
        ("server", "ok", "cannot be asked", {"getParameter": None}),
        ("server", "unknown", "the release", {"version": None}),
        ("storage engine", "error", "inMemory", {"serverStatus": {"storageEngine": {"name": "inMemory"}}}),
        ("journal", "error", "writeConcernMajorityJournalDefault is false",
         {"replSetGetConfig": {"config": {"members": [], "writeConcernMajorityJournalDefault": False}}}),
        ("concerns", "warning", "before a majority",
         {"getDefaultRWConcern": {"defaultWriteConcern": {"w": 1}}}),
        ("transactions", "unknown", "transactionLifetimeLimitSeconds", {"getParameter": None}),
        ("replica set", "warning", "mongos", {"hello": {"msg": "isdbgrid"}}),
        ("replica set", "unknown", "3 members, primary db0:1; whether all", {"replSetGetStatus": None}),
        ("replica set", "warning", "down: db2:1 (DOWN)", {"states": ("PRIMARY", "SECONDARY", "(down)")}),
        ("replica set", "warning", "down: db2:1 (RECOVERING)",
         {"states": ("PRIMARY", "SECONDARY", "RECOVERING")}),
        ("replica set", "error", "2 must confirm a write and 1 can: payments stall",
         {"states": ("PRIMARY", "(down)", "ARBITER")}),
        ("arbiter", "warning", "db2:1", {"states": ("PRIMARY", "SECONDARY", "ARBITER")}),
        ("arbiter", "warning", "db2:1",
         {"states": ("PRIMARY", "SECONDARY", "ARBITER"), "replSetGetConfig": None}),
        ("login", "warning", "every client of the server", {}),
        ("login", "unknown", "who is logged in", {"connectionStatus": None}),
    ],
)  # fmt: skip
def test_what_the_answers_mean(check: str, status: str, words: str, answers: Document) -> None:
    (found,) = scripted(check, **answers)
    assert found.status == status and words in found.text


@pytest.mark.parametrize(
    "version, status",
    [
        ((6, 0, 26), "warning"), ((6, 0, 27), "ok"), ((7, 0, 27), "warning"), ((7, 3, 0), "warning"),
        ((8, 0, 17), "ok"), ((8, 1, 0), "warning"), ((8, 2, 2), "warning"), ((8, 2, 3), "ok"),
        ((8, 3, 0), "ok"),
    ],
)  # fmt: skip
def test_zlib_is_fine_where_it_is_mended(version: tuple[int, ...], status: str) -> None:
    (found,) = scripted("compression", version=version, offers=("snappy", "zlib"))
    assert found.status == status


@pytest.mark.parametrize(
    "privileges, status",
    [
        ([], "error"),
        ([({"db": "db", "collection": ""}, ["find", "insert"])], "error"),
        ([({"db": "other", "collection": ""}, ["find", "insert", "update"])], "error"),
        ([({"db": "db", "collection": "operations"}, ["find", "insert", "update"])], "error"),
        ([({"db": "db", "collection": name}, ["find", "insert", "update"]) for name in COLLECTIONS], "ok"),
        ([({"db": "", "collection": ""}, ["find", "insert", "update"])], "ok"),
        ([({"cluster": True}, ["find", "insert", "update"])], "error"),
        ([({"anyResource": True}, ["find", "insert", "update", "bypassDocumentValidation"])], "info"),
    ],
)
def test_rights(privileges: list[tuple[Document, list[str]]], status: str) -> None:
    known = {
        "authenticatedUsers": [{"user": MARK}],
        "authenticatedUserPrivileges": [{"resource": on, "actions": may} for on, may in privileges],
    }
    (found,) = scripted("rights", connectionStatus={"authInfo": known})
    assert found.status == status and MARK not in found.text


@pytest.mark.parametrize(
    "more, status", [([], "error"), ([({"db": "db", "collection": "global_keys"}, ["remove"])], "ok")]
)
def test_r597_rights_on_a_cluster(more: list[tuple[Document, list[str]]], status: str) -> None:
    """R597: on a cluster the service gives keys back, so it needs to remove them."""
    privileges = [({"db": "db", "collection": ""}, ["find", "insert", "update"]), *more]
    known = {
        "authenticatedUsers": [{"user": MARK}],
        "authenticatedUserPrivileges": [{"resource": on, "actions": may} for on, may in privileges],
    }
    answers: Document = {"hello": {"msg": "isdbgrid"}, "connectionStatus": {"authInfo": known}}
    (found,) = scripted("rights", **answers)
    assert found.status == status
