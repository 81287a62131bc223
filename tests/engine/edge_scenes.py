"""For every edge of the melt and mint machines: evidence under which it is accepted, and what must be
true around it. The walk in test_edges.py takes each edge through a store with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nutstate.engine.evidence import Chosen, Evidence, Selection
from nutstate.engine.mint import wire
from nutstate.engine.mint.port import MeltQuote, MintQuote, ProofState, Refused
from nutstate.engine.run import Run
from nutstate.machines.spec import Transition
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Fence, Output, Reason
from nutstate.storage.secret import Secret
from tests.support.clock import FakeClock
from tests.support.wallet import fake_proof

HOUR_MS = 3_600_000
AMOUNT, RESERVE, INPUT_FEE = 100, 5, 1
WHY = Reason("TEST", "because", details={"n": 1})
Scene = Callable[[Run, FakeClock, Transition[Any]], Evidence]


def unspent_selection(run: Run, *, everything: bool = False) -> Selection:
    """105 + 1 of the wallet's 128+64 tokens, leaving something behind; or two whole tokens."""
    op = run.operation
    tokens = run.store.tokens(TokenQuery(npub=op.npub, states=("unspent",), parent=None))
    first = next(t for t in tokens if t.transaction_id == "tx_deposit_1_deposit")
    second = next(t for t in tokens if t.transaction_id == "tx_deposit_2_deposit")
    take = first.proofs if everything else first.proofs[:2]
    return Selection((Chosen(first, take), Chosen(second, second.proofs)), INPUT_FEE)


def quote(run: Run, state: str = "UNPAID", **more: Any) -> MeltQuote:
    request = run.operation.request
    return MeltQuote(
        f"quote-{run.operation.id}", AMOUNT, RESERVE, state, run.now() + HOUR_MS, request, "sat", **more
    )


def names(run: Run, state: str) -> tuple[ProofState, ...]:
    return tuple(ProofState(str(proof.Y), state) for proof in run.input_proofs())


def _outputs(run: Run, label: str, amounts: tuple[int, ...]) -> tuple[Output, ...]:
    made = []
    for n, amount in enumerate(amounts):
        proof = fake_proof(max(amount, 1), f"{run.operation.id}-{label}-{n}")
        made.append(Output(proof.id, amount, proof.C.reveal(), proof.secret, Secret("11" * 32)))
    return tuple(made)


def _worth(run: Run, label: str, amount: int) -> tuple[Any, ...]:
    bits = [1 << b for b in range(amount.bit_length()) if amount >> b & 1]
    return tuple(fake_proof(bit, f"{run.operation.id}-{label}-{bit}") for bit in bits)


def nothing(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(reason=WHY)


def quoted(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run))


