"""R32 to R52: the same request again, simultaneous requests, and what a refusal writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Handle, InvalidArgument, MintError, NutstateError, Refused, Settings, Store
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import OperationQuery, TokenQuery
from tests.support.everything import Everything, everything
from tests.support.recording import Wallet, at_once
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash, silence

ROUNDS = 3
WINDOW = QUICK.dedup_window_s


class Paying:
    """A wallet and one request, made as often as wanted."""

    def __init__(self, store: Store, price: int = 50, **more: Any) -> None:
        self.store = store
        self.engine, self.mint, self.clock = funded(store, **more)
        self.whose: dict[str, Any] = {"npub": NPUB, "mint_url": self.mint.url}
        self.bolt11 = invoice(price, self.clock)
        self.hash = payment_hash(self.bolt11)

    def melt(self, **more: Any) -> Handle:
        return self.engine.melt(**{**self.whose, "invoice": self.bolt11} | more)

    def refused(self, **more: Any) -> NutstateError:
        with pytest.raises(NutstateError) as refused:
            self.melt(**more)
        return refused.value

    def melts(self) -> int:
        return len(self.store.operations(OperationQuery(kind="melt", limit=1000)))

    def attempts(self) -> int:
        return self.mint.lightning.attempts(self.hash)

    def holder(self) -> str | None:
        """The operation with the claim on the payment."""
        found = self.store.operation_by_claim(self.hash)
        return found.id if found else None


# Ways a first operation may stand or end; each leaves the request as it was.


def live(pay: Paying) -> Handle:
    pay.mint.lightning.script(pay.hash, "PENDING")
    return pay.melt(wait_s=0)


def parked(pay: Paying) -> Handle:
    pay.mint.faults.next("melt", faults.change_short(500))
    return pay.melt(wait_s=100)


def paid(pay: Paying) -> Handle:
    return pay.melt()


def rejected(pay: Paying) -> Handle:
    silence(pay.mint, "melt_quote")
    return pay.engine.operation(pay.refused().details["operation_id"])


def cancelled(pay: Paying) -> Handle:
    return pay.engine.cancel(pay.engine.prepare_melt(**pay.whose, invoice=pay.bolt11).id)


def expired(pay: Paying) -> Handle:
    mint: Any = pay.mint
    quoted, ends = mint.melt_quote, pay.clock.now() + 60_000
    mint.melt_quote = lambda *asked: attrs.evolve(quoted(*asked), expires_at=ends)
    plan = pay.engine.prepare_melt(**pay.whose, invoice=pay.bolt11)
    mint.melt_quote = quoted
    pay.clock.advance(61)
    with pytest.raises(Refused):
        pay.engine.confirm(plan.id)
    return plan.refresh()


def released(pay: Paying) -> Handle:
    pay.mint.lightning.script(pay.hash, "FAILED", "PAID")
    return pay.melt(wait_s=100, on_unpaid="fence")


Way = Callable[[Paying], Handle]
STANDING: tuple[Way, ...] = (live, parked, paid)
UNPAID: tuple[Way, ...] = (rejected, cancelled, expired, released)
LONG = attrs.evolve(QUICK, dedup_window_s=100_000)


def test_r032_the_same_request_is_the_first_operation(store: Store) -> None:
    """Inside the window no new operation, no payment, no record."""
    pay = Paying(store)
    first = pay.melt()
    before = everything(store)
    assert pay.melt().id == first.id
    assert everything(store) == before and pay.attempts() == 1


def test_r033_the_window_has_an_end(store: Store) -> None:
    """The window is dedup_window_s, by default 300 s."""
    assert Settings().dedup_window_s == 300
    pay = Paying(store, settings=attrs.evolve(QUICK, dedup_window_s=100))
    first = pay.melt()
    pay.clock.advance(95)
    assert pay.melt().id == first.id
    pay.clock.advance(6)
    assert pay.refused().code == "PAYMENT_ALREADY_CLAIMED"


def test_r034_a_live_first_operation_goes_on(store: Store) -> None:
    """It is returned as its live handle, and goes on."""
    pay = Paying(store)
    first = live(pay)
    again = pay.melt(wait_s=0)
    assert again.id == first.id and not again.is_final and not again.is_parked
    pay.mint.lightning.settle(pay.hash)
    ended = pay.melt()
    assert (ended.id, ended.state) == (first.id, "reconciled")
    assert pay.melts() == 1 and pay.attempts() == 1


def test_r035_a_duplicate_as_an_error(store: Store) -> None:
    """DUPLICATE_OPERATION names the first operation's id and its age."""
    pay = Paying(store)
    first = pay.melt()
    pay.clock.advance(30)
    before = everything(store)
    error = pay.refused(on_duplicate="error")
    assert error.code == "DUPLICATE_OPERATION" and error.details["first_operation"] == first.id
    assert error.details["age_s"] == (pay.clock.now() - first.record.created_at) / 1000 >= 30
    assert everything(store) == before


