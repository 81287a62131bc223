"""From checked arguments to a new operation that is not stored yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...machines.spec import Machine
from ...machines.token.states import SPENT, UNSPENT
from ...storage.ahead import ClaimRead, DedupRead, KeyRead, OperationRead, Read
from ...storage.batch import DedupTake
from ...storage.port import Reader, Store, TokenQuery
from ...storage.records import DedupRecord, Idempotency, MachineRef, Operation, Policy, Token
from ...storage.secret import Secret
from .. import arguments
from ..errors import InvalidArgument, NotFound, Refused
from ..loop.draft import Draft, token_entity
from ..loop.kinds import Kinds
from ..settings import Settings
from ..tokens.ids import new_transaction_id, operation_hash, request_hash, validate_transaction_id
from ..tokens.token_ids import derived_ids
from .discrepancy import corrected_sources, open_discrepancies, touched_by

KEYED_ON_UNPAID = "fence"
"""The policy that an idempotency key binds when the caller names none. The default may change meanwhile: a
retry after an upgrade, or after a setting was changed, is the same request."""


def new_operation(
    machine: Machine[Any],
    *,
    now: int,
    npub: str,
    mint_url: str,
    unit: str,
    amount: int,
    wallet_id: str | None = None,
    transaction_id: str | None = None,
    idempotency_key: str | None = None,
    policy: Policy | None = None,
    request: Secret | None = None,
    payment_hash: str | None = None,
    parent_id: str | None = None,
    bound: dict[str, Any] | None = None,
) -> Operation:
    """An operation in pseudo-state ``none``; ``bound`` is what its idempotency key also stands for. The key
    binds what the caller said, never what a setting made of it."""
    kind, policy = machine.name, policy or Policy()
    hashed = operation_hash(
        npub=npub,
        mint_url=mint_url,
        amount=amount,
        source_ids=policy.sources,
        operation_type=kind,
        payment_request=request.reveal() if request else None,
    )
    key = arguments.idempotency_key(idempotency_key)
    wallet = arguments.wallet_id(wallet_id, npub)
    bound_to = {
        "request": hashed,
        "unit": unit,
        "wallet_id": wallet,
        "two_step": policy.two_step,
        "on_unpaid": KEYED_ON_UNPAID,
        **(bound or {}),
    }
    return Operation(
        id=new_transaction_id(kind, now)
        if transaction_id is None
        else validate_transaction_id(transaction_id),
        kind=kind,
        machine=MachineRef(machine.name, machine.version, machine.content_hash),
        state="none",
        version=0,
        npub=npub,
        wallet_id=wallet,
        mint_url=mint_url,
        unit=unit,
        method="bolt11",
        amount=amount,
        operation_hash=hashed,
        created_at=now,
        updated_at=now,
        policy=policy,
        request=request,
        payment_hash=payment_hash,
        parent_id=parent_id,
        idempotency=None if key is None else Idempotency(key, request_hash(**bound_to)),
    )


def looked_up(op: Operation, *, by_id: bool) -> tuple[Read, ...]:
    """The reads that tell whether a request was made before, or its payment is claimed."""
    reads: list[Read] = [DedupRead(dedup_key(op))]
    if op.idempotency is not None:
        reads.append(KeyRead(op.npub, op.idempotency.key))
    if op.payment_hash is not None:
        reads.append(ClaimRead(op.payment_hash))
    if by_id:
        ids = derived_ids(op.id)
        reads += [OperationRead(op.id), TokenQuery(ids=ids, limit=len(ids))]
    return tuple(reads)


def by_key(store: Reader, op: Operation) -> Operation | None:
    """The operation this idempotency key already stands for. Raises IDEMPOTENCY_KEY_REUSED."""
    if op.idempotency is None:
        return None
    found = store.operation_by_key(op.npub, op.idempotency.key)
    if found is None:
        return None
    if found.idempotency is None or found.idempotency.hash != op.idempotency.hash:
        raise InvalidArgument(
            "the idempotency key was used for another request",
            code="IDEMPOTENCY_KEY_REUSED",
            first_operation=found.id,
        )
    return found


def by_claim(store: Reader, op: Operation, claim: str) -> Operation | None:
    """The operation of the same wallet that took in what this one hands in. Code ALREADY_RECEIVED when that
    is another wallet's, which is not named, or when this request has an idempotency key or id of its own."""
    first = store.operation_by_claim(claim)
    if first is None:
        return None
    own = (first.npub, first.wallet_id, first.kind) == (op.npub, op.wallet_id, op.kind)
    if own and op.idempotency in (None, first.idempotency):
        return first
    raise Refused(
        "another operation receives this token, or has received it",
        code="ALREADY_RECEIVED",
        first_operation=first.id if first.npub == op.npub else None,
    )


