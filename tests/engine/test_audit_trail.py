"""R129-R147: what the trail records, that every kind of meddling is seen, and what a purge leaves."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs
import pytest
from pymongo import MongoClient

from nutstate import Engine, InvalidArgument, NotFound, Refused, Secret, SimulatedMint, Store
from nutstate.engine.audit import records as building
from nutstate.engine.audit.verdicts import VerifyReport
from nutstate.engine.audit.verify import records_of
from nutstate.machines.registry import RELEASED
from nutstate.machines.spec import Decision
from nutstate.machines.token.table import STATUS_OF_STATE
from nutstate.storage.errors import Duplicate, StoreUnavailable
from nutstate.storage.mongo.codec import audit_document
from nutstate.storage.mongo.schema import AUDIT, TOMBSTONES
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery, TombstoneQuery
from nutstate.storage.records import AuditRecord
from nutstate.storage.rules.audit_hash import audit_canonical, audit_hash
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import FaultyStore
from tests.engine.test_preflight import Saying
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice

KEY = Secret("an audit key of some length")
YEAR_MS = 365 * 24 * 3600 * 1000


class Foreign:
    """A program that writes past nutstate, on any store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def _mongo(self, work: Callable[[Any], None]) -> None:
        assert isinstance(self.store, MongoStore)
        if self.store.url.startswith("memory:"):
            work(self.store._gateway._database.collections)  # type: ignore[attr-defined]
            return
        database = self.store._gateway._database  # type: ignore[attr-defined]
        host, port = database.client.address
        with MongoClient[dict[str, Any]](host, port, directConnection=True) as client:
            work(client[database.name])

    def _sqlite(self, statement: str, *values: Any) -> None:
        assert isinstance(self.store, SqliteStore)
        with closing(sqlite3.connect(self.store._path)) as db, db:
            rules = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in rules:
                db.execute(f"DROP TRIGGER {name}")
            assert db.execute(statement, values).rowcount
            for _, sql in rules:
                db.execute(sql)

    def remove(self, record: AuditRecord) -> None:
        if isinstance(self.store, SqliteStore):
            self._sqlite("DELETE FROM audit WHERE id = ?", record.id)
        else:
            self._mongo(lambda db: db[AUDIT].delete_one({"_id": record.id}))

    def write(self, record: AuditRecord) -> None:
        """Insert, or put in place of what is there."""
        if isinstance(self.store, SqliteStore):
            names = ("id", "operation_id", "seq", "entity", "version", "batch_id", "hash")
            values = [getattr(record, name) for name in names]
            self._sqlite(
                f"INSERT OR REPLACE INTO audit ({', '.join(names)}, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *values, audit_canonical(record),
            )  # fmt: skip
        else:
            new, past_rules = audit_document(record, NPUB), {"bypass_document_validation": True}
            self._mongo(lambda db: db[AUDIT].replace_one({"_id": record.id}, new, upsert=True, **past_rules))

    def set(self, table: str, name: str, **values: Any) -> None:
        """Change fields of an operation, a token or a tombstone."""
        if isinstance(self.store, SqliteStore):
            key = {"operations": "id", "cashu_tokens": "transaction_id", TOMBSTONES: "operation_id"}[table]
            where = {"cashu_tokens": "tokens"}.get(table, table)
            sets = ", ".join(f"{field} = ?" for field in values)
            self._sqlite(f"UPDATE {where} SET {sets} WHERE {key} = ?", *values.values(), name)
        else:
            key = "transaction_id" if table == "cashu_tokens" else "_id"
            self._mongo(lambda db: db[table].update_one({key: name}, {"$set": values}))


@pytest.fixture
def wallet(store: Store) -> tuple[Engine, SimulatedMint, FakeClock]:
    engine, mint, clock = funded(store, audit_key=KEY)
    for amount in (100, 30):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock))
    return engine, mint, clock


def melt_trail(engine: Engine) -> list[AuditRecord]:
    (_, last) = (op for op in engine.operations(kind="melt"))
    return records_of(engine.store, last.id)


def rehashed(record: AuditRecord, **changes: Any) -> AuditRecord:
    record = attrs.evolve(record, **changes)
    return attrs.evolve(record, hash=audit_hash(record))


def verdicts(engine: Engine, operation_id: str) -> tuple[VerifyReport, VerifyReport]:
    one, everything = engine.verify_audit(operation_id), engine.verify_audit()
    assert one.holds == everything.holds
    return one, everything


