"""Keys that are unique over all wallets, on a cluster whose shards each see their own wallets only.

On one replica set unique indexes do this work and nothing here is used. On a cluster a unique index reaches
as far as one shard, so the collection ``global_keys`` ({_id: key, npub, op, attempt, until}, by hashed
``_id``) stands for the whole: a commit claims its keys there before its transaction, and the transaction
touches the wallet's shard alone. Each sending of a batch is an *attempt* with an id of its own.

- The transaction stores the attempt as ``committed`` in ``key_attempts`` on the wallet's shard.
- Another operation that wants the key stores the same attempt there as ``revoked``. Both are inserts of one
  ``_id``: one of them fails, so a revoked attempt never commits, however late its transaction arrives. No
  clock decides; ``until`` only keeps a living attempt from being revoked.
- A key changes its holder by compare-and-set on (npub, op, attempt), and only when its attempt is committed
  or revoked, and the documents on the holder's shard do not hold the key.

A committed attempt is forgotten after a day, and may be at any time: its batch is in the documents, which
refuse the batch a second time, and which say alone whether the key is held. A revoked one is kept for ever,
because no clock says when a process that was stopped goes on.

So a key is held when an operation's stored documents say so, and free again when a later commit of that
operation lets go of it (it ended unpaid). A crash between claim and commit blocks the key until another
commit revokes the attempt.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from typing import Any, Final

from attrs import frozen
from bson.datetime_ms import DatetimeMS

from ..batch import Advance, Batch, IndexInsert, Insert
from ..errors import Conflict, Duplicate
from .codec import Document, quote_is_open
from .gateway import Gateway
from .schema import ATTEMPTS, KEYS, OPERATIONS, TOKENS

CLAIM_MS: Final = 60_000
"""How long an attempt may be under way before another operation revokes it: longer than all sendings of a
batch and the look at its outcome together."""
PAUSES_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
"""Between two looks at a key whose attempt is under way, as a transaction waits for another's documents."""
COMMITTED: Final = "committed"
REVOKED: Final = "revoked"
FILLED: Final = ""
"""The attempt of a key that was made from stored documents when the collections were sharded."""


@frozen
class Key:
    """One key. ``name`` is the unique key as Duplicate calls it."""

    id: str
    name: str


# In the order in which a transaction would meet them: the first that is taken names the refusal.
_PREFIXES: Final = {
    "operation_id": "id|",
    "claim": "claim|",
    "quote": "quote|",
    "token_id": "token|",
    "proof": "proof|",
}


def key_of(name: str, value: str) -> Key:
    """The key for a value that is unique over all wallets."""
    return Key(_PREFIXES.get(name, f"{name}|") + value, name)


def quote_key(mint_url: str, quote_id: str) -> Key:
    """The key of a mint's quote. Hashed: who knows the id of a mint quote can issue its tokens."""
    return key_of(
        "quote", hashlib.sha256(f"{mint_url}\n{quote_id}".encode("utf-8", "surrogatepass")).hexdigest()
    )


def held_by(operation: Document) -> frozenset[str]:
    """The ids of the keys that a stored operation holds by its own document."""
    keys = [key_of("operation_id", operation["_id"])]
    if isinstance(operation.get("claim"), str):
        keys.append(key_of("claim", operation["claim"]))
    quote = operation.get("quote")
    if operation.get("quote_open") and isinstance(quote, dict) and isinstance(quote.get("id"), str):
        keys.append(quote_key(operation["mint_url"], quote["id"]))
    return frozenset(key.id for key in keys)


def keys_of_token(token: Document) -> tuple[Key, ...]:
    """The keys that a stored token holds: its id, and one for each proof."""
    proofs = (key_of("proof", key) for key in token.get("proof_keys", ()))
    return (key_of("token_id", token["transaction_id"]), *proofs)


HELD_FIELDS: Final = ("_id", "npub", "version", "claim", "quote", "quote_open", "mint_url")
"""The fields of an operation that :func:`held_by` reads, and its version."""


