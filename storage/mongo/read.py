"""The reads of the port over a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from ...machines.token.states import STRANDED, UNSPENT
from ...machines.token.table import STATUS_OF_STATE
from ..errors import CorruptRecord, StorageError, StoreUnavailable, decoded
from ..port import AuditQuery, Chain, Counted, Held, HeldCoins, OperationQuery, TokenQuery, TombstoneQuery
from ..records import AuditRecord, DedupRecord, Operation, Token, Tombstone
from ..rules.batch import TOKEN_TYPES
from ..rules.codec import corrupt
from .codec import (
    Document,
    audit_from_document,
    dedup_from_document,
    operation_from_document,
    token_from_document,
    tombstone_from_document,
)
from .filters import (
    audit_filter,
    equal,
    equal_text,
    live_filter,
    of_wallet,
    operation_filter,
    token_filter,
    tombstone_filter,
)
from .gateway import GatewayCorrupt, GatewayRefused, GatewayUnavailable, Reads, Sort
from .keys import Key, key_of, owners_of
from .schema import AUDIT, BY_TIME, DEDUP, OPERATIONS, PROOFS, TOKENS, TOKENS_OF_STATE, TOMBSTONES

T = TypeVar("T")

FAR_FUTURE: Final = 2**62


class MongoReads:
    """Implements :class:`~nutstate.storage.port.Reader` over the reads of a gateway."""

    _reads: Reads

    def __init__(self, reads: Reads, sharded: bool = False) -> None:
        self._reads = reads
        self._sharded = sharded

    def home_of(self, key: Key) -> str | None:
        """On a cluster the wallet that holds the key, or is about to. None: no wallet, or no cluster."""
        if not self._sharded:
            return None
        return next(iter(self._asked(lambda: owners_of(self._reads, [key]))), None)

    def _at(self, home: str | None, keys: Iterable[Key] = ()) -> Document:
        """On a cluster the filter that leads to the shard of the wallet: of ``home``, else of the wallets
        that hold the keys. Without both every shard is asked."""
        if not self._sharded:
            return {}
        if home is not None:
            return equal(npub=home)
        wanted = list(keys)
        if not wanted:
            return {}
        owners = self._asked(lambda: owners_of(self._reads, wanted))
        return {"npub": {"$in": sorted(owners)}}

    def _asked(self, call: Callable[[], T]) -> T:
        failure: StorageError
        try:
            return call()
        except GatewayUnavailable as error:
            failure = StoreUnavailable(str(error))
        except GatewayRefused:
            failure = StoreUnavailable("the query holds a value that cannot be stored")
        except GatewayCorrupt as error:
            failure = CorruptRecord(str(error))
        raise failure  # outside the handlers: a driver's message may show a document

    def _find(
        self,
        collection: str,
        filter: Document,
        make: Callable[[Document], T],
        *,
        sort: Sort = (),
        limit: int = 0,
        cursor: Callable[[Document], Any] | None = None,
        hint: str = "",
    ) -> list[T]:
        if filter.get("npub") == {"$in": []}:
            return []  # no wallet holds the key: no shard has to say so
        try:
            documents = self._asked(
                lambda: self._reads.find(collection, filter, sort=sort, limit=limit, hint=hint)
            )
        except CorruptRecord:
            if limit == 1:
                raise
            return self._one_by_one(collection, filter, make, sort, limit, cursor)
        return decoded(documents, make, cursor)

    def _one_by_one(
        self,
        collection: str,
        filter: Document,
        make: Callable[[Document], T],
        sort: Sort,
        limit: int,
        cursor: Callable[[Document], Any] | None,
    ) -> list[T]:
        """A page in which the driver stumbles over a document: it then gives none of them."""
        fields = ("_id", *(name for name, _ in sort))
        keys = self._asked(
            lambda: self._reads.find(collection, filter, sort=sort, limit=limit, fields=fields)
        )

        def read(key: Document) -> T:
            found = self._find(collection, {"_id": {"$eq": key["_id"]}}, make, limit=1)
            if not found:
                raise corrupt(f"{collection} {key['_id']}", "_id")
            return found[0]

        return decoded(keys, read, cursor)

    def _one(self, collection: str, filter: Document, make: Callable[[Document], T]) -> T | None:
        found = self._find(collection, filter, make, limit=1)
        return found[0] if found else None

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        at = self._at(home, [key_of("operation_id", operation_id)])
        return self._one(OPERATIONS, equal(_id=operation_id) | at, operation_from_document)

    def operation_by_key(self, npub: str, key: str) -> Operation | None:
        filter = equal(npub=npub) | equal_text(idempotency__key=key)
        return self._one(OPERATIONS, filter, operation_from_document)

    def operation_by_claim(self, claim: str) -> Operation | None:
        at = self._at(None, [key_of("claim", claim)])
        return self._one(OPERATIONS, at | equal_text(claim=claim), operation_from_document)

    def operations(self, query: OperationQuery) -> Sequence[Operation]:
        if query.limit <= 0:
            return []
        newest = (("created_at", -1), ("_id", -1))
        filter = self._at(query.home) | operation_filter(query)
        return self._find(
            OPERATIONS, filter, operation_from_document, sort=newest, limit=query.limit,
            cursor=lambda document: (document.get("created_at"), document["_id"]),
        )  # fmt: skip

    def count_operations(self, npub: str | None = None) -> Sequence[Counted]:
        group = {"_id": {"kind": "$kind", "state": "$state"}, "number": {"$sum": 1}}
        # Only a condition on the state makes the server count in an index and not in the documents.
        pipeline = [{"$match": equal(npub=npub) | {"state": {"$gte": ""}}}, {"$group": group}]
        rows = self._asked(lambda: self._reads.aggregate(OPERATIONS, pipeline))
        found = [(row["_id"].get("kind"), row["_id"].get("state"), int(row["number"])) for row in rows]
        # A document without a kind or a state is told of where it is read (R214).
        counted = [Counted(kind, state, n) for kind, state, n in found if type(kind) is type(state) is str]
        return sorted(counted, key=lambda c: (c.kind, c.state))

    def live_operations(
        self, due_before: int, limit: int, after: tuple[int, str] | None = None
    ) -> Sequence[Operation]:
        if limit <= 0:
            return []
        return self._find(
            OPERATIONS, live_filter(due_before, after), operation_from_document,
            sort=(("next_check_at", 1), ("_id", 1)), limit=limit,
            cursor=lambda document: (document.get("next_check_at"), document["_id"]),
        )  # fmt: skip

    def count_live(self) -> int:
        pipeline = [{"$match": live_filter(FAR_FUTURE, None)}, {"$group": {"_id": None, "n": {"$sum": 1}}}]
        rows = self._asked(lambda: self._reads.aggregate(OPERATIONS, pipeline))
        return int(rows[0]["n"]) if rows else 0

    def dedup(self, key: str, home: str | None = None) -> DedupRecord | None:
        return self._one(DEDUP, equal(_id=key) | self._at(home), dedup_from_document)

    def token(self, transaction_id: str, home: str | None = None) -> Token | None:
        at = self._at(home, [key_of("token_id", transaction_id)])
        return self._one(TOKENS, equal(transaction_id=transaction_id) | at, token_from_document)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        if query.limit <= 0:
            return []
        sort = _token_order(query)
        wallet = (query.npub, query.mint_url, query.unit)
        by_state = query.states and None not in wallet and sort[0][0] == "transaction_id" and not query.ids
        filter = self._at(query.home) | token_filter(query)
        return self._find(
            TOKENS, filter, token_from_document, sort=sort, limit=query.limit,
            cursor=lambda document: document.get("transaction_id"),
            hint=TOKENS_OF_STATE if by_state else "",  # for several states the server would rather sort
        )  # fmt: skip

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        parts: list[list[Document]] = [
            [
                {"$match": self._at(q.home) | token_filter(q)},
                {"$sort": dict(_token_order(q))},
                {"$limit": q.limit},
            ]
            for q in queries
            if q.limit > 0
        ]
        if not parts:
            return []
        first, *others = parts
        pipeline: list[Document] = [
            *first,
            *({"$unionWith": {"coll": TOKENS, "pipeline": other}} for other in others),
        ]
        rows = self._asked(lambda: self._reads.aggregate(TOKENS, pipeline))
        found = {row["_id"]: row for row in rows}
        return decoded(list(found.values()), token_from_document, lambda row: row.get("transaction_id"))

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        names = list(keys)
        filter = {"_id": {"$in": names}} | self._at(home, (key_of("proof", name) for name in names))
        found = self._asked(lambda: self._reads.find(PROOFS, filter, fields=("_id", "token_id")))
        return {document["_id"]: document["token_id"] for document in found}

    def balance(self, npub: str, mint_url: str | None = None, states: Sequence[str] = ()) -> Sequence[Held]:
        group = {
            "_id": {name: f"${name}" for name in ("mint_url", "unit", "state", "transaction_type")},
            "amount": {"$sum": "$total_amount"},
            "tokens": {"$sum": 1},
        }
        wanted = {"state": {"$in": list(states)}} if states else {}
        pipeline = [{"$match": equal(npub=npub, mint_url=mint_url) | wanted}, {"$group": group}]
        rows = self._asked(lambda: self._reads.aggregate(TOKENS, pipeline))
        return _held(rows)

    def coins_by_keyset(
        self, npub: str, mint_url: str | None = None, wallet_id: str | None = None
    ) -> Sequence[HeldCoins]:
        wallet = of_wallet(npub, mint_url, None, wallet_id)
        pipeline: list[Document] = [
            {"$match": {**wallet, "state": {"$in": [UNSPENT, STRANDED]}}},
            {"$unwind": "$proofs"},
            {
                "$group": {
                    "_id": {
                        "mint_url": "$mint_url", "unit": "$unit", "state": "$state", "keyset_id": "$proofs.id"
                    },
                    "amount": {"$sum": "$proofs.amount"},
                }
            },
        ]  # fmt: skip
        rows = self._asked(lambda: self._reads.aggregate(TOKENS, pipeline))
        held = [_held_coins(row) for row in rows]
        return sorted(held, key=lambda h: (h.mint_url, h.unit, h.state, h.keyset_id))

    def audit(self, query: AuditQuery) -> Sequence[AuditRecord]:
        if query.limit <= 0:
            return []
        sort: Sort = (("operation_id", 1), ("seq", 1))
        if query.entity is not None:
            sort = (("entity", 1), ("version", 1))
        elif query.by_time:
            sort = (("at", 1), *sort)
        # The index of levels would need a sort of everything in it.
        hint = BY_TIME if query.by_time else ""
        filter = self._at(query.home, _named(query)) | audit_filter(query)
        return self._find(AUDIT, filter, audit_from_document, sort=sort, limit=query.limit, hint=hint)

    def audit_operations(self, after: str = "", limit: int = 1000) -> Sequence[Chain]:
        if limit <= 0:
            return []
        size = _PER_CHAIN * limit
        rows = self._ends({"operation_id": {"$gt": after}}, size)
        chains = _chains(rows)
        if len(rows) < size:
            return chains[:limit]
        if len(chains) > 1:
            return chains[:-1][:limit]  # the last one may be cut
        return _chains(self._ends({"operation_id": {"$eq": chains[0].operation_id}}, 0))

    def _ends(self, filter: Document, limit: int) -> list[Document]:
        order = (("operation_id", 1), ("seq", 1))
        return self._asked(
            lambda: self._reads.find(AUDIT, filter, sort=order, limit=limit, fields=_END_FIELDS)
        )

    def tombstones(self, query: TombstoneQuery) -> Sequence[Tombstone]:
        if query.limit <= 0:
            return []
        at = self._at(query.home, (key_of("operation_id", name) for name in query.operation_ids))
        filter = at | tombstone_filter(query)
        return self._find(
            TOMBSTONES, filter, tombstone_from_document, sort=(("_id", 1),),
            limit=query.limit, cursor=lambda document: document["_id"],
        )  # fmt: skip


def _token_order(query: TokenQuery) -> Sort:
    if not query.largest_first and not query.smallest_first:
        return (("transaction_id", 1),)
    direction = -1 if query.largest_first else 1
    return (("total_amount", direction), ("transaction_id", direction))


def _named(query: AuditQuery) -> list[Key]:
    """The keys of the operation or token that the query names."""
    kind, _, name = (query.entity or "").partition(":")
    found = [key_of(f"{kind}_id", name)] if name else []
    return found + ([] if query.operation_id is None else [key_of("operation_id", query.operation_id)])


_PER_CHAIN: Final = 16  # records of one operation, more or less
_END_FIELDS: Final = ("_id", "operation_id", "seq", "hash", "expires_at")


def _chains(rows: Sequence[Document]) -> list[Chain]:
    """The ends of records, ordered by operation and seq, folded by operation."""
    found: list[Chain] = []
    for row in rows:
        name, seq, expires_at = row.get("operation_id"), row.get("seq"), row.get("expires_at")
        if not isinstance(name, str):
            raise corrupt(f"audit record {row.get('_id')}", "operation_id")
        if not isinstance(seq, int):
            seq = 0  # told of where the record itself is read; its chain must not hide the others
        last = Chain(name, 1, seq, seq, str(row.get("hash")), expires_at)
        if found and found[-1].operation_id == name:
            before = found.pop()
            ends = (before.expires_at, expires_at)
            last = attrs.evolve(
                last,
                records=before.records + 1,
                first_seq=before.first_seq,
                expires_at=None if None in ends else max(n for n in ends if n is not None),
            )
        found.append(last)
    return found


def _held_coins(row: Document) -> HeldCoins:
    key, amount = row["_id"], row["amount"]
    if not isinstance(amount, int) or not isinstance(key.get("keyset_id"), str):
        raise CorruptRecord("a stored proof is not as it must be", document="tokens", field="proofs")
    return HeldCoins(key["mint_url"], key["unit"], key["state"], key["keyset_id"], int(amount))


def _held(rows: Sequence[Document]) -> list[Held]:
    """Sums by mint, unit, state and type of token, as sums by mint, unit and state."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        key, amount = row["_id"], row["amount"]
        state, kind = key.get("state"), key.get("transaction_type")
        known = isinstance(state, str) and isinstance(kind, str)
        if not known or state not in STATUS_OF_STATE or kind not in TOKEN_TYPES:
            continue  # it was forced past the rules, and counts as nothing (R212)
        if not isinstance(amount, int):  # a double sneaked into total_amount, or the sum left 64 bits
            raise CorruptRecord(
                "a stored total_amount is not an integer", document="tokens", field="total_amount"
            )
        sums = found.setdefault((key["mint_url"], key["unit"], state), [0, 0])
        sums[0] += int(amount)
        sums[1] += int(row["tokens"])
    return [Held(*key, amount, tokens) for key, (amount, tokens) in sorted(found.items())]
