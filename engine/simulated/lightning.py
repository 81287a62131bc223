"""The fake Lightning network behind the simulated mint: a script decides what becomes of a payment."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from attrs import frozen

from ...storage.secret import Secret
from ..cashu.bolt11 import DEFAULT_EXPIRY_S
from .invoice import make_invoice
from .state import SimulatedState

OUTCOMES = frozenset({"PAID", "PENDING", "FAILED", "UNKNOWN"})
ANY = "*"


@frozen
class Attempt:
    """The outcome of one payment attempt. ``fee`` None: the mint's default below the reserve."""

    outcome: str
    fee: int | None
    preimage: str | None


class FakeLightning:
    """Scripted outcomes, durable. A payment hash is paid at most once, as on the real network."""

    def __init__(self, state: SimulatedState, seed: bytes, now_ms: Callable[[], int]) -> None:
        self._state = state
        self._seed = hmac.digest(seed, b"nutstate fake lightning", "sha256")
        self._now_ms = now_ms

    def script(
        self, payment_hash: str, *outcomes: str, fee: int | None = None, preimage: str | None = None
    ) -> None:
        """Script the payments of this hash, or of every hash without a script of its own (``"*"``):
        the outcomes in order, one per attempt, the last one for all further attempts.

        ``fee`` is the Lightning fee really paid, in the mint's unit; ``preimage`` (hex) overrides the
        true one. Outcomes: PAID, PENDING (until :meth:`settle` or :meth:`fail`), FAILED (nothing was
        paid, code 20004), UNKNOWN (the node does not say)."""
        if not outcomes or not set(outcomes) <= OUTCOMES:
            raise ValueError("outcomes are PAID, PENDING, FAILED and UNKNOWN")
        with self._state.transaction():
            body = {"outcomes": list(outcomes), "fee": fee, "preimage": preimage}
            self._state.put("script", payment_hash, body)

    def next(self, outcome: str, *, fee: int | None = None, preimage: str | None = None) -> None:
        """Script the next payment attempt, of whatever hash; several of them queue up. It goes before every
        script. Arguments as in :meth:`script`."""
        if outcome not in OUTCOMES:
            raise ValueError("outcomes are PAID, PENDING, FAILED and UNKNOWN")
        with self._state.transaction():
            self._state.push("next_attempt", {"outcomes": [outcome], "fee": fee, "preimage": preimage})

    def invoice(self, amount: int, *, expiry_s: int = DEFAULT_EXPIRY_S, description: str = "") -> Secret:
        """An invoice over ``amount`` sat from some other node, whose preimage a payment will reveal."""
        with self._state.transaction():
            preimage = hmac.digest(self._seed, str(self._state.count("invoice")).encode(), "sha256")
            payment_hash = hashlib.sha256(preimage).hexdigest()
            self._state.put("preimage", payment_hash, {"preimage": preimage.hex()})
            text = make_invoice(
                amount * 1000,
                preimage=preimage,
                timestamp=self._now_ms() // 1000,
                expiry_s=expiry_s,
                description=description,
            )
        return Secret(text)

    def settle(self, payment_hash: str, *, fee: int | None = None) -> None:
        """A pending payment arrives."""
        self._resolve(payment_hash, "PAID", fee)

    def fail(self, payment_hash: str) -> None:
        """A pending payment comes back."""
        self._resolve(payment_hash, "FAILED", None)

    def payments(self, payment_hash: str) -> int:
        """How often the hash was paid: 0 or 1."""
        with self._state.transaction():
            body = self._state.get("payment", payment_hash)
        return 1 if body is not None and body["outcome"] == "PAID" else 0

    def attempts(self, payment_hash: str) -> int:
        """How often the mint tried to pay the hash."""
        with self._state.transaction():
            return int((self._state.get("counter", f"attempt:{payment_hash}") or {"n": 0})["n"])

    def attempt(self, payment_hash: str) -> Attempt:
        """The mint pays. Returns the immediate answer of its node."""
        n = self._state.count(f"attempt:{payment_hash}")
        if self.payments(payment_hash):
            return self.status(payment_hash)  # the node knows it as paid and pays nothing twice
        script = (
            self._state.pop("next_attempt")
            or self._state.get("script", payment_hash)
            or self._state.get("script", ANY)
            or {}
        )
        outcomes = script.get("outcomes", ["PAID"])
        outcome = outcomes[min(n, len(outcomes)) - 1]
        self._write(payment_hash, outcome, script.get("fee"), script.get("preimage"))
        return self.status(payment_hash)

    def status(self, payment_hash: str) -> Attempt:
        """The mint asks again about a payment."""
        body = self._state.get("payment", payment_hash)
        if body is None:
            return Attempt("UNKNOWN", None, None)
        return Attempt(**body)

    def _resolve(self, payment_hash: str, outcome: str, fee: int | None) -> None:
        with self._state.transaction():
            body = self._state.get("payment", payment_hash)
            if body is None or body["outcome"] not in ("PENDING", "UNKNOWN"):
                raise ValueError("no payment of this hash is pending")
            self._write(payment_hash, outcome, body["fee"] if fee is None else fee, body["preimage"])

    def _write(self, payment_hash: str, outcome: str, fee: int | None, preimage: str | None) -> None:
        known = self._state.get("preimage", payment_hash) or {"preimage": None}
        shown = preimage or known["preimage"]
        body = {"outcome": outcome, "fee": fee, "preimage": shown if outcome == "PAID" else preimage}
        self._state.put("payment", payment_hash, body)