@pytest.mark.parametrize("way", STANDING)
def test_r036_live_parked_and_paid_operations_are_duplicates(store: Store, way: Way) -> None:
    """Only they count; the others are R37."""
    pay = Paying(store, 700)
    first = way(pay)
    assert (first.is_parked, first.is_final) == (way is parked, way is paid)
    assert pay.melt(wait_s=0).id == first.id
    assert pay.refused(on_duplicate="error").code == "DUPLICATE_OPERATION"
    assert pay.melts() == 1 and pay.attempts() == 1


@pytest.mark.parametrize("way", UNPAID)
def test_r037_after_an_unpaid_end_it_is_a_new_attempt(store: Store, way: Way) -> None:
    """After a rejection, cancellation, expiry or release an equal request is a new attempt."""
    pay = Paying(store, settings=LONG)
    first = way(pay)
    assert first.state == way.__name__
    again = pay.melt(on_duplicate="error", wait_s=100)
    assert again.id != first.id and again.state == "reconciled" and pay.melts() == 2


@pytest.mark.parametrize("ending", ["reconciled", "released", "rejected"])
def test_r038_a_key_replays_any_outcome(store: Store, ending: str) -> None:
    """A rejection too."""
    pay = Paying(store, 5000 if ending == "rejected" else 50)
    if ending == "released":
        pay.mint.lightning.script(pay.hash, "FAILED", "PAID")

    def outcome() -> tuple[str, str]:
        try:
            done = pay.melt(idempotency_key="k", wait_s=100, on_unpaid="fence")
        except Refused as error:
            return error.details["operation_id"], error.code
        return done.id, done.state

    first = outcome()
    assert pay.engine.operation(first[0]).state == ending
    pay.engine.mint_tokens(**pay.whose, amount=10_000)  # a new attempt would succeed
    before, tried = everything(store), pay.attempts()
    assert outcome() == first and everything(store) == before and pay.attempts() == tried


@pytest.mark.parametrize("ending", ["reconciled", "rejected"])
@pytest.mark.parametrize("hours", [24, 24 * 366])
def test_r039_a_key_holds(store: Store, hours: int, ending: str) -> None:
    """For as long as its operation lives and at least 24 h after its end (today: for ever)."""
    pay = Paying(store, 5000 if ending == "rejected" else 50)
    for _ in range(2):
        if ending == "rejected":
            made = pay.refused(idempotency_key="k").details["operation_id"]
        else:
            made = pay.melt(idempotency_key="k").id
        assert [op.id for op in pay.engine.operations(kind="melt")] == [made]
        pay.clock.advance(hours * 3600 + 1)


def test_r040_a_key_for_another_request(store: Store) -> None:
    """The same key with another request is IDEMPOTENCY_KEY_REUSED and changes nothing."""
    pay = Paying(store)
    pay.melt(idempotency_key="k")
    before = everything(store)
    others: tuple[dict[str, Any], ...] = (
        {"invoice": invoice(60, pay.clock)}, {"wallet_id": "other"}, {"mint_url": "https://other.example"},
    )  # fmt: skip
    for other in others:
        assert pay.refused(idempotency_key="k", **other).code == "IDEMPOTENCY_KEY_REUSED"
    assert everything(store) == before


