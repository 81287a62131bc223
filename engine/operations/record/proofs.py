"""The proofs that a caller hands in with a melt that it made: checked, and sorted into moved, consumed and
fresh ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from ....machines.money import is_amount
from ....storage.batch import proof_key
from ....storage.port import Reader, TokenQuery
from ....storage.records import Dleq, Proof, Token
from ....storage.secret import Secret
from ...cashu.coins.crypto import y_of
from ...errors import InvalidArgument, Refused
from ...loop.evidence import Chosen
from ...tokens.ids import request_hash
from ...tokens.proofs import SECRET_CHARS_MAX, can_be_spent

_POINT = re.compile(r"0[23][0-9a-f]{64}")
_FIELDS = ("id", "amount", "secret", "C")


@frozen
class KeepAndChange:
    """The checked proofs of one recording."""

    keep: tuple[Proof, ...] = field(repr=False)
    change: tuple[Proof, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Hash of both sets: equal for the same proofs in another order, else different."""
        both = [*(("keep", p) for p in self.keep), *(("change", p) for p in self.change)]
        names = sorted(
            [role, p.id, p.amount, proof_key(p.secret), hashlib.sha256(p.C.reveal().encode()).hexdigest()]
            for role, p in both
        )
        return request_hash(proofs=names)


def keep_and_change(keep: object, change: object, most: int) -> KeepAndChange:
    """Both lists, checked without asking a mint. Codes INVALID_TOKEN, INVALID_AMOUNT, TOO_MANY_PROOFS,
    DUPLICATE_SECRET."""
    found = KeepAndChange(_proofs(keep, "keep", most), _proofs(change, "change", most))
    everything = (*found.keep, *found.change)
    if len({proof.secret for proof in everything}) != len(everything):
        raise InvalidArgument("the same proof occurs twice in keep and change", code="DUPLICATE_SECRET")
    return found


def _proofs(value: object, name: str, most: int) -> tuple[Proof, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{name} is a list of proofs", code="INVALID_TOKEN")
    given = tuple(value)
    if len(given) > most:
        raise InvalidArgument(f"{name} has more than {most} proofs", code="TOO_MANY_PROOFS")
    return tuple(_proof(item, f"{name} proof {n}") for n, item in enumerate(given, 1))


def _proof(item: object, name: str) -> Proof:
    """One proof with the Y its secret really has."""
    malformed = InvalidArgument(f"{name} is not a well-formed proof", code="INVALID_TOKEN")
    fields = _fields_of(item)
    if fields is None:
        raise malformed
    keyset, amount, secret, signature, witness, dleq = fields
    if not isinstance(keyset, str) or not 0 < len(keyset) <= 100 or not keyset.isprintable():
        raise malformed
    if secret is None or not secret.reveal() or signature is None:
        raise malformed
    if not _POINT.fullmatch(signature.reveal().lower()):
        raise malformed
    if not is_amount(amount):
        raise InvalidArgument(f"{name} has no positive whole amount", code="INVALID_AMOUNT")
    try:
        y: str | None = y_of(secret.reveal())
    except ValueError:
        y = None  # raised below, outside: the cause would show the secret
    if y is None:
        raise malformed
    assert isinstance(amount, int)
    return Proof(keyset, amount, secret, Secret(signature.reveal().lower()), witness, dleq, y)


_Fields = tuple[object, object, Secret | None, Secret | None, Secret | None, Dleq | None]


def _fields_of(item: object) -> _Fields | None:
    """The fields of a Proof or of its JSON form, of the right types; None for anything else."""
    given: Mapping[Any, Any]
    if isinstance(item, Proof):
        given = {name: getattr(item, name) for name in (*_FIELDS, "witness", "dleq")}
    elif isinstance(item, Mapping) and all(name in item for name in _FIELDS):
        given = item
    else:
        return None
    witness, dleq = _secret(given.get("witness")), _dleq(given.get("dleq"))
    if (witness is None) != (given.get("witness") is None) or (dleq is None) != (given.get("dleq") is None):
        return None
    return given["id"], given["amount"], _secret(given["secret"]), _secret(given["C"]), witness, dleq


def _secret(value: object) -> Secret | None:
    text = value.reveal() if isinstance(value, Secret) else value
    return Secret(text) if isinstance(text, str) else None


def _dleq(value: object) -> Dleq | None:
    e: object
    s: object
    r: object
    if isinstance(value, Dleq):
        e, s, r = value.e, value.s, value.r
    elif isinstance(value, Mapping):
        e, s, r = value.get("e"), value.get("s"), _secret(value.get("r"))
        if (r is None) != (value.get("r") is None):
            return None
    else:
        return None
    if not isinstance(e, str) or not isinstance(s, str) or not isinstance(r, Secret | None):
        return None
    return Dleq(e, s, r)


def sort_out(tokens: Sequence[Token], handed: KeepAndChange) -> tuple[tuple[Chosen, ...], tuple[Proof, ...]]:
    """The consumed proofs of each source, and the fresh ones in keep. A keep proof that is a source's own
    in every respect was not used: it is moved. One that only has its secret is refused, and so is change
    with a source's secret. Code DUPLICATE_SECRET."""
    kept = {proof.secret: proof for proof in handed.keep}
    own = {proof.secret: proof for token in tokens for proof in token.proofs}
    for proof in handed.change:
        if proof.secret in own:
            raise Refused("a proof of change is also a proof of a source", code="DUPLICATE_SECRET")
    for proof in handed.keep:
        if proof.secret in own and not _same(proof, own[proof.secret]):
            raise Refused(
                "a keep proof has the secret of a source's proof but another id, amount or C",
                code="DUPLICATE_SECRET",
            )
    chosen = tuple(
        Chosen(token, tuple(proof for proof in token.proofs if proof.secret not in kept)) for token in tokens
    )
    return chosen, tuple(proof for proof in handed.keep if proof.secret not in own)


def _same(one: Proof, other: Proof) -> bool:
    return (one.id, one.amount, one.C.reveal().lower()) == (other.id, other.amount, other.C.reveal().lower())


def check_new(store: Reader, npub: str, proofs: Iterable[Proof]) -> None:
    """Refuse what could never be spent, and what lies in a stored token already; names the token if it is
    this owner's, never the secret. Codes INVALID_TOKEN, DUPLICATE_PROOF."""
    proofs = tuple(proofs)
    if not all(can_be_spent(proof.secret) for proof in proofs):
        raise InvalidArgument(
            f"a secret of keep or change is not 1 to {SECRET_CHARS_MAX} printable characters: no mint need "
            "take it",
            code="INVALID_TOKEN",
        )
    found = tuple(set(store.proof_owners([proof_key(proof.secret) for proof in proofs]).values()))
    if found:
        tokens = store.tokens(TokenQuery(ids=found, limit=len(found)))
        raise Refused(
            "a proof of keep or change lies in another token already",
            code="DUPLICATE_PROOF",
            tokens=sorted(token.transaction_id for token in tokens if token.npub == npub),
        )
