"""R517 to R525: the fields of one kind stand in the data of its operations, by the means of an own kind."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import attrs
import pytest

from nutstate import Store
from nutstate.engine.audit.sanitise import sanitise
from nutstate.engine.loop import own_data
from nutstate.engine.loop.own_data import data_of, held_data
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.engine.operations.check.data import CheckData
from nutstate.engine.operations.melt.data import MeltData
from nutstate.engine.operations.mint.data import MintData
from nutstate.engine.operations.receive.data import ReceiveData
from nutstate.engine.operations.record.data import RecordData
from nutstate.engine.operations.swap.data import SwapData
from nutstate.storage.errors import CorruptRecord, InvalidBatch
from nutstate.storage.records import Fence, InputRef, Operation, Output, Payment
from nutstate.storage.rules.codec import data_from_plain, data_to_plain
from nutstate.storage.rules.plain import AMOUNT_MAX
from nutstate.storage.schema_1 import EMPTY, RENAMED
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import batch_for, make_operation
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, funded, invoice

pytestmark = pytest.mark.every_store

KINDS: dict[str, type] = {
    "melt": MeltData, "record": RecordData, "mint": MintData, "swap": SwapData, "receive": ReceiveData,
    "check": CheckData,
}  # fmt: skip
NEWER = ("swap", "receive")
"""Kinds that no store of schema 1 holds."""
OUTPUT = Output("00ad", 8, "02aa", Secret("SECRET-blank"), Secret("SECRET-factor"))
FULL = MeltData(
    input_fee=1, sources_total=9, keep_total=2, loss=1, keep_token_id="k", request_body=Secret("SECRET-body"),
    payment=Payment(5, Secret("SECRET-preimage"), True, 3), proven_by="mint", change_token_id="c",
    change_amount=4, held_unspent_since=6, stranded=(InputRef("s", 1, 1),), fee_reserve=2, blanks=(OUTPUT,),
    fences=(Fence(1, (OUTPUT,), 1, ("ab",)),), fenced_token_id="f", fence_fee=1, change_empty_since=7,
    watch_since=8, refused_for="limit", surplus=1,
)  # fmt: skip


def names(kind: type) -> set[str]:
    return {field.name for field in attrs.fields(kind)}


def test_r517_an_operation_has_common_fields_only() -> None:
    """R517: each built-in kind names its class, and no field stands in both places."""
    assert {kind.name: kind.data for kind in BUILT_IN if names(kind.data)} == KINDS
    common = names(Operation)
    assert len(common) <= 40
    for kind in KINDS.values():
        assert not names(kind) & common


def test_r522_a_migration_moves_exactly_the_fields_of_the_kinds() -> None:
    """R522: the table of the migration is the fields of all data classes; it moves into a class as it is."""
    every = set().union(*(names(data) for kind, data in KINDS.items() if kind not in NEWER))
    assert {RENAMED.get(name, name) for name in EMPTY} == every
    for kind in KINDS.values():
        assert kind() == data_from_plain(kind, {}, "document"), "every field has a default"


@pytest.mark.parametrize("kind", KINDS)
def test_r525_a_field_at_its_default_is_not_stored(kind: str) -> None:
    """R525: the document of an operation that has just begun is lean."""
    assert data_to_plain(KINDS[kind]()) == {}


def test_r525_what_is_written_is_read() -> None:
    """R525: every field, and the same JSON again."""
    assert all(getattr(FULL, name) != getattr(MeltData(), name) for name in names(MeltData))
    plain = data_to_plain(FULL)
    assert plain.keys() == names(MeltData)
    again = data_from_plain(MeltData, plain, "document")
    assert again == FULL and data_to_plain(again) == plain


WRONG: dict[str, tuple[str, Any, str]] = {
    "a bool": ("melt", {"input_fee": True}, "data.input_fee"),
    "a fraction": ("melt", {"surplus": 1.0}, "data.surplus"),
    "beyond 2**53-1": ("mint", {"watched_ms": AMOUNT_MAX + 1}, "data.watched_ms"),
    "negative": ("melt", {"keep_total": -1}, "data.keep_total"),
    "a negative time": ("record", {"hold_until": -1}, "data.hold_until"),
    "a text": ("melt", {"change_amount": "1"}, "data.change_amount"),
    "a secret that is no text": ("mint", {"request_body": 5}, "data.request_body"),
    "an unknown witness": ("melt", {"proven_by": "nobody"}, "data.proven_by"),
    "a field of another kind": ("melt", {"hold_until": 5}, "data.hold_until"),
    "a hidden name": ("melt", {"SECRET text": 5}, "data.(unknown field)"),
    "a negative part": (
        "record", {"contested": [{"token_id": "t", "amount": -1, "proof_count": 1}]}, "data.contested",
    ),
    "a part without its amount": (
        "melt", {"stranded": [{"token_id": "t", "proof_count": 1}]}, "data.stranded[0].amount",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_r519_data_that_do_not_fit_are_corrupt(case: str) -> None:
    """R519: the error names the document and the field, and shows no value."""
    kind, values, field = WRONG[case]
    op = make_operation(data=values)
    with pytest.raises(CorruptRecord) as caught:
        data_of(op, KINDS[kind])
    assert caught.value.details == {"document": "operation:tx-1", "field": field}
    assert "SECRET" not in str(caught.value) and caught.value.__context__ is None


def test_r524_a_number_of_the_data_is_never_wrong() -> None:
    """R524: neither code nor a document makes one that is negative, a bool, a fraction or too large."""
    for kind in KINDS.values():
        numbers = [f.name for f in attrs.fields(kind) if f.default == 0 or f.name.endswith("_since")]
        assert numbers
        for name in numbers:
            for value in (-1, True, 1.0, AMOUNT_MAX + 1, "1"):
                with pytest.raises(ValueError, match=name):
                    kind(**{name: value})


def test_r523_the_data_show_no_secret() -> None:
    """R523: not in a text of theirs, of the operation or of an audit record, however deep they stand."""
    op = attrs.evolve(make_operation(), data=held_data(FULL))
    for shown in (repr(FULL), repr(op), repr(op.data), str(sanitise({"data": dict(op.data)}))):
        assert "SECRET" not in shown
    assert "SECRET" not in str(sanitise({"operation": {"data": dict(op.data)}, "data": op.data}))


def test_r520_a_document_is_decoded_once_and_a_change_encoded_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R520: of the melt itself, in a whole payment: never two decodes of one stored version, and at most one
    encoding for each staged change that is committed."""
    engine, mint, clock = funded(store)
    decoded: Counter[int] = Counter()
    encoded: list[object] = []
    kept: list[object] = []

    def decode(kind: type, values: Mapping[str, Any], name: str) -> object:
        kept.append(values)  # so that its id stays its own
        decoded[id(values)] += 1
        return data_from_plain(kind, values, name)

    def encode(data: object) -> Any:
        encoded.append(data)
        return data_to_plain(data)

    monkeypatch.setattr(own_data, "data_from_plain", decode)
    monkeypatch.setattr(own_data, "data_to_plain", encode)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert melt.state == "reconciled" and max(decoded.values()) == 1
    assert len({id(data) for data in encoded}) == len(encoded), "no data were encoded twice"
    commits = len({record.batch_id for record in melt.audit()})
    assert len(encoded) <= commits


