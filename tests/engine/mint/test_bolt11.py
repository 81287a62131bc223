"""BOLT-11 invoices: the published examples, the ``bolt11`` package as a second opinion, and damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import bech32
import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.bolt11 import InvalidInvoice, Invoice, decode_invoice
from nutstate.engine.simulated.invoice import make_invoice

EXAMPLES: Any = json.loads((Path(__file__).parents[2] / "fixtures" / "vectors" / "bolt-11.json").read_text())
NOW = 1_700_000_000


@pytest.mark.parametrize("example", EXAMPLES["valid"], ids=range(len(EXAMPLES["valid"])))
def test_published_examples(example: dict[str, Any]) -> None:
    text = example["invoice"]
    expected = {k: v for k, v in example.items() if k != "invoice"}
    # one example is signed with another key; every other by the key the document names
    decoded = decode_invoice(text)
    assert decoded == Invoice(**expected, payee=decoded.payee)
    assert decoded.payee == EXAMPLES["payee"]
    assert decoded.expires_at == (expected["timestamp"] + expected["expiry_s"]) * 1000


@pytest.mark.parametrize("why", EXAMPLES["invalid"])
def test_published_invalid_examples(why: str) -> None:
    with pytest.raises(InvalidInvoice):
        decode_invoice(EXAMPLES["invalid"][why])


def _oracle() -> Any:
    return pytest.importorskip(
        "bolt11",
        reason="comparison with the bolt11 package not run: it is not importable",
        exc_type=ImportError,
    )


@settings(max_examples=25)
@given(
    amount=st.one_of(st.none(), st.integers(1, 10**15)),
    expiry=st.integers(0, 2**30),
    description=st.text(max_size=60).filter(lambda s: s.isprintable()),
    preimage=st.binary(min_size=32, max_size=32),
)
def test_the_bolt11_package_agrees(
    amount: int | None, expiry: int, description: str, preimage: bytes
) -> None:
    oracle = _oracle()
    text = make_invoice(amount, preimage=preimage, timestamp=NOW, expiry_s=expiry, description=description)
    ours, theirs = decode_invoice(text), oracle.decode(text)
    assert (ours.amount_msat, ours.payment_hash, ours.timestamp) == (
        theirs.amount_msat,
        theirs.payment_hash,
        theirs.date,
    )
    assert (ours.expiry_s, ours.description) == (theirs.expiry, theirs.description)


@settings(max_examples=60)
@given(
    amount=st.one_of(st.none(), st.integers(1, 10**17)),
    expiry=st.integers(0, 2**40),
    network=st.sampled_from(["bc", "tb", "tbs", "bcrt"]),
    preimage=st.binary(min_size=32, max_size=32),
    description=st.text(max_size=500),
)
def test_what_is_made_is_read(
    amount: int | None, expiry: int, network: str, preimage: bytes, description: str
) -> None:
    text = make_invoice(
        amount,
        preimage=preimage,
        timestamp=NOW,
        expiry_s=expiry,
        network=network,
        description=description,
    )
    decoded = decode_invoice(text)
    assert decoded.payment_hash == hashlib.sha256(preimage).hexdigest()
    assert (decoded.amount_msat, decoded.expiry_s, decoded.timestamp) == (amount, expiry, NOW)
    assert (decoded.network, decoded.description) == (network, description)
    assert decode_invoice(text.upper()) == decoded


def test_what_cannot_be_made() -> None:
    for keywords in (
        {},
        {"preimage": b"1" * 32, "payment_hash": "00" * 32},
        {"payment_hash": "00"},
        {"payment_hash": "00" * 32, "expiry_s": -1},
        {"payment_hash": "00" * 32, "description": "x" * 700},
    ):
        with pytest.raises(InvalidInvoice):
            make_invoice(1000, timestamp=NOW, **keywords)
    for amount in (0, -5):
        with pytest.raises(InvalidInvoice):
            make_invoice(amount, timestamp=NOW, payment_hash="00" * 32)
    with pytest.raises(InvalidInvoice):
        make_invoice(1, timestamp=2**35, payment_hash="00" * 32)


@settings(max_examples=80)
@given(position=st.integers(0, 10_000), replacement=st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1b"))
def test_one_wrong_character_is_refused(position: int, replacement: str) -> None:
    text = make_invoice(123_000, preimage=b"\x01" * 32, timestamp=NOW)
    at = position % len(text)
    damaged = text[:at] + replacement + text[at + 1 :]
    if damaged != text:
        with pytest.raises(InvalidInvoice):
            decode_invoice(damaged)


@settings(max_examples=60)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 4))
def test_a_forged_checksum_does_not_help(at: int, bit: int) -> None:
    text = make_invoice(123_000, preimage=b"\x01" * 32, timestamp=NOW)
    honest = decode_invoice(text)
    hrp, words = bech32.bech32_decode(text)
    assert hrp is not None and words is not None
    words[at % len(words)] ^= 1 << bit
    try:
        forged = decode_invoice(bech32.bech32_encode(hrp, words))
    except InvalidInvoice:
        return
    assert forged.payee != honest.payee  # a payer of this does not pay our node


def test_a_named_payee_must_have_signed() -> None:
    key, other = PrivateKey(b"\x02" * 32), PrivateKey(b"\x03" * 32)
    text = make_invoice(1000, preimage=b"\x01" * 32, timestamp=NOW, private_key=key.secret)
    assert decode_invoice(text).payee == key.public_key.format().hex()
    for named, accepted in ((key, True), (other, False)):
        signed = _with_payee(text, named.public_key.format(), key)
        if accepted:
            assert decode_invoice(signed).payee == key.public_key.format().hex()
        else:
            with pytest.raises(InvalidInvoice):
                decode_invoice(signed)


def _with_payee(text: str, named: bytes, signer: PrivateKey) -> str:
    hrp, words = bech32.bech32_decode(text)
    assert hrp is not None and words is not None
    body = [*words[:-104], 19, 1, 21, *_pack(named)]
    return _sign(hrp, body, signer)


def _pack(raw: bytes) -> list[int]:
    return list(bech32.convertbits(raw, 8, 5, True) or ())


def _sign(hrp: str, body: list[int], signer: PrivateKey) -> str:
    packed = bytes(bech32.convertbits(body, 5, 8, True) or ())
    signature = signer.sign_recoverable(hashlib.sha256(hrp.encode() + packed).digest(), hasher=None)
    return str(bech32.bech32_encode(hrp, body + _pack(signature)))


@pytest.mark.parametrize(
    "body",
    [
        [0] * 7,  # no payment hash
        [0] * 7 + [1, 1],  # a field that ends before its length
        [0] * 7 + [1, 1, 20] + [0] * 51,  # a field shorter than it says
        [0] * 7 + [1, 1, 19] + [0] * 51,  # a payment hash of another length is no payment hash
    ],
)
def test_fields_that_do_not_fit(body: list[int]) -> None:
    with pytest.raises(InvalidInvoice):
        decode_invoice(_sign("lnbc1m", body, PrivateKey(b"\x02" * 32)))


@pytest.mark.parametrize(
    "hrp", ["lnbc01m", "lnbc0", "lnbc" + "9" * 19, "lnbc1mm", "lnxx", "ln", "bc1m", "lnbc15p"]
)
def test_prefixes_that_mean_nothing(hrp: str) -> None:
    body = [0] * 7 + [1, 1, 20] + [0] * 52
    with pytest.raises(InvalidInvoice):
        decode_invoice(_sign(hrp, body, PrivateKey(b"\x02" * 32)))


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=300), st.text(alphabet="lnbc1qpzry9x8gf2tvdw0s3", max_size=300)))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidInvoice):
        decode_invoice(text)


def test_errors_do_not_repeat_the_invoice() -> None:
    marker = "lnbc1marker" * 20
    with pytest.raises(InvalidInvoice) as caught:
        decode_invoice(marker)
    assert "marker" not in str(caught.value)
    with pytest.raises(InvalidInvoice):
        decode_invoice("lnbc1" + "q" * 8000)
