"""Receives through the engine: what is credited and when, tokens that come back, locks, lost answers,
people."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import pytest

from nutstate import Engine, Handle, MintError, NutstateError, SimulatedMint, Store, open_store
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.gifts import gift, htlc, locked, p2pk
from tests.support.together import together
from tests.support.wallet import NPUB, QUICK, funded, npub_of

pytestmark = pytest.mark.every_store

KEY, OTHER = "01" * 32, "02" * 32
PUBLIC = crypto.public_key(KEY)
PREIMAGE = "11" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()


@attrs.frozen
class Receiver:
    """An empty wallet at a mint that takes 100 ppk for each input."""

    store: Store
    engine: Engine
    mint: SimulatedMint
    clock: FakeClock

    def gift(self, amount: int = 100) -> tuple[Proof, ...]:
        return gift(self.engine, self.mint, amount)

    def token(self, amount: int = 100, version: int = 4) -> str:
        return self.text(self.gift(amount), version)

    def text(self, proofs: Sequence[Proof], version: int = 4) -> str:
        return encode_token(self.mint.url, "sat", proofs, version=version).reveal()

    def locked(self, *secrets: str) -> str:
        """A token of 8 sat for each of these secrets."""
        proofs = locked(self.mint, self.mint.url, self.gift(1000), [(8, secret) for secret in secrets])
        return self.text(proofs)

    def receive(self, token: str, **said: Any) -> Handle:
        return self.engine.receive(said.pop("npub", NPUB), token, **{"mint_url": self.mint.url, **said})

    def balance(self) -> int:
        return self.engine.balance(NPUB).unspent

    def operations(self) -> int:
        return len(self.store.operations(OperationQuery(kind="receive", limit=1000)))

    def refused(self, token: str, code: str, **said: Any) -> NutstateError:
        """The refusal, which leaves nothing behind."""
        before = self.operations(), self.balance()
        with pytest.raises(NutstateError) as refused:
            self.receive(token, **said)
        assert refused.value.code == code, refused.value
        assert (self.operations(), self.balance()) == before, "something was written"
        assert token not in str(refused.value) and token not in repr(refused.value.details)
        return refused.value

    def spend(self, token_proofs: Sequence[Proof]) -> None:
        """The giver is faster."""
        with open_store("memory://") as other:
            there = Engine(other, self.mint, settings=QUICK, clock=self.clock)
            there.receive(npub_of(7), self.text(token_proofs), mint_url=self.mint.url)

    def recover(self, seconds: float = 61) -> None:
        self.clock.advance(seconds)
        self.engine.recover(force=True, wait_s=30)

    def check(self) -> None:
        invariants.check(self.store, self.mint)


@pytest.fixture
def wallet(store: Store) -> Receiver:
    return Receiver(store, *funded(store, amount=0))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "around",
    ["{}", "cashu:{}", "cashu://{}", "CASHU:{}", "web+cashu://{}", " {}\n", "https://wallet.example/#token={}",
     "https://wallet.example/receive?a=1&token={}&b=2", "https://wallet.example/{}", "http://w.example/#cashu:{}"],
)  # fmt: skip
def test_a_token_becomes_coins_of_the_wallet(wallet: Receiver, version: int, around: str) -> None:
    """R730, R731: both versions, in every spelling; the value less the input fee, in new secrets."""
    proofs = wallet.gift(100)
    token = wallet.text(proofs, version)
    done = wallet.receive(around.format(token))
    assert (done.state, done.outcome, done.kind, done.unit) == ("reconciled", "paid", "receive", "sat")
    assert done.amount == 100 - done.input_fee == wallet.balance() and done.cost == done.input_fee == 1
    (made,) = done.tokens
    stored = wallet.store.token(made)
    assert stored is not None and (stored.state, stored.transaction_type) == ("unspent", "received")
    assert not {p.secret for p in stored.proofs} & {p.secret for p in proofs}
    wallet.check()
    assert wallet.engine.swap(npub=NPUB, mint_url=wallet.mint.url, amount=50).state == "reconciled"
    wallet.check()


def test_nothing_is_credited_before_the_mint_has_signed(wallet: Receiver) -> None:
    """R732: the outputs and the request are stored before it is sent; the balance waits for the
    signatures."""
    wallet.mint.faults.next("swap", faults.REQUEST_LOST)
    op = wallet.receive(wallet.token(), wait_s=0)
    assert (op.state, op.outcome) == ("restoring", "open") and wallet.balance() == 0
    assert not wallet.store.tokens(TokenQuery(npub=NPUB, limit=10))
    assert op.record.data["request_body"] is not None and op.record.data["blanks"]
    wallet.recover()
    assert op.refresh().state == "reconciled" and wallet.balance() == 99
    sent = [r for r in op.audit() if r.to_state == "receiving"]
    assert len(sent) == 2, "the same bytes again"
    wallet.check()


LOST = [faults.ANSWER_LOST, faults.CUT, faults.SERVER_ERROR, faults.REQUEST_LOST, faults.UNREACHABLE,
        faults.DUPLICATED, faults.RATE_LIMITED, faults.LOCKED]  # fmt: skip


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.kind)
def test_a_lost_answer_is_found_again(wallet: Receiver, fault: Any) -> None:
    """R733: restore first; only when nothing is signed and every proof is UNSPENT, the same bytes again."""
    wallet.mint.faults.next("swap", fault)
    done = wallet.receive(wallet.token(), wait_s=60)
    assert done.state == "reconciled" and wallet.balance() == 100 - done.input_fee
    wallet.check()


def test_the_giver_was_faster(wallet: Receiver) -> None:
    """R734: SPENT without a signature of ours ends it unpaid, with no alarm; it is watched, and then it has
    ended."""
    proofs = wallet.gift()
    wallet.mint.faults.next("swap", faults.REQUEST_LOST)
    op = wallet.receive(wallet.text(proofs), wait_s=0)
    wallet.spend(proofs)
    wallet.recover()
    ended = op.refresh()
    assert (ended.state, ended.outcome, ended.alarm, ended.cost) == ("watching", "unpaid", None, 0)
    assert ended.reason is not None and ended.reason.code == "TOKEN_SPENT" and wallet.balance() == 0
    wallet.check()
    assert wallet.refused(wallet.text(proofs), "PROOFS_NOT_UNSPENT").details["spent"] == len(proofs)
    wallet.recover(QUICK.watch_window_h * 3600 + 1)
    assert op.refresh().state == "not_received" and op.refresh().is_final
    wallet.check()


def test_what_the_mint_signs_late_is_collected(wallet: Receiver) -> None:
    """R734: the request arrives after it was given up: its value is ours, with an alarm."""
    proofs = wallet.gift()
    wallet.mint.faults.next("swap", faults.LATE)
    op = wallet.receive(wallet.text(proofs), wait_s=0)
    names = {str(proof.Y): "SPENT" for proof in proofs}
    wallet.mint.faults.always("check_states", [faults.lie_about(names)])
    wallet.recover()
    assert op.refresh().state == "watching" and wallet.balance() == 0
    wallet.mint.faults.stop()
    assert wallet.mint.deliver_late() == 1
    wallet.recover()
    done = op.refresh()
    assert done.state == "reconciled" and wallet.balance() == done.amount == 99
    assert "CRITICAL" in {record.compliance_level for record in done.audit()}
    wallet.check()


def test_a_deposit_of_what_was_not_received_is_corrected_by_a_late_signature(wallet: Receiver) -> None:
    """R738: the value is never counted twice."""
    proofs = wallet.gift()
    wallet.mint.faults.next("swap", faults.LATE)
    op = wallet.receive(wallet.text(proofs), wait_s=0)
    wallet.mint.faults.always("check_states", [faults.lie_about({str(p.Y): "SPENT" for p in proofs})])
    wallet.recover()
    assert op.refresh().state == "watching"
    wallet.mint.faults.stop()
    wallet.engine.deposit(npub=NPUB, token=wallet.text(proofs), mint_url=wallet.mint.url)
    assert wallet.balance() == 100
    wallet.mint.deliver_late()
    wallet.recover()
    assert op.refresh().state == "reconciled" and wallet.balance() == 99


def test_a_clear_refusal_ends_it_unpaid(wallet: Receiver) -> None:
    """R734: a keyset that was rotated away after the outputs were made; a new attempt works at once."""
    wallet.receive(wallet.token(7))
    token = wallet.token()
    wallet.mint.rotate_keyset()
    op = wallet.receive(token)
    assert (op.state, op.outcome) == ("watching", "unpaid") and wallet.balance() == 6
    again = wallet.receive(token)
    assert again.id != op.id and again.state == "reconciled" and wallet.balance() == 105
    wallet.recover(QUICK.watch_window_h * 3600 + 1)
    assert op.refresh().state == "not_received"
    wallet.check()


def test_refused_again_and_again_it_is_given_up(wallet: Receiver) -> None:
    """R734: outputs that the mint stored and never signs."""
    wallet.mint.faults.next("swap", faults.OUTPUTS_STUCK)
    token = wallet.token()
    op = wallet.receive(token, wait_s=300)
    assert (op.state, op.record.attempts) == ("watching", 5) and op.reason is not None
    assert wallet.receive(token).state == "reconciled" and wallet.balance() == 99
    wallet.check()


def test_the_same_token_is_the_same_receive(wallet: Receiver) -> None:
    """R735: in another spelling and order too, while it is open and when it has ended."""
    proofs = wallet.gift()
    wallet.mint.faults.next("swap", faults.REQUEST_LOST)
    first = wallet.receive(wallet.text(proofs), wait_s=0)
    for n in range(2):
        again = wallet.receive(f"cashu:{wallet.text(proofs[::-1], 3)}", wait_s=0)
        assert again.id == first.id and wallet.operations() == 1, n
        wallet.recover()
    assert first.refresh().state == "reconciled" and wallet.balance() == 99
    keyed = wallet.refused(wallet.text(proofs), "ALREADY_RECEIVED", idempotency_key="another")
    assert keyed.details["first_operation"] == first.id
    other = wallet.refused(wallet.text(proofs), "ALREADY_RECEIVED", npub=npub_of(5))
    assert other.details["first_operation"] is None, "another owner's operation is not named"
    wallet.refused(wallet.text(proofs), "ALREADY_RECEIVED", wallet_id="second")


def test_the_same_key_is_the_same_receive(wallet: Receiver) -> None:
    """R735: with another token it is refused."""
    token = wallet.token()
    first = wallet.receive(token, idempotency_key="k1")
    assert wallet.receive(token, idempotency_key="k1").id == first.id
    wallet.refused(wallet.token(), "IDEMPOTENCY_KEY_REUSED", idempotency_key="k1")
    wallet.refused(wallet.token(), "DUPLICATE_TRANSACTION_ID", transaction_id=first.id)


def test_of_callers_at_once_one_receives(wallet: Receiver) -> None:
    """R736: of one owner all get the same operation; of two owners one is told ALREADY_RECEIVED."""
    for _ in range(5):
        token = wallet.token()
        found = together([partial(wallet.receive, token) for _ in range(4)])
        assert len({handle.id for handle in found}) == 1, found
    before = wallet.balance()
    assert before == 5 * 99
    token = wallet.token()
    calls = [partial(wallet.receive, token, npub=npub_of(n)) for n in range(1, 5)]
    found = together(calls)
    winners = [handle for handle in found if isinstance(handle, Handle)]
    losers = [error.code for error in found if not isinstance(error, Handle)]
    assert len(winners) == 1 and set(losers) == {"ALREADY_RECEIVED"} and winners[0].amount == 99
    wallet.check()


def test_tokens_that_share_a_proof_are_credited_once(wallet: Receiver) -> None:
    """R736: the mint takes a proof once; the later one is told, or ends unpaid."""
    proofs = wallet.gift(7)
    found = together([
        lambda: wallet.receive(wallet.text(proofs[:2]), wait_s=120),
        lambda: wallet.receive(wallet.text(proofs[1:]), wait_s=120),
    ])  # fmt: skip
    paid = [op for op in found if isinstance(op, Handle) and op.outcome == "paid"]
    assert len(paid) == 1 and wallet.balance() == paid[0].amount
    for op in found:
        if op is not paid[0]:
            assert op.outcome == "unpaid" if isinstance(op, Handle) else op.code == "PROOFS_NOT_UNSPENT"
    wallet.check()


def test_a_token_of_ones_own_is_refused(wallet: Receiver) -> None:
    """R737: of the same wallet with the token and its state; of another owner in the same store without; a
    receive of what was received is refused too."""
    done = wallet.receive(wallet.token())
    own = wallet.store.token(done.tokens[0])
    assert own is not None
    told = wallet.refused(wallet.text(own.proofs), "DUPLICATE_PROOF")
    assert told.details["tokens"] == [own.transaction_id] and told.details["states"] == ["unspent"]
    assert "deposit" in told.message
    foreign = wallet.refused(wallet.text(own.proofs), "DUPLICATE_PROOF", npub=npub_of(3))
    assert foreign.details["tokens"] == [] and own.transaction_id not in str(foreign)
    wallet.engine.swap(npub=NPUB, mint_url=wallet.mint.url, tokens=[own.transaction_id])
    assert wallet.refused(wallet.text(own.proofs), "DUPLICATE_PROOF").details["states"] == ["spent"]
    wallet.check()


def test_a_locked_token_is_opened(wallet: Receiver) -> None:
    """R740, R743, R744: with a key, with a preimage, or with both; neither is stored or shown."""
    public = p2pk(PUBLIC), p2pk(PUBLIC)
    done = wallet.receive(wallet.locked(*public), private_keys=[KEY])
    assert (done.state, done.amount) == ("reconciled", 15)
    token = wallet.locked(htlc(HASH, pubkeys=[PUBLIC]), htlc(HASH))
    for said in (
        {},
        {"private_keys": KEY},
        {"preimage": PREIMAGE},
        {"private_keys": OTHER, "preimage": PREIMAGE},
    ):
        refusal = wallet.refused(token, "PROOFS_LOCKED", **said)
        assert KEY not in str(refusal) and PREIMAGE not in str(refusal)
    opened = wallet.receive(token, private_keys=(Secret(KEY),), preimage=Secret(PREIMAGE))
    assert opened.state == "reconciled" and wallet.balance() == 30
    wallet.check()
    for op in wallet.store.operations(OperationQuery(kind="receive")):
        assert KEY not in str(op.data) and KEY not in op.data["request_body"], "the key is nowhere"
        assert KEY not in str([attrs.asdict(record) for record in wallet.engine.operation(op.id).audit()])
    both = wallet.locked(p2pk(PUBLIC), p2pk(crypto.public_key(OTHER)))
    wallet.refused(both, "PROOFS_LOCKED", private_keys=[KEY])
    assert wallet.receive(both, private_keys=[KEY, OTHER]).state == "reconciled"


def test_after_a_crash_no_key_is_needed(wallet: Receiver) -> None:
    """R744: the stored request holds the witnesses."""
    token = wallet.locked(p2pk(PUBLIC))
    wallet.mint.faults.next("swap", faults.REQUEST_LOST)
    op = wallet.receive(token, private_keys=[KEY], wait_s=0)
    wallet.clock.advance(61)
    fresh = Engine(wallet.store, wallet.mint, settings=QUICK, clock=wallet.clock)
    fresh.recover(force=True, wait_s=30)
    assert op.refresh().state == "reconciled" and wallet.balance() == 7


def test_locks_that_are_not_supported_are_told(wallet: Receiver) -> None:
    """R741"""
    for secret in (p2pk(PUBLIC, sigflag="SIG_ALL"), '["P2SH",{"nonce":"a","data":"b"}]'):
        wallet.refused(wallet.locked(secret), "LOCK_NOT_SUPPORTED", private_keys=[KEY])


def test_a_dleq_can_be_required(wallet: Receiver) -> None:
    """R745: without it a token is taken at the mint's word; a wrong one is never taken."""
    proofs = wallet.gift()
    bare = tuple(attrs.evolve(proof, dleq=None) for proof in proofs)
    wallet.refused(wallet.text(bare), "PROOFS_NOT_VERIFIED", require_dleq=True)
    other = wallet.gift()
    wrong = (attrs.evolve(proofs[0], dleq=other[0].dleq), *proofs[1:])
    wallet.refused(wallet.text(wrong), "INVALID_TOKEN")
    assert wallet.receive(wallet.text(proofs), require_dleq=True).state == "reconciled"
    assert wallet.receive(wallet.text(tuple(attrs.evolve(p, dleq=None) for p in other))).state == "reconciled"
    wallet.check()