def test_r519_a_document_whose_data_do_not_fit_stops_no_other(store: Store) -> None:
    """R519, R214: lists, recovery and sweep name it and go on with the others; a call about it raises."""
    engine, mint, clock = funded(store)
    ids = [
        engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50 + n, clock)).id for n in range(2)
    ]
    Foreign(store).edit(ids[0], **{"data.input_fee": -5})
    clock.advance(30 * 24 * 3600)
    done = engine.recover(wait_s=5)
    assert [handle.id for handle in done] == [ids[1]]
    (told,) = done.unreadable
    assert ids[0] in told and "data.input_fee" in told
    assert ids[0] not in [handle.id for handle in engine.operations(npub=NPUB)]
    assert any("data.input_fee" in text for text in engine.reconcile_all().discrepancies_found)
    with pytest.raises(CorruptRecord):
        engine.operation(ids[0])


def test_r521_a_quote_that_was_let_go_is_not_claimed(store: Store) -> None:
    """R521: every store refuses an operation that lets go of its quote and holds the claim."""
    op = make_operation(claim="ab" * 32, quote_let_go=True)
    with pytest.raises(InvalidBatch, match="quote_let_go"):
        store.commit(batch_for(op))
    assert store.operation(op.id) is None


def test_r521_sqlite_itself_keeps_the_rule(store: Store) -> None:
    """R521: also from a writer with plain sqlite3."""
    if not store.url.startswith("sqlite:"):
        return
    store.commit(batch_for(make_operation(claim="ab" * 32)))
    with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as raw, raw:
        for change in ("'$.quote_let_go', json('true')", "'$.data', 5", "'$.quote_let_go', 5"):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(f"UPDATE operations SET doc = json_set(doc, {change})")
