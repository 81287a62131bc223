"""Bodies are exact, answers are read field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from nutstate.engine.cashu.coins import keyset_ids as keysets
from nutstate.engine.cashu.port import UNKNOWN, BlindedMessage, KeysetInfo, MeltQuote, MintInfo, ProofState
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.bodies import Malformed
from nutstate.engine.cashu.wire.fields import Notes
from nutstate.storage.records import Dleq, Output, Proof
from nutstate.storage.secret import Secret
from tests.support.cases import every

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
H = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
ID = "009a1f293253e41e"
OTHER = "00ad268c4d1f5826"
PROOF = Proof(ID, 4, Secret("s\u00e9"), Secret(G), dleq=Dleq("11" * 32, "22" * 32, Secret("33" * 32)), Y=G)
OUTPUT = Output(ID, 4, H, Secret("x"), Secret("y"))
WRONG_INTEGERS: list[object] = [None, -1, 1.0, True, "1", 2**53, 2**64, [], {}]


def test_bodies_are_canonical_and_hold_nothing_else() -> None:
    inputs = f'[{{"C":"{G}","amount":4,"id":"{ID}","secret":"s\\u00e9"}}]'
    outputs = f'[{{"B_":"{H}","amount":4,"id":"{ID}"}}]'
    assert bodies.swap_body([PROOF], [OUTPUT]).reveal() == f'{{"inputs":{inputs},"outputs":{outputs}}}'
    assert bodies.mint_body("q", [OUTPUT]).reveal() == f'{{"outputs":{outputs},"quote":"q"}}'
    body = bodies.melt_body("q", [PROOF], [OUTPUT]).reveal()
    assert body == f'{{"inputs":{inputs},"outputs":{outputs},"quote":"q"}}'
    assert bodies.melt_body("q", [PROOF]).reveal() == f'{{"inputs":{inputs},"quote":"q"}}'


def test_a_witness_is_sent_and_a_blinding_factor_never() -> None:
    body = json.loads(bodies.swap_body([evolve(PROOF, witness=Secret("w"))], []).reveal())
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


def read_state(**changes: Any) -> MeltQuote:
    return bodies.read_melt_state(melt_quote(**changes), "q")


def test_melt_quotes_of_all_ages() -> None:
    """R185: what is missing or null is None, and says so."""
    quote = bodies.read_melt_quote(melt_quote())
    assert (quote.id, quote.amount, quote.fee_reserve, quote.state) == ("q", 1, 0, "UNPAID")
    assert (quote.expires_at, quote.unit, quote.request, quote.preimage) == (5000, "sat", None, None)
    bare = {k: v for k, v in melt_quote().items() if k not in ("expiry", "unit")}
    old = bodies.read_melt_quote(bare | {"paid": False, "change": None})
    assert (old.expires_at, old.unit, old.change, old.notes) == (None, None, (), ())
    full = bodies.read_melt_quote(
        melt_quote(request="ln", payment_preimage="AB" * 32, change=[signature()], method="bolt11", extra=[1])
    )
    assert (full.request, full.preimage, len(full.change)) == (Secret("ln"), Secret("ab" * 32), 1)
    assert bodies.read_melt_quote(melt_quote(payment_preimage="")).preimage is None
    assert full.notes == ()


@pytest.mark.parametrize("expiry", [0, None, 2**43 + 1, 2**63, 10**30], ids=repr)
def test_an_expiry_that_names_none(expiry: object) -> None:
    """R188: 0, null and what is beyond any date are no expiry, and no note."""
    quotes = bodies.read_melt_quote(melt_quote(expiry=expiry)), read_state(expiry=expiry)
    mint = bodies.read_mint_quote({"quote": "q", "request": "ln", "state": "UNPAID", "expiry": expiry})
    assert {(q.expires_at, q.notes) for q in (*quotes, mint)} == {(None, ())}
    assert bodies.read_mint_state({"state": "PAID"}, "q").expires_at is None, "missing is the same"
    assert read_state(expiry=2**43).expires_at == 2**43 * 1000 < 2**53


@every("name", ["amount", "fee_reserve"])
@every("value", WRONG_INTEGERS)
def test_amounts_are_integers_that_can_be_stored(name: str, value: object) -> None:
    """R185, R195: a quote that is asked for needs them; beside a state they are set aside."""
    with pytest.raises(Malformed, match=name):
        bodies.read_melt_quote(melt_quote(**{name: value}))
    read = read_state(state="PAID", **{name: value})
    assert (read.state, getattr(read, name)) == ("PAID", None)
    assert read.notes == (() if value is None else (f"{name} cannot be read",))


UNREADABLE: list[dict[str, Any]] = [
    {"expiry": -1},
    {"expiry": "soon"},
    {"expiry": 1.5},
    {"expiry": True},
    {"unit": 7},
    {"unit": "u" * 65},
    {"unit": "\ud800"},
    {"request": {}},
    {"request": "ln" * 9000},
    {"request": "ln\udfff"},
    {"payment_preimage": 1},
    {"payment_preimage": "00"},
    {"payment_preimage": "no preimage"},
    {"payment_preimage": "g" * 64},
    {"payment_preimage": "a" * 63 + "\u0661"},
    {"payment_preimage": ["a" * 64]},
    {"quote": 7},
    {"quote": ["q"]},
    {"quote": "\ud800"},
    {"quote": "q" * 257},
]


@every("changes", UNREADABLE, ids=lambda c: repr(c)[:40])
@every("state", ["UNPAID", "PENDING", "PAID"])
def test_nothing_hides_the_state(changes: dict[str, Any], state: str) -> None:
    """R185: what cannot be read beside a state is set aside and named, without its value."""
    read = read_state(state=state, **changes)
    (name,) = changes
    assert (read.state, read.id, read.notes) == (state, "q", (f"{name} cannot be read",))
    field = {"expiry": "expires_at", "payment_preimage": "preimage"}.get(name, name)
    assert name == "quote" or getattr(read, field) is None


@every("changes", UNREADABLE[:10], ids=lambda c: repr(c)[:40])
@every("state", ["UNPAID", "PAID", "ISSUED"])
def test_nothing_hides_the_state_of_funding(changes: dict[str, Any], state: str) -> None:
    """R185: the same of mint quotes."""
    body = {"quote": "q", "request": "ln", "state": state, "amount": 5, "unit": "sat", "expiry": 9}
    read = bodies.read_mint_state(body | changes, "q")
    assert (read.state, read.notes) == (state, (f"{next(iter(changes))} cannot be read",))


BAD_SIGNATURES: list[Any] = [
    7,
    [],
    {},
    signature(amount=-1),
    signature(amount=2**53),
    signature(C_="02"),
    signature(C_="02" + "0" * 64),
    signature(id=""),
    signature(id="../../etc"),
    None,
]


@pytest.mark.parametrize("bad", BAD_SIGNATURES, ids=repr)
def test_one_unreadable_signature_keeps_its_place(bad: object) -> None:
    """R190: the others are read, the position stays, and nothing hides the state."""
    read = read_state(state="PAID", change=[signature(), bad, signature(amount=4)])
    assert (read.state, len(read.change), read.change[1]) == ("PAID", 3, None)
    assert [s and s.amount for s in read.change] == [1, None, 4]
    assert read.notes == ("change 1 cannot be read",)


@pytest.mark.parametrize(
    "dleq",
    [{"e": "11" * 32}, {"e": "zz" * 32, "s": "11" * 32}, {"e": "1" * 63, "s": "11" * 32}, [], {}, "x", 7],
    ids=repr,
)
def test_an_unreadable_dleq_hides_no_signature(dleq: object) -> None:
    """R190: numbers without their leading zero, empty objects: set aside, the signature stays."""
    read = read_state(state="PAID", change=[signature(dleq=dleq), signature()])
    assert [s is not None and s.dleq is None for s in read.change] == [True, False]
    assert read.notes == ("the DLEQ proof of change 0 cannot be read",)
    signatures = bodies.read_signatures({"signatures": [signature(dleq=dleq)]})
    assert signatures[0].dleq is None and signatures.notes == (
        "the DLEQ proof of signature 0 cannot be read",
    )


def test_change_that_is_none_and_change_that_is_unreadable() -> None:
    """R190: nulls at the end are blanks without a signature; what is no list at all is not "no change"."""
    assert read_state(state="PAID", change=[None, None]).change == ()
    assert len(read_state(state="PAID", change=[signature(), None, None]).change) == 1
    odd: list[Any] = [{}, "x", 7, True, [signature()] * 10_001]
    for change in odd:
        read = read_state(state="PAID", change=change)
        assert (read.state, read.change, read.notes) == ("PAID", (None,), ("change cannot be read",))


@pytest.mark.parametrize(
    "said", ["FAILED", "UNKNOWN", "EXPIRED", "paid", "PAID ", " PAID", "PAID\nno", "ISSUED"]
)
def test_unknown_states_are_an_answer(said: str) -> None:
    """R186: neither paid nor unpaid; the mint's word is told."""
    read = read_state(state=said)
    assert read.state == UNKNOWN and read.said is not None and read.said in said
    if said != "ISSUED":
        mint = bodies.read_mint_state({"state": said}, "q")
        assert mint.state == UNKNOWN and mint.said is not None and mint.said in said
    assert bodies.read_mint_state({"state": "PENDING"}, "q").said == "PENDING"


