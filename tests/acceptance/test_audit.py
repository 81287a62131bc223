"""R129 to R147: the trail, what is in it, and that meddling with it is seen."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from nutstate import AuditRecord, Engine, NutstateError, Secret, SimulatedMint, Store
from nutstate.engine.audit.sanitise import sanitise
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.rules.audit_hash import audit_hash
from nutstate.storage.testing.records import FaultyStore
from tests.engine.test_preflight import Saying
from tests.engine.test_secrets import markers
from tests.support.clock import FakeClock
from tests.support.everything import everything
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

YEAR_MS = 365 * 24 * 3600 * 1000
YEARS = {"STANDARD": ("1y", 1), "HIGH": ("7y", 7), "CRITICAL": ("10y", 10)}
KEY = Secret("an audit key of some length")


@attrs.frozen
class Scene:
    engine: Engine
    mint: SimulatedMint
    clock: FakeClock
    melt: str
    bolt11: str

    @property
    def store(self) -> Store:
        return self.engine.store

    @property
    def trail(self) -> tuple[AuditRecord, ...]:
        return self.engine.audit(self.melt, limit=1000)

    def later(self, years: float) -> None:
        self.clock.advance(years * YEAR_MS / 1000)

    def faults(self) -> tuple[bool, bool, bool]:
        """Changed, missing and added records; of the one operation and of everything alike."""
        one, everywhere = self.engine.verify_audit(self.melt), self.engine.verify_audit()
        kinds = [(bool(r.changed), bool(r.missing), bool(r.added)) for r in (one, everywhere)]
        assert kinds[0] == kinds[1]
        return kinds[0]


@pytest.fixture
def scene(store: Store) -> Scene:
    engine, mint, clock = funded(store, audit_key=KEY)
    bolt11 = invoice(100, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    return Scene(engine, mint, clock, melt.id, bolt11)


def all_records(store: Store) -> Sequence[AuditRecord]:
    return store.audit(AuditQuery(limit=10_000))


class Stripping:
    """A store whose every commit lost its audit records on the way."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def commit(self, batch: Any, *args: Any, **more: Any) -> Any:
        return self._store.commit(attrs.evolve(batch, audit=()), *args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_r129_one_record_per_transition(scene: Scene) -> None:
    """One record per transition, in the same transaction as the change."""
    for op in scene.store.operations(OperationQuery()):
        records = scene.engine.audit(entity=f"operation:{op.id}")
        assert [r.version for r in records] == list(range(1, op.version + 1))
        assert records[-1].to_state == op.state
    for token in scene.store.tokens(TokenQuery()):
        records = scene.engine.audit(entity=f"token:{token.transaction_id}")
        assert [r.version for r in records] == list(range(1, token.version + 1))
        assert records[-1].to_state == token.state


def test_r130_no_operation_without_its_record(scene: Scene) -> None:
    """An operation without its audit record cannot exist: the store refuses to commit it."""
    before = everything(scene.store)
    stripping: Any = Stripping(scene.store)
    with pytest.raises(Exception, match="audit"):
        Engine(stripping, scene.mint, clock=scene.clock, settings=QUICK).melt(
            npub=NPUB, mint_url=scene.mint.url, invoice=invoice(5, scene.clock)
        )
    assert everything(scene.store) == before


def test_r131_every_movement_of_money_is_high(scene: Scene) -> None:
    """`compliance_level` is HIGH for every movement of money: reserving, paying, spending, issuing."""
    held = [r for r in all_records(scene.store) if r.entity.startswith("token:")]
    moves = [r for r in held if r.to_state in ("unspent", "reserved", "spent")]
    assert {r.to_state for r in moves} == {"unspent", "reserved", "spent"}
    assert {r.compliance_level for r in moves} == {"HIGH"}
    assert {r.compliance_level for r in scene.trail if r.event == "pay"} == {"HIGH"}


def test_r132_every_discrepancy_is_critical(scene: Scene) -> None:
    """`compliance_level` is CRITICAL for every discrepancy and every alarm."""
    assert not scene.engine.audit(levels=["CRITICAL"])
    (token,) = scene.store.tokens(TokenQuery(states=("unspent",), limit=1))
    Saying(scene.mint).all_of(token, "SPENT")
    scene.engine.preflight(NPUB, scene.mint.url, sources=[token.transaction_id], correct=True)
    Foreign(scene.store).put(attrs.evolve(scene.trail[2], actor="x"))
    check = scene.engine.reconcile(scene.melt).check_id
    critical = scene.engine.audit(levels=["CRITICAL"])
    assert {r.event for r in critical} >= {"found_spent", "found_wrong"}
    assert check in {r.operation_id for r in critical}


def test_r133_the_rest_is_standard(scene: Scene) -> None:
    """`compliance_level` is STANDARD otherwise."""
    assert {r.compliance_level for r in scene.trail if r.event == "reconcile_passed"} == {"STANDARD"}
    assert {r.compliance_level for r in all_records(scene.store)} == {"STANDARD", "HIGH"}


def test_r134_each_level_has_its_retention(scene: Scene) -> None:
    """STANDARD 1 year, HIGH 7 years, CRITICAL 10 years."""
    Foreign(scene.store).put(attrs.evolve(scene.trail[2], actor="x"))
    scene.engine.reconcile(scene.melt)
    records = all_records(scene.store)
    assert {r.compliance_level for r in records} == set(YEARS)
    for record in records:
        policy, years = YEARS[record.compliance_level]
        assert (record.retention_policy, record.expires_at) == (policy, record.at + years * YEAR_MS)


def test_r135_r136_purge_leaves_tombstones_that_verify(scene: Scene) -> None:
    """Expired records of ended operations only; a tombstone is left, and the chain still verifies."""
    still_open = scene.engine.prepare_melt(
        npub=NPUB, mint_url=scene.mint.url, invoice=invoice(5, scene.clock)
    ).id
    scene.later(6.99)
    assert scene.engine.purge_audit().operations == ()
    scene.later(0.02)
    purged = scene.engine.purge_audit()
    assert scene.melt in purged.operations and still_open not in purged.operations
    assert not scene.trail and scene.engine.audit(still_open)
    report = scene.engine.verify_audit()
    assert report.holds and report.tombstoned == len(purged.operations) == 2


def test_r136_a_purge_hides_no_missing_record(scene: Scene) -> None:
    """After a purge the chain still verifies, and what is done to the rest is still seen."""
    scene.later(8)
    other = scene.engine.melt(npub=NPUB, mint_url=scene.mint.url, invoice=invoice(5, scene.clock)).id
    assert scene.engine.purge_audit().operations and scene.engine.verify_audit().holds
    Foreign(scene.store).delete(scene.engine.audit(other)[3])
    assert scene.engine.verify_audit().missing


SECRET, PREIMAGE = "5ec2e7" + "ab" * 29, "cd" * 32
BOLT11 = invoice(21)
DIRTY: dict[str, Any] = {
    "secret": SECRET, "C": "02" + SECRET, "preimage": PREIMAGE, "private_key": "ef" * 32,
    "token": "cashuBo2FtdWh0dHBzOi8vbWludA", "nsec": "nsec1" + "q" * 58,
}  # fmt: skip


@pytest.mark.parametrize("depth", [0, 1, 4, 40])
def test_r137_r138_r140_secrets_go_at_any_depth(depth: int) -> None:
    """Secrets, C, preimages, keys and tokens are removed at any depth; the caller's objects stay."""
    value: Any = {**DIRTY, "note": f"it was {DIRTY['token']}", "list": [dict(DIRTY)]}
    for n in range(depth):
        value = [value] if n % 2 else {"inner": value}
    before = copy.deepcopy(value)
    text = json.dumps(sanitise(value))
    assert not [hidden for hidden in DIRTY.values() if hidden in text]
    assert value == before


def test_r137_r140_r141_nothing_in_the_trail(scene: Scene) -> None:
    """Audit records are sanitised: no proof, preimage, key or invoice of the store is in any."""
    found = markers(scene.store)
    text = repr(all_records(scene.store))
    assert len(found) > 20 and not [marker for marker in found if marker in text]
    assert scene.bolt11 not in text


def test_r138_the_callers_words_are_not_touched(scene: Scene) -> None:
    """Sanitising must never touch the caller's objects: an expectation with secrets stays as it was."""
    expected = {"source_token_ids": [DIRTY["token"]], "balance_changes": {"expected_unspent_balance": 1}}
    before = copy.deepcopy(expected)
    assert not scene.engine.reconcile(scene.melt, expected).validation_passed
    assert expected == before and DIRTY["token"] not in repr(all_records(scene.store))


def test_r139_npub_and_y_are_shortened(scene: Scene) -> None:
    """npub and Y are shortened in audit records."""
    ys = {str(p.Y) for token in scene.store.tokens(TokenQuery()) for p in token.proofs}
    text = repr(all_records(scene.store))
    assert NPUB not in text and NPUB[:12] in text and not [y for y in ys if y in text]
    y = min(ys)
    assert sanitise({"Y": y, "npub": NPUB}) == {"Y": y[:12] + "…", "npub": NPUB[:12] + "…"}


def test_r141_an_invoice_goes_its_hash_stays(scene: Scene) -> None:
    """Invoices are removed from audit records at any depth; their hash is kept."""
    assert payment_hash(scene.bolt11) in repr(scene.trail) and scene.bolt11 not in repr(scene.trail)
    found = json.dumps(sanitise({"a": [{"invoice": BOLT11}], "b": {"note": f"pay {BOLT11}"}}))
    assert BOLT11 not in found and found.count(payment_hash(BOLT11)) == 2


def test_r142_r143_r144_an_untouched_trail_verifies(scene: Scene) -> None:
    """`audit verify` accepts an unchanged trail."""
    report = scene.engine.verify_audit()
    assert report.holds and report.records == len(all_records(scene.store)) > len(scene.trail) > 5
    assert scene.engine.verify_audit(scene.melt).holds


@pytest.mark.parametrize("hashed_again", [False, True])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_r142_a_changed_record(scene: Scene, place: int, hashed_again: bool) -> None:
    """`audit verify` detects a changed record, also one that was hashed again."""
    changed = attrs.evolve(scene.trail[place], actor="somebody")
    if hashed_again:
        changed = attrs.evolve(changed, hash=audit_hash(changed))
    Foreign(scene.store).put(changed)
    assert scene.faults() == (True, False, False)


@pytest.mark.parametrize("place", [0, 3, -1])
def test_r143_a_missing_record(scene: Scene, place: int) -> None:
    """`audit verify` detects a missing record, the last one too."""
    Foreign(scene.store).delete(scene.trail[place])
    assert scene.faults() == (False, True, False)


def test_r144_an_added_record(scene: Scene) -> None:
    """`audit verify` detects an added record."""
    last = scene.trail[-1]
    more = attrs.evolve(
        last, id=f"{scene.melt}#{last.seq + 1}", seq=last.seq + 1, version=last.version + 1,
        prev_hash=last.hash,
    )  # fmt: skip
    Foreign(scene.store).put(attrs.evolve(more, hash=audit_hash(more)))
    assert scene.faults() == (False, False, True)


def test_r145_listed_and_exported(scene: Scene) -> None:
    """The audit can be listed and exported as JSON lines."""
    lines: list[str] = []
    records = list(all_records(scene.store))
    assert scene.engine.export_audit(lines.append) == len(lines) == len(records)
    for line, record in zip(lines, records, strict=True):
        told = json.loads(line)
        assert line.endswith("\n") and (told["id"], told["hash"]) == (record.id, record.hash)
    first = scene.engine.audit(limit=4)
    rest = scene.engine.audit(after=(first[-1].operation_id, first[-1].seq), limit=10_000)
    assert [*first, *rest] == records


def test_r146_r147_what_cannot_be_recorded_does_not_happen(scene: Scene) -> None:
    """A failure to write audit must fail the commit, and is never swallowed."""
    melt = scene.engine.prepare_melt(npub=NPUB, mint_url=scene.mint.url, invoice=invoice(5, scene.clock))
    last = melt.audit()[-1]
    taken = attrs.evolve(last, id="taken", seq=last.seq + 1, version=last.version + 99, prev_hash=last.hash)
    Foreign(scene.store).put(attrs.evolve(taken, hash=audit_hash(taken)))  # the next record's place
    before = everything(scene.store)
    with pytest.raises(NutstateError):
        scene.engine.confirm(melt.id)
    after = everything(scene.store)
    failed, then = after.operations[melt.id], before.operations[melt.id].next_check_at
    assert failed.failures == 1 and failed.state == "prepared", "the drive that failed is counted, by a note"
    noted = attrs.evolve(failed, failures=0, next_check_at=then)
    assert attrs.evolve(after, operations=after.operations | {melt.id: noted}) == before


def test_r147_a_store_that_fails_is_told_of(scene: Scene) -> None:
    """An audit failure must never be swallowed."""
    failing = Engine(
        FaultyStore(scene.store, ["unavailable"] * 99), scene.mint, clock=scene.clock, settings=QUICK
    )
    before = everything(scene.store)
    with pytest.raises(NutstateError):
        failing.melt(npub=NPUB, mint_url=scene.mint.url, invoice=invoice(5, scene.clock))
    assert everything(scene.store) == before
