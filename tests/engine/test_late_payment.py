"""Fundings that are paid late: how long an invoice counts, the watch after it, what ends the watch, one more
look after that, and clocks that are set meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from nutstate import Engine, Settings, SimulatedMint, Store, open_store
from nutstate.engine.api.handle import Handle
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.errors import MintError, Refused
from nutstate.engine.simulated import faults
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.everything import everything
from tests.support.wallet import NPUB, QUICK, funded, invoice

HOUR, DAY = 3600, 86_400
World = tuple[Store, Engine, SimulatedMint, FakeClock]


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        engine, mint, clock = funded(store, amount=0)
        mint.auto_pay = False
        mint.behave(issues_late=True)
        yield store, engine, mint, clock


def asked_for(world: World, amount: int = 64) -> Handle:
    _, engine, mint, _ = world
    return engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount, wait_s=0)


def quote_of(handle: Handle) -> Any:
    quote = handle.record.quote
    assert quote is not None
    return quote


def pay(world: World, handle: Handle) -> None:
    world[2].pay_mint_quote(quote_of(handle).id)


def replace(mint: SimulatedMint, name: str, call: Any) -> None:
    """The mint answers this question in another way from now on."""
    setattr(mint, name, call)


def look(world: World, handle: Handle) -> str:
    """One sweep over everything; the state afterwards."""
    world[1].recover(force=True)
    return world[1].operation(handle.id).state


def lapsed(world: World) -> Handle:
    handle = asked_for(world)
    world[3].advance(HOUR + 1)
    assert look(world, handle) == "lapsed"
    return world[1].operation(handle.id)


def expired(world: World) -> Handle:
    handle = lapsed(world)
    world[3].advance(7 * DAY)
    assert look(world, handle) == "expired"
    return world[1].operation(handle.id)


def changing_quotes(mint: SimulatedMint, monkeypatch: pytest.MonkeyPatch, **named: Any) -> None:
    """Every quote is answered with these fields."""
    for name in ("mint_quote", "mint_quote_state", "melt_quote"):
        asked = getattr(mint, name)

        def change(*args: Any, asked: Callable[..., Any] = asked) -> Any:
            answer = asked(*args)
            known = {field.name for field in attrs.fields(type(answer))}
            return attrs.evolve(answer, **{k: v for k, v in named.items() if k in known})

        monkeypatch.setattr(mint, name, change)


# -- A1: how long an invoice counts ----------------------------------------------------------------------


@pytest.mark.parametrize("named", [None, 0, "sooner", "later", "absurd"])
def test_the_later_expiry_counts(world: World, monkeypatch: pytest.MonkeyPatch, named: Any) -> None:
    """R265: null, nothing and 0 name no expiry; the later of the mint's and the invoice's own counts."""
    clock = world[3]
    offset = {"sooner": 600, "later": 2 * HOUR, "absurd": 1000 * 366 * DAY}
    mints = named if named in (None, 0) else clock.now() + offset[named] * 1000
    changing_quotes(world[2], monkeypatch, expires_at=mints)
    handle = asked_for(world)
    assert handle.invoice is not None
    own = decode_invoice(handle.invoice.reveal()).expires_at
    assert quote_of(handle).expires_at == (mints if named == "later" else own)


def test_an_invoice_that_cannot_be_read_gets_the_configured_lifetime(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R265: only then quote_lifetime_s counts, and only if the mint names no expiry."""
    _, engine, mint, clock = world
    changing_quotes(mint, monkeypatch, expires_at=0, request=Secret("lnbc1unreadable"))
    until = clock.now() + int(engine.settings.quote_lifetime_s * 1000)
    assert quote_of(asked_for(world)).expires_at == until
    changing_quotes(mint, monkeypatch, expires_at=until + 5)
    assert quote_of(asked_for(world)).expires_at == until + 5


@pytest.mark.parametrize("named", [None, 0])
def test_a_melt_quote_without_expiry_is_paid(
    world: World, monkeypatch: pytest.MonkeyPatch, named: int | None
) -> None:
    """R265: for melt quotes, too, null and 0 name no expiry."""
    store, engine, mint, clock = world
    mint.auto_pay = True
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=500)
    changing_quotes(mint, monkeypatch, expires_at=named)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock)).state == "reconciled"
    invariants.check(store, mint)


