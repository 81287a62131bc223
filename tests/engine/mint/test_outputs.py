"""Making outputs and opening signatures: by index, by B_, and never with a wrong DLEQ proof."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.coins import crypto, nut13
from nutstate.engine.cashu.coins.outputs import (
    BadSignature,
    blank_outputs,
    blinded,
    derived_outputs,
    random_outputs,
    unblind,
    unblind_exact,
    unblind_restored,
)
from nutstate.engine.cashu.port import BlindSignature, Keyset, Restored
from nutstate.machines import money
from nutstate.storage.records import Dleq, Output
from nutstate.storage.secret import Secret

AMOUNTS = tuple(1 << i for i in range(12))
OLD, NEW = "00000000000000aa", "00000000000000bb"


def _k(keyset_id: str, amount: int) -> str:
    return hashlib.sha256(f"{keyset_id}{amount}".encode()).hexdigest()


KEYS = {i: Keyset(i, "sat", {a: crypto.public_key(_k(i, a)) for a in AMOUNTS}) for i in (OLD, NEW)}


def keys_for(keyset_id: str) -> Keyset:
    return KEYS[keyset_id]


def sign(output: Output, amount: int | None = None, keyset_id: str | None = None) -> BlindSignature:
    amount, keyset_id = amount or output.amount, keyset_id or output.id
    k = _k(keyset_id, amount)
    C_ = crypto.sign(output.B_, k)
    return BlindSignature(keyset_id, amount, C_, Dleq(*crypto.prove_dleq(output.B_, C_, k)))


def valid(proofs: Sequence[object]) -> bool:
    return all(
        crypto.verify_proof(p.secret.reveal(), p.C.reveal(), _k(p.id, p.amount))  # type: ignore[attr-defined]
        for p in proofs
    )


def test_random_outputs_are_distinct_and_bear_their_amounts() -> None:
    outputs = random_outputs(OLD, (1, 2, 2))
    assert [o.amount for o in outputs] == [1, 2, 2]
    assert len({o.secret for o in outputs} | {o.r for o in outputs}) == 6
    assert all(crypto.blind(o.secret.reveal(), o.r.reveal()) == o.B_ for o in outputs)
    assert [(m.id, m.amount, m.B_) for m in blinded(outputs)] == [(o.id, o.amount, o.B_) for o in outputs]


def test_the_random_source_can_be_given() -> None:
    stream = iter([b"\x01" * 32, b"\x00" * 32, b"\xff" * 32, b"\x02" * 32])
    (output,) = random_outputs(OLD, (1,), lambda n: next(stream))
    assert output.secret == Secret("01" * 32)
    assert output.r == Secret("02" * 32)
    with pytest.raises(ValueError):
        random_outputs(OLD, (1,), lambda n: b"\x00" * n)


def test_blanks() -> None:
    assert blank_outputs(OLD, 0) == ()
    assert [b.amount for b in blank_outputs(OLD, 3)] == [0, 0, 0]


@pytest.mark.parametrize("keyset_id", [OLD, "01" + "ab" * 32])
def test_derived_outputs_follow_the_counter(keyset_id: str) -> None:
    seed = nut13.seed_from_mnemonic("half depart")
    first = derived_outputs(seed, keyset_id, (1, 2, 4), 7)
    assert derived_outputs(seed, keyset_id, (2, 4), 8) == first[1:]
    assert (first[0].secret.reveal(), first[0].r.reveal()) == nut13.derive(seed, keyset_id, 7)


def test_exact_answers_open() -> None:
    outputs = random_outputs(OLD, (1, 2, 4))
    proofs = unblind_exact(outputs, [sign(o) for o in outputs], keys_for)
    assert valid(proofs)
    for proof, output in zip(proofs, outputs, strict=True):
        assert proof.dleq is not None
        assert proof.dleq.r == output.r
        assert crypto.y_of(output.secret.reveal()) == proof.Y
        assert crypto.verify_proof_dleq(
            KEYS[OLD].keys[proof.amount],
            proof.secret.reveal(),
            proof.C.reveal(),
            proof.dleq.e,
            proof.dleq.s,
            output.r.reveal(),
        )


def test_exact_answers_must_be_exact() -> None:
    outputs = random_outputs(OLD, (1, 2))
    signed = [sign(o) for o in outputs]
    wrong: list[list[BlindSignature]] = [
        [],
        signed[:1],
        [*signed, signed[0]],
        signed[::-1],
        [signed[0], sign(outputs[1], 4)],
        [signed[0], sign(outputs[1], keyset_id=NEW)],
        [signed[0], evolve(signed[1], amount=0)],
        [signed[0], evolve(signed[1], amount=-2)],
    ]
    for answer in wrong:
        with pytest.raises(BadSignature):
            unblind_exact(outputs, answer, keys_for)


def test_change_maps_by_index_and_skips_zeros() -> None:
    blanks = blank_outputs(OLD, 4)
    zero = evolve(sign(blanks[1], 1), amount=0)
    proofs = unblind(blanks, [sign(blanks[0], 8), zero, sign(blanks[2], 1)], keys_for)
    assert [(p.amount, p.secret) for p in proofs] == [(8, blanks[0].secret), (1, blanks[2].secret)]
    assert valid(proofs)
    assert unblind(blanks, [], keys_for) == ()


def test_change_is_opened_with_the_keyset_named_in_the_signature() -> None:
    blanks = blank_outputs(OLD, 1)
    proofs = unblind(blanks, [sign(blanks[0], 4, NEW)], keys_for)
    assert [p.id for p in proofs] == [NEW]
    assert valid(proofs)
    with pytest.raises(KeyError):
        unblind(blanks, [evolve(sign(blanks[0], 4), id="00000000000000cc")], keys_for)


def test_more_signatures_than_blanks_are_refused() -> None:
    blanks = blank_outputs(OLD, 1)
    signature = sign(blanks[0], 1)
    with pytest.raises(BadSignature) as caught:
        unblind(blanks, [signature, signature], keys_for)
    assert caught.value.index is None


def test_a_signature_without_dleq_is_opened_without() -> None:
    blanks = blank_outputs(OLD, 1)
    (proof,) = unblind(blanks, [evolve(sign(blanks[0], 2), dleq=None)], keys_for)
    assert proof.dleq is None
    assert valid([proof])


def test_bad_signatures_name_their_index() -> None:
    blanks = blank_outputs(OLD, 2)
    good = sign(blanks[0], 1)
    other = sign(blanks[0], 2)  # signed for another blank
    assert other.dleq is not None
    for bad in (
        other,
        evolve(sign(blanks[1], 2), dleq=other.dleq),
        evolve(sign(blanks[1], 2), dleq=Dleq("00" * 32, "00" * 32)),
        evolve(sign(blanks[1], 2), dleq=Dleq("zz", "")),
        evolve(sign(blanks[1], 2), amount=3),
        evolve(sign(blanks[1], 2), amount=-1),
        evolve(sign(blanks[1], 2), C_="02" + "0" * 64, dleq=None),
    ):
        with pytest.raises(BadSignature) as caught:
            unblind(blanks, [good, bad], keys_for)
        assert caught.value.index == 1


def test_restored_signatures_are_matched_by_name() -> None:
    blanks = blank_outputs(OLD, 3)
    signed = [sign(b, 1 << i) for i, b in enumerate(blanks)]
    messages = blinded(blanks)
    restored = Restored((messages[2], messages[0]), (signed[2], signed[0]))
    assert [p.amount for p in unblind_restored(blanks, restored, keys_for)] == [1, 4]
    assert unblind_restored(blanks, Restored((), ()), keys_for) == ()
    stranger = blinded(blank_outputs(OLD, 1))
    with pytest.raises(BadSignature):
        unblind_restored(blanks, Restored(stranger, (signed[0],)), keys_for)


@settings(max_examples=30)
@given(owed=st.integers(0, 4095), blanks=st.integers(0, 13))
def test_change_is_the_largest_powers_that_fit(owed: int, blanks: int) -> None:
    outputs = blank_outputs(OLD, blanks)
    amounts = list(reversed(money.denominations(owed)))[:blanks]
    proofs = unblind(outputs, [sign(o, a) for o, a in zip(outputs, amounts, strict=False)], keys_for)
    got = sum(p.amount for p in proofs)
    assert got <= owed
    enough = blanks >= max(owed.bit_length(), 1) or blanks >= bin(owed).count("1")
    assert (got == owed) == enough
