"""Melting at the simulated mint: quotes, payments over the fake Lightning, NUT-08 change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...machines import money
from ...storage.secret import Secret
from ..cashu.bolt11 import InvalidInvoice, Invoice, decode_invoice
from ..cashu.port import BlindSignature, MeltQuote
from .keys import SimulatedKeys
from .ledger import Ledger, msat_per, parse, show_signature
from .lightning import FakeLightning
from .quirks import read as read_quirks
from .refusals import Failed, No
from .state import Document, SimulatedState

FaultsOfCall = Mapping[str, Mapping[str, Any]]


class Melts:
    """Melt quotes and what became of them. Every method runs inside one transaction of the state.

    A quote's expiry is told but not enforced on melt, as at Nutshell (design fact 4)."""

    def __init__(
        self,
        state: SimulatedState,
        ledger: Ledger,
        keys: SimulatedKeys,
        lightning: FakeLightning,
        now_ms: Callable[[], int],
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._keys = keys
        self._lightning = lightning
        self._now_ms = now_ms

    # --- requests -------------------------------------------------------------------------------

    def quote(self, invoice: Secret, unit: str) -> MeltQuote:
        """NUT-05. The reserve is 1 %, at least 2, and nothing for the mint's own invoices."""
        request = invoice.reveal().lower()
        asked = self._payable(request, unit)
        if self._rival(asked.payment_hash):
            raise No(self._code(20006), "Melt quote already paid or pending.")
        own = self._ledger.own_request(request)
        if own is not None and own[1]["state"] != "UNPAID":
            raise No(self._code(20006), "mint quote already paid")
        quirks = read_quirks(self._state)
        rounded_up = -(-(asked.amount_msat or 0) // msat_per(unit))
        amount = (asked.amount_msat or 0) // msat_per(unit) if quirks.rounds_down else rounded_up
        quote_id = self._ledger.new_id()
        self._state.put(
            "melt_quote",
            quote_id,
            {
                "request": request,
                "payment_hash": asked.payment_hash,
                "amount": amount,
                "unit": unit,
                "fee_reserve": 0 if own is not None else max(2, -(-amount // 100)),
                "state": "UNPAID",
                "expires_at": asked.expires_at if quirks.tells_expiry else None,
                "preimage": None,
                "change": [],
                "hidden": 0,
            },
        )
        self._state.push(f"quotes:{asked.payment_hash}", {"quote": quote_id})
        return self._show(quote_id, self._find(quote_id))

    def state(self, quote_id: str) -> MeltQuote:
        """NUT-05: asks Lightning about a pending payment first."""
        quote = self._find(quote_id)
        if quote["state"] == "PENDING":
            quote = self._after_attempt(quote_id, quote, asked_again=True)
        return self._read(quote_id, quote)

    def melt(self, body: str, faults: FaultsOfCall) -> MeltQuote:
        """NUT-05, NUT-08."""
        request = parse(body, "inputs", quote=True, optional=("outputs",))
        quote_id, inputs, blanks = request["quote"], request["inputs"], request["outputs"]
        quote = self._find(quote_id)
        if quote["state"] != "UNPAID":
            code = {"PENDING": 20005, "PAID": 20006}[quote["state"]]
            raise No(self._code(code), f"melt quote is not unpaid: {quote['state'].lower()}")
        fee = self._check(quote_id, quote, inputs, blanks)
        ys = self._ledger.ys(inputs)
        self._ledger.set_proofs(ys, "PENDING")
        for blank in blanks:
            self._state.put("output", blank["B_"], {"id": blank["id"], "C_": None})
        hidden = faults.get("change_delayed")
        quote |= {
            "state": "PENDING",
            "ys": ys,
            "owed": sum(proof["amount"] for proof in inputs) - quote["amount"] - fee,
            "blanks": [[blank["id"], blank["B_"]] for blank in blanks],
            "faults": {
                kind: dict(arguments) for kind, arguments in faults.items() if kind.startswith("change_")
            },
            "hidden": 0 if hidden is None else hidden["reads"],
        }
        self._state.put("melt_quote", quote_id, quote)
        own = self._ledger.own_request(quote["request"])
        if own is not None:
            self._ledger.pay_mint_quote(own[0])
            return self._answer(quote_id, self._paid(quote_id, quote, 0, None))
        self._lightning.attempt(quote["payment_hash"])
        quote = self._after_attempt(quote_id, quote, asked_again=False)
        if quote["state"] == "UNPAID":
            raise Failed(20004, "Lightning payment failed.")
        return self._answer(quote_id, quote)

    def hides(self, output: Document) -> bool:
        """Whether a signed output must not be seen yet; counts as one read of its quote."""
        quote_id = output.get("quote")
        if quote_id is None:
            return False
        quote = self._find(quote_id)
        if quote["hidden"] > 0:
            self._state.put("hides", quote_id, {})
            return True
        return False

    def end_restore(self) -> None:
        """Count the restore that just asked :meth:`hides` as one read of each quote it met."""
        for quote_id, _ in self._state.all("hides"):
            quote = self._find(quote_id)
            self._state.put("melt_quote", quote_id, {**quote, "hidden": quote["hidden"] - 1})
            self._state.delete("hides", quote_id)

    # --- inside ---------------------------------------------------------------------------------

    def _payable(self, request: str, unit: str) -> Invoice:
        self._ledger.check_unit(unit)
        try:
            asked = decode_invoice(request)
        except InvalidInvoice:
            raise No(0, "Bech32 string is not valid.") from None
        if not asked.amount_msat:
            raise No(11000 if self._ledger.old_release else 11011, "invoice has no amount.")
        return asked

    def _check(self, quote_id: str, quote: Document, inputs: list[Document], blanks: list[Document]) -> int:
        """Everything a mint checks before it pays, in its order; returns the input fee."""
        if not inputs:
            raise No(11000, "no proofs provided.")
        if blanks and self._ledger.old_release:
            self._ledger.check_outputs(blanks, blanks=True)
        self._ledger.check_units(inputs, quote["unit"], blanks)
        fee = self._ledger.input_fee(inputs)
        total = sum(proof["amount"] for proof in inputs)
        needed = quote["amount"] + quote["fee_reserve"] + fee
        if total < needed:
            detail = f"not enough inputs provided for melt. Provided: {total}, needed: {needed}"
            raise No(11000, detail)
        self._ledger.check_inputs(inputs)
        self._ledger.check_locks(inputs, blanks, quote_id)
        if blanks and not self._ledger.old_release:
            self._ledger.check_outputs(blanks, blanks=True)
        if self._rival(quote["payment_hash"]):
            raise No(self._code(20006), "Melt quote already paid or pending.")
        self._ledger.check_not_pending(inputs)
        return fee

    def _rival(self, payment_hash: str) -> bool:
        """Whether a quote for the same payment is paid or pending."""
        quotes = (self._find(entry["quote"]) for entry in self._state.queued(f"quotes:{payment_hash}"))
        return any(quote["state"] != "UNPAID" for quote in quotes)

    def _after_attempt(self, quote_id: str, quote: Document, *, asked_again: bool) -> Document:
        """Move a pending quote to what Lightning says."""
        payment = self._lightning.status(quote["payment_hash"])
        if payment.outcome == "PAID":
            fee = quote["fee_reserve"] // 2 if payment.fee is None else payment.fee
            return self._paid(quote_id, quote, fee, payment.preimage)
        # 0.20.2 rolls an unknown payment back when it makes it, later releases keep it pending
        lost = payment.outcome == "UNKNOWN" and self._ledger.old_release and not asked_again
        if payment.outcome == "FAILED" or lost:
            self._ledger.set_proofs(quote["ys"], None)
            for _, B_ in quote["blanks"]:
                self._state.delete("output", B_)
            quote = {**quote, "state": "UNPAID", "ys": [], "blanks": []}
            self._state.put("melt_quote", quote_id, quote)
        return quote

    def _paid(self, quote_id: str, quote: Document, fee_paid: int, preimage: str | None) -> Document:
        self._ledger.set_proofs(quote["ys"], "SPENT")
        for _, B_ in quote["blanks"]:
            self._state.delete("output", B_)
        owed = max(0, quote["owed"] - fee_paid)
        change = self._sign_change(quote_id, quote, owed)
        quote = {**quote, "state": "PAID", "preimage": preimage, "change": change}
        self._state.put("melt_quote", quote_id, quote)
        return quote

    def _sign_change(self, quote_id: str, quote: Document, owed: int) -> list[Document]:
        """NUT-08: largest first into the blanks in order; too few blanks lose the rest."""
        faults = quote["faults"]
        owed += faults.get("change_over", {"by": 0})["by"] - faults.get("change_short", {"by": 0})["by"]
        amounts = self._amounts_of_change(quote, max(0, owed))
        if "change_gone" in faults:
            amounts = []
        if "change_zero" in faults:
            amounts = [amount for pair in zip([0] * len(amounts), amounts, strict=True) for amount in pair]
        if "change_rotated" in faults and quote["blanks"]:
            self._keys.rotate()
        signed = []
        for (keyset_id, B_), amount in zip(quote["blanks"], amounts, strict=False):
            keyset = self._ledger.keyset(keyset_id, "keyset unknown")
            if "change_rotated" in faults:
                keyset = self._keys.newest()
            if amount == 0:
                # some mints sign nothing here and still answer an entry; the point is a valid one
                signed.append({**self._keys_sign_zero(keyset.id, B_), "amount": 0})
                continue
            signature = self._ledger.sign_output(B_, keyset, amount, quote=quote_id)
            if "change_bad_dleq" in faults:
                signature = {**signature, "e": signature["s"], "s": signature["e"]}
                self._state.put("output", B_, {**signature, "quote": quote_id})
            signed.append(signature)
        return signed

    def _amounts_of_change(self, quote: Document, owed: int) -> list[int]:
        """Largest first, in amounts the blanks' keyset has keys for; the rest is lost."""
        if not quote["blanks"]:
            return []
        keys = self._keys.public(self._ledger.keyset(quote["blanks"][0][0], "keyset unknown"))
        while owed:
            try:
                return list(reversed(money.denominations(owed, keys)))
            except money.NotSplittable:
                owed -= 1
        return []

    def _keys_sign_zero(self, keyset_id: str, B_: str) -> Document:
        keyset = self._ledger.keyset(keyset_id, "keyset unknown")
        return {"id": keyset.id, **self._keys.sign(keyset, 1, B_)}

    def _answer(self, quote_id: str, quote: Document) -> MeltQuote:
        """The answer to the melt itself."""
        return self._show(quote_id, {**quote, "change": []} if "change_delayed" in quote["faults"] else quote)

    def _read(self, quote_id: str, quote: Document) -> MeltQuote:
        """Show the quote; while its change is hidden, show it without and count the read."""
        if quote["hidden"] > 0 and quote["state"] == "PAID":
            self._state.put("melt_quote", quote_id, {**quote, "hidden": quote["hidden"] - 1})
            return self._show(quote_id, {**quote, "change": []})
        return self._show(quote_id, quote)

    def _show(self, quote_id: str, quote: Document) -> MeltQuote:
        change: tuple[BlindSignature, ...] = tuple(show_signature(entry) for entry in quote["change"])
        return MeltQuote(
            id=quote_id,
            amount=quote["amount"],
            fee_reserve=quote["fee_reserve"],
            state=quote["state"],
            expires_at=quote["expires_at"],
            request=Secret(quote["request"]),
            unit=quote["unit"],
            preimage=None if quote["preimage"] is None else Secret(quote["preimage"]),
            change=change,
        )

    def _find(self, quote_id: str) -> Document:
        found = self._state.get("melt_quote", quote_id)
        if found is None:
            raise No(0, "quote not found")
        return found

    def _code(self, code: int) -> int:
        """0.20.2 has no codes of its own for quotes that are pending or paid."""
        return 11000 if self._ledger.old_release else code
