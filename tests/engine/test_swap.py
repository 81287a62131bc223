"""Swaps through the engine: exact amounts, rotation, consolidation, fees, refusals, lost answers, people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, Handle, MintError, NutstateError, SimulatedMint, Store, open_store
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Token
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice, npub_of

pytestmark = pytest.mark.every_store


@attrs.frozen
class Wallet:
    """A wallet with 2000 sat at a mint that takes 100 ppk for each input."""

    store: Store
    engine: Engine
    mint: SimulatedMint
    clock: FakeClock

    def swap(self, **said: Any) -> Handle:
        return self.engine.swap(npub=NPUB, mint_url=self.mint.url, **said)

    def amounts(self, token_id: str) -> list[int]:
        return sorted(proof.amount for proof in self.token(token_id).proofs)

    def token(self, token_id: str) -> Token:
        found = self.store.token(token_id)
        assert found is not None
        return found

    def free(self) -> list[Token]:
        return list(self.store.tokens(TokenQuery(npub=NPUB, states=("unspent",), limit=1000)))

    def coins(self) -> list[int]:
        return sorted(proof.amount for token in self.free() for proof in token.proofs)

    def check(self) -> None:
        invariants.check(self.store, self.mint)

    def balance(self) -> int:
        return self.engine.balance(NPUB).unspent

    def recover(self, seconds: float = 61) -> None:
        self.clock.advance(seconds)
        self.engine.recover(force=True, wait_s=30)


@pytest.fixture
def wallet(store: Store) -> Wallet:
    return Wallet(store, *funded(store))


def test_an_exact_amount_is_a_token_of_its_own(wallet: Wallet) -> None:
    """R650, R656: the new token holds the amount, another one the rest, and both name their parent."""
    done = wallet.swap(amount=100)
    assert (done.state, done.outcome, done.amount) == ("reconciled", "paid", 100)
    (wanted,) = done.tokens
    assert wallet.amounts(wanted) == [4, 32, 64] and wallet.token(wanted).state == "unspent"
    assert wallet.token(wanted).metadata.parent_transaction_id == done.id
    rest = wallet.token(f"{done.id}_rest")
    assert (rest.state, rest.total_amount) == ("unspent", done.change)
    assert rest.metadata.parent_transaction_id == done.id
    assert done.cost == done.input_fee == 1 and wallet.balance() == 1999
    assert done.inputs == done.amount + done.change + done.input_fee
    wallet.check()


def test_tokens_of_given_amounts_are_made_at_once(wallet: Wallet) -> None:
    """R650: one token for each amount, in their order."""
    done = wallet.swap(into=[50, 64, 3])
    assert [wallet.token(name).total_amount for name in done.tokens] == [50, 64, 3]
    assert done.amount == 117 and wallet.balance() == 2000 - done.input_fee
    wallet.check()


def test_named_tokens_are_swapped_whole(wallet: Wallet) -> None:
    """R650: all coins of these tokens, less the fee, become one token; other tokens stay as they are."""
    first = wallet.swap(into=[100, 30])
    one, other = first.tokens
    done = wallet.swap(tokens=[one])
    assert wallet.token(one).state == "spent" and wallet.token(other).state == "unspent"
    assert done.amount == 100 - done.input_fee and done.kept == done.change == 0
    wallet.check()


def test_an_amount_of_named_tokens_leaves_what_it_does_not_need(wallet: Wallet) -> None:
    """R650: untouched proofs stay in the keep token, apart from the wanted token and the rest."""
    done = wallet.swap(amount=60, tokens=[wallet.free()[0].transaction_id])
    assert done.kept > 0 and wallet.token(f"{done.id}_keep").total_amount == done.kept
    assert done.kept + done.amount + done.change + done.input_fee == 2000
    wallet.check()


def test_coins_of_an_old_keyset_become_coins_of_the_new_one(wallet: Wallet) -> None:
    """R651: only those; and a wallet without such coins is refused, with nothing written."""
    old = {proof.id for token in wallet.free() for proof in token.proofs}
    new = wallet.mint.rotate_keyset()
    done = wallet.swap(purpose="rotate")
    assert done.state == "reconciled" and done.amount == 2000 - done.input_fee
    assert {proof.id for token in wallet.free() for proof in token.proofs} == {new} and new not in old
    wallet.check()
    before = wallet.store.count_operations()
    with pytest.raises(NutstateError) as refused:
        wallet.swap(purpose="rotate")
    assert refused.value.code == "NOTHING_TO_SWAP" and wallet.store.count_operations() == before


def test_many_small_coins_become_few(wallet: Wallet) -> None:
    """R651: and where the number would not halve, nothing is swapped."""
    wallet.swap(into=[1] * 40)
    before = len(wallet.coins())
    done = wallet.swap(purpose="consolidate")
    assert done.state == "reconciled" and len(wallet.coins()) <= before / 2
    wallet.check()
    with pytest.raises(NutstateError, match="not worth the fee") as refused:
        wallet.swap(purpose="consolidate")
    assert refused.value.code == "NOTHING_TO_SWAP"


def test_a_fee_that_makes_the_exact_amount_impossible_is_told(wallet: Wallet) -> None:
    """R653: INSUFFICIENT_BALANCE with its figures, before anything is written."""
    (token,) = wallet.swap(amount=64).tokens
    before = wallet.store.count_operations()
    with pytest.raises(NutstateError) as refused:
        wallet.swap(amount=64, tokens=[token])
    assert refused.value.code == "INSUFFICIENT_BALANCE"
    assert (refused.value.details["required"], refused.value.details["available"]) == (65, 64)
    (dust,) = wallet.swap(amount=1).tokens
    with pytest.raises(NutstateError, match="worth 1, and the mint takes 1") as refused:
        wallet.swap(tokens=[dust])
    assert refused.value.code == "INSUFFICIENT_BALANCE"
    assert sum(c.number for c in wallet.store.count_operations()) == sum(c.number for c in before) + 1


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "INVALID_CHOICE"),
    "two wishes": ({"amount": 1, "into": [1]}, "INVALID_CHOICE"),
    "a purpose with tokens": ({"purpose": "rotate", "tokens": ["a"]}, "INVALID_CHOICE"),
    "an unknown purpose": ({"purpose": "burn"}, "INVALID_CHOICE"),
    "amount 0": ({"amount": 0}, "INVALID_AMOUNT"),
    "a negative amount": ({"amount": -1}, "INVALID_AMOUNT"),
    "a bool": ({"amount": True}, "INVALID_AMOUNT"),
    "too large": ({"amount": 2**53}, "INVALID_AMOUNT"),
    "no amounts": ({"into": []}, "INVALID_AMOUNT"),
    "an amount of 0": ({"into": [4, 0]}, "INVALID_AMOUNT"),
    "a text": ({"into": "44"}, "INVALID_AMOUNT"),
    "too many amounts": ({"into": [1] * 101}, "INVALID_AMOUNT"),
    "too large together": ({"into": [2**52, 2**52]}, "INVALID_AMOUNT"),
    "more than the wallet has": ({"amount": 2001}, "INSUFFICIENT_BALANCE"),
    "all of it": ({"amount": 2000}, "INSUFFICIENT_BALANCE"),
    "an unknown token": ({"tokens": ["nowhere"]}, "TOKEN_NOT_FOUND"),
    "a token twice": ({"tokens": ["a", "a"]}, "INVALID_SOURCES"),
    "no tokens": ({"tokens": []}, "INVALID_SOURCES"),
    "another unit": ({"amount": 1, "unit": "eur"}, "INVALID_UNIT"),
    "a unit without coins": ({"amount": 1, "unit": "msat"}, "INSUFFICIENT_BALANCE"),
    "an empty key": ({"amount": 1, "idempotency_key": ""}, "INVALID_IDEMPOTENCY_KEY"),
    "a short id": ({"amount": 1, "transaction_id": "tx"}, "INVALID_LENGTH"),
    "a bad time": ({"amount": 1, "wait_s": -1}, "INVALID_DURATION"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_written(wallet: Wallet, case: str) -> None:
    """R653"""
    said, code = BAD[case]
    before = [wallet.store.count_operations(), wallet.free()]
    with pytest.raises(NutstateError) as refused:
        wallet.swap(**said)
    assert refused.value.code == code, refused.value
    assert [wallet.store.count_operations(), wallet.free()] == before


def test_tokens_of_others_are_refused(wallet: Wallet) -> None:
    """R653: of another owner, of another mint, held by another operation."""
    token = wallet.free()[0].transaction_id
    with pytest.raises(NutstateError) as refused:
        wallet.engine.swap(npub=npub_of(1), mint_url=wallet.mint.url, tokens=[token])
    assert refused.value.code == "OWNER_MISMATCH"
    with pytest.raises(NutstateError) as refused:
        wallet.engine.swap(npub=NPUB, mint_url="https://other.example", tokens=[token])
    assert refused.value.code == "MINT_OR_UNIT_MISMATCH"
    prepared = wallet.engine.prepare_melt(
        npub=NPUB, mint_url=wallet.mint.url, invoice=invoice(1900, wallet.clock)
    )
    held = wallet.store.operation(prepared.id)
    assert held is not None
    with pytest.raises(NutstateError) as refused:
        wallet.swap(tokens=[held.inputs[0].token_id])
    assert refused.value.code == "CONCURRENT_OPERATION"
    with pytest.raises(NutstateError) as refused:
        wallet.swap(amount=500)
    assert refused.value.code == "FUNDS_RESERVED" and refused.value.retryable


def test_a_mint_without_restore_is_refused(new_store: Callable[[], Store]) -> None:
    """R653: a lost answer could not be found again."""
    store = new_store()
    wallet = Wallet(store, *funded(store, mint_options={"without": (9,)}))
    with pytest.raises(NutstateError) as refused:
        wallet.swap(amount=5)
    assert refused.value.code == "RESTORE_NOT_SUPPORTED"
    assert not wallet.store.operations(OperationQuery(kind="swap"))


def test_a_silent_mint_is_told_and_nothing_is_written(wallet: Wallet) -> None:
    """R653"""
    wallet.mint.faults.always("check_states", [faults.UNREACHABLE])
    with pytest.raises(MintError) as silent:
        wallet.swap(amount=5)
    assert silent.value.code == "MINT_UNREACHABLE" and silent.value.retryable
    assert not wallet.store.operations(OperationQuery(kind="swap"))


def test_a_proof_that_the_mint_calls_spent_is_corrected(wallet: Wallet) -> None:
    """R653: as before a payment; the operation is stored as rejected."""
    token = wallet.free()[0]
    wallet.mint.faults.always("check_states", [faults.lie_about({str(token.proofs[0].Y): "SPENT"})])
    with pytest.raises(NutstateError) as refused:
        wallet.swap(tokens=[token.transaction_id])
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
    (op,) = wallet.store.operations(OperationQuery(kind="swap"))
    assert op.state == "rejected" and wallet.balance() == 2000 - token.proofs[0].amount


def test_a_proof_in_flight_is_left_alone(wallet: Wallet) -> None:
    """R653: another coin is chosen; where there is none, PROOFS_PENDING."""
    token = wallet.free()[0]
    pending = {str(proof.Y): "PENDING" for proof in token.proofs if proof.amount > 16}
    wallet.mint.faults.always("check_states", [faults.lie_about(pending)])
    assert wallet.swap(amount=5, wait_s=0).state == "reconciled"
    whole = {str(proof.Y): "PENDING" for one in wallet.free() for proof in one.proofs}
    wallet.mint.faults.always("check_states", [faults.lie_about(whole)])
    with pytest.raises(NutstateError) as refused:
        wallet.swap(tokens=[wallet.free()[0].transaction_id])
    assert refused.value.code == "PROOFS_PENDING" and refused.value.retryable


def test_the_same_key_is_the_same_swap(wallet: Wallet) -> None:
    """R655: and with another wish it is refused."""
    first = wallet.swap(into=[10, 20], idempotency_key="k1")
    again = wallet.swap(into=[10, 20], idempotency_key="k1")
    assert again.id == first.id and again.record == first.refresh().record
    for other in ({"into": [20, 10]}, {"amount": 30}, {"purpose": "rotate"}):
        with pytest.raises(NutstateError) as refused:
            wallet.swap(**other, idempotency_key="k1")
        assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"
    with pytest.raises(NutstateError) as refused:
        wallet.swap(amount=5, transaction_id=first.id)
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"


LOST = [faults.ANSWER_LOST, faults.CUT, faults.SERVER_ERROR, faults.REQUEST_LOST, faults.UNREACHABLE,
        faults.DUPLICATED, faults.RATE_LIMITED, faults.LOCKED]  # fmt: skip


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.kind)
def test_a_lost_answer_is_found_again(wallet: Wallet, fault: Any) -> None:
    """R654: restore first; only when nothing is signed and every input is UNSPENT, the same bytes again."""
    wallet.mint.faults.next("swap", fault)
    done = wallet.swap(amount=100, wait_s=60)
    assert done.state == "reconciled" and wallet.balance() == 2000 - done.input_fee
    sent = [r for r in done.audit() if r.to_state == "swapping" and r.machine.startswith("swap")]
    executed = fault.kind in ("answer_lost", "cut", "server_error", "duplicated")
    assert len(sent) == (1 if executed else 2)
    wallet.check()


def test_the_settle_window_is_over_before_the_same_bytes_go_again(wallet: Wallet) -> None:
    """R654: the first request may still arrive."""
    wallet.mint.faults.next("swap", faults.LATE)
    op = wallet.swap(amount=100, wait_s=QUICK.settle_window_s - 2)
    assert op.state == "restoring" and op.outcome == "open"
    assert wallet.mint.deliver_late() == 1
    wallet.recover(1)
    done = op.refresh()
    assert done.state == "reconciled"
    assert [r.to_state for r in done.audit() if r.entity == f"operation:{op.id}"].count("swapping") == 1
    wallet.check()


def test_a_clear_refusal_frees_the_inputs_within_seconds(wallet: Wallet) -> None:
    """R657: a keyset that was rotated away after the outputs were made; confirmed twice, then watched. A new
    swap works at once."""
    wallet.swap(amount=7)
    wallet.mint.rotate_keyset()
    started = wallet.clock.now()
    before = wallet.balance()
    op = wallet.swap(amount=100)
    assert op.state == "watching" and op.outcome == "unpaid" and op.reason is not None
    assert op.reason.details["mint_code"] == 12002 and op.cost == 0
    assert wallet.clock.now() - started < 5000 and wallet.balance() == before
    wallet.check()
    assert wallet.swap(amount=100).state == "reconciled"
    wallet.recover(QUICK.watch_window_h * 3600 + 1)
    assert op.refresh().state == "released"
    wallet.check()


def test_an_old_release_refuses_without_a_telling_code(new_store: Callable[[], Store]) -> None:
    """R657: 11000 proves nothing, but the keyset is no longer active."""
    store = new_store()
    wallet = Wallet(store, *funded(store, mint_options={"release": "0.20.2"}))
    wallet.swap(amount=7)
    wallet.mint.rotate_keyset()
    op = wallet.swap(amount=100)
    assert op.state == "watching" and op.record.attempts == 1
    wallet.check()


def test_refused_again_and_again_it_is_given_up(wallet: Wallet) -> None:
    """R657: outputs that the mint stored and never signs; after the settle window of each sending."""
    wallet.mint.faults.next("swap", faults.OUTPUTS_STUCK)
    before = wallet.balance()
    op = wallet.swap(amount=100, wait_s=300)
    assert op.state == "watching" and op.record.attempts == 5
    assert op.reason is not None and wallet.balance() == before
    wallet.check()
    assert wallet.swap(amount=100).state == "reconciled"


def test_a_coin_refused_alone_is_stranded(wallet: Wallet) -> None:
    """R657: it must not spoil other requests; an operator retries it."""
    (token,) = wallet.swap(amount=64).tokens
    held = wallet.token(token)
    other = next(one for one in wallet.free() if one.transaction_id != token)
    bad = attrs.evolve(held.proofs[0], C=other.proofs[0].C)
    _replace_proof(wallet, token, bad)
    op = wallet.swap(tokens=[token])
    assert op.state == "watching" and wallet.token(token).state == "stranded"
    assert op.account.stranded == 64 and wallet.engine.balance(NPUB).stranded == 64
    wallet.recover(QUICK.watch_window_h * 3600 + 1)
    assert op.refresh().state == "released"
    wallet.engine.retry_stranded(NPUB, wallet.mint.url, reason="try again")
    assert wallet.token(token).state == "unspent"


def _replace_proof(wallet: Wallet, token_id: str, proof: Any) -> None:
    """The stored token gets a coin that no mint signed, as a careless deposit would leave it."""
    read = wallet.store.tokens

    def forged(query: Any) -> Any:
        return tuple(
            attrs.evolve(t, proofs=(proof,)) if t.transaction_id == token_id and t.state != "spent" else t
            for t in read(query)
        )

    vars(wallet.store)["tokens"] = forged


def test_inputs_spent_elsewhere_wait_for_a_person(wallet: Wallet) -> None:
    """R658: nothing of ours is signed, so they are not called swapped; write-off frees the UNSPENT ones and
    books the SPENT ones as loss."""
    token = wallet.swap(into=[96, 5]).tokens[0]
    spent, kept = wallet.token(token).proofs
    wallet.mint.faults.next("swap", faults.REQUEST_LOST)
    op = wallet.swap(tokens=[token], wait_s=0)
    wallet.mint.faults.always("check_states", [faults.lie_about({str(spent.Y): "SPENT"})])
    wallet.recover()
    parked = op.refresh()
    assert parked.state == "attention" and parked.outcome == "parked"
    assert parked.reason is not None and parked.reason.code == "INPUTS_SPENT_ELSEWHERE"
    assert parked.alarm == "CRITICAL_SWAP_FAILURE"
    ended = wallet.engine.write_off(op.id, "somebody took it")
    assert (ended.state, ended.account.loss) == ("written_off", spent.amount)
    wallet.mint.faults.stop()
    invariants.check(wallet.store)
    assert kept.amount in wallet.coins()


def test_signatures_bring_a_parked_swap_back(wallet: Wallet) -> None:
    """R658: a mint whose restore was broken."""
    wallet.mint.faults.next("swap", faults.ANSWER_LOST)
    wallet.mint.faults.always("restore", [faults.restore_partial(0)])
    op = wallet.swap(amount=100, wait_s=60)
    assert op.state == "attention"
    wallet.mint.faults.stop()
    wallet.recover()
    assert op.refresh().state == "reconciled"
    wallet.check()


def test_a_silent_mint_parks_it_and_an_operator_decides(wallet: Wallet) -> None:
    """R658: resume asks again; release frees on the mint's word; write-off without an answer strands."""
    for calls in ("swap", "restore", "check_states"):
        wallet.mint.faults.next(calls)  # the pre-flight is answered
    wallet.mint.faults.stop()
    wallet.mint.faults.always("swap", [faults.REQUEST_LOST])
    wallet.mint.faults.always("restore", [faults.UNREACHABLE])
    ops = [wallet.swap(amount=100, wait_s=0) for _ in range(3)]
    wallet.recover(QUICK.unknown_age_max_h * 3600 + 60)
    assert {op.refresh().state for op in ops} == {"attention"}
    with pytest.raises(MintError) as silent:
        wallet.engine.write_off(ops[0].id, "no answer")
    assert silent.value.code == "MINT_UNREACHABLE"
    forced = wallet.engine.write_off(ops[0].id, "no answer", force=True)
    assert forced.state == "written_off" and forced.account.stranded > 0
    wallet.mint.faults.stop()
    with pytest.raises(NutstateError) as refused:
        wallet.engine.write_off(ops[1].id, "it takes too long")
    assert refused.value.code == "INPUTS_STILL_UNSPENT"
    assert wallet.engine.release(ops[1].id, "trust it").state == "watching"
    assert wallet.engine.resume(ops[2].id, "it answers again", 60).state in ("reconciled", "restoring")
    wallet.recover()
    assert ops[2].refresh().state == "reconciled"
    wallet.check()


