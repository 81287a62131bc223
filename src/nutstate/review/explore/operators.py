"""What happens when an operator wants a parked operation to end: a last look at the mint, then an event.

The order of the questions is the engine's; what is not answered ends the look, and nothing is decided."""

from __future__ import annotations

from collections.abc import Mapping

from .facts import Evidence
from .funding import restore_outputs
from .programs import PROGRAMS, fences
from .view import SILENT, Ask, Happened, Program, Step, View
from .world import Answers


def _at_last(view: View, got: Answers) -> Evidence | Ask | None:
    """The last look at quote and inputs, in the engine's order: a quote that is not paid is asked again
    after the inputs, which are asked twice, because a late request may be executed in between. None when
    something is not answered or not settled."""
    if SILENT in got:
        return None
    if not got:
        return Ask("quote")
    states, rest = None, got[1:]
    quote, change = got[0]
    if not view.op.payment and quote != "PAID":
        if len(rest) < 3:
            return Ask("quote" if len(rest) == 2 else "inputs")
        if rest[0] != rest[1]:
            return None
        states, (quote, change), rest = rest[0], rest[2], rest[3:]
        if quote != "PAID":
            return Evidence(quote=quote, states=states, operator=True)
    if not rest:
        return Ask("change")
    most = view.plan.owed(view.op.total)[1]
    back = max(change, rest[0])
    return Evidence(quote=quote, change=back if 0 < back <= most else -1, operator=True)


def write_off(view: View, got: Answers) -> Step:
    """An operator gives up, unless a last look finds something better. What is not answered ends it. The
    fences are asked first and last."""
    if view.op.state == "stuck":
        return _watched(view, got)
    if not got:
        return Ask("fences")
    found = fences(view, got[0])
    if isinstance(found, Happened):
        return found
    if not found:
        return None
    look = _at_last(view, got[1:-1]) if len(got) > 2 else None
    if isinstance(look, Evidence):
        again = fences(view, got[-1])
        if isinstance(again, Happened):
            return again
        unspent = bool(look.states) and all(state == "UNSPENT" for _, state in look.states or ())
        return Happened("write_off", look) if again and not unspent else None
    step = _at_last(view, got[1:])
    if not isinstance(step, Evidence):
        return step
    # a payment that is news is not given up: its change is waited for, as after any payment
    news = not view.op.payment and view.accepts("mint_paid", step)
    return Happened("mint_paid", step) if news else Ask("fences")


def _watched(view: View, got: Answers) -> Step:
    """What ends the watch by itself is better than an operator's word."""
    step = PROGRAMS["ask_state"](view, got)
    if not isinstance(step, Happened) or view.accepts(step.event, step.seen):
        return step
    if step.event in ("mint_unreachable", "mint_pending", "mint_unclear", "mint_paid") or SILENT in got:
        return None  # only by force
    return Happened("write_off", step.seen._replace(operator=True))


def release(view: View, got: Answers) -> Step:
    """An operator trusts the mint's word, asked now."""
    if not got:
        return Ask("fences")
    if fences(view, got[0]) is not True:
        return None
    step = _at_last(view, got[1:])
    return Happened("release", step) if isinstance(step, Evidence) else step


def give_up_mint(view: View, got: Answers) -> Step:
    """An operator gives an issue up, unless the mint still has it for us."""
    step = restore_outputs(view, got)
    if not isinstance(step, Happened):
        return step
    if step.event in ("signatures_restored", "invoice_paid") and view.accepts(step.event, step.seen):
        return step
    if step.seen.quote == "PAID" or step.event == "mint_unreachable":
        return None
    return Happened("write_off", Evidence(operator=True))


OPERATORS: Mapping[str, Mapping[str, Program]] = {
    "melt": {"write_off": write_off, "release": release},
    "mint": {"write_off": give_up_mint},
}
"""By the kind of operation and by what the operator wants."""
