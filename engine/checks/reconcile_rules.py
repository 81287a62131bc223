"""The named checks of a reconciliation. They read documents that were read before, and write nothing;
texts name documents and numbers, never secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

from ...machines.money import is_amount
from ...machines.token.states import RESERVED, SPENT, UNSPENT
from ...storage.batch import proof_key
from ...storage.records import InputRef, Proof, Token
from ..audit.verify import chain_holds
from ..cashu.coins.verified import VERIFIED
from ..cashu.keysets import Keysets, MintSilent
from ..cashu.port import Keyset
from .documents import UNKNOWN_KIND, Documents
from .tally import CheckResult, Tally, value_of

KeysOf = Callable[[str], Keyset | None]
"""The keys of a keyset; None when the mint does not answer."""


@frozen
class Expected:
    """The caller's expectation of the operation; None where the caller gave none."""

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


CHECKS_PERFORMED: Final = 5
"""The number of checks of documents that can all be read."""


def judge_documents(docs: Documents, keys: KeysOf, expected: Expected) -> tuple[CheckResult, ...]:
    """Every check, by name; only the first when something cannot even be read."""
    if docs.unreadable is not None:
        return (
            _timed("transaction_completeness", lambda t: t.that("every document decodes", docs.unreadable)),
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


# -- transaction_completeness: all needed documents, and no others -------------------------------------


def _complete(tally: Tally, docs: Documents) -> None:
    op = docs.operation
    docs.of_kind(tally, "makes", lambda: len(tuple(docs.checks.makes(op))), 0)
    docs.of_kind(tally, "completes", lambda: docs.checks.completes(tally, docs), None)
    if docs.checks is UNKNOWN_KIND:
        ref = op.machine
        tally.not_checked.append(f"what only {ref.name}@{ref.version} tells: this program does not have it")
    for token_id in docs.made:
        tally.that(f"{token_id} exists", token_id in docs.tokens)
    tally.that("tokens nothing accounts for", list(docs.strays), [])
    for token_id, token in sorted(docs.tokens.items()):
        keys = [proof_key(proof.secret) for proof in token.proofs]
        wrong = sum(docs.owners.get(key) != token_id for key in keys)
        tally.that(f"{token_id}: proofs the index does not give it", wrong, 0)


# -- balance_consistency: exact integers ---------------------------------------------------------------


def _balanced(tally: Tally, docs: Documents, expected: Expected) -> None:
    for token_id, token in sorted(docs.tokens.items()):
        tally.that(f"{token_id}: total", token.total_amount, value_of(token.proofs))
        bad = sum(not is_amount(proof.amount) for proof in token.proofs)
        tally.that(f"{token_id}: proofs without a whole positive amount", bad, 0)
    docs.of_kind(tally, "sums", lambda: docs.checks.sums(tally, docs), None)
    if docs.wallet is not None:
        tally.that("the wallet's balance", dict(docs.wallet.told), dict(docs.wallet.counted))
        if expected.unspent_balance is not None:
            counted = docs.wallet.counted.get(UNSPENT, 0)
            tally.that("the wallet's unspent balance", counted, expected.unspent_balance)


# -- source_token_status: every source is spent --------------------------------------------------------


def _sources(tally: Tally, docs: Documents, expected: Expected) -> None:
    op = docs.operation
    spends = docs.of_kind(tally, "spends", lambda: docs.checks.spends(op), False)
    for part in op.inputs:
        _source(tally, docs, part, spends)
    others = docs.of_kind(tally, "sources", lambda: docs.checks.sources(op), op.inputs[:0])
    for part in others:
        tally.that(f"{part.token_id} exists", part.token_id in docs.tokens)
    if expected.source_token_ids is not None:
        named = sorted(part.token_id for part in (*op.inputs, *others))
        tally.that("the sources", named, sorted(expected.source_token_ids))


def _source(tally: Tally, docs: Documents, part: InputRef, spends: bool) -> None:
    op, token = docs.operation, docs.tokens.get(part.token_id)
    tally.that(f"{part.token_id} exists", token is not None)
    if token is None:
        return
    tally.that(f"{part.token_id}: owner", token.npub == op.npub)
    if spends:
        tally.that(f"{part.token_id}: state", token.state, SPENT)
        tally.that(f"{part.token_id}: the time it was spent is stored", token.spent_at is not None)
        as_held = docs.of_kind(tally, "spends_as_held", lambda: docs.checks.spends_as_held(op), False)
        if as_held:  # once freed, others may have split it
            tally.that(f"{part.token_id}: value", token.total_amount, part.amount)
    elif op.finished_at is not None and token.state == RESERVED:
        tally.that(
            f"{part.token_id}: is held by an operation that has ended", token.reserved_by == op.id, False
        )


# -- change_verification: amounts, parents, signatures -------------------------------------------------


def _change(tally: Tally, docs: Documents, keys: KeysOf, expected: Expected) -> None:
    op = docs.operation
    docs.of_kind(tally, "made", lambda: docs.checks.made(tally, docs), None)
    keep = docs.of_kind(tally, "keep", lambda: docs.checks.keep(op), None)
    change = docs.of_kind(tally, "change", lambda: docs.checks.change(op), None)
    _counted(tally, docs, "keep proofs", keep, expected.keep_proofs_count)
    _counted(tally, docs, "change proofs", change, expected.melt_change_proofs_count)
    _signatures(tally, docs, keys)


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


def signatures_verify(token: Token, keys: KeysOf, unit: str) -> bool:
    """Whether the DLEQ of each proof that carries it verifies. A proof that was verified in this process
    before costs a hash; no key of a mint that is silent verifies anything."""
    for proof in token.proofs:
        if proof.dleq is not None and proof.dleq.r is not None:
            keyset = keys(proof.id)
            if keyset is None or not _verifies(proof, keyset, unit):
                return False
    return True


def _verifies(proof: Proof, keyset: Keyset, unit: str) -> bool:
    key, dleq = keyset.keys.get(proof.amount), proof.dleq
    if key is None or dleq is None or dleq.r is None or keyset.unit != unit:
        return False
    return VERIFIED.holds(key, proof.secret.reveal(), proof.C.reveal(), dleq.e, dleq.s, dleq.r.reveal())


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
