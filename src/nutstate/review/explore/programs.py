"""What a worker does in each state: ask the mint, post a stored request, or decide an event.

A program is a pure function of the stored operation and of the answers so far, so that a crash or another
worker can come between any two of its questions. The order of the questions is the engine's."""

from __future__ import annotations

from collections.abc import Mapping

from .facts import Evidence
from .funding import ask_payment, post_mint, restore_outputs
from .view import REFUSED, SILENT, Ask, Happened, Post, Program, Step, View
from .world import Answers

_OF_QUOTE = {
    "PAID": "mint_paid",
    "PENDING": "mint_pending",
    "UNPAID": "mint_unpaid",
    "UNKNOWN": "mint_unclear",
}


def selection(view: View) -> tuple[str, ...]:
    """The first choice of the plan whose coins all lie in unspent tokens; () when there is none."""
    free = {name for token in view.world.tokens if token.state == "unspent" for name, _ in token.coins}
    for choice in view.plan.choices:
        if free.issuperset(choice):
            return choice
    return ()


def _ask_quote(view: View, got: Answers) -> Step:
    if not got:
        return Ask("new quote")
    return Happened("quote_unavailable" if got[0] == SILENT else "quote_received")


def _choose_inputs(view: View, got: Answers) -> Step:
    if not got:
        return Ask("inputs") if selection(view) else Happened("funds_missing")
    if got[0] == SILENT:
        return Happened("quote_unavailable")
    chosen = tuple(name for name, _ in got[0])
    states = {state for _, state in got[0]}
    seen = Evidence(chosen=chosen, states=got[0], preflight=True)
    if "SPENT" in states:
        return Happened("preflight_blocked", seen)
    return Happened("inputs_chosen", seen) if states == {"UNSPENT"} else Happened("quote_unavailable")


def _start(view: View, got: Answers) -> Step:
    if "quote" in view.op.judged:
        return Happened("expire")
    if not view.plan.two_step:
        return Happened("pay")
    if not view.op.confirmed:
        return None
    if not got:
        return Ask("inputs")
    if got[0] == SILENT:
        return Happened("pay")
    states = {state for _, state in got[0]}
    if "SPENT" not in states:
        return None if "PENDING" in states else Happened("pay")
    if len(got) == 1:
        return Ask("quote")
    if got[1] == SILENT or got[1][0] == "PENDING":
        return None
    if got[1][0] == "PAID":
        return Happened("pay")
    return Happened("preflight_blocked", Evidence(states=got[0], preflight=True))


def _post_melt(view: View, got: Answers) -> Step:
    if not got:
        return Post("melt")
    if got[0] == REFUSED:
        return Happened("mint_refused", Evidence(refused=True))
    if isinstance(got[0], str):
        return Happened(got[0])
    return Happened(_OF_QUOTE[got[0][0]], Evidence(quote=got[0][0], change=got[0][1]))


def _confirm_refusal(view: View, got: Answers) -> Step:
    for n, what in enumerate(("quote", "inputs")):
        if len(got) == n:
            return Ask(what)
        if got[n] == SILENT:
            return Happened("mint_unreachable")
        if n == 0 and got[0][0] != "UNPAID":
            return Happened(_OF_QUOTE[got[0][0]], Evidence(quote=got[0][0], change=got[0][1]))
    seen = Evidence(quote="UNPAID", states=got[1])
    for event in ("refusal_stands", "refusal_seen"):
        if view.accepts(event, seen):
            return Happened(event, seen)
    if all(state == "UNSPENT" for _, state in got[1]):
        return None  # the second look is not due yet
    return Happened("mint_unpaid", seen)


def _ask_state(view: View, got: Answers) -> Step:
    if not got:
        return Ask("quote")
    if got[0] == SILENT:
        return Happened("mint_unreachable")
    quote, change = got[0]
    seen = Evidence(quote=quote, change=change)
    if view.op.payment:
        return _change_now(view, got, seen)
    if quote == "PAID":
        return _paid(view, got, seen)
    if quote == "PENDING":
        return Happened("mint_pending", seen)
    if quote == "UNKNOWN":
        return _quote_unclear(view, got, seen)
    return _quote_unpaid(view, got)


