"""``receive`` as a person or a script runs it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nutstate import Engine, open_store
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.simulated.faults import REQUEST_LOST
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.port import TokenQuery
from tests.support.gifts import htlc, locked, p2pk
from tests.support.wallet import npub_of

from .conftest import FUNDS, Wallet

KEY, PREIMAGE = "01" * 32, "22" * 32


def token(wallet: Wallet, *secrets: str) -> str:
    """A token of another wallet at the mint of this one: 100 sat, or 64 sat for each condition."""
    with SimulatedMint(path=wallet.state) as mint, open_store("memory://") as other:
        Engine(other, mint).mint_tokens(npub=npub_of(9), mint_url=mint.url, amount=200 if secrets else 100)
        (held,) = other.tokens(TokenQuery(limit=2))
        proofs = held.proofs
        if secrets:
            proofs = locked(mint, mint.url, proofs, [(64, secret) for secret in secrets])
        return encode_token(mint.url, "sat", proofs).reveal()


def test_a_token_for_a_person(wallet: Wallet) -> None:
    """R752: from standard input; the credited amount, the fee, the new token."""
    text = token(wallet)
    ran = wallet.run("receive", "-", stdin=f"cashu:{text}\n")
    assert ran.code == 0 and "receive reconciled" in ran.out, ran
    for words in ("amount     99 sat", "input fee  1 sat", "new token", "_received"):
        assert words in ran.out, words
    assert text not in ran.out and wallet.worth()["unspent"] == FUNDS + 99
    again = wallet.run("receive", text, "--json")
    assert again.code == 0 and again.json["operation"]["id"] in ran.out
    shown = wallet.run("show", again.json["operation"]["id"])
    assert "sources 100 = received 99 + input fee 1" in shown.out and text not in shown.out


def test_a_locked_token_is_opened_from_files(wallet: Wallet, tmp_path: Path) -> None:
    """R752: the keys stand in files, so that they stay out of the history."""
    public, hashed = crypto.public_key(KEY), hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()
    text = token(wallet, p2pk(public), htlc(hashed))
    (tmp_path / "keys").write_text(f"{KEY}\n")
    (tmp_path / "preimage").write_text(PREIMAGE)
    (tmp_path / "token").write_text(text)
    closed = wallet.run("receive", text)
    assert closed.code == 1 and "[PROOFS_LOCKED]" in closed.err and "--private-key-file" in closed.err
    files = ("--private-key-file", str(tmp_path / "keys"), "--preimage-file", str(tmp_path / "preimage"))
    ran = wallet.run("receive", "--file", str(tmp_path / "token"), *files, "--require-dleq", "--json")
    assert ran.code == 0 and ran.json["operation"]["amount"] == 127
    assert KEY not in ran.out and PREIMAGE not in ran.out


def test_an_open_receive_is_recovered(wallet: Wallet) -> None:
    """R752: exit code 3, and `recover` goes on with it."""
    text = token(wallet)
    with SimulatedMint(path=wallet.state) as mint:
        mint.faults.next("swap", REQUEST_LOST)
    ran = wallet.run("receive", "-", "--wait", "0", "--json", stdin=text)
    assert ran.code == 3 and ran.json["operation"]["state"] == "restoring"
    assert "recover" in ran.json["next"][0] and wallet.worth()["unspent"] == FUNDS


def test_bad_input_is_told_without_the_token(wallet: Wallet, tmp_path: Path) -> None:
    """R752: one sentence, a code, the next step."""
    text = token(wallet)
    ran = wallet.run("receive", text[:-9])
    assert ran.code == 1 and "[INVALID_TOKEN]" in ran.err and text[20:60] not in ran.err
    (tmp_path / "keys").write_text("no key\n")
    ran = wallet.run("receive", text, "--private-key-file", str(tmp_path / "keys"))
    assert ran.code == 1 and "[INVALID_PRIVATE_KEY]" in ran.err and "no key" not in ran.err
    (tmp_path / "preimage").write_text("")
    ran = wallet.run("receive", text, "--preimage-file", str(tmp_path / "preimage"))
    assert ran.code == 1 and "[INVALID_PREIMAGE]" in ran.err
    assert wallet.run("receive").code != 0 and wallet.worth()["unspent"] == FUNDS