def test_an_untouched_trail_verifies(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R142-R144: nothing is reported where nothing was done."""
    engine = wallet[0]
    seen: list[tuple[int, int]] = []
    report = engine.verify_audit(progress=lambda done, total: seen.append((done, total)))
    assert report.holds and not report.faults and report.as_dict()["holds"] is True
    assert report.operations == 3 and report.records == len(engine.store.audit(AuditQuery()))
    assert seen == [(3, 3)]
    one = engine.verify_audit(melt_trail(engine)[0].operation_id)
    assert one.holds and one.operations == 1
    with pytest.raises(NotFound):
        engine.verify_audit("tx_nobody")


CHANGES: dict[str, dict[str, Any]] = {
    "actor": {"actor": "somebody"},
    "at": {"at": 5},
    "verdicts": {"verdicts": {}},
    "data": {"data": {"amount": 1}},
    "event": {"event": "cancel"},
    "compliance_level": {"compliance_level": "STANDARD"},
    "expires_at": {"expires_at": None},
    "to_state": {"to_state": "paid"},
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_record_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock], field: str) -> None:
    """R142: whichever field it is, also when the record was hashed again."""
    engine = wallet[0]
    trail = melt_trail(engine)
    record = next(r for r in trail[2:] if attrs.evolve(r, **CHANGES[field]) != r)
    for changed in (attrs.evolve(record, **CHANGES[field]), rehashed(record, **CHANGES[field])):
        Foreign(engine.store).write(changed)
        for report in verdicts(engine, record.operation_id):
            assert report.changed and not report.missing and not report.added
            assert {f.operation_id for f in report.changed} <= {record.operation_id, None}
            assert record.seq in {f.seq for f in report.changed}
    Foreign(engine.store).write(record)
    assert engine.verify_audit().holds


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_missing_record_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock], place: int) -> None:
    """R143: the first, one in the middle, the last."""
    engine = wallet[0]
    record = melt_trail(engine)[place]
    Foreign(engine.store).remove(record)
    for report in verdicts(engine, record.operation_id):
        assert report.missing and not report.changed and not report.added
        assert record.seq in {f.seq for f in report.missing}


def test_a_trail_that_is_gone_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R143: an operation of which the log holds nothing."""
    engine = wallet[0]
    trail = melt_trail(engine)
    for record in trail:
        Foreign(engine.store).remove(record)
    report = engine.verify_audit()
    assert {f.seq for f in report.missing if f.operation_id == trail[0].operation_id} >= {1, len(trail)}


def test_an_added_record_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R144: in an operation's chain, of an unknown entity, of an unknown operation."""
    engine = wallet[0]
    trail = melt_trail(engine)
    last = trail[-1]
    more = {"id": "x", "seq": last.seq + 1, "prev_hash": last.hash, "version": last.version + 1}
    name = "tx_melt_of_nobody"
    for fake in (
        rehashed(last, **more),
        rehashed(last, **(more | {"entity": "token:nobody", "version": 1, "from_state": "none"})),
        rehashed(trail[0], id="x", operation_id=name, entity=f"operation:{name}"),
    ):
        Foreign(engine.store).write(fake)
        for report in verdicts(engine, fake.operation_id):
            assert report.added and not report.changed and not report.missing
            assert fake.operation_id in {f.operation_id for f in report.added}
        Foreign(engine.store).remove(fake)
        assert engine.verify_audit().holds


def test_a_state_that_no_record_led_to_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R142-R144: money that was changed behind the log, consistently in itself."""
    engine = wallet[0]
    token = next(t for t in engine.store.tokens(TokenQuery(states=("unspent",))) if t.total_amount)
    changed = {"state": "reserved", "status": STATUS_OF_STATE["reserved"], "prev_state": "unspent"}
    Foreign(engine.store).set(
        "cashu_tokens", token.transaction_id, version=token.version + 1, reserved_by="x", **changed
    )
    report = engine.verify_audit()
    assert [(f.kind, f.entity) for f in report.faults] == [("missing", f"token:{token.transaction_id}")]


@pytest.mark.parametrize("purged", [False, True], ids=["", "after a purge"])
def test_a_token_that_changed_hands_is_seen(
    wallet: tuple[Engine, SimulatedMint, FakeClock], purged: bool
) -> None:
    """R142-R144: state and version are as before, but it belongs to another owner now."""
    engine, mint, clock = wallet
    if purged:
        later(engine, clock, 8)
        assert engine.purge_audit().operations
    for token in engine.store.tokens(TokenQuery(states=("unspent",))):
        foreign = Foreign(engine.store)
        foreign.set("cashu_tokens", token.transaction_id, npub="npub1somebodyelse")
        report = engine.verify_audit()
        assert [(f.kind, f.entity) for f in report.faults] == [("changed", f"token:{token.transaction_id}")]
        foreign.set("cashu_tokens", token.transaction_id, npub=token.npub)
        assert engine.verify_audit().holds


def test_writers_never_look_like_a_broken_chain(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R142: verified while another worker pays."""
    engine, mint, clock = wallet
    stop = threading.Event()

    def pay() -> None:
        while not stop.is_set():
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1, clock))

    payer = threading.Thread(target=pay)
    payer.start()
    try:
        for _ in range(4):
            report = engine.verify_audit()
            assert report.holds, report.faults
    finally:
        stop.set()
        payer.join()
    assert engine.verify_audit().holds


