"""Melt, before anything is sent: the quote and the choice of inputs. Both only read."""

from __future__ import annotations

from .....machines.money import blanks_needed, owed_max
from .....machines.token.states import UNSPENT
from .....storage.evolve import evolve
from .....storage.records import Output, Reason
from .....storage.secret import Secret
from .... import errors as caller
from ....admission.discrepancy import corrected_sources
from ....cashu.answers import reason_of
from ....cashu.coins.outputs import blank_outputs
from ....cashu.keysets import MintSilent, NoUsableKeyset
from ....cashu.port import Failure, Refused
from ....cashu.wire import bodies
from ....checks.preflight_table import OURS
from ....loop.drive import Happened, NotYet, Pause, Result, Run
from ....loop.evidence import Chosen, Evidence, Selection
from ....tokens.proofs import name_of
from ...shared.asked import ask_inputs
from ...shared.preflight import confirmed_spent, inconsistent, report_about, with_names
from ..data import melt_of
from ..facts import fee_max_of
from .choice import Shortfall
from .reserved import funds_missing, funds_reserved
from .selection import look, select

NO_FOR_A_READ = frozenset({20003, 20006})
"""Disabled, and invoice already paid: a no to a read, though they prove nothing of what was sent."""


def ask_quote(run: Run) -> Result:
    """NUT-05 quote. One the machine would refuse is a refused quote."""
    op = run.operation
    assert op.request is not None
    if run.quoted is not None:
        known = Evidence(quote=run.quoted)
        if run.decide("quote_received", known).accepted:
            return Happened("quote_received", known)
    answer = run.mint.melt_quote(op.mint_url, op.request, op.unit)
    if isinstance(answer, Failure):
        reason = reason_of(answer, "no quote")
        refused = reason.code == "MINT_REFUSED"
        return _unless_it_may_be_asked_again(
            run,
            answer,
            Happened("quote_refused" if refused else "quote_unavailable", Evidence(reason=reason)),
        )
    evidence = Evidence(quote=answer)
    decision = run.decide("quote_received", evidence)
    if decision.accepted:
        run.quoted = answer
        return Happened("quote_received", evidence)
    first = decision.refusals[0]
    return Happened("quote_refused", Evidence(quote=answer, reason=Reason(first.code, first.sentence)))


def choose_inputs(run: Run) -> Result:
    """Choose proofs, ask the mint about them (pre-flight) and prepare the exact request."""
    try:
        return _choose(run)
    except MintSilent as silent:
        reason = reason_of(silent.answer, "mint not available")
        happened = Happened("quote_unavailable", Evidence(reason=reason))
        return _unless_it_may_be_asked_again(run, silent.answer, happened)
    except NoUsableKeyset as none:
        return Happened("quote_unavailable", Evidence(reason=Reason("NO_USABLE_KEYSET", str(none))))


def _unless_it_may_be_asked_again(run: Run, answer: Failure, happened: Happened) -> Happened:
    """The event for a failed read. Raises NotYet while nothing is stored, unless the mint refused."""
    said_no = isinstance(answer, Refused) and (answer.definitive or answer.code in NO_FOR_A_READ)
    if said_no or run.draft.stored:
        return happened
    raise NotYet(happened)


def _choose(run: Run) -> Result:
    op = run.operation
    _check_fee(run)
    need = op.amount + melt_of(op).fee_reserve
    pending: frozenset[Secret] = frozenset()
    for _ in range(run.settings.preflight_tries_max):
        seen = look(run.store, op, need, run.settings.candidate_tokens_max)
        found = select(
            run.store,
            op,
            need,
            lambda names: run.keysets.honoured_fees(op.mint_url, op.unit, names),
            tokens_max=run.settings.candidate_tokens_max,
            count_max=min(run.settings.proofs_per_operation_max, run.limits.of(op.mint_url)),
            bytes_max=run.settings.request_bytes_max,
            without=pending,
            first=seen,
        )
        if isinstance(found, Shortfall):
            return _funds_missing(run, found, bool(pending))
        _check_fee(run, found.input_fee)
        selection = with_names(found)
        if any(part.token.state != "unspent" for part in selection.chosen):
            # A named source was taken since it was checked; asking the mint would only confuse.
            return Happened("inputs_chosen", Evidence(selection=selection))
        asked = run.mint.check_states(op.mint_url, [name_of(proof) for proof in selection.proofs])
        if isinstance(asked, Failure):
            raise MintSilent(asked)
        spent = confirmed_spent(run, asked)
        report = report_about(selection.chosen, UNSPENT, asked)
        evidence = Evidence(
            selection=selection,
            preflight_spent=spent,
            states=asked,
            claim_holder=seen.claim_holder,
        )
        if spent:
            return Happened("preflight_blocked", evolve(evidence, reason=inconsistent(spent, report)))
        in_flight = frozenset(found.Y for found in report.discrepancies)
        if not in_flight:
            return _inputs_chosen(run, selection, evidence)
        pending |= {proof.secret for proof in selection.proofs if proof.Y in in_flight}
    reason = Reason("PROOFS_PENDING", "the mint calls too many proofs PENDING", retryable=True)
    happened = Happened("quote_unavailable", Evidence(reason=reason))
    if run.draft.stored:
        return happened
    raise NotYet(happened)


