"""Blinding, signing and DLEQ: the round trip holds, hostile values are invalid and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.coins import crypto, nut13
from nutstate.engine.cashu.coins import keyset_ids as keysets
from nutstate.machines import money

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
MINUS_G = "03" + G[2:]
ONE, ZERO = "0" * 63 + "1", "0" * 64
N = f"{crypto.ORDER:064x}"
N_MINUS_1 = f"{crypto.ORDER - 1:064x}"
HOSTILE = [
    "",
    "02",
    ZERO,
    "02" + "0" * 64,  # x = 0 is no point
    "02" + "f" * 64,
    "05" + G[2:],
    "04" + G[2:] + G[2:],
    "06" + G[2:] + G[2:],
    G[:-1],
    G + "00",
    " " + G[1:],
    G[:-2] + "zz",
    "٠٢" + G[2:],
    G + "\n",
]
scalars = st.integers(1, crypto.ORDER - 1).map(lambda n: f"{n:064x}")
hostile_text = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=70), st.binary(max_size=33).map(bytes.hex)
)


@settings(max_examples=60)
@given(secret=st.text(max_size=80).filter(lambda s: s.isprintable()), r=scalars, k=scalars)
def test_round_trip(secret: str, r: str, k: str) -> None:
    A = crypto.public_key(k)
    B_ = crypto.blind(secret, r)
    C_ = crypto.sign(B_, k)
    e, s = crypto.prove_dleq(B_, C_, k)
    C = crypto.unblind(C_, r, A)
    assert crypto.verify_dleq(A, B_, C_, e, s)
    assert crypto.verify_proof(secret, C, k)
    assert crypto.verify_proof_dleq(A, secret, C, e, s, r)
    assert not crypto.verify_proof(secret + "x", C, k)
    assert not crypto.verify_dleq(G if A != G else MINUS_G, B_, C_, e, s)


@settings(max_examples=150)
@given(st.tuples(*[hostile_text] * 5), st.integers(0, 4))
def test_hostile_values_are_false_never_an_exception(values: tuple[str, ...], true_at: int) -> None:
    a, b, c, e, s = (v if i != true_at else (G, G, G, ONE, ONE)[i] for i, v in enumerate(values))
    assert crypto.verify_dleq(a, b, c, e, s) is False
    assert crypto.verify_proof_dleq(a, b, c, e, s, ONE) is False
    assert crypto.verify_proof(values[0], values[1], values[2]) is False


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_points_raise_one_typed_error(text: str) -> None:
    for call in (
        lambda: crypto.point(text),
        lambda: crypto.sign(text, ONE),
        lambda: crypto.unblind(text, ONE, G),
        lambda: crypto.unblind(G, ONE, text),
    ):
        with pytest.raises(crypto.InvalidPoint):
            call()
    assert not crypto.is_point(text)


@pytest.mark.parametrize(
    "text", [ZERO, N, f"{crypto.ORDER + 1:064x}", "f" * 64, "1", "", " " * 64, ONE + "00"]
)
def test_scalars_out_of_range(text: str) -> None:
    for call in (
        lambda: crypto.scalar(text),
        lambda: crypto.blind("secret", text),
        lambda: crypto.sign(G, text),
        lambda: crypto.public_key(text),
        lambda: crypto.prove_dleq(G, G, text),
    ):
        with pytest.raises(crypto.InvalidPoint):
            call()


def test_results_at_infinity_are_invalid() -> None:
    # C_ - r*A = infinity if C_ = r*A
    with pytest.raises(crypto.InvalidPoint):
        crypto.unblind(G, ONE, G)
    # s*G - e*A = infinity with s = e, A = G
    assert crypto.verify_dleq(G, G, G, ONE, ONE) is False
    assert crypto.verify_dleq(G, G, G, N_MINUS_1, N_MINUS_1) is False
    # C + r*A = infinity
    assert crypto.verify_proof_dleq(G, "secret", MINUS_G, ONE, ONE, ONE) is False


def test_errors_do_not_repeat_the_value() -> None:
    marker = "deadbeef" * 8
    with pytest.raises(crypto.InvalidPoint) as caught:
        crypto.point(marker)
    assert "deadbeef" not in str(caught.value) + repr(caught.value)


def test_lone_surrogates_are_invalid() -> None:
    with pytest.raises(crypto.InvalidPoint):
        crypto.y_of("\ud800")
    assert crypto.verify_proof("\ud800", G, ONE) is False


def test_y_is_over_the_text_of_the_secret() -> None:
    expected = crypto.hash_to_curve(b"secret").format().hex()
    assert crypto.y_of("secret") == expected


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1))
def test_amounts_split_into_distinct_powers_of_two(amount: int) -> None:
    parts = money.denominations(amount)
    assert sum(parts) == amount
    assert list(parts) == sorted(set(parts))
    assert all(part & (part - 1) == 0 and part > 0 for part in parts)


@pytest.mark.parametrize(
    ("ppks", "fee"), [([], 0), ([0, 0], 0), ([100], 1), ([100] * 10, 1), ([100] * 11, 2)]
)
def test_input_fees_are_rounded_up(ppks: list[int], fee: int) -> None:
    assert money.input_fee(ppks) == fee


def test_short_ids() -> None:
    v2 = ["01" + hashlib.sha256(bytes([i])).hexdigest() for i in range(3)]
    assert keysets.short_id(v2[0]) == v2[0][:16]
    assert keysets.short_id("009a1f293253e41e") == "009a1f293253e41e"
    assert keysets.full_id(v2[1][:16], v2) == v2[1]
    assert keysets.full_id("009a1f293253e41e", v2) == "009a1f293253e41e"
    assert keysets.full_id(v2[1], ()) == v2[1]
    twin = v2[1][:16] + "0" * 50
    for known in ((), [v2[0]], [v2[1], twin]):
        with pytest.raises(keysets.UnknownKeyset):
            keysets.full_id(v2[1][:16], known)


def test_keys_that_cannot_be_checked_are_believed() -> None:
    assert keysets.keys_belong("yjzQhxghPdrr", {1: G}, "sat")
    assert keysets.keys_belong("01" + "0" * 64, {1: G}, "sat", None)
    assert not keysets.keys_belong("0000000000000000", {1: G}, "sat")


def test_nut13_refuses_what_it_cannot_derive() -> None:
    seed = nut13.seed_from_mnemonic("half depart obvious")
    for keyset_id, counter in (("009a1f293253e41e", -1), ("009a1f293253e41e", 2**31), ("01zz", 0), ("!", 0)):
        with pytest.raises(ValueError):
            nut13.derive(seed, keyset_id, counter)
    legacy, hexed = nut13.derive(seed, "yjzQhxghPdrr", 0), nut13.derive(seed, "009a1f293253e41e", 0)
    assert legacy != hexed


def test_derivations_that_give_nothing_are_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cannot happen by chance; must not loop or give a zero scalar if it does."""
    seed = nut13.seed_from_mnemonic("half depart")
    monkeypatch.setattr("hmac.digest", lambda *_: b"\x00" * 32)
    with pytest.raises(crypto.InvalidPoint):
        nut13.derive(seed, "01" + "ab" * 32, 0)
    with pytest.raises(crypto.InvalidPoint):
        crypto.prove_dleq(G, G, ONE)
    monkeypatch.setattr("hmac.digest", lambda *_: b"\xff" * 64)
    with pytest.raises(crypto.InvalidPoint):
        nut13.derive(seed, "009a1f293253e41e", 0)


def test_a_message_without_a_point_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_point(_: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(crypto, "PublicKey", no_point)
    with pytest.raises(crypto.InvalidPoint):
        crypto.hash_to_curve(b"")
