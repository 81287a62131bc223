"""The invariants of docs/reliability.md, checked on a store and (if given) against the mint itself."""

from __future__ import annotations

from collections import Counter

from nutstate.engine.cashu.port import MintPort, is_value
from nutstate.engine.checks.read_documents import read_documents
from nutstate.engine.checks.reconcile import NOTHING_EXPECTED, report_on
from nutstate.engine.loop.effect_context import inputs_total_of
from nutstate.engine.operations.melt.fences import fenced_keys
from nutstate.engine.operations.swap.data import swap_of
from nutstate.engine.tokens.proofs import name_of
from nutstate.engine.tokens.token_ids import fence_id, fenced_id
from nutstate.machines.money import owed_max
from nutstate.storage.batch import proof_key
from nutstate.storage.port import AuditQuery, OperationQuery, Reader, TokenQuery
from nutstate.storage.records import Operation, Token
from nutstate.storage.rules.audit_hash import audit_hash
from tests.support.data import data_in

from .own import example

LIMIT = 100_000
PAYS = ("melt", "record")
"""Kinds whose operations pay an invoice."""


KINDS = example().KINDS
"""Every kind that operations of the tests can be of."""


def check(store: Reader, mint: MintPort | None = None) -> None:
    """Raise AssertionError naming the invariant that does not hold."""
    operations = list(store.operations(OperationQuery(limit=LIMIT)))
    tokens = list(store.tokens(TokenQuery(limit=LIMIT)))
    _value(operations, tokens)
    _proofs(store, operations, tokens)
    _operations(operations, tokens)
    _audit(store, operations, tokens)
    _reconciles(store, operations)
    if mint is not None:
        _mint_agrees(mint, tokens)


def _reconciles(store: Reader, operations: list[Operation]) -> None:
    """Reconciliation finds nothing in untouched documents (R118 to R123)."""
    for op in operations:
        docs = read_documents(store, op, KINDS, with_wallet=False, driven=True)
        report = report_on(docs, lambda keyset_id: None, NOTHING_EXPECTED)
        assert report.validation_passed or op.state == "discrepant", str(report)


def _value(operations: list[Operation], tokens: list[Token]) -> None:
    entered = sum(op.amount for op in operations if op.state in ("issued", "deposited"))
    entered += sum(_received(op, tokens) for op in operations if op.kind == "receive")
    held = sum(
        t.total_amount for t in tokens if t.state in ("unspent", "reserved", "stranded", "outstanding")
    )
    gone = corrected = 0
    for op in operations:
        if op.kind == "check":
            gone -= data_in(
                op
            ).change_amount  # of a payment that was given up: it was no part of what was left
        if op.kind == "swap":
            gone += _swapped(op, tokens)
        if op.kind not in PAYS:
            continue
        total = inputs_total_of(op)
        if op.state == "written_off":
            gone += data_in(op).loss
        elif data_in(op).fenced_token_id is not None:
            signed = [f for f in data_in(op).fences if f.end == "done"]
            back = {fence_id(op.id, f.generation) if f.inputs else fenced_id(op.id): f for f in signed}
            for token in tokens:
                if token.transaction_id in back and token.version == 1:
                    made = sum(output.amount for output in back[token.transaction_id].outputs)
                    assert token.total_amount == made, f"I5: fence of {op.id}"
            if op.state == "released" and data_in(op).watch_since is None:
                worth = sum(o.amount for f in signed for o in f.outputs) + sum(f.input_fee for f in signed)
                assert total == worth, f"I1: fences of {op.id}"
            gone += sum(f.input_fee for f in signed)
        elif data_in(op).proven_by == "caller" and data_in(op).payment is not None:
            # what was kept afresh and given back is money as soon as it is stored; the sources go when spent
            # (parked: later, and those that others spent are theirs to account for)
            consumed = total + sum(part.amount for part in data_in(op).contested)
            fresh = (
                data_in(op).keep_total - (data_in(op).sources_total - consumed) + data_in(op).change_amount
            )
            fee = data_in(op).payment.lightning_fee or 0
            assert consumed == op.amount + fee + fresh, f"I1 recorded {op}"
            assert fresh >= 0 and data_in(op).input_fee == 0, f"I1 recorded {op}"
            gone += -fresh + (total if op.state != "contested" else 0)
        elif data_in(op).payment is not None and data_in(op).payment.lightning_fee is not None:
            fee = data_in(op).payment.lightning_fee
            gone += op.amount + fee + data_in(op).input_fee + data_in(op).loss - data_in(op).surplus
            parts = op.amount + fee + data_in(op).input_fee + data_in(op).change_amount + data_in(op).loss
            assert total + data_in(op).surplus == parts, f"I1 {op}"
            assert data_in(op).sources_total == total + data_in(op).keep_total, f"I1 sources {op}"
        elif data_in(op).payment is not None:
            gone += op.amount + data_in(op).input_fee + owed_max(total, op.amount, data_in(op).input_fee)
    paid = {
        part.token_id
        for op in operations
        if data_in(op).payment or data_in(op).fenced_token_id
        for part in op.inputs
    }
    fenced = {key for op in operations if op.kind == "melt" for key in fenced_keys(op)}
    fenced |= {
        key
        for op in operations
        if op.kind == "swap" and data_in(op).swapped
        for key in swap_of(op).sent_keys()
    }
    corrected = sum(
        t.total_amount
        for t in tokens
        if t.state == "spent" and t.reserved_by is None and t.transaction_id not in paid
        if not fenced.issuperset(proof_key(proof.secret) for proof in t.proofs)
    )
    assert entered == held + gone + corrected, f"I1: {entered} != {held} + {gone} + {corrected}"


