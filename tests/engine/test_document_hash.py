"""R206 to R208: an operation that is changed behind its records' back is told of, also after a purge, and
however long its trail is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, Secret, SimulatedMint, Store, open_store
from nutstate.engine.audit.verify import every_record, records_of
from nutstate.machines.melt.table import MELT
from nutstate.storage.evolve import evolve
from nutstate.storage.port import AuditQuery, OperationQuery
from nutstate.storage.records import InputRef, Lease, MachineRef, Operation, Output, Policy
from nutstate.storage.rules import audit_hash
from nutstate.storage.rules.audit_hash import UNBOUND, document_hash, is_document_of
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.engine.test_audit_trail import KEY, YEAR_MS
from tests.support.clock import FakeClock
from tests.support.data import with_fields
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, funded, invoice

pytestmark = pytest.mark.every_store

Wallet = tuple[Engine, SimulatedMint, FakeClock]

FORGERIES: dict[str, dict[str, Any]] = {
    "claim": {"claim": "0" * 64},
    "key": {"idempotency": {"key": "another", "hash": "0" * 64}},
    "amount": {"amount": 1},
    "fee": {"input_fee": 7},
    "payment": {"payment": None},
    "preimage": {"payment.preimage": "0" * 64},
    "blanks": {"blanks": []},
    "parent": {"parent_id": "tx_of_somebody"},
    "wallet": {"wallet_id": "another"},
    "request": {"request_body": "{}"},
    "proof of payment": {"proven_by": None},
    "policy": {"policy.on_unpaid": "trust"},
}


@pytest.fixture
def wallet(store: Store) -> Wallet:
    engine, mint, clock = funded(store, audit_key=KEY)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), idempotency_key="first")
    return engine, mint, clock


def melt_of(engine: Engine) -> Operation:
    (melt,) = engine.store.operations(OperationQuery(kind="melt"))
    return melt


@pytest.mark.parametrize("field", FORGERIES)
@pytest.mark.parametrize("purged", [False, True], ids=["kept", "purged"])
def test_r206_r207_a_forged_operation_is_told(wallet: Wallet, field: str, purged: bool) -> None:
    """R206, R207: one plain UPDATE that no rule of the store refuses; the last record, or the tombstone in
    its place, tells of another document."""
    engine, _, clock = wallet
    melt = melt_of(engine)
    if purged:
        clock.advance(11 * YEAR_MS / 1000)
        assert melt.id in engine.purge_audit().operations
    assert engine.verify_audit().holds and engine.verify_audit(melt.id).holds
    Foreign(engine.store).edit(melt.id, **FORGERIES[field])
    for report in (engine.verify_audit(), engine.verify_audit(melt.id)):
        (fault,) = report.changed
        assert (fault.kind, fault.operation_id, fault.entity) == ("changed", melt.id, f"operation:{melt.id}")
        assert fault.text == "the operation is not the document of its last record"
        assert not report.missing and not report.added


def test_r206_every_commit_binds_what_it_stored(wallet: Wallet) -> None:
    """R206: of each commit the last record of the operation itself names the document; a live operation is
    bound as well as one that has ended."""
    engine, mint, clock = wallet
    records = records_of(engine.store, melt_of(engine).id)
    own = [r for r in records if r.entity.startswith("operation:")]
    last = {r.batch_id: r for r in own}
    assert len(last) == 2 and len(own) > len(last)
    for record in own:
        assert ("document_hash" in record.data) == (record is last[record.batch_id])
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    assert engine.verify_audit().holds
    Foreign(engine.store).edit(plan.id, amount=1)
    assert [fault.operation_id for fault in engine.verify_audit().changed] == [plan.id]


def test_r206_lease_schedule_and_timings_are_not_bound() -> None:
    """R206: what notes write between two commits, and what was measured, changes no digest."""
    op = make_operation()
    for change in (
        {"lease": Lease("w", 5, 1)},
        {"next_check_at": 5},
        {"timings": {"mint_ms": 5}},
    ):
        assert document_hash(attrs.evolve(op, **change)) == document_hash(op)
    assert {"lease", "next_check_at", "timings"} < UNBOUND


def _changed(value: Any) -> Iterator[Any]:
    """Another value for a field of any kind."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, str):
        yield value + "x"
    elif isinstance(value, Mapping):
        yield from ({"loss": 1}, {"": None})
    elif value is None or isinstance(value, tuple):
        yield from (0, False, "", "x", 1)
    else:
        yield None


