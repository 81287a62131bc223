"""F11, R49: hostile arguments of every public call. A typed error with a stable code, and nothing written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nutstate import (
    Engine,
    InvalidArgument,
    NutstateError,
    Refused,
    Store,
)
from nutstate.engine.simulated import faults
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.storage.port import OperationQuery, TokenQuery
from tests.support.clock import FakeClock
from tests.support.everything import everything
from tests.support.recording import Wallet
from tests.support.wallet import NPUB, funded, invoice, npub_of, preimage

WEIRD: list[Any] = [
    None, True, 0, -1, 1.5, math.nan, math.inf, 2**53, 10**40, "", " ", "x" * 10_000, "\x00", "\u202e",
    b"bytes", [], {}, object(), "npub1", "$where", "../../etc/passwd", "lnbc1", "http://", "😀",
]  # fmt: skip


def refuses(store: Store, call: Callable[[], object], *codes: str) -> None:
    before = everything(store)
    with pytest.raises(NutstateError) as raised:
        call()
    error = raised.value
    assert error.code.isupper() and error.message
    assert not codes or error.code in codes, f"{error.code}: {error.message}"
    assert error.as_dict()["family"] in ("Refused", "MintError", "StorageError")
    assert everything(store) == before


def melting(engine: Engine, clock: FakeClock, **change: Any) -> Callable[[], object]:
    good: dict[str, Any] = {"npub": NPUB, "mint_url": "https://mint.simulated", "invoice": invoice(5, clock)}
    return lambda: engine.melt(**{**good, **change})


FIELDS = {
    "npub": "INVALID_NPUB",
    "mint_url": "INVALID_MINT_URL",
    "invoice": "INVALID_INVOICE",
    "unit": "INVALID_UNIT",
    "on_duplicate": "INVALID_CHOICE",
    "on_unpaid": "INVALID_CHOICE",
    "wait_s": "INVALID_DURATION",
    "sources": "INVALID_SOURCES",
    "transaction_id": "INVALID_FORMAT",
    "idempotency_key": "INVALID_IDEMPOTENCY_KEY",
    "wallet_id": "INVALID_WALLET_ID",
}
DEFAULTED = {"on_unpaid", "wait_s", "sources", "transaction_id", "idempotency_key", "wallet_id"}


@pytest.mark.parametrize("field", FIELDS)
def test_weird_values_of_every_melt_argument(store: Store, field: str) -> None:
    engine, mint, clock = funded(store, amount=100)
    for value in WEIRD:
        if value is None and field in DEFAULTED:
            continue
        if field == "on_unpaid" and not value:
            continue
        if field == "wait_s" and value in (0, 1.5, 2**53) and value is not True:
            continue
        if field == "wallet_id" and isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable():
            continue
        if (
            field == "idempotency_key"
            and isinstance(value, str)
            and 0 < len(value) < 200
            and value.isprintable()
        ):
            continue
        allowed = (FIELDS[field], "INVALID_LENGTH", "NOT_FOUND", "TOKEN_NOT_FOUND")
        refuses(store, melting(engine, clock, **{field: value}), *allowed)


def test_wrong_invoices(store: Store) -> None:
    engine, mint, clock = funded(store, amount=100)
    now = clock.now() // 1000
    good = invoice(5, clock)
    damaged = good[:-1] + ("q" if good[-1] != "q" else "p")
    refuses(store, melting(engine, clock, invoice=damaged), "INVALID_INVOICE")
    free = make_invoice(None, timestamp=now, preimage=preimage(1))
    refuses(store, melting(engine, clock, invoice=free), "INVOICE_WITHOUT_AMOUNT")
    old = make_invoice(5000, timestamp=now - 7200, preimage=preimage(2))
    refuses(store, melting(engine, clock, invoice=old), "INVOICE_EXPIRED")
    huge = make_invoice(2**53 * 1000 + 1000, timestamp=now, preimage=preimage(3))
    refuses(store, melting(engine, clock, invoice=huge), "INVALID_AMOUNT")


def test_r12_a_wrong_checksum_alone(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    damaged = NPUB[:-1] + ("q" if NPUB[-1] != "q" else "p")
    refuses(store, melting(engine, clock, npub=damaged), "INVALID_NPUB")


@pytest.mark.parametrize(
    "url",
    ["ftp://mint", "mint", "https://", "https://u:p@mint", "https://mint?x=1", "https://mint#f",
     "javascript:1", "https://mint:99999", "https://mi nt", "file:///etc/passwd"],
)  # fmt: skip
def test_wrong_urls(store: Store, url: str) -> None:
    engine, mint, clock = funded(store, amount=0)
    refuses(store, melting(engine, clock, mint_url=url), "INVALID_MINT_URL")


def test_the_same_mint_by_another_spelling(store: Store) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url="https://MINT.simulated/", invoice=invoice(50, clock))
    assert melt.state == "reconciled"


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, 2**53, math.nan, "5", None])
def test_wrong_amounts_of_a_mint(store: Store, amount: Any) -> None:
    engine, mint, clock = funded(store, amount=0)
    refuses(store, lambda: engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount), "INVALID_AMOUNT")


def test_an_unknown_mint_is_a_mint_error(store: Store) -> None:
    engine, mint, clock = funded(store)
    with pytest.raises(NutstateError) as raised:
        melting(engine, clock, mint_url="https://elsewhere.example")()
    assert raised.value.code == "MINT_UNREACHABLE"
    assert engine.balance(NPUB).unspent == 2000


def test_nobody_spends_the_tokens_of_another(store: Store) -> None:
    engine, mint, clock = funded(store)
    mine = store.tokens(TokenQuery(npub=NPUB))[0].transaction_id
    other = npub_of(7)
    refuses(store, melting(engine, clock, npub=other, sources=[mine]), "OWNER_MISMATCH")
    refuses(store, melting(engine, clock, wallet_id="w2", sources=[mine]), "MINT_OR_UNIT_MISMATCH")
    refuses(store, melting(engine, clock, sources=["tx_nothing_there"]), "TOKEN_NOT_FOUND")
    elsewhere = {"mint_url": "https://elsewhere.example"}  # R16
    refuses(store, melting(engine, clock, sources=[mine], **elsewhere), "MINT_OR_UNIT_MISMATCH")
    refuses(store, melting(engine, clock, sources=[mine], unit="msat"), "MINT_OR_UNIT_MISMATCH")
    with pytest.raises(Refused) as refused:
        melting(engine, clock, npub=other)()
    assert refused.value.code == "INSUFFICIENT_BALANCE" and refused.value.details["available"] == 0


def test_a_held_source_names_its_holder(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    held = plan.record.inputs[0].token_id
    before = everything(store)
    with pytest.raises(Refused) as refused:
        melting(engine, clock, sources=[held])()
    assert refused.value.code == "CONCURRENT_OPERATION"
    assert refused.value.details["operations"] == [plan.id]
    assert everything(store) == before


@pytest.mark.parametrize("call", ["operation", "confirm", "cancel"])
def test_unknown_and_weird_ids(store: Store, call: str) -> None:
    engine, mint, clock = funded(store, amount=0)
    refuses(store, lambda: getattr(engine, call)("tx_nothing_there"), "NOT_FOUND")
    for value in WEIRD:
        refuses(store, lambda value=value: getattr(engine, call)(value), "INVALID_FORMAT", "NOT_FOUND")  # type: ignore[misc]


@pytest.mark.parametrize("call", ["resume", "write_off", "resolve"])
def test_an_operator_gives_a_reason(store: Store, call: str) -> None:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    for value in (None, "", "  ", 5, "x" * 501):
        refuses(store, lambda value=value: getattr(engine, call)(melt.id, value), "OPERATOR_REASON_MISSING")  # type: ignore[misc]
    refuses(store, lambda: getattr(engine, call)(melt.id, "because"))


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": True}, {"limit": "5"}, {"limit": 10**9}, {"kind": "burn"},
              {"npub": "x"}, {"mint_url": "x"}, {"kind": 5}],
)  # fmt: skip
def test_wrong_filters(store: Store, wrong: dict[str, Any]) -> None:
    engine, mint, clock = funded(store, amount=0)
    refuses(store, lambda: engine.operations(**wrong))


@pytest.mark.parametrize(
    "token", ["", "cashuA", "cashuB!!!", "cashuZabc", "x" * 5000, None, 5, b"cashuA", "cashuAe30="]
)
def test_wrong_tokens(store: Store, token: Any) -> None:
    engine, mint, clock = funded(store, amount=0)
    refuses(store, lambda: engine.deposit(npub=NPUB, token=token), "INVALID_TOKEN")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.text(max_size=80), field=st.sampled_from(["npub", "mint_url", "invoice", "transaction_id"]))
def test_any_text_gives_a_typed_error(tmp_path: Path, text: str, field: str) -> None:
    from nutstate import open_store

    with open_store("memory://") as store:
        clock = FakeClock()
        engine = Engine(store, None, clock=clock)
        good: dict[str, Any] = {"npub": NPUB, "mint_url": "http://127.0.0.1:9", "invoice": "lnbc1"}
        with pytest.raises(Refused):
            engine.melt(**{**good, field: text})
        assert not store.operations(OperationQuery())
        engine.close()


def test_arguments_are_checked_before_anything_is_written(store: Store) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert melt.state == "attention"
    with pytest.raises(Refused) as refused:
        engine.resume(melt.id, "why", wait_s=float("nan"))
    assert refused.value.code == "INVALID_DURATION" and melt.refresh().record.version == melt.record.version
    for states in (5, "paid", [1]):
        with pytest.raises(NutstateError):
            engine.operations(states=states)  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ["\ud800", "tx_\udfff_source", "tx_\x00"])
def test_text_that_no_store_can_hold_is_refused_by_type(store: Store, odd: str) -> None:
    wallet = Wallet(store, 100)
    calls = (
        lambda: wallet.engine.hold([odd], 60, **wallet.whose),
        lambda: wallet.engine.record_melt([odd], [], [], 1, 0, **wallet.whose),
        lambda: wallet.engine.operation(odd),
        lambda: wallet.engine.unhold(odd),
        lambda: wallet.engine.hold(
            [wallet.ids[100]], 60, npub=wallet.whose["npub"], mint_url=f"https://m{odd}"
        ),
    )
    for call in calls:
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.__cause__ is None