def _received(op: Operation, tokens: list[Token]) -> int:
    """The value that a receive brought in: the token less the input fee, once the mint has signed for it."""
    data = data_in(op)
    for part in data.received:
        (made,) = [t for t in tokens if t.transaction_id == part.token_id]
        assert made.version > 1 or made.total_amount == op.amount, f"I5: {part.token_id}"
        assert data.sources_total == op.amount + data.input_fee, f"I1: {op.id}"
    return sum(part.amount for part in data.received)


def _swapped(op: Operation, tokens: list[Token]) -> int:
    """The value that a swap took from the wallet: its input fee once it is made, or what was given up."""
    data = data_in(op)
    made = {part.token_id: part.amount for part in data.swapped}
    if data.change_token_id is not None:
        made[data.change_token_id] = data.change_amount
    for token in tokens:
        if token.transaction_id in made and token.version == 1:
            assert token.total_amount == made[token.transaction_id], f"I5: {token.transaction_id}"
        if token.transaction_id in made:
            assert token.metadata.parent_transaction_id == op.id, "I5: parent"
    if made:
        assert [part.amount for part in data.swapped] == list(data.into), f"I1: {op.id}"
        held = sum(part.amount for part in (*op.inputs, *data.stranded))
        assert held == sum(made.values()) + data.input_fee, f"I1: {op.id}"
        return int(data.input_fee)
    return int(data.loss)


def _proofs(store: Reader, operations: list[Operation], tokens: list[Token]) -> None:
    count = Counter(proof_key(p.secret) for t in tokens for p in t.proofs)
    assert all(n == 1 for n in count.values()), "I2: a proof is in two tokens"
    owners = store.proof_owners(count)
    for token in tokens:
        for proof in token.proofs:
            key = proof_key(proof.secret)
            assert owners.get(key) == token.transaction_id, f"I2: index of {token.transaction_id}"
        assert (token.state == "spent") == (token.spent_at is not None), "spent_at"
        assert token.total_amount == sum(p.amount for p in token.proofs), "total"
        assert token.transaction_type in ("received", "sent", "minted", "change"), "melted"
        if token.transaction_type == "change":
            assert token.metadata.parent_transaction_id, "I5: change without parent"
    live = {op.id for op in operations if op.finished_at is None}
    for token in tokens:
        if token.state == "reserved":
            assert token.reserved_by in live, f"I2: reserved by an ended operation {token.reserved_by}"


