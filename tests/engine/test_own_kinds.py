"""R460-R469: kinds of operation that an embedding service adds, shown with the example of an approval."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, InvalidArgument, Refused, Secret, SimulatedMint, Store, open_store
from nutstate.engine.simulated import faults
from nutstate.kinds import BUILT_IN, Kind, KindInvalid, Kinds
from nutstate.machines.spec import Machine, State
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.port import OperationQuery
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import Crash, TickingMint, Ticks
from tests.support.everything import everything
from tests.support.own import example
from tests.support.stores import STORES
from tests.support.wallet import NPUB, QUICK, invoice

own = example()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that knows the approval too."""
    url = "memory://"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/own.db"
    elif request.param == "mongodb":
        url = request.getfixturevalue("mongo_urls")()
    with open_store(url, kinds=own.KINDS) as opened:
        yield opened


class Shop:
    """A funded wallet, and a payment of 100 sat that waits to be approved."""

    def __init__(self, store: Store, ticks: Ticks | None = None) -> None:
        self.store, self.clock = store, FakeClock()
        self.mint = SimulatedMint(now_ms=self.clock.now)
        self.ticks = ticks or Ticks()
        self.engine = self.restarted(self.ticks)
        self.engine.mint_tokens(npub=NPUB, mint_url=self.mint.url, amount=2000)
        self.invoice = invoice(100, self.clock)
        self.ticks.seen.clear()

    def restarted(self, ticks: Ticks) -> Engine:
        mint: Any = TickingMint(self.mint, ticks)
        return Engine(self.store, mint, kinds=own.KINDS, settings=QUICK, clock=self.clock, faults=ticks)

    def ask(self, name: str = "tx_approval_1", **more: Any) -> Any:
        data = own.ApprovalData("ann", Secret(self.invoice))
        return self.engine.start(
            "approval", npub=NPUB, mint_url=self.mint.url, amount=100, data=data, transaction_id=name, **more
        )


def test_r460_an_approval_is_asked_approved_and_paid_by_a_child_melt(store: Store) -> None:
    """R460: an own kind runs its own guard, action and effect; its child melt pays; all is audited."""
    shop = Shop(store)
    asked = shop.ask()
    assert (asked.state, asked.outcome) == ("waiting", "open")
    paid = shop.engine.tell(asked.id, "approve", "bob", wait_s=10)
    assert (paid.state, paid.outcome, paid.is_final) == ("done", "paid", True)
    child = shop.engine.operation(f"{asked.id}.melt")
    assert (child.kind, child.outcome, child.record.parent_id) == ("melt", "paid", asked.id)
    data = own.APPROVAL_KIND.data_of(paid.record)
    assert data == own.ApprovalData("ann", Secret(shop.invoice), "bob")
    assert [r.to_state for r in paid.audit()] == ["waiting", "paying", "done"]
    assert shop.engine.verify_audit().holds
    assert shop.engine.reconcile(asked.id).validation_passed
    invariants.check(store, shop.mint)


def test_r461_a_refused_event_writes_nothing_and_is_graded_by_the_kind(store: Store) -> None:
    """R461: the kind's own guard refuses with its own code; the store stays as it was."""
    shop = Shop(store)
    asked = shop.ask()
    before = everything(store)
    with pytest.raises(Refused) as refused:
        shop.engine.tell(asked.id, "approve", "ann")
    assert (refused.value.code, refused.value.severity) == ("APPROVER_IS_ASKER", "LOW")
    assert everything(store) == before


