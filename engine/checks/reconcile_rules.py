"""The named checks of a reconciliation. They read documents that were read before, and write nothing;
texts name documents and numbers, never secrets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from ...machines.money import conserved, is_amount
from ...storage.batch import proof_key
from ...storage.records import InputRef, Operation, Proof
from ..audit.verify import chain_holds
from ..cashu import crypto
from ..cashu.keysets import Keysets, MintSilent
from ..cashu.port import Keyset
from ..loop.known import is_known
from ..operations.melt.fences import done, fenced_amount
from ..tokens.token_ids import deposit_id, fence_id, fenced_id, minted_id
from .documents import Documents

KeysOf = Callable[[str], Keyset | None]
"""The keys of a keyset; None when the mint does not answer."""


@frozen
class CheckResult:
    """One named check. ``expected`` and ``found`` hold what differed, by what it is about."""

    name: str
    passed: bool
    compared: int
    expected: Mapping[str, Any]
    found: Mapping[str, Any]
    not_checked: tuple[str, ...]
    duration_ms: float

    def texts(self) -> tuple[str, ...]:
        """One sentence per difference."""
        return tuple(
            f"{self.name}: {what}: expected {self.expected[what]}, found {self.found[what]}"
            for what in self.expected
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "passed": self.passed,
            "compared": self.compared,
            "expected": dict(self.expected),
            "found": dict(self.found),
            "not_checked": list(self.not_checked),
            "duration_ms": round(self.duration_ms, 3),
        }


@define
class Tally:
    """What one check compared and what differed."""

    compared: int = 0
    expected: dict[str, Any] = field(factory=dict)
    found: dict[str, Any] = field(factory=dict)
    not_checked: list[str] = field(factory=list)

    def that(self, what: str, found: Any, expected: Any = True) -> None:
        """Compare one thing."""
        self.compared += 1
        if found != expected:
            self.expected[what], self.found[what] = expected, found


@frozen
class Expected:
    """What a caller believes of the operation; None where he says nothing."""

    source_token_ids: tuple[str, ...] | None = None
    keep_proofs_count: int | None = None
    melt_change_proofs_count: int | None = None
    unspent_balance: int | None = None


@define(eq=False)
class KeyBook:
    """A mint's keys, each asked for once: a mint that is silent is not asked for every proof."""

    keysets: Keysets
    _known: dict[tuple[str, str], Keyset | None] = field(factory=dict)

    def of(self, mint_url: str) -> KeysOf:
        """The keys of one mint's keysets."""

        def keys(keyset_id: str) -> Keyset | None:
            name = (mint_url, keyset_id)
            if name not in self._known:
                try:
                    self._known[name] = self.keysets.keys(mint_url, keyset_id)
                except MintSilent:
                    self._known[name] = None
            return self._known[name]

        return keys


def judge_documents(docs: Documents, keys: KeysOf, expected: Expected) -> tuple[CheckResult, ...]:
    """Every check, by name; only the first when something cannot even be read, and only what holds of any
    operation when this program does not have its machine."""
    if docs.unreadable is not None:
        return (
            _timed("transaction_completeness", lambda t: t.that("every document decodes", docs.unreadable)),
        )
    if not is_known(docs.operation):
        return (
            _timed("transaction_completeness", lambda t: _indexed(t, docs)),
            _timed("balance_consistency", lambda t: _added_up(t, docs)),
            _timed("audit_chain", lambda t: _audited(t, docs)),
        )
    return (
        _timed("transaction_completeness", lambda t: _complete(t, docs)),
        _timed("balance_consistency", lambda t: _balanced(t, docs, expected)),
        _timed("source_token_status", lambda t: _sources(t, docs, expected)),
        _timed("change_verification", lambda t: _change(t, docs, keys, expected)),
        _timed("audit_chain", lambda t: _audited(t, docs)),
    )


def _timed(name: str, check: Callable[[Tally], None]) -> CheckResult:
    tally, started = Tally(), time.perf_counter()
    check(tally)
    took = (time.perf_counter() - started) * 1000
    return CheckResult(
        name, not tally.expected, tally.compared, tally.expected, tally.found, tuple(tally.not_checked), took
    )


def is_settled(op: Operation) -> bool:
    """Whether a payment is stored with everything that belongs to it."""
    return op.kind == "melt" and op.state in ("settled", "reconciled", "discrepant")


# -- transaction_completeness: what must exist, and nothing else ---------------------------------------


