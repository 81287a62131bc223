"""The product of token, operation, mint and crash, explored: what holds, what is known to break, and that
planted faults are found and can be played again."""

from __future__ import annotations

from functools import cache

import attrs
import pytest

from nutstate.engine.errors import KindInvalid
from nutstate.machines import MELT, MINT, SWAP, TOKEN
from nutstate.machines.record.table import RECORD
from nutstate.machines.spec import State
from nutstate.review import explore as product
from nutstate.review.explore import (
    BIG,
    DEFAULT,
    SETTINGS,
    BadScript,
    Exploration,
    Setting,
    Tables,
    explore,
    replay,
    written,
)
from nutstate.review.explore.explore import components
from tests.machines.product_mutants import PLANTED, PLANTED_IN_CODE, PLANTED_SWAPS, Planted, without

NEVER_TAKEN = {
    "2.quote_refused.requested": "the model's mint always quotes, or is silent",
    "4.expire.quoted": "the engine lets a quote expire only from prepared",
    "12.mint_unpaid.paying": "an answer to our own request comes without the states of the proofs",
    "14b.mint_unclear.paying": "the model's mint is unclear about a quote, not about a request",
    "14b.mint_unclear.refused": "the model's mint never both refuses and is unclear",
    "14b.mint_unclear.unpaid": "only trust asks the quote there, and the unclear mint is not trusted",
    "17b.too_old.settled": "documents are always read and checked",
    "22b.fence_done.stuck": "no setting has a second worker and an operator who releases",
    "24b.change_received.paid": "the model's mint signs what it owes",
    "36b.refusal_stands.refused": "the model's coins are all good",
    "37.paid_otherwise.watching": "nobody pays the same invoice anew; the engine's tests do",
    "37.paid_otherwise.stuck": "nobody pays the same invoice anew; the engine's tests do",
    "38.new_attempt.watching": "nobody pays the same invoice anew; the engine's tests do",
    "38.new_attempt.stuck": "nobody pays the same invoice anew; the engine's tests do",
    **{
        edge.id: "no drive fails in the model; the engine's tests make them fail"
        for edge in MINT.transitions
        if edge.event == "drive_failed"
    },
    **{
        edge.id: "no drive fails in the model; the engine's tests make them fail"
        for edge in MELT.transitions
        if edge.event == "drive_failed" and edge.source != "splitting"
    },
    "22b.fence_done.watching": "no setting has a second worker and an operator who releases",
    "22.fence_found.unpaid": "what is proven unpaid is fenced again or released; the fence is found there",
    "27.reconcile_failed.settled": "nobody tampers with the documents",
    "30.resolve.discrepant": "nobody tampers with the documents",
    "6.invoice_issued.quoted": "nobody else asks for our proofs",
    "6.invoice_issued.lapsed": "nobody else asks for our proofs",
    "10.restore_empty.restoring": "what is ISSUED was issued to us, and restore finds it when asked after that",
    "7.signatures_received.restoring": "no setting lets a second worker take an issue over",
    "7.signatures_received.attention": "no setting lets a second worker take an issue over",
    "8.mint_unreachable.issuing": "the same edge as reply_lost",
    "23d.fence_refused.fencing": "in the model a refusal is for good at once",
    "22c.fence_done.unknown": "no setting has a second worker and a coin that is refused",
    "22c.fence_done.pending": "no setting has a second worker and a coin that is refused",
    "22c.fence_done.attention": "no setting has a second worker and a coin that is refused",
    "22c.fence_done.unpaid": "no setting has a second worker and a coin that is refused",
    "22d.fence_done.stuck": "no setting has a second worker and an operator who releases",
    "22d.fence_done.watching": "no setting has a second worker and an operator who releases",
    "22c.fence_found.unpaid": "what is proven unpaid is fenced again or released; the fence is found there",
    "22c.fence_found.pending": "a payment with a coin that the mint refuses is never PENDING",
}
"""Edges no default setting takes, and why. Row 6 (child swaps of a
melt) stand outside of the model."""