def test_a_word_is_cleaned_and_cut() -> None:
    """R195: what a mint calls a state can be stored and shown."""
    secret = "secret" * 20
    for said in (secret, "\x1b[31mPAID", "long " * 1000):
        word = read_state(state=said).said
        assert word is not None and word.isprintable() and len(word) <= 40 and "secretsecret" not in word


@pytest.mark.parametrize("state", [None, "", 7, ["PAID"], {"PAID": 1}, True, "\ud800"], ids=repr)
def test_an_answer_that_says_nothing_of_the_state_is_none(state: object) -> None:
    """R186: no word at all is no answer; a quote that was just made is unpaid."""
    with pytest.raises(Malformed, match="state"):
        read_state(state=state)
    with pytest.raises(Malformed, match="state"):
        bodies.read_mint_state({"quote": "q", "request": "ln", "state": state}, "q")
    assert bodies.read_melt_quote(melt_quote(state=state)).state == "UNPAID"
    assert bodies.read_mint_quote({"quote": "q", "request": "ln", "state": state}).state == "UNPAID"


@pytest.mark.parametrize("paid", [True, False])
def test_quotes_from_before_there_were_states(paid: bool) -> None:
    """R187: they say ``paid``."""
    bare = {k: v for k, v in melt_quote(paid=paid).items() if k != "state"}
    assert bodies.read_melt_state(bare, "q").state == ("PAID" if paid else "UNPAID")
    assert bodies.read_mint_state({"paid": paid}, "q").state == ("PAID" if paid else "UNPAID")
    with pytest.raises(Malformed, match="state"):
        bodies.read_mint_state({"paid": "yes"}, "q")
    assert read_state(state="PENDING", paid=paid).state == "PENDING", "a state that is named is the state"


