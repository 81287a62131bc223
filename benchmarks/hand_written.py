"""A wallet that pays with pymongo alone: what the engine is measured against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pymongo import MongoClient, UpdateOne, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.cashu.coins.outputs import blank_outputs, unblind
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.operations.melt.actions.quote import _with_names
from nutstate.engine.operations.melt.actions.selection import choose
from nutstate.engine.tokens.ids import new_transaction_id
from nutstate.machines.money import blanks_needed, owed_max
from nutstate.storage.records import Dleq, Proof
from nutstate.storage.secret import Secret
from nutstate.storage.testing.records import make_token
from tests.support.wallet import NPUB

DURABLE = WriteConcern(w="majority", j=True)
Document = dict[str, Any]
Client = MongoClient[Document]


class HandWritten:
    """What a careful programmer writes with pymongo alone. The same calls to the mint and the same coins
    as the engine's; blanks and request are stored before the request is sent; two durable transactions
    that check what they change. No validators, proof index, duplicate window or lease, one audit entry
    per transaction, no look at what was written, and no recovery after a crash."""

    def __init__(self, client: Client, mint: Any, url: str) -> None:
        self.client, self.mint, self.url = client, mint, url
        db = client["hand_written"]
        self.operations, self.tokens, self.audit = db["operations"], db["tokens"], db["audit"]
        self.operations.create_index("payment_hash", unique=True)
        self.tokens.create_index("proofs.secret", unique=True)
        self.tokens.create_index([("npub", 1), ("mint", 1), ("state", 1), ("total", -1)])
        (self.keyset,) = mint.keysets(url)
        self.keys = mint.keys(url, self.keyset.id)

    def token(self, name: str, proofs: Sequence[Proof], parent: str | None = None) -> Document:
        made = {"_id": name, "npub": NPUB, "mint": self.url, "state": "unspent", "parent": parent}
        return made | _held(proofs) | {"at": time.time_ns() // 1_000_000}

    def melt(self, bolt11: Secret) -> None:
        now = time.time_ns() // 1_000_000
        name = new_transaction_id("melt", now)
        quote = self.mint.melt_quote(self.url, bolt11, "sat")
        mine = self.tokens.find({"npub": NPUB, "mint": self.url, "state": "unspent"})
        known = [
            make_token(d["_id"], proofs=_proofs(d), total_amount=d["total"])
            for d in mine.sort("total", -1).limit(200)
        ]
        ppk = {self.keyset.id: self.keyset.input_fee_ppk}
        found: Any = choose(known, quote.amount + quote.fee_reserve, ppk, count_max=1000)
        chosen = _with_names(found)
        states = self.mint.check_states(self.url, [p.Y for p in chosen.proofs])
        assert all(state.state == "UNSPENT" for state in states)
        owed = owed_max(chosen.amount, quote.amount, chosen.input_fee)
        blanks = blank_outputs(self.keyset.id, blanks_needed(owed))
        body = bodies.melt_body(quote.id, chosen.proofs, blanks)
        ids = [part.token.transaction_id for part in chosen.chosen]
        operation = {
            "_id": name,
            "npub": NPUB,
            "mint": self.url,
            "state": "paying",
            "amount": quote.amount,
            "quote": quote.id,
            "fee_reserve": quote.fee_reserve,
            "input_fee": chosen.input_fee,
            "invoice": bolt11.reveal(),
            "payment_hash": decode_invoice(bolt11.reveal()).payment_hash,
            "inputs": ids,
            "request": body.reveal(),
            "at": now,
            "blanks": [{"B_": b.B_, "secret": b.secret.reveal(), "r": b.r.reveal()} for b in blanks],
        }
        reserved = [
            UpdateOne(
                {"_id": part.token.transaction_id, "state": "unspent"},
                {"$set": {"state": "reserved", "by": name, **_held(part.proofs)}},
            )
            for part in chosen.chosen
        ]

        def reserve(session: ClientSession) -> None:
            self.operations.insert_one(dict(operation), session=session)
            done = self.tokens.bulk_write(reserved, session=session)  # one command for all of them
            assert done.matched_count == len(ids)
            if chosen.left_behind:
                self.tokens.insert_one(self.token(f"{name}_keep", chosen.left_behind, name), session=session)
            self._note(name, "paying", session)

        in_transaction(self.client, reserve)
        paid = self.mint.melt(self.url, body)
        assert paid.state == "PAID"
        change = unblind(blanks, paid.change, lambda _: self.keys)
        spent_at = time.time_ns() // 1_000_000

        def settle(session: ClientSession) -> None:
            ended = {"$set": {"state": "paid", "preimage": paid.preimage.reveal(), "paid_at": spent_at}}
            pinned = {"_id": name, "state": "paying"}
            assert self.operations.update_one(pinned, ended, session=session).matched_count == 1
            spent = {"$set": {"state": "spent", "spent_at": spent_at}}
            inputs = {"_id": {"$in": ids}, "state": "reserved", "by": name}
            assert self.tokens.update_many(inputs, spent, session=session).matched_count == len(ids)
            if change:
                self.tokens.insert_one(self.token(f"{name}_change", change, name), session=session)
            self._note(name, "paid", session)

        in_transaction(self.client, settle)

    def _note(self, name: str, state: str, session: ClientSession) -> None:
        entry = {"operation": name, "state": state, "by": "wallet", "at": time.time_ns() // 1_000_000}
        self.audit.insert_one(entry, session=session)


def in_transaction(client: Client, work: Callable[[ClientSession], None]) -> None:
    with client.start_session() as session:
        session.with_transaction(work, read_concern=ReadConcern("snapshot"), write_concern=DURABLE)


def _held(proofs: Sequence[Proof]) -> Document:
    return {"total": sum(proof.amount for proof in proofs), "proofs": [_plain(proof) for proof in proofs]}


def _plain(proof: Proof) -> Document:
    plain: Document = {"id": proof.id, "amount": proof.amount, "Y": proof.Y}
    plain |= {"secret": proof.secret.reveal(), "C": proof.C.reveal()}
    if proof.dleq is not None and proof.dleq.r is not None:
        plain["dleq"] = {"e": proof.dleq.e, "s": proof.dleq.s, "r": proof.dleq.r.reveal()}
    return plain


def _proofs(document: Document) -> tuple[Proof, ...]:
    return tuple(
        Proof(
            id=d["id"],
            amount=d["amount"],
            secret=Secret(d["secret"]),
            C=Secret(d["C"]),
            dleq=Dleq(d["dleq"]["e"], d["dleq"]["s"], Secret(d["dleq"]["r"])) if "dleq" in d else None,
            Y=d["Y"],
        )
        for d in document["proofs"]
    )
