"""The stretches of time that matter to an operation of the model."""

from __future__ import annotations

from collections.abc import Iterator

from . import mint
from .scene import Decider
from .world import World


def windows(decider: Decider, world: World, index: int) -> Iterator[tuple[str, bool, str]]:
    """Each stretch of time: its name, whether it has begun, and its words for a label."""
    setting = decider.setting
    plan, op = setting.plans[index], world.ops[index]
    if plan.kind == "mint":
        yield "quote", op.state == "quoted" and not op.paid, "the invoice"
        yield "watch", op.state == "lapsed" and not op.paid, "the watch"
        unanswered = op.state == "quoted" and "quote" in op.over
        yield "age", unanswered or "watch" in op.over or op.paid, "patience"
        yield "settle", op.sent and op.state == "attention", "the wait for the next try"
        return
    arrived = all(request.op != plan.name for request in world.net)
    yield (
        "quote",
        op.quote and (not op.sent or plan.policy == "retry_then_fence") and not op.payment,
        "the quote",
    )
    # an answer to our own request starts the settle window anew, so it cannot end before
    waits = op.state == "paying" or op.payment
    yield "settle", op.sent and not waits and (setting.late or arrived), "the settle window"
    freed = op.state in ("watching", "stuck")
    begun = ("watch" if freed else "settle") in op.over and not op.payment
    yield "age", begun or op.state == "paid", "patience"
    yield "refusal", op.state == "refused" and op.confirmed_unspent, "the refusal window"
    yield "watch", freed and arrived, "the watch window"
    late = setting.withholds or not mint.change_owed(setting, world, index)
    yield "change", op.state == "paid" and late, "the change window"
    yield "empty", op.state == "paid" and op.empty and late, "the wait for empty change"