def by_id(store: Reader, op: Operation) -> Operation | None:
    """The operation that made this very request under this transaction id, unless it ended unpaid. Raises
    DUPLICATE_TRANSACTION_ID when anything else has the id, or one that is derived from it."""
    stored = store.operation(op.id)
    if stored is None:
        check_id_free(store, op)
        return None
    same = (stored.kind, stored.policy.two_step) == (op.kind, op.policy.two_step)
    same = same and dedup_key(stored) == dedup_key(op)
    keyed = op.idempotency is None or stored.idempotency == op.idempotency
    if not same or not keyed or stored.ends == "unpaid":
        raise taken_id(op)
    return stored


def check_id_free(store: Reader, op: Operation) -> None:
    """No operation has the transaction id, and no token one that is derived from it. Code
    DUPLICATE_TRANSACTION_ID."""
    ids = derived_ids(op.id)
    if store.operation(op.id) is not None or store.tokens(TokenQuery(ids=ids, limit=len(ids))):
        raise taken_id(op)


def taken_id(op: Operation) -> InvalidArgument:
    return InvalidArgument(
        "another operation has this transaction id", code="DUPLICATE_TRANSACTION_ID", id=op.id
    )


def dedup_key(op: Operation) -> str:
    """The key of equal requests inside the window: owner, wallet, unit and operation hash."""
    return f"{op.npub}|{op.wallet_id}|{op.unit}|{op.operation_hash}"


def duplicate_of(
    store: Reader, kinds: Kinds, op: Operation, now: int
) -> tuple[Operation | None, DedupRecord | None]:
    """The operation that made the same request inside the window and did not end unpaid, and the
    record to take over when there is none. One that was given up unpaid is none either, but it keeps
    its claim: it is not known whether its request was lost."""
    record = store.dedup(dedup_key(op), op.npub)
    if record is None or record.expires_at <= now:
        return None, record
    first = store.operation(record.operation_id, op.npub)
    if first is None or first.ends == "unpaid" or kinds.was_refused(first):
        return None, record
    if first.ends == "lost" and kinds.account_of(first).payment is None:
        return None, record
    return first, record


def take_dedup(draft: Draft, previous: DedupRecord | None, settings: Settings, now: int) -> None:
    until = now + int(settings.dedup_window_s * 1000)
    draft.dedup = DedupTake(DedupRecord(dedup_key(draft.operation), draft.operation.id, until), previous)


def claim_holder(store: Reader, op: Operation) -> Operation | None:
    """The operation that claims the payment of this one."""
    return store.operation_by_claim(op.payment_hash) if op.payment_hash else None


def check_claim(store: Reader, kinds: Kinds, op: Operation) -> None:
    """Refuse at once what another operation already pays or has paid."""
    holder = claim_holder(store, op)
    if holder is not None and holder.id != op.id:
        raise claimed(store, kinds, op)


def claimed(store: Reader, kinds: Kinds, op: Operation) -> Refused:
    """PAYMENT_ALREADY_CLAIMED. Names the holder only to its own owner; retryable until it has paid, for
    one that ends unpaid lets go of the invoice."""
    holder = claim_holder(store, op)
    paid = holder is not None and kinds.account_of(holder).payment is not None
    return Refused(
        "another operation has paid this invoice" if paid else "another operation pays this invoice",
        code="PAYMENT_ALREADY_CLAIMED",
        retryable=not paid,
        holder=holder.id if holder is not None and holder.npub == op.npub else None,
    )