@pytest.mark.parametrize(
    ("paid", "issued", "state"),
    [(0, 0, "UNPAID"), (5, 0, "PAID"), (5, 5, "ISSUED"), (10, 5, "ISSUED"), (9, 0, "PAID"), (3, 0, UNKNOWN)],
)
def test_quotes_that_count(paid: int, issued: int, state: str) -> None:
    """R187: NUT-04 tells what was paid and what was issued; a part of it is neither."""
    body = {"quote": "q", "request": "ln", "amount": 5, "amount_paid": paid, "amount_issued": issued}
    assert bodies.read_mint_state(body, "q").state == state
    assert bodies.read_mint_state(body | {"state": "UNPAID"}, "q").state == "UNPAID"
    if paid != 3:
        unnamed = {k: v for k, v in body.items() if k != "amount"}
        assert bodies.read_mint_state(unnamed, "q").state == state


@pytest.mark.parametrize("quote_id", ["", None, 7, "q" * 257, "q\n", "\ud800"], ids=repr)
def test_a_quote_that_is_asked_for_has_a_name(quote_id: object) -> None:
    """R194, R195: without one it could neither be asked about nor stored."""
    with pytest.raises(Malformed, match="quote"):
        bodies.read_melt_quote(melt_quote(quote=quote_id))
    with pytest.raises(Malformed, match="quote"):
        bodies.read_mint_quote({"quote": quote_id, "request": "ln", "state": "UNPAID"})


@pytest.mark.parametrize("data", [None, [], "x", 7, {}])
def test_other_things_are_not_answers(data: object) -> None:
    for read in (
        bodies.read_keysets,
        bodies.read_melt_quote,
        bodies.read_mint_quote,
        bodies.read_signatures,
        lambda d: bodies.read_melt_state(d, "q"),
        lambda d: bodies.read_mint_state(d, "q"),
        lambda d: bodies.read_signature(d, Notes(), "it"),
        lambda d: bodies.read_states(d, []),
        lambda d: bodies.read_restored(d, []),
        lambda d: bodies.read_keys(d, ID),
    ):
        with pytest.raises(Malformed):
            read(data)


def test_an_answer_about_another_quote_is_malformed() -> None:
    """R194: one that names no quote is about the one that was asked for, another one is not ours."""
    assert read_state().id == "q"
    assert bodies.read_melt_state({"state": "PAID"}, "q").id == "q"
    assert bodies.read_melt_state({"state": "PAID"}).id == "", "to a posted melt: the caller knows which"
    assert bodies.read_melt_state(melt_quote()).id == "q"
    assert bodies.read_mint_state({"state": "PAID"}, "q").id == "q"
    with pytest.raises(Malformed, match="quote"):
        bodies.read_melt_state(melt_quote(), "r")
    with pytest.raises(Malformed, match="quote"):
        bodies.read_mint_state({"quote": "q", "request": "ln", "state": "PAID"}, "r")


