"""The second hostile review: attacks on the answers to the first one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, Refused, Settings, SimulatedMint, Store
from nutstate.engine.cashu.port import Unreachable
from nutstate.engine.ports import Worker
from nutstate.engine.simulated import faults
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Operation
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import finish
from tests.support.data import data_in, with_fields
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash, silence


class Between:
    """A mint port whose calls can be replaced one by one."""

    def __init__(self, real: SimulatedMint, /, **replaced: Callable[..., Any]) -> None:
        self._mint, self._replaced = real, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._mint, name)


def silent(*args: object) -> Unreachable:
    return Unreachable("down")


def on(engine: Engine, store: Store, port: Any, **settings: Any) -> Engine:
    return Engine(store, port, settings=attrs.evolve(QUICK, **settings), clock=engine.clock)


def parked_behind_a_fence(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, str]:
    """The fence was signed, its answer lost, and the mint silent until the operation was parked."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    mint.faults.next("swap", faults.ANSWER_LOST)
    port = Between(mint)
    swap = mint.swap

    def swap_then_silence(*args: Any) -> Any:
        answer = swap(*args)
        port._replaced |= {"restore": silent, "check_states": silent}
        return answer

    port._replaced["swap"] = swap_then_silence
    melt = on(engine, store, port).melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(on(engine, store, port), store, clock, rounds=100)
    assert engine.operation(melt.id).state == "attention"
    return engine, mint, clock, melt.id


