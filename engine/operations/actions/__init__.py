"""One action per state that has one: what the engine does while an operation rests there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...checks.reconcile import reconcile
from ...loop.drive import Result, Run
from ..melt import change, fence, pay, refusal
from ..melt import quote as ask
from ..melt.record import holding
from ..mint import actions as funding

Action = Callable[[Run], Result]

ACTIONS: Mapping[tuple[str, str], Action] = {
    ("melt", "ask_quote"): ask.ask_quote,
    ("melt", "choose_inputs"): ask.choose_inputs,
    ("melt", "run_child"): ask.run_child,
    ("melt", "start"): ask.start,
    ("melt", "post_melt"): pay.post_melt,
    ("melt", "ask_state"): pay.ask_state,
    ("melt", "confirm_refusal"): refusal.confirm_refusal,
    ("melt", "collect_change"): change.collect_change,
    ("melt", "resolve_unpaid"): fence.resolve_unpaid,
    ("melt", "post_fence"): fence.post_fence,
    ("melt", "reconcile"): reconcile,
    ("melt", "watch_hold"): holding.watch_hold,
    ("melt", "watch_sources"): holding.watch_sources,
    ("mint", "ask_quote"): funding.ask_quote,
    ("mint", "ask_payment"): funding.ask_payment,
    ("mint", "post_mint"): funding.post_mint,
    ("mint", "restore_outputs"): funding.restore_outputs,
}

READS_BEFORE_COMMIT = frozenset({"ask_quote", "choose_inputs", "start", "collect_change"})
"""Actions that may run while transitions are still staged; every other one waits for the commit."""