def test_mint_quotes_of_all_ages() -> None:
    """R185: the invoice is needed once, then only the state."""
    body = {"quote": "q", "request": "ln", "state": "PAID"}
    old = bodies.read_mint_quote(body)
    assert (old.amount, old.unit, old.expires_at) == (None, None, None)
    new = bodies.read_mint_quote(body | {"amount": 5, "unit": "sat", "expiry": 9, "pubkey": None})
    assert (new.amount, new.unit, new.expires_at) == (5, "sat", 9000)
    for amount in (-5, "5"):
        assert bodies.read_mint_quote(body | {"amount": amount}).notes == ("amount cannot be read",)
    with pytest.raises(Malformed, match="request"):
        bodies.read_mint_quote(body | {"request": None})
    assert bodies.read_mint_state(body | {"request": None}, "q").request is None


def test_keysets() -> None:
    body = {"id": ID, "unit": "sat", "active": True}
    read = bodies.read_keysets(
        {"keysets": [body, body | {"id": OTHER, "input_fee_ppk": 7, "final_expiry": 9, "active": False}]}
    )
    assert tuple(read) == (KeysetInfo(ID, "sat", True), KeysetInfo(OTHER, "sat", False, 7, 9000))
    assert read.notes == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"active": 1},
        {"active": None},
        {"unit": ""},
        {"unit": None},
        {"unit": 7},
        {"id": None},
        {"id": "x"},
        {"id": "a" * 67},
        {"input_fee_ppk": -1},
        {"input_fee_ppk": 2**53},
        {"input_fee_ppk": "1"},
    ],
    ids=repr,
)
def test_one_odd_keyset_hides_no_other(odd: dict[str, Any]) -> None:
    """R192: it is left out and noted."""
    body = {"id": ID, "unit": "sat", "active": True}
    entries: list[Any] = [body | odd, 7, None, []]
    for entry in entries:
        read = bodies.read_keysets({"keysets": [entry, body]})
        assert tuple(read) == (KeysetInfo(ID, "sat", True),)
        assert len(read.notes) == 1 and read.notes[0].startswith("keyset 0 left out: ")


def test_keysets_of_other_kinds_and_twice() -> None:
    """R192: another kind is listed, and no outputs are made on it. Of an id the first entry counts."""
    body = {"id": ID, "unit": "sat", "active": True}
    others = [body | {"id": "02" + "ab" * 32}, body | {"id": "I2yN+iRYfkzT"}]
    read = bodies.read_keysets({"keysets": [body, *others, body | {"input_fee_ppk": 5}]})
    assert [info.id for info in read] == [ID, *(other["id"] for other in others)]
    assert read.notes == ("keyset 3 left out: listed twice",)
    late = bodies.read_keysets({"keysets": [body | {"final_expiry": "never"}]})
    assert late[0].final_expiry is None and late.notes == ("final_expiry cannot be read",)


def test_keys_must_belong_to_their_id() -> None:
    keys = {1: G, 2: H}
    text_keys = {"1": G, "2": H}
    v1 = keysets.keyset_id_v1(keys)
    v2 = keysets.keyset_id_v2(keys, "sat", 7, 9)
    assert bodies.read_keys({"keysets": [{"id": v1, "unit": "sat", "keys": text_keys}]}, v1).keys == keys
    body = {"id": v2, "unit": "sat", "keys": text_keys, "input_fee_ppk": 7, "final_expiry": 9}
    assert bodies.read_keys({"keysets": [body]}, v2).keys == keys
    without_fee = {k: v for k, v in body.items() if k != "input_fee_ppk"}
    assert bodies.read_keys({"keysets": [without_fee]}, v2).keys == keys
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
            bodies.read_keys({"keysets": [wrong]}, v2)
    odd: list[Any] = [7, None, {"id": "x"}, body | {"id": v1}]
    assert bodies.read_keys({"keysets": [*odd, body]}, v2).keys == keys
    for entries in ([], [body, body], [body | {"id": v1}]):
        with pytest.raises(Malformed):
            bodies.read_keys({"keysets": entries}, v2)


