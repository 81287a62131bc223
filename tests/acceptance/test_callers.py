"""R250 to R262: what a payment may cost and did cost, how it stands, and what one owner sees of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import (
    Engine,
    Handle,
    InvalidArgument,
    NeedsPerson,
    NotFound,
    NotPaid,
    NutstateError,
    Refused,
    Secret,
    Settings,
    SimulatedMint,
    StillOpen,
    Store,
)
from nutstate.engine.cashu.port import Answer, Failure, MeltQuote
from nutstate.engine.loop.draft import Draft
from nutstate.engine.simulated import faults
from nutstate.machines.registry import latest
from nutstate.storage.errors import Duplicate
from nutstate.storage.port import TokenQuery
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.gifts import gift
from tests.support.recording import Wallet, proofs
from tests.support.wallet import NPUB, QUICK, funded, invoice, npub_of, payment_hash

OTHER = npub_of(7)


class Dear(SimulatedMint):
    """A mint that wants ``reserve`` for every payment."""

    reserve = 500

    def melt_quote(self, mint_url: str, bolt11: Secret, unit: str) -> Answer[MeltQuote]:
        quote = super().melt_quote(mint_url, bolt11, unit)
        return quote if isinstance(quote, Failure) else attrs.evolve(quote, fee_reserve=self.reserve)


def dear(store: Store, unit: str = "sat", amount: int = 5000) -> tuple[Engine, Dear, FakeClock]:
    clock = FakeClock()
    mint = Dear(now_ms=clock.now, input_fee_ppk=1000, unit=unit)
    engine = Engine(store, mint, settings=QUICK, clock=clock)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount, unit=unit)
    return engine, mint, clock


# -- fee_max -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["melt", "prepare_melt"])
def test_r250_what_costs_too_much_is_refused_before_anything(store: Store, call: str) -> None:
    """R250, R439: FEE_TOO_HIGH tells fee and maximum and writes nothing; a higher fee_max pays."""
    engine, mint, clock = dear(store)
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(1000, clock)}
    before = everything(store)
    with pytest.raises(Refused) as refused:
        getattr(engine, call)(**request, idempotency_key="k")
    told = refused.value.details
    assert refused.value.code == "FEE_TOO_HIGH" and not refused.value.retryable
    assert (told["fee_reserve"], told["fee_max"], told["unit"]) == (500, 50, "sat")
    assert told["fee"] == told["fee_reserve"] + told["input_fee"] > told["fee_max"]
    assert "the fee reserve alone is 500 sat, and an input fee may be added; 50 allowed" in str(refused.value)
    assert everything(store) == before
    assert getattr(engine, call)(**request, fee_max=600).fee_reserve == 500
    invariants.check(store, mint)


def test_r250_the_input_fee_counts_too(store: Store) -> None:
    """R250: reserve and input fee together; exactly the maximum is allowed."""
    engine, mint, clock = dear(store)
    mint.reserve = 10
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(1000, clock)}
    with pytest.raises(Refused) as refused:
        engine.prepare_melt(**request, fee_max=10)
    least = refused.value.details["fee"]
    assert least == 10 + refused.value.details["input_fee"] > 10
    assert f"it may cost up to {least} sat (fee reserve 10, input fee {least - 10}); 10 allowed" in str(
        refused.value
    )
    assert engine.prepare_melt(**request, fee_max=least).input_fee == least - 10


def test_r250_the_default_has_a_share_and_a_floor_in_sat(store: Store) -> None:
    """R250: fee_max_percent of the amount, at least fee_max_floor_sat; in msat a thousand times it."""
    engine, mint, clock = dear(store, "msat", 5_000_000)
    mint.reserve = Settings().fee_max_floor_sat * 1000 - 100
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "unit": "msat"}
    assert engine.prepare_melt(**whose, invoice=invoice(1, clock)).fee_reserve == mint.reserve
    mint.reserve += 200
    with pytest.raises(Refused) as refused:
        engine.prepare_melt(**whose, invoice=invoice(2, clock))
    assert refused.value.code == "FEE_TOO_HIGH" and refused.value.details["fee_max"] == 20_000
    assert engine.prepare_melt(**whose, invoice=invoice(1000, clock)).fee_reserve == mint.reserve, (
        "5 % of 1000"
    )


@pytest.mark.parametrize("value", [-1, 1.5, "5", True])
def test_r250_a_fee_max_is_a_whole_number(store: Store, value: Any) -> None:
    """R250: anything else is INVALID_AMOUNT."""
    engine, mint, clock = funded(store)
    with pytest.raises(InvalidArgument) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(9, clock), fee_max=value)
    assert refused.value.code == "INVALID_AMOUNT"


# -- ends ----------------------------------------------------------------------------------------------


class Scene:
    """A funded wallet and one payment of 700."""

    def __init__(self, store: Store) -> None:
        self.engine, self.mint, self.clock = funded(store, mint_options={"input_fee_ppk": 500})
        self.bolt11 = invoice(700, self.clock)
        self.hash = payment_hash(self.bolt11)

    def melt(self, **more: Any) -> Handle:
        return self.engine.melt(npub=NPUB, mint_url=self.mint.url, invoice=self.bolt11, **more)


def paid(scene: Scene) -> Handle:
    return scene.melt()


def fenced(scene: Scene) -> Handle:
    scene.mint.faults.next("melt", faults.REQUEST_LOST)
    return scene.melt(on_unpaid="fence", wait_s=600)


def trusted(scene: Scene) -> Handle:
    scene.mint.faults.next("melt", faults.REQUEST_LOST)
    return scene.melt(on_unpaid="trust", wait_s=600)


def cancelled(scene: Scene) -> Handle:
    plan = scene.engine.prepare_melt(npub=NPUB, mint_url=scene.mint.url, invoice=scene.bolt11)
    return scene.engine.cancel(plan.id)


def open_(scene: Scene) -> Handle:
    scene.mint.lightning.script(scene.hash, "PENDING")
    return scene.melt(wait_s=1)


def parked(scene: Scene) -> Handle:
    scene.mint.lightning.script(scene.hash, "PENDING")
    first = scene.melt(wait_s=1)
    scene.clock.advance(QUICK.unknown_age_max_h * 3600 + 1)
    scene.engine.recover()
    return first.refresh()


def given_up(scene: Scene) -> Handle:
    first = parked(scene)
    scene.mint.faults.chaos(1, 100, kinds=("unreachable",), endpoints=("melt_quote_state", "check_states"))
    return scene.engine.write_off(first.id, "the mint is gone", force=True)


def short(scene: Scene) -> Handle:
    """Paid, but most of the change never came."""
    scene.mint.faults.next("melt", faults.change_short(200))
    first = scene.melt(wait_s=600)
    return first if first.is_final else scene.engine.write_off(first.id, "it will not come")


ENDS: dict[Callable[[Scene], Handle], tuple[str, type[NutstateError] | None]] = {
    paid: ("paid", None),
    short: ("paid", None),
    fenced: ("unpaid", NotPaid),
    trusted: ("unpaid", NotPaid),
    cancelled: ("unpaid", NotPaid),
    open_: ("open", StillOpen),
    parked: ("parked", NeedsPerson),
    given_up: ("parked", NeedsPerson),
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_r253_four_words_and_an_error_for_three_of_them(store: Store, end: Callable[[Scene], Handle]) -> None:
    """R253: outcome, is_paid, as_dict and raise_unless_paid say the same."""
    handle, (outcome, error) = end(Scene(store)), ENDS[end]
    assert handle.outcome == outcome, handle.state
    assert handle.as_dict()["outcome"] == outcome and handle.as_dict()["paid"] is handle.is_paid
    assert handle.is_paid is (outcome == "paid")
    if error is None:
        assert handle.raise_unless_paid() is handle
        return
    with pytest.raises(error) as raised:
        handle.raise_unless_paid()
    assert isinstance(raised.value, Refused) and raised.value.details["operation_id"] == handle.id
    assert raised.value.retryable is (outcome == "open")


def test_r253_other_kinds_are_paid_when_they_did_what_was_asked(store: Store) -> None:
    """R253: funding is open until it is issued; a deposit is stored in one step."""
    engine, mint, clock = funded(store, amount=0, mint_options={"auto_pay": False})
    asked = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
    assert asked.outcome == "open" and not asked.is_paid
    with pytest.raises(StillOpen):
        asked.raise_unless_paid()
    other, there, _ = funded(store, amount=0, mint_options={"url": "https://other.example"})
    assert other.mint_tokens(npub=NPUB, mint_url=there.url, amount=64).outcome == "paid"


@pytest.mark.parametrize("end", [e for e in ENDS if e not in (open_, parked)], ids=lambda end: end.__name__)
def test_r251_everything_that_went_is_told(store: Store, end: Callable[[Scene], Handle]) -> None:
    """R251: balance before = balance after + amount (if paid) + cost + loss, whatever the end."""
    scene = Scene(store)
    before = scene.engine.balance(NPUB).owned()
    handle = end(scene)
    told = (handle.amount if handle.is_paid else 0) + (handle.cost or 0) + data_in(handle.record).loss
    assert handle.cost is not None and before == scene.engine.balance(NPUB).owned() + told
    assert handle.fee_paid == handle.cost == handle.as_dict()["cost"]
    assert (handle.cost > 0) is (end in (paid, short, fenced))


def test_r252_looks_that_decide_nothing_come_more_rarely(store: Store) -> None:
    """R252: also while an action only pauses, as for change that was seen empty once."""

    class Noting(FakeClock):
        sleeps: list[float]

        def sleep(self, seconds: float) -> None:
            self.sleeps.append(seconds)
            super().sleep(seconds)

    clock = Noting()
    clock.sleeps = []
    mint = SimulatedMint(now_ms=clock.now, input_fee_ppk=0)
    settings = attrs.evolve(QUICK, change_window_s=600, poll_max_s=60)
    engine = Engine(store, mint, settings=settings, clock=clock)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=102)
    bolt11 = invoice(100, clock)
    mint.lightning.script(payment_hash(bolt11), "PAID", fee=2)
    done = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=3000)
    assert done.outcome == "paid" and done.change == 0 and done.is_final
    assert len(clock.sleeps) < 40 and max(clock.sleeps) >= 30 > 1 > clock.sleeps[0]


# -- neighbours ----------------------------------------------------------------------------------------


def test_r255_a_claimed_invoice_names_its_holder_to_its_owner_only(store: Store) -> None:
    """R255, R258: the holder is named to its own owner; retryable until it has paid."""
    engine, mint, clock = funded(store)
    engine.mint_tokens(npub=OTHER, mint_url=mint.url, amount=1000)
    bolt11 = invoice(50, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)

    def claimed(npub: str, **more: Any) -> NutstateError:
        with pytest.raises(Refused) as refused:
            engine.melt(npub=npub, mint_url=mint.url, invoice=bolt11, **more)
        assert refused.value.code == "PAYMENT_ALREADY_CLAIMED"
        return refused.value

    assert claimed(NPUB, wallet_id="w").details["holder"] == plan.id
    theirs = claimed(OTHER)
    assert theirs.retryable and plan.id not in str(theirs.as_dict())
    engine.confirm(plan.id)
    assert not claimed(OTHER).retryable and not claimed(NPUB, wallet_id="w").retryable


def test_r255_a_contested_recording_names_no_neighbour(store: Store) -> None:
    """R255: a payment that another owner claims is parked without its operation's id."""
    wallet = Wallet(store, 300)
    wallet.engine.mint_tokens(npub=OTHER, mint_url=wallet.mint.url, amount=1000)
    bolt11 = invoice(300, wallet.clock)
    plan = wallet.engine.prepare_melt(npub=OTHER, mint_url=wallet.mint.url, invoice=bolt11)
    with pytest.raises(Refused) as refused:
        wallet.record([300], [], [], 300, payment_request=bolt11)
    assert refused.value.code == "CONCURRENT_OPERATION" and refused.value.severity == "CRITICAL"
    assert refused.value.details["operations"] == [] and plan.id not in str(refused.value.as_dict())