def test_a_request_that_comes_after_the_release_is_ours(wallet: Wallet) -> None:
    """R657: the freed inputs are marked spent, the new tokens are stored, and an alarm tells it."""
    wallet.mint.faults.always("swap", [faults.LATE])
    op = wallet.swap(amount=100, wait_s=300)
    assert op.state == "watching" and wallet.balance() == 2000
    wallet.mint.faults.stop()
    assert wallet.mint.deliver_late() > 0
    wallet.recover()
    done = op.refresh()
    assert done.state == "reconciled" and wallet.balance() == 2000 - done.input_fee
    assert any(r.transition.startswith("2b.") and r.compliance_level == "CRITICAL" for r in done.audit())
    wallet.check()


def test_outputs_are_sent_in_the_order_of_their_amounts(wallet: Wallet) -> None:
    """R656: the mint cannot tell the wanted coins from the rest (NUT-03)."""
    import json

    seen: list[list[int]] = []
    swap = wallet.mint.swap

    def noted(url: str, body: Any) -> Any:
        seen.append([output["amount"] for output in json.loads(body.reveal())["outputs"]])
        return swap(url, body)

    vars(wallet.mint)["swap"] = noted
    wallet.swap(into=[70, 3])
    assert seen and all(amounts == sorted(amounts) for amounts in seen)