def chosen(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    selection = unspent_selection(run)
    return Evidence(
        selection=selection,
        preflight_spent=frozenset(),
        blanks=_outputs(run, "blank", (0, 0, 0)),
        request_body=wire.melt_body(f"quote-{run.operation.id}", selection.proofs),
        exact_inputs_wanted=edge.event == "split_started",
    )


def short(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(reason=WHY)


def blocked(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    if edge.source == "prepared":
        return Evidence(preflight_spent=frozenset({str(run.input_proofs()[0].Y)}), reason=WHY)
    selection = unspent_selection(run)
    return Evidence(selection=selection, preflight_spent=frozenset({str(selection.proofs[0].Y)}), reason=WHY)


def expired(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    assert run.operation.quote is not None
    clock.advance((run.operation.quote.expires_at - clock.now()) / 1000 + 1)
    return Evidence()


def split_done(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(
        proofs=_worth(run, "split", AMOUNT + RESERVE + INPUT_FEE),
        selection=unspent_selection_of_split(run),
        blanks=_outputs(run, "blank", (0, 0, 0)),
        request_body=Secret(f"body-{run.operation.id}"),
    )


def unspent_selection_of_split(run: Run) -> Selection:
    return Selection((), INPUT_FEE)


def ended_unspent(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(child_ended_unspent=True, reason=WHY)


def says(state: str) -> Scene:
    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        evidence = Evidence(quote=quote(run, state), reason=WHY)
        if edge.source == "attention" and state == "PAID" and run.operation.payment is not None:
            change = _worth(run, "change", 2)
            evidence = attrs.evolve(evidence, proofs=change, proofs_verified=True)
        if edge.source == "watching":
            first = run.input_tokens()[0].proofs[0]
            evidence = attrs.evolve(evidence, preflight_spent=frozenset({str(first.Y)}))
        return evidence

    return scene


def proven_unpaid(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(quote=quote(run), states=names(run, "UNSPENT"))


def not_proven(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run), states=names(run, "PENDING"))


def spent_elsewhere(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run), states=names(run, "SPENT"), fence_outputs_asked=True, reason=WHY)


def too_old(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.unknown_age_max_h * 3600 + 1)
    return Evidence(reason=WHY)


def fence(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    worth = sum(part.amount for part in run.operation.inputs) - INPUT_FEE
    generation = len(run.operation.fences) + 1
    outputs = _outputs(run, f"fence{generation}", (worth,))
    made = Fence(generation, outputs, Secret(f"fence-{generation}"), INPUT_FEE)
    return Evidence(fence=made, mint_can_swap=True, mint_can_restore=True)


def fenced(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    worth = sum(part.amount for part in run.operation.inputs) - INPUT_FEE
    made = (*run.operation.fences, Fence(1, (), Secret("f"), INPUT_FEE))[0]
    return Evidence(fence=made, proofs=_worth(run, "fenced", worth), proofs_verified=True)


def fence_refused(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    code = 11001 if edge.dest == "unknown" else 12002
    return Evidence(answer=Refused(code, "no", code == 12002), fence_outputs_asked=True, reason=WHY)


def watched(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.watch_window_h * 3600 + 1)
    return Evidence(quote=quote(run))


def change(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(proofs=_worth(run, "change", 2), proofs_verified=True)


def no_change(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.change_window_s + 1)
    return Evidence(change_seen_empty=True)


def seen_empty(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(change_seen_empty=True)


def on_its_word(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    if edge.source == "unpaid":
        return Evidence()
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(quote=quote(run), states=names(run, "UNSPENT"), operator_reason="trust it")


def given_up(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint says at last: one input is spent elsewhere, the others are not, the quote is UNPAID."""
    spent, *rest = run.input_proofs()
    states = (ProofState(str(spent.Y), "SPENT"), *(ProofState(str(p.Y), "UNSPENT") for p in rest))
    if edge.dest == "settled":
        return Evidence(proofs=_worth(run, "change", 1), proofs_verified=True, operator_reason="gone")
    return Evidence(quote=quote(run), states=states, operator_reason="gone")


def window_over(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.change_window_s + 1)
    return Evidence(reason=WHY)


def checked(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    bad = ("a document is missing",) if edge.event == "reconcile_failed" else ()
    return Evidence(checks_performed=9, discrepancies=bad, reason=WHY if bad else None)


def operator(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(operator_reason="looked at it")


def recorded(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    selection = unspent_selection(run)
    returned = _worth(run, "change", 2)
    fee = selection.amount - AMOUNT - 2
    return Evidence(selection=selection, proofs=returned, proofs_verified=True, recorded_fee=fee)


MELT: dict[str, Scene] = {
    "request": nothing, "record": recorded, "cancel": nothing, "quote_received": quoted,
    "quote_refused": nothing, "quote_unavailable": nothing, "inputs_chosen": chosen,
    "funds_missing": short, "preflight_blocked": blocked, "split_started": chosen, "split_done": split_done,
    "split_failed": ended_unspent, "child_parked": nothing, "pay": nothing, "expire": expired,
    "mint_paid": says("PAID"), "mint_pending": says("PENDING"), "mint_refused": nothing,
    "reply_lost": nothing, "mint_unreachable": nothing, "inputs_spent_elsewhere": spent_elsewhere,
    "too_old": too_old, "retry": nothing, "fence": fence, "fence_impossible": nothing,
    "fence_done": fenced, "fence_found": fenced, "fence_refused": fence_refused, "release": on_its_word,
    "watch_over": watched, "change_received": change, "change_complete_empty": no_change,
    "change_missing": window_over, "change_seen_empty": seen_empty,
    "reconcile_passed": checked, "reconcile_failed": checked,
    "recover": nothing, "resume": operator, "write_off": given_up, "resolve": operator,
}  # fmt: skip


def melt_scene(edge: Transition[Any]) -> Scene:
    if edge.event == "mint_unpaid":
        return proven_unpaid if edge.dest == "unpaid" else not_proven
    return MELT[edge.event]


# -- mint ----------------------------------------------------------------------------------------------


def mint_quote(run: Run, state: str) -> MintQuote:
    return MintQuote(f"quote-{run.operation.id}", Secret("lnbc1"), state, run.now() + HOUR_MS, AMOUNT, "sat")


def mint_says(state: str, outdated: bool = False) -> Scene:
    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        return Evidence(
            mint_quote=mint_quote(run, state),
            outputs=_outputs(run, f"out{len(run.operation.fences)}", (4, 32, 64)),
            request_body=Secret("mint body"),
            restored_none=True,
            outputs_outdated=outdated,
            reason=WHY,
        )

    return scene


def dead(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    expired(run, clock, edge)
    return Evidence(mint_quote=mint_quote(run, "UNPAID"))


def issued(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(proofs=_worth(run, "issued", AMOUNT), proofs_verified=True)


def mint_too_old(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    expired(run, clock, edge)
    clock.advance(run.settings.unknown_age_max_h * 3600 + 1)
    return Evidence(reason=WHY)


MINT: dict[str, Scene] = {
    "request": nothing, "cancel": nothing, "recover": nothing, "quote_received": mint_says("UNPAID"),
    "quote_refused": nothing, "quote_unavailable": nothing, "invoice_paid": mint_says("PAID"),
    "invoice_issued": mint_says("ISSUED"), "expire": dead, "signatures_received": issued,
    "signatures_restored": issued, "mint_refused": nothing, "reply_lost": nothing,
    "mint_unreachable": nothing, "resume": operator, "write_off": operator, "too_old": mint_too_old,
}  # fmt: skip


def mint_scene(edge: Transition[Any]) -> Scene:
    if edge.event == "restore_empty":
        if edge.id.startswith("10."):
            return mint_says("ISSUED")
        return mint_says("PAID", outdated=edge.id.startswith("9a."))
    return MINT[edge.event]
