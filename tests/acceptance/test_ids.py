"""R17 to R31: transaction ids and the operation hash."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, InvalidArgument, Refused, Store, operation_hash, validate_transaction_id
from nutstate.storage.port import TokenQuery
from tests.support.everything import everything
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB, funded, invoice

REQUEST: dict[str, Any] = {
    "npub": NPUB,
    "mint_url": "https://mint.example",
    "amount": 550,
    "source_ids": ["tx_b", "tx_a"],
    "operation_type": "melt",
    "payment_request": "lnbc1",
}


def canonical(**fields: Any) -> str:
    """SHA-256 over canonical JSON, by hand."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def refused_ids(engine: Engine, mint_url: str, value: Any) -> set[str]:
    """The codes with which every call that takes an id refuses it."""
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint_url, "transaction_id": value}
    calls: list[Callable[[], Any]] = [
        lambda: engine.melt(**whose, invoice=invoice(5)),
        lambda: engine.mint_tokens(**whose, amount=5),
        lambda: engine.hold(["tx_some_token"], 100, **whose),
        lambda: engine.record_melt(["tx_some_token"], None, None, 5, 0, **whose),
    ]
    codes = set()
    for call in calls:
        with pytest.raises(Refused) as refused:
            call()
        codes.add(refused.value.code)
    return codes


def test_r017_a_generated_id(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """tx_<kind>_<epoch ms>_<random>; the random part comes from secrets."""
    engine, mint, clock = funded(store, amount=0)
    funding = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=2000)
    melts = [engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(n, clock)) for n in (5, 6)]
    for made in (funding, *melts):
        assert re.fullmatch(rf"tx_{made.kind}_{made.record.created_at}_[0-9a-f]{{16,}}", made.id)
    assert len({melt.id.rpartition("_")[2] for melt in melts}) == 2
    monkeypatch.setattr("secrets.token_hex", lambda size=32: "ab" * size)
    scripted = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(7, clock))
    assert re.fullmatch(r"tx_melt_\d+_(ab)+", scripted.id)


@pytest.mark.parametrize("length", [10, 37, 100])
def test_r018_a_callers_id_is_used_as_it_is(store: Store, length: int) -> None:
    """A caller's own id of 10 to 100 characters is used as it is."""
    mine = ("My-own.id:7_" * 9)[:length]
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id=mine)
    assert melt.id == mine == engine.operation(mine).id


def test_r019_validate_transaction_id_is_public() -> None:
    """It raises INVALID_FORMAT or INVALID_LENGTH, and returns an id that is fine."""
    assert validate_transaction_id("tx_mine_0001") == "tx_mine_0001"
    for wrong, code in (
        ("", "INVALID_FORMAT"),
        ("tx mine 0001", "INVALID_FORMAT"),
        ("tx_1", "INVALID_LENGTH"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            validate_transaction_id(wrong)
        assert refused.value.code == code


@pytest.mark.parametrize("value", ["", 5, True, b"0123456789", ["0123456789"]])
def test_r020_an_id_is_text(store: Store, value: object) -> None:
    """An id that is empty or not a string is refused with INVALID_FORMAT."""
    engine, mint, _ = funded(store, amount=0)
    assert refused_ids(engine, mint.url, value) == {"INVALID_FORMAT"}
    assert not engine.operations()
    for wrong in (value, None):
        with pytest.raises(InvalidArgument) as refused:
            validate_transaction_id(wrong)
        assert refused.value.code == "INVALID_FORMAT"


@pytest.mark.parametrize("length", [1, 9, 101, 500])
def test_r021_an_id_of_another_length(store: Store, length: int) -> None:
    """Shorter than 10 or longer than 100 characters is INVALID_LENGTH; 10 and 100 are accepted."""
    engine, mint, _ = funded(store, amount=0)
    assert refused_ids(engine, mint.url, "x" * length) == {"INVALID_LENGTH"}
    assert not engine.operations()
    for fine in ("x" * 10, "x" * 100):
        assert engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5, transaction_id=fine).id == fine


def test_r022_an_id_is_used_once(store: Store) -> None:
    """An id that exists is refused with DUPLICATE_TRANSACTION_ID."""
    engine, mint, clock = funded(store)
    mine = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock)).id
    (source, *_) = store.tokens(TokenQuery(states=("unspent",)))
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "transaction_id": mine}
    before = everything(store)
    for call in (
        lambda: engine.melt(**whose, invoice=invoice(6, clock)),
        lambda: engine.mint_tokens(**whose, amount=5),
        lambda: engine.hold([source.transaction_id], 100, **whose),
        lambda: engine.record_melt([source.transaction_id], None, None, source.total_amount, 0, **whose),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
    assert everything(store) == before


def test_r023_an_id_of_existing_services(store: Store) -> None:
    """tx_melt_1234567890_abc123 is valid."""
    mine = "tx_melt_1234567890_abc123"
    assert validate_transaction_id(mine) == mine
    engine, mint, clock = funded(store)
    assert (
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock), transaction_id=mine).id == mine
    )


