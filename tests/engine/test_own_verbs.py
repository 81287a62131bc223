"""R490-R493: what callers and operators do with kinds of a service's own, by the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, InvalidArgument, Refused, SimulatedMint, Store, open_store
from tests.support import errand
from tests.support.clock import FakeClock
from tests.support.everything import everything
from tests.support.stores import STORES
from tests.support.wallet import NPUB, QUICK

Verb = Callable[[Engine, str], Any]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that knows the errand too."""
    url = "memory://"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/own.db"
    elif request.param == "mongodb":
        url = request.getfixturevalue("mongo_urls")()
    with open_store(url, kinds=errand.KINDS) as opened:
        yield opened


@pytest.fixture
def engine(store: Store) -> Engine:
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now)
    return Engine(store, mint, kinds=errand.KINDS, settings=QUICK, clock=clock)


def begun(engine: Engine, *, blocked: bool = False, go: bool = False) -> str:
    """The id of a new errand."""
    data = errand.ErrandData(blocked=blocked)
    handle = engine.start("errand", npub=NPUB, mint_url="https://mint.simulated", data=data)
    if go:
        engine.tell(handle.id, "go")
    return handle.id


@pytest.mark.parametrize(
    ("verb", "state", "outcome"),
    [
        (lambda engine, name: engine.resume(name, "snow is gone", operator="zoe"), "delivered", "paid"),
        (lambda engine, name: engine.release(name, "too much snow", operator="zoe"), "called_off", "unpaid"),
        (lambda engine, name: engine.write_off(name, "lost", operator="zoe"), "gone", "parked"),
        (lambda engine, name: engine.resolve(name, "by hand", operator="zoe"), "delivered", "paid"),
    ],
)
def test_r490_an_operators_call_works_where_the_machine_has_an_edge(
    engine: Engine, verb: Verb, state: str, outcome: str
) -> None:
    """R490: resume, release, write_off and resolve of an own kind; the audit says who and why."""
    name = begun(engine, blocked=True, go=True)
    assert engine.operation(name).state == "blocked"
    verb(engine, name)
    ended = engine.operation(name)
    assert (ended.state, ended.outcome) == (state, outcome)
    by_operator = [r for r in ended.audit() if r.actor == "operator"]
    assert [r.data["operator"] for r in by_operator] == ["zoe"]
    assert all(r.data["operator_reason"] for r in by_operator)
    assert engine.verify_audit().holds and engine.reconcile(name).validation_passed


@pytest.mark.parametrize("event", ["resume", "release", "write_off", "resolve"])
def test_r490_tell_asks_the_mint_before_an_operators_event_as_the_calls_do(
    engine: Engine, event: str
) -> None:
    """R490: ``tell`` of an operator's event is the same as the call of its name: the kind's look at the mint
    comes first, and a reason is needed."""
    name = begun(engine, blocked=True, go=True)
    before = everything(engine.store)
    with pytest.raises(Refused) as refused:
        engine.tell(name, event)
    assert refused.value.code == "OPERATOR_REASON_MISSING" and everything(engine.store) == before
    told = engine.tell(name, event, reason="seen", operator="zoe")
    assert told.is_final


def test_r490_cancel_is_the_callers_or_with_a_reason_an_operators(engine: Engine) -> None:
    """R490: the same for ``cancel`` and for ``tell`` of a caller's event."""
    by_caller, by_operator, told = begun(engine), begun(engine), begun(engine)
    assert engine.cancel(by_caller).state == "called_off"
    engine.cancel(by_operator, "too late", operator="zoe")
    engine.tell(told, "cancel", reason="too late", operator="zoe")
    assert engine.operation(by_caller).audit()[-1].actor == "caller"
    for name in (by_operator, told):
        last = engine.operation(name).audit()[-1]
        assert (last.actor, last.data["operator"], last.data["operator_reason"]) == (
            "operator", "zoe", "too late",
        )  # fmt: skip
    assert engine.cancel(by_caller).state == "called_off"


@pytest.mark.parametrize("event", ["resume", "release", "write_off", "resolve", "begin", "go"])
def test_r491_an_event_without_an_edge_is_refused_and_writes_nothing(engine: Engine, event: str) -> None:
    """R491: the state has no edge: UNDEFINED_TRANSITION, and the store stays as it was."""
    name = begun(engine)
    if event == "go":
        engine.cancel(name)
    before = everything(engine.store)
    with pytest.raises(Refused) as refused:
        engine.tell(name, event, reason="why not")
    assert refused.value.code == "UNDEFINED_TRANSITION" and everything(engine.store) == before


def test_r491_the_built_in_kinds_are_not_told(engine: Engine) -> None:
    """R491: ``tell`` never takes the place of the calls of a melt or a funding, which look first."""
    funded = engine.mint_tokens(npub=NPUB, mint_url="https://mint.simulated", amount=100)
    before = everything(engine.store)
    for event in ("cancel", "resume", "write_off"):
        with pytest.raises(InvalidArgument) as refused:
            engine.tell(funded.id, event, reason="because")
        assert refused.value.code == "INVALID_EVENT"
    assert everything(engine.store) == before


def test_r492_operations_are_listed_by_own_kinds_and_states(engine: Engine) -> None:
    """R492: kind and states of an own machine are arguments of ``operations``, if the engine has the kind."""
    idle, blocked = begun(engine), begun(engine, blocked=True, go=True)
    assert {h.id for h in engine.operations(kind="errand")} == {idle, blocked}
    assert [h.id for h in engine.operations(states=["blocked"])] == [blocked]
    plain = Engine(engine.store, engine.mint)
    wrong: dict[str, Any]
    for wrong in ({"kind": "errand"}, {"states": ["blocked"]}):
        with pytest.raises(InvalidArgument) as refused:
            plain.operations(**wrong)
        assert refused.value.code == "INVALID_CHOICE"
    assert {h.id for h in plain.operations()} == {idle, blocked}


def test_r493_a_parked_operation_raises_the_alarm_of_its_kind(engine: Engine) -> None:
    """R493: the kind's alarm stands in handle and dictionary while the operation is parked, and its record is
    CRITICAL; recovery leaves a parked operation without an action alone."""
    name = begun(engine, blocked=True, go=True)
    handle = engine.operation(name)
    assert handle.alarm == handle.as_dict()["alarm"] == "ERRAND_BLOCKED"
    assert handle.audit()[-1].compliance_level == "CRITICAL"
    assert (handle.reason.code, handle.reason.message) == ("ERRAND_BLOCKED", "there is snow")  # type: ignore[union-attr]
    engine.recover(force=True)
    assert engine.operation(name).record == handle.record
    engine.resume(name, "snow is gone")
    assert engine.operation(name).alarm is None
