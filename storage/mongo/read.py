"""The reads of the port over a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
from attrs import evolve

from ...machines.token.states import STRANDED, UNSPENT
from ...machines.token.table import STATUS_OF_STATE
from ..ahead import ClaimRead, DedupRead, KeyRead, OperationRead, OwnersRead
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
from .filters import equal, find_of, live_filter, of_wallet, operations_of
from .gateway import Find, GatewayCorrupt, GatewayRefused, GatewayUnavailable, Reads
from .keys import Key, key_of, owners_of
from .schema import AUDIT, OPERATIONS, TOKENS

T = TypeVar("T")

FAR_FUTURE: Final = 2**62


class MongoReads:
    """Implements :class:`~nutstate.storage.port.Reader` over the reads of a gateway."""

    _reads: Reads

    def __init__(self, reads: Reads, sharded: bool = False, home: str | None = None) -> None:
        """``home`` on a cluster: the wallet of every read that names none."""
        self._reads = reads
        self._sharded = sharded
        self._home = home

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
        home = home or self._home
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

    def _here(self, find: Find, home: str | None, keys: Iterable[Key] = ()) -> Find:
        return evolve(find, filter=self._at(home, keys) | find.filter) if self._sharded else find

    def _documents(self, find: Find) -> list[Document]:
        return self._asked(
            lambda: self._reads.find(
                find.collection, find.filter, sort=find.sort, limit=find.limit, fields=find.fields,
                hint=find.hint,
            )
        )  # fmt: skip

    def _several(self, finds: Sequence[Find]) -> list[list[Document]]:
        return self._asked(lambda: self._reads.several(finds))

    def _find(
        self,
        find: Find,
        make: Callable[[Document], T],
        cursor: Callable[[Document], Any] | None = None,
    ) -> list[T]:
        if find.filter.get("npub") == {"$in": []}:
            return []  # no wallet holds the key: no shard has to say so
        try:
            documents = self._documents(find)
        except CorruptRecord:
            if find.limit == 1:
                raise
            return self._one_by_one(find, make, cursor)
        return decoded(documents, make, cursor)

    def _one_by_one(
        self, find: Find, make: Callable[[Document], T], cursor: Callable[[Document], Any] | None
    ) -> list[T]:
        """A page in which the driver stumbles over a document: it then gives none of them."""
        fields = ("_id", *(name for name, _ in find.sort))
        keys = self._documents(evolve(find, fields=fields))

        def read(key: Document) -> T:
            found = self._find(Find(find.collection, {"_id": {"$eq": key["_id"]}}, limit=1), make)
            if not found:
                raise corrupt(f"{find.collection} {key['_id']}", "_id")
            return found[0]

        return decoded(keys, read, cursor)

    def _one(self, find: Find, make: Callable[[Document], T]) -> T | None:
        found = self._find(find, make)
        return found[0] if found else None

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        find = self._here(find_of(OperationRead(operation_id)), home, [key_of("operation_id", operation_id)])
        return self._one(find, operation_from_document)

    def operation_by_key(self, npub: str, key: str) -> Operation | None:
        return self._one(find_of(KeyRead(npub, key)), operation_from_document)

    def operation_by_claim(self, claim: str) -> Operation | None:
        find = self._here(find_of(ClaimRead(claim)), None, [key_of("claim", claim)])
        return self._one(find, operation_from_document)

    def operations(self, query: OperationQuery) -> Sequence[Operation]:
        if query.limit <= 0:
            return []
        find = self._here(operations_of(query), query.home)
        return self._find(
            find, operation_from_document, lambda document: (document.get("created_at"), document["_id"])
        )

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
        overdue = (("next_check_at", 1), ("_id", 1))
        find = Find(OPERATIONS, live_filter(due_before, after), overdue, limit)
        return self._find(
            find, operation_from_document, lambda document: (document.get("next_check_at"), document["_id"])
        )

    def count_live(self) -> int:
        pipeline = [{"$match": live_filter(FAR_FUTURE, None)}, {"$group": {"_id": None, "n": {"$sum": 1}}}]
        rows = self._asked(lambda: self._reads.aggregate(OPERATIONS, pipeline))
        return int(rows[0]["n"]) if rows else 0

    def dedup(self, key: str, home: str | None = None) -> DedupRecord | None:
        return self._one(self._here(find_of(DedupRead(key)), home), dedup_from_document)

    def token(self, transaction_id: str, home: str | None = None) -> Token | None:
        find = Find(TOKENS, equal(transaction_id=transaction_id), limit=1)
        return self._one(self._here(find, home, [key_of("token_id", transaction_id)]), token_from_document)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        if query.limit <= 0:
            return []
        find = self._here(find_of(query), query.home)
        return self._find(find, token_from_document, lambda found: found.get("transaction_id"))

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        finds = [self._here(find_of(query), query.home) for query in queries if query.limit > 0]
        if not finds:
            return []
        found = {document["_id"]: document for part in self._several(finds) for document in part}
        return decoded(list(found.values()), token_from_document, lambda row: row.get("transaction_id"))

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        names = tuple(keys)
        found = self._documents(
            self._here(find_of(OwnersRead(names)), home, (key_of("proof", name) for name in names))
        )
        return owners_in(found, names)

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
        return self._find(self._here(find_of(query), query.home, _named(query)), audit_from_document)

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
        return self._documents(Find(AUDIT, filter, order, limit, _END_FIELDS))

    def tombstones(self, query: TombstoneQuery) -> Sequence[Tombstone]:
        if query.limit <= 0:
            return []
        named = (key_of("operation_id", name) for name in query.operation_ids)
        find = self._here(find_of(query), query.home, named)
        return self._find(find, tombstone_from_document, lambda found: found["_id"])


def owners_in(documents: Iterable[Document], keys: Iterable[str]) -> dict[str, str]:
    """The token of each of the keys, from the documents that hold them."""
    wanted = frozenset(keys)
    return {
        key: document["transaction_id"]
        for document in documents
        for key in wanted.intersection(document["proof_keys"])
    }


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
