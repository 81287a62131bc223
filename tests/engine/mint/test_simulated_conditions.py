"""Spending conditions at the simulated mint: P2PK (NUT-11) and HTLC (NUT-14)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from attrs import evolve
from coincurve import PrivateKey

from nutstate.engine.cashu.coins import crypto, outputs
from nutstate.engine.cashu.port import Refused, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, price, value

NOW_S = 1_700_000_000
KEYS = [PrivateKey(bytes([n]) * 32) for n in range(1, 5)]
PUBLIC = [key.public_key.format().hex() for key in KEYS]
PREIMAGE = "11" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()


@pytest.fixture
def mint() -> Iterator[SimulatedMint]:
    with SimulatedMint(input_fee_ppk=0, now_ms=lambda: NOW_S * 1000) as simulated:
        yield simulated


def lock(kind: str, data: str, *tags: Sequence[str], nonce: str = "00") -> str:
    return json.dumps([kind, {"nonce": nonce, "data": data, "tags": [list(tag) for tag in tags]}])


def locked(purse: Purse, *secrets: str) -> list[Proof]:
    """One proof of 8 for each secret."""
    made: list[Output] = []
    for secret in secrets:
        r = hashlib.sha256(secret.encode()).hexdigest()
        base = purse.outputs(8)[0]
        made.append(evolve(base, secret=Secret(secret), r=Secret(r), B_=crypto.blind(secret, r)))
    purse.fund(8 * len(secrets))
    inputs, purse.proofs = list(purse.proofs), []
    signatures = value(purse.port.swap(purse.url, bodies.swap_body(inputs, made)))
    return list(outputs.unblind_exact(made, signatures, purse.keys_for))


def sign(text: str, *keys: PrivateKey) -> list[str]:
    return [key.sign_schnorr(hashlib.sha256(text.encode()).digest()).hex() for key in keys]


def opened(proof: Proof, *keys: PrivateKey, **more: Any) -> Proof:
    witness = {"signatures": sign(proof.secret.reveal(), *keys)} | more
    return evolve(proof, witness=Secret(json.dumps(witness)))


def spend(purse: Purse, proofs: Sequence[Proof]) -> bool:
    """Whether the mint swaps them. A refusal is 11000 and leaves them unspent."""
    before = purse.states(proofs)
    answer = purse.port.swap(purse.url, bodies.swap_body(proofs, purse.outputs(8 * len(proofs))))
    if isinstance(answer, Refused):
        assert answer.code == 11000 and purse.states(proofs) == before == {"UNSPENT"}
    return is_value(answer)


PAST, FUTURE = ("locktime", str(NOW_S - 1)), ("locktime", str(NOW_S + 1))
TWO = (("pubkeys", PUBLIC[1], PUBLIC[2]), ("n_sigs", "2"))
ONE = lock("P2PK", PUBLIC[0])
Way = Callable[[Proof], Proof]


@pytest.mark.parametrize(
    ("secret", "way", "opens"),
    [
        (ONE, lambda p: p, False),
        (ONE, lambda p: opened(p, KEYS[0]), True),
        (ONE, lambda p: opened(p, KEYS[1]), False),
        (ONE, lambda p: evolve(p, witness=Secret("no JSON")), False),
        (ONE, lambda p: evolve(p, witness=Secret('{"signatures":[7,"00"]}')), False),
        (ONE, lambda p: evolve(p, witness=Secret('{"signatures":7}')), False),
        (lock("P2PK", PUBLIC[0], *TWO), lambda p: opened(p, KEYS[0]), False),
        (lock("P2PK", PUBLIC[0], *TWO), lambda p: opened(p, KEYS[0], KEYS[0]), False),
        (lock("P2PK", PUBLIC[0], *TWO), lambda p: opened(p, KEYS[2], KEYS[1]), True),
        (lock("P2PK", PUBLIC[0], ("n_sigs", "2")), lambda p: opened(p, KEYS[0]), False),
        (lock("P2PK", PUBLIC[0], ("n_sigs", "0")), lambda p: p, False),
        (lock("P2PK", PUBLIC[0], ("n_sigs", "x")), lambda p: opened(p, KEYS[0]), False),
        (lock("P2PK", PUBLIC[0], ("sigflag", "SIG_SOME")), lambda p: opened(p, KEYS[0]), False),
        (lock("P2PK", "02" + "00" * 32), lambda p: opened(p, KEYS[0]), False),
        (lock("P2PK", PUBLIC[0], FUTURE), lambda p: p, False),
        (lock("P2PK", PUBLIC[0], PAST), lambda p: p, True),
        (lock("P2PK", PUBLIC[0], PAST, ("refund", PUBLIC[3])), lambda p: p, False),
        (lock("P2PK", PUBLIC[0], PAST, ("refund", PUBLIC[3])), lambda p: opened(p, KEYS[3]), True),
        (lock("P2PK", PUBLIC[0], PAST, ("refund", PUBLIC[3])), lambda p: opened(p, KEYS[0]), True),
        (lock("P2PK", PUBLIC[0], FUTURE, ("refund", PUBLIC[3])), lambda p: opened(p, KEYS[3]), False),
        (lock("HTLC", HASH), lambda p: p, False),
        (lock("HTLC", HASH), lambda p: opened(p, preimage="22" * 32), False),
        (lock("HTLC", HASH), lambda p: opened(p, preimage="x"), False),
        (lock("HTLC", HASH), lambda p: opened(p, preimage=PREIMAGE), True),
        (lock("HTLC", HASH, ("pubkeys", PUBLIC[1])), lambda p: opened(p, preimage=PREIMAGE), False),
        (lock("HTLC", HASH, ("pubkeys", PUBLIC[1])), lambda p: opened(p, KEYS[1], preimage=PREIMAGE), True),
        (lock("HTLC", HASH, PAST, ("refund", PUBLIC[3])), lambda p: opened(p, KEYS[3]), True),
        (lock("OTHER", "x"), lambda p: p, True),
        ("[not a lock", lambda p: p, True),
    ],
)
def test_a_lock_opens_only_with_its_witness(mint: SimulatedMint, secret: str, way: Way, opens: bool) -> None:
    """R709: P2PK and HTLC locks open as NUT-11 and NUT-14 say; a refused swap spends nothing."""
    purse = Purse(mint, mint.url)
    (proof,) = locked(purse, secret)
    assert spend(purse, [way(proof)]) is opens


def test_sig_all_is_about_all_inputs_and_outputs(mint: SimulatedMint) -> None:
    """R709: with SIG_ALL the signature holds for these outputs only, and every input has the same lock."""
    purse = Purse(mint, mint.url)
    flag = ("sigflag", "SIG_ALL")
    proofs = locked(purse, *(lock("P2PK", PUBLIC[0], flag, nonce=nonce) for nonce in ("a", "b")))
    outs, others = purse.outputs(16), purse.outputs(16)
    text = "".join(p.secret.reveal() + p.C.reveal() for p in proofs)
    text += "".join(f"{o.amount}{o.B_}" for o in outs)
    witness = Secret(json.dumps({"signatures": sign(text, KEYS[0])}))
    signed = [evolve(proofs[0], witness=witness), proofs[1]]
    assert isinstance(mint.swap(mint.url, bodies.swap_body(signed, others)), Refused)
    assert isinstance(
        mint.swap(mint.url, bodies.swap_body([opened(p, KEYS[0]) for p in proofs], outs)), Refused
    )
    (plain,) = locked(purse, "plain")
    assert isinstance(mint.swap(mint.url, bodies.swap_body([*signed, plain], purse.outputs(24))), Refused)
    assert is_value(mint.swap(mint.url, bodies.swap_body(signed, outs)))


def test_sig_all_with_preimages(mint: SimulatedMint) -> None:
    """R709: with SIG_ALL every HTLC input brings its preimage."""
    purse = Purse(mint, mint.url)
    tags = (("pubkeys", PUBLIC[0]), ("sigflag", "SIG_ALL"))
    proofs = locked(purse, *(lock("HTLC", HASH, *tags, nonce=nonce) for nonce in ("a", "b")))
    outs = purse.outputs(16)
    text = "".join(p.secret.reveal() for p in proofs) + "".join(o.B_ for o in outs)  # as Nutshell 0.20 signs
    first = {"signatures": sign(text, KEYS[0]), "preimage": PREIMAGE}
    signed = [evolve(proofs[0], witness=Secret(json.dumps(first))), proofs[1]]
    assert isinstance(mint.swap(mint.url, bodies.swap_body(signed, outs)), Refused)
    signed[1] = evolve(proofs[1], witness=Secret(json.dumps({"preimage": PREIMAGE})))
    assert is_value(mint.swap(mint.url, bodies.swap_body(signed, outs)))


def test_a_melt_opens_locks_too(mint: SimulatedMint) -> None:
    """R709: a melt with a locked input is refused without its witness, and the quote stays unpaid."""
    purse = Purse(mint, mint.url)
    proofs = locked(purse, ONE, lock("P2PK", PUBLIC[0], nonce="b"))
    quote = purse.quote(mint.lightning.invoice(10))
    assert price(quote) <= 16
    refused = mint.melt(mint.url, bodies.melt_body(quote.id, proofs))
    assert isinstance(refused, Refused) and refused.code == 11000
    assert value(mint.melt_quote_state(mint.url, quote.id)).state == "UNPAID"
    paid = mint.melt(mint.url, bodies.melt_body(quote.id, [opened(p, KEYS[0]) for p in proofs]))
    assert value(paid).state == "PAID"


def test_units_never_mix(mint: SimulatedMint) -> None:
    """R712: proofs, outputs and quotes of different units are refused together, and nothing is spent."""
    mint.add_keyset(unit="usd")
    sats, cents = Purse(mint, mint.url), Purse(mint, mint.url, unit="usd")
    sats.fund(16)
    cents.fund(16)
    for proofs, outs, code in (
        (sats.proofs, cents.outputs(16), 11010),
        ([*sats.proofs, *cents.proofs], sats.outputs(32), 11009),
    ):
        refused = mint.swap(mint.url, bodies.swap_body(proofs, outs))
        assert isinstance(refused, Refused) and refused.code == code
    quote = cents.quote(mint.lightning.invoice(5))
    for body in (
        bodies.melt_body(quote.id, sats.proofs),
        bodies.melt_body(quote.id, cents.proofs, sats.blanks(2)),
    ):
        refused_melt = mint.melt(mint.url, body)
        assert isinstance(refused_melt, Refused) and refused_melt.code == 11010
    wrong = mint.mint(
        mint.url, bodies.mint_body(value(mint.mint_quote(mint.url, 8, "usd")).id, sats.outputs(8))
    )
    assert isinstance(wrong, Refused) and wrong.code == 11010
    assert sats.states(sats.proofs) == cents.states(cents.proofs) == {"UNSPENT"}
    assert value(mint.melt(mint.url, bodies.melt_body(quote.id, cents.proofs))).state == "PAID"


def test_another_seed_does_not_open_the_file(tmp_path: Any) -> None:
    """R713: a file that was made with another seed is refused, and stays as it was."""
    path = tmp_path / "mint.db"
    with SimulatedMint(path=path, seed=b"one") as one:
        active = Purse(one, one.url).active()
    with pytest.raises(ValueError, match="another seed"):
        SimulatedMint(path=path, seed=b"two")
    with SimulatedMint(path=path, seed=b"one") as again:
        assert Purse(again, again.url).active() == active
