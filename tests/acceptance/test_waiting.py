"""R245 to R249: several payments of one wallet, and reads that fail before anything is stored."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, Handle, MintError, Refused, Settings, SimulatedMint, Store
from nutstate.engine.cashu.port import Ambiguous, Unreachable
from nutstate.engine.cashu.port import Refused as Said
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.everything import everything
from tests.support.together import together
from tests.support.wallet import NPUB, QUICK, funded, invoice, silence

N = 20


class Nudged(FakeClock):
    """Calls ``then`` at the first sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Any = None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        then, self.then = self.then, None
        if then is not None:
            then()


def waiting(store: Store, amount: int = 1000) -> tuple[Engine, SimulatedMint, Nudged]:
    clock = Nudged()
    mint = SimulatedMint(now_ms=clock.now)
    engine = Engine(store, mint, settings=QUICK, clock=clock)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
    return engine, mint, clock


def melts(store: Store) -> int:
    return len(store.operations(OperationQuery(kind="melt", limit=1000)))


def test_r245_held_money_is_not_missing(store: Store) -> None:
    """R245: FUNDS_RESERVED says required, available, reserved and the expected release; it writes nothing
    and burns no key."""
    engine, mint, clock = waiting(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    bolt11, before = invoice(600, clock), everything(store)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": bolt11, "idempotency_key": "k"}
    for wait_s in (0, 30):
        with pytest.raises(Refused) as refused:
            engine.melt(**request, wait_s=wait_s)
        error = refused.value
        assert (error.code, error.retryable) == ("FUNDS_RESERVED", True)
        assert error.details["available"] == engine.balance(NPUB).unspent
        assert error.details["reserved"] == engine.balance(NPUB).reserved
        assert error.details["required"] > 600
        assert plan.record.quote is not None
        assert error.details["expected_release"] == plan.record.quote.expires_at
        assert everything(store) == before
    engine.cancel(plan.id)
    assert engine.melt(**request).outcome == "paid"
    invariants.check(store, mint)


def test_r245_only_what_is_not_owned_is_missing(store: Store) -> None:
    """R245: INSUFFICIENT_BALANCE when even the held money does not suffice; all of it adds up."""
    engine, mint, clock = waiting(store)
    engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock))
    error = refused.value
    assert error.code == "INSUFFICIENT_BALANCE"
    assert error.details["available"] + error.details["reserved"] == 1000
    assert error.details["required"] == 1000 + error.details["shortfall"]


def test_r245_another_wallet_reserves_nothing_of_this_one(store: Store) -> None:
    """R245: what another wallet of the same owner holds is not this wallet's money."""
    engine, mint, clock = waiting(store, amount=100)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1000, wallet_id="other")
    engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wallet_id="other")
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(300, clock))
    assert refused.value.code == "INSUFFICIENT_BALANCE" and "reserved" not in refused.value.details


def test_r245_change_that_is_awaited_is_owned(store: Store) -> None:
    """R245: between the proof of a payment and its change the rest of the inputs is no token, but owned."""
    engine, mint, clock = waiting(store, amount=1024)
    mint.faults.next("melt", faults.change_delayed(1000))
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=0)
    assert first.state == "paid" and engine.balance(NPUB).unspent < 600
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock), wait_s=0)
    assert refused.value.code == "FUNDS_RESERVED"


def test_r246_held_money_is_waited_for(store: Store) -> None:
    """R246: inside wait_s the payment goes on as soon as the money is free, with one quote."""
    engine, mint, clock = waiting(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    stored: list[int] = []

    def release() -> None:
        stored.append(melts(store))
        engine.cancel(plan.id)

    clock.then = release
    done = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock), idempotency_key="k")
    assert done.outcome == "paid" and stored == [1], "nothing of it was stored while it waited"
    invariants.check(store, mint)


@pytest.mark.parametrize("coins", [N, 1])
def test_r247_parallel_payments_all_come_through(store: Store, coins: int) -> None:
    """R247: 20 payments at once from a wallet of 20 coins, or of one: each is paid, no satoshi is lost."""
    mint = SimulatedMint(input_fee_ppk=0)
    engine = Engine(store, mint, settings=attrs.evolve(Settings(), retry_min_s=0.01, retry_max_s=0.2))
    for _ in range(coins):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=2048 if coins == 1 else 64)
    bolts = [mint.lightning.invoice(20).reveal() for _ in range(N)]
    before = engine.balance(NPUB).owned()
    results = together(
        [
            lambda b=b: engine.melt(npub=NPUB, mint_url=mint.url, invoice=b, wait_s=3000)  # type: ignore[misc]
            for b in bolts
        ]
    )
    assert all(isinstance(done, Handle) and done.outcome == "paid" for done in results), results
    told = sum(done.amount + done.cost for done in results)
    assert engine.balance(NPUB).owned() == before - told
    invariants.check(store, mint)


def test_r247_a_lost_race_is_run_again_inside_the_time(store: Store) -> None:
    """R247: more lost races than any fixed number end nothing while there is time."""
    engine, mint, clock = waiting(store)
    late = Engine(FaultyStore(store, ["conflict"] * 25), mint, settings=QUICK, clock=clock)
    done = late.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert done.outcome == "paid"


HICCUPS = {
    "unreachable": Unreachable("no route"),
    "unclear": Ambiguous("HTTP 502"),
    "locked": Said(0, "database is locked", False),
}