NEVER_RECORDED = {
    "3b.record.held": "a hold has the claim already",
    "3b.record.contested": "a hold has the claim already",
    "5.hold_seen_pending.held": "the caller of the model has paid or has not",
    "9c.write_off.contested": "no operator gives up a payment that its caller recorded",
    "7.drive_failed.held": "no drive fails in the model; the engine's tests make them fail",
    "11.drive_failed.settled": "no drive fails in the model; the engine's tests make them fail",
    "11.too_old.settled": "documents are always read and checked",
    "10.reconcile_failed.settled": "nobody tampers with the documents",
    "12.resolve.discrepant": "nobody tampers with the documents",
}
"""Of melts that the caller makes."""


NEVER_SWAPPED = {
    "2.signatures_restored.swapping": "a worker that restores has not posted again",
    "2b.signatures_received.stuck": "no second worker waits for as long as a watch lasts",
    "3b.mint_unreachable.swapping": "the same edge as reply_lost",
    "9c.too_old.settled": "documents are always read and checked",
    "11.reconcile_failed.settled": "nobody tampers with the documents",
    "15.resolve.discrepant": "nobody tampers with the documents",
    **{
        edge.id: "no drive fails in the model; the engine's tests make them fail"
        for edge in SWAP.transitions
        if edge.event == "drive_failed"
    },
}
"""Of swaps."""


