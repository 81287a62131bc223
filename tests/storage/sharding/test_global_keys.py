"""Keys that are unique over all wallets of a cluster: at every point of a crash or a race at most one
operation holds a key, and an orphan key is taken over only when its attempt can never commit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from nutstate.storage.batch import Batch
from nutstate.storage.errors import CommitUnknown, Conflict, Duplicate, InvalidBatch, StoreUnavailable
from nutstate.storage.mongo import keys
from nutstate.storage.mongo.gateway import (
    GatewayDuplicate,
    GatewayUnavailable,
    GatewayUnknown,
    Transaction,
)
from nutstate.storage.mongo.keys import CLAIM_MS
from nutstate.storage.mongo.schema import ATTEMPTS, KEYS
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import OperationQuery, TakeLease, TokenQuery
from nutstate.storage.records import Operation, Quote
from nutstate.storage.testing.records import NOW, batch_for, make_operation, make_proofs, make_token
from tests.servers.cluster import Cluster
from tests.servers.two_sets import CrossShard, TwoSets, shard_of
from tests.support.crash import Crash
from tests.support.memory_cluster import MemoryCluster, Mortal
from tests.support.together import together

HASH = "c" * 64
ALICE = next(f"npub1{n}" for n in itertools.count() if shard_of(f"npub1{n}") == 0)
BOB = next(f"npub1{n}" for n in itertools.count() if shard_of(f"npub1{n}") == 1)


@pytest.fixture(params=["attempts are kept", "committed attempts are forgotten"])
def ground(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    """R552: every test here holds whether committed attempts are kept for ever or deleted at once: a
    forgotten attempt never commits a second time, and frees no key."""
    monkeypatch.setattr(keys, "PAUSES_S", (0, 0, 0))
    return MemoryCluster(forgets="forgotten" in request.param)


def holders(ground: MemoryCluster, claim: str = HASH) -> list[str]:
    """The operations whose document holds the claim."""
    ground.check_keys()
    return [d["_id"] for d in ground.all("operations") if d["claim"] == claim]


def paying(name: str, npub: str, at: int = NOW, **fields: Any) -> Batch:
    """A new melt that claims the invoice."""
    op = make_operation(name, npub=npub, **{"claim": HASH, **fields})
    return batch_for(op, tokens=[make_token(f"{name}_t", npub=npub)], at=at)


LATER = NOW + CLAIM_MS + 1


# -- one key, one holder -----------------------------------------------------------------------------


def conflicts() -> dict[str, tuple[Callable[[], Batch], Callable[[], Batch]]]:
    quote = Quote("q", 100, 2, 9)

    def holding(name: str, npub: str, token: str = "", tag: str = "", **fields: Any) -> Batch:
        kept = make_token(token or f"{name}_t", npub=npub, proofs=make_proofs(tag or name, 1, 2))
        return batch_for(make_operation(name, npub=npub, **fields), tokens=[kept])

    a, b = partial(holding, "tx-a", ALICE), partial(holding, "tx-b", BOB)
    return {
        "claim": (partial(a, claim=HASH), partial(b, claim=HASH)),
        "quote": (partial(a, quote=quote), partial(b, quote=quote)),
        "operation_id": (partial(holding, "tx-a", ALICE), partial(holding, "tx-a", BOB, "other")),
        "token_id": (partial(a, token="t"), partial(b, token="t")),
        "proof": (partial(a, tag="same"), partial(b, tag="same")),
    }


@pytest.mark.parametrize("key", conflicts())
def test_r591_wallets_of_two_shards_never_hold_one_key(ground: MemoryCluster, key: str) -> None:
    """R591: a claim, an open quote, an operation's id, a token's id and a proof are held by one operation of
    all wallets; the second one gets the Duplicate that it gets on one replica set, and leaves nothing
    behind."""
    first, second = conflicts()[key]
    ground.store().commit(first())
    before = [ground.all(name) for name in ("operations", "cashu_tokens", KEYS)]
    with pytest.raises(Duplicate) as refused:
        ground.store().commit(second())
    assert refused.value.key == key
    assert [ground.all(name) for name in ("operations", "cashu_tokens", KEYS)] == before


def test_r592_a_transaction_touches_the_shard_of_its_wallet_only(ground: MemoryCluster) -> None:
    """R592: every commit, note and read by id names its wallet; the double fails what touches two shards."""
    store = ground.store()
    store.commit(paying("tx-a", ALICE))
    store.commit(paying("tx-b", BOB, claim="d" * 64))
    assert {d["_id"] for d in ground.sets[0].collections["operations"].find({})} == {"tx-a"}
    assert {d["_id"] for d in ground.sets[1].collections["operations"].find({})} == {"tx-b"}
    assert store.operation("tx-b") == store.operation("tx-b", BOB) is not None
    assert store.operation("tx-b", ALICE) is None, "only the shard of that wallet was asked"
    assert store.token("tx-b_t") == store.token("tx-b_t", BOB) is not None
    claimer = store.operation_by_claim("d" * 64)
    assert claimer is not None and claimer.id == "tx-b"
    assert len(store.operations(OperationQuery())) == len(store.tokens(TokenQuery())) == 2
    assert store.note(TakeLease("tx-b", "w", NOW + 9, NOW)) is not None
    assert store.note(TakeLease("nothing", "w", NOW + 9, NOW)) is None

    def both(transaction: Transaction) -> None:
        for npub in (ALICE, BOB):
            transaction.find("operations", {"npub": npub})

    with pytest.raises(CrossShard):
        store._gateway.transaction(both)
    with pytest.raises(CrossShard):
        store._gateway.transaction(lambda t: t.insert_many(KEYS, [{"_id": "x", "npub": ALICE}]))


# -- crashes ----------------------------------------------------------------------------------------


def crashes() -> Iterator[tuple[int, bool]]:
    yield from itertools.product(range(2), (True, False))


@pytest.mark.parametrize(("at", "before"), [*crashes()])
def test_r593_a_crash_at_any_point_blocks_the_claim_and_never_frees_it(
    ground: MemoryCluster, at: int, before: bool
) -> None:
    """R593: the process is killed before or after the claim of the keys, or before or after the transaction.
    Before its time is over nobody takes the claim over; afterwards it is taken over exactly when the first
    operation was not stored."""
    with pytest.raises(Crash):
        ground.store(Mortal, at=at, before=before).commit(paying("tx-a", ALICE))
    committed = holders(ground) == ["tx-a"]
    claimed = bool(ground.all(KEYS))
    assert committed == ((at, before) == (1, False)) and claimed == ((at, before) != (0, True))
    if claimed:
        with pytest.raises(Duplicate):
            ground.store().commit(paying("tx-b", BOB, at=NOW + CLAIM_MS))
        assert holders(ground) == ["tx-a"] * committed
    if committed:
        with pytest.raises(Duplicate):
            ground.store().commit(paying("tx-c", BOB, at=LATER))
    else:
        ground.store().commit(paying("tx-c", BOB, at=LATER))
    assert holders(ground) == (["tx-a"] if committed else ["tx-c"])


def test_r594_a_transaction_that_comes_after_the_takeover_never_commits(ground: MemoryCluster) -> None:
    """R594: a process is paused between claim and transaction, for longer than the key's time. Its key is
    taken over, its transaction comes afterwards and fails; it is told to decide again, and no clock was
    asked."""
    paused = ground.store()
    inner = paused._gateway.transaction

    def late(work: Any) -> None:
        ground.store().commit(paying("tx-b", BOB, at=LATER))
        inner(work)

    paused._gateway.transaction = late  # type: ignore[method-assign]
    with pytest.raises(Duplicate) as refused:
        paused.commit(paying("tx-a", ALICE))
    assert refused.value.key == "operation_id", "look again: it may be stored, and is not"
    assert holders(ground) == ["tx-b"] and ground.store().operation("tx-a") is None
    assert "revoked" in {d["ended"] for d in ground.all(ATTEMPTS)}, "it is never forgotten"


def test_r594_a_takeover_that_loses_to_the_transaction_finds_it(ground: MemoryCluster) -> None:
    """R594, the other order: the transaction commits while another operation is about to revoke it."""
    first = paying("tx-a", ALICE)
    with pytest.raises(Crash):
        ground.store(Mortal, at=0, before=False).commit(first)
    attempt = ground.all(KEYS)[0]["attempt"]
    taker = ground.store()
    revoke = taker._gateway.insert_new

    def beaten(collection: str, documents: Any) -> frozenset[str]:
        if collection == ATTEMPTS and not holders(ground):
            ours = keys.Attempt(attempt, keys.keys_of(first))
            late = ground.store()
            assert late._try(first, ours) is None  # the paused process goes on
        return revoke(collection, documents)

    taker._gateway.insert_new = beaten  # type: ignore[method-assign]
    with pytest.raises(Duplicate):
        taker.commit(paying("tx-b", BOB, at=LATER))
    assert holders(ground) == ["tx-a"]


class Unsure(TwoSets):
    """Answers "unknown" to its first transactions, after doing them or without."""

    applied = True
    times = 99

    def transaction(self, work: Any) -> None:
        self.times -= 1
        if self.times < 0 or self.applied:
            super().transaction(work)
        if self.times >= 0:
            raise GatewayUnknown("scripted")


@pytest.mark.parametrize("applied", [True, False])
def test_r595_an_unknown_commit_keeps_its_keys(ground: MemoryCluster, applied: bool) -> None:
    """R595: as long as it is not known whether a transaction committed, its keys stay claimed; afterwards
    they are taken over only when it did not."""
    batch = paying("tx-a", ALICE)
    if applied:
        ground.store(Unsure, applied=True, times=4).commit(batch)
    else:
        with pytest.raises(CommitUnknown):
            ground.store(Unsure, applied=False).commit(batch)
        assert ground.all(KEYS) and not holders(ground)
        with pytest.raises(Duplicate):
            ground.store().commit(paying("tx-b", BOB))
    taken = ground.store()
    if applied:
        with pytest.raises(Duplicate):
            taken.commit(paying("tx-b", BOB, at=LATER))
        assert holders(ground) == ["tx-a"]
        return
    taken.commit(paying("tx-b", BOB, at=LATER))
    assert holders(ground) == ["tx-b"]
    with pytest.raises(Duplicate):
        ground.store().commit(batch)  # the first one sends again
    assert holders(ground) == ["tx-b"]


def test_r595_the_same_batch_is_sent_again_after_an_unknown_commit(ground: MemoryCluster) -> None:
    """R595: the sender itself, in a new call, ends with the batch committed once."""
    batch = paying("tx-a", ALICE)
    with pytest.raises(CommitUnknown):
        ground.store(Unsure, applied=False).commit(batch)
    ground.store().commit(batch)
    ground.store().commit(batch)
    assert holders(ground) == ["tx-a"] and len(ground.all("audit_log")) == len(batch.audit)


# -- letting go --------------------------------------------------------------------------------------


def test_r596_keys_are_free_when_the_documents_let_go_of_them(ground: MemoryCluster) -> None:
    """R596: a claim passes to another operation only when the stored operation that held it let go of it (it
    ended unpaid); no time frees it, and an id, a token and a proof never become free."""
    quote = Quote("q", 100, 2, 9)
    first = paying("tx-a", ALICE, quote=quote)
    store = ground.store()
    store.commit(first)
    op = store.operation("tx-a", ALICE)
    assert op is not None
    for days in (0, 1, 1000):
        with pytest.raises(Duplicate):
            ground.store().commit(paying("tx-b", BOB, at=NOW + days * 86_400_000))
    ended = evolve(op, state="rejected", claim=None, finished_at=NOW)
    store.commit(batch_for(ended, op))
    if ground.forgets:  # whether the attempt ended is not known any more: within its time it may be under way
        with pytest.raises(Duplicate):
            ground.store().commit(paying("tx-b", BOB, quote=quote, at=NOW + CLAIM_MS))
        assert holders(ground) == []
    ground.store().commit(paying("tx-b", BOB, quote=quote, at=LATER if ground.forgets else NOW))
    assert holders(ground) == ["tx-b"]
    with pytest.raises(Duplicate) as refused:
        ground.store().commit(paying("tx-a", BOB, claim="e" * 64, at=LATER))
    assert refused.value.key == "operation_id"


def test_r597_a_refused_batch_gives_its_keys_back_at_once(ground: MemoryCluster) -> None:
    """R597: after a Conflict, a refusal or a value that cannot be stored nothing was committed, and the next
    batch of the operation need not wait for the keys."""
    store = ground.store()
    token = make_token("t", npub=ALICE)
    store.commit(batch_for(make_operation("tx-0", npub=ALICE), tokens=[token]))
    stored = store.token("t")
    assert stored is not None
    stale = evolve(stored, version=7)
    taken = evolve(stale, state="reserved", reserved_by="tx-a")
    op = make_operation("tx-a", npub=ALICE, claim=HASH)
    with pytest.raises(Conflict):
        store.commit(batch_for(op, tokens=[(stale, taken)]))
    assert len(ground.all(KEYS)) == 5, "those of the first batch"
    with pytest.raises(InvalidBatch):
        store.commit(evolve(batch_for(op), id="half a character \ud800"))
    assert len(ground.all(KEYS)) == 5
    store.commit(batch_for(op, batch_id="again"))
    assert holders(ground) == ["tx-a"]


def test_r597_keys_that_cannot_be_given_back_are_only_late(ground: MemoryCluster) -> None:
    """R597: the store is gone when the keys are to be given back. The refusal is still the one that
    happened."""
    ground.store().commit(paying("tx-a", ALICE))
    store = ground.store()

    def gone(collection: str, filter: Any) -> int:
        raise GatewayUnavailable("gone")

    store._gateway.delete_many = gone  # type: ignore[method-assign]
    with pytest.raises(Duplicate):
        store.commit(paying("tx-b", BOB))
    ground.store().commit(paying("tx-b", BOB, claim=None, at=LATER))


def test_r598_two_workers_of_one_operation_take_turns(ground: MemoryCluster) -> None:
    """R598: a worker died between claim and transaction of a step; the next worker of the same operation does
    not wait for the key's time, and the dead one's transaction never commits."""
    store = ground.store()
    store.commit(paying("tx-a", ALICE))
    op = store.operation("tx-a", ALICE)
    assert op is not None

    def step(name: str) -> Batch:
        quoted = evolve(op, state="quoted", quote=Quote("q", 100, 2, 9))
        return batch_for(quoted, op, batch_id=name)

    with pytest.raises(Crash):
        ground.store(Mortal, at=0, before=False).commit(step("dead"))
    dead = next(d["attempt"] for d in ground.all(KEYS) if d["_id"].startswith("quote|"))
    ground.store().commit(step("next"))
    late = ground.store()._try(step("dead"), keys.Attempt(dead, keys.keys_of(step("dead"))))
    assert isinstance(late, Conflict)
    after = ground.store().operation("tx-a", ALICE)
    assert after is not None and after.version == op.version + 1


class Late(TwoSets):
    """The answer of the first transaction is lost and it arrives later; the next ones are refused by what
    another one left."""

    tried = 0

    def transaction(self, work: Any) -> None:
        self.tried += 1
        if self.tried == 1:
            raise GatewayUnknown("scripted")
        if self.tried <= 3:
            raise GatewayDuplicate("operations", "_id_")
        super().transaction(work)


def test_r595_a_refusal_after_an_unknown_commit_keeps_the_keys(ground: MemoryCluster) -> None:
    """R595: a sending stayed unknown, the next ones were refused. The first may still commit, so its keys are
    not given back, and when it does commit nobody else has them."""
    batch, store = paying("tx-a", ALICE), ground.store(Late)
    with pytest.raises(Duplicate):
        store.commit(batch)
    claimed = next(d for d in ground.all(KEYS) if d["_id"].startswith("claim|"))
    late = keys.Attempt(claimed["attempt"], keys.keys_of(batch))
    assert ground.store()._try(batch, late) is None
    with pytest.raises(Duplicate):
        ground.store().commit(paying("tx-b", BOB, at=LATER))
    assert holders(ground) == ["tx-a"]


def test_r595_a_resent_attempt_gives_way_to_no_other(ground: MemoryCluster) -> None:
    """R595: the first sending did commit, its answer was lost. Before the second sending the operation ended
    unpaid, and another attempt with a smaller id waits with the claim: the id, the token and the proofs of
    the committed batch keep their keys, so no other wallet can store the same proof."""
    batch = paying("tx-a", ALICE)
    other = paying("tx-b", BOB)
    claim = next(key for key in keys.keys_of(other) if key.name == "claim")

    class Lost(Unsure):
        times = 1

        def transaction(self, work: Any) -> None:
            try:
                super().transaction(work)
            except GatewayUnknown:
                store = ground.store()
                op = store.operation("tx-a", ALICE)
                assert op is not None
                store.commit(batch_for(evolve(op, state="rejected", claim=None, finished_at=NOW), op))
                ground.store()._keys.claim(other, keys.Attempt("!", (claim,)))
                raise

    ground.store(Lost).commit(batch)
    wanted = {key.id for key in keys.keys_of(batch)} - {claim.id}
    assert wanted <= {entry["_id"] for entry in ground.all(KEYS)}
    again = batch_for(make_operation("tx-c", npub=BOB), tokens=[evolve(batch.tokens[0].after, npub=BOB)])
    with pytest.raises(Duplicate):
        ground.store().commit(again)
    ground.check_keys()


def test_r599_a_taker_that_is_late_does_not_steal(ground: MemoryCluster) -> None:
    """R599: two operations find the same orphan key. The first takes it over and commits; the second, which
    saw the orphan too, changes nothing."""
    with pytest.raises(Crash):
        ground.store(Mortal, at=0, before=False).commit(paying("tx-a", ALICE))
    second = ground.store()
    take = second._gateway.find_one_and_update

    def beaten(collection: str, filter: Any, update: Any) -> Any:
        if not holders(ground):
            ground.store().commit(paying("tx-b", BOB, at=LATER))
        return take(collection, filter, update)

    second._gateway.find_one_and_update = beaten  # type: ignore[method-assign]
    with pytest.raises(Duplicate):
        second.commit(paying("tx-c", ALICE, at=LATER))
    assert holders(ground) == ["tx-b"]


def test_r599_of_two_that_wait_for_each_other_one_gives_way(
    ground: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R599: two attempts each have a key that the other one wants. The one with the greater id gives its keys
    back, so the other commits, and it ends with Duplicate itself."""
    quote = Quote("q", 100, 2, 9)
    first, second = paying("tx-a", ALICE, quote=quote), paying("tx-b", BOB, quote=quote)
    one, other = (keys.Attempt(name, keys.keys_of(batch)) for name, batch in (("1", first), ("2", second)))
    store = ground.store()
    claim = next(key for key in one.keys if key.name == "claim")
    store._keys.claim(first, keys.Attempt(one.id, (claim,)))
    ended: list[Any] = []

    def meanwhile(seconds: float) -> None:
        monkeypatch.setattr("nutstate.storage.mongo.keys.time.sleep", lambda seconds: None)
        ended.append(store._try(first, one))

    monkeypatch.setattr("nutstate.storage.mongo.keys.time.sleep", meanwhile)
    lost = ground.store()._try(second, other)
    assert ended == [None] and isinstance(lost, Duplicate)
    assert holders(ground) == ["tx-a"]