def keys_of(batch: Batch) -> tuple[Key, ...]:
    """The keys that the batch begins to hold, in the order of a refusal."""
    change = batch.operation
    before, after = change.before if isinstance(change, Advance) else None, change.after
    keys = [key_of("operation_id", after.id)] if before is None else []
    if after.claim is not None and (before is None or before.claim != after.claim):
        keys.append(key_of("claim", after.claim))
    if after.quote is not None and quote_is_open(after):
        wanted = quote_key(after.mint_url, after.quote.id)
        had = before is not None and before.quote is not None and quote_is_open(before)
        if not had or quote_key(before.mint_url, before.quote.id) != wanted:  # type: ignore[union-attr]
            keys.append(wanted)
    keys += [
        key_of("token_id", token.after.transaction_id) for token in batch.tokens if isinstance(token, Insert)
    ]
    proofs = (key for entry in batch.index if isinstance(entry, IndexInsert) for key in entry.keys)
    return (*keys, *(key_of("proof", key) for key in sorted(proofs)))


@frozen
class _Seen:
    """A key as it was seen: claimed by our attempt, or by another one (``attempt``) that is under way.
    Neither: it changed just now, and is to be looked at again."""

    mine: bool = False
    busy: bool = False
    attempt: str = ""


@frozen
class Attempt:
    """One sending of a batch that holds keys."""

    id: str
    keys: tuple[Key, ...]

    @classmethod
    def of(cls, batch: Batch) -> Attempt:
        """A new attempt; without keys it needs no claim."""
        return cls(f"{batch.id}.{secrets.token_hex(8)}", keys_of(batch))


NO_ATTEMPT: Final = Attempt("", ())
"""A commit that claims nothing, as on one replica set."""


