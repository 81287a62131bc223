"""The memory of DLEQ proofs that this process has verified."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nutstate import open_store
from nutstate.engine.cashu.coins import crypto, verified
from nutstate.engine.cashu.coins.outputs import random_outputs, unblind
from nutstate.engine.cashu.coins.verified import VerifiedProofs
from nutstate.engine.cashu.port import BlindSignature, Keyset
from nutstate.storage.records import Dleq, Output, Proof
from tests.support.wallet import NPUB, funded, invoice

KEY = "11" * 32
A = crypto.public_key(KEY)


def _signed(output: Output) -> BlindSignature:
    C_ = crypto.sign(output.B_, KEY)
    return BlindSignature("00aa", 8, C_, Dleq(*crypto.prove_dleq(output.B_, C_, KEY)))


def _values(proof: Proof) -> tuple[str, str, str, str, str, str]:
    assert proof.dleq is not None and proof.dleq.r is not None
    return A, proof.secret.reveal(), proof.C.reveal(), proof.dleq.e, proof.dleq.s, proof.dleq.r.reveal()


class Counted:
    """Counts what is really verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        real = crypto.verify_proof_dleq

        def verify(*values: str) -> bool:
            self.calls += 1
            return real(*values)

        monkeypatch.setattr(crypto, "verify_proof_dleq", verify)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def _proof() -> Proof:
    (output,) = random_outputs("00aa", (8,))
    (proof,) = unblind((output,), (_signed(output),), lambda _: Keyset("00aa", "sat", {8: A}))
    return proof


def test_a_proof_is_verified_once(counted: Counted) -> None:
    """R561: the second answer about the same values comes from memory."""
    memory, values = VerifiedProofs(), _values(_proof())
    assert memory.holds(*values) and memory.holds(*values) and counted.calls == 1


def test_another_value_is_another_proof(counted: Counted) -> None:
    """R561: with any one value changed it is verified anew, and a refusal is never remembered."""
    memory, values = VerifiedProofs(), _values(_proof())
    assert memory.holds(*values)
    others = _values(_proof())
    for n in range(1, len(values)):
        changed = (*values[:n], others[n], *values[n + 1 :])
        assert not memory.holds(*changed) and not memory.holds(*changed)
        assert counted.calls == 1 + 2 * n
    assert not memory.holds(A, values[1] + "\ud800", *values[2:])
    assert memory.holds(*values)


def test_values_are_kept_apart() -> None:
    """R561: a character that moves from one value to its neighbour makes another proof."""
    assert verified._digest("ab", "c") != verified._digest("a", "bc") != verified._digest("a1:", "bc")


def test_the_memory_has_an_end(counted: Counted) -> None:
    """R561: the longest unused proof is forgotten first."""
    memory = VerifiedProofs(2)
    first, second, third = (_values(_proof()) for _ in range(3))
    for values in (first, second, third, second, third):
        assert memory.holds(*values)
    assert counted.calls == 3
    assert memory.holds(*first) and counted.calls == 4


def test_what_was_unblinded_is_verified_already(counted: Counted) -> None:
    """R561: DLEQ of the signature, for our own blinding, is that of the proof; for another blinding it says
    nothing of the proof."""
    assert verified.VERIFIED.holds(*_values(_proof())) and counted.calls == 0
    (output,) = random_outputs("00aa", (8,))
    (stranger,) = random_outputs("00aa", (8,))
    strange = Output(output.id, 8, stranger.B_, output.secret, output.r)  # B_ of other outputs
    (proof,) = unblind((strange,), (_signed(strange),), lambda _: Keyset("00aa", "sat", {8: A}))
    assert not verified.VERIFIED.holds(*_values(proof)) and counted.calls == 1


def test_a_forged_coin_is_found_by_the_process_that_made_the_true_one(tmp_path: Path) -> None:
    """R561: reconciliation finds a stored signature that was changed, though this process knows the coin."""
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        engine, mint, clock = funded(store)
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
        assert engine.reconcile(melt.id).validation_passed
        with closing(sqlite3.connect(tmp_path / "w.db", isolation_level=None)) as db:
            db.execute(
                "UPDATE tokens SET version = version + 1, prev_state = state,"
                " proofs = json_set(proofs, '$[0].dleq.e', ?) WHERE transaction_id = ?",
                ("ab" * 32, f"{melt.id}_melt_change"),
            )
        found = engine.reconcile(melt.id).discrepancies_found
        assert any("DLEQ does not verify" in text for text in found)
