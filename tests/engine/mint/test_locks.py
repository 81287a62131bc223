"""NUT-11 and NUT-14: conditions are read strictly, and opened with keys, a preimage, or what came with the
proof."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKeyXOnly

from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.locks import KEYS_MAX, NotUnlocked, Opener, unlocked
from nutstate.storage.secret import Secret
from tests.support.gifts import htlc, p2pk

NOW = 1_800_000_000
KEYS = [f"{n:064x}" for n in range(1, 5)]
PUBLIC = [crypto.public_key(key) for key in KEYS]
PREIMAGE = "11" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()
VECTORS: Any = json.loads((Path(__file__).parents[2] / "fixtures" / "vectors" / "nut-11.json").read_text())


def opened(secret: str, *keys: str, preimage: str | None = None, witness: object = None) -> Any:
    """The witness as JSON, None, or the code of the refusal."""
    given = None if witness is None else Secret(witness if isinstance(witness, str) else json.dumps(witness))
    try:
        made = unlocked(Secret(secret), given, Opener.of(keys, preimage), NOW)
    except NotUnlocked as refused:
        return refused.code
    return None if made is None else json.loads(made.reveal())


def signers(secret: str, witness: Any) -> set[str]:
    """The keys of ours whose signatures are in the witness."""
    message = hashlib.sha256(secret.encode()).digest()
    return {
        key
        for key in PUBLIC
        for signature in witness["signatures"]
        if PublicKeyXOnly(bytes.fromhex(key[2:])).verify(bytes.fromhex(signature), message)
    }


@pytest.mark.parametrize("vector", VECTORS["sig_inputs"], ids=lambda vector: vector["about"])
def test_the_published_vectors(vector: Any) -> None:
    """R740: as the specification says of each."""
    found = opened(vector["secret"], witness=vector["witness"])
    assert isinstance(found, dict) if vector["opens"] else found == "PROOFS_LOCKED"


@pytest.mark.parametrize("secret", VECTORS["sig_all"])
def test_a_signature_over_all_is_refused(secret: str) -> None:
    """R741"""
    assert opened(secret, *KEYS) == "LOCK_NOT_SUPPORTED"


def test_a_key_signs_the_secret() -> None:
    """R740: the signature verifies; a key of either parity; no key, or another key, does not open it."""
    for key, public in zip(KEYS, PUBLIC, strict=True):
        for spelt in (public, "02" + public[2:], "03" + public[2:]):
            secret = p2pk(spelt)
            assert signers(secret, opened(secret, key)) == {public}
    assert opened(p2pk(PUBLIC[0])) == opened(p2pk(PUBLIC[0]), KEYS[1]) == "PROOFS_LOCKED"
    assert opened("a plain secret", KEYS[0]) is None


def test_as_many_signatures_as_are_needed() -> None:
    """R740: of the given keys first, then valid ones that came with the proof, each key once."""
    secret = p2pk(PUBLIC[0], pubkeys=PUBLIC[1:3], n_sigs="2")
    assert signers(secret, opened(secret, *KEYS[:3])) == set(PUBLIC[:2])
    first = opened(p2pk(PUBLIC[0]), KEYS[0])
    assert opened(secret, KEYS[0], witness=first) == "PROOFS_LOCKED", "a signature of another secret"
    half = unlocked_alone(secret, KEYS[2])
    assert signers(secret, opened(secret, KEYS[0], witness={"signatures": [half]})) == {PUBLIC[0], PUBLIC[2]}
    assert opened(secret, KEYS[2], witness={"signatures": [half, half]}) == "PROOFS_LOCKED", (
        "one key, one signature"
    )
    assert opened(p2pk(PUBLIC[0], pubkeys=[PUBLIC[0]], n_sigs="2"), KEYS[0]) == "PROOFS_LOCKED"


def unlocked_alone(secret: str, key: str) -> str:
    from coincurve import PrivateKey

    return PrivateKey(bytes.fromhex(key)).sign_schnorr(hashlib.sha256(secret.encode()).digest()).hex()


def test_the_locktime_lets_the_refund_keys_in() -> None:
    """R742: the keys of the lock open it at any time, the refund keys after the locktime; without refund keys
    anybody does."""
    past, future = str(NOW - 1), str(NOW + 1)
    for locktime in (past, future):
        assert isinstance(opened(p2pk(PUBLIC[0], locktime=locktime, refund=[PUBLIC[1]]), KEYS[0]), dict)
    assert opened(p2pk(PUBLIC[0], locktime=future, refund=[PUBLIC[1]]), KEYS[1]) == "PROOFS_LOCKED"
    secret = p2pk(PUBLIC[0], locktime=past, refund=[PUBLIC[1]])
    assert signers(secret, opened(secret, KEYS[1])) == {PUBLIC[1]}
    two = p2pk(PUBLIC[0], locktime=past, refund=PUBLIC[1:3], n_sigs_refund="2")
    assert opened(two, KEYS[1]) == "PROOFS_LOCKED" and isinstance(opened(two, *KEYS[1:3]), dict)
    assert opened(p2pk(PUBLIC[0], locktime=past)) is None
    assert opened(p2pk(PUBLIC[0], locktime=future)) == "PROOFS_LOCKED"


def test_a_preimage_opens_a_hash() -> None:
    """R743: with the keys that it asks for; the refund keys need no preimage."""
    assert opened(htlc(HASH), preimage=PREIMAGE) == {"preimage": PREIMAGE}
    assert opened(htlc(HASH), witness={"preimage": PREIMAGE}) == {"preimage": PREIMAGE}
    assert opened(htlc(HASH)) == opened(htlc(HASH), preimage="22" * 32) == "PROOFS_LOCKED"
    secret = htlc(HASH, pubkeys=[PUBLIC[0]])
    assert opened(secret, preimage=PREIMAGE) == opened(secret, KEYS[0]) == "PROOFS_LOCKED"
    both = opened(secret, KEYS[0], preimage=PREIMAGE)
    assert both["preimage"] == PREIMAGE and signers(secret, both) == {PUBLIC[0]}
    refund = htlc(HASH, pubkeys=[PUBLIC[0]], locktime=str(NOW - 1), refund=[PUBLIC[1]])
    assert set(opened(refund, KEYS[1])) == {"signatures"}


HOSTILE = {
    "no JSON": "[",
    "another kind": json.dumps(["P2SH", {"nonce": "a", "data": PUBLIC[0]}]),
    "one item": json.dumps(["P2PK"]),
    "no data": json.dumps(["P2PK", {"nonce": "a"}]),
    "data is a number": json.dumps(["P2PK", {"data": 1}]),
    "no point": p2pk("02" + "ff" * 32),
    "an unknown flag": p2pk(PUBLIC[0], sigflag="SIG_SOME"),
    "a flag twice": json.dumps(["P2PK", {"data": PUBLIC[0], "tags": [["sigflag", "SIG_INPUTS"]] * 2}]),
    "no signature needed": p2pk(PUBLIC[0], n_sigs="0"),
    "a negative count": p2pk(PUBLIC[0], n_sigs="-1"),
    "a count that is a number": json.dumps(["P2PK", {"data": PUBLIC[0], "tags": [["n_sigs", 1]]}]),
    "a count of two values": p2pk(PUBLIC[0], n_sigs=["1", "1"]),
    "a locktime that is none": p2pk(PUBLIC[0], locktime="soon"),
    "a locktime without end": p2pk(PUBLIC[0], locktime="9" * 5000),
    "tags that are no list": json.dumps(["P2PK", {"data": PUBLIC[0], "tags": 7}]),
    "an empty tag": json.dumps(["P2PK", {"data": PUBLIC[0], "tags": [[]]}]),
    "too many keys": p2pk(
        PUBLIC[0], pubkeys=[crypto.public_key(f"{n:064x}") for n in range(1, KEYS_MAX + 2)]
    ),
    "no hash": htlc("zz"),
    "deep": "[" * 16_000,
    "not a number": '["P2PK",NaN]',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_malformed_condition_is_refused(case: str) -> None:
    """R741: with a code, and without a word of the secret."""
    with pytest.raises(NotUnlocked) as refused:
        unlocked(Secret(HOSTILE[case]), None, Opener.of(KEYS, PREIMAGE), NOW)
    assert refused.value.code == "LOCK_NOT_SUPPORTED" and refused.value.__cause__ is None
    assert PUBLIC[0] not in str(refused.value) and HOSTILE[case] not in str(refused.value)


@pytest.mark.parametrize(
    "witness",
    [
        "",
        "{",
        "[]",
        "7",
        '{"signatures": 7}',
        '{"signatures": [7]}',
        '{"preimage": 7}',
        '{"signatures": ["zz"]}',
    ],
)
def test_a_witness_that_cannot_be_read_is_of_no_use(witness: str) -> None:
    """R741: the caller's key decides."""
    secret = p2pk(PUBLIC[0])
    assert opened(secret, witness=witness) == "PROOFS_LOCKED"
    assert signers(secret, opened(secret, KEYS[0], witness=witness)) == {PUBLIC[0]}


def test_an_opener_does_not_show_its_keys() -> None:
    """R744"""
    shown = repr(Opener.of(KEYS, PREIMAGE))
    assert all(text not in shown for text in (*KEYS, PREIMAGE, *(key[2:] for key in PUBLIC)))