def test_r206_every_other_field_is_bound() -> None:
    """R206: whichever field it is; 0, False and nothing are three different things."""
    op = make_operation()
    for field in attrs.fields(Operation):
        if field.name in UNBOUND:
            continue
        value = getattr(op, field.name)
        for other in _changed(value):
            assert document_hash(attrs.evolve(op, **{field.name: other})) != document_hash(op), field.name


def test_r206_no_secret_stands_in_the_digest_as_it_is() -> None:
    """R206: secrets are hashed, at every depth, and each of them matters."""
    output = Output("k", 1, "02aa", Secret("the secret"), Secret("the factor"))
    op = make_operation(blanks=(output,), request=Secret("lnbc"))
    for changed in (
        with_fields(op, blanks=(attrs.evolve(output, secret=Secret("other")),)),
        with_fields(op, blanks=(attrs.evolve(output, r=Secret("other")),)),
        attrs.evolve(op, request=Secret("other")),
    ):
        assert document_hash(changed) != document_hash(op)


def test_r206_what_an_earlier_release_stored_keeps_its_hash() -> None:
    """R206: a field that a later release adds has an empty default, and an empty default is left out. Only
    these fields have another one; an addition to the list changes the hash of everything stored."""
    said = {
        f"{kind.__name__}.{field.name}"
        for kind in (Operation, *_parts(Operation))
        for field in attrs.fields(kind)
        if field.default is not attrs.NOTHING and field.name not in UNBOUND
        and not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
        and field.default not in (None, 0, "", ())
    }  # fmt: skip
    assert said == {"Policy.on_unpaid"}
    assert document_hash(make_operation(policy=Policy(on_unpaid="fence"))) == document_hash(make_operation())


def _parts(kind: type) -> set[type]:
    from nutstate.storage import records

    names = {name for name in dir(records) if attrs.has(getattr(records, name))}
    text = " ".join(str(field.type) for field in attrs.fields(kind))
    found = {getattr(records, name) for name in names if name in text}
    return found | {part for one in found - {kind} for part in _parts(one) - {kind}}


# -- long trails (R208) ------------------------------------------------------------------------------------

LONG = 10_050
COMMITS = 6


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.real_mongo)])
def long_trail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Operation]]:
    """A melt with more records than one read of the log gives. Not on the double: there a batch takes time
    with the square of its records. Not in a database that was emptied: there the server goes through all
    deleted keys for each new record, since the records of every test have the same keys."""
    is_sqlite = request.param == "sqlite"
    with open_store(
        f"sqlite:///{tmp_path}/long.db" if is_sqlite else request.getfixturevalue("fresh_database")
    ) as store:
        yield _with_a_long_trail(store)