def test_r255_a_proof_of_a_neighbour_names_no_token(store: Store) -> None:
    """R255: DUPLICATE_PROOF names only tokens of the caller."""
    wallet = Wallet(store, 300)
    wallet.engine.mint_tokens(npub=OTHER, mint_url=wallet.mint.url, amount=64)
    (theirs,) = store.tokens(TokenQuery(npub=OTHER))
    with pytest.raises(Refused) as refused:
        wallet.record([300], [], list(theirs.proofs), 300 - 64)
    assert refused.value.code == "DUPLICATE_PROOF" and refused.value.details["tokens"] == []


BOUND: dict[str, Callable[[Engine, str], object]] = {
    "operation": lambda e, i: e.operation(i, npub=OTHER),
    "confirm": lambda e, i: e.confirm(i, npub=OTHER),
    "cancel": lambda e, i: e.cancel(i, npub=OTHER),
    "unhold": lambda e, i: e.unhold(i, npub=OTHER),
    "resume": lambda e, i: e.resume(i, "why", npub=OTHER),
    "write_off": lambda e, i: e.write_off(i, "why", npub=OTHER),
    "release": lambda e, i: e.release(i, "why", npub=OTHER),
    "resolve": lambda e, i: e.resolve(i, "why", npub=OTHER),
    "report": lambda e, i: e.report(i, npub=OTHER),
    "reconcile": lambda e, i: e.reconcile(i, npub=OTHER),
    "audit": lambda e, i: e.audit(i, npub=OTHER),
    "audit of the entity": lambda e, i: e.audit(entity=f"operation:{i}", npub=OTHER),
    "audit of a token": lambda e, i: e.audit(
        entity=f"token:{e.operation(i).record.inputs[0].token_id}", npub=OTHER
    ),
    "verify_audit": lambda e, i: e.verify_audit(i, npub=OTHER),
    "export_audit": lambda e, i: e.export_audit(print, i, npub=OTHER),
}


