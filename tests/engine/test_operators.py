"""What an operator said, and who that was, stands in the audit trail whatever came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import AuditRecord, Engine, Handle, NutstateError, SimulatedMint, Store
from nutstate.engine.loop.evidence import Evidence
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery
from nutstate.storage.records import Reason
from tests.support.data import data_in
from tests.support.ports import Between, on, silent
from tests.support.stories import released_before_its_fence

from ..support.clock import FakeClock
from ..support.crash import finish
from ..support.wallet import NPUB, QUICK, funded, invoice

WHY = "ticket 17: " + "the mint said so on the telephone, " * 12  # longer than texts of a mint are kept
WHO = "alice@example"
Case = tuple[Engine, Handle]


def parked(store: Store) -> tuple[Engine, SimulatedMint, FakeClock, Handle]:
    """A melt in attention: its request was lost, and so is every answer since."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=0)
    deaf = on(engine, store, Between(mint, melt_quote_state=silent, check_states=silent, swap=silent))
    clock.advance(QUICK.unknown_age_max_h * 3600 + 1)
    finish(deaf, store, clock)
    assert melt.refresh().state == "attention"
    return engine, mint, clock, melt.refresh()


def resumed(store: Store) -> Case:
    engine, _, _, melt = parked(store)
    return engine, engine.resume(melt.id, WHY, 0, operator=WHO)


def released(store: Store) -> Case:
    engine, _, clock, melt = parked(store)
    clock.advance(QUICK.settle_window_s)
    return engine, engine.release(melt.id, WHY, operator=WHO)


def written_off(store: Store) -> Case:
    engine, _, _, melt = parked(store)
    return engine, engine.write_off(melt.id, WHY, force=True, operator=WHO)


def resolved(store: Store) -> Case:
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    engine.reconcile(melt.id, {"keep_proofs_count": 77})
    (check,) = store.operations(OperationQuery(kind="check", states=("discrepant",)))
    return engine, engine.resolve(check.id, WHY, operator=WHO)


def cancelled(store: Store) -> Case:
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    return engine, engine.cancel(plan.id, WHY, operator=WHO)


def found_paid(store: Store) -> Case:
    """The last look finds that the mint paid."""
    engine, mint, clock, melt = parked(store)
    mint.lightning.script(str(melt.record.payment_hash), "PAID")
    mint.melt(mint.url, data_in(melt.record).request_body)
    return engine, engine.write_off(melt.id, WHY, operator=WHO)


def found_fence(store: Store) -> Case:
    """The last look finds a fence that arrived."""
    engine, mint, clock, name = released_before_its_fence(store)
    mute = on(engine, store, Between(mint, melt_quote_state=silent, check_states=silent, restore=silent))
    clock.advance(QUICK.watch_window_h * 3600)
    finish(mute, store, clock)
    assert engine.operation(name).state == "stuck"
    mint.deliver_late()
    return engine, engine.write_off(name, WHY, operator=WHO)


def found_proofs(store: Store) -> Case:
    """The last look finds the issued proofs."""
    engine, mint, clock = funded(store, amount=0)

    def lost(*args: Any) -> Any:
        mint.mint(*args)
        return silent(*args)

    deaf = on(engine, store, Between(mint, mint=lost, restore=silent))
    funding = deaf.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, wait_s=0)
    clock.advance(QUICK.unknown_age_max_h * 3600 + 1)
    finish(deaf, store, clock)
    assert funding.refresh().state == "attention"
    return engine, engine.write_off(funding.id, WHY, operator=WHO)


def said(handle: Handle) -> list[AuditRecord]:
    """The records of the operation itself that hold an operator's word."""
    own = f"operation:{handle.id}"
    return [r for r in handle.audit() if r.entity == own and "operator_reason" in r.data]


@pytest.mark.parametrize(
    ("case", "event"),
    [(resumed, "resume"), (released, "release"), (written_off, "write_off"), (resolved, "resolve"),
     (cancelled, "cancel"), (found_paid, "mint_paid"), (found_fence, "fence_found"),
     (found_proofs, "signatures_restored")],
)  # fmt: skip
def test_the_word_of_an_operator_is_always_on_record(
    store: Store, case: Callable[[Store], Case], event: str
) -> None:
    """R311, R312: why and who, also where a last look found something better than what was wanted."""
    engine, handle = case(store)
    record = said(handle)[-1]
    assert record.event == event and record.actor == "operator"
    assert record.data["operator_reason"] == WHY.strip() and record.data["operator"] == WHO
    reason = handle.record.reason
    decided = event in ("resume", "release", "write_off", "resolve")
    assert (reason is not None and reason.message == WHY.strip()) is decided
    assert engine.verify_audit().holds


def test_the_word_of_an_operator_counts_beside_another_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R311: what the last look found is kept too, in the audit record."""
    engine, _, _, melt = parked(store)
    kind = BUILT_IN.of(melt.record)
    look: Any = kind.operator_looks["write_off"]
    other = Reason("INPUTS_SPENT_ELSEWHERE", "seen at the last look")

    def with_reason(run: Any, force: bool) -> Evidence:
        found: Evidence = attrs.evolve(look(run, force), reason=other)
        return found

    monkeypatch.setitem(kind.operator_looks, "write_off", with_reason)
    ended = engine.write_off(melt.id, WHY, force=True)
    assert ended.record.reason == Reason("OPERATOR_WRITE_OFF", WHY.strip())
    (record,) = said(ended)
    assert record.data["operator_reason"] == WHY.strip() and record.data["reason"]["code"] == other.code
    assert "operator" not in record.data


def test_a_caller_who_cancels_needs_no_reason(store: Store) -> None:
    """R312: without a reason it is the caller's own wish, as before."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    ended = engine.cancel(plan.id)
    assert said(ended) == [] and ended.audit()[-1].actor == "caller"


@pytest.mark.parametrize("name", ["", "  ", 5, "x" * 101, "line\nbreak", "\x00", b"alice"])
def test_a_name_is_bounded_text(store: Store, name: object) -> None:
    """R312: nothing is written for a name that is none."""
    engine, _, _, melt = parked(store)
    before = engine.operation(melt.id).record.version
    for call in (engine.resume, engine.release, engine.write_off, engine.resolve, engine.cancel):
        with pytest.raises(NutstateError) as raised:
            call(melt.id, "because", operator=name)  # type: ignore[arg-type]
        assert raised.value.code == "INVALID_OPERATOR"
    assert engine.operation(melt.id).record.version == before


def test_a_name_that_opens_money_is_hidden(store: Store) -> None:
    """R312: names are cleaned like every other text that is kept."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    ended = engine.cancel(plan.id, "a slip of the hand", operator="nsec1" + "q" * 58)
    assert said(ended)[0].data["operator"] == "…"


def test_a_name_needs_a_reason(store: Store) -> None:
    """R312: a name alone would say who, and not why."""
    engine, mint, clock = funded(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    with pytest.raises(NutstateError) as raised:
        engine.cancel(plan.id, operator=WHO)
    assert raised.value.code == "OPERATOR_REASON_MISSING"
