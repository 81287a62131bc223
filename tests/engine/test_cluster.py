"""The engine on a cluster: whole payments whose every commit claims keys first, killed at every write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nutstate import Engine, Refused, SimulatedMint
from nutstate.storage.mongo import keys
from nutstate.storage.port import OperationQuery
from tests.engine.test_crash import STORIES, Scene, failed, paid, pending_then_paid
from tests.engine.test_races import Table, race_threads
from tests.servers.cluster import Cluster
from tests.servers.two_sets import shard_of
from tests.support import invariants
from tests.support.crash import Crash, Ticks
from tests.support.memory_cluster import MemoryCluster, Mortal, check_keys
from tests.support.wallet import NPUB, QUICK, funded, invoice, npub_of

Story = Callable[[SimulatedMint, str], None]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process does not go on while this one waits."""
    monkeypatch.setattr(keys, "PAUSES_S", (0, 0, 0))


def test_r600_two_wallets_of_two_shards_live_their_lives() -> None:
    """R600: funding, payment, change, reconciliation and recovery of wallets on different shards; each
    transaction touches one of them."""
    cluster = MemoryCluster()
    others = [npub_of(n) for n in range(1, 9)]
    bob = next(npub for npub in others if shard_of(npub) != shard_of(NPUB))
    store = cluster.store()
    engine, mint, clock = funded(store)
    engine.mint_tokens(npub=bob, mint_url=mint.url, amount=500)
    bolt11 = invoice(300, clock)
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert first.state == "reconciled"
    with pytest.raises(Refused, match="paid this invoice"):
        engine.melt(npub=bob, mint_url=mint.url, invoice=bolt11)
    assert engine.melt(npub=bob, mint_url=mint.url, invoice=invoice(100, clock)).state == "reconciled"
    engine.recover(force=True)
    invariants.check(store, mint)
    cluster.check_keys()
    assert {op.npub for op in store.operations(OperationQuery(kind="melt"))} == {NPUB, bob}
    assert engine.verify_audit().holds


@pytest.mark.real_mongo
@pytest.mark.cluster
def test_r600_four_threads_want_one_token_on_a_cluster(mongo_cluster: Cluster) -> None:
    """R600: R46 to R48 on two replica sets: of four melts of one token one wins, the others are told why."""
    name = mongo_cluster.take()
    store, table = mongo_cluster.open(name), Table("cluster")
    try:
        race_threads(store, 10, table)
        assert table.rounds == 10
        check_keys(mongo_cluster.everything(name))
    finally:
        store.close()
        mongo_cluster.give_back(name)


def writes_of(story: Story) -> list[str]:
    """The writes of the payment, as they happen without a crash."""
    cluster = MemoryCluster()
    scene = Scene(cluster.store(), story)
    scene.store = cluster.store(Mortal, names=[])
    scene.melt(Ticks())
    return list(scene.store._gateway.names)  # type: ignore[attr-defined]


@pytest.mark.parametrize("story", [paid, failed, pending_then_paid], ids=lambda story: story.__name__)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_r601_a_crash_at_every_write_is_recovered(story: Story, before: bool) -> None:
    """R601: the process dies before or after each claim, transaction, note and release of a payment. Another
    process recovers it: the invoice is paid at most once, no key is held twice, and the claim is never free
    while the payment may have happened."""
    names = writes_of(story)
    assert {"insert global_keys", "transaction"} <= set(names)
    for at in range(len(names)):
        if names[at].startswith("update operations") and at % 4:
            continue  # a note: leases are crashed at on every store
        cluster = MemoryCluster()
        scene = Scene(cluster.store(), story)
        scene.store = cluster.store(Mortal, names=[], at=at, before=before)
        with pytest.raises(Crash):
            scene.melt(Ticks())
        cluster.check_keys()
        scene.store = cluster.store()
        scene.end()
        cluster.check_keys()


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_r601_every_story_ends_on_a_cluster(story: Story) -> None:
    """R601: the same stories as on the other stores, killed at every third write."""
    for at in range(0, len(writes_of(story)), 3):
        cluster = MemoryCluster()
        scene = Scene(cluster.store(), story)
        scene.store = cluster.store(Mortal, names=[], at=at)
        with pytest.raises(Crash):
            scene.melt(Ticks())
        scene.store = cluster.store()
        scene.end()
        cluster.check_keys()


def test_r602_the_invoice_of_a_crashed_attempt_is_paid_by_the_next() -> None:
    """R602: the process died between the claim of an invoice and its transaction. The same call is refused as
    "another operation pays this invoice", retryable, until the claim's time is over, and then pays it
    once."""
    cluster = MemoryCluster()
    scene = Scene(cluster.store(), paid)
    store = cluster.store(Mortal, names=[])
    scene.store = store
    store._gateway.at = writes_of(paid).index("insert global_keys")  # type: ignore[attr-defined]
    store._gateway.before = False  # type: ignore[attr-defined]
    with pytest.raises(Crash):
        scene.melt(Ticks())
    engine = Engine(cluster.store(), scene.mint, settings=QUICK, clock=scene.clock)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=scene.mint.url, invoice=scene.bolt11, wait_s=0)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED" and refused.value.retryable
    scene.clock.advance(keys.CLAIM_MS / 1000 + 1)
    melt = engine.melt(npub=NPUB, mint_url=scene.mint.url, invoice=scene.bolt11)
    assert melt.state == "reconciled" and scene.mint.lightning.payments(scene.hashed) == 1
    invariants.check(cluster.store(), scene.mint)
    cluster.check_keys()