def _paid(view: View, got: Answers, seen: Evidence) -> Step:
    """PAID. Of inputs that were freed the mint says whether it took them."""
    if view.op.state not in ("watching", "stuck"):
        return Happened("mint_paid", seen)
    if len(got) == 1:
        return Ask("inputs")
    if got[1] == SILENT:
        return Happened("mint_unreachable")
    return Happened("mint_paid", seen._replace(states=got[1]))


def _quote_unclear(view: View, got: Answers, seen: Evidence) -> Step:
    """A state that is none of those we know: a fence, once every input is UNSPENT and has settled."""
    if view.op.state != "unknown":
        return Happened("mint_unclear", seen)
    if len(got) == 1:
        return Ask("inputs")
    if got[1] == SILENT:
        return Happened("mint_unclear", seen)
    able = seen._replace(states=got[1], can_fence=True)
    return Happened("fence", able) if view.accepts("fence", able) else Happened("mint_unclear", seen)


def _change_now(view: View, got: Answers, seen: Evidence) -> Step:
    if view.accepts("mint_paid", seen):
        return Happened("mint_paid", seen)
    if len(got) == 1:
        return Ask("change")
    change = got[1] if isinstance(got[1], int) and got[1] else -1
    return Happened("mint_paid", seen._replace(change=change))


def _quote_unpaid(view: View, got: Answers) -> Step:
    if len(got) == 1:
        return Ask("inputs")
    if got[1] == SILENT:
        return Happened("mint_unreachable")
    seen = Evidence(quote="UNPAID", states=got[1])
    if view.op.state in ("watching", "stuck"):
        return _still_watched(view, got, seen)
    if all(state != "SPENT" for _, state in got[1]):
        return Happened("mint_unpaid", seen)
    if len(got) == 2:
        return Ask("fences")
    found = fences(view, got[2])
    if isinstance(found, Happened):
        return found
    if len(got) == 3:
        return Ask("quote")
    if got[3] == SILENT:
        return Happened("mint_unreachable")
    if got[3][0] != "UNPAID":
        return Happened(_OF_QUOTE[got[3][0]], Evidence(quote=got[3][0], change=got[3][1]))
    if not found:
        return Happened("mint_unreachable")
    return Happened("inputs_spent_elsewhere", seen._replace(asked=True))


def _still_watched(view: View, got: Answers, seen: Evidence) -> Step:
    """A fence from before the release may have come late: the watch ends only when that is known."""
    if len(got) == 2:
        return Ask("fences")
    found = fences(view, got[2])
    if isinstance(found, Happened):
        return found
    return Happened("watch_over" if found and view.accepts("watch_over", seen) else "mint_unpaid", seen)


def fences(view: View, answer: object) -> Happened | bool:
    """What restore says of our fences: the event if one is signed and the machine takes it, True if none is
    signed, False if that is not known or of no use."""
    if not isinstance(answer, int):
        return False
    if not answer:
        return True
    seen = Evidence(fence=answer, part=view.op.parts[answer - 1], verified=True, asked=True, signed=True)
    return Happened("fence_found", seen) if view.accepts("fence_found", seen) else False


def _resolve_unpaid(view: View, got: Answers) -> Step:
    if view.plan.policy == "trust":
        step = _ask_state(view, got)
        if isinstance(step, Happened) and view.accepts("release", step.seen):
            return Happened("release", step.seen)
        return step
    if view.accepts("retry"):
        return Happened("retry")
    action, part = next_part(view)
    if action == "strand":
        return Happened("strand", Evidence(strand=part))
    able = Evidence(can_fence=True, part=part)
    return Happened("fence", able) if view.accepts("fence", able) else Happened("fence_impossible")


