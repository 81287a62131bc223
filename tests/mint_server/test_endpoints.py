"""The Cashu HTTP interface: what it offers, what it refuses, and what the way does to an answer."""

from __future__ import annotations

import hashlib
import json
import threading

import httpx
import pytest
from coincurve import PrivateKey

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Ambiguous, Refused, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.faults import (
    ANSWER_LOST,
    CUT,
    DUPLICATED,
    LATE,
    LOCKED,
    RATE_LIMITED,
    REQUEST_LOST,
    SERVER_ERROR,
    TOO_LARGE,
    UNREACHABLE,
    Fault,
    answer_delayed,
    quote_state,
)
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.mint_server.endpoints import BODY_BYTES_MAX
from tests.contract.mint.purse import value

from .conftest import Bench

OFFERED = {"4", "5", "7", "8", "9", "10", "11", "12", "14", "20"}


def test_it_offers_what_it_does_and_nothing_else(bench: Bench) -> None:
    """R700: /v1/info names the NUTs that the simulated mint obeys, and the units of its keysets."""
    assert set(bench.raw.get("/v1/info").json()["nuts"]) == OFFERED
    bench.done("keysets/add", unit="usd")
    methods = bench.raw.get("/v1/info").json()["nuts"]["5"]["methods"]
    assert [method["unit"] for method in methods] == ["sat", "usd"]
    assert value(bench.port.mint_quote(bench.url, 5, "usd")).unit == "usd"
    refused = bench.port.mint_quote(bench.url, 5, "eur")
    assert isinstance(refused, Refused) and refused.code == 11013


def test_keys_of_the_active_keysets_and_of_one(bench: Bench) -> None:
    """R700: NUT-01 and NUT-02 name what an id is made of; an unknown id is 12001."""
    old = bench.purse.active()
    new = bench.done("keysets/rotate", input_fee_ppk=7)["keyset"]
    listed = {entry["id"]: entry for entry in bench.raw.get("/v1/keysets").json()["keysets"]}
    assert (listed[old]["active"], listed[new]["active"], listed[new]["input_fee_ppk"]) == (False, True, 7)
    (active,) = bench.raw.get("/v1/keys").json()["keysets"]
    assert active["id"] == new and len(active["keys"]) == 64
    (one,) = bench.raw.get(f"/v1/keys/{old}").json()["keysets"]
    assert one["id"] == old and one["keys"]["1"] != active["keys"]["1"]
    unknown = bench.raw.get("/v1/keys/01" + "00" * 32)
    assert (unknown.status_code, unknown.json()["code"]) == (400, 12001)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/swap", b"{"),
        ("/v1/swap", b'{"inputs":[{"secret":"hunter22"}],"outputs":[]}'),
        ("/v1/swap", b"\xff"),
        ("/v1/mint/bolt11", b'{"quote":"hunter22","outputs":5}'),
        ("/v1/melt/bolt11", b"[]"),
        ("/v1/mint/quote/bolt11", b'{"amount":-5,"unit":"sat"}'),
        ("/v1/mint/quote/bolt11", b'{"amount":true,"unit":"sat"}'),
        ("/v1/mint/quote/bolt11", b'{"amount":5,"unit":"sat","pubkey":"hunter22"}'),
        ("/v1/melt/quote/bolt11", b'{"request":7,"unit":"sat"}'),
        ("/v1/melt/quote/bolt11", b'{"request":"lnbc1","unit":"sat","options":{"mpp":{"amount":1}}}'),
        ("/v1/checkstate", b'{"Ys":["hunter22"]}'),
        ("/v1/checkstate", b'{"Ys":5}'),
        ("/v1/restore", b'{"outputs":[{"id":"hunter22"}]}'),
        ("/v1/restore", b'{"outputs":["hunter22"]}'),
        ("/v1/restore", b"[" * 5000),
    ],
)
def test_nonsense_is_a_422_that_repeats_nothing(bench: Bench, path: str, body: bytes) -> None:
    """R701: a request that cannot be read is a 422 without a code, and its content is not repeated."""
    answer = bench.raw.post(path, content=body)
    assert answer.status_code == 422 and "code" not in answer.json()
    assert "hunter22" not in answer.text


def test_other_paths_methods_and_sizes(bench: Bench) -> None:
    """R701: unknown paths, wrong methods and bodies above the limit are refused, and nothing is done."""
    assert bench.raw.get("/v1/nothing").json() == {"detail": "Not Found"}
    assert bench.raw.get("/").status_code == 404
    assert bench.raw.get("/v1/swap").status_code == 405
    assert bench.raw.post("/v1/swap", content=b" " * (BODY_BYTES_MAX + 1)).status_code == 413


def test_wallets_in_browsers_may_ask(bench: Bench) -> None:
    """R701: any page may ask /v1; none is told that it may ask /admin."""
    asked = {"origin": "https://wallet.example", "access-control-request-method": "POST"}
    assert bench.raw.options("/v1/swap", headers=asked).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in bench.raw.options("/admin/faults/stop", headers=asked).headers


