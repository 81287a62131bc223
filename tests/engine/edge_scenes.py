"""For every edge of the melt machine: evidence under which it is accepted, and what must be true around
it. The walks in edge_walks.py take each edge through a store with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nutstate.engine.admission import new_operation
from nutstate.engine.cashu.port import MeltQuote, ProofState, Refused
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.loop.draft import Draft
from nutstate.engine.loop.drive import Happened, Run
from nutstate.engine.loop.driver import Driver
from nutstate.engine.loop.evidence import Chosen, Evidence, Selection
from nutstate.engine.loop.log import Log
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.engine.operations.melt.data import melt_of
from nutstate.engine.operations.melt.fences import fenced_amount
from nutstate.engine.ports import NoFaults, Worker
from nutstate.engine.tokens.proofs import name_of
from nutstate.machines import MELT as MELT_MACHINE
from nutstate.machines.registry import latest
from nutstate.machines.spec import Transition
from nutstate.storage.batch import proof_key
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Fence, Output, Proof, Reason
from nutstate.storage.secret import Secret
from tests.support.clock import FakeClock
from tests.support.data import data_in
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


def sent_names(run: Run, state: str) -> tuple[ProofState, ...]:
    """What the mint says of the proofs in the request, wherever they are by now."""
    sent = melt_of(run.operation).sent_secrets()
    held = [proof for token in run.draft.all_tokens() for proof in token.proofs]
    return tuple(ProofState(name_of(proof), state) for proof in held if proof.secret in sent)


def outputs_of(run: Run, label: str, amounts: tuple[int, ...]) -> tuple[Output, ...]:
    """Blinded messages of the right shape."""
    made = []
    for n, amount in enumerate(amounts):
        proof = fake_proof(max(amount, 1), f"{run.operation.id}-{label}-{n}")
        made.append(Output(proof.id, amount, proof.C.reveal(), proof.secret, Secret("11" * 32)))
    return tuple(made)


def worth_of(run: Run, label: str, amount: int) -> tuple[Any, ...]:
    """Proofs worth ``amount``, named after the operation and ``label``."""
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
        blanks=outputs_of(run, "blank", (0, 0, 0)),
        request_body=bodies.melt_body(f"quote-{run.operation.id}", selection.proofs),
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
        proofs=worth_of(run, "split", AMOUNT + RESERVE + INPUT_FEE),
        selection=unspent_selection_of_split(run),
        blanks=outputs_of(run, "blank", (0, 0, 0)),
        request_body=Secret(f"body-{run.operation.id}"),
    )


def unspent_selection_of_split(run: Run) -> Selection:
    return Selection((), INPUT_FEE)


def ended_unspent(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(child_ended_unspent=True, reason=WHY)


def says(state: str) -> Scene:
    def scene(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
        evidence = Evidence(quote=quote(run, state), reason=WHY)
        if edge.source == "attention" and state == "PAID" and data_in(run.operation).payment is not None:
            change = worth_of(run, "change", 2)
            evidence = attrs.evolve(evidence, proofs=change, proofs_verified=True)
        if edge.source in ("watching", "stuck") and edge.event == "mint_paid":
            evidence = attrs.evolve(evidence, states=sent_names(run, "SPENT"))
        return evidence

    return scene


def unclear(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint names an unknown state; in ``unknown`` it is news only if it was not told before."""
    if edge.source == "unknown":
        run.draft.set(reason=None)
    return Evidence(quote=quote(run, "UNKNOWN"), reason=Reason("MINT_STATE_UNKNOWN", "the mint says FAILED"))


