"""Payments and funding at a mint whose answers are odd: read through the real adapter, field by field."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nutstate import Engine, NutstateError, SimulatedMint, open_store
from nutstate.engine.simulated.faults import ANSWER_LOST, REQUEST_LOST
from nutstate.storage.port import AuditQuery, OperationQuery, Store, TokenQuery
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.json_mint import JsonMint
from tests.support.wallet import NPUB, QUICK, invoice

AMOUNT = 100


class Scene:
    """An engine on SQLite whose mint speaks JSON that can be changed."""

    def __init__(self, store: Store, fund: int = 2000) -> None:
        self.clock, self.store = FakeClock(), store
        self.mint = SimulatedMint(now_ms=self.clock.now)
        self.json = JsonMint(self.mint)
        self.engine = Engine(store, self.json.http, settings=QUICK, clock=self.clock)
        if fund:
            self.engine.mint_tokens(npub=NPUB, mint_url=self.mint.url, amount=fund)

    def melt(self, wait_s: float = 30) -> Any:
        text = invoice(AMOUNT, self.clock)
        return self.engine.melt(npub=NPUB, mint_url=self.mint.url, invoice=text, wait_s=wait_s)

    def later(self, seconds: float, wait_s: float = 30) -> None:
        self.clock.advance(seconds)
        self.engine.recover(force=True, wait_s=wait_s)

    def owned(self) -> int:
        return self.engine.balance(NPUB).unspent


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        yield Scene(store)


def fields(*calls: str, **changes: Any) -> Callable[[str, Any], Any]:
    """Change these fields of these calls; a callable gets the value that is there."""

    def change(call: str, body: Any) -> Any:
        if call in calls and "quote" in body:
            for name, value in changes.items():
                body[name] = value(body.get(name)) if callable(value) else value
        return body

    return change


MELT = ("melt", "melt_quote_state")


@pytest.mark.parametrize(
    "odd",
    [
        {"payment_preimage": "not a preimage"},
        {"payment_preimage": 7},
        {"expiry": "soon"},
        {"expiry": 0},
        {"amount": 2**70, "fee_reserve": None},
        {"unit": "\ud800", "request": ["x"]},
        {"quote": None},
        {"quote": 7},
        {"change": lambda old: [{**s, "dleq": {"e": s["dleq"]["e"][1:], "s": "x"}} for s in old]},
        {"change": lambda old: [{**s, "dleq": {}} for s in old]},
        {"change": lambda old: [*old, None, None]},
        {"state": "PAID", "detail": "\ud800" * 10, "extra": [[[]]]},
    ],
    ids=lambda odd: repr(sorted(odd))[:40],
)
def test_r185_paid_is_paid_whatever_else_is_said(scene: Scene, odd: dict[str, Any]) -> None:
    """R185, R189, R190, R194, R195: and its change is collected."""
    scene.json.change = fields(*MELT, **odd)
    melt = scene.melt()
    assert melt.state == "reconciled" and melt.is_paid and melt.change > 0
    assert scene.owned() == 2000 - melt.amount - melt.fee_paid
    invariants.check(scene.store, scene.mint)


def test_r185_what_was_set_aside_is_on_record(scene: Scene) -> None:
    """R185: which field, not what it said."""
    scene.json.change = fields(*MELT, payment_preimage="not a preimage")
    melt = scene.melt()
    records = scene.store.audit(AuditQuery(operation_id=melt.id))
    assert ["payment_preimage cannot be read"] in [record.data.get("set_aside") for record in records]
    assert "not a preimage" not in repr([record.data for record in records])


def test_r190_one_unreadable_signature_of_the_change(scene: Scene) -> None:
    """R190: restore has it, so the change is complete, from both together."""
    cut = fields(*MELT, change=lambda old: [{**old[0], "C_": "02"}, *old[1:]])
    scene.json.change = cut
    melt = scene.melt()
    assert melt.state == "reconciled"
    invariants.check(scene.store, scene.mint)


def test_r190_incomplete_change_never_counts_as_complete(scene: Scene) -> None:
    """R190: one signature that cannot be read anywhere: the payment is recorded, the change waited for; when
    the mint mends its answer, all of it is ours."""

    def cut(call: str, body: Any) -> Any:
        listed = body.get({"restore": "signatures"}.get(call, "change")) if isinstance(body, dict) else None
        if call in (*MELT, "restore") and listed:
            smallest = min(range(len(listed)), key=lambda i: listed[i]["amount"])
            listed[smallest]["C_"] = "02" + "0" * 64
        return body

    scene.json.change = cut
    melt = scene.melt(wait_s=2)
    assert melt.is_paid and melt.state in ("paid", "attention") and melt.change == 0
    scene.later(3600)
    melt = melt.refresh()
    assert melt.state == "attention" and melt.reason.code == "CHANGE_MISSING"
    scene.json.change = None
    scene.later(3600)
    melt = melt.refresh()
    assert melt.state == "reconciled" and melt.change > 0
    invariants.check(scene.store, scene.mint)


@pytest.mark.parametrize("word", ["FAILED", "UNKNOWN", "paid", "EXPIRED"])
def test_r186_an_unknown_state_frees_nothing(scene: Scene, word: str) -> None:
    """R186: not paid, not proven unpaid; and what the mint says later decides."""
    scene.mint.faults.next("melt", REQUEST_LOST)

    def change(call: str, body: Any) -> Any:
        for entry in body["states"] if call == "check_states" else ():
            entry["state"] = "PENDING"
        return fields(*MELT, state=word)(call, body)

    melt = scene.melt(wait_s=0)
    scene.json.change = change
    for _ in range(2):
        scene.later(60)
        melt = melt.refresh()
        held = {token.state for token in scene.store.tokens(TokenQuery(npub=NPUB))}
        assert not melt.is_paid and melt.record.finished_at is None and "reserved" in held
    scene.json.change = None
    scene.later(60)
    melt = melt.refresh()
    assert melt.record.finished_at is not None and not melt.is_paid
    invariants.check(scene.store, scene.mint)


def test_r186_only_a_fence_of_ours_ends_it(scene: Scene) -> None:
    """R186: the inputs are UNSPENT, so we spend them ourselves; they are never freed on such a word."""
    scene.mint.faults.next("melt", REQUEST_LOST)
    scene.json.change = fields(*MELT, state="FAILED")
    melt = scene.melt(wait_s=20)
    scene.later(60)
    melt = melt.refresh()
    assert not melt.is_paid and (
        melt.record.finished_at is None or data_in(melt.record).fenced_token_id is not None
    )
    invariants.check(scene.store, scene.mint)


def test_r186_the_word_is_told(scene: Scene) -> None:
    """R186: in the reason of the first answer."""
    scene.json.change = fields(*MELT, state="FAILED")
    melt = scene.melt(wait_s=0)
    assert melt.state == "unknown" and melt.reason.code == "MINT_STATE_UNKNOWN"
    assert "FAILED" in melt.reason.message and melt.reason.retryable
    told = [r.data for r in scene.store.audit(AuditQuery(operation_id=melt.id)) if "quote_said" in r.data]
    assert [data["quote_said"] for data in told] == ["FAILED"]
    scene.json.change = None
    scene.later(60)
    melt = melt.refresh()
    assert melt.is_paid, "it was paid all the time"


def test_r186_an_unknown_state_of_funding_neither_expires_nor_issues(tmp_path: Path) -> None:
    """R186: until the mint uses a word that is known."""
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        scene = Scene(store, fund=0)
        scene.mint.behave(issues_late=True)
        scene.json.change = fields("mint_quote_state", state="EXPIRED")
        funding = scene.engine.mint_tokens(npub=NPUB, mint_url=scene.mint.url, amount=50, wait_s=5)
        scene.later(2 * 3600)
        funding = funding.refresh()
        assert funding.record.finished_at is None
        scene.json.change = None
        scene.later(60)
        scene.later(60)
        funding = funding.refresh()
        assert funding.state == "issued" and scene.owned() == 50


def _counts(call: str, body: Any) -> Any:
    if call in ("mint_quote", "mint_quote_state") and "state" in body:
        state = body.pop("state")
        body["amount_paid"] = 0 if state == "UNPAID" else body["amount"]
        body["amount_issued"] = body["amount"] if state == "ISSUED" else 0
    return body


def _old(call: str, body: Any) -> Any:
    if "quote" in call or call == "melt":
        state = body.pop("state", None)
        if state is not None:
            body["paid"] = state in ("PAID", "ISSUED")
    return body


@pytest.mark.parametrize("change", [_counts, _old])
def test_r187_quotes_without_a_state(tmp_path: Path, change: Callable[[str, Any], Any]) -> None:
    """R187: funding and paying at older and newer mints."""
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        scene = Scene(store, fund=0)
        scene.json.change = change
        assert scene.engine.mint_tokens(npub=NPUB, mint_url=scene.mint.url, amount=500).state == "issued"
        assert scene.melt().state == "reconciled"
        invariants.check(store, scene.mint)


@pytest.mark.parametrize("expiry", [0, None, "missing"])
def test_r188_quotes_without_an_expiry(scene: Scene, expiry: Any) -> None:
    """R188: 0, null and missing name none: the payment is made."""

    def change(call: str, body: Any) -> Any:
        if "quote" in call or call == "melt":
            body.pop("expiry", None)
            if expiry != "missing":
                body["expiry"] = expiry
        return body

    scene.json.change = change
    assert scene.melt().state == "reconciled"


def test_r194_an_answer_about_another_quote_is_not_ours(scene: Scene) -> None:
    """R194: PAID of another quote pays nothing of ours."""
    scene.mint.faults.next("melt", REQUEST_LOST)
    other = {"quote": "other", "amount": AMOUNT, "fee_reserve": 1, "state": "PAID"}

    def change(call: str, body: Any) -> Any:
        return other if call == "melt_quote_state" else body

    scene.json.change = change
    melt = scene.melt(wait_s=3)
    assert not melt.is_paid and data_in(melt.record).payment is None


def test_r191_a_fence_that_cannot_be_read_is_not_no_fence(scene: Scene) -> None:
    """R191: inputs SPENT by our own fence: unreadable restores never end as spent elsewhere."""
    scene.mint.faults.next("melt", REQUEST_LOST)
    scene.mint.faults.next("swap", ANSWER_LOST)

    def unreadable(call: str, body: Any) -> Any:
        if call == "restore":
            return {"outputs": [7 for _ in body["outputs"]], "signatures": body["signatures"]}
        return body

    scene.json.change = unreadable
    melt = scene.melt(wait_s=30)
    for _ in range(3):
        scene.later(20)
    melt = melt.refresh()
    assert melt.record.finished_at is None
    assert melt.reason is None or melt.reason.code != "INPUTS_SPENT_ELSEWHERE"
    scene.json.change = None
    scene.later(60)
    melt = melt.refresh()
    assert melt.state == "released"
    invariants.check(scene.store, scene.mint)


def test_r193_an_unknown_word_about_inputs_frees_nothing(scene: Scene) -> None:
    """R193: neither UNSPENT nor SPENT."""
    scene.mint.faults.next("melt", REQUEST_LOST)
    melt = scene.melt(wait_s=0)

    def change(call: str, body: Any) -> Any:
        if call == "check_states":
            for entry in body["states"]:
                entry["state"] = "RESERVED"
        return body

    scene.json.change = change
    scene.later(60, wait_s=5)
    melt = melt.refresh()
    assert melt.record.finished_at is None and not data_in(melt.record).fences


def test_r192_an_odd_keyset_hides_no_other(scene: Scene) -> None:
    """R192: payments and funding go on."""

    def change(call: str, body: Any) -> Any:
        if call == "keysets":
            body["keysets"] = [{"id": None}, {"id": "x"}, None, *body["keysets"], {"unit": None}]
        return body

    scene.json.change = change
    scene.clock.advance(1000)
    assert scene.melt().state == "reconciled"


ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        2**53,
        2**64,
        10**400,
        float("inf"),
        "",
        "x",
        "\ud800",
        "\x00",
        "PAID",
        "UNPAID",
    ),
    *([], [None], {}, {"": None}, "a" * 100_000, "\udcff" * 100, [[]] * 50, "02" + "ab" * 32, "99" * 32),
]
PAGES = [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 50_000, b"null", b'"\\ud800"', b"9" * 5000, b"NaN"]


def _mutated(rng: random.Random, body: Any) -> Any:
    """One place of the body, anywhere in it, holds something odd."""
    if isinstance(body, dict) and body and rng.random() < 0.9:
        key = rng.choice(sorted(body))
        return {**body, key: _mutated(rng, body[key])}
    if isinstance(body, list) and body and rng.random() < 0.8:
        i = rng.randrange(len(body))
        return [*body[:i], _mutated(rng, body[i]), *body[i + 1 :]]
    return rng.choice(ODD_VALUES)


def _odd_response(rng: random.Random, body: Any) -> Any:
    headers = [
        (b"location", rng.choice([b"\xff", b"http://[", b"//x", b"https://a.example/" + b"q" * 200])),
        (b"x", b"\xff\xfe"),
        (b"content-type", rng.choice([b"", b"application/json; charset=\xff", b"text/html"])),
    ]
    odd = {"code": rng.choice(ODD_VALUES[:8]), "detail": rng.choice(ODD_VALUES[9:])}
    return httpx.Response(
        rng.choice([200, 201, 204, 301, 307, 400, 401, 404, 409, 413, 422, 429, 500, 502, 503]),
        headers=headers,
        json={key: value for key, value in odd.items() if value not in ("\ud800", "\udcff" * 100)},
    )


@pytest.mark.parametrize("seed", range(12))
def test_r195_no_answer_breaks_a_drive(tmp_path: Path, seed: int) -> None:
    """R195, R196: bodies and headers of every call are odd, one time in three. Every drive ends in values or
    typed errors, everything can be stored, and no value is lost; then the mint is well again."""
    rng = random.Random(seed)

    def odd(call: str, body: Any) -> Any:
        draw = rng.random()
        if draw < 0.2:
            return _mutated(rng, body)
        if draw < 0.27:
            return rng.choice(PAGES)
        return _odd_response(rng, body) if draw < 0.33 else body

    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        scene = Scene(store)
        scene.json.change = odd
        calls: list[Callable[[], object]] = [
            lambda: scene.melt(wait_s=3),
            lambda: scene.engine.mint_tokens(npub=NPUB, mint_url=scene.mint.url, amount=64, wait_s=3),
            lambda: scene.engine.recover(force=True, wait_s=1),
        ]
        for call in calls * 3:
            try:
                call()
            except NutstateError as error:
                assert error.code and str(error).encode()
            scene.clock.advance(30)
        invariants.check(store)
        scene.json.change = None
        for _ in range(20):
            scene.later(600, wait_s=5)
        invariants.check(store, scene.mint)
        left = [op.state for op in store.operations(OperationQuery(limit=100)) if op.finished_at is None]
        assert set(left) <= {"attention"}, left
