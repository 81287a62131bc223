"""R753: receives at a real mint with fees: plain, locked to keys, locked to a hash, and with lost answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nutstate import Engine, HttpMint, Settings, Store, configure_logging, open_store
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.token_codec import encode_token
from tests.contract.mint.purse import Purse
from tests.servers.nutshell import Nutshell
from tests.servers.proxy import FaultProxy
from tests.support import invariants
from tests.support.gifts import htlc, locked, p2pk
from tests.support.wallet import NPUB, npub_of

SETTINGS = Settings(settle_window_s=1.5, poll_min_s=0.2, poll_max_s=1)
KEYS = [f"{n:064x}" for n in (1, 2, 3)]
PUBLIC = [crypto.public_key(key) for key in KEYS]
PREIMAGE = "33" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    configure_logging("off")
    with open_store(f"sqlite:///{tmp_path}/w.db") as opened:
        yield opened


@pytest.mark.parametrize("version", [3, 4])
def test_a_plain_token(store: Store, nutshell: Nutshell, http: HttpMint, purse: Purse, version: int) -> None:
    """The value less the fee; the giver's coins are spent then."""
    engine = Engine(store, http, settings=SETTINGS)
    proofs = purse.take(500)
    token = encode_token(nutshell.url, "sat", proofs, version=version)
    done = engine.receive(NPUB, token, mint_url=nutshell.url, require_dleq=True)
    total, fee = sum(proof.amount for proof in proofs), purse.fee(proofs)
    assert (done.state, done.amount, done.input_fee) == ("reconciled", total - fee, fee)
    assert engine.balance(NPUB).unspent == total - fee and purse.states(proofs) == {"SPENT"}
    assert engine.receive(NPUB, token, mint_url=nutshell.url).id == done.id
    invariants.check(store, http)


def past() -> str:
    return str(int(time.time()) - 100)


LOCKS: dict[str, tuple[Callable[[], str], list[str], str | None]] = {
    "a key": (lambda: p2pk(PUBLIC[0]), KEYS[:1], None),
    "two of three keys": (lambda: p2pk(PUBLIC[0], pubkeys=PUBLIC[1:], n_sigs="2"), KEYS[1:], None),
    "a key after the locktime": (
        lambda: p2pk(PUBLIC[0], locktime=past(), refund=[PUBLIC[1]]), KEYS[:1], None
    ),
    "a refund key": (lambda: p2pk(PUBLIC[0], locktime=past(), refund=[PUBLIC[1]]), KEYS[1:2], None),
    "anyone after the locktime": (lambda: p2pk(PUBLIC[0], locktime=past()), [], None),
    "a preimage": (lambda: htlc(HASH), [], PREIMAGE),
    "a preimage and a key": (lambda: htlc(HASH, pubkeys=[PUBLIC[0]]), KEYS[:1], PREIMAGE),
    "a hash and its refund key": (
        lambda: htlc(HASH, pubkeys=[PUBLIC[0]], locktime=past(), refund=[PUBLIC[1]]), KEYS[1:2], None
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOCKS)
def test_a_locked_token(store: Store, nutshell: Nutshell, http: HttpMint, purse: Purse, case: str) -> None:
    """The mint takes the witnesses that are made here."""
    secret, keys, preimage = LOCKS[case]
    proofs = locked(http, nutshell.url, purse.take(64), [(16, secret()), (16, secret())])
    engine = Engine(store, http, settings=SETTINGS)
    token = encode_token(nutshell.url, "sat", proofs)
    done = engine.receive(NPUB, token, mint_url=nutshell.url, private_keys=keys, preimage=preimage)
    assert (done.state, done.amount) == ("reconciled", 31), done.reason
    invariants.check(store, http)


@pytest.mark.parametrize("kind", ["drop_answer", "cut", "double", "drop_request"])
def test_a_receive_survives_the_way(
    store: Store, nutshell: Nutshell, http: HttpMint, purse: Purse, kind: str
) -> None:
    """Restore finds what was signed; else the same bytes go again. The key is needed once."""
    proofs = locked(http, nutshell.url, purse.take(64), [(32, p2pk(PUBLIC[0]))])
    with FaultProxy(nutshell.url) as proxy:
        engine = Engine(store, http, settings=SETTINGS)
        proxy.next(kind, 1, only="/v1/swap")
        token = encode_token(proxy.url, "sat", proofs)
        done = engine.receive(NPUB, token, mint_url=proxy.url, private_keys=KEYS[:1])
        assert done.state == "reconciled" and "restoring" in {record.to_state for record in done.audit()}
        assert engine.balance(NPUB).unspent == 31
        invariants.check(store, http)


def test_of_two_wallets_one_receives(
    store: Store, nutshell: Nutshell, http: HttpMint, purse: Purse, tmp_path: Path
) -> None:
    """The other one ends unpaid, or is told that the token is spent."""
    proofs = purse.take(100)
    token = encode_token(nutshell.url, "sat", proofs)
    first = Engine(store, http, settings=SETTINGS).receive(NPUB, token, mint_url=nutshell.url)
    assert first.outcome == "paid"
    with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        engine = Engine(other, http, settings=SETTINGS)
        with pytest.raises(Exception, match="UNSPENT"):
            engine.receive(npub_of(1), token, mint_url=nutshell.url)
        assert engine.balance(npub_of(1)).unspent == 0
