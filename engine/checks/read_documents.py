"""Reads every document of one operation from one snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import attrs

from ...storage.ahead import OperationRead, OwnersRead, Read
from ...storage.batch import proof_key
from ...storage.errors import CorruptRecord
from ...storage.port import AuditQuery, Reader, TokenQuery, TombstoneQuery
from ...storage.records import AuditRecord, Operation, Token
from ..audit.verify import purged, records_of, trail_of
from ..loop.kinds import Kinds
from ..tokens.coins import OWNED
from ..tokens.token_ids import derived_ids
from .documents import NO_CHECKS, UNKNOWN_KIND, Born, Documents, KindChecks, KindFailed, WalletSums

T = TypeVar("T")
PAGE = 1000


def documents_of(op: Operation, tokens: Iterable[Token]) -> tuple[Read, ...]:
    """The reads of :func:`read_documents` for an operation with these tokens, as far as they are known
    before. A read that is missing here is made all the same, and nothing that is judged comes from these
    tokens."""
    known = {token.transaction_id: token for token in tokens}
    ids = tuple(sorted({*known, *(part.token_id for part in op.inputs), *derived_ids(op.id)}))
    keys = tuple(proof_key(proof.secret) for token in known.values() for proof in token.proofs)
    return (
        OperationRead(op.id),
        trail_of(op.id, op.npub),
        TombstoneQuery(operation_ids=(op.id,)),
        TokenQuery(ids=ids, limit=len(ids)),
        *_held_or_made(op),
        *((OwnersRead(keys),) if keys else ()),
    )


def _held_or_made(op: Operation) -> tuple[TokenQuery, TokenQuery]:
    return (
        TokenQuery(parent=op.id, limit=PAGE, home=op.npub),
        TokenQuery(reserved_by=op.id, limit=PAGE, home=op.npub),
    )


def read_documents(
    reader: Reader, op: Operation, kinds: Kinds, *, with_wallet: bool, driven: bool = False
) -> Documents:
    """Read all of them from one snapshot. ``with_wallet`` also adds up the whole wallet. A document that
    does not decode is something to report, so it is not raised. Nor is an error of the kind's own checks,
    unless the operation is ``driven`` by what they say."""
    checks = (kinds.of(op).checks or NO_CHECKS) if kinds.knows(op) else UNKNOWN_KIND
    failed = None if driven else partial(kinds.failures.tell, op, "checks")
    try:
        return attrs.evolve(_read(reader, op, checks, with_wallet, failed), kind_failed=failed)
    except CorruptRecord as error:
        return Documents(op, (), {}, (), (), {}, {}, checks, unreadable=error.message)


def _read(
    reader: Reader, op: Operation, checks: KindChecks, with_wallet: bool, failed: KindFailed | None
) -> Documents:
    started = time.perf_counter()
    trail = tuple(records_of(reader, op.id, op.npub))
    tombstone = purged(reader, op.id, op.npub)
    spans = tombstone.spans if tombstone is not None else ()
    steps = [(r.entity, r.version) for r in trail] + [(span.entity, span.first) for span in spans]
    made = _made(_asked(lambda: checks.makes(op), failed), steps)
    sources = {part.token_id for part in (*op.inputs, *_asked(lambda: checks.sources(op), failed))}
    touched = {entity.removeprefix("token:") for entity, _ in steps if entity.startswith("token:")}
    ids = frozenset({*made, *sources, *touched})
    looked_for = tuple(sorted({*ids, *derived_ids(op.id)}))
    query = TokenQuery(ids=looked_for, limit=len(looked_for), home=op.npub)
    named = {t.transaction_id: t for t in reader.tokens(query)}
    tokens = {token_id: token for token_id, token in named.items() if token_id in ids}
    strays = tuple(sorted(_strays(reader, op, ids, named)))
    keys = [proof_key(proof.secret) for token in tokens.values() for proof in token.proofs]
    owners = dict(reader.proof_owners(keys, op.npub)) if keys else {}
    # A look at one operation does not read the wallet's spent tokens (R216), a sweep does.
    wallet = wallet_sums(reader, op.npub, op.mint_url, op.unit, states=OWNED) if with_wallet else None
    return Documents(
        operation=op,
        trail=trail,
        tokens=tokens,
        made=made,
        strays=strays,
        owners=owners,
        born=_born(trail),
        wallet=wallet,
        snapshot_ms=(time.perf_counter() - started) * 1000,
        tombstone=tombstone,
        checks=checks,
    )


def _asked(ask: Callable[[], Iterable[T]], failed: KindFailed | None) -> Iterable[T]:
    try:
        return tuple(ask())
    except CorruptRecord:
        raise
    except Exception as error:
        if failed is None:
            raise
        failed(error)
        return ()


def _made(makes: Iterable[str | None], steps: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    named = {name for name in makes if name is not None}
    named |= {
        entity.removeprefix("token:")
        for entity, version in steps
        if version == 1 and entity.startswith("token:")
    }
    return tuple(sorted(named))


def _born(trail: Iterable[AuditRecord]) -> dict[str, Born]:
    """The value of each token in the first record of this trail that gives it value, if this record is one
    of its birth."""
    found: dict[str, Born] = {}
    births = {r.entity for r in trail if r.version == 1}
    for record in trail:
        token_id = record.entity.removeprefix("token:")
        amount, count = record.data.get("amount"), record.data.get("proof_count")
        if record.entity not in births or token_id in found or token_id == record.entity:
            continue
        if type(amount) is int and type(count) is int and count:
            found[token_id] = Born(amount, count)
    return found


def _strays(
    reader: Reader, op: Operation, accounted: frozenset[str], named: Mapping[str, Token]
) -> Iterator[str]:
    """Tokens that nothing accounts for: of those that call the operation their parent or holder, and of
    those ``named``, which bear an id of its."""
    candidates = dict(named)
    for query in _held_or_made(op):
        candidates |= {token.transaction_id: token for token in paged(reader, query)}
    for token_id, token in candidates.items():
        if token_id in accounted:
            continue
        if token.reserved_by == op.id or not _born_elsewhere(reader, op, token_id):
            yield token_id


def _born_elsewhere(reader: Reader, op: Operation, token_id: str) -> bool:
    """Whether another operation split it off something that this one made: it keeps its parent."""
    entity = f"token:{token_id}"
    trail = reader.audit(AuditQuery(entity=entity, limit=1, home=op.npub))
    born_by = {record.operation_id for record in trail if record.version == 1}
    born_by |= {
        stone.operation_id
        for stone in reader.tombstones(TombstoneQuery(entity=entity, home=op.npub))
        if any(span.entity == entity and span.first == 1 for span in stone.spans)
    }
    return any(name != op.id and token_id.startswith(f"{name}_") for name in born_by)


def paged(reader: Reader, query: TokenQuery) -> Iterator[Token]:
    """Every token of a query, a page at a time."""
    while True:
        page = reader.tokens(query)
        yield from page
        if len(page) < query.limit or query.ids:
            return
        query = attrs.evolve(query, after=page[-1].transaction_id)


def wallet_sums(
    reader: Reader, npub: str, mint_url: str, unit: str, page: int = PAGE, states: tuple[str, ...] = ()
) -> WalletSums:
    """The balance as the store gives it, and as every proof of the wallet adds up; with ``states`` only of
    what is in one of them."""
    held = reader.balance(npub, mint_url, states)
    told = {h.state: h.amount for h in held if h.unit == unit and h.amount}
    counted: dict[str, int] = {}
    query = TokenQuery(npub=npub, mint_url=mint_url, unit=unit, states=states, limit=page)
    for token in paged(reader, query):
        value = sum(proof.amount for proof in token.proofs)
        if value:
            counted[token.state] = counted.get(token.state, 0) + value
    return WalletSums(told, counted)
