"""Proofs that a caller hands in, for a deposit or a receive: read and checked, before a mint is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs
from attrs import field, frozen

from ....machines.money import is_amount
from ....storage.batch import proof_key
from ....storage.port import Reader
from ....storage.records import Dleq, Proof
from ....storage.secret import Secret
from ... import arguments
from ...cashu.answers import reason_of
from ...cashu.coins import crypto
from ...cashu.coins.crypto import y_of
from ...cashu.coins.keyset_ids import UnknownKeyset, full_id
from ...cashu.coins.locks import is_condition
from ...cashu.coins.token_codec import InvalidToken, decode_token
from ...cashu.keysets import Keysets
from ...cashu.port import Failure, ProofState
from ...errors import InvalidArgument, MintError, Refused
from ...tokens.proofs import SECRET_CHARS_MAX, can_be_spent


def claim_of(fingerprint: str) -> str:
    """The unique key of a token that is received, by the hash of its set of proofs."""
    return f"token:{fingerprint}"


@frozen
class HandedIn:
    """Checked proofs of one mint and unit."""

    mint_url: str
    unit: str
    proofs: tuple[Proof, ...] = field(repr=False)

    @property
    def amount(self) -> int:
        return sum(proof.amount for proof in self.proofs)

    @property
    def fingerprint(self) -> str:
        """Hash of the set of proofs: equal for the same token in another order."""
        keys = sorted(proof_key(proof.secret) for proof in self.proofs)
        return hashlib.sha256("".join(keys).encode()).hexdigest()

    @property
    def claim(self) -> str:
        """The unique key by which one operation receives this set of proofs."""
        return claim_of(self.fingerprint)


def parse_token(
    token: str | None,
    proofs: Sequence[Proof] | None,
    mint_url: str | None,
    unit: str,
    *,
    locked: bool = False,
) -> HandedIn:
    """A token string, or proofs with their mint. No mint is asked; keyset ids may be short. ``locked``:
    proofs under a condition (NUT-10) are taken, with their witness. Codes INVALID_TOKEN, INVALID_MINT_URL,
    INVALID_UNIT, DUPLICATE_SECRET, INVALID_AMOUNT, MINT_OR_UNIT_MISMATCH."""
    if (token is None) == (proofs is None):
        raise InvalidArgument("give either a token or proofs", code="INVALID_TOKEN")
    if token is not None:
        found = _decode(token, mint_url)
    else:
        found = HandedIn(arguments.mint_url(mint_url), arguments.unit(unit), _typed(proofs))
    if not found.proofs:
        raise InvalidArgument("the token holds no proofs", code="INVALID_TOKEN")
    if not all(is_amount(proof.amount) for proof in found.proofs):
        raise InvalidArgument("a proof has no positive whole amount", code="INVALID_AMOUNT")
    plain = (p.secret for p in found.proofs if not (locked and is_condition(p.secret)))
    if not all(map(can_be_spent, plain)):
        raise InvalidArgument(
            f"a proof's secret is not 1 to {SECRET_CHARS_MAX} printable characters: no mint need take it",
            code="INVALID_TOKEN",
        )
    if len({proof.secret for proof in found.proofs}) != len(found.proofs):
        raise InvalidArgument("the same proof occurs twice", code="DUPLICATE_SECRET")
    return HandedIn(found.mint_url, found.unit, tuple(_renamed(proof, locked) for proof in found.proofs))


def _typed(proofs: object) -> tuple[Proof, ...]:
    """Proofs of the right types throughout; their values are judged later."""
    error = InvalidArgument("proofs must be a list of well-formed Proof objects", code="INVALID_TOKEN")
    if isinstance(proofs, str | bytes) or not isinstance(proofs, Sequence):
        raise error
    for proof in proofs:
        if not isinstance(proof, Proof) or not isinstance(proof.id, str):
            raise error
        if not isinstance(proof.secret, Secret) or not isinstance(proof.C, Secret):
            raise error
        if not isinstance(proof.witness, Secret | None) or not isinstance(proof.dleq, Dleq | None):
            raise error
        dleq = proof.dleq
        if dleq and not (
            isinstance(dleq.e, str) and isinstance(dleq.s, str) and isinstance(dleq.r, Secret | None)
        ):
            raise error
    return tuple(proofs)


def _renamed(proof: Proof, locked: bool) -> Proof:
    """The proof with the Y of its secret; a Y from outside is not believed. A witness belongs to locked
    proofs: where these are refused, it is dropped."""
    try:
        name: str | None = y_of(proof.secret.reveal())
    except ValueError:
        name = None  # raised below, outside: the cause would show the secret
    if name is None:
        raise InvalidArgument("the secret of a proof is not text", code="INVALID_TOKEN")
    return attrs.evolve(proof, Y=name, witness=proof.witness if locked else None)


def _decode(token: str, mint_url: str | None) -> HandedIn:
    if not isinstance(token, str):
        raise InvalidArgument("token must be text", code="INVALID_TOKEN")
    try:
        decoded = decode_token(token.strip())
        url = arguments.mint_url(decoded.mint_url)
        if mint_url is not None and arguments.mint_url(mint_url) != url:
            raise Refused("the token is of another mint", code="MINT_OR_UNIT_MISMATCH", mint_url=url)
    except InvalidToken as error:
        raise InvalidArgument(f"not a Cashu token: {error}", code="INVALID_TOKEN") from None
    return HandedIn(url, arguments.unit(decoded.unit), decoded.proofs)


def check_new(store: Reader, handed: HandedIn, most: int) -> None:
    """The proofs are few enough, and no token of the store holds one. Codes TOO_MANY_PROOFS,
    DUPLICATE_PROOF."""
    if len(handed.proofs) > most:
        raise Refused(f"at most {most} proofs at once", code="TOO_MANY_PROOFS")
    if store.proof_owners([proof_key(proof.secret) for proof in handed.proofs]):
        raise Refused("the store already holds a proof of this token", code="DUPLICATE_PROOF")


def with_full_ids(keysets: Keysets, handed: HandedIn) -> HandedIn:
    """The proofs with their full keyset ids, all of this mint and unit and of keysets that it still takes.
    Codes MINT_OR_UNIT_MISMATCH, KEYSET_EXPIRED. Raises MintSilent."""
    listed = keysets.listed_with(handed.mint_url, {proof.id for proof in handed.proofs})
    units = {keyset.id: keyset.unit for keyset in listed}
    try:
        proofs = tuple(attrs.evolve(p, id=full_id(p.id, units)) for p in handed.proofs)
    except UnknownKeyset:
        proofs = ()
    if not proofs or any(units.get(proof.id) != handed.unit for proof in proofs):
        raise Refused("a proof is not of this mint and unit", code="MINT_OR_UNIT_MISMATCH")
    refused = {p.id for p in proofs if keysets.known_refused(handed.mint_url, handed.unit, p.id)}
    if refused:
        raise Refused(
            "the mint no longer takes coins of a keyset whose final expiry is over",
            code="KEYSET_EXPIRED",
            keysets=sorted(refused),
        )
    return attrs.evolve(handed, proofs=proofs)


def check_signatures(keysets: Keysets, handed: HandedIn, allow_unverified: bool) -> None:
    """Every proof that carries a DLEQ with r (NUT-12) was signed by the mint; ``allow_unverified`` takes
    proofs without one. Only keys are asked for. Codes INVALID_AMOUNT, PROOFS_NOT_VERIFIED, INVALID_TOKEN.
    Raises MintSilent, UnknownKeyset."""
    for proof in handed.proofs:
        key = keysets.keys(handed.mint_url, proof.id).keys.get(proof.amount)
        if key is None:
            raise Refused("the mint's keyset has no key for the amount of a proof", code="INVALID_AMOUNT")
        secret, dleq = proof.secret.reveal(), proof.dleq
        if dleq is None or dleq.r is None:
            if allow_unverified:
                continue
            raise Refused(
                "a proof carries no DLEQ, so nothing shows that the mint signed it",
                code="PROOFS_NOT_VERIFIED",
            )
        if not crypto.verify_proof_dleq(key, secret, proof.C.reveal(), dleq.e, dleq.s, dleq.r.reveal()):
            raise Refused("a proof's DLEQ does not verify", code="INVALID_TOKEN")


def check_unspent(states: Sequence[ProofState]) -> None:
    """The mint calls every proof UNSPENT. Code PROOFS_NOT_UNSPENT."""
    bad = [state.state for state in states if state.state != "UNSPENT"]
    if bad:
        raise Refused(
            "the mint does not call every proof UNSPENT",
            code="PROOFS_NOT_UNSPENT",
            spent=bad.count("SPENT"),
            pending=bad.count("PENDING"),
        )


def silent(answer: Failure) -> MintError:
    reason = reason_of(answer, "the mint could not be asked")
    error = MintError(reason.message, code=reason.code)
    error.retryable = reason.retryable
    return error
