"""A melt written by hand: the calls to the mint, the coin choice and the documents of the engine's melt, one
transaction for each durable step, and no engine.

``fair-2`` reserves and settles. ``fair-3`` reads back what it settled, and records that it agrees. A crash
leaves what a crash of the engine would leave; only the engine can go on from there."""

from __future__ import annotations

import secrets
import time
from typing import Any

from attrs import define, field

from nutstate import Settings
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.cashu.coins.outputs import blank_outputs, unblind
from nutstate.engine.cashu.port import MintPort
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions.choice import choose
from nutstate.engine.ports import Worker
from nutstate.engine.tokens.ids import legacy_operation_hash, new_transaction_id, operation_hash
from nutstate.engine.tokens.proofs import name_of, preimage_matches
from nutstate.machines.money import blanks_needed, owed_max, owed_min
from nutstate.storage.secret import Secret

from .books import Books, Changed, Commit, Lost
from .documents import (
    CHANGE_RECEIVED,
    DEPOSIT,
    INPUTS_CHOSEN,
    MINT_PAID,
    PAY,
    QUOTE_RECEIVED,
    RECONCILE_PASSED,
    REQUEST,
    RESERVE,
    SPEND,
    SPLIT,
    Chain,
    Plain,
    audit_data,
    document_hash,
    operation,
    plain_output,
    plain_proof,
    sha,
    token,
    token_of,
    total,
)

SETTINGS = Settings()
LEASE_MS, DEDUP_MS = int(SETTINGS.lease_s * 1000), int(SETTINGS.dedup_window_s * 1000)


@define
class Wallet:
    """One owner's money at one mint."""

    books: Books
    mint: MintPort
    url: str
    npub: str
    reads_back: bool  # fair-3
    unit: str = "sat"
    worker: str = field(factory=lambda: Worker().for_one_drive())
    keyset: Any = field(init=False)
    keys: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        listed: Any = self.mint.keysets(self.url)
        (self.keyset,) = listed
        self.keys = self.mint.keys(self.url, self.keyset.id)

    def melt(self, bolt11: Secret) -> str:
        """Pay the invoice; the state in which the operation ends."""
        melt = _Melt(self, bolt11)
        melt.ask_quote()
        melt.choose_inputs()
        melt.reserve()
        melt.pay()
        if self.reads_back:
            melt.reconcile()
        state: str = melt.op["state"]
        return state


def _now() -> int:
    return time.time_ns() // 1_000_000


def _batch() -> str:
    return f"b_{secrets.token_hex(12)}"