def sources_of(store: Reader, op: Operation) -> tuple[Token, ...]:
    """The explicit sources in the order they were named, free or held. Codes TOKEN_NOT_FOUND,
    OWNER_MISMATCH, MINT_OR_UNIT_MISMATCH."""
    if not op.policy.sources:
        return ()
    tokens = owned_sources(store, op, op.policy.sources)
    return tuple(tokens[token_id] for token_id in op.policy.sources)


def free_sources(store: Reader, op: Operation) -> tuple[Token, ...]:
    """The explicit sources, all of them free. Code CONCURRENT_OPERATION too."""
    tokens = sources_of(store, op)
    _check_free(tokens)
    return tokens


def owned_sources(store: Reader, op: Operation, ids: tuple[str, ...]) -> dict[str, Token]:
    """Named tokens, which exist, are the caller's, and of this wallet, mint and unit."""
    query = TokenQuery(ids=ids, limit=len(ids))
    tokens = {token.transaction_id: token for token in store.tokens(query)}
    missing = [token_id for token_id in ids if token_id not in tokens]
    if missing:
        raise NotFound("no such token", code="TOKEN_NOT_FOUND", tokens=missing)
    for token_id in ids:
        if tokens[token_id].npub != op.npub:
            raise Refused("a source belongs to another npub", code="OWNER_MISMATCH", token=token_id)
    for token_id in ids:
        token = tokens[token_id]
        if (token.wallet_id, token.mint_url, token.unit) != (op.wallet_id, op.mint_url, op.unit):
            raise Refused(
                "a source is of another wallet, mint or unit", code="MINT_OR_UNIT_MISMATCH", token=token_id
            )
    return tokens


def check_sources(store: Store, op: Operation) -> None:
    """Explicit sources exist, are the caller's, of this wallet, mint and unit, not part of an open
    discrepancy, and free."""
    if not op.policy.sources:
        return
    tokens = owned_sources(store, op, op.policy.sources)
    open_ones = open_discrepancies(store, op.npub)
    if open_ones:
        touching = sorted(
            {o for token in tokens.values() for o in touched_by(store, token) & open_ones.keys()}
        )
        if touching:
            raise _blocked(tokens, sorted({open_ones[name] for name in touching}))
    lost = corrected_sources(
        store, [i for i, t in tokens.items() if t.state == SPENT and t.reserved_by is None], op.npub
    )
    if lost:
        raise _blocked(lost, [])
    _check_free(tokens.values())


def _check_free(named: Iterable[Token]) -> None:
    """Every named token is unspent. Code CONCURRENT_OPERATION; a spent token is never free again, so then
    the error is not retryable."""
    taken = [token for token in named if token.state != UNSPENT]
    if any(token.state == SPENT for token in taken):
        raise Refused(
            "a token that was named is spent already; name another one",
            code="CONCURRENT_OPERATION",
            retryable=False,
            **_holders({token.transaction_id: token.reserved_by for token in taken}),
        )
    if taken:
        raise concurrent({token.transaction_id: token.reserved_by for token in taken})


def _blocked(tokens: Iterable[str], operations: list[str]) -> Refused:
    return Refused(
        "a named source is part of an open discrepancy, or lost value to a correction",
        code="MELT_BLOCKED_BY_RECONCILIATION",
        tokens=sorted(tokens),
        operations=operations,
    )


def lost_race(store: Store, op: Operation, entity: str | None) -> Refused:
    """CONCURRENT_OPERATION after a lost race for tokens the engine chose: which one was taken
    (``token:<id>``, as the store named it) and who has it now. Another owner's token is not named."""
    token_id = (entity or "").removeprefix(token_entity(""))
    token = store.token(token_id) if entity == token_entity(token_id) and token_id else None
    if token is None or token.npub != op.npub:
        return concurrent({})
    return concurrent({token_id: token.reserved_by})


def concurrent(held: dict[str, str | None]) -> Refused:
    """CONCURRENT_OPERATION that names the tokens and the operations that hold them."""
    return Refused(
        "another operation holds a token this one needs",
        code="CONCURRENT_OPERATION",
        **_holders(held),
    )


def _holders(held: dict[str, str | None]) -> dict[str, Any]:
    return {"tokens": sorted(held), "operations": sorted({holder for holder in held.values() if holder})}