# -- listing and exporting -------------------------------------------------------------------------


def test_listing(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R145: by operation, entity, level and time, page by page."""
    engine = wallet[0]
    everything = engine.store.audit(AuditQuery())
    first = engine.audit(limit=4)
    rest = engine.audit(after=(first[-1].operation_id, first[-1].seq), limit=10_000)
    assert [*first, *rest] == list(everything)
    trail = melt_trail(engine)
    assert list(engine.audit(trail[0].operation_id)) == trail
    high = engine.audit(levels=["HIGH"], limit=1000)
    assert high and {r.compliance_level for r in high} == {"HIGH"}
    assert [r.version for r in engine.audit(entity=trail[-1].entity)]
    assert engine.audit(until=0) == ()
    first = engine.audit(since=0, limit=4)
    rest = engine.audit(since=0, after=(first[-1].operation_id, first[-1].seq), limit=10_000)
    by_time = sorted(everything, key=lambda record: (record.at, record.operation_id, record.seq))
    assert [*first, *rest] == by_time, "R542"
    with pytest.raises(NotFound):  # it was purged, perhaps: the pages begin anew
        engine.audit(since=0, after=(first[-1].operation_id, 10_000))
    for wrong in ({"levels": ["x"]}, {"limit": 0}, {"since": -1}, {"entity": ""}):
        with pytest.raises(InvalidArgument):
            engine.audit(**wrong)


def test_export_is_what_was_hashed(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R145: JSON lines, each the hash and exactly the text that was hashed."""
    engine = wallet[0]
    lines: list[str] = []
    seen: list[int] = []
    number = engine.export_audit(lines.append, progress=lambda done, total: seen.append(done))
    records = engine.store.audit(AuditQuery())
    assert number == len(lines) == len(records) == seen[-1]
    for line, record in zip(lines, records, strict=True):
        assert line == f'{{"hash":"{record.hash}",{audit_canonical(record)[1:]}\n'
        assert json.loads(line) == json.loads(json.dumps(attrs.asdict(record)))
    assert engine.export_audit(lines.append, levels=["CRITICAL"]) == 0


def test_an_export_of_many_pages_leaves_nothing_out(
    wallet: tuple[Engine, SimulatedMint, FakeClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record just behind the end of a page is the one that an auditor would miss."""
    monkeypatch.setattr("nutstate.engine.api.audit._EXPORT_PAGE", 1)
    lines: list[str] = []
    wallet[0].export_audit(lines.append)
    hashes = [json.loads(line)["hash"] for line in lines]
    assert hashes == [record.hash for record in wallet[0].store.audit(AuditQuery())]


# -- purging ---------------------------------------------------------------------------------------


def later(engine: Engine, clock: FakeClock, years: float) -> None:
    clock.sleep(years * YEAR_MS / 1000)


def test_only_expired_trails_of_ended_operations_go(
    wallet: tuple[Engine, SimulatedMint, FakeClock],
) -> None:
    """R134, R135, R136: 7 years for money, and the trail still verifies from the tombstones."""
    engine, mint, clock = wallet
    open_one = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    before = engine.store.audit(AuditQuery())
    later(engine, clock, 6.99)
    assert engine.purge_audit().operations == ()
    later(engine, clock, 0.02)
    would = engine.purge_audit(dry_run=True)
    assert len(would.operations) == 3 and open_one.id not in would.operations and not would.broken
    assert engine.purge_audit(before=0).operations == ()
    assert list(engine.store.audit(AuditQuery())) == list(before)
    report = engine.purge_audit()
    assert attrs.evolve(report, dry_run=True) == would
    left = engine.store.audit(AuditQuery())
    assert {r.operation_id for r in left} == {open_one.id}
    assert report.records == len(before) - len(left)
    verified = engine.verify_audit()
    assert verified.holds and verified.tombstoned == 3 and verified.unchecked == 0, verified.faults
    assert engine.verify_audit(report.operations[0]).holds
    assert engine.purge_audit().operations == ()
    without_key = Engine(engine.store, mint, settings=QUICK, clock=clock)
    assert without_key.verify_audit().holds and without_key.verify_audit().unchecked == 3
    engine.cancel(open_one.id)
    assert engine.verify_audit().holds


def test_nothing_goes_before_its_time_whatever_the_caller_names(
    wallet: tuple[Engine, SimulatedMint, FakeClock],
) -> None:
    """A moment in the future, a typing error in years, must not delete what has to be kept until then."""
    engine, _, clock = wallet
    records = list(engine.store.audit(AuditQuery()))
    assert engine.purge_audit(before=clock.now() + 20 * YEAR_MS).operations == ()
    ends = {r.operation_id: max(x.expires_at or 0 for x in records if x.operation_id == r.operation_id)
            for r in records}  # fmt: skip
    first = min(ends.values())
    clock.wall = first
    assert engine.purge_audit().operations == (), "it is kept until this moment"
    assert list(engine.store.audit(AuditQuery())) == records
    clock.wall = first + 1
    assert set(engine.purge_audit().operations) == {name for name, end in ends.items() if end == first}


def test_a_purge_is_no_discrepancy(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R118, R119, R136: what is left of a trail accounts for the operation and the tokens it made."""
    engine, mint, clock = wallet
    saying = Saying(mint)
    (token,) = engine.store.tokens(TokenQuery(states=("unspent",), limit=1))
    saying.lies = {str(token.proofs[0].Y): ["SPENT"]}
    assert engine.preflight(NPUB, mint.url, correct=True).corrected
    for years in (8, 3):  # the records of the correction are CRITICAL and stay longer
        later(engine, clock, years)
        assert engine.purge_audit().operations
        for handle in engine.operations():
            report = engine.reconcile(handle.id)
            assert report.validation_passed, str(report)
        found = engine.reconcile_all()
        assert found.validation_passed, found.discrepancies_found
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(7, clock)).state == "reconciled"
    (stone, *_) = engine.store.tombstones(TombstoneQuery())
    Foreign(engine.store).set(TOMBSTONES, stone.operation_id, last_hash="f" * 64)
    assert not engine.reconcile(stone.operation_id).validation_passed


def test_a_purged_operation_is_still_reported_on(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R157: without its records only the operation's own document tells its state."""
    engine, _, clock = wallet
    name = melt_trail(engine)[0].operation_id
    before = engine.report(name)
    later(engine, clock, 8)
    engine.purge_audit()
    report = engine.report(name)
    assert before.state_ms.keys() and not report.state_ms and not report.recommendations
    assert (report.mint_calls, report.commit_tries) == (before.mint_calls, before.commit_tries)


def test_a_forged_tombstone_is_seen(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R135, R142: who has no key can take records away but cannot account for them."""
    engine, mint, clock = wallet
    later(engine, clock, 8)
    name = engine.purge_audit().operations[0]
    other = Engine(engine.store, mint, settings=QUICK, clock=clock, audit_key=b"another key, as long")
    assert [f.kind for f in other.verify_audit(name).faults] == ["changed"]
    Foreign(engine.store).set(TOMBSTONES, name, purged_at=5)
    for report in verdicts(engine, name):
        assert [f.operation_id for f in report.changed] == [name]


def test_a_trail_that_is_not_whole_is_not_purged(wallet: tuple[Engine, SimulatedMint, FakeClock]) -> None:
    """R135: a purge must not hide what was done to a trail."""
    engine, _, clock = wallet
    record = melt_trail(engine)[3]
    Foreign(engine.store).write(attrs.evolve(record, actor="somebody"))
    later(engine, clock, 8)
    report = engine.purge_audit()
    assert record.operation_id in report.broken and record.operation_id not in report.operations
    assert not engine.store.tombstones(TombstoneQuery(operation_ids=(record.operation_id,)))


@pytest.mark.parametrize("key", [b"short", "text", 5])
def test_purging_needs_a_key(wallet: tuple[Engine, SimulatedMint, FakeClock], key: Any) -> None:
    """R135"""
    engine, mint, clock = wallet
    with pytest.raises(Refused) as refused:
        Engine(engine.store, mint, clock=clock).purge_audit()
    assert refused.value.code == "AUDIT_KEY_MISSING"
    with pytest.raises(InvalidArgument) as wrong:
        Engine(engine.store, mint, clock=clock, audit_key=key)
    assert wrong.value.code == "INVALID_AUDIT_KEY"


# -- what is recorded --------------------------------------------------------------------------------


def test_one_record_per_transition_in_the_same_commit(
    wallet: tuple[Engine, SimulatedMint, FakeClock],
) -> None:
    """R129, R130: every version of every operation and token has its record."""
    store = wallet[0].store
    for op in store.operations(OperationQuery()):
        trail = store.audit(AuditQuery(entity=f"operation:{op.id}"))
        assert [r.version for r in trail] == list(range(1, op.version + 1))
    for token in store.tokens(TokenQuery()):
        trail = store.audit(AuditQuery(entity=f"token:{token.transaction_id}"))
        assert [r.version for r in trail] == list(range(1, token.version + 1))


@pytest.mark.parametrize("word", ["unavailable", "conflict"])
def test_without_its_record_nothing_is_committed(store: Store, word: Any) -> None:
    """R146, R147: the record is part of the commit; what fails is raised, and nothing is there."""
    engine, mint, clock = funded(store)
    failing = Engine(FaultyStore(store, [word] * 99), mint, settings=QUICK, clock=clock)
    before = len(store.audit(AuditQuery())), len(store.operations(OperationQuery()))
    with pytest.raises(Exception):  # noqa: B017 - which one depends on the word
        failing.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    assert (len(store.audit(AuditQuery())), len(store.operations(OperationQuery()))) == before


def test_a_place_in_the_log_that_is_taken_fails_the_commit(store: Store) -> None:
    """R146, R147: the store cannot write the record of a transition, so the transition does not happen."""
    engine, mint, clock = funded(store)
    melt = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    last = records_of(store, melt.id)[-1]
    taken = rehashed(last, id="taken", seq=last.seq + 1, entity="token:x", version=1, from_state="none")
    Foreign(store).write(taken)
    with pytest.raises((Duplicate, StoreUnavailable)):
        engine.confirm(melt.id)
    stored = store.operation(melt.id)
    assert stored is not None and (stored.state, stored.version) == (melt.state, melt.record.version)


def decision(*effects: str) -> Decision:
    return Decision("melt@1", "a", "e", "accepted", "b", effects=effects)


def test_every_effect_has_a_level() -> None:
    """R131, R132, R133: what moves money is HIGH, an alarm CRITICAL, the rest STANDARD."""
    bookkeeping = {
        "store_quote", "record_reason", "take_claim", "drop_claim", "write_blanks", "write_request",
        "write_fence", "stamp_empty", "stamp_watch", "reset_tries", "stamp_refusal", "restart_patience",
        "stamp_unspent", "forget_unspent", "stamp_paid", "count_watch", "count_refusal",
        "expect_token", "fail_token", "write_outputs", "end_fence", "note_refusal",
        "claim_token", "let_token_go", "note_clear_refusal", "write_receive", "write_swap",
    }  # fmt: skip
    for effect, level in {(e.name, m.level((e.name,))) for m in RELEASED for e in m.effects}:
        assert level == ("STANDARD" if effect in bookkeeping else "CRITICAL" if effect == "alarm" else "HIGH")


def test_every_discrepancy_is_critical() -> None:
    """R132: whatever leads into a state of contradiction raises the alarm, so its record is CRITICAL."""
    parked = ("attention", "discrepant", "contested")
    into = [
        (m, t)
        for m in RELEASED
        if m.name != "token"
        for t in m.transitions
        if (t.dest in parked and t.source != t.dest) or "correct_spent" in t.effects
    ]
    quiet = {(t.source, t.event) for m, t in into if m.level(t.effects) != "CRITICAL"}
    assert into and not quiet, quiet


@pytest.mark.parametrize(("effect", "policy", "years"), [("store_quote", "1y", 1), ("spend_inputs", "7y", 7),
                                                         ("alarm", "10y", 10)])  # fmt: skip
def test_each_level_has_its_retention(effect: str, policy: str, years: int) -> None:
    """R134"""
    (machine,) = (m for m in RELEASED if m.name == "melt")
    record = building.build(
        machine=machine, decision=decision(effect), operation_id="o", entity="operation:o", version=1, seq=1,
        actor="caller", at=1000, batch_id="b", data={},
    )  # fmt: skip
    assert record.retention_policy == policy and record.expires_at == 1000 + years * YEAR_MS
