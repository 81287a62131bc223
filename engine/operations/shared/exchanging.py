"""An exchange in flight, a swap or a receive: post the stored request, and ask what became of it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from ....storage.records import Reason
from ...cashu.answers import names_inputs, post_failed, reason_of, too_many_inputs
from ...cashu.coins.crypto import y_of
from ...cashu.keysets import MintSilent
from ...cashu.port import Failure, ProofState, Refused
from ...loop.drive import Happened, Pause, Result, Run
from ...loop.effect_context import EffectContext
from ...loop.evidence import Evidence
from .exchange import Exchanging, as_sent
from .outputs import post_swap as post
from .outputs import restored

_DECIDING = ("refusal_stands", "refusal_seen", "resend", "give_up", "watch_over")
"""Events that rest on unsigned outputs and UNSPENT inputs, in the order in which they are tried."""


@frozen
class Said:
    """The reasons that a kind of exchange gives: ``gone`` when the mint calls its inputs SPENT without
    signing an output of ours, ``not_done`` when the mint does not carry it out."""

    gone: Reason
    not_done: Callable[[Run], Reason]


def exchange_of(run: Run) -> Exchanging:
    """The data of the exchange."""
    data: Exchanging = run.data
    return data


def post_exchange(run: Run) -> Result:
    """Send the bytes that were stored, unchanged. A failure here proves nothing."""
    data = exchange_of(run)
    assert data.request_body is not None
    answer = post(run, data.request_body, as_sent(data.blanks))
    if not isinstance(answer, Failure):
        return Happened("signatures_received", Evidence(proofs=answer, proofs_verified=True))
    if too_many_inputs(answer):
        run.limits.learn(run.mint_url, len(data.sent_keys()))
    useless = isinstance(answer, Refused) and _keyset_is_gone(run)
    evidence = Evidence(answer=answer, outputs_useless=useless, reason=reason_of(answer, "swap request"))
    return Happened(post_failed(answer), evidence)


def _keyset_is_gone(run: Run) -> bool:
    """Whether the mint has stopped signing with the keyset of the stored outputs."""
    try:
        listed = run.keysets.listed(run.mint_url, refresh=True)
    except MintSilent:
        return False
    active = {keyset.id for keyset in listed if keyset.active}
    return exchange_of(run).blanks[0].id not in active


def clear_refusal(evidence: Evidence) -> str | None:
    """The cause of a refusal that the mint itself gave and that proves that it did not carry the request out:
    ``keyset`` (that of the outputs is not used any more), ``coin`` (an input) or ``request`` (anything else).
    None: the answer does not prove that."""
    answer = evidence.answer
    if not isinstance(answer, Refused):
        return None
    if evidence.outputs_useless:
        return "keyset"
    if not answer.definitive:
        return None
    return "coin" if names_inputs(answer) else "request"


def ask_outcome(run: Run, said: Said) -> Result:
    """Restore first; only when no output is signed the inputs decide."""
    wait = _wait_s(run)
    if wait > 0:
        return Pause(wait)
    found = _signed(run)
    if isinstance(found, Happened):
        return found
    states = ask_sent(run)
    if isinstance(states, Failure):
        return Happened(post_failed(states), Evidence(answer=states))
    if any(state.state == "SPENT" for state in states):
        found = _signed(run)  # the request may have been executed between the two questions
        if isinstance(found, Happened):
            return found
        evidence = Evidence(states=states, restored_none=True, reason=said.gone)
        if run.decide("watch_over", evidence).accepted:  # after a release other operations spend the inputs
            return Happened("watch_over", evidence)
        return Happened("inputs_spent_elsewhere", evidence)
    evidence = Evidence(states=states, restored_none=True, reason=said.not_done(run))
    for event in _DECIDING:
        if run.decide(event, evidence).accepted:
            return Happened(event, evidence)
    return Happened("nothing_signed", evidence)


def ask_sent(run: Run) -> tuple[ProofState, ...] | Failure:
    """NUT-07 states of every proof in the stored request, wherever these proofs are by now."""
    secrets = sorted(secret.reveal() for secret in exchange_of(run).sent_secrets())
    return run.mint.check_states(run.mint_url, [y_of(secret) for secret in secrets])


def signed_outputs(run: Run) -> Evidence | None:
    """The proofs of those outputs that the mint has signed, as evidence. None when that is not known."""
    proofs = restored(run, exchange_of(run).blanks)
    if proofs is None:
        return None
    return Evidence(proofs=proofs, proofs_verified=bool(proofs), restored_none=not proofs)


def _signed(run: Run) -> Happened | None:
    """The event when the outputs are signed, or when the mint does not tell. None: it signed none of them."""
    found = signed_outputs(run)
    if found is None:
        return Happened("mint_unreachable")
    if not found.proofs:
        return None
    accepted = run.decide("signatures_restored", found).accepted
    return Happened("signatures_restored", found) if accepted else Happened("mint_unreachable")


def _wait_s(run: Run) -> float:
    """How long to wait before the mint is asked again whether its refusal stands."""
    since = exchange_of(run).held_unspent_since
    if since is None or run.operation.state != "restoring":
        return 0.0
    left = run.settings.refusal_window_s - (run.judged_at() - since) / 1000
    return left + 0.001 if left > 0 else 0.0


def signed_late(run: Run) -> Evidence:
    """The proofs that the mint has signed for the outputs since. An answer that is missing or that does not
    open is left out: the outputs stay stored, and the next look asks again."""
    found = signed_outputs(run)
    proofs = () if found is None else found.proofs or ()
    return Evidence(proofs=proofs, proofs_verified=True, fence_outputs_signed=bool(proofs))


def pause(run: Run, seconds: float) -> float:
    """The next look comes at the latest when the settle window is over."""
    sent = run.elapsed().send_clock
    waits = sent.may_arrive and run.operation.state == "restoring"
    return min(seconds, sent.left_s + 0.01) if waits else seconds


def note_clear_refusal(context: EffectContext) -> None:
    """Note why the mint refused. The two looks that confirm it count from here."""
    context.set_data(refused_for=clear_refusal(context.evidence), held_unspent_since=None)