# -- races on real servers ------------------------------------------------------------------------------


@pytest.fixture
def stores(mongo_cluster: Cluster) -> Iterator[list[MongoStore]]:
    name = mongo_cluster.take()
    opened = [mongo_cluster.open(name) for _ in range(4)]
    yield opened
    for store in opened:
        store.close()
    mongo_cluster.give_back(name)


@pytest.mark.real_mongo
@pytest.mark.cluster
def test_r599_of_many_processes_one_gets_the_key(stores: list[MongoStore]) -> None:
    """R599: four processes of two wallets claim one invoice and one quote at the same moment, many times: one
    commits, the others get Duplicate, and each shard and ``global_keys`` agree who it was."""
    for n in range(20):
        claim, quote = f"{n:064x}", Quote(f"q{n}", 100, 2, 9)
        batches = [
            paying(f"tx-{n}-{w}", npub, claim=claim, quote=quote)
            for w, npub in enumerate((ALICE, BOB, ALICE, BOB))
        ]
        results = together(
            [partial(store.commit, batch) for store, batch in zip(stores, batches, strict=True)], (Duplicate,)
        )
        assert [r is None for r in results].count(True) <= 1, results
        held = [o for o in stores[0].operations(OperationQuery()) if o.claim == claim]
        assert len(held) == [r is None for r in results].count(True)
        if held:
            assert stores[1].operation_by_claim(claim) == held[0]
            continue
        # all gave way to one another: the next one gets it
        stores[0].commit(paying(f"tx-{n}-next", BOB, claim=claim, quote=quote))


@pytest.mark.real_mongo
@pytest.mark.cluster
def test_r599_a_key_changes_hands_under_load(stores: list[MongoStore]) -> None:
    """R599: each holder lets go of the claim as soon as it has it, while the others want it: it is never held
    twice, and every operation that got it had it alone."""
    claim, got = "f" * 64, []

    def work(store: MongoStore, worker: int) -> None:
        npub = (ALICE, BOB)[worker % 2]
        for n in range(10):
            batch = paying(f"tx-{worker}-{n}", npub, claim=claim)
            try:
                store.commit(batch)
            except (Duplicate, StoreUnavailable):
                continue
            op: Operation = batch.operation.after
            holders = [o.id for o in store.operations(OperationQuery()) if o.claim == claim]
            assert holders == [op.id], holders
            got.append(op.id)
            store.commit(batch_for(evolve(op, state="rejected", claim=None, finished_at=NOW), op))

    together([partial(work, store, number) for number, store in enumerate(stores)], ())
    assert len(got) >= 4