def test_a_dleq_is_checked_before_the_mint_is_asked_about_the_proofs(wallet: Receiver) -> None:
    """R745: the keys are enough."""
    wallet.receive(wallet.token())
    bare = tuple(attrs.evolve(proof, dleq=None) for proof in wallet.gift())
    wallet.mint.faults.always("check_states", [faults.UNREACHABLE])
    wallet.refused(wallet.text(bare), "PROOFS_NOT_VERIFIED", require_dleq=True)


def test_a_token_that_is_not_worth_its_fee_is_refused(wallet: Receiver) -> None:
    """R739: with its figures."""
    refusal = wallet.refused(wallet.token(1), "INSUFFICIENT_BALANCE")
    assert (refusal.details["required"], refusal.details["available"]) == (2, 1)
    assert wallet.receive(wallet.token(2)).amount == 1
    wallet.check()


def test_the_fee_is_taken_from_the_token(new_store: Callable[[], Store]) -> None:
    """R739: at a dear mint, to the satoshi."""
    store = new_store()
    wallet = Receiver(store, *funded(store, amount=0, mint_options={"input_fee_ppk": 1000}))
    proofs = wallet.gift(100)
    done = wallet.receive(wallet.text(proofs))
    assert done.input_fee == len(proofs) and done.amount == 100 - len(proofs) == wallet.balance()
    wallet.check()