def test_states_answer_what_was_asked() -> None:
    one, two = {"Y": G, "state": "SPENT"}, {"Y": H, "state": "PENDING", "witness": None}
    expected = (ProofState(G, "SPENT"), ProofState(H, "PENDING"))
    assert bodies.read_states({"states": [two, one]}, [G, H]) == expected
    assert bodies.read_states({"states": [two, one]}, [G.upper().replace("X", "x"), H]) == expected
    for states, asked in (
        ([one], [G, H]),
        ([one, two], [G]),
        ([one, one], [G]),
        ([one, two | {"Y": "02"}], [G, H]),
        ([one, None], [G]),
    ):
        with pytest.raises(Malformed):
            bodies.read_states({"states": states}, asked)


@pytest.mark.parametrize("said", ["GONE", "unspent", "UNSPENT ", None, "", 7, "\ud800"], ids=repr)
def test_an_unknown_word_about_a_proof(said: object) -> None:
    """R193: nothing is built on it: it is neither UNSPENT nor SPENT."""
    states = [{"Y": G, "state": "SPENT"}, {"Y": H, "state": said}]
    read = bodies.read_states({"states": states}, [G, H])
    assert tuple(read) == (ProofState(G, "SPENT"), ProofState(H, "PENDING")) and read.notes


def test_restored_pairs_correspond() -> None:
    """R191: an entry that cannot be read hides no other, and never looks like "nothing signed"."""
    asked = [BlindedMessage(ID, 0, G), BlindedMessage(ID, 0, H)]
    one, two = ({"id": ID, "amount": 0, "B_": b} for b in (G, H))
    read = bodies.read_restored({"outputs": [two], "signatures": [signature()]}, asked)
    assert [o.B_ for o in read.outputs] == [H] and read.is_readable and not read.is_empty
    for outputs, signatures in (([one], []), ([], [signature()]), ({}, []), ([one], None)):
        with pytest.raises(Malformed):
            bodies.read_restored({"outputs": outputs, "signatures": signatures}, asked)
    bare = bodies.read_restored({"outputs": [{"B_": G}], "signatures": [signature()]}, asked)
    assert bare.outputs == (asked[0],), "only its name is needed"


@pytest.mark.parametrize("odd", [None, 7, {}, {"B_": 1}, {"B_": "02" + "0" * 64}, {"B_": H}], ids=repr)
def test_a_restored_output_that_cannot_be_found(odd: object) -> None:
    """R191: it is counted, so it is never taken for "nothing is signed"."""
    asked = [BlindedMessage(ID, 0, G)]
    one = {"id": ID, "amount": 0, "B_": G}
    alone = bodies.read_restored({"outputs": [odd], "signatures": [signature()]}, asked)
    assert (alone.outputs, alone.unreadable) == ((), 1) and not alone.is_empty and not alone.is_readable
    both = bodies.read_restored({"outputs": [odd, one], "signatures": [signature()] * 2}, asked)
    assert (both.outputs, both.unreadable) == ((asked[0],), 1)
    twice = bodies.read_restored({"outputs": [one, one], "signatures": [signature()] * 2}, asked)
    assert (twice.outputs, twice.unreadable) == ((asked[0],), 1)


@pytest.mark.parametrize("bad", BAD_SIGNATURES, ids=repr)
def test_a_restored_signature_that_cannot_be_read(bad: object) -> None:
    """R191: signed, but unreadable."""
    asked = [BlindedMessage(ID, 0, G), BlindedMessage(ID, 0, H)]
    pairs = [{"B_": G}, {"B_": H}]
    read = bodies.read_restored({"outputs": pairs, "signatures": [bad, signature()]}, asked)
    assert [s is None for s in read.signatures] == [True, False]
    assert not read.is_readable and not read.is_empty and read.unreadable == 0


def test_info_of_a_terse_mint() -> None:
    info = bodies.read_info({})
    assert (info.name, info.version) == ("", "")
    assert not info.supports(4)
    answers: list[dict[str, object]] = [{"name": 7}, {"version": {}}, {"name": "\ud800", "version": "\x00"}]
    for body in answers:
        odd = bodies.read_info({**body, "nuts": {"7": {"supported": True}}})
        assert odd.supports(7) and f"{odd.name}{odd.version}".encode().decode().isprintable()
    with pytest.raises(Malformed, match="nuts"):
        bodies.read_info({"nuts": []})
    with pytest.raises(Malformed):
        bodies.read_info(None)


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
        bodies.load_json(raw)


def test_errors_and_notes_name_the_field_and_not_its_value() -> None:
    with pytest.raises(Malformed) as caught:
        bodies.read_melt_quote(melt_quote(amount=["marker"]))
    assert str(caught.value) == "amount"
    assert "marker" not in str(read_state(payment_preimage=["marker"], change=["marker"]).notes)
    many = read_state(change=[7] * 500)
    assert len(many.change) == 500 and len(many.notes) == 20