def refused(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint answers the request with an error: a clear one where the edge leads to ``refused``."""
    if edge.dest != "refused":
        return Evidence(reason=WHY)
    code = 10001 if run.operation.policy.fee_max == BLAMED else 20004
    return Evidence(answer=Refused(code, "no", code == 10001), reason=WHY)


BLAMED = 1_000_000
"""The fee_max of a walk on which the mint blames a coin."""


def confirmed(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.refusal_window_s + 1)
    return Evidence(quote=quote(run), states=names(run, "UNSPENT"))


def paid_by_another(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run, "PAID"), states=sent_names(run, "UNSPENT"))


def failing(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    run.draft.set(failures=run.settings.drive_failures_max)
    return Evidence(reason=WHY)


def proven_unpaid(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    return Evidence(quote=quote(run), states=names(run, "UNSPENT"))


def not_proven(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run), states=names(run, "PENDING"))


def spent_elsewhere(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(quote=quote(run), states=names(run, "SPENT"), fence_outputs_asked=True, reason=WHY)


def too_old(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    since = run.settings.watch_window_h * 3600 if edge.source == "watching" else 0
    clock.advance(run.settings.unknown_age_max_h * 3600 + since + 1)
    return Evidence(reason=WHY)


def fence(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    evidence = Evidence(fence=made_fence(run), mint_can_swap=True, mint_can_restore=True)
    if edge.source == "unpaid":
        return evidence
    clock.advance(run.settings.settle_window_s + 1)
    return attrs.evolve(evidence, quote=quote(run, "UNKNOWN"), states=names(run, "UNSPENT"))


def made_fence(run: Run, whole: bool = True) -> Fence:
    """A fence of all inputs, or of the last of them in two tokens, both of which it would break."""
    generation, sent = len(data_in(run.operation).fences) + 1, melt_of(run.operation).sent_keys()
    keys = () if whole else (sent[0], sent[-1])
    amounts = {proof_key(p.secret): p.amount for p in every_proof(run)}
    worth = sum(amounts[key] for key in keys or sent) - INPUT_FEE
    return Fence(generation, outputs_of(run, f"fence{generation}", (worth,)), INPUT_FEE, keys)


def every_proof(run: Run) -> list[Proof]:
    """The proofs of the operation's inputs, wherever they are."""
    return [
        proof for token in run.store.tokens(TokenQuery(npub=run.operation.npub)) for proof in token.proofs
    ]


def fenced(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The first fence, of all inputs; for rows about a part one that is not stored, as if it had been."""
    part = edge.id[:3] in ("22c", "22d")
    made = made_fence(run, whole=False) if part else (*data_in(run.operation).fences, made_fence(run))[0]
    if part:
        run.set_data(fences=(*data_in(run.operation).fences, made))
    return Evidence(fence=made, proofs=worth_of(run, "fenced", fenced_amount(made)), proofs_verified=True)


def fence_refused(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    code = 11001 if edge.dest == "unknown" else 12002
    evidence = Evidence(answer=Refused(code, "no", code == 12002), fence_outputs_asked=True, reason=WHY)
    return {
        "23b": attrs.evolve(evidence, fence_renewable=True),
        "23c": attrs.evolve(evidence, fence_end="refused"),
    }.get(edge.id[:3], evidence)


def cannot_be_fenced(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The first proof of the first input; for the rows that end, all that is left."""
    left = tuple(proof_key(proof.secret) for proof in run.input_proofs())
    return Evidence(strand=left[:1] if edge.id.startswith("19b") else left, reason=WHY)


def watched(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.watch_window_h * 3600 + 1)
    return Evidence(quote=quote(run))


def change(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(
        proofs=worth_of(run, "change", 64 if edge.id.startswith("24b") else 2), proofs_verified=True
    )


def no_change(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.change_window_s + 1)
    return Evidence(change_seen_empty=True)


def seen_empty(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(change_seen_empty=True)


def on_its_word(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.settle_window_s + 1)
    word = "" if edge.source == "unpaid" else "trust it"
    return Evidence(quote=quote(run), states=names(run, "UNSPENT"), operator_reason=word)


def given_up(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    """The mint says at last: one input is spent elsewhere, the others are not, the quote is UNPAID."""
    if edge.id.startswith("29c."):
        pending = quote(run, "PENDING")
        return Evidence(quote=pending, states=names(run, "PENDING"), operator_reason="for ever", forced=True)
    if edge.source == "stuck":
        said = quote(run) if edge.dest == "released" else None
        return Evidence(quote=said, operator_reason="restore never answers")
    spent, *rest = run.input_proofs()
    states = (ProofState(str(spent.Y), "SPENT"), *(ProofState(str(p.Y), "UNSPENT") for p in rest))
    if edge.dest == "settled":
        return Evidence(proofs=worth_of(run, "change", 1), proofs_verified=True, operator_reason="gone")
    return Evidence(quote=quote(run), states=states, operator_reason="gone")


def window_over(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    clock.advance(run.settings.change_window_s + 1)
    return Evidence(reason=WHY)


def checked(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    bad = ("a document is missing",) if edge.event == "reconcile_failed" else ()
    return Evidence(checks_performed=9, discrepancies=bad, reason=WHY if bad else None)


def operator(run: Run, clock: FakeClock, edge: Transition[Any]) -> Evidence:
    return Evidence(operator_reason="looked at it")


OTHER = "tx_melt_of_somebody_else"
OTHER_HASH = "cd" * 32


def somebody_else(run: Run) -> None:
    """Another melt prepares to pay with the small token; it claims a payment hash of its own."""
    op = new_operation.new_operation(
        latest("melt"), now=run.now(), npub=run.operation.npub, mint_url=run.mint_url, unit="sat", amount=5,
        transaction_id=OTHER, request=Secret("lnbc1other"), payment_hash=OTHER_HASH,
    )  # fmt: skip
    other = Run(
        BUILT_IN,
        Draft(MELT_MACHINE, op, False, "test"),
        run.store,
        run.mint,
        run.keysets,
        run.settings,
        run.clock,
    )
    driver = driver_of(run)
    second = run.store.token("tx_deposit_2_deposit")
    assert second is not None
    price = MeltQuote("quote-other", 5, 2, "UNPAID", run.now() + HOUR_MS, Secret("lnbc1other"), "sat")
    taken = Evidence(
        selection=Selection((Chosen(second, second.proofs),), INPUT_FEE),
        preflight_spent=frozenset(),
        request_body=Secret("other"),
    )
    assert driver.take(other, Happened("request"))
    assert driver.take(other, Happened("quote_received", Evidence(quote=price)))
    assert driver.take(other, Happened("inputs_chosen", taken))
    driver.commit(other)


def strand(run: Run, token_id: str) -> None:
    """Another melt finds that the mint will not take this token."""
    op = new_operation.new_operation(
        latest("melt"), now=run.now(), npub=run.operation.npub, mint_url=run.mint_url, unit="sat", amount=5,
        transaction_id="tx_melt_that_strands", request=Secret("lnbc1strands"), payment_hash="ef" * 32,
    )  # fmt: skip
    draft = Draft(MELT_MACHINE, op, False, "test")
    other = Run(BUILT_IN, draft, run.store, run.mint, run.keysets, run.settings, run.clock)
    driver = driver_of(run)
    token = run.store.token(token_id)
    assert token is not None
    assert driver.take(other, Happened("request"))
    draft.load([token])
    draft.change_token(token_id, "reserve", run.now())
    draft.change_token(token_id, "strand", run.now(), mint_refuses=True)
    driver.commit(other)


def somebody_else_ends(run: Run) -> None:
    """The other melt is cancelled; what it held is free again."""
    stored = run.store.operation(OTHER)
    assert stored is not None
    driver = driver_of(run)
    draft = driver.open_draft(stored, "test")
    other = Run(BUILT_IN, draft, run.store, run.mint, run.keysets, run.settings, run.clock)
    assert driver.take(other, Happened("cancel"))
    driver.commit(other)
    run.draft = driver.open_draft(run.operation, "test")


def beside(run: Run, draft: Draft) -> Run:
    """A drive of another operation at the same store and mint."""
    return Run(BUILT_IN, draft, run.store, run.mint, run.keysets, run.settings, run.clock)


def driver_of(run: Run) -> Driver:
    return Driver(BUILT_IN, run.store, run.settings, run.clock, Worker(), NoFaults(), Log(None))


MELT: dict[str, Scene] = {
    "request": nothing, "cancel": nothing,
    "quote_received": quoted,
    "quote_refused": nothing, "quote_unavailable": nothing, "inputs_chosen": chosen,
    "funds_missing": short, "preflight_blocked": blocked, "split_started": chosen, "split_done": split_done,
    "split_failed": ended_unspent, "child_parked": nothing, "pay": nothing, "expire": expired,
    "mint_paid": says("PAID"), "mint_pending": says("PENDING"), "mint_refused": refused,
    "mint_unclear": unclear, "refusal_seen": confirmed, "refusal_stands": confirmed,
    "paid_otherwise": paid_by_another, "new_attempt": nothing, "drive_failed": failing,
    "reply_lost": nothing, "mint_unreachable": nothing, "inputs_spent_elsewhere": spent_elsewhere,
    "too_old": too_old, "retry": nothing, "fence": fence, "fence_impossible": nothing,
    "strand": cannot_be_fenced,
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