class _Melt:
    """One payment."""

    def __init__(self, wallet: Wallet, bolt11: Secret) -> None:
        self.wallet, self.bolt11, self.began = wallet, bolt11, _now()
        decoded = decode_invoice(bolt11.reveal())
        if decoded.amount_msat is None or decoded.expires_at <= self.began:
            raise ValueError("the invoice has no amount, or has expired")
        self.amount, self.payment_hash = decoded.amount_msat // 1000, decoded.payment_hash
        self.id = new_transaction_id("melt", self.began)
        named: Any = {"npub": wallet.npub, "mint_url": wallet.url, "amount": self.amount}
        named["operation_type"] = "melt"
        self.hash = operation_hash(**named, payment_request=bolt11.reveal())
        self.short_hash = legacy_operation_hash(**named)
        self.dedup_key = f"{wallet.npub}|{wallet.npub}|{wallet.unit}|{self.hash}"
        self.chain = Chain(self.id)
        self.records: list[tuple[Plain, str, str]] = []

    def ask_quote(self) -> None:
        wallet = self.wallet
        self.had_before = wallet.books.dedup(self.dedup_key)
        if self.had_before is not None and self.had_before[1] > self.began:
            raise Lost("the same request was made before")
        quote: Any = wallet.mint.melt_quote(wallet.url, self.bolt11, wallet.unit)
        self.quoted_at = _now()
        assert quote.amount == self.amount and quote.expires_at > self.quoted_at
        self.quote = quote

    def choose_inputs(self) -> None:
        """The engine's choice among the same candidates, and the mint's word on it."""
        wallet, need = self.wallet, self.amount + self.quote.fee_reserve
        self.stored = {
            found["transaction_id"]: found
            for found in wallet.books.candidates(wallet.npub, wallet.url, wallet.unit, need)
        }
        ppk = {wallet.keyset.id: wallet.keyset.input_fee_ppk}
        found = choose(
            map(token_of, self.stored.values()), need, ppk, count_max=SETTINGS.proofs_per_operation_max
        )
        if not isinstance(found, Selection):
            raise ValueError("not enough money")
        self.input_fee, self.proofs = found.input_fee, found.proofs
        self.parts = [(part.token.transaction_id, part.proofs) for part in found.chosen]
        states: Any = wallet.mint.check_states(wallet.url, [name_of(proof) for proof in self.proofs])
        assert all(state.state == "UNSPENT" for state in states)
        inputs = found.amount
        self.owed = owed_max(inputs, self.amount, self.input_fee)
        self.blanks = blank_outputs(wallet.keyset.id, blanks_needed(self.owed)) if self.owed else ()
        self.body = bodies.melt_body(self.quote.id, self.proofs, self.blanks)

    # -- the first transaction ---------------------------------------------------------------------

    def reserve(self) -> None:
        at, quote = _now(), self.quote
        sources, kept, moved = self._sources(at)
        keep = self._new_token("keep", kept, at) if kept else None
        refs = [
            {"token_id": t["transaction_id"], "amount": t["total_amount"], "proof_count": len(t["proofs"])}
            for t in (change.token for change in sources)
        ]
        inputs = sum(ref["amount"] for ref in refs)
        self.op = self._operation(at) | {"inputs": refs, "timings": {"mint_calls": 2}}
        data = {
            "fee_reserve": quote.fee_reserve,
            "blanks": [plain_output(blank) for blank in self.blanks],
            "request_body": self.body.reveal(),
            "input_fee": self.input_fee,
            "sources_total": inputs + total(kept),
            "keep_total": total(kept),
            "keep_token_id": None if keep is None else keep["transaction_id"],
        }
        self.op["data"] = {name: value for name, value in data.items() if value}
        self.sources = [change.token for change in sources]
        self.made = [] if keep is None else [keep]
        self.chain.begin(_batch())
        own, add = f"operation:{self.id}", self.chain.add
        add(REQUEST, own, 1, self.began, audit_data(self.op))
        asked = audit_data(self.op, quote_state=quote.state, fee_reserve=quote.fee_reserve)
        add(QUOTE_RECEIVED, own, 2, self.quoted_at, asked)
        states = {"UNSPENT": len(self.proofs)}
        chosen: Plain = {"inputs": inputs, "input_fee": self.input_fee, "kept": total(kept)}
        add(INPUTS_CHOSEN, own, 3, at, audit_data(self.op, **chosen, input_states=states))
        for change in sources:
            if "proofs" in change.names:
                free = {"version": change.version + 1, "reserved_by": None}
                self.chain.of_token(SPLIT, change.token | free, at)
        if keep is not None:
            self.chain.of_token(DEPOSIT, keep, at)
        for change in sources:
            self.chain.of_token(RESERVE, change.token, at)
        add(PAY, own, 4, at, audit_data(self.op, document_hash=document_hash(self.op)))
        commit = self._commit(None, ())
        commit.changed, commit.born, commit.moved = sources, self.made[:], moved
        commit.dedup = (self.dedup_key, at + DEDUP_MS, self.had_before)
        self.wallet.books.commit(commit)

    def _operation(self, at: int) -> Plain:
        wallet, quote = self.wallet, self.quote
        return operation(
            id=self.id,
            state=PAY.dest,
            prev_state="prepared",
            version=4,
            npub=wallet.npub,
            wallet_id=wallet.npub,
            mint_url=wallet.url,
            unit=wallet.unit,
            amount=self.amount,
            operation_hash=self.hash,
            created_at=self.began,
            updated_at=at,
            request=self.bolt11.reveal(),
            payment_hash=self.payment_hash,
            policy={"two_step": False, "on_unpaid": SETTINGS.on_unpaid, "sources": [], "fee_max": None},
            quote={
                "id": quote.id,
                "amount": quote.amount,
                "fee_reserve": quote.fee_reserve,
                "expires_at": quote.expires_at,
                "request": None,
            },
            claim=self.payment_hash,
            attempts=1,
            sent_at=at,
            sent_by=wallet.worker,
            next_check_at=at + LEASE_MS,
            lease={"worker": wallet.worker, "until": at + LEASE_MS, "term": 1},
        )

    def _sources(self, at: int) -> tuple[list[Changed], list[Plain], list[tuple[list[str], str, str]]]:
        """The reserved tokens, the proofs that stay the wallet's, and their moves in the index."""
        changes, kept, moved = [], [], []
        for token_id, chosen in self.parts:
            stored, names = self.stored[token_id], {proof.secret.reveal(): proof for proof in chosen}
            taken = [proof for proof in stored["proofs"] if proof["secret"] in names]
            for proof in taken:
                proof["Y"] = proof.get("Y") or name_of(names[proof["secret"]])
            left = [proof for proof in stored["proofs"] if proof["secret"] not in names]
            reserved = stored | {
                "state": RESERVE.dest,
                "prev_state": "unspent",
                "version": stored["version"] + (2 if left else 1),
                "proofs": taken,
                "total_amount": total(taken),
                "reserved_by": self.id,
                "updated_at": at,
            }
            fields: tuple[str, ...] = ("state", "prev_state", "version", "reserved_by", "updated_at")
            if left:
                fields += ("proofs", "total_amount")
                kept += left
                moved.append(([sha(proof["secret"]) for proof in left], token_id, f"{self.id}_keep"))
            changes.append(Changed(stored["state"], stored["version"], reserved, fields))
        return changes, kept, moved

    def _new_token(self, name: str, proofs: list[Plain], at: int) -> Plain:
        wallet = self.wallet
        return token(
            transaction_id=f"{self.id}_{name}",
            npub=wallet.npub,
            wallet_id=wallet.npub,
            mint_url=wallet.url,
            unit=wallet.unit,
            proofs=proofs,
            total_amount=total(proofs),
            metadata={
                "source": "change",
                "parent_transaction_id": self.id,
                "operation_hash": self.short_hash,
                "atomic_operation": True,
                "operation_timestamp": at,
            },
            created_at=at,
            updated_at=at,
        )

    def _commit(self, before: tuple[str, int] | None, names: tuple[str, ...]) -> Commit:
        self.op["audit_seq"], self.op["audit_hash"] = self.chain.seq, self.chain.previous
        self.records += self.chain.records
        return Commit(self.op, self.chain.records, before, (*names, "audit_seq", "audit_hash"))

    # -- the payment and the second transaction ----------------------------------------------------

    def pay(self) -> None:
        wallet = self.wallet
        paid: Any = wallet.mint.melt(wallet.url, self.body)
        assert paid.state == "PAID" and paid.id == self.quote.id
        proofs = [plain_proof(proof) for proof in unblind(self.blanks, paid.change, lambda _: wallet.keys)]
        change, at = total(proofs), _now()
        inputs = sum(ref["amount"] for ref in self.op["inputs"])
        least = owed_min(inputs, self.amount, self.input_fee, self.quote.fee_reserve)
        assert proofs and least <= change <= self.owed
        token_made = self._new_token("melt_change", proofs, at)
        new: Plain = {
            "state": CHANGE_RECEIVED.dest,
            "prev_state": "paid",
            "version": 6,
            "updated_at": at,
            "data": self.op["data"]
            | {
                "payment": {
                    "paid_at": at,
                    "preimage": paid.preimage.reveal(),
                    "preimage_matches": preimage_matches(paid.preimage, self.payment_hash),
                    "lightning_fee": self.owed - change,
                },
                "proven_by": "mint",
                "change_token_id": token_made["transaction_id"],
                "change_amount": change,
            },
            "sent_at": at,
            "sent_by": None,
            "next_check_at": at + LEASE_MS,
            "timings": {"commit_tries": 1, "mint_calls": 3},
        }
        if not wallet.reads_back:  # done here: the next worker may go on at once
            new |= {"lease": None, "next_check_at": at}
        before = (self.op["state"], self.op["version"])
        self.op |= new
        self.chain.begin(_batch())
        own, add = f"operation:{self.id}", self.chain.add
        told: Plain = {"quote_state": "PAID", "fee_reserve": paid.fee_reserve, "new_value": change}
        add(MINT_PAID, own, 5, at, audit_data(self.op, **told))
        spent = [self._spend(source, at) for source in self.sources]
        bound = audit_data(self.op, **told, document_hash=document_hash(self.op))
        add(CHANGE_RECEIVED, own, 6, at, bound)
        self.chain.of_token(DEPOSIT, token_made, at)
        self.made.append(token_made)
        commit = self._commit(before, tuple(new))
        commit.changed, commit.born = spent, [token_made]
        commit.entered = [([sha(proof["secret"]) for proof in proofs], token_made["transaction_id"])]
        wallet.books.commit(commit)

    def _spend(self, source: Plain, at: int) -> Changed:
        before = (source["state"], source["version"])
        new = {"state": SPEND.dest, "prev_state": "reserved", "version": source["version"] + 1}
        source |= {**new, "spent_at": at, "updated_at": at}
        self.chain.of_token(SPEND, source, at)
        return Changed(*before, source, (*new, "spent_at", "updated_at"))

    # -- the look at what was written, and the third transaction -----------------------------------

    def reconcile(self) -> None:
        op, at = self.op, _now()
        data = op["data"]
        parts = [data.get(name, 0) for name in ("input_fee", "keep_total", "change_amount")]
        assert data["sources_total"] == op["amount"] + data["payment"]["lightning_fee"] + sum(parts)
        if not self.wallet.books.agrees(op, [*self.sources, *self.made], self.records):
            raise Lost("the stored documents are not the ones that were written")
        new: Plain = {
            "state": RECONCILE_PASSED.dest,
            "prev_state": "settled",
            "kind_of_state": "final",
            "ends": "good",
            "version": 7,
            "updated_at": at,
            "finished_at": at,
            "next_check_at": None,
            "lease": None,
            "timings": {"commit_tries": 2, "mint_calls": 3},
        }
        before = (op["state"], op["version"])
        op |= new
        self.chain.begin(_batch())
        found: Plain = {"checks_performed": 5, "discrepancies": []}
        bound = audit_data(op, **found, document_hash=document_hash(op))
        self.chain.add(RECONCILE_PASSED, f"operation:{self.id}", 7, at, bound)
        self.wallet.books.commit(self._commit(before, tuple(new)))