@pytest.mark.parametrize(
    ("fault", "status", "is_issued"),
    [
        (UNREACHABLE, None, False),
        (REQUEST_LOST, None, False),
        (LATE, None, False),
        (ANSWER_LOST, None, True),
        (CUT, None, True),
        (SERVER_ERROR, 500, True),
        (RATE_LIMITED, 429, False),
        (LOCKED, 400, False),
        (TOO_LARGE, 413, False),
        (DUPLICATED, 400, True),
    ],
    ids=lambda given: given.kind if isinstance(given, Fault) else "",
)
def test_faults_over_http(bench: Bench, fault: Fault, status: int | None, is_issued: bool) -> None:
    """R702: a dropped answer is a broken connection, a cut one a short body; what was executed stays."""
    quote = value(bench.port.mint_quote(bench.url, 8, "sat"))
    outs = bench.purse.outputs(8)
    body = bodies.mint_body(quote.id, outs).reveal()
    bench.mint.faults.next("mint", fault)
    if status is None:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            bench.raw.post("/v1/mint/bolt11", content=body)
    else:
        assert bench.raw.post("/v1/mint/bolt11", content=body).status_code == status
    restored = value(bench.port.restore(bench.url, outputs.blinded(outs)))
    assert len(restored.signatures) == (len(outs) if is_issued else 0)
    assert value(bench.port.mint_quote_state(bench.url, quote.id)).state == (
        "ISSUED" if is_issued else "PAID"
    )
    if not is_issued:
        delivered = bench.done("faults/deliver-late")["executed"]
        assert delivered == (1 if fault is LATE else 0)
        again = bench.port.mint(bench.url, bodies.mint_body(quote.id, outs))
        assert is_value(again) is (delivered == 0)


def test_a_claimed_address_breaks_the_right_connection(bench: Bench) -> None:
    """R702: the connection that breaks is the one of the request, whatever address its headers claim."""
    bench.mint.faults.next("info", ANSWER_LOST)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        bench.raw.get("/v1/info", headers={"x-forwarded-for": "192.0.2.1"})
    assert bench.raw.get("/v1/info", headers={"x-forwarded-for": "192.0.2.1"}).status_code == 200


def test_a_delayed_answer_is_late_and_executed_at_once(bench: Bench) -> None:
    """R702: while an answer is delayed its request is executed already, and the server answers others."""
    quote = value(bench.port.mint_quote(bench.url, 8, "sat"))
    outs = bench.purse.outputs(8)
    body = bodies.mint_body(quote.id, outs)
    bench.mint.faults.next("mint", answer_delayed(600_000))
    waits = threading.Thread(
        target=lambda: httpx.post(f"{bench.url}/v1/mint/bolt11", content=body.reveal(), timeout=None),
        daemon=True,
    )
    waits.start()
    for _ in range(1000):
        if value(bench.port.mint_quote_state(bench.url, quote.id)).state == "ISSUED":
            break
    assert len(value(bench.port.restore(bench.url, outputs.blinded(outs))).signatures) == len(outs)
    assert waits.is_alive()


def test_a_delay_in_process_is_the_callers_sleep() -> None:
    """R702: in process the mint sleeps as it was told to, after it did what was asked."""
    slept: list[float] = []
    with SimulatedMint(sleep=slept.append) as mint:
        mint.faults.next("info", answer_delayed(1500))
        assert is_value(mint.info(mint.url)) and slept == [1.5]


def test_lies_keep_their_words(bench: Bench) -> None:
    """R702: an unknown state of a quote arrives with its word."""
    quote = value(bench.port.mint_quote(bench.url, 8, "sat"))
    bench.mint.faults.next("mint_quote_state", quote_state("FLAPPING"))
    said = value(bench.port.mint_quote_state(bench.url, quote.id))
    assert (said.state, said.said) == ("UNKNOWN", "FLAPPING")


def test_a_locked_quote_needs_the_signature_of_its_key(bench: Bench) -> None:
    """R703: NUT-20: without the signature of the quote's key nothing is issued."""
    key = PrivateKey(b"\x07" * 32)
    asked = {"amount": 8, "unit": "sat", "pubkey": key.public_key.format().hex()}
    quote = bench.raw.post("/v1/mint/quote/bolt11", json=asked).json()
    assert quote["pubkey"] == asked["pubkey"]
    body = json.loads(bodies.mint_body(quote["quote"], bench.purse.outputs(8)).reveal())
    for signature in ({}, {"signature": "00" * 64}, {"signature": 7}):
        refused = bench.raw.post("/v1/mint/bolt11", json=body | signature)
        assert (refused.status_code, refused.json()["code"]) == (400, 20008)
    text = quote["quote"] + "".join(output["B_"] for output in body["outputs"])
    signed = key.sign_schnorr(hashlib.sha256(text.encode()).digest()).hex()
    issued = bench.raw.post("/v1/mint/bolt11", json=body | {"signature": signed})
    assert issued.status_code == 200 and len(issued.json()["signatures"]) == len(body["outputs"])


def test_an_unexpected_error_is_a_500_without_its_text(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """R701: a bug in the mint is an ambiguous answer that shows no value."""

    def broken(_: object) -> object:
        raise RuntimeError("hunter22")

    monkeypatch.setattr(SimulatedMint, "exchange", lambda self, request: broken(request))
    assert isinstance(bench.port.info(bench.url), Ambiguous)
    assert bench.raw.get("/v1/info").json() == {"detail": "internal error: RuntimeError"}