@cache
def explored(setting: Setting) -> Exploration:
    """Each setting once for all tests of this file."""
    return explore(setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", DEFAULT, ids=lambda setting: setting.name)
def test_every_reachable_state_keeps_the_invariants(setting: Setting) -> None:
    found = explored(setting)
    assert found.complete and found.violation is None, written(found)
    assert (
        found.states > (60 if setting.name == "hold" else 250 if setting.name.startswith("swap") else 400)
        and found.moves > found.states
    )
    for plan in setting.plans:
        ends = {words for end, _ in found.ends for words in end.split(", ") if words.startswith(plan.name)}
        # with a coin that the mint never takes nothing can be paid
        paid = "issued" if plan.kind == "mint" else "released" if setting.refuses else "reconciled"
        assert f"{plan.name} {paid}" in ends


@pytest.mark.parametrize(
    "planted", (*PLANTED, *PLANTED_SWAPS, *PLANTED_IN_CODE), ids=lambda planted: planted.name
)
def test_a_planted_fault_is_found_and_played_again(planted: Planted) -> None:
    """R510: a fault in a table or in the code of a kind breaks an invariant, and the way there can be played
    again."""
    setting = planted.explored_in()
    found = explore(setting)
    assert found.violation is not None, "not found"
    assert found.violation.what.partition(":")[0] in planted.finds, found.violation.what
    script = written(found)
    again = replay(script, settings={setting.name: setting})
    assert (again.outcome, again.what) == ("broken", found.violation.what)
    assert again.steps == found.violation.steps
    real = replay(script)
    assert real.outcome in ("held", "impossible"), f"{script}\n{real}"


@pytest.mark.slow
def test_the_model_takes_every_edge_but_a_few() -> None:
    taken: set[str] = set()
    for setting in DEFAULT:
        taken |= explored(setting).transitions
    edges = {edge.id for machine in (MELT, MINT) for edge in machine.transitions}
    outside = {
        edge.id for edge in MELT.transitions if edge.source == "splitting" or edge.id.startswith("6.")
    } - {edge.id for edge in MINT.transitions}
    assert edges - outside - taken == NEVER_TAKEN.keys()
    recorded = {edge.id for edge in RECORD.transitions} - edges
    assert recorded - taken == NEVER_RECORDED.keys()


def test_the_model_takes_every_edge_of_a_swap_but_a_few() -> None:
    """R663: and every reached state keeps the invariants."""
    taken: set[str] = set()
    for setting in DEFAULT:
        if {plan.kind for plan in setting.plans} == {SWAP.name}:
            found = explored(setting)
            assert found.complete and found.violation is None, written(found)
            taken |= found.transitions
    assert {edge.id for edge in SWAP.transitions} - taken == NEVER_SWAPPED.keys()


def test_force_ends_a_hold_of_which_the_mint_says_nothing() -> None:
    """R536: and the invariants hold; ``force`` does the same for a melt and a watch."""
    found = explore(SETTINGS["hold"])
    assert "9b.write_off.contested" in found.transitions and found.violation is None
    assert explore(attrs.evolve(SETTINGS["hold"], forces=False)).states < found.states


def test_a_payment_without_a_hold_is_recorded_whoever_has_its_tokens() -> None:
    """R537: it settles at once, or waits until the melt lets go."""
    found = explore(SETTINGS["unheld"])
    assert found.complete and found.violation is None, written(found)
    assert {"2.record.none", "2b.record.none", "8.sources_free.contested"} <= found.transitions


def test_the_same_setting_gives_the_same_answer() -> None:
    setting = PLANTED[0].explored_in()
    assert explore(setting) == explore(setting)
    assert explore(SETTINGS["trust"]) == explore(SETTINGS["trust"])


def test_more_crashes_reach_more_and_none_reaches_least() -> None:
    counts = [explore(attrs.evolve(SETTINGS["pay"], crashes=n)).states for n in (0, 1, 2)]
    assert counts == sorted(set(counts))


def test_a_limit_is_told() -> None:
    found = explore(SETTINGS["pay"], states_max=50)
    assert not found.complete and found.violation is None and found.states > 50


def test_names_are_distinct() -> None:
    every = (*DEFAULT, *BIG)
    assert len({setting.name for setting in every}) == len(every) == len(SETTINGS)
    assert all(setting.about for setting in every)


def test_a_machine_with_unknown_words_is_refused() -> None:
    odd = attrs.evolve(MELT, states=(*MELT.states, State("odd", "odd", action="dance")))
    with pytest.raises(KindInvalid, match="dance"):
        Tables().under(odd)
    edge = attrs.evolve(MELT.transitions[0], effects=("sing",))
    with pytest.raises(KindInvalid, match="sing"):
        SETTINGS["pay"].under(attrs.evolve(MELT, transitions=(edge, *MELT.transitions[1:])))


def test_a_script_says_what_cannot_happen() -> None:
    result = replay("setting: pay\nrequest m1  # a note\n\nm1 posts melt\n")
    assert (result.outcome, result.line, len(result.steps)) == ("impossible", 4, 1), result
    assert "m1 asks new quote: UNPAID" in result.possible
    assert replay("setting: pay\nrequest m1\n").outcome == "held"


@pytest.mark.parametrize("text", ["", "request m1", "setting: nowhere\nrequest m1", "# only a note"])
def test_what_is_no_script(text: str) -> None:
    with pytest.raises(BadScript):
        replay(text)


def test_only_what_broke_can_be_written() -> None:
    with pytest.raises(ValueError, match="holds"):
        written(explore(SETTINGS["trust"]))


def test_a_trap_is_played_again_only_under_its_tables() -> None:
    trapped = Tables().under(without(MELT, "17.too_old.pending"), TOKEN)
    found = explore(attrs.evolve(SETTINGS["pay"], tables=trapped))
    assert found.violation is not None and found.violation.what.startswith("I11")
    assert replay(written(found), trapped).what == found.violation.what
    assert replay(written(found)).outcome == "held"


def test_components_of_a_graph() -> None:
    onward = [[1], [2], [0, 3], [4], [], [5]]
    component = components(onward)
    assert component[0] == component[1] == component[2]
    assert len({component[n] for n in (0, 3, 4, 5)}) == 4


def test_everything_public_is_exported() -> None:
    assert all(hasattr(product, name) for name in product.__all__)