def _with_a_long_trail(store: Store) -> tuple[Engine, Operation]:
    token = make_token("long", 1, 2, 4, npub=NPUB, wallet_id=NPUB)
    born = batch_for(
        make_operation("tx_of_the_token", kind="deposit", state="deposited", npub=NPUB), tokens=[token]
    )
    store.commit(born)
    op = make_operation(
        "tx_with_a_long_trail", state="unknown", npub=NPUB, wallet_id=NPUB,
        machine=MachineRef(MELT.name, MELT.version, MELT.content_hash),
    )  # fmt: skip
    held = attrs.evolve(born.tokens[0].after, state="reserved", reserved_by=op.id)
    begun = ["requested", "quoted", "prepared", "paying"]
    store.commit(batch_for(op, tokens=[(born.tokens[0].after, held)], path={op.id: begun}))
    for _ in range(COMMITS - 1):  # MongoDB refuses a transaction that does not fit its cache
        before = store.operation(op.id)
        steps = ["pending", "unknown"] * (LONG // (2 * (COMMITS - 1)) + 5) + ["pending"]
        store.commit(batch_for(op, before, path={op.id: steps}))
    stored = store.operation(op.id)
    assert stored is not None and stored.version > LONG
    return Engine(store, SimulatedMint()), stored


def test_r208_a_trail_longer_than_one_read_is_whole(long_trail: tuple[Engine, Operation]) -> None:
    """R208: it verifies, reconciles, and is listed, reported and held up as a whole."""
    engine, op = long_trail
    assert engine.verify_audit(op.id).holds and engine.verify_audit().holds
    report = engine.reconcile(op.id)
    (chain,) = (check for check in report.checks if check.name == "audit_chain")
    assert chain.passed, chain.texts()
    assert len(engine.operation(op.id).audit()) == op.audit_seq
    assert engine.report(op.id).commits == COMMITS
    lines: list[str] = []
    assert engine.export_audit(lines.append, op.id) == op.audit_seq == len(lines)


def test_r208_the_last_record_of_a_long_trail_counts(long_trail: tuple[Engine, Operation]) -> None:
    """R208: what is missing or changed beyond the first page is told."""
    engine, op = long_trail
    records = records_of(engine.store, op.id)
    foreign = Foreign(engine.store)
    foreign.delete(records[-2])
    report = engine.verify_audit(op.id)
    assert {fault.seq for fault in report.missing if fault.seq} == {records[-2].seq}
    foreign.put(records[-2])
    foreign.put(attrs.evolve(records[-3], actor="somebody"))
    assert [fault.seq for fault in engine.verify_audit(op.id).changed][:1] == [records[-3].seq]


def test_r208_an_entity_is_read_page_by_page(long_trail: tuple[Engine, Operation]) -> None:
    """R208: the versions of one entity have a cursor of their own, which no other query knows."""
    engine, op = long_trail
    query = AuditQuery(entity=f"operation:{op.id}")
    versions = [record.version for record in every_record(engine.store, query)]
    assert versions == list(range(1, op.version + 1))
    with pytest.raises(ValueError, match="above"):
        AuditQuery(operation_id=op.id, above=5)


@pytest.mark.parametrize("forged", [{"ends": "unpaid"}, {"kind_of_state": "final"}, {"ends": "good"}])
def test_r418_what_an_operation_says_of_its_state_is_bound(forged: dict[str, Any]) -> None:
    """R418, R206: readers rely on it, so it is in the hash; the hash of schema 1 does not excuse a change."""
    batch = batch_for(make_operation())
    op = batch.operation.after
    told = document_hash(op)
    assert is_document_of(op, told) and not is_document_of(attrs.evolve(op, **forged), told)
    before = document_hash(attrs.evolve(op, kind_of_state="", ends=""))  # what schema 1 wrote
    assert is_document_of(op, before) and not is_document_of(attrs.evolve(op, amount=5), before)


def test_a_record_is_encoded_once_by_its_thread() -> None:
    """R569: the text of a record that was chained just now comes from memory; that of an equal copy, of a
    changed one, and in another thread, is made."""
    records = audit_hash.continued(batch_for(make_operation()).audit, "")
    texts = [audit_hash.audit_canonical(record) for record in records]
    assert [record.hash for record in records] == [sha256(text.encode()).hexdigest() for text in texts]
    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(audit_hash.audit_canonical, records)) == texts
    assert [audit_hash.audit_canonical(evolve(record)) for record in records] == texts
    for record, text in zip(records, texts, strict=True):
        assert audit_hash.audit_canonical(evolve(record, actor="another")) != text
        assert audit_hash.audit_hash(evolve(record, data={"x": 1})) != record.hash
    audit_hash.continued((), "")
    assert [audit_hash.audit_canonical(record) for record in records] == texts


def test_an_operation_is_hashed_once_by_its_thread() -> None:
    """R569: the hash of the same objects comes from memory, also in a copy with other notes; with any
    one field changed, for another operation and in another thread it is computed."""
    op = evolve(make_operation(), request=Secret("lnbc1"), inputs=(InputRef("token-a", 5, 1),))
    computed = audit_hash._hash(audit_hash._bound(op, UNBOUND))
    assert document_hash(op) == document_hash(evolve(op, audit_seq=9, next_check_at=7)) == computed
    for field in attrs.fields(Operation):
        other = evolve(op, **{field.name: {"another": 1} if field.name == "data" else ("another",)})
        assert document_hash(other) == audit_hash._hash(audit_hash._bound(other, UNBOUND))
        assert (document_hash(other) == computed) == (field.name in UNBOUND)
        assert document_hash(op) == computed
    equal = evolve(op, inputs=(InputRef("token-a", 5, 1),))  # equal, but other objects
    assert document_hash(equal) == computed
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(document_hash, evolve(op, amount=12345)).result() != computed
        assert pool.submit(document_hash, op).result() == document_hash(op) == computed
