"""A receive before anything is written: the token checked and unlocked, the outputs and the exact request
made.

Everything that can be refused is refused here, with nothing written."""

from __future__ import annotations

import attrs
from attrs import field, frozen

from ....machines.money import input_fee
from ....storage.batch import proof_key
from ....storage.port import TokenQuery
from ....storage.records import Proof
from ...cashu.coins.keyset_ids import UnknownKeyset
from ...cashu.coins.locks import NotUnlocked, Opener, unlocked
from ...cashu.keysets import MintSilent, NoUsableKeyset
from ...cashu.port import Failure
from ...cashu.wire import bodies
from ...errors import MintError, Refused
from ...loop.drive import Happened, Run
from ...loop.evidence import Evidence
from ..shared.exchange import as_sent
from ..shared.handed_in import HandedIn, check_signatures, check_unspent, silent, with_full_ids
from ..shared.outputs import new_outputs


@frozen
class Wish:
    """The token that the caller hands in, how it is opened, and whether each proof must carry a DLEQ with
    r."""

    handed: HandedIn
    opener: Opener = field(repr=False)
    require_dleq: bool = False


def begin_receive(run: Run, wish: Wish) -> Happened:
    """The event that begins the receive. Writes nothing. Codes: those of :meth:`Engine.receive`."""
    check_foreign(run, wish.handed)
    try:
        return _begin(run, wish)
    except MintSilent as quiet:
        error: MintError | Refused = silent(quiet.answer)
    except NoUsableKeyset as none:
        error = MintError(str(none), code=none.code)
    except UnknownKeyset:
        error = Refused("a proof is not of this mint and unit", code="MINT_OR_UNIT_MISMATCH")
    except NotUnlocked as locked:
        error = Refused(str(locked), code=locked.code)
    raise error


def check_foreign(run: Run, handed: HandedIn) -> None:
    """No token of the store holds a proof that is handed in: the value would be counted twice. Codes
    TOO_MANY_PROOFS, DUPLICATE_PROOF, which names the caller's own tokens and their states."""
    most = run.settings.proofs_per_operation_max
    if len(handed.proofs) > most:
        raise Refused(f"at most {most} proofs at once", code="TOO_MANY_PROOFS")
    owners = set(run.store.proof_owners([proof_key(proof.secret) for proof in handed.proofs]).values())
    if not owners:
        return
    ids = tuple(sorted(owners))
    tokens = run.store.tokens(TokenQuery(ids=ids, limit=len(ids)))
    own = {token.transaction_id: token.state for token in tokens if token.npub == run.operation.npub}
    held = ", ".join(f"{name} ({state})" for name, state in own.items())
    raise Refused(
        f"the wallet holds proofs of this token already, in {held}: a deposit, or an operation of its own, "
        "stored them; nothing is received twice"
        if own
        else "the store already holds a proof of this token, for another owner",
        code="DUPLICATE_PROOF",
        tokens=sorted(own),
        states=sorted(set(own.values())),
    )


def _begin(run: Run, wish: Wish) -> Happened:
    handed = with_full_ids(run.keysets, wish.handed)
    proofs = tuple(_opened(proof, wish.opener, run.now() // 1000) for proof in handed.proofs)
    check_signatures(run.keysets, handed, allow_unverified=not wish.require_dleq)
    fee = _fee(run, handed)
    outputs = new_outputs(run, handed.amount - fee)
    states = run.mint.check_states(run.mint_url, [str(proof.Y) for proof in proofs])
    if isinstance(states, Failure):
        raise MintSilent(states)
    check_unspent(states)
    holder = run.store.operation_by_claim(handed.claim)
    run.draft.set(amount=handed.amount - fee)
    run.set_data(input_fee=fee, sources_total=handed.amount, proofs_hash=handed.fingerprint)
    info = run.keysets.info(run.mint_url)
    evidence = Evidence(
        proofs=proofs,
        outputs=outputs,
        request_body=bodies.swap_body(proofs, as_sent(outputs)),
        preflight_spent=frozenset(),
        states=states,
        claim_asked=True,
        claim_holder=None if holder is None else holder.id,
        mint_can_restore=info.supports(7) and info.supports(9),
    )
    return Happened("request", evidence)


def _opened(proof: Proof, opener: Opener, now_s: int) -> Proof:
    """The proof with the witness that spends it, made with what the caller gave for this call."""
    return attrs.evolve(proof, witness=unlocked(proof.secret, proof.witness, opener, now_s))


def _fee(run: Run, handed: HandedIn) -> int:
    """The input fee (NUT-02). Code INSUFFICIENT_BALANCE when the token is not worth more."""
    op = run.operation
    ppk = run.keysets.honoured_fees(op.mint_url, op.unit, {proof.id for proof in handed.proofs})
    if any(proof.id not in ppk for proof in handed.proofs):
        raise Refused("the mint no longer takes coins of a keyset of the token", code="KEYSET_EXPIRED")
    fee = input_fee(ppk[proof.id] for proof in handed.proofs)
    if handed.amount <= fee:
        raise Refused(
            f"the token is worth {handed.amount}, and the mint takes {fee} for exchanging it",
            code="INSUFFICIENT_BALANCE",
            required=fee + 1,
            available=handed.amount,
            shortfall=fee + 1 - handed.amount,
        )
    return fee
