"""Tables, and code of kinds, with one planted fault each, and where the exploration must find it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import attrs
from attrs import frozen

from nutstate.engine.loop.drive import Result, Run
from nutstate.engine.loop.effect_context import EffectContext
from nutstate.engine.loop.kinds import Kind, Kinds
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.engine.operations.melt.actions import find_fence as find_fence_module
from nutstate.engine.operations.melt.actions import quote as quote_module
from nutstate.engine.operations.melt.facts import melt_facts
from nutstate.engine.operations.melt.kind import MELT_KIND
from nutstate.engine.operations.mint import actions as mint_actions
from nutstate.engine.operations.mint.kind import MINT_KIND
from nutstate.engine.operations.shared import exchanging
from nutstate.engine.operations.swap.facts import swap_facts
from nutstate.engine.operations.swap.kind import SWAP_KIND
from nutstate.machines import MELT, MINT, SWAP, TOKEN, common_guards
from nutstate.machines.melt import guards as melt_guards
from nutstate.machines.mint import guards as mint_guards
from nutstate.machines.record.table import RECORD
from nutstate.machines.spec import Guard, Machine, Transition, edges
from nutstate.review.explore import SETTINGS, Setting, Tables

Edge = Transition[Any]


@frozen
class Planted:
    """A fault: the tables with it, the setting that shows it, and how the finding begins. ``restarts`` False:
    nothing is wrong with the tables, but the settle window does not count from the end of a fence."""

    name: str
    tables: Tables
    setting: str
    finds: tuple[str, ...]
    restarts: bool = True

    def explored_in(self) -> Setting:
        """The setting under the fault."""
        return attrs.evolve(SETTINGS[self.setting], tables=self.tables, restarts=self.restarts)


def rows(machine: Machine[Any], row: str, change: Callable[[Edge], Edge | None]) -> Machine[Any]:
    """The machine with every edge of a row (or the one edge of this id) changed, or taken out."""
    hit = [edge for edge in machine.transitions if edge.id == row or edge.id.split(".")[0] == row]
    assert hit, row
    kept = [change(edge) if edge in hit else edge for edge in machine.transitions]
    return attrs.evolve(machine, transitions=tuple(edge for edge in kept if edge is not None))


def no_guard(machine: Machine[Any], row: str, name: str) -> Machine[Any]:
    assert any(g.name == name for e in machine.transitions for g in (*e.requires, *e.forbids))
    return rows(machine, row, lambda e: attrs.evolve(
        e, requires=tuple(g for g in e.requires if g.name != name), forbids=tuple(g for g in e.forbids if g.name != name)
    ))  # fmt: skip


def no_effect(machine: Machine[Any], row: str, name: str) -> Machine[Any]:
    return rows(machine, row, lambda e: attrs.evolve(e, effects=tuple(x for x in e.effects if x != name)))


def frees_by_force(machine: Machine[Any], row: str) -> Machine[Any]:
    """The machine with a row that frees the inputs instead of setting them aside."""
    return rows(machine, row, lambda e: attrs.evolve(e, effects=tuple(
        "release_inputs" if x == "strand_inputs" else x for x in e.effects
    )))  # fmt: skip


def leads_to(machine: Machine[Any], row: str, dest: str, *effects: str) -> Machine[Any]:
    return rows(machine, row, lambda e: attrs.evolve(e, dest=dest, effects=(*e.effects, *effects)))


def without(machine: Machine[Any], row: str) -> Machine[Any]:
    return rows(machine, row, lambda e: None)


def deaf(machine: Machine[Any], row: str, name: str, *events: str) -> Machine[Any]:
    """The machine without a row, in which a state takes note of these events and stays."""
    states = tuple(
        attrs.evolve(s, absorbs=(*s.absorbs, *events)) if s.name == name else s for s in machine.states
    )
    return attrs.evolve(without(machine, row), states=states)


def first(machine: Machine[Any], *added: Edge) -> Machine[Any]:
    return attrs.evolve(machine, transitions=(*added, *machine.transitions))


def not_written_ahead(machine: Machine[Any], name: str) -> Machine[Any]:
    states = tuple(attrs.evolve(s, write_ahead=False) if s.name == name else s for s in machine.states)
    return attrs.evolve(machine, states=states)


def asks(machine: Machine[Any], name: str, predicate: Callable[[Any], bool]) -> Machine[Any]:
    """The machine with another predicate behind the name of a guard."""

    def swap(guards: tuple[Guard[Any], ...]) -> tuple[Guard[Any], ...]:
        return tuple(attrs.evolve(g, predicate=predicate) if g.name == name else g for g in guards)

    return attrs.evolve(machine, transitions=tuple(
        attrs.evolve(e, requires=swap(e.requires), forbids=swap(e.forbids)) for e in machine.transitions
    ))  # fmt: skip


def no_settle_window(facts: Any) -> bool:
    return melt_guards.unpaid_is_proven.holds(attrs.evolve(facts, since_last_send_ms=facts.settle_window_ms))


FREES = ("release_inputs", "drop_claim")


def melt(name: str, machine: Machine[Any], setting: str, *finds: str) -> Planted:
    return Planted(name, Tables().under(machine), setting, finds)


def mint(name: str, machine: Machine[Any], setting: str, *finds: str) -> Planted:
    return Planted(name, Tables().under(machine), setting, finds)


PLANTED = (
    melt("trust does not ask unpaid_is_proven", no_guard(no_guard(MELT, "12", "unpaid_is_proven"), "21.release.unpaid", "unpaid_is_proven"), "trust", "I10", "I4"),
    melt("any refusal counts as a clear one", asks(MELT, "refusal_decides", lambda f: f.policy == "fast"), "fast", "I10", "I4"),
    melt("there is no settle window", asks(MELT, "unpaid_is_proven", no_settle_window), "trust", "I10", "I4"),
    melt("unknown is released without a fence",
         first(MELT, *edges("x", "mint_unpaid", "unknown", "released", requires=(melt_guards.unpaid_is_proven,), effects=FREES)),
         "late", "I10", "I4"),
    melt("row 10 does not spend the inputs", no_effect(MELT, "10", "spend_inputs"), "pay", "I4"),
    melt("paying is not written ahead", not_written_ahead(MELT, "paying"), "pay", "I6"),
    melt("fencing is not written ahead", not_written_ahead(MELT, "fencing"), "pay", "I6"),
    melt("a restart cancels what is paying", leads_to(MELT, "15.recover.paying", "cancelled", *FREES), "pay", "I10", "I4"),
    melt("row 5 does not ask claim_free", no_guard(MELT, "5", "claim_free"), "same-invoice", "I3"),
    melt("row 5 takes no claim", no_effect(MELT, "5", "take_claim"), "same-invoice", "I3"),
    melt("row 5 writes no blanks", no_effect(MELT, "5", "write_blanks"), "pay", "I6"),
    melt("row 5 writes no request", no_effect(MELT, "5", "write_request"), "pay", "I8"),
    melt("row 5 reserves nothing, row 9 does not ask",
         no_guard(no_effect(MELT, "5", "reserve_inputs"), "9", "inputs_reserved_by_operation"), "pay", "I6", "I10"),
    melt("row 24 stays in paid", leads_to(MELT, "24", "paid"), "pay", "I2"),
    melt("row 24 does not store the change", no_effect(MELT, "24", "store_change"), "pay", "I12"),
    melt("row 25 does not wait for the change", no_guard(MELT, "25", "repeatedly_empty"), "pay", "I12"),
    melt("attention does not ask payment_is_news", no_guard(MELT, "10.mint_paid.attention", "payment_is_news"), "withheld", "I11"),
    melt("a cancelled melt keeps its inputs", no_effect(MELT, "3", "release_inputs"), "keep", "I2"),
    melt("a released melt keeps its claim", no_effect(MELT, "22", "drop_claim"), "pay", "I3"),
    melt("row 22 does not store the fence", no_effect(MELT, "22", "store_fenced"), "late", "I10", "I12"),
    melt("row 19 writes no fence", no_effect(MELT, "19", "write_fence"), "late", "I8"),
    melt("cancel is possible while paying",
         first(MELT, *edges("x", "cancel", "paying", "cancelled", effects=FREES)), "pay", "I10", "I4"),
    melt("age frees the inputs", first(without(MELT, "17"), *edges("17", "too_old", "unknown", "expired", effects=FREES)),
         "late", "I4", "I10"),
    melt("nothing is too old in pending", without(MELT, "17.too_old.pending"), "pay", "I11"),
    melt("nothing is too old while watching", without(MELT, "17c"), "trust", "I11"),
    melt("nothing is too old while change is owed", without(MELT, "17.too_old.paid"), "pay", "I11"),
    melt("fencing has no place for PAID", without(MELT, "10.mint_paid.fencing"), "late", "I8"),
    melt("broken trust is not seen", without(MELT, "32"),
         "broken-trust", "I11"),
    melt("row 22b is dropped", without(MELT, "22b"), "release", "I11", "I12"),
    melt("row 22b does not correct what was freed", no_effect(MELT, "22b", "correct_spent"), "release", "I4"),
    melt("row 22b does not store the fence", no_effect(MELT, "22b", "store_fenced"), "release", "I12", "I10"),
    Planted("a fence does not restart the settle window", Tables(), "pay", ("I10", "I4"), restarts=False),
    melt("row 29a does not ask recorded_already, and row 10 does not take it first",
         deaf(no_guard(MELT, "29a", "recorded_already"), "10.mint_paid.attention", "attention"), "write-off", "I12"),
    melt("not_in_flight does not ask the inputs", asks(MELT, "not_in_flight", lambda f: f.quote_state == "UNPAID"),
         "give-up", "I12"),
    melt("row 16 does not leave pending", without(MELT, "16.inputs_spent_elsewhere.pending"), "stolen", "I8"),
    melt("nothing leaves unknown but age", without(without(MELT, "12.mint_unpaid.unknown"), "17"), "rotate", "I11"),
    melt("an ended melt goes on", first(MELT, *edges("x", "mint_paid", "reconciled", "paid")), "workers", "I3"),
    Planted("a token forgets who reserved it", Tables().under(no_effect(TOKEN, "8", "set_reserved_by")), "pay", ("I4",)),
    Planted("a spent token is unspent again", Tables().under(leads_to(TOKEN, "11", "unspent")), "pay", ("I4",)),
    Planted("only a trusted release is proven",
            Tables().under(asks(TOKEN, "release_is_proven", lambda f: f.release == "trusted")), "keep", ("I8",)),
    Planted("issuing is not written ahead", Tables().under(not_written_ahead(MINT, "issuing")), "issue", ("I6",)),
    Planted("a restart gives the issue up",
            Tables().under(leads_to(MINT, "8.recover.issuing", "expired", "fail_token")), "issue", ("I12",)),
    mint("an invoice that ran out is forgotten",
         no_effect(leads_to(MINT, "5", "expired", "fail_token"), "5", "stamp_watch"), "issue", "I12"),
    mint("the watch for a late payment ends at once", no_guard(MINT, "5b", "late_watch_over"), "issue", "I12"),
    mint("an expired funding keeps its token", no_effect(MINT, "5b", "fail_token"), "issue", "I2"),
    mint("refusals are not counted", no_effect(MINT, "8", "count_refusal"), "stuck-issue", "I11"),
    mint("refused outputs are never replaced",
         first(without(without(MINT, "9a"), "9d"), *edges("9", "restore_empty", "restoring", "issuing", requires=(
             common_guards.nothing_restored, mint_guards.invoice_is_paid, mint_guards.tries_left), effects=("stamp_sent",))),
         "stuck-issue", "I11"),
    mint("new outputs replace the old ones unseen", no_effect(no_effect(MINT, "9a", "write_outputs"), "9d", "write_outputs"),
         "stuck-issue", "I11"),
    mint("lapsed has no place for PAID", without(MINT, "4.invoice_paid.lapsed"), "issue", "I8"),
    mint("lapsed forgets a late payment",
         deaf(without(MINT, "13.too_old.lapsed"), "4.invoice_paid.lapsed", "lapsed", "invoice_paid"), "issue", "I11"),
    melt("a hold that was taken back keeps its tokens", no_effect(RECORD, "4", "release_inputs"), "hold", "I2"),
    melt("a hold claims no invoice", no_effect(no_effect(RECORD, "1", "take_claim"), "3", "take_claim"),
         "hold-and-pay", "I3"),
    melt("a forced end forgets the inputs", no_effect(MELT, "29c", "strand_inputs"), "force", "I2"),
    melt("a forced end frees what may still be sent", frees_by_force(MELT, "29c"), "force", "I10", "I4"),
    melt("a forced end of a hold forgets its proofs", no_effect(RECORD, "9b", "strand_inputs"), "hold", "I2"),
    melt("a recording takes what another operation holds", no_guard(RECORD, "2", "nothing_contested"), "unheld", "I4", "I8"),
    melt("contested sources are not spent when they become free", no_effect(RECORD, "8", "spend_contested"), "unheld", "I4", "I1"),
    melt("a recorded payment is not stored", no_effect(RECORD, "3", "record_melt"), "hold", "I2", "I12"),
    melt("a hold whose proofs are spent is free at its end",
         leads_to(RECORD, "7.hold_spent.held", "cancelled", "release_inputs", "drop_claim"), "hold", "I4", "I8"),
)  # fmt: skip

PLANTED_SWAPS = (
    melt("swapping is not written ahead", not_written_ahead(SWAP, "swapping"), "swap", "I6"),
    melt("a swap stores no outputs before it is sent", no_effect(SWAP, "1", "write_swap"), "swap", "I8", "I6"),
    melt("a swap reserves nothing", no_effect(SWAP, "1", "reserve_inputs"), "swap", "I6", "I10", "I8"),
    melt("a swap does not store what was signed", no_effect(SWAP, "2", "store_swapped"), "swap", "I1", "I12"),
    melt("a swap does not spend its inputs", no_effect(SWAP, "2", "spend_inputs"), "swap", "I4"),
    melt("a swap is given up inside the settle window",
         asks(SWAP, "settled_untouched", lambda f: f.untouched), "swap", "I10", "I4"),
    melt("a restart ends a swap", leads_to(SWAP, "4", "released"), "swap", "I10", "I2"),
    melt("a request that comes after the release has no place", without(SWAP, "2b"), "swap-late", "I8"),
    melt("row 2b does not correct what was freed", no_effect(SWAP, "2b", "correct_spent"), "swap-late", "I1", "I4"),
    melt("the watch of a swap is over at once", no_guard(SWAP, "8", "watch_window_over"), "swap-late", "I12"),
    melt("nothing is too old while a swap is restored", without(SWAP, "9"), "swap", "I11"),
    melt("a forced end of a swap forgets the inputs", no_effect(SWAP, "14b", "strand_inputs"), "swap", "I2"),
    melt("spent inputs are freed with the others", no_effect(SWAP, "14", "spend_inputs"), "swap-stolen", "I2"),
)  # fmt: skip


# -- faults in the code of the kinds -----------------------------------------------------------------------


def coded(name: str, kind: Kind[Any], setting: str, *finds: str) -> Planted:
    others = (other for other in BUILT_IN if other.name != kind.name)
    return Planted(name, Tables(kinds=Kinds(kind, *others)), setting, finds)


def other_effect(kind: Kind[Any], name: str, effect: Callable[[EffectContext], None]) -> Kind[Any]:
    assert name in kind.effects
    return attrs.evolve(kind, effects={**kind.effects, name: effect})


def other_action(kind: Kind[Any], name: str, action: Callable[[Run], Result]) -> Kind[Any]:
    assert name in kind.actions
    return attrs.evolve(kind, actions={**kind.actions, name: action})


def over(kind: Kind[Any], module: ModuleType, name: str, value: Any) -> Kind[Any]:
    """The kind whose actions and looks find something else under a name of this module."""
    real = getattr(module, name)

    def wrapped(code: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            with patch.object(module, name, partial(value, real)):
                return code(*args)

        return call

    return attrs.evolve(
        kind,
        actions={word: wrapped(code) for word, code in kind.actions.items()},
        operator_looks={word: wrapped(code) for word, code in kind.operator_looks.items()},
    )


def nothing(context: EffectContext) -> None:
    """An effect that was forgotten."""


def fails(run: Run) -> Result:
    raise ZeroDivisionError(run.operation.state)


PLANTED_IN_CODE = (
    coded("nothing of a swap is restored",
          over(SWAP_KIND, exchanging, "restored", lambda real, run, outputs: ()), "swap-late", "I12", "I11"),
    coded("any refusal of a swap counts as a clear one",
          attrs.evolve(SWAP_KIND, facts=lambda look: attrs.evolve(swap_facts(look), refused_for="request")),
          "swap", "I10", "I4", "I8"),
    coded("store_swapped stores nothing", other_effect(SWAP_KIND, "store_swapped", nothing), "swap", "I1", "I12"),
    coded("store_change stores nothing", other_effect(MELT_KIND, "store_change", nothing), "pay", "I12", "I11"),
    coded("spend_inputs forgets the inputs", other_effect(MELT_KIND, "spend_inputs", nothing), "pay", "I4"),
    coded("take_claim claims nothing", other_effect(MELT_KIND, "take_claim", nothing), "same-invoice", "I3"),
    coded("issue_token stores no proofs", other_effect(MINT_KIND, "issue_token", nothing), "issue", "I12", "I2"),
    coded("the facts call every send long ago",
          attrs.evolve(MELT_KIND, facts=lambda look: attrs.evolve(melt_facts(look), since_last_send_ms=1_000)),
          "trust", "I10", "I4"),
    coded("correct_spent corrects nothing", other_effect(MELT_KIND, "correct_spent", nothing), "release", "I1", "I4"),
    coded("no look asks for the signatures on a fence",
          over(MELT_KIND, find_fence_module, "alive", lambda real, op: ()), "release", "I11", "I12"),
    coded("outputs of an earlier generation are forgotten",
          over(MINT_KIND, mint_actions, "_generations", lambda real, op: real(op)[:1]), "stuck-issue", "I12", "I11"),
    coded("a melt is prepared without blanks",
          over(MELT_KIND, quote_module, "blanks_needed", lambda real, *args: 0), "pay", "I6"),
    coded("an action that fails", other_action(MELT_KIND, "collect_change", fails), "pay", "I8"),
)  # fmt: skip
"""Faults in actions, effects and facts: the tables are as they should be."""
