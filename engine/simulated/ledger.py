"""The simulated mint's books: proofs, outputs, swaps and issuing, answered as Nutshell answers."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ...machines import money
from ...storage.records import Dleq
from ...storage.secret import Secret
from ..cashu.coins import crypto
from ..cashu.port import BlindedMessage, BlindSignature, MintQuote, ProofState, Restored
from .conditions import check_conditions, verify_quote_signature
from .invoice import make_invoice
from .keys import SimulatedKeys, SimulatedKeyset
from .quirks import read as read_quirks
from .refusals import Failed, No
from .state import Document, SimulatedState

ITEMS_MAX = 1000
WITNESS_CHARS_MAX = 10_000


class Ledger:
    """The books of the simulated mint without melting. Every method runs inside one transaction of the
    state."""

    def __init__(
        self, state: SimulatedState, keys: SimulatedKeys, seed: bytes, release: str, now_ms: Callable[[], int]
    ) -> None:
        self._state = state
        self._keys = keys
        self._seed = hmac.digest(seed, b"nutstate simulated ledger", "sha256")
        self._now_ms = now_ms
        self.old_release = release.startswith("0.20")
        self.auto_pay = True

    # --- proofs and outputs ---------------------------------------------------------------------

    def check_inputs(self, inputs: list[Document]) -> None:
        """NUT-03, NUT-05: distinct, really ours, not spent."""
        secrets = [proof["secret"] for proof in inputs]
        if len(set(secrets)) != len(secrets):
            raise No(11007, "Duplicate inputs provided")
        quirks = read_quirks(self._state)
        if quirks.inputs_max is not None and len(inputs) > quirks.inputs_max:
            raise No(quirks.inputs_code, f"maximum number of inputs is {quirks.inputs_max}")
        for proof in inputs:
            if quirks.secret_chars_max is not None and len(proof["secret"]) > quirks.secret_chars_max:
                raise No(11000, f"secret too long. max: {quirks.secret_chars_max}")
            keyset = self.keyset(proof["id"], "keyset unknown")
            if self._is_over(keyset):
                raise No(12001, "keyset has expired")
            k = self._keys.private(keyset.index, self._known_amount(keyset, proof["amount"]))
            if not crypto.verify_proof(proof["secret"], proof["C"], k):
                raise No(10001, "proofs could not be verified")
        if any(self.proof_state(y) == "SPENT" for y in self.ys(inputs)):
            raise No(11001, "proofs already spent")

    def check_not_pending(self, inputs: list[Document]) -> None:
        """Not in flight. Mints look at this last, when they are about to lock the proofs."""
        if any(self.proof_state(y) == "PENDING" for y in self.ys(inputs)):
            raise No(11002, "proofs are pending")

    def check_outputs(self, outputs: list[Document], *, blanks: bool = False) -> None:
        """NUT-03, NUT-04, NUT-08: distinct, never seen, one active keyset."""
        if not outputs:
            raise No(11000, "no outputs provided.")
        if len({output["id"] for output in outputs}) != 1:
            raise No(11000, "outputs have different keyset ids.")
        keyset = self.keyset(outputs[0]["id"], "keyset id unknown.")
        if not keyset.active or self._is_over(keyset):
            raise No(11000 if self.old_release else 12002, "keyset id inactive.")
        if not blanks:
            for output in outputs:
                self._known_amount(keyset, output["amount"])
        names = [output["B_"] for output in outputs]
        if len(set(names)) != len(names):
            raise No(11008, "Duplicate outputs provided")
        known = [found for found in (self._state.get("output", name) for name in names) if found is not None]
        if any(found["C_"] is not None for found in known):
            raise No(11003, "outputs already signed")
        if known:
            raise No(11004, "outputs are pending")

    def check_locks(self, inputs: list[Document], outputs: list[Document], quote_id: str = "") -> None:
        """NUT-10, NUT-11, NUT-14: the witnesses open what the secrets demand."""
        check_conditions(inputs, outputs, lambda: self._now_ms() // 1000, quote_id)

    def check_units(self, inputs: list[Document], unit: str | None, outputs: list[Document]) -> None:
        """One unit: that of the inputs, which is also that of the quote and of the outputs."""
        units = {self.keyset(proof["id"], "keyset unknown").unit for proof in inputs}
        if len(units) != 1:
            raise No(11000 if self.old_release else 11009, "inputs have different units.")
        wanted = {self.keyset(output["id"], "keyset unknown").unit for output in outputs}
        if wanted - units or unit not in (None, *units):
            raise No(11000 if self.old_release else 11010, "inputs and outputs not of the same unit.")

    def input_fee(self, inputs: list[Document]) -> int:
        """NUT-02, rounded up."""
        return money.input_fee(self.keyset(p["id"], "keyset unknown").input_fee_ppk for p in inputs)

    def ys(self, inputs: list[Document]) -> list[str]:
        """The NUT-07 names of the inputs, kept in them for the rest of the request."""
        for proof in inputs:
            if "Y" not in proof:
                proof["Y"] = crypto.y_of(proof["secret"])
        return [proof["Y"] for proof in inputs]

    def proof_state(self, y: str) -> str:
        """UNSPENT also of what was never seen."""
        return str((self._state.get("proof", y) or {"state": "UNSPENT"})["state"])

    def set_proofs(self, ys: Sequence[str], state: str | None) -> None:
        """Mark as PENDING or SPENT, or forget (None)."""
        for y in ys:
            if state is None:
                self._state.delete("proof", y)
            else:
                self._state.put("proof", y, {"state": state})

    def sign_output(self, B_: str, keyset: SimulatedKeyset, amount: int, **extra: object) -> Document:
        """Sign, remember for restore, and return the signature."""
        signature = {"id": keyset.id, "amount": amount, **self._keys.sign(keyset, amount, B_)}
        self._state.put("output", B_, {**signature, **extra})
        return signature

    def keyset(self, keyset_id: str, detail: str) -> SimulatedKeyset:
        """The keyset, or the refusal."""
        found = self._keys.find(keyset_id)
        if found is None:
            raise No(11000, detail)
        return found

    # --- requests -------------------------------------------------------------------------------

    def swap(self, body: str, *, stuck: bool = False) -> tuple[BlindSignature, ...]:
        """NUT-03. ``stuck``: the outputs are stored, but signing them fails."""
        request = parse(body, "inputs", "outputs")
        inputs, outputs = request["inputs"], request["outputs"]
        if not inputs:
            raise No(11000, "no proofs provided.")
        self.check_inputs(inputs)
        self.check_outputs(outputs)
        self.check_units(inputs, None, outputs)
        self.check_locks(inputs, outputs)
        total = sum(proof["amount"] for proof in inputs)
        wanted = sum(output["amount"] for output in outputs) + self.input_fee(inputs)
        if total != wanted:
            raise No(11000, "inputs, fees and outputs are not balanced.")
        self.check_not_pending(inputs)
        if stuck:
            self._leave_unsigned(outputs)
        self.set_proofs(self.ys(inputs), "SPENT")
        return self._sign_all(outputs)

    def mint(self, body: str, *, stuck: bool = False) -> tuple[BlindSignature, ...]:
        """NUT-04. ``stuck`` as in :meth:`swap`; the quote stays PAID."""
        request = parse(body, "outputs", quote=True)
        self.check_outputs(request["outputs"])
        quote = self._mint_quote(request["quote"])
        if self.keyset(request["outputs"][0]["id"], "keyset unknown").unit != quote["unit"]:
            raise No(11000 if self.old_release else 11010, "outputs and quote not of the same unit.")
        if quote["state"] == "ISSUED":
            raise No(20002, "quote already issued")
        if quote["state"] != "PAID":
            raise No(20001, "quote not paid")
        key = quote.get("pubkey")
        signature = json.loads(body).get("signature")
        if key is not None and not verify_quote_signature(
            key, request["quote"], request["outputs"], signature
        ):
            raise No(20008, "the signature of the quote is missing or wrong")
        if sum(output["amount"] for output in request["outputs"]) != quote["amount"]:
            raise No(11000, "amount to mint does not match quote amount")
        if quote["expiry"] * 1000 < self._now_ms() and not read_quirks(self._state).issues_late:
            raise No(11000 if self.old_release else 20007, "quote expired")
        if stuck:
            self._leave_unsigned(request["outputs"])
        self._state.put("mint_quote", request["quote"], {**quote, "state": "ISSUED"})
        return self._sign_all(request["outputs"])

    def mint_quote(self, amount: int, unit: str, pubkey: str | None = None) -> MintQuote:
        """NUT-04: always answered UNPAID; paid at once afterwards unless that is switched off. NUT-20: with
        ``pubkey`` only its owner can have the tokens issued."""
        if type(amount) is not int or amount <= 0:
            raise No(11000, "amount must be positive")
        self.check_unit(unit)
        quote_id, now_s = self.new_id(), self._now_ms() // 1000
        preimage = hmac.digest(self._seed, f"mint:{quote_id}".encode(), "sha256")
        lifetime_s = read_quirks(self._state).quote_expiry_s
        request = make_invoice(
            amount * msat_per(unit), preimage=preimage, timestamp=now_s, expiry_s=lifetime_s
        )
        quote: Document = {
            "request": request, "amount": amount, "unit": unit, "expiry": now_s + lifetime_s,
        }  # fmt: skip
        if pubkey is not None:
            quote["pubkey"] = pubkey
        self._state.put("mint_quote", quote_id, {**quote, "state": "PAID" if self.auto_pay else "UNPAID"})
        self._state.put("mint_request", request, {"quote": quote_id})
        return self._show_mint_quote(quote_id, {**quote, "state": "UNPAID"})

    def mint_quote_state(self, quote_id: str) -> MintQuote:
        """NUT-04."""
        return self._show_mint_quote(quote_id, self._mint_quote(quote_id))

    def pay_mint_quote(self, quote_id: str) -> None:
        """Mark the quote's invoice as paid."""
        quote = self._mint_quote(quote_id)
        if quote["state"] == "UNPAID":
            self._state.put("mint_quote", quote_id, {**quote, "state": "PAID"})

    def own_request(self, request: str) -> tuple[str, Document] | None:
        """The mint quote an invoice belongs to, if it is one of the mint's own."""
        found = self._state.get("mint_request", request)
        return None if found is None else (found["quote"], self._mint_quote(found["quote"]))

    def check_states(self, ys: Sequence[str]) -> tuple[ProofState, ...]:
        """NUT-07."""
        if len(ys) > ITEMS_MAX:
            raise No(None, "too many Ys", 422)
        return tuple(ProofState(y.lower(), self.proof_state(y.lower())) for y in ys)

    def restore(self, outputs: Sequence[BlindedMessage], hidden: Callable[[Document], bool]) -> Restored:
        """NUT-09. ``hidden`` says of a signed output that it shall not be seen yet."""
        if len(outputs) > ITEMS_MAX:
            raise No(None, "too many outputs", 422)
        found = [(output, self._state.get("output", output.B_.lower())) for output in outputs]
        seen = [(o, s) for o, s in found if s is not None and s["C_"] is not None and not hidden(s)]
        return Restored(tuple(o for o, _ in seen), tuple(show_signature(s) for _, s in seen))

    def new_id(self) -> str:
        """A quote id: a UUID that follows from the seed and the number of quotes so far."""
        n = self._state.count("quote")
        return str(uuid.UUID(bytes=hmac.digest(self._seed, f"quote:{n}".encode(), "sha256")[:16]))

    def check_unit(self, unit: str) -> None:
        """Quotes are made in the units of the keysets only."""
        if unit not in self._keys.units:
            raise No(10000 if self.old_release else 11013, "unit not supported in any keyset.")

    # --- inside ---------------------------------------------------------------------------------

    def _sign_all(self, outputs: list[Document]) -> tuple[BlindSignature, ...]:
        keyset = self.keyset(outputs[0]["id"], "keyset unknown")
        return tuple(show_signature(self.sign_output(o["B_"], keyset, o["amount"])) for o in outputs)

    def _leave_unsigned(self, outputs: list[Document]) -> None:
        """Mints store outputs in one transaction and sign them in another; here the second one failed."""
        for output in outputs:
            self._state.put("output", output["B_"], {"id": output["id"], "C_": None})
        raise Failed(0, "could not sign the outputs")

    def _mint_quote(self, quote_id: str) -> Document:
        found = self._state.get("mint_quote", quote_id)
        if found is None:
            raise No(0, "quote not found")
        return found

    def _known_amount(self, keyset: SimulatedKeyset, amount: int) -> int:
        if amount <= 0 or amount >= 2**64:
            raise No(10000, f"invalid amount: {amount}")
        if amount not in self._keys.public(keyset):
            raise No(0, "no key for this amount")
        return amount

    def _is_over(self, keyset: SimulatedKeyset) -> bool:
        return keyset.final_expiry_s is not None and keyset.final_expiry_s * 1000 <= self._now_ms()

    def _show_mint_quote(self, quote_id: str, body: Document) -> MintQuote:
        told = read_quirks(self._state).tells_expiry
        return MintQuote(
            id=quote_id,
            request=Secret(body["request"]),
            state=body["state"],
            expires_at=body["expiry"] * 1000 if told else None,
            amount=body["amount"],
            unit=body["unit"],
            pubkey=body.get("pubkey"),
        )


