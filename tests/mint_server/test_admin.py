"""The admin path: its token, its table, its refusals, and what each action does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.cashu.port import Refused
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.faults import _ONLY_AT
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.mint_server.actions import ACTIONS, READS
from nutstate.mint_server.serve import MintServer
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import price, value

from .conftest import TOKEN, Bench

PAGE = (Path(__file__).parents[2] / "docs" / "mint-server.md").read_text(encoding="utf-8")


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("path", ["", *ACTIONS])
def test_no_action_without_the_token(bench: Bench, path: str) -> None:
    """R704: every admin request needs the token of the command line."""
    method = "GET" if path in ("", *READS) else "POST"
    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = bench.raw.request(method, f"/admin/{path}", headers=header)
        assert code_of(answer) == (403, "ADMIN_NOT_ALLOWED")


def test_the_admin_path_is_off_by_default() -> None:
    """R704: without a token of its own the server refuses every admin request."""
    with SimulatedMint() as mint, MintServer(mint) as server:
        answer = httpx.get(
            f"{server.url}/admin/state", headers={"authorization": "Bearer x"}, trust_env=False
        )
    assert code_of(answer) == (403, "ADMIN_NOT_ALLOWED") and "--admin-token" in answer.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("payments/next", {}),
        ("payments/next", {"outcome": "LOST"}),
        ("payments/next", {"outcome": "PAID", "fee": -1}),
        ("payments/next", {"outcome": "PAID", "preimage": "xy"}),
        ("payments/next", {"outcome": "PAID", "extra": 1}),
        ("payments/script", {"outcomes": []}),
        ("payments/settle", {}),
        ("payments/settle", {"invoice": "lnbc1"}),
        ("payments/show", {"payment_hash": "00"}),
        ("payments/invoice", {"amount": 0}),
        ("mint-quotes/pay", {"quote": 7}),
        ("mint-quotes/auto-pay", {"on": 1}),
        ("keysets/add", {"amounts": [0]}),
        ("faults/next", {"endpoint": "melt", "faults": [{"kind": "nothing"}]}),
        ("faults/next", {"endpoint": "info", "faults": [{"kind": "late"}]}),
        ("faults/next", {"endpoint": "melt", "faults": [{"kind": "change_short"}]}),
        ("faults/next", {"endpoint": "melt", "faults": [{"kind": "change_short", "arguments": {"by": -1}}]}),
        ("faults/next",
         {"endpoint": "melt", "faults": [{"kind": "answer_delayed", "arguments": {"ms": 2**30}}]}),
        ("faults/next", {"endpoint": "check_states",
                         "faults": [{"kind": "states", "arguments": {"states": {"a": 1}}}]}),
        ("faults/next", {"endpoint": "nowhere", "faults": []}),
        ("faults/always", {"endpoint": "melt", "rounds": [{"kind": "cut"}]}),
        ("faults/chaos", {"seed": 1, "percent": 101}),
        ("faults/chaos", {"seed": 1, "percent": 1, "kinds": ["quote_state"]}),
        ("quirks", {"quirks": {"nothing": 1}}),
        ("quirks", {"quirks": {"issues_late": 1}}),
        ("quirks", {"quirks": {"quote_expiry_s": None}}),
    ],
)  # fmt: skip
def test_malformed_requests_change_nothing(bench: Bench, path: str, fields: dict[str, Any]) -> None:
    """R705: a malformed admin request is a typed error with a code, and nothing is changed."""
    before = bench.mint.dump()
    assert code_of(bench.admin(path, **fields)) == (400, "INVALID_ADMIN_REQUEST")
    assert bench.mint.dump() == before


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"[" * 5000])
def test_a_body_that_is_no_object(bench: Bench, raw: bytes) -> None:
    """R705: so is a body that is no JSON object."""
    answer = bench.raw.post("/admin/faults/stop", content=raw, headers={"authorization": f"Bearer {TOKEN}"})
    assert code_of(answer) == (400, "INVALID_ADMIN_REQUEST")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("payments/settle", {"payment_hash": "00" * 32}),
        ("payments/fail", {"payment_hash": "00" * 32}),
        ("mint-quotes/pay", {"quote": "nope"}),
        ("keysets/rotate", {"unit": "usd"}),
        ("keysets/deactivate", {"keyset": "nope"}),
    ],
)
def test_what_the_mint_does_not_have(bench: Bench, path: str, fields: dict[str, Any]) -> None:
    """R705: an action about something that the mint does not have is refused with another code."""
    assert code_of(bench.admin(path, **fields)) == (409, "ADMIN_NOT_POSSIBLE")


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        ("PAID", None, "PAID"),
        ("PENDING", None, "PENDING"),
        ("UNKNOWN", None, "PENDING"),
        ("FAILED", 20004, "UNPAID"),
    ],
)
def test_the_next_melt_ends_as_scripted(bench: Bench, outcome: str, code: int | None, state: str) -> None:
    """R706: the next melt pays, fails, or stays pending; the one after it pays again."""
    bench.purse.fund(500)
    bench.done("payments/next", outcome=outcome)
    for wanted, refusal in ((state, code), ("PAID", None)):
        invoice = bench.done("payments/invoice", amount=50)["invoice"]
        quote = bench.purse.quote(Secret(invoice))
        answer = bench.port.melt(bench.url, bodies.melt_body(quote.id, bench.purse.exact(price(quote))))
        assert (answer.code if isinstance(answer, Refused) else None) == refusal
        assert value(bench.port.melt_quote_state(bench.url, quote.id)).state == wanted
        shown = bench.done("payments/show", invoice=invoice)
        assert (shown["attempts"], shown["payments"]) == (1, 1 if wanted == "PAID" else 0)
        assert shown["payment_hash"] == decode_invoice(invoice).payment_hash


@pytest.mark.parametrize(("ending", "state"), [("settle", "PAID"), ("fail", "UNPAID")])
def test_a_pending_melt_is_ended(bench: Bench, ending: str, state: str) -> None:
    """R706: a pending payment arrives or comes back, once."""
    bench.purse.fund(100)
    invoice = bench.done("payments/invoice", amount=50)["invoice"]
    bench.done("payments/script", invoice=invoice, outcomes=["PENDING"])
    quote = bench.purse.quote(Secret(invoice))
    inputs = bench.purse.exact(price(quote))
    assert value(bench.port.melt(bench.url, bodies.melt_body(quote.id, inputs))).state == "PENDING"
    bench.done(f"payments/{ending}", invoice=invoice)
    assert value(bench.port.melt_quote_state(bench.url, quote.id)).state == state
    assert bench.purse.states(inputs) == {"SPENT" if state == "PAID" else "UNSPENT"}
    assert code_of(bench.admin(f"payments/{ending}", invoice=invoice)) == (409, "ADMIN_NOT_POSSIBLE")


def test_mint_quotes_are_paid_by_hand(bench: Bench) -> None:
    """R706: without automatic payment a mint quote is paid by the admin path."""
    assert bench.done("mint-quotes/auto-pay", on=False) == {"on": False}
    quote = value(bench.port.mint_quote(bench.url, 5, "sat"))
    assert value(bench.port.mint_quote_state(bench.url, quote.id)).state == "UNPAID"
    bench.done("mint-quotes/pay", quote=quote.id)
    assert value(bench.port.mint_quote_state(bench.url, quote.id)).state == "PAID"


def test_faults_habits_and_keysets(bench: Bench) -> None:
    """R706: faults come once, always or by chance until they are ended; habits and keysets change at once."""
    bench.done("faults/next", endpoint="info", faults=[{"kind": "server_error"}], times=2)
    assert [bench.raw.get("/v1/info").status_code for _ in range(3)] == [500, 500, 200]
    bench.done("faults/always", endpoint="info", rounds=[[{"kind": "locked"}], []])
    assert [bench.raw.get("/v1/info").status_code for _ in range(3)] == [400, 200, 400]
    bench.done("faults/chaos", seed=1, percent=100, kinds=["rate_limited"], endpoints=["keysets"])
    assert bench.raw.get("/v1/keysets").status_code == 429
    bench.done("faults/stop")
    assert [bench.raw.get(path).status_code for path in ("/v1/info", "/v1/keysets")] == [200, 200]
    bench.done("quirks", quirks={"tells_expiry": False})
    assert value(bench.port.mint_quote(bench.url, 5, "sat")).expires_at is None
    bench.done("keysets/deactivate")
    assert bench.raw.get("/v1/keys").json() == {"keysets": []}


def test_the_dump_tells_no_secret(bench: Bench) -> None:
    """R707: the state is told without secrets, signatures, preimages, invoices and whole ids of quotes."""
    bench.purse.fund(500)
    invoice = bench.done("payments/invoice", amount=50)["invoice"]
    quote = bench.purse.quote(Secret(invoice))
    inputs, blanks = bench.purse.exact(price(quote)), bench.purse.blanks(2)
    paid = value(bench.port.melt(bench.url, bodies.melt_body(quote.id, inputs, blanks)))
    answer = bench.raw.get("/admin/state", headers={"authorization": f"Bearer {TOKEN}"})
    told = answer.json()
    assert told["proofs"]["SPENT"] > 0 and told["outputs"]["signed"] > 0
    assert told["melt_quotes"][0]["state"] == "PAID" and told["payments"] == {
        decode_invoice(invoice).payment_hash: "PAID"
    }
    secrets = [quote.id, invoice, *(p.secret.reveal() for p in inputs), *(p.C.reveal() for p in inputs)]
    secrets += [b.B_ for b in blanks] + [entry.C_ for entry in paid.change if entry is not None]
    secrets.append(paid.preimage.reveal() if paid.preimage is not None else "")
    assert all(secrets) and not [text for text in secrets if text in answer.text]


def test_the_path_lists_its_actions_and_the_page_names_them(bench: Bench) -> None:
    """R708: GET /admin/ lists every action with its fields; docs/mint-server.md names actions and faults."""
    listed = bench.raw.get("/admin/", headers={"authorization": f"Bearer {TOKEN}"}).json()["actions"]
    assert set(listed) == set(ACTIONS)
    for path, action in listed.items():
        method = action["method"]
        assert f"| `{method} /admin/{path}` |" in PAGE
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{method} /admin/{path}` |"))
        assert [name for name in action["fields"] if f"`{name}`" not in row] == []
    assert [kind for kind in _ONLY_AT if f"`{kind}`" not in PAGE] == []
    assert json.dumps(listed)


def test_a_field_of_words_tells_them(bench: Bench) -> None:
    """R440"""
    asked: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("payments/next", {"outcome": "MAYBE"}, "FAILED, PAID, PENDING, UNKNOWN"),
        ("faults/next", {"endpoint": "nowhere", "faults": []}, "melt_quote_state"),
    )
    for path, field, words in asked:
        answer = bench.admin(path, **field)
        assert code_of(answer) == (400, "INVALID_ADMIN_REQUEST") and words in answer.text