def next_part(view: View) -> tuple[str, tuple[str, ...]]:
    """The engine's plan, as far as coins matter: what was refused together is searched by halves, what was
    refused alone, or is worth no more than the fee, is stranded."""
    op, left = view.op, view.op.left
    pairs = zip(op.parts, op.ends, strict=True)
    refused = {frozenset(part) for part, end in pairs if end == "refused"}
    for name in left:
        if frozenset({name}) in refused:
            return "strand", (name,)
    held = frozenset(left)
    rests = {part & held for part in refused if part & held and part - held <= op.fenced_coins}
    part = left
    if rests:
        smallest = min(rests, key=lambda rest: (len(rest), min(rest)))
        part = tuple(name for name in left if name in smallest)[: max(1, len(smallest) // 2)]
    worth = sum(view.world.signed(name) for name in part)
    return ("fence" if worth > view.plan.input_fee else "strand"), part


def _post_fence(view: View, got: Answers) -> Step:
    """Restore, ask the quote, ask the proofs, post; then look again before a refusal is believed."""
    for n, what in enumerate(("fences", "quote", "inputs")):
        if len(got) == n:
            return Ask(what)
        found = fences(view, got[0])
        if isinstance(found, Happened):
            return found
        if n == 1 and got[1] != SILENT and got[1][0] == "PAID":
            return Happened("mint_paid", Evidence(quote="PAID", change=got[1][1]))
        if n == 1 and not found:
            return Happened("mint_unreachable")
    if got[2] == SILENT:
        return Happened("mint_unreachable")
    if any(state != "UNSPENT" for _, state in got[2]):
        return _confirm_unsigned(view, got[3:], gone=True)
    if len(got) == 3:
        return Post("fence")
    if isinstance(got[3], int):
        part = view.op.parts[got[3] - 1]
        return Happened(
            "fence_done", Evidence(fence=got[3], part=part, verified=True, asked=True, signed=True)
        )
    if got[3] == "gone":
        return _confirm_unsigned(view, got[4:], gone=True)
    if got[3] == "refused":
        return _refused_for_good(view, got[4:])
    if got[3] == "keyset":
        return _outdated(view, got[4:])
    return Happened("reply_lost")


def _confirm_unsigned(view: View, got: Answers, gone: bool, renew: bool = False, good: bool = False) -> Step:
    if not got:
        return Ask("fences")
    found = fences(view, got[0])
    if isinstance(found, Happened):
        return found
    if not found:
        return Happened("mint_unreachable")
    return Happened("fence_refused", Evidence(asked=True, gone=gone, renew=renew, good=good))


def _refused_for_good(view: View, got: Answers) -> Step:
    if not got:
        return Ask("inputs")
    if got[0] == SILENT:
        return Happened("mint_unreachable")
    if any(state != "UNSPENT" for _, state in got[0]):
        return _confirm_unsigned(view, got[1:], gone=True)
    return _confirm_unsigned(view, got[1:], gone=False, good=True)


def _outdated(view: View, got: Answers) -> Step:
    if not got:
        return Ask("inputs")
    if got[0] == SILENT:
        return Happened("mint_unreachable")
    gone = any(state != "UNSPENT" for _, state in got[0])
    if not gone and view.op.fences[-1:] == (view.world.epoch,):
        return Happened("reply_lost")
    return _confirm_unsigned(view, got[1:], gone, renew=not gone)


def _collect_change(view: View, got: Answers) -> Step:
    if view.accepts("change_complete_empty"):
        return Happened("change_complete_empty")
    for n, what in enumerate(("quote", "change")):
        if len(got) == n:
            return Ask(what)
        amount = got[n] if n else got[n][1]
        if got[n] != SILENT and isinstance(amount, int) and amount > 0:
            seen = Evidence(change=amount)
            if view.accepts("change_received", seen):
                return Happened("change_received", seen)
    if got[0] != SILENT and got[0][0] == "PAID" and got[0][1] <= 0 and got[1] == 0:
        for event in ("change_seen_empty", "change_complete_empty"):
            if view.accepts(event, Evidence(empty=True)):
                return Happened(event, Evidence(empty=True))
    return None if view.op.empty else Happened("change_missing")


def _reconcile(view: View, got: Answers) -> Step:
    plan, op = view.plan, view.op
    agrees = op.total == plan.amount + op.fee + plan.input_fee + max(0, op.change) + op.loss
    event = "reconcile_passed" if agrees else "reconcile_failed"
    return Happened(event, Evidence(checks=1, discrepancies=0 if agrees else 1))


PROGRAMS: Mapping[str, Program] = {
    "ask_quote": _ask_quote, "choose_inputs": _choose_inputs, "start": _start, "post_melt": _post_melt,
    "confirm_refusal": _confirm_refusal,
    "ask_state": _ask_state, "resolve_unpaid": _resolve_unpaid, "post_fence": _post_fence,
    "collect_change": _collect_change, "reconcile": _reconcile, "ask_payment": ask_payment,
    "post_mint": post_mint, "restore_outputs": restore_outputs,
}  # fmt: skip
"""By the action a state names."""

SENDS: Mapping[str, str] = {"post_melt": "melt", "post_fence": "fence", "post_mint": "mint"}
"""Actions that send a request which changes something at the mint."""