@pytest.mark.parametrize("more", [{}, {"idempotency_key": "k"}], ids=["window", "key"])
def test_r041_equal_requests_at_once_are_one(new_store: Callable[[], Store], more: dict[str, str]) -> None:
    """Unique keys decide: N equal requests at once make one operation and one payment."""
    for _ in range(ROUNDS):
        pay = Paying(new_store())
        ends = at_once(**{str(n): lambda pay=pay: pay.melt(**more).id for n in range(4)})
        assert len(set(ends.values())) == 1, ends
        assert pay.melts() == 1 and pay.attempts() == 1


def test_r042_a_duplicate_without_change(store: Store) -> None:
    """Recognised also when the first operation made no change token."""
    pay = Paying(store, 100, amount=0, mint_options={"input_fee_ppk": 0})
    pay.engine.mint_tokens(**pay.whose, amount=102)
    pay.mint.lightning.script(pay.hash, "PAID", fee=2)
    first = pay.melt()
    assert not store.tokens(TokenQuery(parent=first.id))
    assert pay.melt().id == first.id and pay.melts() == 1 and pay.attempts() == 1


def test_r043_outside_the_window_it_is_a_new_operation(store: Store) -> None:
    """A melt the caller made names no payment here, so no claim answers before the window does."""
    wallet = Wallet(store, 500)
    first = wallet.record([500], None, None, 500)
    wallet.clock.advance(WINDOW - 1)
    assert wallet.record([500], None, None, 500).transaction_id == first.transaction_id
    wallet.clock.advance(2)
    with pytest.raises(Refused) as refused:  # the source is spent, so the new one waits for a person
        wallet.record([500], None, None, 500)
    assert refused.value.details["operation_id"] != first.transaction_id
    assert len(wallet.engine.operations(kind="record")) == 2


@pytest.mark.parametrize("way", STANDING)
def test_r044_an_invoice_is_never_paid_twice(store: Store, way: Way) -> None:
    """Outside the window neither: PAYMENT_ALREADY_CLAIMED."""
    pay = Paying(store, 700)
    first = way(pay)
    tried = pay.attempts()
    pay.engine.mint_tokens(**pay.whose, amount=2000)
    pay.clock.advance(WINDOW + 1)
    before = everything(store)
    for other in ({}, {"idempotency_key": "other"}, {"wallet_id": "other"}):
        error = pay.refused(**other)
        assert (error.code, error.details["holder"]) == ("PAYMENT_ALREADY_CLAIMED", first.id)
    assert everything(store) == before and pay.attempts() == tried == 1


@pytest.mark.parametrize("way", (*STANDING, *UNPAID))
def test_r045_how_long_a_payment_is_claimed(store: Store, way: Way) -> None:
    """Kept by live, parked and paid operations for ever, dropped by those that ended unpaid."""
    pay = Paying(store, 700)
    first = way(pay)
    kept = way in STANDING
    assert pay.holder() == (first.id if kept else None)
    pay.clock.advance(366 * 24 * 3600)
    assert pay.holder() == (first.id if kept else None)
    error = pay.refused(wallet_id="other")
    assert error.code == ("PAYMENT_ALREADY_CLAIMED" if kept else "INVOICE_EXPIRED")


def test_r046_r047_r048_one_token_has_one_winner(store: Store) -> None:
    """Exactly one wins; the others get CONCURRENT_OPERATION, which names the tokens and their holders."""
    engine, mint, clock = funded(store, amount=0)
    for _ in range(ROUNDS):
        source = f"{engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64).id}_minted"
        errors: list[NutstateError] = []

        def contend(source: str = source, errors: list[NutstateError] = errors) -> str:
            try:
                bolt11 = invoice(30, clock)
                return engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, sources=[source]).id
            except Refused as refused:
                errors.append(refused)
                raise

        ends = at_once(**{str(n): contend for n in range(4)})
        (winner,) = [end for end in ends.values() if end != "CONCURRENT_OPERATION"]
        assert engine.operation(winner).state == "reconciled"
        assert [lost.details for lost in errors] == [{"tokens": [source], "operations": [winner]}] * 3