def _inputs_chosen(run: Run, selection: Selection, evidence: Evidence) -> Result:
    op = run.operation
    assert op.quote is not None
    owed = owed_max(selection.amount, op.amount, selection.input_fee)
    blanks: tuple[Output, ...] = ()
    if owed > 0:
        _, keyset = run.keysets.usable(op.mint_url, op.unit, up_to=owed)
        blanks = blank_outputs(keyset.id, blanks_needed(owed, keyset.keys), run.rng)
    body = bodies.melt_body(op.quote.id, selection.proofs, blanks)
    return Happened("inputs_chosen", evolve(evidence, blanks=blanks, request_body=body))


def _check_fee(run: Run, input_fee: int | None = None) -> None:
    """FEE_TOO_HIGH with its figures, before the mint is asked about the inputs; without ``input_fee`` before
    they are chosen. The machine's guard says the same of what is reserved in the end; of a stored operation
    it alone does."""
    op, most = run.operation, fee_max_of(run.operation, run.settings)
    reserve = melt_of(op).fee_reserve
    fee = reserve + (input_fee or 0)
    if run.draft.stored or fee <= most:
        return
    cost = (
        f"the fee reserve alone is {reserve} {op.unit}, and an input fee may be added; "
        if input_fee is None
        else f"it may cost up to {fee} {op.unit} (fee reserve {reserve}, input fee {input_fee}); "
    )
    raise caller.Refused(
        f"{cost}{most} allowed: name a higher fee_max, or use another mint",
        code="FEE_TOO_HIGH",
        fee=fee,
        fee_reserve=reserve,
        input_fee=input_fee or 0,
        fee_max=most,
        unit=op.unit,
    )


def _funds_missing(run: Run, short: Shortfall, some_pending: bool) -> Happened:
    op = run.operation
    lost = () if short.too_many else corrected_sources(run.store, op.policy.sources, op.npub)
    if lost:
        words = f"the named sources lack {short.missing} after what the mint calls SPENT was corrected"
        details = {"required": short.required, "available": short.available, "shortfall": short.missing}
        reason = Reason("MELT_BLOCKED_BY_RECONCILIATION", words, details={**details, "tokens": list(lost)})
        return Happened("funds_missing", Evidence(reason=reason))
    if short.covered and not run.draft.stored:
        raise funds_reserved(run, short, some_pending)
    reason = funds_missing(run, short, some_pending)
    return Happened("funds_missing", Evidence(reason=reason))


def start(run: Run) -> Result:
    """Pay, or let an outdated quote expire; a two-step melt waits for the caller's word."""
    op = run.operation
    assert op.quote is not None
    if run.judged_at() >= op.quote.expires_at:
        return Happened("expire")
    if op.policy.two_step:
        if not run.confirmed:
            return Pause(None)
        result = _between_the_steps(run)
        if result == Happened("pay") and run.now() >= op.quote.expires_at:
            return Pause(0.0)  # it ran out while the mint was asked; nothing is started after that
        return result
    return Happened("pay")


def _between_the_steps(run: Run) -> Result:
    """The caller says: pay. The mint's answer about the reserved proofs decides now, by the same table as
    at their choice. SPENT asks the quote first: if that is paid, the payment is followed to its end."""
    op = run.operation
    asked = ask_inputs(run)
    if isinstance(asked, Failure):
        return Happened("pay")  # not knowing is no reason to refuse what was prepared
    parts = [Chosen(token, token.proofs) for token in run.input_tokens()]
    ours = report_about(parts, OURS, asked)
    if "ask_quote" not in ours.actions:
        return Pause(run.back_off()) if "wait" in ours.actions else Happened("pay")
    assert op.quote is not None
    quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure) or quote.state not in ("PAID", "UNPAID"):
        return Pause(run.back_off())
    if quote.state == "PAID":
        return Happened("pay")  # the mint refuses to pay twice; then its quote is the proof
    try:
        spent = confirmed_spent(run, asked)
    except MintSilent:
        return Pause(run.back_off())
    if not spent:
        return Pause(run.back_off())  # the mint contradicts itself
    reason = inconsistent(spent, report_about(parts, UNSPENT, asked))
    return Happened("preflight_blocked", Evidence(preflight_spent=spent, states=asked, reason=reason))


def run_child(run: Run) -> Result:
    """Look after the child swap. Its record shares the commit of ``split_started``; if it is not
    there, the fate of the inputs is unknown, and a person must look."""
    child = run.store.operation(f"{run.operation.id}_swap")
    if child is not None and child.finished_at is None:
        return Pause(run.back_off())
    reason = Reason("CHILD_MISSING", "the child swap of this melt cannot be found or did not hand over")
    return Happened("child_parked", Evidence(reason=reason))
