"""Every published test vector of the NUTs that this package implements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKey

from nutstate.engine.cashu.coins import crypto, nut13, token_codec
from nutstate.engine.cashu.coins import keyset_ids as keysets
from nutstate.engine.cashu.wire.bodies import Malformed, read_keys

FOLDER = Path(__file__).parents[2] / "fixtures" / "vectors"


def _load(name: str) -> Any:
    return json.loads((FOLDER / f"nut-{name}.json").read_text())


NUT00, NUT01, NUT02, NUT12, NUT13 = (_load(n) for n in ("00", "01", "02", "12", "13"))


def _amounts(keys: dict[str, str]) -> dict[int, str]:
    return {int(amount): key for amount, key in keys.items()}


@pytest.mark.parametrize("vector", NUT00["hash_to_curve"])
def test_nut00_hash_to_curve(vector: dict[str, str]) -> None:
    point = crypto.hash_to_curve(bytes.fromhex(vector["Message"]))
    assert point.format().hex() == vector["Point"]


@pytest.mark.parametrize("vector", NUT00["blinded_messages"])
def test_nut00_blinded_messages(vector: dict[str, str]) -> None:
    # the vector's secret is bytes, ours always text: blind by hand with the same parts
    r = PublicKey.from_secret(crypto.scalar(vector["r"]))
    blinded = crypto.hash_to_curve(bytes.fromhex(vector["x"])).combine([r])
    assert blinded.format().hex() == vector["B_"]


@pytest.mark.parametrize("vector", NUT00["blinded_signatures"])
def test_nut00_blinded_signatures(vector: dict[str, str]) -> None:
    assert crypto.sign(vector["B_"], vector["mint_private_key"]) == vector["C_"]


def test_nut00_token_v3_both_ways() -> None:
    vector = NUT00["token_v3"]
    token = token_codec.decode_token(vector["text"])
    (entry,) = vector["json"]["token"]
    assert (token.mint_url, token.unit, token.memo) == (entry["mint"], "sat", "Thank you.")
    shown = [(p.amount, p.id, p.secret.reveal(), p.C.reveal()) for p in token.proofs]
    assert shown == [(p["amount"], p["id"], p["secret"], p["C"]) for p in entry["proofs"]]
    again = token_codec.encode_token(token.mint_url, token.unit, token.proofs, token.memo, version=3)
    assert token_codec.decode_token(again) == token


@pytest.mark.parametrize("text", NUT00["token_v3_invalid"])
def test_nut00_token_v3_refused(text: str) -> None:
    with pytest.raises(token_codec.InvalidToken):
        token_codec.decode_token(text)


@pytest.mark.parametrize("text", NUT00["token_v3_valid"])
def test_nut00_token_v3_accepted(text: str) -> None:
    assert token_codec.decode_token(text).amount == 10


@pytest.mark.parametrize("vector", NUT00["token_v4"])
def test_nut00_token_v4_both_ways(vector: dict[str, Any]) -> None:
    content = vector["content"]
    token = token_codec.decode_token(vector["text"])
    assert (token.mint_url, token.unit, token.memo) == (content["m"], content["u"], content.get("d"))
    shown = [(p.id, p.amount, p.secret.reveal(), p.C.reveal()) for p in token.proofs]
    assert shown == [(t["i"], p["a"], p["s"], p["c"]) for t in content["t"] for p in t["p"]]
    again = token_codec.encode_token(token.mint_url, token.unit, token.proofs, token.memo)
    assert again.reveal() == vector["text"].rstrip("=")


@pytest.mark.parametrize("keys", NUT01["valid"])
def test_nut01_keys_accepted(keys: dict[str, str]) -> None:
    keyset_id = keysets.keyset_id_v1(_amounts(keys))
    body = {"keysets": [{"id": keyset_id, "unit": "sat", "keys": keys}]}
    assert read_keys(body, keyset_id).keys == _amounts(keys)


@pytest.mark.parametrize("keys", NUT01["invalid"])
def test_nut01_keys_refused(keys: dict[str, str]) -> None:
    with pytest.raises(crypto.InvalidPoint):
        keysets.check_keys(_amounts(keys))
    with pytest.raises(Malformed):
        read_keys({"keysets": [{"id": "009a1f293253e41e", "unit": "sat", "keys": keys}]}, "009a1f293253e41e")


@pytest.mark.parametrize("vector", NUT02["v1"])
def test_nut02_version_1(vector: dict[str, Any]) -> None:
    assert keysets.keyset_id_v1(_amounts(vector["keys"])) == vector["id"]
    assert keysets.keys_belong(vector["id"], _amounts(vector["keys"]), "sat")


@pytest.mark.parametrize("vector", NUT02["v2"])
def test_nut02_version_2(vector: dict[str, Any]) -> None:
    keys, fee, expiry = _amounts(vector["keys"]), vector["input_fee_ppk"], vector["final_expiry"]
    assert keysets.keyset_id_v2(keys, vector["unit"], fee, expiry) == vector["id"]
    assert keysets.keys_belong(vector["id"], keys, vector["unit"], fee, expiry)
    assert not keysets.keys_belong(vector["id"], keys, vector["unit"], fee + 1, expiry)


def test_nut12_hash_e() -> None:
    v = NUT12["hash_e"]
    points = (crypto.point(v[name]) for name in ("R1", "R2", "K", "C_"))
    assert crypto.hash_e(*points).hex() == v["hash"]


def test_nut12_derived_nonce() -> None:
    v = NUT12["nonce"]
    assert crypto.public_key(v["a"]) == v["A"]
    assert crypto.sign(v["B_"], v["a"]) == v["C_"]
    assert crypto.prove_dleq(v["B_"], v["C_"], v["a"]) == (v["e"], v["s"])


def test_nut12_blind_signature() -> None:
    v = NUT12["blind_signature"]
    e, s = v["dleq"]["e"], v["dleq"]["s"]
    assert crypto.verify_dleq(v["A"], v["B_"], v["C_"], e, s)
    assert not crypto.verify_dleq(v["A"], v["B_"], v["C_"], s, e)


def test_nut12_proof() -> None:
    v = NUT12["proof"]
    dleq = v["dleq"]
    assert crypto.verify_proof_dleq(v["A"], v["secret"], v["C"], dleq["e"], dleq["s"], dleq["r"])
    assert not crypto.verify_proof_dleq(v["A"], v["secret"] + "0", v["C"], dleq["e"], dleq["s"], dleq["r"])


def test_nut13_keyset_number() -> None:
    assert nut13.keyset_int(NUT13["keyset_int"]["id"]) == NUT13["keyset_int"]["int"]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("counter", range(5))
def test_nut13_derivation(version: str, counter: int) -> None:
    vector = NUT13[version]
    seed = nut13.seed_from_mnemonic(NUT13["mnemonic"])
    expected = (vector["secrets"][counter], vector["r"][counter])
    assert nut13.derive(seed, vector["id"], counter) == expected


BIP39 = [
    ("abandon " * 11 + "about", "TREZOR",
     "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141"
     "630c7a3c4ab7c81b2f001698e7463b04"),
    ("あいこくしん　" * 11 + "あおぞら", "㍍ガバヴァぱばぐゞちぢ十人十色",
     "a262d6fb6122ecf45be09c50492b31f92e9beb7d9a845987a02cefda57a15f9c467a17872029a9e92299b5cbdf306e3a"
     "0ee620245cbd508959b6cb7ca637bd55"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "passphrase", "seed"), BIP39, ids=["latin", "kana"])
def test_bip39_seeds_with_a_passphrase(words: str, passphrase: str, seed: str) -> None:
    """A passphrase left out, or words not normalised, would derive secrets that restore nothing."""
    assert nut13.seed_from_mnemonic(words, passphrase).hex() == seed