def parse(body: str, *lists: str, quote: bool = False, optional: Sequence[str] = ()) -> Document:
    """A write's body, checked as far as a web framework checks it; else :class:`No` without code (422)."""
    try:
        request = json.loads(body)
        checked: Document = {name: _items(request[name], name) for name in lists}
        for name in optional:
            checked[name] = _items(request.get(name) or [], name)
        if quote:
            checked["quote"] = _typed(request["quote"], str)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise No(None, "body: invalid request", 422) from None
    return checked


def _items(value: Any, name: str) -> list[Document]:
    if len(_typed(value, list)) > ITEMS_MAX:
        raise ValueError("too many items")
    return [_input(item) if name == "inputs" else _output(item) for item in value]


def _input(item: Any) -> Document:
    secret = _typed(item["secret"], str)
    secret.encode()  # a lone surrogate is no text
    if not secret or not crypto.is_point(item["C"]):
        raise ValueError("no proof")
    amount, keyset_id = _typed(item["amount"], int), _typed(item["id"], str)
    proof = {"amount": amount, "id": keyset_id, "secret": secret, "C": item["C"]}
    witness = item.get("witness")
    if witness is not None:
        if len(_typed(witness, str)) > WITNESS_CHARS_MAX:
            raise ValueError("witness too long")
        proof["witness"] = witness
    return proof


def _output(item: Any) -> Document:
    if not crypto.is_point(item["B_"]):
        raise ValueError("no blinded message")
    return {"amount": _typed(item["amount"], int), "id": _typed(item["id"], str), "B_": item["B_"].lower()}


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError("another type")
    return value


def msat_per(unit: str) -> int:
    """The value of one unit on the fake Lightning, in millisatoshi: any other counts as a sat."""
    return 1 if unit == "msat" else 1000


def show_signature(body: Document) -> BlindSignature:
    """The signature as it is answered."""
    return BlindSignature(body["id"], body["amount"], body["C_"], Dleq(body["e"], body["s"]))