def test_r462_the_invoice_in_the_data_is_no_secret_that_is_told(store: Store) -> None:
    """R462: own data never appears in audit records, in a repr or in a handle's dictionary."""
    shop = Shop(store)
    paid = shop.engine.tell(shop.ask().id, "approve", "bob", wait_s=10)
    told = [repr(paid.record), repr(paid.as_dict()), *(repr(record) for record in paid.audit())]
    assert not any(shop.invoice in text for text in told)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "unheard"}, "UNKNOWN_KIND"),
        ({"kind": "melt"}, "UNKNOWN_KIND"),
        ({"kind": "record"}, "UNKNOWN_KIND"),
        ({"data": "not a class"}, "INVALID_DATA"),
        ({"data": own.ApprovalData(asked_by=7)}, "INVALID_DATA"),
        ({"event": "approve"}, "INVALID_EVENT"),
        ({"npub": "bob"}, "INVALID_NPUB"),
        ({"mint_url": "ftp://mint"}, "INVALID_MINT_URL"),
        ({"unit": "beans"}, "INVALID_UNIT"),
        ({"amount": -1}, "INVALID_AMOUNT"),
        ({"amount": 1.5}, "INVALID_AMOUNT"),
        ({"transaction_id": "x"}, "INVALID_LENGTH"),
        ({"wait_s": -1}, "INVALID_DURATION"),
    ],
)
def test_r463_bad_input_is_refused_and_writes_nothing(
    store: Store, change: dict[str, Any], code: str
) -> None:
    """R463: each bad argument of start has a stable code, and nothing is written."""
    shop = Shop(store)
    before = everything(store)
    given: dict[str, Any] = {
        "kind": "approval", "npub": NPUB, "mint_url": shop.mint.url, "amount": 100,
        "data": own.ApprovalData("ann", Secret(shop.invoice)),
    } | change  # fmt: skip
    with pytest.raises(InvalidArgument) as refused:
        shop.engine.start(given.pop("kind"), **given)
    assert refused.value.code == code
    assert everything(store) == before


@pytest.mark.parametrize("event", ["melt_paid", "recover", "fly", ""])
def test_r464_only_events_of_callers_and_operators_can_be_told(store: Store, event: str) -> None:
    """R464: a caller cannot tell what the engine or the mint says."""
    shop = Shop(store)
    asked = shop.ask()
    before = everything(store)
    with pytest.raises(InvalidArgument) as refused:
        shop.engine.tell(asked.id, event, "bob")
    assert refused.value.code == "INVALID_EVENT"
    assert everything(store) == before


def test_r465_the_same_request_is_the_same_operation(store: Store) -> None:
    """R465: a repeated start returns the first operation; another request under its id or key is refused."""
    shop = Shop(store)
    first = shop.ask(idempotency_key="once")
    assert shop.ask().id == first.id
    assert shop.ask("tx_approval_2", idempotency_key="once").id == first.id
    with pytest.raises(InvalidArgument) as refused:
        shop.engine.start(
            "approval", npub=NPUB, mint_url=shop.mint.url, amount=101, transaction_id=first.id,
            data=own.ApprovalData("ann", Secret(shop.invoice)),
        )  # fmt: skip
    assert refused.value.code == "DUPLICATE_TRANSACTION_ID"
    with pytest.raises(InvalidArgument) as reused:
        shop.engine.start(
            "approval", npub=NPUB, mint_url=shop.mint.url, amount=100, idempotency_key="once",
            data=own.ApprovalData("eve", Secret(shop.invoice)),
        )  # fmt: skip
    assert reused.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert len(store.operations(OperationQuery(kind="approval"))) == 1


def test_r465_an_approval_that_is_told_again_changes_nothing(store: Store) -> None:
    """R465: after a lost answer the caller tells the event again and gets the operation as it stands."""
    shop = Shop(store)
    done = shop.engine.tell(shop.ask().id, "approve", "bob", wait_s=10)
    before = everything(store)
    assert shop.engine.tell(done.id, "approve", "bob").state == "done"
    assert everything(store) == before


def paid(mint: SimulatedMint) -> None:
    """The good case."""


def refused(mint: SimulatedMint) -> None:
    mint.faults.next("melt", faults.UNREACHABLE)


def answer_lost(mint: SimulatedMint) -> None:
    mint.faults.next("melt", faults.ANSWER_LOST)


def silent_at_first(mint: SimulatedMint) -> None:
    mint.faults.next("melt_quote", faults.UNREACHABLE)


@pytest.mark.parametrize("story", [paid, refused, answer_lost, silent_at_first])
def test_r466_a_crash_at_any_point_is_recovered(store: Store, story: Callable[[SimulatedMint], None]) -> None:
    """R466: the process dies at each point around each commit and each mint call of parent and child;
    recovery ends both, once: one melt, no satoshi lost."""
    shop = Shop(store)
    story(shop.mint)
    shop.engine.tell(shop.ask().id, "approve", "bob", wait_s=10)
    points = len(shop.ticks.seen)
    assert points > 10
    for at in range(points):
        shop.invoice = invoice(100, shop.clock)
        asked = shop.ask(f"tx_approval_{at}_b")
        story(shop.mint)
        died = shop.restarted(Ticks(at))
        with contextlib.suppress(Crash):
            died.tell(asked.id, "approve", "bob", wait_s=10)
        recovering = shop.restarted(Ticks())
        if recovering.operation(asked.id).state == "waiting":
            recovering.tell(asked.id, "approve", "bob", wait_s=10)
        for _ in range(60):
            shop.clock.advance(61)
            recovering.recover(force=True, wait_s=30)
            if recovering.operation(asked.id).is_final:
                break
        ended = recovering.operation(asked.id)
        assert ended.is_final, (at, ended.state)
        children = store.operations(OperationQuery(parent_id=asked.id))
        assert [op.id for op in children] == [f"{asked.id}.melt"], at
        assert recovering.operation(children[0].id).outcome == ended.outcome, at
        shop.mint.faults.stop()
    assert shop.engine.verify_audit().holds
    invariants.check(store, shop.mint)