@pytest.mark.parametrize("name", BOUND)
def test_r256_the_operation_of_another_owner_is_not_found(store: Store, name: str) -> None:
    """R256: exactly as if there were none, and nothing is written."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    before = everything(store)
    with pytest.raises(NotFound) as refused:
        BOUND[name](engine, plan.id)
    assert refused.value.code == "NOT_FOUND" and everything(store) == before


def test_r256_the_owner_goes_on_as_before(store: Store) -> None:
    """R256: with the right npub the calls do what they do without one; an owner names what it looks at."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock))
    assert engine.confirm(plan.id, npub=NPUB).outcome == "paid"
    assert engine.operation(plan.id, npub=NPUB).id == engine.report(plan.id, npub=NPUB).transaction_id
    assert engine.verify_audit(plan.id, npub=NPUB).holds and engine.audit(plan.id, npub=NPUB)
    for call in (engine.audit, engine.verify_audit, lambda **n: engine.export_audit(print, **n)):
        with pytest.raises(InvalidArgument) as refused:
            call(npub=NPUB)
        assert refused.value.code == "INVALID_FORMAT"


def test_r256_a_recording_on_a_neighbours_hold_finds_none(store: Store) -> None:
    """R256: record_melt(hold=…) of another owner is NOT_FOUND."""
    wallet = Wallet(store, 100)
    hold = wallet.hold(100)
    with pytest.raises(NotFound):
        wallet.engine.record_melt([], [], [], 100, 0, npub=OTHER, mint_url=wallet.mint.url, hold=hold)