WRONG: dict[str, dict[str, Any]] = {
    "INVALID_NPUB": {"npub": "npub1"},
    "INVALID_MINT_URL": {"mint_url": "mint"},
    "INVALID_UNIT": {"unit": "usd"},
    "INVALID_INVOICE": {"invoice": "lnbc1"},
    "INVALID_SOURCES": {"sources": ["tx_a", "tx_a"]},
    "INVALID_LENGTH": {"transaction_id": "short"},
    "INVALID_IDEMPOTENCY_KEY": {"idempotency_key": ""},
    "INVALID_CHOICE": {"on_duplicate": "perhaps"},
    "INVALID_DURATION": {"wait_s": -1},
}


@pytest.mark.parametrize("code", WRONG)
def test_r049_a_wrong_argument_writes_nothing(store: Store, code: str) -> None:
    """An error known from the arguments alone writes nothing at all."""
    pay = Paying(store)
    before = everything(store)
    error = pay.refused(**WRONG[code])
    assert isinstance(error, InvalidArgument) and error.code == code
    assert everything(store) == before and "operation_id" not in error.details


def no_funds(pay: Paying) -> str:
    pay.bolt11 = invoice(5000, pay.clock)
    return "INSUFFICIENT_BALANCE"


def no_quote(pay: Paying) -> str:
    silence(pay.mint, "melt_quote")
    return "MINT_UNREACHABLE"


def no_states(pay: Paying) -> str:
    pay.mint.faults.chaos(1, 100, kinds=("unreachable",), endpoints=("check_states",))
    return "MINT_UNREACHABLE"


def new_ones(before: Everything, after: Everything) -> tuple[set[str], set[str]]:
    """Operations, and entities of audit records, that were added; all else is as before."""
    made = after.operations.keys() - before.operations.keys()
    recorded = after.audit.keys() - before.audit.keys()
    unchanged = attrs.evolve(
        after,
        operations={name: op for name, op in after.operations.items() if name not in made},
        audit={name: record for name, record in after.audit.items() if name not in recorded},
    )
    assert unchanged == before
    return made, {after.audit[name].entity for name in recorded}


@pytest.mark.parametrize("cause", [no_funds, no_quote, no_states])
def test_r050_r051_r052_a_later_error_writes_its_operation(
    store: Store, cause: Callable[[Paying], str]
) -> None:
    """Typed, with operation_id; only the operation, rejected, and its audit records; no token changes."""
    pay = Paying(store)
    code, before = cause(pay), everything(store)
    error = pay.refused()
    assert isinstance(error, Refused | MintError) and error.code == code
    made = error.details["operation_id"]
    assert new_ones(before, everything(store)) == ({made}, {f"operation:{made}"})
    assert pay.engine.operation(made).state == "rejected"


def test_r052_a_declared_correction_is_the_exception(store: Store) -> None:
    """What the mint calls SPENT is split off and marked as spent; every change is in the audit."""
    pay = Paying(store)
    (token,) = store.tokens(TokenQuery())
    lie = faults.lie_about({name_of(proof): "SPENT" for proof in token.proofs[1:]})
    for _ in range(2):
        pay.mint.faults.next("check_states", lie)
    before = everything(store)
    error = pay.refused(sources=[token.transaction_id])
    after = everything(store)
    assert error.code == "PROOF_STATE_INCONSISTENCY"
    told = [record for name, record in after.audit.items() if name not in before.audit]
    assert {record.operation_id for record in told} == {error.details["operation_id"]}
    corrected = {
        record.entity
        for record in told
        if record.event in ("split", "correct_spent", "import_spent", "deposit")
    }
    changed = {name for name, found in after.tokens.items() if before.tokens.get(name) != found}
    assert changed and corrected == {f"token:{name}" for name in changed}
    assert sum(t.total_amount for t in after.tokens.values()) == token.total_amount