def test_r467_a_child_that_waits_for_a_person_parks_its_parent(store: Store) -> None:
    """R467: the parent waits in a parked state while its child is parked, and follows the child's end."""
    shop = Shop(store)
    asked = shop.ask()
    shop.mint.faults.next("melt", faults.ANSWER_LOST)
    for endpoint in ("melt_quote_state", "restore"):
        shop.mint.faults.always(endpoint, [faults.UNREACHABLE])
    shop.engine.tell(asked.id, "approve", "bob", wait_s=0)
    assert shop.engine.operation(asked.id).state == "paying"
    for _ in range(40):
        shop.clock.advance(3600)
        shop.engine.recover(force=True, wait_s=5)
    assert shop.engine.operation(asked.id).state == "attention"
    shop.mint.faults.stop()
    for _ in range(5):
        shop.clock.advance(3600)
        shop.engine.recover(force=True, wait_s=5)
    assert shop.engine.operation(asked.id).state == "done"
    invariants.check(store, shop.mint)


def test_r468_an_engine_without_the_kind_reads_it_and_leaves_it_alone(store: Store) -> None:
    """R468: operations of a kind that the engine lacks are listed and shown; only driving them is refused."""
    shop = Shop(store)
    asked = shop.ask()
    plain = Engine(store, shop.mint, settings=QUICK, clock=shop.clock)
    assert asked.id in [handle.id for handle in plain.operations(NPUB)]
    assert plain.operation(asked.id).as_dict()["state"] == "waiting"
    plain.recover(force=True)
    assert plain.operation(asked.id).state == "waiting"
    with pytest.raises(StoreUnsupported) as refused:
        plain.tell(asked.id, "approve", "bob")
    assert refused.value.code == "UNKNOWN_MACHINE"


def without(mapping: Any, name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


def evolved(**changes: Any) -> Kind[Any]:
    return attrs.evolve(own.APPROVAL_KIND, **changes)


def machine(**changes: Any) -> Machine[Any]:
    return attrs.evolve(own.APPROVAL, **changes)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: evolved(machines=()), "at least one machine"),
        (lambda: evolved(actions={}), "'paying'"),
        (lambda: evolved(effects=without(own.APPROVAL_KIND.effects, "alarm")), "'alarm'"),
        (lambda: evolved(codes={}), "'APPROVER_IS_ASKER'"),
        (lambda: evolved(codes={**own.APPROVAL_KIND.codes, "NOT_FOUND": ("LOW", "x")}), "'NOT_FOUND'"),
        (lambda: evolved(codes={"APPROVER_IS_ASKER": ("MILD", "x")}), "'MILD'"),
        (lambda: evolved(machines=(own.APPROVAL, machine(good_path=()))), "version 1"),
        (lambda: evolved(machines=(own.APPROVAL, machine(name="other", version=2))), "one name"),
        (lambda: evolved(data=dict), "attrs class"),
        (lambda: Kinds(own.APPROVAL_KIND, evolved()), "two kinds"),
        (lambda: Kinds(evolved(machines=(machine(name="token"),))), "token"),
        (lambda: BUILT_IN | Kinds(evolved(machines=(machine(name="melt"),))), "two kinds"),
        (
            lambda: Kinds(
                evolved(machines=(machine(states=(*own.APPROVAL.states, State("lost", "never reached"))),))
            ),
            "lost",
        ),
    ],
)
def test_r469_a_kind_that_does_not_fit_is_refused_when_it_is_made(
    make: Callable[[], Any], named: str
) -> None:
    """R469: the sentence names the place: a missing action or effect, a code without a grade, lint errors."""
    with pytest.raises(KindInvalid) as refused:
        make()
    assert refused.value.code == "KIND_INVALID" and named in refused.value.message