class GlobalKeys:
    """Claims keys in ``global_keys`` of a cluster."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def claim(self, batch: Batch, attempt: Attempt, *, sent: bool = False) -> None:
        """Claim every key of the attempt, outside of its transaction. Raises Duplicate when another operation
        holds one or is about to, and Conflict when the batch is stale. Keys that were claimed before that
        stay until :meth:`release`.

        Two attempts may each have what the other one wants: the one with the greater id gives way. One whose
        transaction was ``sent`` before, with an unknown outcome, gives nothing back: its stored documents may
        hold the keys."""
        mine = _entry(batch, attempt)
        left = {key.id: key for key in attempt.keys}
        aside: Key | None = None
        for pause in (*PAUSES_S, None):
            if aside is not None and self._look(aside, mine, batch, last=pause is None).busy:
                if pause is None:
                    raise Duplicate(aside.name)
                time.sleep(pause)
                continue
            aside = None
            taken = self._gateway.insert_new(KEYS, [{"_id": key, **mine} for key in left])
            seen = {
                key: self._look(left[key], mine, batch, last=pause is None) for key in left if key in taken
            }
            left = {key: left[key] for key in seen if not seen[key].mine}
            if not left:
                return
            busy = [left[key] for key in left if seen[key].busy]
            if pause is None:
                raise Duplicate(next(iter(busy or left.values())).name)
            first = next((key for key in busy if seen[key.id].attempt < attempt.id), None)
            if first is not None and not sent:
                self.release(batch, attempt)
                aside, left = first, {key.id: key for key in attempt.keys}
            time.sleep(pause)

    def release(self, batch: Batch, attempt: Attempt) -> None:
        """Give back the keys of an attempt that certainly did not commit and is not sent again."""
        held = {"npub": batch.operation.after.npub, "op": batch.operation.after.id, "attempt": attempt.id}
        ids = {"_id": {"$in": [key.id for key in attempt.keys]}}
        self._gateway.delete_many(KEYS, ids | {name: {"$eq": value} for name, value in held.items()})

    def owners(self, keys: Iterable[Key]) -> set[str]:
        """The wallets that hold these keys, or are about to."""
        return owners_of(self._gateway, keys)

    def _look(self, key: Key, mine: Document, batch: Batch, *, last: bool) -> _Seen:
        """A key that exists. One that may be taken over is taken over. Duplicate if another operation holds
        it, Conflict if our own does and the batch is stale."""
        found = self._gateway.find(KEYS, {"_id": {"$eq": key.id}}, limit=1)
        if not found:
            return _Seen()  # given back just now
        entry = found[0]
        if _holder(entry) == _holder(mine):
            return _Seen(mine=True)
        under_way = _Seen(busy=True, attempt=entry["attempt"])
        ours = (entry["npub"], entry["op"]) == (mine["npub"], mine["op"])
        ended = self._ended(entry)
        held = self._holds(key, entry)
        if ended is None and not held:
            # An attempt of our own operation by another worker, or by one that died: the newer one goes on.
            in_time = batch.audit[0].at <= entry["until"] and not (last and ours)
            if in_time or self._revoke(entry) is None:
                return under_way
            held = self._holds(key, entry)  # as it is now that the attempt has ended
        if held:
            if ours and self._is_stale(batch):
                raise Conflict(f"operation:{batch.operation.after.id}")
            raise Duplicate(key.name)
        as_found = {name: {"$eq": entry[name]} for name in ("_id", "npub", "op", "attempt")}
        taken = self._gateway.find_one_and_update(KEYS, as_found, {"$set": mine})
        return _Seen() if taken is None else _Seen(mine=True)

    def _ended(self, entry: Document) -> str | None:
        """How the attempt that claimed the key ended; None: it has not yet, and may never."""
        if entry["attempt"] == FILLED:
            return COMMITTED
        name = {"_id": {"$eq": entry["attempt"]}, "npub": {"$eq": entry["npub"]}}
        found = self._gateway.find_for_good(ATTEMPTS, name, ("ended",))
        return str(found[0]["ended"]) if found else None

    def _revoke(self, entry: Document) -> str | None:
        """From here on the attempt cannot commit. None: it ended just now; look again."""
        revoked = {"_id": entry["attempt"], "npub": entry["npub"], "op": entry["op"], "ended": REVOKED}
        return None if self._gateway.insert_new(ATTEMPTS, [revoked]) else REVOKED

    def _holds(self, key: Key, entry: Document) -> bool:
        """Whether the documents on the shard of the holder hold the key. Read after its attempt ended."""
        owner = {"npub": {"$eq": entry["npub"]}}
        value = key.id.removeprefix(_PREFIXES[key.name])
        if key.name == "token_id":
            return bool(
                self._gateway.find_for_good(TOKENS, owner | {"transaction_id": {"$eq": value}}, ("_id",))
            )
        if key.name == "proof":
            held = {"proof_keys": {"$eq": value, "$type": "string"}}
            return bool(self._gateway.find_for_good(TOKENS, owner | held, ("_id",)))
        name = {"_id": {"$eq": entry["op"]}}
        found = self._gateway.find_for_good(OPERATIONS, owner | name, HELD_FIELDS)
        return any(key.id in held_by(operation) for operation in found)

    def _is_stale(self, batch: Batch) -> bool:
        change = batch.operation
        if not isinstance(change, Advance):
            return False
        name = {"_id": {"$eq": change.before.id}, "npub": {"$eq": change.before.npub}}
        found = self._gateway.find_for_good(OPERATIONS, name, ("version",))
        return [document["version"] for document in found] != [change.before.version]


def owners_of(reads: Any, keys: Iterable[Key]) -> set[str]:
    """The wallets that hold these keys, or are about to."""
    wanted = {"_id": {"$in": [key.id for key in keys]}}
    return {document["npub"] for document in reads.find(KEYS, wanted, fields=("npub",))}


def attempt_document(batch: Batch, attempt: Attempt) -> Document:
    """The attempt as the transaction stores it on the wallet's shard."""
    operation = batch.operation.after
    at = DatetimeMS(batch.audit[0].at)
    return {"_id": attempt.id, "npub": operation.npub, "op": operation.id, "ended": COMMITTED, "at": at}


def _entry(batch: Batch, attempt: Attempt) -> Document:
    operation = batch.operation.after
    until = batch.audit[0].at + CLAIM_MS
    return {"npub": operation.npub, "op": operation.id, "attempt": attempt.id, "until": until}


def _holder(entry: Document) -> tuple[Any, ...]:
    return entry["npub"], entry["op"], entry["attempt"]
