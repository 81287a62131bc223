"""What a worker does in each state of a mint operation: wait for the payment, post, restore."""

from __future__ import annotations

from .facts import Evidence
from .view import SILENT, Ask, Happened, Post, Step, View
from .world import Answers


def ask_payment(view: View, got: Answers) -> Step:
    """Ask whether the invoice is paid; PAID leads to the outputs, UNPAID may let it lapse."""
    if not got:
        return Ask("invoice")
    if got[0] == SILENT:
        return _or_old(view, Happened("mint_unreachable"))
    seen = Evidence(quote=got[0])
    if got[0] == "ISSUED":
        return _issued(view, got[1:])
    if got[0] == "PAID":
        if len(got) == 1:
            return Ask("keysets")
        if got[1] == "usable":
            return Happened("invoice_paid", seen)
        return _or_old(view, Happened("issue_blocked", seen))
    for event in ("expire", "watch_over"):
        if view.accepts(event, seen):
            return Happened(event, seen)
    return _or_old(view, Happened("invoice_unpaid", seen))


def _issued(view: View, got: Answers) -> Step:
    """ISSUED: perhaps to us, after our outputs were asked for; so they are asked for again."""
    seen = Evidence(quote="ISSUED", restored_none=True)
    if not view.op.outputs:
        return Happened("invoice_issued", seen)
    if not got:
        return Ask("outputs")
    if got[0] == SILENT:
        return _or_old(view, Happened("mint_unreachable"))
    if got[0]:
        return _or_old(view, Happened("signatures_restored", Evidence(verified=True)))
    return _or_old(view, Happened("restore_empty", seen))


def post_mint(view: View, got: Answers) -> Step:
    """Send the stored issue request."""
    if not got:
        return Post("mint")
    if isinstance(got[0], int):
        return Happened("signatures_received", Evidence(verified=True))
    return Happened(got[0])


def restore_outputs(view: View, got: Answers) -> Step:
    """Are our outputs signed, and if not, what does the mint say of the quote?"""
    if not view.op.outputs:
        return ask_payment(view, got)
    if not got:
        return Ask("outputs")
    if isinstance(got[0], int) and got[0]:
        return _or_old(view, Happened("signatures_restored", Evidence(verified=True)))
    if len(got) == 1:
        return Ask("invoice")
    if got[1] == SILENT or (got[0] == SILENT and got[1] != "PAID"):
        return _or_old(view, Happened("mint_unreachable"))
    if got[1] == "ISSUED":
        return _issued(view, got[2:])
    useless = view.op.declined and len(view.op.outputs) < view.decider.setting.outputs_max
    outdated = got[1] == "PAID" and (useless or view.op.outputs[-1] != view.world.epoch)
    return _or_old(
        view, Happened("restore_empty", Evidence(quote=got[1], restored_none=True, outdated=outdated))
    )


def _or_old(view: View, happened: Happened) -> Happened:
    if not view.accepts(happened.event, happened.seen) and view.accepts("too_old"):
        return Happened("too_old")
    return happened