def test_a_signed_fence_is_found_from_attention(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    engine.recover(force=True)
    assert engine.operation(melt_id).state == "released"
    invariants.check(store, mint)


def test_a_signed_fence_is_never_written_off(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    mute = on(engine, store, Between(mint, restore=silent))
    with pytest.raises(MintError) as silent_error:
        mute.write_off(melt_id, "nobody answers")
    assert silent_error.value.retryable and engine.operation(melt_id).state == "attention"
    assert engine.write_off(melt_id, "give it up").state == "released"
    invariants.check(store, mint)


@pytest.mark.parametrize("down", ["melt_quote_state", "check_states"])
def test_nothing_is_given_up_unasked(store: Store, down: str) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    mute = on(engine, store, Between(mint, **{down: silent}))
    with pytest.raises(MintError):
        mute.write_off(melt.id, "why")
    assert melt.refresh().state == "attention"
    assert data_in(mute.write_off(melt.id, "why", force=True).record).loss == 0
    assert engine.balance(NPUB).stranded == melt.inputs
    engine.retry_stranded(NPUB, mint.url, reason="the mint is back and calls them UNSPENT")
    assert engine.balance(NPUB).unspent == 2000 and engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_a_payment_in_flight_is_not_written_off(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    clock.advance(QUICK.unknown_age_max_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        engine.write_off(melt.id, "too slow")
    assert refused.value.code == "PAYMENT_IN_FLIGHT"
    mint.lightning.settle(payment_hash(bolt11))
    engine.recover(force=True)
    assert melt.refresh().state == "reconciled"
    invariants.check(store, mint)


def test_issued_proofs_are_not_written_off(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.faults.next("mint", faults.ANSWER_LOST)
    deaf = on(engine, store, Between(mint, restore=silent))
    op = deaf.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=20)
    finish(deaf, store, clock, rounds=100)
    assert op.refresh().state == "attention"
    assert engine.write_off(op.id, "give it up").state == "issued"
    assert engine.balance(NPUB).unspent == 100
    invariants.check(store, mint)


def test_parked_funding_is_polled(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    mint.auto_pay = False
    op = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=0)
    assert op.record.quote is not None
    mute = on(engine, store, Between(mint, mint_quote_state=silent))
    clock.advance(2 * 3600 + (op.record.quote.expires_at - clock.now()) / 1000)
    mute.recover(force=True)
    assert op.refresh().state == "attention"
    mint.pay_mint_quote(op.record.quote.id)
    mint.faults.next("mint_quote_state", faults.quote_state("PAID"))
    engine.recover(force=True, wait_s=5)
    assert any((r.from_state, r.event) == ("attention", "invoice_paid") for r in op.audit())


@pytest.mark.parametrize("with_post", [False, True])
def test_broken_trust_is_corrected_whoever_hears_of_it(store: Store, with_post: bool) -> None:
    """PAID comes while watching: from a poll, or as the late answer of the first driver's own POST."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    other = on(engine, store, mint, post_open_max_s=0, settle_window_s=0)
    seen: list[str] = []

    def slow(*args: Any) -> Any:
        clock.advance(QUICK.lease_s + 5)
        other.recover(force=True)
        (op,) = store.operations(OperationQuery(kind="melt"))
        seen.append(op.state)
        return mint.melt(*args)

    if with_post:
        first = on(engine, store, Between(mint, melt=slow))
        melt = first.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
        assert seen == ["watching"]
    else:
        mint.faults.next("melt", faults.LATE)
        mint.faults.next("melt", faults.change_delayed(3))
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
        mint.deliver_late()
        deaf = on(engine, store, Between(mint, check_states=silent))
        deaf.recover(force=True)
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == "reconciled" and done.is_paid and done.change > 0
    invariants.check(store, mint)


def test_a_cached_pending_while_watching_is_no_news(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_unpaid="trust")
    mint.faults.next("melt_quote_state", faults.quote_state("PENDING"))
    engine.recover(force=True)
    assert melt.refresh().state == "watching"
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"


def test_change_only_restore_has_is_collected_from_attention(store: Store) -> None:
    engine, mint, clock = funded(store)
    hidden = Between(mint)

    def without_change(*args: Any) -> Any:
        answer: Any = mint.melt_quote_state(*args)
        return attrs.evolve(answer, change=())

    def paid_without_change(*args: Any) -> Any:
        answer: Any = mint.melt(*args)
        return attrs.evolve(answer, change=())

    hidden._replaced |= {"melt": paid_without_change, "melt_quote_state": without_change, "restore": silent}
    poor = on(engine, store, hidden)
    melt = poor.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    assert melt.state == "attention"
    del hidden._replaced["restore"]
    poor.recover(force=True)
    done = melt.refresh()
    assert done.state == "reconciled" and done.change > 0
    invariants.check(store, mint)


def test_the_same_call_goes_on_after_the_invoice_expired(store: Store) -> None:
    engine, mint, clock = funded(store)
    paid, waiting = invoice(50, clock), invoice(60, clock)
    mint.lightning.script(payment_hash(waiting), "PENDING")
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid, idempotency_key="k")
    second = engine.melt(npub=NPUB, mint_url=mint.url, invoice=waiting, idempotency_key="l", wait_s=0)
    clock.advance(2 * 3600)
    mint.lightning.settle(payment_hash(waiting))
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid, idempotency_key="k").id == first.id
    again = engine.melt(npub=NPUB, mint_url=mint.url, invoice=waiting, idempotency_key="l")
    assert (again.id, again.state) == (second.id, "reconciled")
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=paid)
    assert refused.value.code == "PAYMENT_ALREADY_CLAIMED", "not: expired, pay elsewhere"


def test_a_replayed_rejection_is_not_called_retryable(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    token = store.tokens(TokenQuery(states=("unspent",)))[0]
    lie = faults.lie_about({name_of(proof): "SPENT" for proof in token.proofs})
    for _ in range(2):
        mint.faults.next("check_states", lie)
    with pytest.raises(Refused) as failed:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key="k")
    assert failed.value.code == "PROOF_STATE_INCONSISTENCY" and not failed.value.retryable
    for key in ("other", None):
        silence(mint, "melt_quote")
        with pytest.raises(MintError) as silent:
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, idempotency_key=key)
        assert silent.value.retryable, "a read that nobody answered burns no key"


def test_a_prepared_payment_is_not_mistaken_for_an_unknown_one(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(50, clock)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11).id == plan.id
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert refused.value.code == "WAITS_FOR_CALLER" and refused.value.details["prepared"] == plan.id


def test_too_many_proofs_is_not_too_little_money(store: Store) -> None:
    engine, mint, clock = funded(store, amount=1023)
    small = on(engine, store, mint, proofs_per_operation_max=3)
    with pytest.raises(Refused) as refused:
        small.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(950, clock))
    assert refused.value.code == "TOO_MANY_PROOFS"


def test_a_lease_handed_on_does_not_vouch_for_an_open_request(store: Store) -> None:
    """A sends; its lease runs out; B looks and lets go; C must still wait for A's request."""
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    states: list[str] = []

    def slow(*args: Any) -> Any:
        clock.advance(QUICK.lease_s + 1)
        on(engine, store, mint).recover(force=True)
        on(engine, store, mint).recover(force=True, wait_s=QUICK.settle_window_s + 5)
        (op,) = store.operations(OperationQuery(kind="melt"))
        states.append(op.state)
        return mint.melt(*args)

    first = on(engine, store, Between(mint, melt=slow))
    melt = first.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    assert states == ["unknown"] and melt.state == "reconciled"
    invariants.check(store, mint)


def test_a_stale_confirm_posts_nothing_unstamped(store: Store) -> None:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    stale: Operation = plan.record
    mint.faults.next("melt", faults.LATE)
    engine.confirm(plan.id, wait_s=0)
    calls: list[Any] = []

    def counting(*args: Any) -> Any:
        calls.append(args)
        return mint.melt(*args)

    counted = on(engine, store, Between(mint, melt=counting))
    counted._recovery.resume(stale, 0, confirmed=True)
    assert not calls


def test_a_forked_process_is_not_its_dead_parent() -> None:
    """R563: its name is read anew, though the parent's was kept."""
    worker = Worker()
    name = worker.for_one_drive()
    assert str(os.getpid()) in name.split(":") and not worker.certainly_dead(name)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, worker.for_one_drive().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200).decode()
    os.close(read)
    os.close(write)
    assert worker.certainly_dead(theirs) and theirs.split(":")[3] == str(child)
    for strange in ("", "x", ":::::", name.replace(name.split(":")[0], "elsewhere")):
        assert not worker.certainly_dead(strange)


def test_a_retry_is_sent_before_anybody_sleeps(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "FAILED")
    melt = engine.melt(
        npub=NPUB,
        mint_url=mint.url,
        invoice=bolt11,
        on_unpaid="retry_then_fence",
        wait_s=QUICK.settle_window_s,
    )
    assert melt.record.attempts == mint.lightning.attempts(payment_hash(bolt11))


def test_one_broken_adapter_does_not_orphan_the_others(store: Store) -> None:
    engine, mint, clock = funded(store)
    for amount in (50, 60):
        mint.faults.next("melt", faults.ANSWER_LOST)
        mint.faults.next("melt_quote_state", faults.UNREACHABLE)
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), wait_s=0)
    calls = {"n": 0}

    def broken_once(*args: Any) -> Any:
        calls["n"] += 1
        if calls["n"] == 1:
            raise ZeroDivisionError
        return mint.melt_quote_state(*args)

    clock.advance(100)
    on(engine, store, Between(mint, melt_quote_state=broken_once)).recover(force=True, wait_s=0)
    states = sorted(op.state for op in store.operations(OperationQuery(kind="melt")))
    assert states == ["reconciled", "unknown"]
    finish(engine, store, clock)
    invariants.check(store, mint)


def test_msat_end_to_end(store: Store) -> None:
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now, unit="msat", input_fee_ppk=0)
    engine = Engine(store, mint, clock=clock, settings=Settings(poll_min_s=0.1))
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5_000_000, unit="msat")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(0, clock, msat=1_000_500), unit="msat")
    assert melt.state == "reconciled" and melt.amount == 1_000_500
    assert engine.balance(NPUB).of("unspent", "msat") == 5_000_000 - 1_000_500 - (melt.fee_paid or 0)
    invariants.check(store, mint)