def _complete(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    if is_settled(op):
        tally.that("the payment is recorded", op.payment is not None)
    tally.that("keep is named exactly when it has value", op.keep_token_id is not None, op.keep_total > 0)
    tally.that(
        "change is named exactly when it has value", op.change_token_id is not None, op.change_amount > 0
    )
    for token_id in docs.made:
        tally.that(f"{token_id} exists", token_id in docs.tokens)
    tally.that("tokens nothing accounts for", list(docs.strays), [])
    _indexed(tally, docs)


def _indexed(tally: Tally, docs: Documents) -> None:
    if not is_known(docs.operation):
        ref = docs.operation.machine
        tally.not_checked.append(
            f"what only its machine tells: this program does not have {ref.name}@{ref.version}"
        )
    for token_id, token in sorted(docs.tokens.items()):
        keys = [proof_key(proof.secret) for proof in token.proofs]
        wrong = sum(docs.owners.get(key) != token_id for key in keys)
        tally.that(f"{token_id}: proofs the index does not give it", wrong, 0)


# -- balance_consistency: exact integers ---------------------------------------------------------------


def _balanced(tally: Tally, docs: Documents, expected: Expected) -> None:
    op = docs.operation
    _added_up(tally, docs)
    if op.kind == "melt":
        _melt_sums(tally, docs)
    else:
        _other_sums(tally, docs)
    if docs.wallet is not None:
        tally.that("the wallet's balance", dict(docs.wallet.told), dict(docs.wallet.counted))
        if expected.unspent_balance is not None:
            counted = docs.wallet.counted.get("unspent", 0)
            tally.that("the wallet's unspent balance", counted, expected.unspent_balance)


def _added_up(tally: Tally, docs: Documents) -> None:
    for token_id, token in sorted(docs.tokens.items()):
        tally.that(f"{token_id}: total", token.total_amount, _value(token.proofs))
        bad = sum(not is_amount(proof.amount) for proof in token.proofs)
        tally.that(f"{token_id}: proofs without a whole positive amount", bad, 0)


def _melt_sums(tally: Tally, docs: Documents) -> None:
    op, inputs = docs.operation, sum(part.amount for part in docs.operation.inputs)
    if is_settled(op):
        fee = op.payment.lightning_fee if op.payment else None
        loss = 0 if op.evidence == "caller" else op.loss  # sources that others used are theirs to account for
        parts = (op.amount, fee or 0, op.input_fee, op.keep_total, op.change_amount, loss)
        tally.that("the Lightning fee is known", fee is not None)
        tally.that(
            "sources + surplus = amount + fees + keep + change + loss",
            op.sources_total + op.surplus,
            sum(parts),
        )
        tally.that("no part is negative", conserved(sum(parts), *parts))
    elif op.payment is None and op.inputs:
        stranded = sum(part.amount for part in op.stranded)
        tally.that("sources = inputs + stranded + keep", op.sources_total, inputs + stranded + op.keep_total)
    if op.state == "written_off":
        lost = [t for t in docs.tokens.values() if t.reserved_by == op.id and t.state == "spent"]
        fenced = sum(fenced_amount(fence) + fence.input_fee for fence in done(op))
        tally.that("the loss", op.loss, sum(token.total_amount for token in lost) - fenced)
    back = 0
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        back += fenced_amount(fence) + fence.input_fee
        if name in docs.born:
            tally.that(f"{name}: value at birth", docs.born[name].amount, fenced_amount(fence))
    if back and op.state == "released" and op.watch_since is None:
        tally.that("inputs = fences + their fees", inputs, back)


def _other_sums(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    own = f"operation:{op.id}"
    name = {"issued": minted_id(op.id), "deposited": deposit_id(op.id)}.get(op.state)
    if name is not None and name in docs.born:
        tally.that(f"{name}: value at birth", docs.born[name].amount, op.amount)
    if op.kind == "check" and op.state == "corrected" and docs.tombstone is None:
        gone = sum(r.data.get("amount", 0) for r in docs.trail if r.event == "correct_spent")
        tally.that("value that was corrected", gone, op.amount)
    event = {"retried": "retry", "written_off": "write_off"}.get(op.state)
    if op.kind == "check" and event is not None and docs.tombstone is None:
        changed = sum(r.data.get("amount", 0) for r in docs.trail if r.entity != own and r.event == event)
        tally.that("value of the stranded tokens", changed, op.amount)


# -- source_token_status: every source is spent --------------------------------------------------------


def _sources(tally: Tally, docs: Documents, expected: Expected) -> None:
    op = docs.operation
    for part in op.inputs:
        _source(tally, docs, part)
    for part in op.contested:
        tally.that(f"{part.token_id} exists", part.token_id in docs.tokens)
    if expected.source_token_ids is not None:
        named = sorted(part.token_id for part in (*op.inputs, *op.contested))
        tally.that("the sources", named, sorted(expected.source_token_ids))


def _source(tally: Tally, docs: Documents, part: InputRef) -> None:
    op, token = docs.operation, docs.tokens.get(part.token_id)
    tally.that(f"{part.token_id} exists", token is not None)
    if token is None:
        return
    tally.that(f"{part.token_id}: owner", token.npub == op.npub)
    fences = done(op)  # after a release a part may have come back, and the rest been used
    whole = op.watch_since is None or any(not fence.inputs for fence in fences)
    fenced = bool(fences) and op.state == "released" and whole
    if is_settled(op) or fenced:
        tally.that(f"{part.token_id}: state", token.state, "spent")
        tally.that(f"{part.token_id}: the time it was spent is stored", token.spent_at is not None)
        if op.watch_since is None:  # once freed, others may have split it
            tally.that(f"{part.token_id}: value", token.total_amount, part.amount)
    elif op.finished_at is not None and token.state == "reserved":
        tally.that(
            f"{part.token_id}: is held by an operation that has ended", token.reserved_by == op.id, False
        )


# -- change_verification: amounts, parents, signatures -------------------------------------------------


def _change(tally: Tally, docs: Documents, keys: KeysOf, expected: Expected) -> None:
    op = docs.operation
    if op.keep_token_id is not None:
        _made_token(tally, docs, op.keep_token_id, "change", op.keep_total)
    if op.change_token_id is not None:
        _made_token(tally, docs, op.change_token_id, "change", op.change_amount)
    for fence in done(op):
        name = fence_id(op.id, fence.generation) if fence.inputs else fenced_id(op.id)
        _made_token(tally, docs, name, "change", None)
    if op.state == "issued":
        _made_token(tally, docs, minted_id(op.id), "minted", op.amount)
    if op.state == "deposited":
        _made_token(tally, docs, deposit_id(op.id), "received", op.amount)
    if op.kind == "mint" and op.finished_at is not None and op.state != "issued":
        token = docs.tokens.get(minted_id(op.id))
        if token is not None:
            tally.that(f"{token.transaction_id}: state", token.state, "failed")
    _counted(tally, docs, "keep proofs", op.keep_token_id, expected.keep_proofs_count)
    _counted(tally, docs, "change proofs", op.change_token_id, expected.melt_change_proofs_count)
    _signatures(tally, docs, keys)


def _made_token(tally: Tally, docs: Documents, token_id: str, kind: str, amount: int | None) -> None:
    """A token this operation made; it may have been used since, but has no other origin."""
    op, token = docs.operation, docs.tokens.get(token_id)
    if token is None:
        return  # transaction_completeness says so
    tally.that(f"{token_id}: type", token.transaction_type, kind)
    if kind == "change":
        tally.that(f"{token_id}: parent", token.metadata.parent_transaction_id, op.id)
    same = (token.npub, token.mint_url, token.unit) == (op.npub, op.mint_url, op.unit)
    tally.that(f"{token_id}: owner, mint and unit are the operation's", same)
    born = docs.born.get(token_id)
    if amount is not None and born is not None and kind == "change":
        tally.that(f"{token_id}: value at birth", born.amount, amount)
    if token.version == (2 if kind == "minted" else 1):
        tally.that(f"{token_id}: state", token.state, "unspent")
        if amount is not None:
            tally.that(f"{token_id}: value", _value(token.proofs), amount)


def _counted(tally: Tally, docs: Documents, what: str, token_id: str | None, wanted: int | None) -> None:
    if wanted is None:
        return
    token = docs.tokens.get(token_id or "")
    born = docs.born.get(token_id or "")
    there = born.proof_count if born else len(token.proofs) if token else 0
    tally.that(what, there, wanted)


def _signatures(tally: Tally, docs: Documents, keys: KeysOf) -> None:
    """NUT-12, wherever a proof carries it and the mint's keys can be had."""
    silent: set[str] = set()
    for token_id in docs.made:
        token = docs.tokens.get(token_id)
        signed = (
            [] if token is None else [p for p in token.proofs if p.dleq is not None and p.dleq.r is not None]
        )
        bad = 0
        for proof in signed:
            keyset = keys(proof.id)
            if keyset is None:
                silent.add(proof.id)
            else:
                bad += not _verifies(proof, keyset, docs.operation.unit)
        if signed:
            tally.that(f"{token_id}: proofs whose DLEQ does not verify", bad, 0)
    for keyset_id in sorted(silent):
        tally.not_checked.append(f"DLEQ of keyset {keyset_id}: the mint does not answer")


def _verifies(proof: Proof, keyset: Keyset, unit: str) -> bool:
    key, dleq = keyset.keys.get(proof.amount), proof.dleq
    if key is None or dleq is None or dleq.r is None or keyset.unit != unit:
        return False
    return crypto.verify_proof_dleq(
        key, proof.secret.reveal(), proof.C.reveal(), dleq.e, dleq.s, dleq.r.reveal()
    )


# -- audit_chain ---------------------------------------------------------------------------------------


def _audited(tally: Tally, docs: Documents) -> None:
    op, stone, own = docs.operation, docs.tombstone, f"operation:{docs.operation.id}"
    gone = stone.records if stone is not None else 0
    tally.that("audit records", gone + len(docs.trail), op.audit_seq)
    tally.that("the hash chain holds", chain_holds(op, docs.trail, stone))
    if stone is not None:
        ends = (stone.last_seq, stone.last_hash) == (op.audit_seq, op.audit_hash)
        tally.that("the tombstone is about the end of the trail", ends)
    spans = [span for span in (stone.spans if stone is not None else ()) if span.entity == own]
    counted = sum(span.last - span.first + 1 for span in spans)
    counted += sum(record.entity == own for record in docs.trail)
    tally.that("records of the operation itself", counted, op.version)


def _value(proofs: Iterable[Proof]) -> int:
    return sum(proof.amount for proof in proofs)
