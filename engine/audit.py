"""Audit records: one per transition, chained per operation, and never a secret in them (I7, I12)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from ..machines.spec import Decision, Machine
from ..storage.audit_hash import audit_hash
from ..storage.records import AuditRecord
from ..storage.secret import Secret

_MONEY_MOVES = frozenset(
    {"spend_inputs", "store_change", "store_fenced", "issue_token", "store_deposit", "record_melt",
     "adopt_split", "index_proofs", "set_spent_at", "move_proofs", "set_reserved_by", "clear_reserved_by",
     "reserve_inputs", "release_inputs", "stamp_sent", "park_record", "spend_contested", "correct_spent",
     "free_untouched"}
)  # fmt: skip
LEVELS = ("STANDARD", "HIGH", "CRITICAL")
_RETENTION = {"STANDARD": "1y", "HIGH": "7y", "CRITICAL": "10y"}
_YEAR_MS = 365 * 24 * 3600 * 1000
_FORBIDDEN_KEYS = frozenset(
    {"secret", "secrets", "c", "c_", "b_", "r", "e", "s", "witness", "dleq", "preimage", "payment_preimage",
     "invoice", "request", "request_body", "body", "token", "encoded_token", "seed", "mnemonic", "key",
     "keys", "private_key", "privkey", "nsec", "proofs", "blanks", "outputs", "lightning_invoice",
     "password"}
)  # fmt: skip
_DEPTH_MAX = 8
_TEXT_MAX = 300
HIDDEN = "…"


def short(text: str, keep: int = 12) -> str:
    """An npub or Y, recognisable but not usable."""
    return text if len(text) <= keep else text[:keep] + HIDDEN


def sanitise(value: Any, depth: int = 0) -> Any:
    """A copy without anything that is or opens money. The caller's object is not touched.

    Secrets, and whatever stands under a telling name at any depth, become "…"; npubs are shortened;
    unknown objects become their type's name.
    """
    if depth > _DEPTH_MAX:
        return HIDDEN
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {
            str(key)[:60]: HIDDEN if str(key).lower() in _FORBIDDEN_KEYS else sanitise(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [sanitise(item, depth + 1) for item in list(value)[:100]]
    return HIDDEN if isinstance(value, Secret) else type(value).__name__


_MONEY = re.compile(
    r"(lightning:)?ln(bcrt|bc|tbs|tb)[0-9][0-9a-z]{40,}|cashu(://|:)?[AB][A-Za-z0-9_=+/-]{8,}|nsec1[0-9a-z]{20,}",
    re.IGNORECASE,
)
_NPUB = re.compile(r"npub1[0-9a-z]{20,}", re.IGNORECASE)
_LONG_HEX = re.compile(r"\b[0-9a-f]{64,}\b", re.IGNORECASE)


def clean_text(text: str) -> str:
    """The text with invoices, tokens and keys replaced wherever they stand, npubs and long hex numbers
    shortened, and not longer than 300 characters."""
    text = _MONEY.sub(HIDDEN, text)
    text = _NPUB.sub(lambda found: short(found[0]), text)
    text = _LONG_HEX.sub(lambda found: short(found[0]), text)
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + HIDDEN


def compliance_level(decision: Decision) -> str:
    """CRITICAL for an alarm, HIGH where money moves, else STANDARD."""
    if "alarm" in decision.effects:
        return "CRITICAL"
    return "HIGH" if _MONEY_MOVES & set(decision.effects) else "STANDARD"


def build(
    *,
    machine: Machine[Any],
    decision: Decision,
    operation_id: str,
    entity: str,
    version: int,
    seq: int,
    prev_hash: str,
    actor: str,
    at: int,
    batch_id: str,
    data: Mapping[str, Any],
) -> AuditRecord:
    """The record of one accepted decision, with its hash. ``version`` is the entity's new version."""
    level = compliance_level(decision)
    years = int(_RETENTION[level].removesuffix("y"))
    record = AuditRecord(
        id=f"{operation_id}#{seq}",
        operation_id=operation_id,
        seq=seq,
        entity=entity,
        version=version,
        machine=f"{machine.name}@{machine.version}",
        event=decision.event,
        from_state=decision.state,
        to_state=decision.next_state,
        transition=str(decision.transition),
        verdicts={f"{v.transition}:{v.guard}": v.held for v in decision.verdicts},
        actor=actor,
        at=at,
        batch_id=batch_id,
        compliance_level=level,
        retention_policy=_RETENTION[level],
        expires_at=at + years * _YEAR_MS,
        data=sanitise(data),
        prev_hash=prev_hash,
    )
    return attrs.evolve(record, hash=audit_hash(record))