def test_a_known_deposit_needs_no_mint(store: Store) -> None:
    from tests.engine.test_attacks import gift

    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 64)
    first = engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url, idempotency_key="k")
    mute = on(engine, store, Between(mint, keysets=silent, check_states=silent))
    again = mute.deposit(npub=NPUB, proofs=proofs[::-1], mint_url=mint.url, idempotency_key="k")
    assert again.id == first.id


def test_paid_funding_survives_any_number_of_refusals(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    down = on(engine, store, Between(mint, mint=silent), issue_tries_max=3)
    op = down.mint_tokens(npub=NPUB, mint_url=mint.url, amount=100, wait_s=60)
    assert op.state == "attention" and op.reason is not None and op.reason.code == "MINT_WILL_NOT_ISSUE"
    with pytest.raises(Refused) as refused:
        down.write_off(op.id, "it never came")
    assert refused.value.code == "MINT_CAN_ISSUE" and op.refresh().state == "attention"
    again = on(engine, store, mint, issue_tries_max=3)
    assert again.resume(op.id, "the mint is well again").state == "issued"
    invariants.check(store, mint)


def test_broken_trust_is_settled_though_another_holds_the_token(store: Store) -> None:
    engine, mint, clock = funded(store, amount=1024)
    mint.faults.next("melt", faults.LATE)
    mint.faults.next("melt", faults.change_delayed(50))
    first = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), on_unpaid="trust")
    assert first.state == "watching"
    other = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(600, clock))
    assert {part.token_id for part in other.record.inputs} & {p.token_id for p in first.record.inputs}
    mint.deliver_late()
    for _ in range(40):
        clock.advance(20)
        engine.recover(force=True)
    mint.faults.stop()
    for _ in range(40):
        clock.advance(20)
        engine.recover(force=True)
    done = first.refresh()
    assert done.is_paid and done.state in ("discrepant", "attention", "reconciled")
    if done.state == "attention":
        engine.resume(done.id, "collect the change")
        done = first.refresh()
    assert done.change > 0, "the change is ours whoever holds the old token"


