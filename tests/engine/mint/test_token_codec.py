"""Tokens as text: both versions, short keyset ids, and everything that is no token."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.coins.token_codec import (
    DecodedToken,
    InvalidToken,
    decode_token,
    encode_token,
    resolve_keysets,
)
from nutstate.storage.records import Dleq, Proof
from nutstate.storage.secret import Secret
from tests.support.cases import every

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
V1, V2 = "009a1f293253e41e", "01" + "ab" * 32
URL = "https://mint.example"


def proof(n: int, keyset_id: str = V1, **more: Any) -> Proof:
    return Proof(id=keyset_id, amount=1 << n, secret=Secret(f"secret {n}"), C=Secret(G), **more)


def cashu_a(body: Any) -> str:
    return "cashuA" + base64.urlsafe_b64encode(json.dumps(body).encode()).decode()


def cashu_b(body: Any) -> str:
    return "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(body)).decode()


def v3(**changes: Any) -> dict[str, Any]:
    entry = {"amount": 1, "id": V1, "secret": "s", "C": G} | changes
    return {"token": [{"mint": URL, "proofs": [entry]}], "unit": "sat"}


def v4(**changes: Any) -> dict[str, Any]:
    entry = {"a": 1, "s": "s", "c": bytes.fromhex(G)} | changes
    return {"m": URL, "u": "sat", "t": [{"i": bytes.fromhex(V1), "p": [entry]}]}


@pytest.mark.parametrize("version", [3, 4])
def test_round_trip_with_everything(version: int) -> None:
    dleq = Dleq("11" * 32, "22" * 32, Secret("33" * 32))
    proofs = (proof(0, dleq=dleq), proof(1, witness=Secret('{"signatures":[]}')), proof(2, V2))
    text = encode_token(URL, "usd", proofs, "für dich", version=version)
    assert isinstance(text, Secret)
    token = decode_token(text, [V1, V2])
    assert token == DecodedToken(URL, "usd", proofs, "für dich")
    assert token.amount == 7
    assert decode_token(f"  cashu:{text.reveal()}==\n", [V1, V2]) == token
    bare = decode_token(encode_token(URL, "usd", proofs, version=version, with_dleq=False), [V1, V2])
    assert [p.dleq for p in bare.proofs] == [None] * 3


def test_a_dleq_without_its_r_is_not_passed_on() -> None:
    # Carol cannot verify it, and half of it tells her nothing
    for version in (3, 4):
        text = encode_token(URL, "sat", [proof(0, dleq=Dleq("11" * 32, "22" * 32))], version=version)
        assert decode_token(text).proofs[0].dleq is None


def test_short_ids_are_resolved_by_the_known_ones() -> None:
    token = decode_token(encode_token(URL, "sat", [proof(0, V2)]))
    assert token.proofs[0].id == V2[:16]
    assert resolve_keysets(token, [V1, V2]).proofs[0].id == V2
    for known in ([], [V1], [V2, V2[:16] + "cd" * 25]):
        with pytest.raises(InvalidToken):
            resolve_keysets(token, known)


def test_unknown_versions_are_not_written() -> None:
    with pytest.raises(ValueError):
        encode_token(URL, "sat", [proof(0)], version=2)
    with pytest.raises(ValueError):
        encode_token(URL, "sat", [proof(0, "yjzQhxghPdrr")])
    assert decode_token(encode_token(URL, "sat", [proof(0, "yjzQhxghPdrr")], version=3)).proofs[0].id


@every(
    "body",
    [
        v3(amount=0),
        v3(amount=-1),
        v3(amount=True),
        v3(amount=1.0),
        v3(amount="1"),
        v3(amount=2**53),
        v3(secret=""),
        v3(secret=None),
        v3(secret="x" * 20_000),
        v3(secret="\ud800"),
        v3(C="02"),
        v3(C="02" + "0" * 64),
        v3(C=None),
        v3(id=7),
        v3(dleq={"e": "11" * 32}),
        v3(dleq={"e": "zz", "s": "11" * 32, "r": None}),
        v3(dleq=[]),
        v3(witness=3),
        {"token": []},
        {"token": [{"mint": URL, "proofs": []}]},
        {"token": [{"mint": 3, "proofs": []}]},
        {"token": [v3()["token"][0], v3()["token"][0]]},  # the same secret twice
        {"token": [v3()["token"][0], {"mint": "https://other", "proofs": []}]},
        {"token": {}},
        {"token": [None]},
        {"proofs": []},
        [],
        None,
        3,
    ],
)
def test_version_3_that_is_no_token(body: Any) -> None:
    with pytest.raises(InvalidToken):
        decode_token(cashu_a(body))


@every(
    "body",
    [
        v4(a=0),
        v4(a=2**70),
        v4(a=1.5),
        v4(s=b"s"),
        v4(s=""),
        v4(c=G),
        v4(c=b"\x02" * 5),
        v4(d={"e": b"\x01" * 32}),
        v4(d={"e": b"", "s": b"", "r": b""}),
        v4(w=b""),
        v4() | {"m": 7},
        v4() | {"u": None},
        v4() | {"t": {}},
        v4() | {"t": [{"i": V1, "p": []}]},
        v4() | {"t": [{"i": b"", "p": [{"a": 1, "s": "s", "c": bytes.fromhex(G)}]}]},
        [],
        7,
        None,
    ],
)
def test_version_4_that_is_no_token(body: Any) -> None:
    with pytest.raises(InvalidToken):
        decode_token(cashu_b(body))


@every(
    "text",
    [
        "",
        "cashu",
        "cashuA",
        "cashuB",
        "cashuC" + "A" * 20,
        "cashuAé",
        "cashuA!!!!",
        "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(v4()) + b"\x00").decode(),
        "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(v4())[:-3]).decode(),
        "cashuB" + base64.urlsafe_b64encode(b"\x9f" * 100_000).decode(),  # nested without end
        "cashuA" + base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        "cashuB" + base64.urlsafe_b64encode(b"\x9b" + b"\xff" * 8).decode(),  # an array of 2^64-1
        "cashuB" + base64.urlsafe_b64encode(b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff").decode(),
        "cashuB" + base64.urlsafe_b64encode(b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01").decode(),  # decimal 1e…
        "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(cbor2.CBORTag(35, "("))).decode(),
        "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(cbor2.CBORTag(0, "never"))).decode(),
        "cashuA" + "A" * 4_000_001,
    ],
    ids=range(17),
)
def test_text_that_is_no_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        decode_token(text)


@settings(max_examples=200)
@given(st.sampled_from(["cashuA", "cashuB", "", "cashu:cashuB"]), st.binary(max_size=200))
def test_garbage_bytes_raise_only_the_typed_error(prefix: str, data: bytes) -> None:
    with pytest.raises(InvalidToken):
        decode_token(prefix + base64.urlsafe_b64encode(data).decode())


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(G)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "token",
                    "mint",
                    "proofs",
                    "unit",
                    "memo",
                    "amount",
                    "id",
                    "secret",
                    "C",
                    "dleq",
                    "e",
                    "s",
                    "r",
                    "m",
                    "u",
                    "t",
                    "d",
                    "i",
                    "p",
                    "a",
                    "c",
                    "w",
                ]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=200)
@given(JSON_VALUES, st.booleans())
def test_garbage_values_raise_only_the_typed_error(value: Any, as_cbor: bool) -> None:
    text = cashu_b(value) if as_cbor else cashu_a(value)
    with pytest.raises(InvalidToken):
        decode_token(text)


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_garbage_text_raises_only_the_typed_error(text: str) -> None:
    with pytest.raises(InvalidToken):
        decode_token(text)


def test_a_token_is_not_worth_more_than_can_be() -> None:
    entries = [{"amount": 2**52, "id": V1, "secret": str(n), "C": G} for n in range(3)]
    with pytest.raises(InvalidToken):
        decode_token(cashu_a({"token": [{"mint": URL, "proofs": entries}]}))


def test_nothing_of_a_token_is_shown() -> None:
    token = decode_token(cashu_a(v3(secret="marker-secret")))
    assert "marker" not in repr(token) + str(token)
    with pytest.raises(InvalidToken) as caught:
        decode_token(cashu_a(v3(secret="marker-secret", amount=-1)))
    assert "marker" not in str(caught.value) + repr(caught.value)
    assert evolve(token, memo="marker").memo == "marker"