def test_the_mint_of_a_token_must_be_allowed(wallet: Receiver) -> None:
    """R746: or named by the caller; then it must be that one."""
    token = wallet.token()
    other = encode_token("https://other.example", "sat", wallet.gift()).reveal()
    wallet.refused(other, "MINT_NOT_ALLOWED", mint_url=None)
    wallet.refused(token, "MINT_OR_UNIT_MISMATCH", mint_url="https://other.example")
    allowed = attrs.evolve(QUICK, mints_allowed=(wallet.mint.url,))
    engine = Engine(wallet.store, wallet.mint, settings=allowed, clock=wallet.clock)
    assert engine.receive(NPUB, token).state == "reconciled"


def test_a_mint_without_restore_is_refused(new_store: Callable[[], Store]) -> None:
    """R747: a lost answer could not be found again."""
    store = new_store()
    wallet = Receiver(store, *funded(store, amount=0, mint_options={"without": (9,)}))
    wallet.refused(wallet.token(), "RESTORE_NOT_SUPPORTED")


def test_a_silent_mint_is_told_and_nothing_is_written(wallet: Receiver) -> None:
    """R747"""
    token = wallet.token()
    wallet.mint.faults.always("check_states", [faults.UNREACHABLE])
    with pytest.raises(MintError) as silent:
        wallet.receive(token, wait_s=0)
    assert silent.value.code == "MINT_UNREACHABLE" and silent.value.retryable and wallet.operations() == 0