def test_an_invoice_is_issued_for_after_the_mints_own_expiry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R265: the mint names ten minutes, the invoice an hour; it is paid after twenty minutes."""
    changing_quotes(world[2], monkeypatch, expires_at=world[3].now() + 600_000)
    handle = asked_for(world)
    world[3].advance(1200)
    assert look(world, handle) == "quoted"
    pay(world, handle)
    assert look(world, handle) == "issued"


# -- A2: the watch ---------------------------------------------------------------------------------------


def test_one_unpaid_answer_ends_nothing(world: World) -> None:
    """R266: what is paid after the expiry is issued, however late within the watch."""
    store, engine, mint, clock = world
    handle = lapsed(world)
    for _ in range(6):
        clock.advance(DAY)
        assert look(world, handle) == "lapsed"
    pay(world, handle)
    assert look(world, handle) == "issued"
    assert engine.balance(NPUB).unspent == 64
    invariants.check(store, mint)


def test_the_watch_ends_with_an_unpaid_answer(world: World) -> None:
    """R266: after seven days and one more UNPAID it has expired, and its token is no money."""
    store, engine, mint, clock = world
    handle = lapsed(world)
    clock.advance(7 * DAY)
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    assert look(world, handle) == "lapsed", "silence ends nothing"
    mint.faults.next("mint_quote_state", faults.quote_state("UNKNOWN"))
    assert look(world, handle) == "lapsed", "a word we do not know ends nothing"
    assert look(world, handle) == "expired"
    assert engine.balance(NPUB).unspent == 0
    invariants.check(store, mint)


def test_paid_in_the_last_moment_of_the_watch(world: World) -> None:
    """R266: only UNPAID, said after the watch is over, ends it."""
    handle = lapsed(world)
    world[3].advance(30 * DAY)
    pay(world, handle)
    assert look(world, handle) == "issued"


def test_looks_become_rarer(world: World) -> None:
    """R266: a minute after it lapsed, hours after days; in a week fewer than a hundred looks."""
    _, engine, _, clock = world
    handle = lapsed(world)
    pauses: list[float] = []
    while (op := engine.operation(handle.id).record).state == "lapsed":
        assert op.next_check_at is not None and len(pauses) < 200
        pauses.append((op.next_check_at - clock.now()) / 1000)
        clock.advance(max(pauses[-1], 1))
        engine.recover()
    assert op.state == "expired" and len(pauses) < 150
    assert max(pauses) <= 4 * HOUR * 1.5 and min(pauses[-5:]) > HOUR
    assert 1 < pauses[0] <= 6


def test_the_window_is_a_setting(tmp_path: Any) -> None:
    """R266: late_payment_watch_h; 0 ends it with the next UNPAID."""
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        settings = attrs.evolve(QUICK, late_payment_watch_h=0)
        engine, mint, clock = funded(store, amount=0, settings=settings)
        mint.auto_pay = False
        handle = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
        clock.advance(HOUR + 1)
        engine.recover(force=True)
        assert engine.operation(handle.id).state == "expired"


def test_a_caller_who_waits_gets_the_handle_back(world: World) -> None:
    """R267: mint_tokens returns after wait_s, quoted or lapsed, and does not ask without end."""
    store, _, mint, clock = world
    settings = attrs.evolve(QUICK, poll_max_s=60)
    engine = Engine(store, mint, settings=settings, clock=clock)
    calls: list[int] = []
    asked = mint.mint_quote_state

    def counted(*args: Any) -> Any:
        calls.append(clock.now())
        return asked(*args)

    replace(mint, "mint_quote_state", counted)
    began = clock.now()
    handle = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=2 * HOUR)
    assert handle.state == "lapsed" and abs(clock.now() - began - 2 * HOUR * 1000) < 1000
    assert len(calls) < 2 * HOUR / 60 * 2.5
    late = [at for at in calls if at > began + (HOUR + 600) * 1000]
    assert len(late) < 20, "one look in a quarter of the time since it lapsed"


def test_a_mint_that_is_silent_for_the_whole_watch_parks(world: World) -> None:
    """R268: it is not known whether it was paid, so a person is told; when the mint answers again it goes
    on."""
    _, engine, mint, clock = world
    handle = lapsed(world)
    for _ in range(9):
        clock.advance(DAY)
        mint.faults.next("mint_quote_state", faults.UNREACHABLE)
        look(world, handle)
    parked = engine.operation(handle.id)
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "UNRESOLVED_TOO_LONG"
    assert look(world, handle) == "expired", "UNPAID: it is watched again, and its watch is over"
    ended = engine.operation(handle.id)
    assert [record.to_state for record in ended.audit() if record.entity.startswith("op")][-2:] == [
        "lapsed",
        "expired",
    ]
    assert ended.reason is None


def test_a_quoted_funding_whose_mint_is_silent_parks_and_goes_on(world: World) -> None:
    """R268: the expiry is long over and the mint never answered; then it is paid after all."""
    store, engine, mint, clock = world
    handle = asked_for(world)
    clock.advance(HOUR + QUICK.unknown_age_max_h * HOUR + 1)
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    assert look(world, handle) == "attention"
    pay(world, handle)
    assert look(world, handle) == "issued"
    assert engine.operation(handle.id).reason is None
    invariants.check(store, mint)


def test_giving_up_what_was_never_paid_is_no_loss(world: World) -> None:
    """R268: write_off ends it; a loss is recorded only for what the mint called PAID."""
    _, engine, mint, clock = world
    handle = asked_for(world)
    clock.advance(HOUR + QUICK.unknown_age_max_h * HOUR + 1)
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    assert look(world, handle) == "attention"
    ended = engine.write_off(handle.id, "the mint is gone", force=True)
    assert ended.state == "written_off" and data_in(ended.record).loss == 0


# -- clocks that are set ---------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("days", [2, 30, 4000])
def test_a_clock_set_forward_ends_no_funding(world: World, days: int, back: bool) -> None:
    """R269: quoted or lapsed when it happens: what is paid afterwards is issued."""
    _, _, _, clock = world
    quoted, watched = asked_for(world), lapsed(world)
    clock.jump(days * DAY)
    assert look(world, quoted) == "lapsed"
    assert look(world, watched) == "lapsed"
    if back:
        clock.jump(-days * DAY)
    for handle in (quoted, watched):
        look(world, handle)
        pay(world, handle)
        assert look(world, handle) == "issued"


def test_a_clock_set_forward_before_a_restart_ends_no_funding(world: World) -> None:
    """R269: no clock of the new process proves what passed, so a part of the watch is believed, not all."""
    store, _, mint, clock = world
    handle = lapsed(world)
    clock.jump(30 * DAY)
    again = Engine(store, mint, settings=QUICK, clock=clock)
    for _ in range(3):
        again.recover(force=True)
    assert again.operation(handle.id).state == "lapsed"
    assert data_in(again.operation(handle.id).record).watched_ms == QUICK.late_watch_part_ms


@pytest.mark.parametrize("days", [2, 4000])
def test_a_clock_set_back_does_not_prolong_the_watch(world: World, days: int) -> None:
    """R269: a stamp that lies ahead is replaced; the watch ends after seven days, not after the stamp."""
    _, _, _, clock = world
    handle = lapsed(world)
    clock.jump(-days * DAY)
    assert look(world, handle) == "lapsed"
    for _ in range(6):
        clock.advance(DAY)
        assert look(world, handle) == "lapsed"
    clock.advance(DAY + 1)
    assert look(world, handle) == "expired"


def test_processes_that_live_shortly_end_the_watch_too(world: World) -> None:
    """R269: every look of a fresh process counts a part, so a job that runs every few hours ends it."""
    store, _, mint, clock = world
    handle = lapsed(world)
    looks = 0
    while world[1].operation(handle.id).state == "lapsed":
        clock.advance(5 * HOUR)
        Engine(store, mint, settings=QUICK, clock=clock).recover(force=True)
        looks += 1
        assert looks <= 9 * 24 / 5
    assert world[1].operation(handle.id).state == "expired" and looks >= 7 * 24 / 5


def test_a_paid_funding_parks_although_its_stamp_lies_ahead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R269: PAID was noted by a clock that was a year ahead; a person is still told."""
    _, _, mint, clock = world
    clock.jump(365 * DAY)
    handle = asked_for(world)
    pay(world, handle)
    closed(mint, monkeypatch)
    assert look(world, handle) == "quoted"
    clock.jump(-365 * DAY)
    assert look(world, handle) == "attention"


