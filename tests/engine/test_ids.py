"""R17 to R31: transaction ids and operation hashes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate import InvalidArgument, Refused, Store, operation_hash, validate_transaction_id
from nutstate.engine.tokens import ids
from nutstate.storage.port import TokenQuery
from tests.support.wallet import NPUB, funded, invoice

FIELDS: dict[str, Any] = {
    "npub": "npub1u9290c2mtammza7d4arqpls8pt82w93gmwt5g70n87zeha5r4qwscarf9g",
    "mint_url": "https://mint.example",
    "amount": 550,
    "source_ids": ("tx_b", "tx_a"),
    "operation_type": "melt",
    "payment_request": "lnbc1",
}
VECTOR = "5508d8ee5d9ba7e854bd57eb9cc8f9d93a3321e2688ec58799f18361947eb4de"
VECTOR_WITHOUT = "e8fa5ba0be5af33478f9ea2e0f1e370d28e979936909078301b48fab7ccc1341"
LEGACY_VECTOR = "184266a84446e975"
names = st.text(min_size=1, max_size=20)


def operation_changed(**change: Any) -> str:
    return operation_hash(**{**FIELDS, **change})


def legacy(**change: Any) -> str:
    given_ = {**FIELDS, **change}
    del given_["payment_request"]
    return ids.legacy_operation_hash(**given_)


# -- ids -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["melt", "mint", "deposit"])
def test_r17_a_generated_id(kind: str) -> None:
    made = ids.new_transaction_id(kind, 1_732_264_000_123)
    assert re.fullmatch(rf"tx_{kind}_1732264000123_[0-9a-f]{{24}}", made)
    assert validate_transaction_id(made) == made


def test_r17_the_randomness_is_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def token_hex(size: int) -> str:
        asked.append(size)
        return "ab" * size

    monkeypatch.setattr("secrets.token_hex", token_hex)
    assert ids.new_transaction_id("melt", 1) == "tx_melt_1_" + "ab" * 12
    assert asked == [12]


def test_r17_ids_differ() -> None:
    assert len({ids.new_transaction_id("melt", 1) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("length", [10, 11, 99, 100])
def test_r18_r19_r21_lengths_that_are_fine(length: int) -> None:
    assert validate_transaction_id("x" * length) == "x" * length


@pytest.mark.parametrize("length", [1, 9, 101, 1000])
def test_r21_lengths_that_are_not(length: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        validate_transaction_id("x" * length)
    assert refused.value.code == "INVALID_LENGTH" and refused.value.details["length"] == length


@pytest.mark.parametrize(
    "value", ["", None, 5, True, b"0123456789", ["0123456789"], "0123456789 ", "0123/45678"]
)
def test_r20_what_is_no_id(value: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        validate_transaction_id(value)
    assert refused.value.code == "INVALID_FORMAT"


def test_r23_an_id_of_existing_services() -> None:
    assert validate_transaction_id("tx_melt_1234567890_abc123") == "tx_melt_1234567890_abc123"


def test_r22_r24_an_id_without_tokens_is_taken_too(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mine = "tx_mine_0001"
    with pytest.raises(Refused):  # nothing to pay with: no token is made under this id
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id=mine)
    assert engine.operation(mine).state == "rejected" and not store.tokens(TokenQuery())
    with pytest.raises(Refused) as refused:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5, transaction_id=mine)
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


# -- hashes --------------------------------------------------------------------------------------------


def test_r25_fixed_vectors() -> None:
    assert operation_hash(**FIELDS) == VECTOR
    assert operation_hash(**{**FIELDS, "source_ids": (), "payment_request": None}) == VECTOR_WITHOUT
    assert legacy() == LEGACY_VECTOR


def test_r25_r26_what_is_hashed() -> None:
    """Canonical JSON by hand: sorted keys, no spaces, UTF-8, exactly these fields."""
    text = (
        '{"amount":550,"mint_url":"https://mint.example","npub":"' + FIELDS["npub"] + '",'
        '"operation_type":"melt","payment_request":"lnbc1","source_ids":["tx_a","tx_b"]}'
    )
    assert operation_hash(**FIELDS) == hashlib.sha256(text.encode()).hexdigest()
    assert ids.canonical_json({"b": "ü", "a": [1, None]}) == '{"a":[1,null],"b":"ü"}'


@given(st.permutations(["tx_a", "tx_b", "tx_c", "tx_d"]))
def test_r28_the_order_of_ids_does_not_matter(order: list[str]) -> None:
    handed = list(order)
    assert operation_hash(**{**FIELDS, "source_ids": handed}) == operation_hash(
        **{**FIELDS, "source_ids": ["tx_a", "tx_b", "tx_c", "tx_d"]}
    )
    assert handed == order, "the caller's list was touched"
    assert legacy(source_ids=order) == legacy(source_ids=sorted(order))


@given(st.sampled_from(["npub", "mint_url", "operation_type", "payment_request"]), names, names)
def test_r26_each_text_changes_it(field: str, one: str, other: str) -> None:
    same = operation_hash(**{**FIELDS, field: one}) == operation_hash(**{**FIELDS, field: other})
    assert same is (one == other)


@given(st.integers(1, 2**53 - 1), st.integers(1, 2**53 - 1), st.lists(names), st.lists(names))
def test_r26_amount_and_sources_change_it(one: int, other: int, a: list[str], b: list[str]) -> None:
    for change in (operation_changed, legacy):
        assert (change(amount=one) == change(amount=other)) is (one == other)
        assert (change(source_ids=a) == change(source_ids=b)) is (sorted(a) == sorted(b))


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_r29_equal_in_every_process(seed: str) -> None:
    code = (
        "import json, sys; from nutstate import operation_hash; "
        "print(operation_hash(**json.loads(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(FIELDS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == operation_hash(**FIELDS) == VECTOR


def test_r27_r30_r31_what_a_melt_stores(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "amount": 700, "operation_type": "melt"}
    stored = engine.operation(melt.id).record
    assert stored.operation_hash == operation_hash(**request, source_ids=[], payment_request=bolt11)
    assert re.fullmatch(r"[0-9a-f]{64}", stored.operation_hash)
    short = ids.legacy_operation_hash(**request, source_ids=[])
    born = store.tokens(TokenQuery(parent=melt.id))
    assert born and {token.metadata.operation_hash for token in born} == {short}
    assert re.fullmatch(r"[0-9a-f]{16}", short)


def test_r27_explicit_sources_count(store: Store) -> None:
    engine, mint, clock = funded(store)
    source = store.tokens(TokenQuery(states=("unspent",)))[0].transaction_id
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, sources=[source])
    assert melt.record.operation_hash == operation_hash(
        npub=NPUB, mint_url=mint.url, amount=700, operation_type="melt", source_ids=[source],
        payment_request=bolt11,
    )  # fmt: skip
