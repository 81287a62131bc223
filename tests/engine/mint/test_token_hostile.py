"""Tokens made to hurt, and tokens that are only a little different. Work is counted, not timed."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.engine.cashu.coins import cbor, token_codec
from nutstate.engine.cashu.coins.cbor import NotCbor, Reader
from nutstate.engine.cashu.coins.token_codec import (
    PROOFS_MAX,
    DecodedToken,
    InvalidToken,
    decode_token,
    resolve_keysets,
)
from nutstate.storage.records import Dleq

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
ID = "009a1f293253e41e"
URL = "https://mint.example"
V4 = {"m": URL, "u": "sat", "t": [{"i": bytes.fromhex(ID), "p": [{"a": 1, "s": "s", "c": bytes.fromhex(G)}]}]}


def token_a(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return "cashuA" + base64.urlsafe_b64encode(text.encode()).decode()


def token_b(data: Any) -> str:
    raw = data if isinstance(data, bytes) else cbor2.dumps(data)
    return "cashuB" + base64.urlsafe_b64encode(raw).decode()


def v3(*mints: str) -> dict[str, Any]:
    proofs = [[{"amount": 1, "id": ID, "secret": f"s{i}", "C": G}] for i in range(len(mints))]
    return {"token": [{"mint": m, "proofs": p} for m, p in zip(mints, proofs, strict=True)], "unit": "sat"}


HOSTILE: dict[str, bytes] = {
    "a shared value": b"\xd8\x1c\x80",
    "a reference to one": b"\xd8\x1d\x00",
    "a decimal": b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
    "a big number": b"\xc2\x59\xff\xff" + b"\x7f" * 65535,
    "a date": cbor2.dumps(cbor2.CBORTag(0, "never")),
    "a self-described item": b"\xd9\xd9\xf7" + cbor2.dumps(V4),
    "a list of unknown length": b"\x9f\xff",
    "a map of unknown length": b"\xbf\xff",
    "a text of unknown length": b"\x7f\x61a\xff",
    "bytes of unknown length": b"\x5f\x41a\xff",
    "a negative number": b"\x20",
    "a float": b"\xf9\x00\x00",
    "undefined": b"\xf7",
    "a reserved length": b"\x1c",
    "a list of 2^64-1": b"\x9b" + b"\xff" * 8,
    "a map of 2^64-1": b"\xbb" + b"\xff" * 8,
    "bytes of 2^64-1": b"\x5b" + b"\xff" * 8,
    "a key twice": b"\xa2\x61a\x00\x61a\x00",
    "a key that is no text": b"\xa1\x00\x00",
    "a text that is not UTF-8": b"\x62\xff\xff",
    "a lone surrogate": b"\x63\xed\xa0\x80",
    "nothing": b"",
    "two items": b"\x00\x00",
    "lists in lists": b"\x81" * 100_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_no_token_holds(data: bytes) -> None:
    """R202: refused where it begins, alone and inside of a token."""
    with pytest.raises(NotCbor):
        Reader(data).read()
    with pytest.raises(InvalidToken, match=r"^the text is cut off or damaged$"):
        decode_token(token_b(data))
    inside = cbor2.dumps(V4).replace(b"\x61s\x61s", b"\x61s" + data)
    with pytest.raises(InvalidToken):
        decode_token(token_b(inside))


def test_work_stops_where_the_trick_begins() -> None:
    """R202: shared values: 8 KB of text that stand for a million proofs cost one item."""
    reader = Reader(b"\xd8\x1c\x82" + b"\xd8\x1d\x00" * 2700)
    with pytest.raises(NotCbor):
        reader.read()
    assert reader.items == 1


@given(st.binary(max_size=300))
def test_never_more_items_than_bytes(data: bytes) -> None:
    """R202: whatever the bytes claim."""
    reader = Reader(data)
    try:
        reader.read()
    except NotCbor:
        pass
    finally:
        assert reader.items <= len(data) + 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.binary() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_a_token_may_hold_is_read_as_it_was_written(value: Any) -> None:
    """R202: the small reader agrees with a general one."""
    data = cbor2.dumps(value)
    try:
        assert Reader(data).read() == value
    except NotCbor as error:
        assert "too deep" in str(error)


def test_items_are_counted_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """R202: both versions, before there is anything to hold in memory."""
    monkeypatch.setattr(cbor, "ITEMS_MAX", 100)
    reader = Reader(cbor2.dumps([0] * 1000))
    with pytest.raises(NotCbor):
        reader.read()
    assert reader.items == 101
    monkeypatch.setattr(token_codec, "ITEMS_MAX", 100)
    monkeypatch.setattr(json, "loads", lambda *a, **k: pytest.fail("it was read"))
    for many in ("[" * 101, "[" + "0," * 100 + "0]", '{"a":' * 101):
        with pytest.raises(InvalidToken, match="too many items"):
            decode_token(token_a(many))


@pytest.mark.parametrize(
    "body", ['{"token":[],"token":[]}', '{"token":1.5}', '{"token":NaN}', '{"token":1e9}']
)
def test_json_that_no_token_holds(body: str) -> None:
    """R202: a field twice, and numbers that are none."""
    with pytest.raises(InvalidToken):
        decode_token(token_a(body))


def _calls(work: Callable[[], object]) -> int:
    """How many functions are called, in Python or in C."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("version", ["A", "B"])