def test_nothing_secret_is_told(wallet: Wallet) -> None:
    """R659: neither in the handle, nor in the trail."""
    done = wallet.swap(amount=100)
    told = repr(done) + str(done.as_dict()) + str([r.data for r in done.audit()])
    for token in wallet.free():
        for proof in token.proofs:
            assert proof.secret.reveal() not in told and proof.C.reveal() not in told
    assert done.as_dict()["tokens"] == [f"{done.id}_swapped_1"]


def test_a_melt_uses_what_a_swap_made(wallet: Wallet) -> None:
    """R650"""
    wallet.swap(into=[300, 300])
    paid = wallet.engine.melt(npub=NPUB, mint_url=wallet.mint.url, invoice=invoice(400, wallet.clock))
    assert paid.state == "reconciled"
    wallet.check()


def test_store_in_memory_opens() -> None:
    """R650: without a file."""
    with open_store("memory://") as store:
        wallet = Wallet(store, *funded(store))
        assert wallet.swap(amount=1).state == "reconciled"


def test_outputs_signed_after_a_forced_end_are_collected(wallet: Wallet) -> None:
    """R658: the request of a swap that was given up comes after all; `retry_stranded` finds its value, marks
    the coins that it took spent, and stores it once."""
    wallet.mint.faults.always("swap", [faults.LATE])
    wallet.mint.faults.always("restore", [faults.UNREACHABLE])
    op = wallet.swap(amount=100, wait_s=0)
    wallet.recover(QUICK.unknown_age_max_h * 3600 + 60)
    ended = wallet.engine.write_off(op.id, "no answer", force=True)
    stranded = ended.account.stranded
    assert ended.state == "written_off" and stranded > 100
    wallet.mint.faults.stop()
    assert wallet.mint.deliver_late() > 0
    before = wallet.balance()
    wallet.engine.retry_stranded(NPUB, wallet.mint.url, reason="ask again")
    assert wallet.balance() == before + stranded - ended.input_fee
    assert wallet.engine.balance(NPUB).stranded == 0
    invariants.check(wallet.store, wallet.mint)
    with pytest.raises(NutstateError) as nothing:
        wallet.engine.retry_stranded(NPUB, wallet.mint.url, reason="again")
    assert nothing.value.code == "NOTHING_STRANDED" and wallet.balance() == before + stranded - 1


@pytest.mark.parametrize("name", ["keep", "rest", "swapped_1", "swapped_3"])
def test_the_names_of_the_new_tokens_are_free_before_anything_is_sent(wallet: Wallet, name: str) -> None:
    """R653: what the mint has signed must find a place."""
    token = make_token(f"tx_my_own_swap_{name}", mint_url=wallet.mint.url)
    wallet.store.commit(batch_for(make_operation("tx_of_another_program"), tokens=[token]))
    with pytest.raises(NutstateError) as refused:
        wallet.swap(into=[1, 2, 3], transaction_id="tx_my_own_swap")
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
    assert not wallet.store.operations(OperationQuery(kind="swap"))