def test_proofs_that_are_not_unspent_are_refused(wallet: Receiver) -> None:
    """R747: SPENT and PENDING are told apart."""
    proofs = wallet.gift(3)
    for state, counted in (("SPENT", "spent"), ("PENDING", "pending")):
        wallet.mint.faults.always("check_states", [faults.lie_about({str(proofs[0].Y): state})])
        assert wallet.refused(wallet.text(proofs), "PROOFS_NOT_UNSPENT").details[counted] == 1


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no text": (7, {}, "INVALID_TOKEN"),
    "nothing": ("", {}, "INVALID_TOKEN"),
    "no token": ("lnbc1", {}, "INVALID_TOKEN"),
    "an address without a token": ("https://wallet.example/#token=", {}, "INVALID_TOKEN"),
    "cut off": ("good", {"cut": 30}, "INVALID_TOKEN"),
    "too long": ("cashuA" + "A" * 4_000_001, {}, "INVALID_TOKEN"),
    "a bad npub": ("good", {"npub": "npub1"}, "INVALID_NPUB"),
    "a bad mint": ("good", {"mint_url": "ftp://x"}, "INVALID_MINT_URL"),
    "a bad key": ("good", {"private_keys": ["zz"]}, "INVALID_PRIVATE_KEY"),
    "a key of 0": ("good", {"private_keys": ["00" * 32]}, "INVALID_PRIVATE_KEY"),
    "a key that is no text": ("good", {"private_keys": [7]}, "INVALID_PRIVATE_KEY"),
    "keys that are no list": ("good", {"private_keys": 7}, "INVALID_PRIVATE_KEY"),
    "too many keys": ("good", {"private_keys": [KEY] * 13}, "INVALID_PRIVATE_KEY"),
    "a bad preimage": ("good", {"preimage": "11"}, "INVALID_PREIMAGE"),
    "a flag that is none": ("good", {"require_dleq": "no"}, "INVALID_CHOICE"),
    "an empty key": ("good", {"idempotency_key": ""}, "INVALID_IDEMPOTENCY_KEY"),
    "a short id": ("good", {"transaction_id": "tx"}, "INVALID_LENGTH"),
    "a bad time": ("good", {"wait_s": -1}, "INVALID_DURATION"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_written(wallet: Receiver, case: str) -> None:
    """R748"""
    token, said, code = BAD[case]
    if token == "good":
        said = dict(said)
        token = wallet.token()[: -said.pop("cut", 0) or None]
    with pytest.raises(NutstateError) as refused:
        wallet.receive(token, **said)
    assert refused.value.code == code and wallet.operations() == 0
    assert KEY not in str(refused.value)


def test_several_mints_in_one_token_are_refused(wallet: Receiver) -> None:
    """R748: with the reason; and too many proofs, and a unit that the mint does not have."""
    import base64
    import json

    body = {"token": [{"mint": f"https://{n}.example", "proofs": []} for n in "ab"], "unit": "sat"}
    text = "cashuA" + base64.urlsafe_b64encode(json.dumps(body).encode()).decode()
    assert "2 mints" in wallet.refused(text, "INVALID_TOKEN", mint_url=None).message
    wallet.refused(encode_token(wallet.mint.url, "msat", wallet.gift()).reveal(), "MINT_OR_UNIT_MISMATCH")
    wallet.refused(encode_token(wallet.mint.url, "eur", wallet.gift()).reveal(), "INVALID_UNIT")
    few = attrs.evolve(QUICK, proofs_per_operation_max=2)
    engine = Engine(wallet.store, wallet.mint, settings=few, clock=wallet.clock)
    with pytest.raises(NutstateError) as refused:
        engine.receive(NPUB, wallet.text(wallet.gift(7)), mint_url=wallet.mint.url)
    assert refused.value.code == "TOO_MANY_PROOFS" and wallet.operations() == 0


def test_a_silent_mint_parks_it_and_an_operator_decides(wallet: Receiver) -> None:
    """R749: resume asks again; release ends it on the mint's word; write-off by force, and what the mint
    signed is collected later, once."""
    ops = []
    for _ in range(3):
        token = wallet.token()
        wallet.mint.faults.next("swap", faults.LATE)
        ops.append(wallet.receive(token, wait_s=0))
    wallet.mint.faults.always("restore", [faults.UNREACHABLE])
    wallet.recover(QUICK.unknown_age_max_h * 3600 + 61)
    assert {op.refresh().state for op in ops} == {"attention"}
    assert {op.refresh().alarm for op in ops} == {"CRITICAL_RECEIVE_FAILURE"}
    with pytest.raises(NutstateError) as refused:
        wallet.engine.write_off(ops[0].id, "no answer")
    assert refused.value.code == "MINT_UNREACHABLE"
    lost = wallet.engine.write_off(ops[0].id, "no answer", force=True)
    assert (lost.state, lost.outcome) == ("written_off", "parked")
    wallet.mint.faults.stop()
    released = wallet.engine.release(ops[1].id, "the mint knows nothing")
    assert (released.state, released.outcome) == ("watching", "unpaid")
    assert wallet.mint.deliver_late() == 3
    wallet.engine.resume(ops[2].id, "ask again")
    wallet.recover()
    assert [op.refresh().state for op in ops[1:]] == ["reconciled", "reconciled"] and wallet.balance() == 198
    (found,) = wallet.engine.retry_stranded(NPUB, wallet.mint.url, reason="ask about it")
    assert found.kind == "check" and wallet.balance() == 297
    with pytest.raises(NutstateError) as nothing:
        wallet.engine.retry_stranded(NPUB, wallet.mint.url, reason="ask about it")
    assert nothing.value.code == "NOTHING_STRANDED"


def test_no_secret_is_shown(wallet: Receiver) -> None:
    """R744: not of the token, not of the new coins."""
    proofs = wallet.gift()
    done = wallet.receive(wallet.text(proofs))
    stored = wallet.store.token(done.tokens[0])
    assert stored is not None
    trail = [attrs.asdict(record) for record in done.audit()]
    shown = f"{done!r} {done.as_dict()} {done.record!r} {trail}"
    for proof in (*proofs, *stored.proofs):
        assert proof.secret.reveal() not in shown and proof.C.reveal() not in shown


def test_the_receiver_and_the_giver_may_share_a_store(wallet: Receiver) -> None:
    """R737: a token that left the store of its owner is received by another owner of it; the same proofs that
    are still in a token of the giver are refused."""
    wallet.engine.mint_tokens(npub=npub_of(1), mint_url=wallet.mint.url, amount=50)
    (held,) = wallet.store.tokens(TokenQuery(npub=npub_of(1), limit=2))
    wallet.refused(wallet.text(held.proofs), "DUPLICATE_PROOF")
    assert wallet.engine.balance(npub_of(1)).unspent == 50
    wallet.check()
