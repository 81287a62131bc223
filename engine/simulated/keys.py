"""The simulated mint's keysets: private keys from a seed, real signatures with DLEQ, rotation."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from attrs import asdict, evolve, frozen

from ..cashu.coins import crypto, keyset_ids
from .state import Document, SimulatedState

AMOUNTS = tuple(1 << i for i in range(64))


@frozen
class SimulatedKeyset:
    """One keyset with its private keys (hex, never shown)."""

    id: str
    unit: str
    active: bool
    input_fee_ppk: int
    index: int
    final_expiry_s: int | None = None
    amounts: tuple[int, ...] | None = None  # None: every power of two


class SimulatedKeys:
    """Keysets 0, 1, 2, … of a seed. Which exist, and which of them are active, is in the state."""

    def __init__(self, state: SimulatedState, seed: bytes, unit: str, input_fee_ppk: int) -> None:
        self._state = state
        self._seed = hmac.digest(seed, b"nutstate simulated mint", "sha256")
        self._public: dict[int, dict[int, str]] = {}
        with state.transaction():
            found = self.all()
            if not found:
                self._create(0, unit, input_fee_ppk)
            elif found[0].id != self._id(found[0]):
                raise ValueError("the file of the mint was made with another seed")

    def rotate(self, input_fee_ppk: int | None = None, unit: str | None = None) -> str:
        """Deactivate every keyset (of the unit) and start a new one; returns its id."""
        newest = self.newest()
        before = next((k for k in reversed(self.all()) if unit in (None, k.unit)), None)
        if before is None:
            raise ValueError(f"the mint has no keyset of the unit {unit}")
        for keyset in self.all():
            if unit in (None, keyset.unit):
                self.deactivate(keyset.id)
        fee = before.input_fee_ppk if input_fee_ppk is None else input_fee_ppk
        return self._create(newest.index + 1, before.unit, fee)

    def add(
        self,
        input_fee_ppk: int,
        amounts: Iterable[int] | None,
        final_expiry_s: int | None,
        unit: str | None,
    ) -> str:
        """Start one more active keyset beside the others; returns its id."""
        newest = self.newest()
        own = None if amounts is None else tuple(sorted(set(amounts)))
        return self._create(newest.index + 1, unit or newest.unit, input_fee_ppk, final_expiry_s, own)

    def deactivate(self, keyset_id: str | None = None) -> None:
        """Sign no more with this keyset, or with any (None)."""
        for keyset in self.all():
            if keyset.active and keyset_id in (None, keyset.id):
                self._write(evolve(keyset, active=False))

    @property
    def units(self) -> tuple[str, ...]:
        """The units of the mint, that of its oldest keyset first."""
        return tuple(dict.fromkeys(keyset.unit for keyset in self.all()))

    def newest(self) -> SimulatedKeyset:
        """The keyset that was made last, active or not."""
        return self.all()[-1]

    def all(self) -> list[SimulatedKeyset]:
        """Every keyset, oldest first."""
        found = [_load(key, body) for key, body in self._state.all("keyset")]
        return sorted(found, key=lambda keyset: keyset.index)

    def find(self, keyset_id: str) -> SimulatedKeyset | None:
        """The keyset with this id, or None."""
        body = self._state.get("keyset", keyset_id)
        return None if body is None else _load(keyset_id, body)

    def public(self, keyset: SimulatedKeyset) -> dict[int, str]:
        """The public keys of a keyset by amount."""
        return self._keys_of(keyset.index, keyset.amounts)

    def _keys_of(self, index: int, amounts: tuple[int, ...] | None) -> dict[int, str]:
        if index not in self._public:
            of = AMOUNTS if amounts is None else amounts
            self._public[index] = {a: crypto.public_key(self.private(index, a)) for a in of}
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

    def _create(
        self,
        index: int,
        unit: str,
        input_fee_ppk: int,
        final_expiry_s: int | None = None,
        amounts: tuple[int, ...] | None = None,
    ) -> str:
        keyset = SimulatedKeyset("", unit, True, input_fee_ppk, index, final_expiry_s, amounts)
        named = evolve(keyset, id=self._id(keyset))
        self._write(named)
        return named.id

    def _id(self, keyset: SimulatedKeyset) -> str:
        """The id that follows from the keys of this seed."""
        keys = self._keys_of(keyset.index, keyset.amounts)
        return keyset_ids.keyset_id_v2(keys, keyset.unit, keyset.input_fee_ppk, keyset.final_expiry_s)

    def _write(self, keyset: SimulatedKeyset) -> None:
        body = asdict(keyset)
        self._state.put("keyset", body.pop("id"), body)


def _load(keyset_id: str, body: Document) -> SimulatedKeyset:
    amounts = body.get("amounts")
    return SimulatedKeyset(id=keyset_id, **{**body, "amounts": None if amounts is None else tuple(amounts)})
