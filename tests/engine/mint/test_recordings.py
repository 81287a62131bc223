"""Every recorded exchange with a real mint, replayed through the HTTP adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nutstate.engine.cashu.port import (
    Ambiguous,
    Answer,
    BlindedMessage,
    Keyset,
    MeltQuote,
    MintInfo,
    MintQuote,
    Refused,
    Restored,
)
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret

FOLDER = Path(__file__).parents[2] / "fixtures" / "mint"
URL = "https://mint.recorded"
RUNS = sorted(path.name for path in FOLDER.glob("*.jsonl"))


def _exchanges(run: str) -> Iterator[dict[str, Any]]:
    with (FOLDER / run).open() as lines:
        for line in lines:
            yield json.loads(line)


def _body(exchange: dict[str, Any]) -> Secret:
    return Secret(json.dumps(exchange["request"]["json"]))


def _outputs(exchange: dict[str, Any]) -> list[BlindedMessage]:
    return [BlindedMessage(o["id"], o["amount"], o["B_"]) for o in exchange["request"]["json"]["outputs"]]


def _call(mint: HttpMint, exchange: dict[str, Any]) -> Answer[object]:
    """The port method that makes the recorded request."""
    method, path = exchange["request"]["method"], exchange["request"]["path"]
    sent, last = exchange["request"]["json"], path.rsplit("/", 1)[-1]
    if method == "GET":
        if path == "/v1/keys":  # all active keysets at once, which the port does not ask for
            return mint.keys(URL, exchange["response"]["json"]["keysets"][0]["id"])
        reads: dict[str, Callable[[], Answer[object]]] = {
            "/v1/info": lambda: mint.info(URL),
            "/v1/keysets": lambda: mint.keysets(URL),
            "/v1/keys/": lambda: mint.keys(URL, last),
            "/v1/melt/quote/bolt11/": lambda: mint.melt_quote_state(URL, last),
            "/v1/mint/quote/bolt11/": lambda: mint.mint_quote_state(URL, last),
        }
        return reads[path if path in reads else path.removesuffix(last)]()
    writes: dict[str, Callable[[], Answer[object]]] = {
        "/v1/melt/quote/bolt11": lambda: mint.melt_quote(URL, Secret(sent["request"]), sent["unit"]),
        "/v1/mint/quote/bolt11": lambda: mint.mint_quote(URL, sent["amount"], sent["unit"]),
        "/v1/melt/bolt11": lambda: mint.melt(URL, _body(exchange)),
        "/v1/mint/bolt11": lambda: mint.mint(URL, _body(exchange)),
        "/v1/swap": lambda: mint.swap(URL, _body(exchange)),
        "/v1/checkstate": lambda: mint.check_states(URL, sent["Ys"]),
        "/v1/restore": lambda: mint.restore(URL, _outputs(exchange)),
    }
    return writes[path]()


def _replay(exchange: dict[str, Any]) -> tuple[Answer[object], list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        response = exchange["response"]
        if "exception" in response:
            raise httpx.ReadTimeout(response["exception"], request=request)
        return httpx.Response(response["status"], json=response["json"])

    with HttpMint(transport=httpx.MockTransport(answer)) as mint:
        return _call(mint, exchange), seen


def _check(exchange: dict[str, Any], answer: Answer[object], seen: list[httpx.Request]) -> None:
    request, response = exchange["request"], exchange["response"]
    (sent,) = seen
    assert sent.method == request["method"]
    assert sent.url.path == request["path"] or request["path"] == "/v1/keys"
    if request["json"] is not None:
        assert json.loads(sent.content) == request["json"]
    if "exception" in response:
        assert isinstance(answer, Ambiguous)
    elif response["status"] == 200:
        _check_value(request["path"], response["json"], answer)
    else:
        assert isinstance(answer, Refused)
        assert answer.code == response["json"].get("code")
        assert answer.definitive is (answer.code in (10001, 11007, 11008))
        for proof in (request["json"] or {}).get("inputs", []):
            assert proof["secret"] not in answer.detail


def _check_value(path: str, body: Any, answer: Answer[object]) -> None:
    if path.startswith("/v1/melt"):
        assert isinstance(answer, MeltQuote)
        assert (answer.state, answer.amount, answer.unit) == (body["state"], body["amount"], "sat")
        assert answer.expires_at == body["expiry"] * 1000
        assert [s and s.amount for s in answer.change] == [s["amount"] for s in body["change"] or []]
        assert all(s is not None and s.dleq is not None for s in answer.change)
        assert (answer.preimage is None) == (body["payment_preimage"] is None)
    elif path.startswith("/v1/mint/quote"):
        assert isinstance(answer, MintQuote)
        assert (answer.state, answer.amount) == (body["state"], body["amount"])
    elif path.startswith("/v1/keys/"):
        assert isinstance(answer, Keyset)
        assert len(answer.keys) == 64
    elif path == "/v1/info":
        assert isinstance(answer, MintInfo)
        assert answer.supports(4) and answer.supports(9) and answer.supports(17) and not answer.supports(15)
    elif path == "/v1/restore":
        assert isinstance(answer, Restored)
        assert len(answer.outputs) == len(body["outputs"])
    elif path in ("/v1/swap", "/v1/mint/bolt11", "/v1/checkstate", "/v1/keysets"):
        assert isinstance(answer, tuple)
        (entries,) = body.values()
        assert len(answer) == len(entries)


@pytest.mark.parametrize("run", RUNS)
def test_every_exchange_is_understood(run: str) -> None:
    count = 0
    for exchange in _exchanges(run):
        try:
            _check(exchange, *_replay(exchange))
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"{run} {exchange['name']}") from error
        count += 1
    assert count == 171


def test_there_are_three_runs() -> None:
    assert len(RUNS) == 3


def test_the_same_situation_answers_with_other_codes() -> None:
    """Why the definitive codes are an allow-list: releases disagree."""
    codes: dict[str, list[int | None]] = {}
    for run in RUNS:
        for exchange in _exchanges(run):
            body = exchange["response"].get("json")
            if isinstance(body, dict) and "code" in body:
                codes.setdefault(exchange["name"], []).append(body["code"])
    assert codes["019_melt_again_same"] == [11000, 20006, 20006]
    assert codes["021_melt_spent_inputs"] == [11003, 11001, 11001]
    assert codes["097_unknown_melt"] == [20004]  # the newer release keeps it pending


def test_a_mint_can_echo_a_secret_and_we_do_not() -> None:
    exchanges = {e["name"]: e for e in _exchanges("nutshell-0.20.2-fee100.jsonl")}
    race = exchanges["142_post"]
    secrets = [proof["secret"] for proof in race["request"]["json"]["inputs"]]
    assert any(secret in race["response"]["json"]["detail"] for secret in secrets)
    answer, _ = _replay(race)
    assert isinstance(answer, Refused)
    assert not any(secret in repr(answer) for secret in secrets)
    assert answer.detail.startswith("(sqlite3.IntegrityError)")


def test_recorded_bodies_are_what_the_builders_build() -> None:
    """The recorded writes carry the same fields that our bodies have."""
    exchanges = {e["name"]: e for e in _exchanges("nutshell-0.21.0-fee100.jsonl")}
    sent = exchanges["015_melt_paid"]["request"]["json"]
    proofs = [Proof(p["id"], p["amount"], Secret(p["secret"]), Secret(p["C"])) for p in sent["inputs"]]
    blanks = [Output(o["id"], o["amount"], o["B_"], Secret(""), Secret("")) for o in sent["outputs"]]
    assert json.loads(bodies.melt_body(sent["quote"], proofs, blanks).reveal()) == sent
    swapped = exchanges["011_swap_for_melt"]["request"]["json"]
    proofs = [Proof(p["id"], p["amount"], Secret(p["secret"]), Secret(p["C"])) for p in swapped["inputs"]]
    outs = [Output(o["id"], o["amount"], o["B_"], Secret(""), Secret("")) for o in swapped["outputs"]]
    assert json.loads(bodies.swap_body(proofs, outs).reveal()) == swapped