class Hiccups:
    """A mint whose named reads answer ``answer`` the first ``times`` times."""

    def __init__(self, mint: SimulatedMint, name: str, answer: object, times: int) -> None:
        self._mint, self._name, self._answer, self._left = mint, name, answer, times
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._mint, name)
        if name != self._name:
            return there

        def call(*args: Any, **named: Any) -> Any:
            self.asked += 1
            if self.asked <= self._left:
                return self._answer
            return there(*args, **named)

        return call


@pytest.mark.parametrize("name", ["melt_quote", "check_states", "keysets"])
@pytest.mark.parametrize("kind", HICCUPS)
def test_r248_a_read_that_hiccups_is_made_again(store: Store, kind: str, name: str) -> None:
    """R248: quote, pre-flight and keysets are asked again inside wait_s, and nothing is stored meanwhile."""
    _, mint, clock = waiting(store)
    port: Any = Hiccups(mint, name, HICCUPS[kind], 3)
    engine = Engine(store, port, settings=QUICK, clock=clock)
    stored: list[int] = []
    clock.then = lambda: stored.append(melts(store))
    done = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), idempotency_key="k")
    assert done.outcome == "paid" and stored == [0] and melts(store) == 1
    invariants.check(store, mint)


def test_r248_a_no_is_told_at_once(store: Store) -> None:
    """R248: a definitive refusal is asked once; a hiccup a bounded number of times."""
    _, mint, clock = waiting(store)
    for answer, asked in ((Said(11005, "no", True), 1), (Unreachable("x"), QUICK.read_tries_max)):
        port: Any = Hiccups(mint, "melt_quote", answer, 1000)
        engine = Engine(store, port, settings=QUICK, clock=clock)
        with pytest.raises(MintError) as failed:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=10_000)
        assert port.asked == asked and failed.value.retryable is (asked > 1)
        assert engine.operation(failed.value.details["operation_id"]).outcome == "unpaid"


def test_r248_a_silent_mint_burns_no_key(store: Store) -> None:
    """R248: the error is stored as rejected, and the same key pays when the mint is back."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    silence(mint, "melt_quote")
    with pytest.raises(MintError) as failed:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert failed.value.retryable
    done = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert done.outcome == "paid" and done.id != failed.value.details["operation_id"]


def test_r249_a_key_binds_what_was_said(store: Store) -> None:
    """R249: no changed setting makes a retry IDEMPOTENCY_KEY_REUSED; another word of the caller does."""
    engine, mint, clock = funded(store)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(50, clock)}
    first = engine.melt(**request, idempotency_key="k")
    other = attrs.evolve(
        QUICK, on_unpaid="trust", wait_s=1, fee_max_percent=50, fee_max_floor_sat=3, dedup_window_s=1
    )
    after = Engine(store, mint, settings=other, clock=clock)
    assert after.melt(**request, idempotency_key="k").id == first.id
    assert after.melt(**request, idempotency_key="k", wait_s=7).id == first.id
    for said in ({"on_unpaid": "trust"}, {"fee_max": 30}):
        with pytest.raises(Refused) as refused:
            after.melt(**request, idempotency_key="k", **said)
        assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("keyed", [True, False])
def test_r259_an_id_that_is_taken_while_inputs_are_chosen(store: Store, keyed: bool, same: bool) -> None:
    """R259: the other call's ``<id>_keep`` is never chosen and overwritten: the same request is given
    the first operation, another one is refused with a typed error."""
    engine, mint, clock = waiting(store)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "transaction_id": "tx_mine_0001"}
    request |= {"invoice": invoice(30, clock), **({"idempotency_key": "k"} if keyed else {})}
    first: list[Handle] = []

    class Between(FaultyStore):
        def snapshot(self, ahead: Any = ()) -> Any:
            """The inputs are about to be chosen: what the other call leaves is all there is."""
            if not first and any(isinstance(read, TokenQuery) for read in ahead):
                first.append(engine.melt(**request))
            return self.store.snapshot(ahead)

    late = Engine(Between(store), mint, settings=QUICK, clock=clock)
    if same:
        assert late.melt(**request).id == first[0].id
    else:
        with pytest.raises(Refused) as refused:
            late.melt(**{**request, "invoice": invoice(31, clock)})
        expected = "IDEMPOTENCY_KEY_REUSED" if keyed else "DUPLICATE_TRANSACTION_ID"
        assert refused.value.code == expected
    (kept,) = store.tokens(TokenQuery(ids=("tx_mine_0001_keep",)))
    assert kept.state == "unspent" and kept.version == 1
    invariants.check(store, mint)


def test_r259_melt_and_record_melt_answer_a_repeated_id_alike(store: Store) -> None:
    """R259: the same request under its transaction id is the first operation at any time; after an unpaid end
    the id is taken."""
    engine, mint, clock = funded(store)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(50, clock)}
    first = engine.melt(**request, transaction_id="tx_mine_0001")
    clock.advance(QUICK.dedup_window_s + 1)
    assert engine.melt(**request, transaction_id="tx_mine_0001").id == first.id
    for other in ({"wallet_id": "w"}, {"on_duplicate": "error"}, {"invoice": invoice(51, clock)}):
        with pytest.raises(Refused) as refused:
            engine.melt(**{**request, **other}, transaction_id="tx_mine_0001")
        assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
    plan = engine.prepare_melt(**{**request, "invoice": invoice(9, clock)}, transaction_id="tx_mine_0002")
    engine.cancel(plan.id)
    with pytest.raises(Refused) as refused:
        engine.prepare_melt(**{**request, "invoice": plan.record.request}, transaction_id="tx_mine_0002")
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