def test_a_last_look_is_not_used_on_another_version(store: Store) -> None:
    """Between the look and the commit an operator resumes it and a fence of ours is signed."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    down = Between(mint, restore=silent, swap=silent)
    limp = on(engine, store, down)
    melt = limp.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(limp, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    done: list[str] = []

    def resumed_meanwhile(*args: Any) -> Any:
        answer = mint.melt_quote_state(*args)
        if not done:
            done.append(engine.resume(melt.id, "the mint is back").state)
        return answer

    racing = on(engine, store, Between(mint, melt_quote_state=resumed_meanwhile))
    with pytest.raises(Refused):
        racing.write_off(melt.id, "give it up")
    assert done == ["released"] and melt.refresh().state == "released"
    invariants.check(store, mint)


@pytest.mark.parametrize("outcome", ["PAID", "PENDING"])
def test_force_keeps_what_was_answered(store: Store, outcome: str) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), outcome)
    mint.faults.next("melt", faults.ANSWER_LOST)
    mute = Between(mint, melt_quote_state=silent, check_states=silent)
    port = Between(mint)
    melt = on(engine, store, port).melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1, clock), wait_s=60)
    assert melt.state == "reconciled"
    mint.faults.next("melt", faults.ANSWER_LOST)
    sent = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    on(engine, store, mute).confirm(sent.id, wait_s=0)
    finish(on(engine, store, mute), store, clock, rounds=100)
    assert sent.refresh().state == "attention"
    half = on(engine, store, Between(mint, check_states=silent))
    if outcome == "PENDING":
        with pytest.raises(MintError):
            half.write_off(sent.id, "why")
        done = half.write_off(sent.id, "why", force=True)
        assert done.state == "written_off" and data_in(done.record).loss == 0
        stranded = engine.balance(NPUB).stranded
        assert stranded == sum(part.amount for part in sent.record.inputs) > 0, "it may still come back"
        with pytest.raises(Refused) as refused:
            engine.retry_stranded(NPUB, mint.url, reason="too early")
        assert refused.value.code == "PAYMENT_IN_FLIGHT" and engine.balance(NPUB).stranded == stranded
    else:
        done = half.write_off(sent.id, "why", force=True)
        assert done.is_paid and done.change > 0 and data_in(done.record).loss == 0
        invariants.check(store, mint)


def test_an_older_signed_fence_is_found_behind_an_unreadable_one(store: Store) -> None:
    engine, mint, clock, melt_id = parked_behind_a_fence(store)
    (op,) = store.operations(OperationQuery(kind="melt"))
    run = engine._open(op, "test")
    bad = attrs.evolve(data_in(op).fences[0], generation=2, outputs=data_in(op).fences[0].outputs[:1])
    run.draft.operation = with_fields(op, fences=(*data_in(op).fences, bad))
    from nutstate.engine.loop.drive import Happened
    from nutstate.engine.operations.melt.actions.find_fence import find_fence

    assert isinstance(find_fence(run), Happened)


def test_a_process_that_may_not_be_signalled_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    name = worker.for_one_drive()

    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not worker.certainly_dead(name.replace(f":{os.getpid()}:", ":1:"))


def test_unspent_coins_of_a_request_nobody_accepts_come_back(store: Store) -> None:
    """An honest mint that takes at most two inputs refuses the melt and its fence."""
    from nutstate.engine.cashu.port import Refused as No

    engine, mint, clock = funded(store)

    def refuse(*args: object) -> No:
        return No(11000, "too many inputs", False)

    strict = on(engine, store, Between(mint, melt=refuse, swap=refuse))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=30)
    finish(strict, store, clock, rounds=100)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        strict.write_off(melt.id, "stuck")
    assert refused.value.code == "INPUTS_STILL_UNSPENT"
    mute = on(engine, store, Between(mint, check_states=silent))
    with pytest.raises(MintError):
        mute.release(melt.id, "the mint refuses it for good")
    clock.advance(QUICK.settle_window_s)
    freed = strict.release(melt.id, "the mint refuses it for good")
    assert freed.state == "watching" and engine.balance(NPUB).unspent == 2000
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    assert melt.refresh().state == "released"
    invariants.check(store, mint)


def test_release_needs_proof(store: Store) -> None:
    engine, mint, clock = funded(store)
    bolt11 = invoice(700, clock)
    mint.lightning.script(payment_hash(bolt11), "PENDING")
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=0)
    with pytest.raises(Refused):
        engine.release(melt.id, "impatient")
    clock.advance(QUICK.unknown_age_max_h * 3600 + 60)
    engine.recover(force=True)
    assert melt.refresh().state == "attention"
    with pytest.raises(Refused) as refused:
        engine.release(melt.id, "impatient")
    assert refused.value.code == "NOT_PROVEN_UNPAID" and engine.balance(NPUB).reserved == melt.inputs


@pytest.mark.parametrize("used_meanwhile", [False, True])
def test_a_late_request_after_an_operators_release(store: Store, used_meanwhile: bool) -> None:
    """Freed without a fence: either the late request is paid and corrected, or it finds its inputs gone."""
    from nutstate.engine.cashu.port import Refused as No

    engine, mint, clock = funded(store)

    def refuse(*args: object) -> No:
        return No(11000, "no", False)

    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.LATE)
    strict = on(engine, store, Between(mint, swap=refuse))
    melt = strict.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=30)
    finish(strict, store, clock, rounds=100)
    with pytest.raises(Refused):
        strict.release(melt.id, "our own fence may still be on its way")
    clock.advance(QUICK.settle_window_s)
    assert strict.release(melt.id, "trust it").state == "watching"
    if used_meanwhile:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(900, clock))
    mint.deliver_late()
    clock.advance(QUICK.watch_window_h * 3600)
    finish(engine, store, clock)
    done = melt.refresh()
    assert done.state == ("released" if used_meanwhile else "reconciled")
    assert mint.lightning.payments(payment_hash(bolt11)) == done.is_paid == (not used_meanwhile)
    invariants.check(store, mint)
