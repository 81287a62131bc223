"""One operation of a machine that this program does not have: it is read like any other, and not driven."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from nutstate import Engine, Handle, SimulatedMint, Store, open_store
from nutstate.machines.spec import Machine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Operation
from nutstate.storage.rules.machines import Machines
from nutstate.storage.testing.records import batch_for, make_operation

from ..support.clock import FakeClock
from ..support.releases import ANOTHER, GIFT, MELT_2, NEXT, ref_of
from ..support.stores import STORES
from ..support.wallet import NPUB, funded, invoice, payment_hash

pytestmark = pytest.mark.every_store
_NAMES = itertools.count()


@frozen
class Scene:
    """A wallet of this release, and one operation of a machine that it does not have."""

    store: Store
    engine: Engine
    mint: SimulatedMint
    clock: FakeClock
    strange: Operation

    @property
    def handle(self) -> Handle:
        return self.engine.operation(self.strange.id)


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "mongodb":
        found: str = request.getfixturevalue("fresh_database")
        return found
    return f"sqlite:///{tmp_path}/w.db" if request.param == "sqlite" else f"memory://unknown{next(_NAMES)}"


@pytest.fixture(params=[(MELT_2, NEXT), (GIFT, ANOTHER)], ids=["another version", "another name"])
def scene(url: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    spec, machines = request.param
    with open_store(url) as store:
        engine, mint, clock = funded(store)
        yield Scene(store, engine, mint, clock, left_behind(url, spec, machines, mint))


def left_behind(
    url: str, spec: Machine[Any], machines: Machines, mint: SimulatedMint, *states: str
) -> Operation:
    """What a program with other machines left in the store; it was due long ago."""
    with open_store(url, machines=machines) as store:
        op: Operation | None = None
        for state in ("requested", *states):
            fields: dict[str, Any] = {
                "machine": ref_of(spec),
                "kind": spec.name,
                "npub": NPUB,
                "mint_url": mint.url,
            }
            new = make_operation(f"tx-{spec.name}-left", machines=machines, wallet_id=NPUB, **fields)
            after = new if op is None else op
            finished = 1_800_000_000_000 if machines.told_of(ref_of(spec), state)[0] == "final" else None
            after = evolve(after, state=state, next_check_at=None if finished else 5, finished_at=finished)
            batch = batch_for(after, op, machines=machines)
            store.commit(batch)
            op = batch.operation.after
        assert op is not None
        return op


def pending(scene: Scene) -> Handle:
    """A melt of this release that the mint calls PENDING."""
    text = invoice(100, scene.clock)
    scene.mint.lightning.script(payment_hash(text), "PENDING")
    return scene.engine.melt(npub=NPUB, mint_url=scene.mint.url, invoice=text, wait_s=0)


def test_r416_every_reader_reads_it_beside_the_others(scene: Scene) -> None:
    """R416: list, look, balance, report, audit: it says itself that it is live."""
    engine, known = scene.engine, pending(scene)
    assert {handle.id for handle in engine.operations()} >= {scene.strange.id, known.id}
    assert {handle.id for handle in engine.open_operations()} == {scene.strange.id, known.id}
    told = scene.handle.as_dict()
    assert told["outcome"] == "open" and not told["final"] and not told["parked"] and told["alarm"] is None
    ref = scene.strange.machine
    assert told["machine"] == f"{ref.name}@{ref.version}"
    assert engine.balance(NPUB).of("unspent") + engine.balance(NPUB).of("reserved") == 2000
    assert engine.report(scene.strange.id).state == "requested"
    assert (
        scene.handle.audit() and engine.verify_audit().holds and engine.verify_audit(scene.strange.id).holds
    )


@pytest.mark.parametrize(
    ("states", "outcome", "final"),
    [
        (("quoted", "prepared", "cancelled"), "unpaid", True),
        (("quoted", "prepared", "paying", "unknown", "attention"), "parked", False),
        (("quoted", "prepared", "paying", "unknown", "attention", "written_off"), "parked", True),
    ],
)
def test_r416_how_it_stands_is_told_by_what_it_stores(
    url: str, states: tuple[str, ...], outcome: str, final: bool
) -> None:
    """R416: a state that this program has never heard of is live, parked or final, and ends as it says."""
    with open_store(url) as store:
        engine, mint, _ = funded(store)
        left = left_behind(url, MELT_2, NEXT, mint, *states)
        handle = engine.operation(left.id)
        assert (handle.outcome, handle.is_final, handle.is_parked) == (
            outcome, final, outcome == "parked" and not final,
        )  # fmt: skip


def test_r416_a_reconciliation_looks_at_what_needs_no_machine(scene: Scene) -> None:
    """R416: neither one look nor a sweep calls it wrong for what only its machine can tell."""
    report = scene.engine.reconcile(scene.strange.id)
    assert report.validation_passed, str(report)
    (note,) = [text for check in report.checks for text in check.not_checked]
    assert f"{scene.strange.machine.name}@{scene.strange.machine.version}" in note
    found = scene.engine.reconcile_all()
    assert found.validation_passed, found.discrepancies_found
    assert found.operations == len(scene.engine.operations()) - 1  # all but the check that it stored


def test_r417_only_driving_it_is_refused_and_the_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R417: a worker that has no machine for one operation finishes the others, and takes no lease of it."""
    known = pending(scene)
    scene.mint.lightning.settle(str(known.record.payment_hash))
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(
        scene.engine._driver.log, "note", lambda name, **data: told.append({"name": name} | data)
    )
    recovered = scene.engine.recover(wait_s=60, force=True)
    assert {handle.id: handle.state for handle in recovered} == {
        scene.strange.id: "requested",
        known.id: "reconciled",
    }
    assert {"name": "recover_failed", "operation_id": scene.strange.id, "code": "UNKNOWN_MACHINE"} in told
    assert scene.store.operation(scene.strange.id) == scene.strange, "not even a lease"


CALLS: dict[str, Callable[[Engine, str], object]] = {
    "cancel": lambda engine, name: engine.cancel(name),
    "confirm": lambda engine, name: engine.confirm(name),
    "resume": lambda engine, name: engine.resume(name, "ticket 1", 0),
    "release": lambda engine, name: engine.release(name, "ticket 1"),
    "write_off": lambda engine, name: engine.write_off(name, "ticket 1"),
    "unhold": lambda engine, name: engine.unhold(name),
}


@pytest.mark.parametrize("call", CALLS)
def test_r417_a_call_that_would_drive_it_says_which_machine_is_missing(scene: Scene, call: str) -> None:
    """R417: the code is UNKNOWN_MACHINE, and nothing is written."""
    with pytest.raises(StoreUnsupported) as caught:
        CALLS[call](scene.engine, scene.strange.id)
    assert caught.value.code == "UNKNOWN_MACHINE" and caught.value.details["operation_id"] == scene.strange.id
    assert f"{scene.strange.machine.name}@{scene.strange.machine.version}" in caught.value.message
    assert scene.store.operation(scene.strange.id) == scene.strange


def test_r417_this_program_pays_beside_it(scene: Scene) -> None:
    """R417: its own operations begin, run and end as if it were not there."""
    done = scene.engine.melt(npub=NPUB, mint_url=scene.mint.url, invoice=invoice(50, scene.clock))
    assert done.state == "reconciled"
    assert scene.store.tokens(TokenQuery(reserved_by=scene.strange.id)) == []
