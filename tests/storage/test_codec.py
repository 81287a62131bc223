"""Records to plain data and back: what was written is what is read, or a clear refusal."""

from __future__ import annotations

import copy
import json
from typing import Any

import attrs
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from nutstate.storage import records
from nutstate.storage.errors import CorruptRecord, InvalidBatch
from nutstate.storage.mongo.codec import (
    audit_document,
    audit_from_document,
    operation_document,
    operation_from_document,
    token_document,
    token_from_document,
)
from nutstate.storage.records import AuditRecord, DedupRecord, Operation, Token, TokenMetadata
from nutstate.storage.rules.codec import from_plain, load_json, to_plain
from nutstate.storage.rules.plain import AMOUNT_MAX, dump_json, plain
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.cases import every

KINDS: list[Any] = [Operation, Token, AuditRecord, DedupRecord]
TIME_MAX = 253_402_300_799_999

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
amounts = st.integers(0, AMOUNT_MAX)
json_values = st.recursive(
    st.none() | st.booleans() | amounts | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
KNOWN = {f.name for f in attrs.fields(TokenMetadata)} - {"extra"}
extras = st.dictionaries(text.filter(lambda key: key not in KNOWN), json_values, max_size=3)

FIELDS: dict[Any, Any] = {
    "int": amounts,
    "int | None": st.none() | amounts,
    "str": text,
    "str | None": st.none() | text,
    "bool": st.booleans(),
    "bool | None": st.none() | st.booleans(),
    "Secret": text.map(Secret),
    "Secret | None": st.none() | text.map(Secret),
    "Mapping[str, Any]": st.dictionaries(text, json_values, max_size=3),
    "Mapping[str, int]": st.dictionaries(text, amounts, max_size=3),
    "Mapping[str, bool]": st.dictionaries(text, st.booleans(), max_size=3),
    "tuple[str, ...]": st.lists(text, max_size=3).map(tuple),
}


def some(kind: Any) -> st.SearchStrategy[Any]:
    """Any instance of a record class, drawn from its annotations."""
    drawn: dict[str, Any] = {}
    for name, annotation in kind.__annotations__.items():
        if kind is TokenMetadata and name == "extra":
            drawn[name] = extras
        elif kind is Token and name in ("created_at", "updated_at", "spent_at"):
            drawn[name] = st.integers(0, TIME_MAX)
        elif kind is Token and name == "state":
            drawn[name] = st.sampled_from(["unspent", "reserved", "spent", "awaiting", "failed"])
        elif annotation in FIELDS:
            drawn[name] = FIELDS[annotation]
        elif annotation.startswith("tuple["):
            inner = some(getattr(records, annotation[6:].partition(",")[0]))
            drawn[name] = st.lists(inner, max_size=2).map(tuple)
        else:
            inner = some(getattr(records, annotation.partition(" | ")[0]))
            drawn[name] = (st.none() | inner) if "None" in annotation else inner
    return st.builds(kind, **drawn)


@given(st.sampled_from(KINDS).flatmap(some))
def test_a_round_trip_through_json_changes_nothing(record: Any) -> None:
    document = json.loads(dump_json(to_plain(record)))
    assert from_plain(type(record), document, "it") == record


@given(some(Token))
def test_a_token_survives_as_a_mongo_document(token: Token) -> None:
    document = token_document(token)
    assert token_from_document(copy.deepcopy(document)) == token
    assert isinstance(document["_id"], ObjectId) and "spent_at" in document


@given(some(Operation))
def test_an_operation_survives_as_a_mongo_document(operation: Operation) -> None:
    assert operation_from_document(operation_document(operation)) == operation


@given(some(AuditRecord))
def test_an_audit_record_survives_as_a_mongo_document(record: AuditRecord) -> None:
    document = audit_document(record, "npub1x")
    assert {"_id", "from", "to", "npub"} <= document.keys() and audit_from_document(document) == record


@given(json_values)
def test_plain_is_a_deep_copy(value: Any) -> None:
    assert plain(value) == value


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {1, 2}, b"x", float("nan"), float("inf"), 2**63, {"a": [object()]}]
)
def test_plain_refuses_what_is_not_json(value: Any) -> None:
    with pytest.raises(TypeError):
        plain(value)


