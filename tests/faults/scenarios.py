"""Faults of real servers under load. Each ends with every server running again, though perhaps not in
step yet: rolling back takes a node half a minute on a busy machine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Protocol

from bson import Timestamp
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from nutstate.storage.local.replica_set import Node, ReplicaSet
from nutstate.storage.mongo.client import Budget
from nutstate.storage.testing.records import batch_for, make_operation, make_token

from .footprint import Footprint
from .history import History
from .ledger import Books, Ledger, Verdict
from .load import PATIENCE_S, SECONDS, Watcher, Writers, mongo_store, send_once, wait_until, watched_store


class Load(Protocol):
    """Whatever works while faults happen."""

    def wait_for_acknowledgements(self, more: int = 10) -> None:
        """Until this many more batches were acknowledged."""
        ...


Scenario = Callable[[ReplicaSet, Load, random.Random], None]


HASTY = Budget(transaction_s=0.6, commit_s=0.4, settle_s=0.6)
"""So little time that outages of a second show as unknown commits instead of being waited out. Less
would not do: after a freeze the new primary hears of its majority with heartbeats only, for up to 30 s."""


def run(
    servers: ReplicaSet, database: str, scenario: Scenario, *, seed: int = 1, budget: Budget | None = None
) -> Verdict:
    """Let writers and a reader work while ``scenario`` happens; then count."""
    url, history = servers.url(database), History()
    with watched_store(url, history, budget) as store, mongo_store(url) as other:
        with Watcher(other) as watcher, Writers(store, f"s{seed}", history=history) as load:
            load.wait_for_acknowledgements(30)
            scenario(servers, load, random.Random(seed))
            load.wait_for_acknowledgements(30)
        in_step(servers)
        assert watcher.checked > 0, "the reader never saw anything"
        return Ledger(Books.read(store)).verdict(history)


def rounds(fault: Scenario, share: float = 1.0) -> Scenario:
    """The fault again and again for this share of ``SECONDS``, at least once."""

    def scenario(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
        end = time.monotonic() + SECONDS * share
        while True:
            fault(servers, load, draw)
            load.wait_for_acknowledgements(10)
            if time.monotonic() >= end:
                return
            in_step(servers)

    return scenario


def kill_primary(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
    """``kill -9`` of the primary at a random moment; it comes back after a random time."""
    time.sleep(draw.uniform(0.1, 0.8))
    primary = elected(servers)
    primary.kill()
    if len(servers.nodes) > 1 and draw.random() < 0.7:
        elected(servers, other_than=primary)
        load.wait_for_acknowledgements(10)
    else:
        time.sleep(draw.uniform(0, 0.6))
    primary.start()


def step_down(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
    """The primary hands over in an orderly way."""
    time.sleep(draw.uniform(0.1, 0.6))
    primary = elected(servers)
    servers.step_down(3)
    elected(servers, other_than=primary)


def freeze_primary(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
    """The primary stands still until another is elected, then goes on as if nothing had been."""
    time.sleep(draw.uniform(0.1, 0.5))
    primary = elected(servers)
    primary.freeze()
    elected(servers, other_than=primary)
    if draw.random() < 0.5:
        load.wait_for_acknowledgements(10)
    primary.thaw()


def isolate_and_kill_primary(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
    """The primary loses both peers while clients still reach it, dies, and finds later that the
    others went on without it. What it sent into the frozen peers' sockets they read once thawed."""
    _isolate_and_kill_primary(servers, load, draw, Node.thaw)


def cut_off_and_kill_primary(servers: ReplicaSet, load: Load, draw: random.Random) -> None:
    """The same, but as on a cut wire: nothing that the primary wrote alone ever arrives. Its unread
    words die with the frozen peers, which start anew."""
    _isolate_and_kill_primary(servers, load, draw, _start_anew)


def _start_anew(node: Node) -> None:
    node.kill()
    node.launch()


def _isolate_and_kill_primary(
    servers: ReplicaSet, load: Load, draw: random.Random, back: Callable[[Node], None]
) -> None:
    time.sleep(draw.uniform(0.1, 0.5))
    primary = elected(servers)
    peers = [node for node in servers.nodes if node is not primary]
    for node in peers:
        node.freeze()
    time.sleep(draw.uniform(0.7, 1.1))
    primary.kill()
    for node in peers:
        back(node)
    elected(servers, other_than=primary)
    load.wait_for_acknowledgements(10)
    primary.start()


def commit_without_majority(servers: ReplicaSet, database: str) -> tuple[list[str], Verdict]:
    """One batch while both peers of the primary are frozen, sent again once they are back. What the
    store answered, and the count. The primary has written it all along: it is neither lost nor doubled."""
    url, history, answers = servers.url(database), History(), []
    batch = batch_for(make_operation("tx-alone"), tokens=[make_token("t-alone")])
    with watched_store(url, history, HASTY) as store:
        sent = history.begin(Footprint.of(batch), "ok")
        primary = elected(servers)
        peers = [node for node in servers.nodes if node is not primary]
        for node in peers:
            node.freeze()
        try:
            answers.append(send_once(store, batch, sent, history))
        finally:
            for node in peers:
                node.thaw()
        in_step(servers)
        wait_until(lambda: send_once(store, batch, sent, history) and sent.resolved, "never resolved")
        return answers, Ledger(Books.read(store)).verdict(history)


def in_step(servers: ReplicaSet) -> None:
    """Wait until one is primary and the others have all that it has. That a node says "secondary" is
    not enough: it may find out next that it must roll back, and cannot vote while it does."""
    elected(servers)
    with MongoClient[dict[str, Any]](servers.url(), serverSelectionTimeoutMS=5_000) as client:
        newest: list[Timestamp] = []

        def all_have_it() -> bool:
            try:
                members = client.admin.command("replSetGetStatus")["members"]
            except PyMongoError:
                return False
            places = [
                member["optime"] for member in members if member["stateStr"] in ("PRIMARY", "SECONDARY")
            ]
            first = next((m["optime"] for m in members if m["stateStr"] == "PRIMARY"), None)
            if first is None or len(places) < len(servers.nodes):
                return False
            newest.append(first["ts"])
            return all(place["t"] == first["t"] and place["ts"] >= newest[0] for place in places)

        wait_until(all_have_it, "the nodes are not in step")


def elected(servers: ReplicaSet, *, other_than: Node | None = None) -> Node:
    """The primary, or the next one."""
    return servers.primary(timeout_s=PATIENCE_S, other_than=other_than)


def rollbacks(servers: ReplicaSet) -> int:
    """How often a node had to give up what it had written alone."""
    return sum(node.log.read_bytes().count(b"Rollback complete") for node in servers.nodes)
