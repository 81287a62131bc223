"""The simulated mint's keysets: private keys from a seed, real signatures with DLEQ, rotation."""

from __future__ import annotations

import hmac

from attrs import asdict, evolve, frozen

from . import crypto, keysets
from .simulated_state import SimulatedState

AMOUNTS = tuple(1 << i for i in range(64))


@frozen
class SimulatedKeyset:
    """One keyset with its private keys (hex, never shown)."""

    id: str
    unit: str
    active: bool
    input_fee_ppk: int
    index: int


class SimulatedKeys:
    """Keysets 0, 1, 2, … of a seed; the newest is active. Which exist is in the state."""

    def __init__(self, state: SimulatedState, seed: bytes, unit: str, input_fee_ppk: int) -> None:
        self._state = state
        self._seed = hmac.digest(seed, b"nutstate simulated mint", "sha256")
        self._public: dict[int, dict[int, str]] = {}
        with state.transaction():
            if not state.all("keyset"):
                self._create(0, unit, input_fee_ppk)

    def rotate(self, input_fee_ppk: int | None = None) -> str:
        """Deactivate the active keyset and start a new one; returns its id."""
        old = self.active()
        self._write(evolve(old, active=False))
        return self._create(
            old.index + 1, old.unit, old.input_fee_ppk if input_fee_ppk is None else input_fee_ppk
        )

    def active(self) -> SimulatedKeyset:
        """The keyset new outputs are signed with."""
        return next(keyset for keyset in self.all() if keyset.active)

    def all(self) -> list[SimulatedKeyset]:
        """Every keyset, oldest first."""
        found = [SimulatedKeyset(id=key, **body) for key, body in self._state.all("keyset")]
        return sorted(found, key=lambda keyset: keyset.index)

    def find(self, keyset_id: str) -> SimulatedKeyset | None:
        """The keyset with this id, or None."""
        body = self._state.get("keyset", keyset_id)
        return None if body is None else SimulatedKeyset(id=keyset_id, **body)

    def public(self, index: int) -> dict[int, str]:
        """The public keys of a keyset by amount."""
        if index not in self._public:
            self._public[index] = {a: crypto.public_key(self.private(index, a)) for a in AMOUNTS}
        return self._public[index]

    def private(self, index: int, amount: int) -> str:
        """The private key of an amount (hex)."""
        raw = hmac.digest(self._seed, f"{index}:{amount}".encode(), "sha256")
        return (int.from_bytes(raw, "big") % (crypto.ORDER - 1) + 1).to_bytes(32, "big").hex()

    def sign(self, keyset: SimulatedKeyset, amount: int, B_: str) -> dict[str, str]:
        """C_, e and s for a blinded message."""
        k = self.private(keyset.index, amount)
        C_ = crypto.sign(B_, k)
        e, s = crypto.prove_dleq(B_, C_, k)
        return {"C_": C_, "e": e, "s": s}

    def _create(self, index: int, unit: str, input_fee_ppk: int) -> str:
        keyset_id = keysets.keyset_id_v2(self.public(index), unit, input_fee_ppk)
        self._write(SimulatedKeyset(keyset_id, unit, True, input_fee_ppk, index))
        return keyset_id

    def _write(self, keyset: SimulatedKeyset) -> None:
        body = asdict(keyset)
        self._state.put("keyset", body.pop("id"), body)