def _operations(operations: list[Operation], tokens: list[Token]) -> None:
    by_id = {t.transaction_id: t for t in tokens}
    claims = Counter(op.claim for op in operations if op.claim)
    assert all(n == 1 for n in claims.values()), "I3: claim held twice"
    paid = Counter(op.quote.id for op in operations if op.kind == "melt" and data_in(op).payment and op.quote)
    assert all(n == 1 for n in paid.values()), "I3: two payments of a quote"
    for op in operations:
        states = {by_id[part.token_id].state for part in op.inputs}
        if op.kind == "swap":
            _swap_states(op, states)
            continue
        if op.kind in PAYS and op.state == "written_off":
            lost = [t for t in tokens if t.reserved_by == op.id and t.state == "spent"]
            back = sum(o.amount for f in data_in(op).fences if f.end == "done" for o in f.outputs)
            back += sum(f.input_fee for f in data_in(op).fences if f.end == "done")
            assert data_in(op).loss == sum(t.total_amount for t in lost) - back, f"I4: loss of {op.id}"
        elif op.state in ("held", "contested"):
            assert states <= {"reserved"}, f"I4: {op.state} with inputs {states}"
        elif data_in(op).payment is not None or (
            data_in(op).fenced_token_id and op.state == "released" and not data_in(op).watch_since
        ):
            assert states <= {"spent"}, f"I4: {op.state} with inputs {states}"
        elif data_in(op).fenced_token_id and op.state not in ("released", "watching"):
            assert states <= {"spent", "reserved"}, f"I4: {op.state} with inputs {states}"
        elif op.state in ("paying", "pending", "unknown", "unpaid", "fencing", "attention", "prepared"):
            assert states <= {"reserved"}, f"I4: {op.state} with inputs {states}"
        for token_id in (data_in(op).change_token_id, data_in(op).keep_token_id):
            if token_id is not None:
                assert by_id[token_id].metadata.parent_transaction_id == op.id, "I5: parent"
        assert op.kind not in PAYS or not data_in(op).change_token_id or data_in(op).payment is not None, (
            "I5: change of an unpaid melt"
        )
        if data_in(op).proven_by == "caller":
            held = [by_id[part.token_id] for part in data_in(op).contested]
            assert op.state != "contested" or held or op.claim is None, "I4: contested without a reason"
            assert all(token.reserved_by != op.id for token in held), "I4: contested by itself"
        if op.sent_at is not None and op.kind == "melt":
            assert data_in(op).request_body is not None, "I6: sent without a stored request"


def _swap_states(op: Operation, states: set[str]) -> None:
    data = data_in(op)
    if op.state in ("swapping", "restoring", "attention"):
        assert states <= {"reserved"}, f"I4: {op.state} with inputs {states}"
        assert data.blanks and data.request_body is not None, "I6: sent without stored outputs"
    if data.swapped and data.watch_since is None:
        assert states <= {"spent"}, f"I4: {op.state} with inputs {states}"
    if op.ends == "good":
        assert data.swapped, f"I5: {op.id} ended well and made nothing"


def _audit(store: Reader, operations: list[Operation], tokens: list[Token]) -> None:
    versions: Counter[str] = Counter()
    last: dict[str, str] = {}
    for op in operations:
        previous = ""
        spec = KINDS.machine_of(op)
        edges = {t.id: t for t in spec.transitions}
        records = store.audit(AuditQuery(operation_id=op.id))
        assert [r.seq for r in records] == list(range(1, op.audit_seq + 1)), "I7: gap in the audit"
        for record in records:
            assert record.prev_hash == previous and audit_hash(record) == record.hash, "I7: chain"
            previous = record.hash
            if record.entity == f"operation:{op.id}":
                edge = edges[record.transition]
                assert (edge.event, edge.source, edge.dest) == (
                    record.event,
                    record.from_state,
                    record.to_state,
                ), "I8: undeclared edge"
        assert previous == op.audit_hash, "I7: head"
    for entity, version, state in [
        *((f"operation:{op.id}", op.version, op.state) for op in operations),
        *((f"token:{t.transaction_id}", t.version, t.state) for t in tokens),
    ]:
        trail = store.audit(AuditQuery(entity=entity))
        assert [r.version for r in trail] == list(range(1, version + 1)), f"I7: versions of {entity}"
        previous_state = "none"
        for record in trail:
            assert record.from_state == previous_state, "I7: states do not chain"
            previous_state = record.to_state
        assert previous_state == state, "I7: replayed state"
        versions[entity] = version
        last[entity] = state


def _mint_agrees(mint: MintPort, tokens: list[Token]) -> None:
    """What we call unspent is spendable at the mint; what it can still spend, we did not call spent."""
    for token in tokens:
        if not token.proofs or token.state not in ("unspent", "spent"):
            continue
        states = mint.check_states(token.mint_url, [name_of(p) for p in token.proofs])
        assert is_value(states)
        said = {state.state for state in states}
        wanted = "UNSPENT" if token.state == "unspent" else "SPENT"
        assert said == {wanted}, f"{token.transaction_id} is {token.state}, the mint says {said}"