def test_r024_the_base_id_is_stored_without_tokens_too(store: Store) -> None:
    """The base id is the operation's own id, also when no token is made from it."""
    wallet = Wallet(store, 500)
    wallet.record([500], None, None, 500, transaction_id="tx_exactly_1")
    assert wallet.engine.operation("tx_exactly_1").record.id == "tx_exactly_1"
    assert not [t for t in store.tokens(TokenQuery()) if t.transaction_id.startswith("tx_exactly_1")]
    with pytest.raises(Refused) as refused:
        wallet.engine.mint_tokens(**wallet.whose, amount=5, transaction_id="tx_exactly_1")
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


def test_r025_operation_hash_is_public_and_canonical() -> None:
    """SHA-256, 64 hex characters, over canonical JSON (sorted keys, no spaces, UTF-8)."""
    by_hand = (
        '{"amount":550,"mint_url":"https://mint.example/ü","npub":"' + NPUB + '",'
        '"operation_type":"melt","payment_request":"lnbc1","source_ids":["tx_a","tx_b"]}'
    )
    found = operation_hash(**REQUEST | {"mint_url": "https://mint.example/ü"})
    assert found == hashlib.sha256(by_hand.encode("utf-8")).hexdigest()
    assert re.fullmatch(r"[0-9a-f]{64}", found)


def test_r026_what_the_hash_covers() -> None:
    """Exactly npub, mint_url, amount, sorted source ids, operation type and payment request."""
    assert set(inspect.signature(operation_hash).parameters) == set(REQUEST)
    changes: dict[str, Any] = {
        "npub": NPUB + "x", "mint_url": "https://other.example", "amount": 551, "source_ids": ["tx_a"],
        "operation_type": "mint", "payment_request": "lnbc2",
    }  # fmt: skip
    hashes = {operation_hash(**REQUEST | {name: value}) for name, value in changes.items()}
    assert len(hashes | {operation_hash(**REQUEST)}) == 1 + len(REQUEST)


def test_r027_r030_what_the_operation_stores(store: Store) -> None:
    """operation_hash, 64 hex; only explicit source ids count, when the engine chooses the list is []."""
    engine, mint, clock = funded(store)
    for explicit in (False, True):
        named = [t.transaction_id for t in store.tokens(TokenQuery(states=("unspent",))) if explicit]
        bolt11 = invoice(5, clock)
        more: dict[str, Any] = {"sources": named} if explicit else {}
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, **more)
        assert melt.record.inputs, "it used a token all the same"
        assert engine.operation(melt.id).record.operation_hash == canonical(
            npub=NPUB, mint_url=mint.url, amount=5, source_ids=sorted(named), operation_type="melt",
            payment_request=bolt11,
        )  # fmt: skip


def test_r028_the_order_of_ids_does_not_matter(store: Store) -> None:
    """Nor is the caller's list touched."""
    wallet = Wallet(store, 500, 300)
    handed = sorted(wallet.ids.values(), reverse=True)
    turned = handed[::-1]
    request = REQUEST | {"source_ids": handed}
    assert operation_hash(**request) == operation_hash(**request | {"source_ids": turned})
    bolt11 = invoice(5, wallet.clock)
    first = wallet.engine.melt(**wallet.whose, invoice=bolt11, sources=handed)
    assert wallet.engine.melt(**wallet.whose, invoice=bolt11, sources=turned).id == first.id
    assert handed == turned[::-1] == sorted(wallet.ids.values(), reverse=True)


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_r029_equal_requests_hash_equal_in_every_process(seed: str) -> None:
    """Time and randomness never enter it."""
    code = "import json, sys, nutstate; print(nutstate.operation_hash(**json.loads(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(REQUEST)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == operation_hash(**REQUEST)


def test_r029_nor_does_the_operation(new_store: Callable[[], Store]) -> None:
    """Two wallets at different times."""
    hashes = set()
    bolt11 = invoice(5)
    for seconds in (0, 100):
        engine, mint, clock = funded(new_store())
        clock.advance(seconds)
        hashes.add(engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).record.operation_hash)
    assert len(hashes) == 1


def test_r031_tokens_carry_the_short_hash(store: Store) -> None:
    """metadata.operation_hash: 16 hex over npub, mint_url, amount, sorted source ids, operation type."""
    wallet = Wallet(store, 500, 300)
    request: dict[str, Any] = {**wallet.whose}
    named = sorted(wallet.ids.values())
    recorded = wallet.record([500, 300], proofs(200), proofs(50), 550)
    wallet.engine.mint_tokens(**wallet.whose, amount=1000)
    melt = wallet.engine.melt(**wallet.whose, invoice=invoice(300, wallet.clock))
    of_kind = {recorded.transaction_id: "record", melt.id: "melt"}
    for made, amount, sources in ((recorded.transaction_id, 550, named), (melt.id, 300, [])):
        request["operation_type"] = of_kind[made]
        short = canonical(**request, amount=amount, source_ids=sources)[:16]
        born = store.tokens(TokenQuery(parent=made))
        assert born and {token.metadata.operation_hash for token in born} == {short}
    request["operation_type"] = "mint"
    minted = wallet.token(500).metadata.operation_hash
    assert minted == canonical(**request, amount=500, source_ids=[])[:16]
