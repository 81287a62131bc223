"""The documents of a melt as plain dicts, prepared once and filled in by hand.

Names of steps, guards and levels come from the tables when this module is loaded; fields that a melt leaves
at their default come from the codec. A melt itself only fills in values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from nutstate.engine.audit.records import _RETENTION, _YEAR_MS, short
from nutstate.machines import MELT, TOKEN
from nutstate.machines.spec import Machine
from nutstate.storage.records import Dleq, MachineRef, Operation, Output, Proof, Token, TokenMetadata
from nutstate.storage.rules.codec import to_plain
from nutstate.storage.secret import Secret

Plain = dict[str, Any]

canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@frozen
class Step:
    """One edge of a table, with everything that its audit record says of it."""

    version: int
    dest: str
    constant: Plain
    lasts_ms: int


def _step(machine: Machine[Any], event: str, source: str) -> Step:
    edge = machine.cells[source, event][0]
    level = machine.level(edge.effects)
    held = {f"{edge.id}:{guard.name}": True for guard in edge.requires}
    held |= {f"{edge.id}:{guard.name}": False for guard in edge.forbids}
    constant = {
        "actor": "caller",
        "compliance_level": level,
        "event": event,
        "from_state": source,
        "machine": f"{machine.name}@{machine.version}",
        "retention_policy": _RETENTION[level],
        "to_state": edge.dest,
        "transition": edge.id,
        "verdicts": held,
    }
    return Step(machine.version, edge.dest, constant, int(_RETENTION[level].removesuffix("y")) * _YEAR_MS)


REQUEST = _step(MELT, "request", "none")
QUOTE_RECEIVED = _step(MELT, "quote_received", "requested")
INPUTS_CHOSEN = _step(MELT, "inputs_chosen", "quoted")
PAY = _step(MELT, "pay", "prepared")
MINT_PAID = _step(MELT, "mint_paid", "paying")
CHANGE_RECEIVED = _step(MELT, "change_received", "paid")
RECONCILE_PASSED = _step(MELT, "reconcile_passed", "settled")
SPLIT = _step(TOKEN, "split", "unspent")
RESERVE = _step(TOKEN, "reserve", "unspent")
SPEND = _step(TOKEN, "spend", "reserved")
DEPOSIT = _step(TOKEN, "deposit", "none")

_REF = MachineRef(MELT.name, MELT.version, MELT.content_hash)
_OPERATION = to_plain(
    Operation("", "melt", _REF, "none", 0, "", "", "", "", 0, "", 0, 0, method="bolt11", kind_of_state="live")
)
_TOKEN = to_plain(Token("", "", "", "", "", "change", "unspent", 1, (), 0, TokenMetadata("change"), 0, 0))


def operation(**values: Any) -> Plain:
    """A whole operation document."""
    return {**_OPERATION, **values}


def token(**values: Any) -> Plain:
    """A whole token document, unspent change by default."""
    return {**_TOKEN, **values}


def plain_proof(proof: Proof) -> Plain:
    made: Plain = {"id": proof.id, "amount": proof.amount, "secret": proof.secret.reveal()}
    made["C"] = proof.C.reveal()
    if proof.dleq is not None and proof.dleq.r is not None:
        made["dleq"] = {"e": proof.dleq.e, "s": proof.dleq.s, "r": proof.dleq.r.reveal()}
    made["Y"] = proof.Y
    return made


def plain_output(output: Output) -> Plain:
    return {
        "id": output.id,
        "amount": output.amount,
        "B_": output.B_,
        "secret": output.secret.reveal(),
        "r": output.r.reveal(),
    }


def token_hash(token: Plain) -> str:
    """As :func:`nutstate.storage.rules.audit_hash.token_hash`."""
    proofs = sorted([sha(p["secret"]), p["amount"], p["id"], sha(p["C"])] for p in token["proofs"])
    parts = [token[name] for name in ("transaction_id", "npub", "wallet_id", "mint_url", "unit")]
    parent = token["metadata"].get("parent_transaction_id")
    return sha(canonical([*parts, token["transaction_type"], parent, token["reserved_by"], proofs]))


_UNBOUND = ("lease", "next_check_at", "failures", "timings", "audit_seq", "audit_hash", "schema_version")


def document_hash(operation: Plain) -> str:
    """As :func:`nutstate.storage.rules.audit_hash.document_hash`: empty values left out."""
    bound = {name: value for name, value in operation.items() if value}
    for name in _UNBOUND:
        bound.pop(name, None)
    bound["policy"] = {"on_unpaid": operation["policy"]["on_unpaid"]}
    bound["quote"] = {name: value for name, value in operation["quote"].items() if value is not None}
    bound["request"] = sha(operation["request"])
    return sha(canonical(bound))


@define
class Chain:
    """The audit records of one operation, commit by commit."""

    operation_id: str
    seq: int = 0
    previous: str = ""
    batch_id: str = ""
    records: list[tuple[Plain, str, str]] = field(factory=list)  # document, canonical text, hash

    def begin(self, batch_id: str) -> None:
        """A new commit."""
        self.batch_id = batch_id
        self.records = []

    def add(self, step: Step, entity: str, version: int, at: int, data: Plain) -> None:
        """One record, bound to the one before."""
        self.seq += 1
        record = {
            **step.constant,
            "id": f"{self.operation_id}#{self.seq}",
            "operation_id": self.operation_id,
            "seq": self.seq,
            "entity": entity,
            "version": version,
            "at": at,
            "batch_id": self.batch_id,
            "expires_at": at + step.lasts_ms,
            "data": data,
            "prev_hash": self.previous,
        }
        text = canonical(record)
        self.previous = sha(text)
        self.records.append((record, text, self.previous))

    def of_token(self, step: Step, token: Plain, at: int) -> None:
        """A record of a token as it is now."""
        data = {"amount": token["total_amount"], "proof_count": len(token["proofs"]), "unit": token["unit"]}
        data["token_hash"] = token_hash(token)
        self.add(step, f"token:{token['transaction_id']}", token["version"], at, data)


def audit_data(operation: Plain, **more: Any) -> Plain:
    """The data of each record of a melt."""
    return {
        "kind": "melt",
        "amount": operation["amount"],
        "unit": operation["unit"],
        "npub": short(operation["npub"]),
        "payment_hash": operation["payment_hash"],
        **more,
    }


def total(proofs: Sequence[Plain]) -> int:
    return sum(proof["amount"] for proof in proofs)


def token_of(plain: Plain) -> Token:
    """As much of a token as the choice of coins looks at."""
    return Token(
        transaction_id=plain["transaction_id"],
        npub=plain["npub"],
        wallet_id=plain["wallet_id"],
        mint_url=plain["mint_url"],
        unit=plain["unit"],
        transaction_type=plain["transaction_type"],
        state=plain["state"],
        version=plain["version"],
        proofs=tuple(map(_proof_of, plain["proofs"])),
        total_amount=plain["total_amount"],
        metadata=_NO_METADATA,
        created_at=0,
        updated_at=0,
    )


_NO_METADATA = TokenMetadata("change")


def _proof_of(plain: Plain) -> Proof:
    dleq = plain.get("dleq")
    return Proof(
        id=plain["id"],
        amount=plain["amount"],
        secret=Secret(plain["secret"]),
        C=Secret(plain["C"]),
        dleq=None if dleq is None else Dleq(dleq["e"], dleq["s"]),
        Y=plain.get("Y"),
    )
