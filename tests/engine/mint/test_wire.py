"""Bodies are exact, answers are read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from nutstate.engine.mint import keysets, wire
from nutstate.engine.mint.port import BlindedMessage, KeysetInfo, MintInfo, ProofState
from nutstate.engine.mint.wire import Malformed
from nutstate.storage.records import Dleq, Output, Proof
from nutstate.storage.secret import Secret

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
H = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
ID = "009a1f293253e41e"
PROOF = Proof(ID, 4, Secret("s\u00e9"), Secret(G), dleq=Dleq("11" * 32, "22" * 32, Secret("33" * 32)), Y=G)
OUTPUT = Output(ID, 4, H, Secret("x"), Secret("y"))
WRONG_INTEGERS: list[object] = [None, -1, 1.0, True, "1", 2**64, [], {}]


def test_bodies_are_canonical_and_hold_nothing_else() -> None:
    inputs = f'[{{"C":"{G}","amount":4,"id":"{ID}","secret":"s\\u00e9"}}]'
    outputs = f'[{{"B_":"{H}","amount":4,"id":"{ID}"}}]'
    assert wire.swap_body([PROOF], [OUTPUT]).reveal() == f'{{"inputs":{inputs},"outputs":{outputs}}}'
    assert wire.mint_body("q", [OUTPUT]).reveal() == f'{{"outputs":{outputs},"quote":"q"}}'
    body = wire.melt_body("q", [PROOF], [OUTPUT]).reveal()
    assert body == f'{{"inputs":{inputs},"outputs":{outputs},"quote":"q"}}'
    assert wire.melt_body("q", [PROOF]).reveal() == f'{{"inputs":{inputs},"quote":"q"}}'


def test_a_witness_is_sent_and_a_blinding_factor_never() -> None:
    body = json.loads(wire.swap_body([evolve(PROOF, witness=Secret("w"))], []).reveal())
    assert body["inputs"] == [{"C": G, "amount": 4, "id": ID, "secret": "s\u00e9", "witness": "w"}]


def melt_quote(**changes: Any) -> dict[str, Any]:
    return {
        "quote": "q",
        "amount": 1,
        "fee_reserve": 0,
        "state": "UNPAID",
        "expiry": 5,
        "unit": "sat",
    } | changes


def signature(**changes: Any) -> dict[str, Any]:
    return {"id": ID, "amount": 1, "C_": G, "dleq": {"e": "11" * 32, "s": "22" * 32}} | changes


def test_melt_quotes_of_all_ages() -> None:
    quote = wire.read_melt_quote(melt_quote())
    assert (quote.id, quote.amount, quote.fee_reserve, quote.state) == ("q", 1, 0, "UNPAID")
    assert (quote.expires_at, quote.unit, quote.request, quote.preimage) == (5000, "sat", None, None)
    bare = {k: v for k, v in melt_quote().items() if k not in ("expiry", "unit")}
    old = wire.read_melt_quote(bare | {"paid": False, "change": None})
    assert (old.expires_at, old.unit, old.change) == (None, None, ())
    assert wire.read_melt_quote(melt_quote(expiry=2**50)).expires_at is None
    full = wire.read_melt_quote(
        melt_quote(request="ln", payment_preimage="00", change=[signature()], method="bolt11", extra=[1])
    )
    assert (full.request, full.preimage, len(full.change)) == (Secret("ln"), Secret("00"), 1)
    assert wire.read_melt_quote(melt_quote(payment_preimage="")).preimage is None


@pytest.mark.parametrize("name", ["amount", "fee_reserve"])
@pytest.mark.parametrize("value", WRONG_INTEGERS)
def test_amounts_are_integers(name: str, value: object) -> None:
    with pytest.raises(Malformed, match=name):
        wire.read_melt_quote(melt_quote(**{name: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "paid"},
        {"state": None},
        {"state": "ISSUED"},
        {"state": ["PAID"]},
        {"quote": ""},
        {"quote": 7},
        {"expiry": -1},
        {"expiry": "soon"},
        {"expiry": 1.5},
        {"unit": 7},
        {"request": {}},
        {"payment_preimage": 1},
        {"change": {}},
        {"change": [None]},
        {"change": [signature(amount=-1)]},
        {"change": [signature(C_="02")]},
        {"change": [signature(C_="02" + "0" * 64)]},
        {"change": [signature(id="")]},
        {"change": [signature(id="../../etc")]},
        {"change": [signature(dleq={"e": "11" * 32})]},
        {"change": [signature(dleq={"e": "zz" * 32, "s": "11" * 32})]},
        {"change": [signature(dleq=[])]},
        {"change": [signature()] * 10_001},
    ],
    ids=repr,
)
def test_melt_quotes_that_are_none(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        wire.read_melt_quote(melt_quote(**changes))


@pytest.mark.parametrize("data", [None, [], "x", 7, {}])
def test_other_things_are_not_answers(data: object) -> None:
    for read in (
        wire.read_keysets,
        wire.read_melt_quote,
        wire.read_mint_quote,
        wire.read_signatures,
        wire.read_signature,
        lambda d: wire.read_states(d, []),
        lambda d: wire.read_restored(d, []),
        lambda d: wire.read_keys(d, ID),
    ):
        with pytest.raises(Malformed):
            read(data)


def test_an_answer_about_another_quote_is_malformed() -> None:
    assert wire.read_melt_quote(melt_quote(), "q").id == "q"
    with pytest.raises(Malformed, match="quote"):
        wire.read_melt_quote(melt_quote(), "r")
    with pytest.raises(Malformed, match="quote"):
        wire.read_mint_quote({"quote": "q", "request": "ln", "state": "PAID"}, "r")


def test_mint_quotes_of_all_ages() -> None:
    body = {"quote": "q", "request": "ln", "state": "PAID"}
    old = wire.read_mint_quote(body)
    assert (old.amount, old.unit, old.expires_at) == (None, None, None)
    new = wire.read_mint_quote(body | {"amount": 5, "unit": "sat", "expiry": 9, "pubkey": None})
    assert (new.amount, new.unit, new.expires_at) == (5, "sat", 9000)
    for changes in ({"state": "PENDING"}, {"request": None}, {"amount": -5}, {"amount": "5"}):
        with pytest.raises(Malformed):
            wire.read_mint_quote(body | changes)


def test_keysets() -> None:
    body = {"id": ID, "unit": "sat", "active": True}
    read = wire.read_keysets(
        {"keysets": [body, body | {"input_fee_ppk": 7, "final_expiry": 9, "active": False}]}
    )
    assert read == (KeysetInfo(ID, "sat", True), KeysetInfo(ID, "sat", False, 7, 9000))
    for changes in ({"active": 1}, {"active": None}, {"unit": ""}, {"id": None}, {"input_fee_ppk": -1}):
        with pytest.raises(Malformed):
            wire.read_keysets({"keysets": [body | changes]})


def test_keys_must_belong_to_their_id() -> None:
    keys = {1: G, 2: H}
    text_keys = {"1": G, "2": H}
    v1 = keysets.keyset_id_v1(keys)
    v2 = keysets.keyset_id_v2(keys, "sat", 7, 9)
    assert wire.read_keys({"keysets": [{"id": v1, "unit": "sat", "keys": text_keys}]}, v1).keys == keys
    body = {"id": v2, "unit": "sat", "keys": text_keys, "input_fee_ppk": 7, "final_expiry": 9}
    assert wire.read_keys({"keysets": [body]}, v2).keys == keys
    without_fee = {k: v for k, v in body.items() if k != "input_fee_ppk"}
    assert wire.read_keys({"keysets": [without_fee]}, v2).keys == keys
    for wrong in (
        body | {"input_fee_ppk": 8},
        body | {"unit": "usd"},
        body | {"final_expiry": None},
        body | {"keys": {"1": G}},
        body | {"keys": {"1": G, "2": "02"}},
        body | {"keys": {"1": G, "2": 7}},
        body | {"keys": {"1": G, "-2": H}},
        body | {"keys": {"1": G, "two": H}},
        body | {"keys": {"1": G, "\u0662": H}},
        body | {"keys": []},
    ):
        with pytest.raises(Malformed):
            wire.read_keys({"keysets": [wrong]}, v2)
    for entries in ([], [body, body], [body | {"id": v1}]):
        with pytest.raises(Malformed):
            wire.read_keys({"keysets": entries}, v2)


def test_states_answer_what_was_asked() -> None:
    one, two = {"Y": G, "state": "SPENT"}, {"Y": H, "state": "PENDING", "witness": None}
    expected = (ProofState(G, "SPENT"), ProofState(H, "PENDING"))
    assert wire.read_states({"states": [two, one]}, [G, H]) == expected
    assert wire.read_states({"states": [two, one]}, [G.upper().replace("X", "x"), H]) == expected
    for states, asked in (
        ([one], [G, H]),
        ([one, two], [G]),
        ([one, one], [G]),
        ([one, two | {"state": "GONE"}], [G, H]),
        ([one, two | {"Y": "02"}], [G, H]),
        ([one, None], [G]),
    ):
        with pytest.raises(Malformed):
            wire.read_states({"states": states}, asked)


def test_restored_pairs_correspond() -> None:
    asked = [BlindedMessage(ID, 0, G), BlindedMessage(ID, 0, H)]
    one, two = ({"id": ID, "amount": 0, "B_": b} for b in (G, H))
    read = wire.read_restored({"outputs": [two], "signatures": [signature()]}, asked)
    assert [o.B_ for o in read.outputs] == [H]
    for outputs, signatures, wanted in (
        ([one], [], asked),
        ([one, one], [signature()] * 2, asked),
        ([one], [signature()], asked[1:]),
        ([one | {"B_": 1}], [signature()], asked),
        ([one | {"amount": -1}], [signature()], asked),
    ):
        with pytest.raises(Malformed):
            wire.read_restored({"outputs": outputs, "signatures": signatures}, wanted)


def test_info_of_a_terse_mint() -> None:
    info = wire.read_info({})
    assert (info.name, info.version) == ("", "")
    assert not info.supports(4)
    bodies: list[dict[str, object]] = [{"nuts": []}, {"name": 7}, {"version": {}}]
    for body in bodies:
        with pytest.raises(Malformed):
            wire.read_info(body)
    with pytest.raises(Malformed):
        wire.read_info(None)


def test_what_supporting_means() -> None:
    nuts = {
        "4": {"methods": [{}], "disabled": False},
        "5": {"methods": [{}], "disabled": True},
        "7": {"supported": True},
        "8": {"supported": False},
        "9": {"supported": "yes"},
        "17": {"supported": [{}]},
        "18": {"supported": []},
        "19": True,
        "20": {},
    }
    info = MintInfo("m", "v", nuts)
    assert [n for n in range(25) if info.supports(n)] == [4, 7, 17]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"a":1', b"<html>", b"\xff\xfe", b"NaN", b'{"a":Infinity}', b"[" * 100_000, b"9" * 5000],
    ids=range(9),
)
def test_bodies_that_are_not_json(raw: bytes) -> None:
    with pytest.raises(Malformed):
        wire.load_json(raw)


def test_errors_name_the_field_and_not_its_value() -> None:
    with pytest.raises(Malformed) as caught:
        wire.read_melt_quote(melt_quote(payment_preimage=["marker"]))
    assert str(caught.value) == "payment_preimage"