def test_r257_a_hold_covers_the_invoice_it_names(store: Store) -> None:
    """R257: one sat cannot claim an invoice of a thousand; enough can."""
    wallet = Wallet(store, 1, 300)
    bolt11, before = invoice(300, wallet.clock), everything(store)
    with pytest.raises(Refused) as refused:
        wallet.hold(1, payment_request=bolt11)
    error = refused.value
    assert error.code == "INSUFFICIENT_BALANCE" and everything(store) == before
    assert (error.details["required"], error.details["available"], error.details["shortfall"]) == (
        300,
        1,
        299,
    )
    assert wallet.engine.operation(wallet.hold(300, payment_request=bolt11)).state == "held"


# -- what no test noticed ------------------------------------------------------------------------------


def test_r260_a_draft_keeps_what_it_loaded(store: Store) -> None:
    """R260: a new token under the id of a loaded one is Duplicate, and the loaded one stays."""
    engine, mint, _ = funded(store, amount=64)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    operation = engine.operations()[0].record
    draft = Draft(latest("melt"), operation, stored=True, actor="caller")
    draft.load([token])
    with pytest.raises(Duplicate) as refused:
        draft.create_token("deposit", attrs.evolve(token, state="none", version=0), 1)
    assert refused.value.key == "token_id" and draft.token(token.transaction_id) == token


@pytest.mark.parametrize("amount", [299, 301])
def test_r261_a_recording_pays_what_the_invoice_asks(store: Store, amount: int) -> None:
    """R261: above and below it is INVALID_AMOUNT, with and without a hold; nothing is written."""
    wallet = Wallet(store, 400)
    bolt11 = invoice(300, wallet.clock)
    ways: tuple[dict[str, Any], ...] = (
        {"payment_request": bolt11},
        {"hold": wallet.hold(400, payment_request=bolt11)},
    )
    for more in ways:
        before = everything(store)
        with pytest.raises(InvalidArgument) as refused:
            wallet.record([400], [], proofs(400 - amount), amount, **more)
        assert refused.value.code == "INVALID_AMOUNT" and everything(store) == before
        assert refused.value.details == {"invoice": 300, "amount": amount}


def test_r262_a_deposit_is_the_same_in_any_order(store: Store) -> None:
    """R262: the key binds the set of proofs, in whatever order; another set is another request."""
    engine, mint, _ = funded(store, amount=0)
    given = gift(engine, mint, 100)
    assert len(given) > 2
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "idempotency_key": "k"}
    first = engine.deposit(**request, proofs=given)
    for order in (given[::-1], [*given[1:], given[0]]):
        assert engine.deposit(**request, proofs=order).id == first.id
    with pytest.raises(Refused) as refused:
        engine.deposit(**request, proofs=given[:-1])
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize("before", ["", " ", "   "])
@pytest.mark.parametrize("unverified", [True, False])
def test_r262_a_locked_secret_hides_behind_nothing(store: Store, before: str, unverified: bool) -> None:
    """R262: NUT-10 secrets are JSON, and JSON may begin with white space."""
    engine, mint, _ = funded(store, amount=0)
    good, *_ = gift(engine, mint, 100)
    locked = attrs.evolve(good, secret=Secret(before + '["P2PK",{"data":"02"}]'), dleq=None)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=[locked], mint_url=mint.url, allow_unverified=unverified)
    assert refused.value.code == "PROOFS_LOCKED" and not store.tokens(TokenQuery(npub=NPUB))
