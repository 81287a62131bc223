"""Tokens and audit records decoded by hand: they are read by the hundred, and the general converter takes ten
times as long. Any other form is left to the converter, which names the bad field: accepted are exactly the
documents that :func:`.codec.from_plain` accepts, and the records are equal."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

import attrs

from ..evolve import evolve
from ..records import AuditRecord, Dleq, Proof, Token, TokenMetadata
from ..secret import Secret
from .codec import METADATA_KNOWN, from_plain
from .plain import AMOUNT_MAX, plain

_TOKEN: Final = tuple(field.name for field in attrs.fields(Token))
_TOKEN_VALUES: Final = itemgetter(*_TOKEN)
_AUDIT: Final = tuple(field.name for field in attrs.fields(AuditRecord))
_AUDIT_VALUES: Final = itemgetter(*_AUDIT)
_PROOF_NAMES: Final = frozenset(field.name for field in attrs.fields(Proof))
_METADATA_NAMES: Final = frozenset(METADATA_KNOWN)


class _Odd(Exception):
    """Not the usual form."""


def token_from_plain(document: Any, name: str, proofs: tuple[Proof, ...] | None = None) -> Token:
    """As ``from_plain(Token, document, name)``. ``proofs`` take the place of those in the document, where the
    caller knows them."""
    try:
        return _token(document, proofs)
    except (_Odd, LookupError, TypeError, ValueError):
        token = from_plain(Token, document, name)
    return token if proofs is None else evolve(token, proofs=proofs)


def audit_from_plain(document: Any, name: str) -> AuditRecord:
    """As ``from_plain(AuditRecord, document, name)``."""
    try:
        return _audit(document)
    except (_Odd, LookupError, TypeError, ValueError):
        return from_plain(AuditRecord, document, name)


def _token(document: Any, known: tuple[Proof, ...] | None) -> Token:
    if type(document) is not dict or len(document) != len(_TOKEN):
        raise _Odd
    (
        transaction_id, npub, wallet_id, mint_url, unit, transaction_type, state, version, proofs,
        total_amount, metadata, created_at, updated_at, prev_state, reserved_by, spent_at, schema_version,
    ) = _TOKEN_VALUES(document)  # fmt: skip
    for text in (transaction_id, npub, wallet_id, mint_url, unit, transaction_type, state):
        if type(text) is not str:
            raise _Odd
    if type(proofs) is not list:
        raise _Odd
    return Token(
        transaction_id,
        npub,
        wallet_id,
        mint_url,
        unit,
        transaction_type,
        state,
        _int(version),
        tuple([_proof(proof) for proof in proofs]) if known is None else known,
        _int(total_amount),
        _metadata(metadata),
        _int(created_at),
        _int(updated_at),
        None if prev_state is None else _text(prev_state),
        None if reserved_by is None else _text(reserved_by),
        None if spent_at is None else _int(spent_at),
        _int(schema_version),
    )


def _proof(document: Any) -> Proof:
    if type(document) is not dict or not document.keys() <= _PROOF_NAMES:
        raise _Odd
    witness, dleq, Y = document.get("witness"), document.get("dleq"), document.get("Y")
    return Proof(
        _text(document["id"]),
        _int(document["amount"]),
        Secret(_text(document["secret"])),
        Secret(_text(document["C"])),
        None if witness is None else Secret(_text(witness)),
        None if dleq is None else _dleq(dleq),
        None if Y is None else _text(Y),
    )


def _dleq(document: Any) -> Dleq:
    if type(document) is not dict or not document.keys() <= {"e", "s", "r"}:
        raise _Odd
    r = document.get("r")
    return Dleq(_text(document["e"]), _text(document["s"]), None if r is None else Secret(_text(r)))


def _metadata(document: Any) -> TokenMetadata:
    if type(document) is not dict or not document.keys() <= _METADATA_NAMES:
        raise _Odd
    parent, hashed = document.get("parent_transaction_id"), document.get("operation_hash")
    atomic, stamp = document.get("atomic_operation"), document.get("operation_timestamp")
    if atomic is not None and type(atomic) is not bool:
        raise _Odd
    return TokenMetadata(
        _text(document["source"]),
        None if parent is None else _text(parent),
        None if hashed is None else _text(hashed),
        atomic,
        None if stamp is None else _int(stamp),
    )


def _audit(document: Any) -> AuditRecord:
    if type(document) is not dict or len(document) != len(_AUDIT):
        raise _Odd
    (
        id, operation_id, seq, entity, version, machine, event, from_state, to_state, transition, verdicts,
        actor, at, batch_id, level, policy, expires_at, data, prev_hash, hash,
    ) = _AUDIT_VALUES(document)  # fmt: skip
    for text in (
        id, operation_id, entity, machine, event, from_state, to_state, transition, actor, batch_id, level,
        policy, prev_hash, hash,
    ):  # fmt: skip
        if type(text) is not str:
            raise _Odd
    if type(verdicts) is not dict or type(data) is not dict:
        raise _Odd
    for verdict, held in verdicts.items():
        if type(verdict) is not str or type(held) is not bool:
            raise _Odd
    return AuditRecord(
        id,
        operation_id,
        _int(seq),
        entity,
        _int(version),
        machine,
        event,
        from_state,
        to_state,
        transition,
        dict(verdicts),
        actor,
        _int(at),
        batch_id,
        level,
        policy,
        None if expires_at is None else _int(expires_at),
        plain(data),
        prev_hash,
        hash,
    )


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -AMOUNT_MAX <= value <= AMOUNT_MAX:
        raise _Odd
    return int(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Odd
    return value
