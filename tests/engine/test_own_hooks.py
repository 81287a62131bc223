"""R529, R531: code of a kind that raises while an operation is read, or while it is driven."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine
from nutstate.engine.checks.documents import KindChecks
from nutstate.engine.checks.reconcile import reconcile
from nutstate.kinds import Run
from nutstate.storage.port import OperationQuery
from tests.support.shop import Shop, own
from tests.support.wallet import NPUB, QUICK

READS = ("cost", "alarm", "raises", "to_pay")
CHECKS = ("makes", "completes", "sums", "spends", "made")


def broken(*args: Any) -> Any:
    raise LookupError("the words of an error may hold a secret")


class Heard:
    """A logger that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, Any]] = []

    def warning(self, name: str, **fields: Any) -> None:
        self.warnings.append({"name": name, **fields})

    def info(self, name: str, **fields: Any) -> None: ...

    critical = info


def hooks() -> dict[str, Callable[..., Any]]:
    return {**dict.fromkeys(READS, broken), "sums": broken}


def test_an_operation_is_read_though_a_hook_of_its_kind_raises(tmp_path: Path) -> None:
    """R529: every list and call that reads tells None for that hook; one warning for the operation and hook,
    without the error's words."""
    heard = Heard()
    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, **hooks()))
    engine = Engine(shop.store, shop.mint, kinds=shop.kinds, clock=shop.clock, logger=heard)
    asked = engine.operation(shop.ask().id)
    for _ in range(2):
        (found,) = [handle for handle in engine.operations(NPUB) if handle.id == asked.id]
        told = found.as_dict()
        assert (told["cost"], told["alarm"], told["outcome"]) == (None, None, "open")
        assert engine.kinds.sums_of(found.record, ()) is None
        assert engine.kinds.to_pay(found.record) is None
    assert engine.tell(asked.id, "approve", "bob", wait_s=10).state == "done"
    failed = [entry for entry in heard.warnings if entry["name"] == "hook_failed"]
    assert sorted(entry["hook"] for entry in failed) == sorted((*READS, "sums"))
    assert {(entry["operation_id"], entry["kind"], entry["error"]) for entry in failed} == {
        (asked.id, "approval", "LookupError")
    }
    assert "secret" not in repr(heard.warnings)


@pytest.mark.parametrize("part", CHECKS)
def test_a_check_that_raises_is_told_as_not_checked(tmp_path: Path, part: str) -> None:
    """R529: the report of a reconciliation and of a sweep says which part of the kind's own checks was not
    made; everything else is compared."""
    heard = Heard()
    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, checks=KindChecks(**{part: broken})))
    engine = Engine(shop.store, shop.mint, kinds=shop.kinds, clock=shop.clock, logger=heard)
    ended = shop.approve(shop.ask())
    report = engine.reconcile(ended.id)
    notes = [text for check in report.checks for text in check.not_checked]
    assert notes == [f"{part} of kind approval: its code raised LookupError"]
    assert report.validation_passed and len(report.checks) == 5
    assert engine.reconcile_all().validation_passed
    assert [entry["hook"] for entry in heard.warnings] == ["checks"]


def test_a_check_that_meets_unreadable_data_finds_them(tmp_path: Path) -> None:
    """R529: data that do not decode are a finding of the check, not a failure of its code."""
    kind = own.APPROVAL_KIND

    def sums(tally: Any, docs: Any) -> None:
        attrs.evolve(kind, data=Other).data_of(docs.operation)

    shop = Shop(tmp_path, attrs.evolve(kind, checks=KindChecks(sums=sums)))
    report = shop.engine.reconcile(shop.approve(shop.ask()).id)
    (found,) = report.discrepancies_found
    assert "every document decodes" in found and "does not decode" in found


@attrs.frozen
class Other:
    """The data of another kind."""

    colour: str = ""


def test_a_check_that_raises_while_it_decides_fails_the_drive(tmp_path: Path) -> None:
    """R529: an operation that is driven by its checks does not pass a check that was not made: the failure is
    counted as that of any action, and parks it in the end."""
    kind = attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": reconcile}, checks=KindChecks(sums=broken))
    shop = Shop(tmp_path, kind)
    asked = shop.ask()
    with pytest.raises(LookupError):
        shop.approve(asked)
    stored = shop.store.operation(asked.id)
    assert stored is not None and (stored.state, stored.failures, stored.lease) == ("paying", 1, None)
    assert shop.store.operations(OperationQuery(kind="check")) == []


def test_an_action_that_always_raises_parks_the_example(tmp_path: Path) -> None:
    """R531: a person is told; the action is tried again meanwhile, and once it works the approval pays."""
    healed: list[bool] = []

    def pay(run: Any) -> Any:
        return own.pay_invoice(run) if healed else broken()

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, actions={"pay_invoice": pay}))
    asked = shop.ask()
    with pytest.raises(LookupError):
        shop.approve(asked)
    for drives in range(2, QUICK.drive_failures_max + 3):
        shop.clock.advance(60)
        shop.another().recover(force=True)
        now = shop.engine.operation(asked.id)
        assert now.state == ("paying" if drives < QUICK.drive_failures_max else "attention")
    assert now.reason is not None and now.reason.code == "DRIVE_FAILED"
    assert [record.event for record in now.audit()] == ["ask", "approve", "drive_failed"]
    healed.append(True)
    shop.clock.advance(60)
    shop.another().recover(force=True, wait_s=10)
    assert shop.engine.operation(asked.id).state == "done"
    assert shop.melts() == [f"{asked.id}.melt"]
    assert shop.engine.verify_audit().holds


def test_each_engine_tells_its_own_log(tmp_path: Path) -> None:
    """R529: two engines with the same kinds do not share what they have told."""
    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, cost=broken))
    asked, logs = shop.ask(), (Heard(), Heard())
    for heard in logs:
        engine = Engine(shop.store, shop.mint, kinds=shop.kinds, clock=shop.clock, logger=heard)
        assert engine.operation(asked.id).cost is None
    assert [[entry["hook"] for entry in heard.warnings] for heard in logs] == [["cost"], ["cost"]]


def test_r474_facts_that_raise_give_the_lease_up_and_tell_the_first_error(tmp_path: Path) -> None:
    """R474: code of an own kind that raises while its drive is counted as failed hides no error and keeps no
    lease."""
    broken: list[bool] = []

    def facts(look: Any) -> Any:
        if broken:
            raise LookupError("facts")
        return own.approval_facts(look)

    def action(run: Run) -> Any:
        broken.append(True)
        raise ZeroDivisionError("action")

    kind = attrs.evolve(own.APPROVAL_KIND, facts=facts, actions={"pay_invoice": action})
    shop = Shop(tmp_path, kind)
    asked = shop.ask()
    with pytest.raises(ZeroDivisionError):
        shop.approve(asked)
    stored = shop.store.operation(asked.id)
    assert stored is not None and stored.lease is None and stored.failures == 1


def test_r474_an_alarm_that_raises_is_no_failed_operation(tmp_path: Path) -> None:
    """R474: after a commit the kind's alarm is only told; one that raises is logged, and the call goes on."""

    def alarm(op: Any) -> str:
        raise LookupError("alarm")

    shop = Shop(tmp_path, attrs.evolve(own.APPROVAL_KIND, alarm=alarm))
    assert shop.approve(shop.ask()).state == "done"