def closed(mint: SimulatedMint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mint lists no active keyset until the patch is undone."""
    listed = mint.keysets

    def inactive(url: str) -> Any:
        answer = listed(url)
        assert isinstance(answer, tuple)
        return tuple(attrs.evolve(keyset, active=False) for keyset in answer)

    monkeypatch.setattr(mint, "keysets", inactive)


# -- one more look after the end -------------------------------------------------------------------------


def test_what_was_paid_after_the_watch_is_issued_when_asked(world: World) -> None:
    """R270: resume of an expired funding asks the mint; PAID goes on as a follow-up with the same quote."""
    store, engine, mint, clock = world
    first = expired(world)
    pay(world, first)
    assert look(world, first) == "expired", "nothing leaves a final state"
    going_on = engine.resume(first.id, "the customer shows a receipt", operator="jo")
    assert going_on.id != first.id and going_on.state == "issued"
    assert going_on.record.parent_id == first.id and going_on.record.quote == first.record.quote
    assert engine.balance(NPUB).unspent == 64
    born = going_on.audit()[0]
    assert (born.event, born.from_state, born.to_state) == ("look_again", "none", "lapsed")
    assert born.data["operator_reason"] == "the customer shows a receipt"
    assert engine.resume(first.id, "again").id == going_on.id
    assert engine.resume(first.id, "and again", wait_s=0).id == going_on.id
    assert len(engine.operations(NPUB, kind="mint")) == 2
    assert engine.verify_audit().holds
    invariants.check(store, mint)


@pytest.mark.parametrize(
    ("fault", "code", "family"),
    [
        (None, "NOT_PROVEN_PAID", Refused),
        (faults.quote_state("ISSUED"), "NOT_PROVEN_PAID", Refused),
        (faults.quote_state("UNKNOWN"), "NOT_PROVEN_PAID", Refused),
        (faults.UNREACHABLE, "MINT_UNREACHABLE", MintError),
        (faults.CUT, "MINT_ANSWER_UNCLEAR", MintError),
    ],
)
def test_another_answer_writes_nothing(world: World, fault: Any, code: str, family: Any) -> None:
    """R271: UNPAID and its like are refused clearly, silence is retryable, and nothing is written."""
    store, engine, mint, _ = world
    first = expired(world)
    before = everything(store)
    if fault is not None:
        mint.faults.next("mint_quote_state", fault)
    with pytest.raises(family) as refused:
        engine.resume(first.id, "is it paid?")
    assert refused.value.code == code and refused.value.retryable
    assert everything(store) == before


def test_two_looks_at_once_give_one_follow_up(world: World) -> None:
    """R272: the quote is unique among operations that did not end unpaid, so one of them stores it."""
    store, engine, mint, _ = world
    first = expired(world)
    pay(world, first)
    barrier, asked, ids = threading.Barrier(2), mint.mint_quote_state, []
    first_calls = threading.local()

    def together(*args: Any) -> Any:
        answer = asked(*args)
        if not hasattr(first_calls, "done"):
            first_calls.done = True
            barrier.wait(30)
        return answer

    replace(mint, "mint_quote_state", together)

    def resume() -> None:
        ids.append(engine.resume(first.id, "paid", wait_s=5).id)

    threads = [threading.Thread(target=resume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 2 and len(set(ids)) == 1
    engine.recover(force=True, wait_s=5)
    assert engine.balance(NPUB).unspent == 64
    assert len(engine.operations(NPUB, kind="mint")) == 2
    invariants.check(store, mint)


def test_a_follow_up_of_a_follow_up(world: World) -> None:
    """R272: a follow-up that ended unpaid (its mint lied) is followed by another one of the same first."""
    _, engine, mint, clock = world
    first = expired(world)
    mint.faults.next("mint_quote_state", faults.quote_state("PAID"))
    second = engine.resume(first.id, "paid?", wait_s=0)
    assert second.state == "lapsed"
    clock.advance(7 * DAY)
    assert look(world, second) == "expired"
    pay(world, first)
    third = engine.resume(second.id, "now it is")
    assert third.state == "issued" and third.record.parent_id == first.id
    assert engine.resume(first.id, "and?").id == third.id


def test_a_follow_up_survives_a_crash_at_its_birth(world: World) -> None:
    """R272: stored and nothing else done: recovery goes on with it."""
    _, engine, mint, clock = world
    first = expired(world)
    pay(world, first)
    mint.faults.next("mint_quote_state")
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    born = engine.resume(first.id, "paid", wait_s=0)
    assert born.state == "lapsed"
    assert look(world, born) == "issued"


def test_a_waiting_funding_is_looked_at_when_resumed(world: World) -> None:
    """R270: resume of a quoted or lapsed funding asks the mint now and changes nothing else."""
    store, engine, _, _ = world
    handle = lapsed(world)
    version = handle.record.version
    assert engine.resume(handle.id, "look", wait_s=0).record.version == version
    pay(world, handle)
    assert engine.resume(handle.id, "look", wait_s=0).state == "issued"


def test_settings_of_the_watch_are_checked() -> None:
    with pytest.raises(ValueError, match="late_payment_watch_h"):
        Settings(late_payment_watch_h=-1)