def examples() -> list[tuple[Any, dict[str, Any]]]:
    output = records.Output("k", 8, "02aa", Secret("s"), Secret("r"))
    operation = make_operation(
        request=Secret("lnbc"), quote=records.Quote("q", 1, 0, 9, Secret("x")), blanks=(output,),
        inputs=(records.InputRef("a", 1, 1),), fences=(records.Fence(1, (output,), 0),),
        payment=records.Payment(1, Secret("p"), True, 1), idempotency=records.Idempotency("k", "h"),
        reason=records.Reason("A", "b"), lease=records.Lease("w", 1, 1),
    )  # fmt: skip
    token = make_token("a", transaction_type="change")
    batch = batch_for(operation, tokens=[token])
    known: list[Any] = [
        batch.operation.after,
        batch.tokens[0].after,
        batch.audit[0],
        DedupRecord("k", "o", 9),
    ]
    return [(type(record), to_plain(record)) for record in known]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every dict entry and list item."""
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in [(*path, key), *places(item, (*path, key))]]
    if isinstance(value, list):
        return [p for n, item in enumerate(value) for p in places(item, (*path, n))]
    return []


CASES = [(kind, document, path) for kind, document in examples() for path in places(document)]
FREE = ("data", "details", "verdicts", "timings")  # inside them any key may be there or not


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def named(path: tuple[Any, ...]) -> str:
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path).removeprefix(".")


def ids(case: tuple[Any, Any, tuple[Any, ...]]) -> str:
    return f"{case[0].__name__}-{named(case[2])}"


MARK = "MARKER-never-to-be-shown"


@every("case", CASES, ids=ids)
def test_every_missing_field_is_refused(case: tuple[Any, dict[str, Any], tuple[Any, ...]]) -> None:
    kind, document, path = case
    if path[0] in FREE and len(path) > 1:
        return
    broken = copy.deepcopy(document)
    del at(broken, path[:-1])[path[-1]]
    if path == ("metadata", "parent_transaction_id"):  # may be absent, as in existing documents
        assert from_plain(kind, broken, "it").metadata.parent_transaction_id is None
        return
    with pytest.raises(CorruptRecord) as caught:
        from_plain(kind, broken, "document:1")
    assert caught.value.details == {"document": "document:1", "field": named(path)}


@every("wrong", [MARK, 7, True, 1.5, None, [], {}, [MARK], {MARK: MARK}, 2**53])
@every("case", CASES, ids=ids)
def test_every_value_of_another_type_is_refused(
    case: tuple[Any, dict[str, Any], tuple[Any, ...]], wrong: Any
) -> None:
    kind, document, path = case
    record: Any
    right = at(document, path)
    broken = copy.deepcopy(document)
    at(broken, path[:-1])[path[-1]] = wrong
    try:
        record = from_plain(kind, broken, "document:1")
    except CorruptRecord as error:
        field = error.details["field"]
        assert field == named(path) or field.startswith(named(path)) or named(path).startswith(field)
        assert MARK not in str(error) and error.__context__ is None
        return
    # Accepted: then it must be of a kind that the field allows, and come back as it was.
    assert to_plain(record) == broken or (wrong is None and path[0] == "metadata")
    same = type(wrong) is type(right)
    assert same or wrong is None or right is None or path[0] in FREE


@pytest.mark.parametrize("case", examples(), ids=lambda case: case[0].__name__)
def test_unknown_fields_are_refused_at_every_depth(case: tuple[Any, dict[str, Any]]) -> None:
    kind, document = case
    for path in [(), *(p for p in places(document) if isinstance(at(document, p), dict))]:
        if path and path[0] in (*FREE, "metadata", "reason"):
            continue
        broken = copy.deepcopy(document)
        at(broken, path)["surprise"] = MARK
        with pytest.raises(CorruptRecord) as caught:
            from_plain(kind, broken, "it")
        assert caught.value.details["field"] == named((*path, "surprise"))
        assert MARK not in str(caught.value)


@pytest.mark.parametrize("name", [MARK, "a b", "", "x" * 100])
def test_an_unknown_field_is_shown_only_if_it_looks_like_a_name(name: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        from_plain(DedupRecord, {"key": "k", "operation_id": "o", "expires_at": 1, name: 1}, "it")
    assert caught.value.details["field"] == "(unknown field)"


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_a_document_that_is_no_document_is_refused(value: Any) -> None:
    for kind in KINDS:
        with pytest.raises(CorruptRecord):
            from_plain(kind, value, "it")


def test_metadata_lies_flat_as_existing_deployments_have_it() -> None:
    extra = {"encoded_token": "$x", "recipient_info": {"$n": {"a.b": [1]}}}
    token = make_token("a", metadata=TokenMetadata("p2p", operation_hash="ab" * 8, extra=extra))
    assert to_plain(token)["metadata"] == {**extra, "source": "p2p", "operation_hash": "ab" * 8}


def test_optional_proof_fields_are_left_out() -> None:
    assert set(to_plain(make_token("a", 1))["proofs"][0]) == {"id", "amount", "secret", "C"}


@pytest.mark.parametrize("extra", [{"source": "x"}, {"a": object()}, {1: 2}, {"a": float("nan")}])
def test_what_cannot_be_stored_is_refused(extra: Any) -> None:
    with pytest.raises(InvalidBatch) as caught:
        to_plain(make_token("a", metadata=TokenMetadata("p2p", extra=extra)))
    assert caught.value.__context__ is None


def test_broken_json_names_the_document() -> None:
    with pytest.raises(CorruptRecord) as caught:
        load_json('{"secret": "' + MARK, "token:a", "proofs")
    assert caught.value.details == {"document": "token:a", "field": "proofs"}
    assert MARK not in str(caught.value) and caught.value.__context__ is None
