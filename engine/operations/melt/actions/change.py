"""Melt, paid: the change that the mint owes, from its answer, its quote or NUT-09."""

from __future__ import annotations

from .....storage.evolve import evolve
from .....storage.records import Output, Proof, Reason
from .....storage.secret import Secret
from ....cashu.answers import state_unclear
from ....cashu.coins.outputs import BadSignature, blinded, unblind
from ....cashu.keysets import MintSilent
from ....cashu.port import Ambiguous, BlindSignature, Failure, MeltQuote, Restored
from ....loop.drive import CommitFirst, Happened, Pause, Result, Run
from ....loop.evidence import Evidence
from ...shared.asked import settled_states
from ..data import melt_of


def collect_change(run: Run) -> Result:
    """Change from the answer in hand, else from the quote, else by NUT-09.
    There is no change only if quote and restore both say so, twice, at least a change window apart."""
    op = run.operation
    if run.decide("change_complete_empty", Evidence()).accepted:
        return Happened("change_complete_empty")
    in_hand = _change_event(run, run.evidence)
    if in_hand is not None:
        return in_hand
    if run.draft.dirty:
        return CommitFirst()
    assert op.quote is not None
    answer = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(answer, MeltQuote):
        found = _change_event(run, with_change(run, answer, Evidence(quote=answer)))
        if found is not None:
            return found
    quote = answer if isinstance(answer, MeltQuote) else None
    proofs, restore_is_empty = restore_change(run, quote)
    found = _change_event(run, Evidence(proofs=proofs, proofs_verified=True)) if proofs else None
    if found is not None:
        return found
    quote_is_empty = quote is not None and quote.state == "PAID" and not quote.change
    if quote_is_empty and restore_is_empty:
        empty = Evidence(change_seen_empty=True)
        for event in ("change_seen_empty", "change_complete_empty"):
            if run.decide(event, empty).accepted:
                return Happened(event, empty)
    if melt_of(op).change_empty_since is not None:
        return Pause(run.back_off())  # it was empty before; only another clear answer decides
    reason = Reason(
        "CHANGE_MISSING", "the mint paid, but it did not give back the change that it owes", retryable=True
    )
    return Happened("change_missing", Evidence(reason=reason))


def _change_event(run: Run, evidence: Evidence) -> Happened | None:
    if evidence.proofs and run.decide("change_received", evidence).accepted:
        return Happened("change_received", evidence)
    return None


def change_now(run: Run, quote: MeltQuote) -> Evidence:
    """For a payment that waits for its change: the change that quote or restore show now."""
    found = with_change(run, quote, Evidence(quote=quote))
    if change_complete(run, found):
        return found
    proofs, _ = restore_change(run, quote)
    return Evidence(quote=quote, proofs=proofs or None, proofs_verified=bool(proofs))


def change_complete(run: Run, evidence: Evidence) -> bool:
    """Whether leaving ``attention`` for ``paid`` would end with this change."""
    return run.decide("mint_paid", evidence).accepted


def restore_change(run: Run, quote: MeltQuote | None) -> tuple[tuple[Proof, ...], bool]:
    """The change from NUT-09 and from the quote, together, and whether restore clearly answered that there is
    none. A mint that does not announce NUT-09 has no more to say than its quote. Change of which
    one signature cannot be read or opened is not complete, so none of it is given."""
    op = run.operation
    restored = run.mint.restore(op.mint_url, blinded(melt_of(op).blanks))
    if isinstance(restored, Failure):
        try:
            return (), not run.keysets.info(op.mint_url).supports(9)
        except MintSilent:
            return (), False
    if restored.is_empty:
        return (), True
    if restored.unreadable:
        return (), False
    opened, missing = _opened(run, _pairs(run, quote, restored))
    return (() if missing else tuple(opened.values())), False


def _opened(
    run: Run, pairs: list[tuple[Output, BlindSignature | None]]
) -> tuple[dict[Secret, Proof], set[Secret]]:
    """The first signature on each blank that opens, and the blanks that are signed but none opens."""
    opened: dict[Secret, Proof] = {}
    missing: set[Secret] = set()
    for output, signature in pairs:
        if output.secret in opened:
            continue
        try:
            proofs = unblind((output,), (signature,), run.keys)
        except (BadSignature, MintSilent):
            missing.add(output.secret)
            continue
        if proofs:
            opened[output.secret] = proofs[0]
    return opened, missing - opened.keys()


def change_at_last(run: Run, force: bool) -> Evidence:
    """For an operator who gives up: the quote as it is now; if it is paid, every signature on our blanks
    that opens; else the states of the inputs, asked twice, and the quote after them:
    a late request may be executed in between. Raises MintSilent for what is not answered; with ``force``
    only that stays unknown."""
    op = run.operation
    assert op.quote is not None
    states, quote = None, run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if melt_of(op).payment is None and (isinstance(quote, Failure) or quote.state != "PAID"):
        states = settled_states(run, force)
        quote = run.mint.melt_quote_state(op.mint_url, op.quote.id)
    if isinstance(quote, Failure):
        if not force:
            raise MintSilent(quote)
        return Evidence(states=states, forced=force)
    if melt_of(op).payment is None and quote.state != "PAID":
        unclear = state_unclear(quote)
        if unclear is not None and not force:
            raise MintSilent(Ambiguous(unclear.message))
        return Evidence(quote=quote, states=states, forced=force)
    restored = run.mint.restore(op.mint_url, blinded(melt_of(op).blanks))
    opened, _ = _opened(run, _pairs(run, quote, None if isinstance(restored, Failure) else restored))
    return Evidence(quote=quote, proofs=tuple(opened.values()), proofs_verified=True)


def _pairs(
    run: Run, quote: MeltQuote | None, restored: Restored | None
) -> list[tuple[Output, BlindSignature | None]]:
    """Every signature on our blanks: those of the quote by index, then those of restore by B_."""
    blanks = melt_of(run.operation).blanks
    found: list[tuple[Output, BlindSignature | None]] = []
    if quote is not None:
        found += zip(blanks, quote.change, strict=False)
    if restored is not None:
        by_message = {output.B_: output for output in blanks}
        pairs = zip(restored.outputs, restored.signatures, strict=True)
        found += [(by_message[m.B_], signature) for m, signature in pairs if m.B_ in by_message]
    return found


def with_change(run: Run, quote: MeltQuote, evidence: Evidence) -> Evidence:
    """Open the change that came with an answer. Signatures that fail verification are ignored; restore is
    asked later."""
    if quote.state != "PAID" or not quote.change:
        return evidence
    try:
        proofs = unblind(melt_of(run.operation).blanks, quote.change, run.keys)
    except (BadSignature, MintSilent):
        return evidence
    return evolve(evidence, proofs=proofs, proofs_verified=True)