def test_work_is_linear_in_the_text(version: str) -> None:
    """R202: twice the proofs, twice the work."""

    def text(n: int) -> str:
        if version == "A":
            proofs = [{"amount": 1, "id": ID, "secret": f"s{i}", "C": G} for i in range(n)]
            return token_a({"token": [{"mint": URL, "proofs": proofs}]})
        parts = [{"a": 1, "s": f"s{i}", "c": bytes.fromhex(G)} for i in range(n)]
        return token_b({"m": URL, "u": "sat", "t": [{"i": bytes.fromhex(ID), "p": parts}]})

    one, two = (text(n) for n in (200, 400))
    assert _calls(lambda: decode_token(two)) < 2.1 * _calls(lambda: decode_token(one))


def test_resolving_short_ids_is_linear_too() -> None:
    """R202: as many short ids as known ones."""

    def token(n: int) -> tuple[DecodedToken, list[str]]:
        ids = [f"01{i:064x}"[:66] for i in range(n)]
        known = [f"01{i:014x}" + "0" * 50 for i in range(n)]
        parts = [
            {"i": bytes.fromhex(known[i][:16]), "p": [{"a": 1, "s": ids[i], "c": bytes.fromhex(G)}]}
            for i in range(n)
        ]
        return decode_token(token_b({"m": URL, "u": "sat", "t": parts})), known

    one, two = token(100), token(200)
    assert _calls(lambda: resolve_keysets(*two)) < 2.1 * _calls(lambda: resolve_keysets(*one))
    assert [proof.id for proof in resolve_keysets(*two).proofs] == two[1]


def test_a_token_of_the_most_proofs_is_read() -> None:
    """R202: the bounds are beyond what a token may hold."""
    parts = [
        {"a": 1, "s": f"s{i}", "c": bytes.fromhex(G), "d": dict.fromkeys("esr", b"\x01" * 32), "w": "w"}
        for i in range(PROOFS_MAX)
    ]
    text = token_b({"m": URL, "u": "sat", "t": [{"i": bytes.fromhex(ID), "p": parts}]})
    assert len(decode_token(text).proofs) == PROOFS_MAX


@pytest.mark.parametrize("r", [{}, {"r": None}])
def test_a_dleq_without_its_r(r: dict[str, None]) -> None:
    """R203: read in both versions; it cannot be verified, and is not passed on."""
    e, s = "11" * 32, "22" * 32
    proof: dict[str, Any] = {"a": 1, "s": "s", "c": bytes.fromhex(G)}
    proof |= {"d": {"e": bytes.fromhex(e), "s": bytes.fromhex(s), **r}}
    four = decode_token(token_b({**V4, "t": [{"i": bytes.fromhex(ID), "p": [proof]}]}))
    body = v3(URL)
    body["token"][0]["proofs"][0] |= {"secret": "s", "dleq": {"e": e, "s": s, **r}}
    assert four.proofs == decode_token(token_a(body)).proofs
    assert four.proofs[0].dleq == Dleq(e, s, None)


@pytest.mark.parametrize(
    "other",
    [
        "https://mint.example/",
        "https://mint.example//",
        "https://MINT.example",
        "HTTPS://mint.example",
        "https://mint.example:443",
        "https://mint.example.",
    ],
)
def test_entries_of_one_mint_in_two_spellings(other: str) -> None:
    """R204: one mint."""
    token = decode_token(token_a(v3(URL, other)))
    assert len(token.proofs) == 2 and token.mint_url in (URL, other)


@pytest.mark.parametrize(
    "other", ["http://mint.example", "https://mint.example:444", "https://mint.example/a", "x"]
)
def test_entries_of_two_mints(other: str) -> None:
    """R204: another port, path or scheme is another mint."""
    with pytest.raises(InvalidToken, match="one mint"):
        decode_token(token_a(v3(URL, other)))
