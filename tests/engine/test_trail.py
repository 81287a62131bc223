"""A trail is whole only if nothing was changed, taken out, added or cut off."""

from __future__ import annotations

import attrs
import pytest

from nutstate import Store
from nutstate.engine.audit.verify import at_one_moment, chain_holds
from nutstate.storage.records import AuditRecord, Operation
from nutstate.storage.rules.audit_hash import audit_hash
from tests.support.wallet import NPUB, funded, invoice

pytestmark = pytest.mark.every_store


@pytest.fixture
def trail(store: Store) -> tuple[Operation, tuple[AuditRecord, ...]]:
    engine, mint, clock = funded(store)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    return at_one_moment(store, paid.record)


def test_a_whole_trail(trail: tuple[Operation, tuple[AuditRecord, ...]]) -> None:
    op, records = trail
    assert op.state == "reconciled" and len(records) > 5 and chain_holds(op, records)


def test_what_was_done_to_a_trail_is_seen(trail: tuple[Operation, tuple[AuditRecord, ...]]) -> None:
    op, records = trail
    changed = attrs.evolve(records[2], actor="somebody")
    more = attrs.evolve(records[-1], seq=len(records) + 1, prev_hash=records[-1].hash)
    more = attrs.evolve(more, hash=audit_hash(more))
    assert not chain_holds(op, (*records[:2], changed, *records[3:])), "changed"
    rehashed = attrs.evolve(changed, hash=audit_hash(changed))
    assert not chain_holds(op, (*records[:2], rehashed, *records[3:])), "changed and hashed again"
    assert not chain_holds(op, (*records[:2], *records[3:])), "one taken out"
    assert not chain_holds(op, records[1:]), "the first taken out"
    assert not chain_holds(op, records[:-1]), "the tail cut"
    assert not chain_holds(op, ()), "everything cut"
    assert not chain_holds(op, (*records, more)), "one added"
    assert not chain_holds(op, (records[1], records[0], *records[2:])), "order"
