"""The rules every store enforces on a batch before it writes anything (InvalidBatch).

They repeat what the machines already decided, so that no driver, present or future, can store
money that the rules do not know. Values never appear in the refusal, only ids and field names.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NoReturn

from ...machines.token.states import AWAITING, FAILED, RESERVED, SPENT, UNSPENT
from ...machines.token.table import STATUS_OF_STATE
from ..batch import Advance, Batch, IndexInsert, IndexMove, Insert, proof_key
from ..errors import InvalidBatch
from ..records import AuditRecord, Operation, Token, Tombstone
from .audit_hash import audit_canonical, document_hash, token_hash
from .machines import Machines, Version
from .plain import AMOUNT_MAX

TOKEN_TYPES: Final = frozenset({"received", "sent", "minted", "change"})
HELD: Final = (AWAITING, RESERVED)  # states in which an operation holds a token
TIME_MAX: Final = 253_402_300_799_999  # epoch ms; a BSON date that programs can read ends there
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
NONE: Final = "none"  # pseudo-state of what does not exist yet

_OPERATION_INTS: Final = tuple(n for n, kind in Operation.__annotations__.items() if kind.startswith("int"))
_TOKEN_INTS: Final = tuple(n for n, kind in Token.__annotations__.items() if kind.startswith("int"))
_OPERATION_FIXED: Final = ("id", "kind", "machine", "npub", "created_at")
TOKEN_FIXED: Final = (
    "transaction_id", "npub", "wallet_id", "mint_url", "unit", "transaction_type", "created_at",
)  # fmt: skip


def check_batch(batch: Batch, machines: Machines) -> tuple[str, ...]:
    """Refuse a batch that breaks a rule; otherwise the canonical JSON of each of its audit records,
    in order (the hash check made them, so no store has to encode them again). ``machines`` are those of the
    program that writes: each step must be an edge of exactly the version that its audit record names."""
    try:
        return _check(batch, machines)
    except (TypeError, AttributeError, ValueError, LookupError):
        refusal = InvalidBatch(f"batch {batch.id!r} holds a value that cannot be stored")
    raise refusal  # outside the handler: the cause may show the value


def _refuse(what: str) -> NoReturn:
    raise InvalidBatch(what)


def _check(batch: Batch, machines: Machines) -> tuple[str, ...]:
    operation = batch.operation.after
    entity = f"operation:{operation.id}"
    _check_fixed(batch.operation, _OPERATION_FIXED, entity)
    _check_machine(operation, machines, entity)
    _check_ints(operation, _OPERATION_INTS, entity)
    _check_quote(operation, entity)
    entities: dict[str, Insert[Operation] | Advance[Operation] | Insert[Token] | Advance[Token]]
    entities = {entity: batch.operation}
    for change in batch.tokens:
        name = f"token:{change.after.transaction_id}"
        if name in entities:
            _refuse(f"{name} is changed twice")
        entities[name] = change
        _check_fixed(change, TOKEN_FIXED, name)
        if change.after.npub != operation.npub:
            _refuse(f"{name}: it belongs to another npub than the operation")
        _check_token(change, name)
        _check_holder(change, operation.id, name)
        _check_exchange(change, name)
    _check_secrets(batch)
    _check_index(batch)
    _check_moves(batch)
    _check_dedup(batch)
    histories: dict[str, list[AuditRecord]] = {name: [] for name in entities}
    for record in batch.audit:
        if record.entity not in histories:
            _refuse(f"an audit record is about {record.entity}, which the batch does not change")
        histories[record.entity].append(record)
    for name, change_ in entities.items():
        _check_history(change_, histories[name], name, machines)
    return _check_chain(batch)


def _check_fixed(
    change: Insert[Operation] | Advance[Operation] | Insert[Token] | Advance[Token],
    names: tuple[str, ...],
    entity: str,
) -> None:
    if isinstance(change, Advance):
        for name in names:
            if getattr(change.before, name) != getattr(change.after, name):
                _refuse(f"{entity}: {name} never changes")


def _check_machine(operation: Operation, machines: Machines, entity: str) -> None:
    """The operation runs under a machine of this program, whose word on its state is stored with it."""
    ref = operation.machine
    version = machines.by_label.get(f"{ref.name}@{ref.version}")
    if version is None or not version.is_ref(ref):
        _refuse(
            f"{entity}: this program does not have its machine {ref.name}@{ref.version} ({ref.hash[:12]}…)"
        )
    if version.is_of_tokens or operation.kind != version.name:
        _refuse(f"{entity}: its kind is not the name of its machine {version.label}")
    told = version.states.get(operation.state)
    if told is None:
        _refuse(f"{entity}: {version.label} has no state {operation.state}")
    if told != (operation.kind_of_state, operation.ends):
        _refuse(f"{entity}: kind_of_state or ends is not what {version.label} says of {operation.state}")


def _check_quote(operation: Operation, entity: str) -> None:
    let_go = operation.quote_let_go
    if type(let_go) is not bool or (let_go and operation.claim is not None):
        _refuse(f"{entity}: quote_let_go is a bool, and true only without a claim")


def _check_ints(record: Operation | Token, names: tuple[str, ...], entity: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= AMOUNT_MAX:
            _refuse(f"{entity}: {name} must be an integer from 0 to 2**53-1")


def _check_token(change: Insert[Token] | Advance[Token], entity: str) -> None:
    token = change.after
    if token.transaction_type not in TOKEN_TYPES:
        _refuse(f"{entity}: unknown transaction_type")
    if token.state not in STATUS_OF_STATE:
        _refuse(f"{entity}: unknown state")
    if token.transaction_type == "change" and not token.metadata.parent_transaction_id:
        _refuse(f"{entity}: change needs metadata.parent_transaction_id")
    if (token.state == SPENT) != (token.spent_at is not None):
        _refuse(f"{entity}: spent_at is set exactly when the token is spent")
    if isinstance(change, Advance):
        if change.before.spent_at is not None and change.before.spent_at != token.spent_at:
            _refuse(f"{entity}: spent_at is set once")
        if change.before.state in (SPENT, FAILED):
            _refuse(f"{entity}: {change.before.state} is final")
    if (token.state == RESERVED and not token.reserved_by) or (
        token.state == UNSPENT and token.reserved_by is not None
    ):
        _refuse(f"{entity}: reserved_by does not fit state {token.state}")
    _check_ints(token, _TOKEN_INTS, entity)
    if max(token.created_at, token.updated_at, token.spent_at or 0) > TIME_MAX:
        _refuse(f"{entity}: a time lies beyond the year 9999")
    if token.state in (AWAITING, FAILED) and token.proofs:
        _refuse(f"{entity}: {token.state} tokens hold no proofs")
    total = 0
    for proof in token.proofs:
        if type(proof.amount) is not int or not 0 < proof.amount <= AMOUNT_MAX:
            _refuse(f"{entity}: a proof amount must be an integer from 1 to 2**53-1")
        total += proof.amount
    if total != token.total_amount:
        _refuse(f"{entity}: total_amount is not the sum of the proofs")


def _check_holder(change: Insert[Token] | Advance[Token], operation_id: str, entity: str) -> None:
    """A reservation is given up by the operation that holds it alone, by a step that frees the token, and is
    never passed on. A token that another operation holds is left alone in every way (R205)."""
    if not isinstance(change, Advance):
        return
    before, after = change.before, change.after
    if before.metadata.parent_transaction_id != after.metadata.parent_transaction_id:
        _refuse(f"{entity}: metadata.parent_transaction_id never changes")
    if before.state not in HELD or before.reserved_by is None:
        return
    if before.reserved_by != operation_id:
        _refuse(f"{entity}: another operation holds it")
    kept = after.prev_state == RESERVED and after.state in (RESERVED, SPENT)
    if after.reserved_by != before.reserved_by and (kept or after.reserved_by is not None):
        _refuse(f"{entity}: reserved_by changes only by becoming free")


def gains_proofs(change: Advance[Token]) -> bool:
    """Whether the stored token gets proofs it did not hold."""
    if change.before.proofs is change.after.proofs:
        return False
    return bool({p.secret for p in change.after.proofs} - {p.secret for p in change.before.proofs})


def _check_exchange(change: Insert[Token] | Advance[Token], entity: str) -> None:
    # A store writes what loses proofs before what gains them: no token can be both.
    if isinstance(change, Advance) and gains_proofs(change):
        has = {proof.secret for proof in change.after.proofs}
        if any(proof.secret not in has for proof in change.before.proofs):
            _refuse(f"{entity}: gains and loses proofs in one batch")


def _check_secrets(batch: Batch) -> None:
    seen: set[str] = set()
    for change in batch.tokens:
        token = change.after
        for proof in token.proofs:
            key = proof.secret.reveal()
            if key in seen:
                _refuse(f"token:{token.transaction_id}: a secret appears twice in the batch")
            seen.add(key)


def _proof_changes(batch: Batch) -> tuple[dict[str, str], dict[str, str]]:
    """Key -> token of every proof that a token of the batch gains, and that one loses."""
    gained: dict[str, str] = {}
    lost: dict[str, str] = {}
    for change in batch.tokens:
        token = change.after
        old = change.before.proofs if isinstance(change, Advance) else ()
        if old is token.proofs:
            continue
        had = {proof.secret for proof in old}
        has = {proof.secret for proof in token.proofs}
        gained |= {proof_key(s): token.transaction_id for s in has - had}
        lost |= {proof_key(s): token.transaction_id for s in had - has}
    return gained, lost


def _check_index(batch: Batch) -> None:
    gained, lost = _proof_changes(batch)
    for change in batch.index:
        to_token = change.token_id if isinstance(change, IndexInsert) else change.to_token
        for key in change.keys:
            if gained.pop(key, None) != to_token:
                _refuse(f"token:{to_token}: the index names a proof that the token does not gain")
            if isinstance(change, IndexInsert):
                if key in lost:
                    _refuse(f"token:{to_token}: a proof that another token loses must be moved")
            elif lost.pop(key, None) != change.from_token:
                _refuse(f"token:{change.from_token}: the index moves a proof that the token does not lose")
    for token_id in gained.values():
        _refuse(f"token:{token_id}: a proof is not in the index changes")
    for token_id in lost.values():
        _refuse(f"token:{token_id}: a proof disappears")


def _check_moves(batch: Batch) -> None:
    """A proof that changes its token stays at its mint and in its unit: only there it is worth anything."""
    places = {
        change.after.transaction_id: (change.after.mint_url, change.after.unit) for change in batch.tokens
    }
    for move in batch.index:
        if isinstance(move, IndexMove) and places[move.from_token] != places[move.to_token]:
            _refuse(f"token:{move.to_token}: a proof comes from a token of another mint or unit")


def _check_dedup(batch: Batch) -> None:
    take = batch.dedup
    if take is None:
        return
    if take.record.operation_id != batch.operation.after.id:
        _refuse("the dedup record belongs to another operation")
    if take.previous is not None and take.previous.key != take.record.key:
        _refuse("a dedup record is taken over under its own key only")
    if type(take.record.expires_at) is not int or not 0 <= take.record.expires_at <= AMOUNT_MAX:
        _refuse("dedup: expires_at must be an integer from 0 to 2**53-1")


def _check_history(
    change: Insert[Operation] | Advance[Operation] | Insert[Token] | Advance[Token],
    history: list[AuditRecord],
    entity: str,
    machines: Machines,
) -> None:
    after = change.after
    state, version = NONE, 0
    if isinstance(change, Advance):
        state, version = change.before.state, change.before.version
    if not history:
        _refuse(f"{entity}: a change without an audit record")
    for record in history:
        version += 1
        if record.version != version:
            _refuse(f"{entity}: audit versions are not contiguous")
        if record.from_state != state:
            _refuse(f"{entity}: audit states do not chain")
        if (state, record.to_state) not in _machine_of(record, after, machines).edges:
            _refuse(f"{entity}: {state} to {record.to_state} is no edge of {record.machine}")
        state = record.to_state
    if after.version != version:
        _refuse(f"{entity}: version does not count the audit records")
    if after.state != state:
        _refuse(f"{entity}: state is not where the audit ends")
    last = history[-1].from_state
    if after.prev_state != last and not (last == NONE and after.prev_state is None):
        _refuse(f"{entity}: prev_state is not where the last transition came from")
    _check_binding(after, history[-1], entity)
    born_spent = isinstance(after, Token) and after.transaction_type == "change"
    if born_spent and isinstance(change, Insert) and history[0].to_state == SPENT:
        _refuse(f"{entity}: change is never born spent")


def _machine_of(record: AuditRecord, after: Operation | Token, machines: Machines) -> Version:
    """The version that the record names. A token has none of its own: any version of the token machine that
    this program has may make the next step."""
    version = machines.by_label.get(record.machine)
    if isinstance(after, Token):
        fits = version is not None and version.is_of_tokens
    else:
        fits = record.machine == f"{after.machine.name}@{after.machine.version}"
    if version is None or not fits:
        _refuse(f"{record.entity}: {record.machine} is not its machine")
    return version


def _check_binding(after: Operation | Token, last: AuditRecord, entity: str) -> None:
    # A record that names another document than it is stored with would look like a forgery later.
    name = "token_hash" if isinstance(after, Token) else "document_hash"
    told = last.data.get(name)
    if told is None:
        return
    if told != (token_hash(after) if isinstance(after, Token) else document_hash(after)):
        _refuse(f"{entity}: {name} is not that of the stored document")


def _check_chain(batch: Batch) -> tuple[str, ...]:
    after = batch.operation.after
    seq, previous = 0, ""
    if isinstance(batch.operation, Advance):
        seq, previous = batch.operation.before.audit_seq, batch.operation.before.audit_hash
    texts = []
    for record in batch.audit:
        seq += 1
        if record.batch_id != batch.id or record.operation_id != after.id:
            _refuse(f"audit record {record.id}: not of this batch and operation")
        if type(record.at) is not int or not 0 <= record.at <= AMOUNT_MAX:
            _refuse(f"audit record {record.id}: at must be an integer from 0 to 2**53-1")
        if record.seq != seq or record.prev_hash != previous:
            _refuse(f"audit record {record.id}: does not continue the operation's chain")
        text = audit_canonical(record)
        previous = hashlib.sha256(text.encode()).hexdigest()
        if record.hash != previous:
            _refuse(f"audit record {record.id}: wrong hash")
        texts.append(text)
    if after.audit_seq != seq or after.audit_hash != previous:
        _refuse(f"operation:{after.id}: audit_seq and audit_hash are not the end of the chain")
    return tuple(texts)


def check_tombstone(tombstone: Tombstone) -> None:
    """Refuse a tombstone that does not account for every record of a whole trail, each once."""
    name = f"the tombstone of {tombstone.operation_id!r}"
    numbers = (tombstone.last_seq, tombstone.records, tombstone.purged_at)
    if any(type(n) is not int or not 0 < n <= AMOUNT_MAX for n in numbers):
        _refuse(f"{name} holds a number that cannot be stored")
    if tombstone.records != tombstone.last_seq:
        _refuse(f"{name} is not about a whole trail")
    covered: set[tuple[str, int]] = set()
    for span in tombstone.spans:
        if not 0 < span.first <= span.last or span.last - span.first >= tombstone.records:
            _refuse(f"{name} holds a span that is none")
        covered |= {(span.entity, version) for version in range(span.first, span.last + 1)}
    if len(covered) != tombstone.records or sum(s.last - s.first + 1 for s in tombstone.spans) != len(
        covered
    ):
        _refuse(f"{name} does not account for every record once")
    if not _HEX_64.fullmatch(tombstone.last_hash) or not _HEX_64.fullmatch(tombstone.mac):
        _refuse(f"{name} lacks a hash or its proof")
