"""The requests that the simulated mint carries out, one for each endpoint of the Cashu interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from ...storage.secret import Secret
from ..cashu.port import (
    BlindedMessage,
    BlindSignature,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Restored,
)
from .keys import SimulatedKeys, SimulatedKeyset
from .ledger import Ledger
from .melts import FaultsOfCall, Melts
from .refusals import No
from .state import SimulatedState

T = TypeVar("T")
NUTS = (4, 5, 7, 8, 9, 10, 11, 12, 14, 20)
_METHODS = ("4", "5")


@frozen
class Request(Generic[T]):
    """One request to the simulated mint: what it does, in one transaction, and of a write its bytes."""

    endpoint: str
    run: Callable[[FaultsOfCall], T] = field(repr=False)
    body: Secret | None = None


class Requests:
    """The requests that the simulated mint understands. To make one changes nothing:
    :meth:`.mint.SimulatedMint.exchange` runs it."""

    def __init__(
        self,
        state: SimulatedState,
        keys: SimulatedKeys,
        ledger: Ledger,
        melts: Melts,
        release: str,
        without: Collection[int],
    ) -> None:
        self._state = state
        self._keys = keys
        self._ledger = ledger
        self._melts = melts
        self._release = release
        self._without = frozenset(without)

    def info(self) -> Request[MintInfo]:
        """NUT-06."""
        return Request("info", lambda _: self._info())

    def keysets(self) -> Request[tuple[KeysetInfo, ...]]:
        """NUT-02."""
        return Request("keysets", lambda _: self._keysets())

    def keys(self, keyset_id: str) -> Request[Keyset]:
        """NUT-01, of one keyset."""
        return Request("keys", lambda faults: self._one_keyset(keyset_id, faults))

    def active_keys(self) -> Request[tuple[Keyset, ...]]:
        """NUT-01, of every active keyset."""
        return Request("keys", self._active_keysets)

    def melt_quote(self, invoice: Secret, unit: str) -> Request[MeltQuote]:
        """NUT-05."""
        return Request("melt_quote", lambda _: self._melts.quote(invoice, unit))

    def melt_quote_state(self, quote_id: str) -> Request[MeltQuote]:
        """NUT-05."""
        return Request("melt_quote_state", lambda _: self._melts.state(quote_id))

    def melt(self, body: Secret) -> Request[MeltQuote]:
        """NUT-05, NUT-08."""
        return Request("melt", lambda faults: self._melt(body.reveal(), faults), body)

    def check_states(self, ys: Sequence[str]) -> Request[tuple[ProofState, ...]]:
        """NUT-07."""
        return Request("check_states", lambda _: self._ledger.check_states(ys))

    def swap(self, body: Secret) -> Request[tuple[BlindSignature, ...]]:
        """NUT-03."""

        def run(faults: FaultsOfCall) -> tuple[BlindSignature, ...]:
            return self._ledger.swap(body.reveal(), stuck="outputs_stuck" in faults)

        return Request("swap", run, body)

    def restore(self, outputs: Sequence[BlindedMessage]) -> Request[Restored]:
        """NUT-09."""
        return Request("restore", lambda faults: self._restore(outputs, faults))

    def mint_quote(self, amount: int, unit: str, pubkey: str | None = None) -> Request[MintQuote]:
        """NUT-04, NUT-20."""
        return Request("mint_quote", lambda _: self._ledger.mint_quote(amount, unit, pubkey))

    def mint_quote_state(self, quote_id: str) -> Request[MintQuote]:
        """NUT-04."""
        return Request("mint_quote_state", lambda _: self._ledger.mint_quote_state(quote_id))

    def mint(self, body: Secret) -> Request[tuple[BlindSignature, ...]]:
        """NUT-04."""

        def run(faults: FaultsOfCall) -> tuple[BlindSignature, ...]:
            return self._ledger.mint(body.reveal(), stuck="outputs_stuck" in faults)

        return Request("mint", run, body)

    def write(self, endpoint: str, body: Secret) -> Request[Any]:
        """The request of a write that was held back on its way."""
        if endpoint == "melt":
            return self.melt(body)
        return self.swap(body) if endpoint == "swap" else self.mint(body)

    # --- inside -----------------------------------------------------------------------------------

    def _info(self) -> MintInfo:
        nuts: dict[str, object] = {str(nut): {"supported": True} for nut in NUTS if nut not in self._without}
        for nut in _METHODS:
            if nut in nuts:
                methods = [{"method": "bolt11", "unit": unit} for unit in self._keys.units]
                nuts[nut] = {"methods": methods, "disabled": False}
        return MintInfo(name="Simulated mint", version=f"Nutshell/{self._release}", nuts=nuts)

    def _keysets(self) -> tuple[KeysetInfo, ...]:
        foreign = tuple(KeysetInfo(id=key, **body) for key, body in self._state.all("listed"))
        return (*foreign, *(_listed(keyset) for keyset in self._keys.all()))

    def _one_keyset(self, keyset_id: str, faults: FaultsOfCall) -> Keyset:
        keyset = self._keys.find(keyset_id)
        if keyset is None:
            raise No(12001, "keyset not found")
        return self._shown(keyset, faults)

    def _active_keysets(self, faults: FaultsOfCall) -> tuple[Keyset, ...]:
        return tuple(self._shown(keyset, faults) for keyset in self._keys.all() if keyset.active)

    def _shown(self, keyset: SimulatedKeyset, faults: FaultsOfCall) -> Keyset:
        keys = dict(self._keys.public(keyset))
        if "keys_do_not_fit" in faults:
            keys = dict(zip(keys, reversed(keys.values()), strict=True))
        return Keyset(keyset.id, keyset.unit, keys)

    def _melt(self, body: str, faults: FaultsOfCall) -> MeltQuote:
        if "quote_state" in faults:  # a cached answer is replayed (NUT-19): nothing is executed
            return self._melts.state(_quote_id(body))
        return self._melts.melt(body, faults)

    def _restore(self, outputs: Sequence[BlindedMessage], faults: FaultsOfCall) -> Restored:
        if 9 in self._without or "restore_unsupported" in faults:
            raise No(None, "Not Found", 404)
        restored = self._ledger.restore(outputs, self._melts.hides)
        self._melts.end_restore()
        return restored


def _listed(keyset: SimulatedKeyset) -> KeysetInfo:
    final_expiry = None if keyset.final_expiry_s is None else keyset.final_expiry_s * 1000
    return KeysetInfo(keyset.id, keyset.unit, keyset.active, keyset.input_fee_ppk, final_expiry)


def _quote_id(body: str) -> str:
    try:
        return str(json.loads(body)["quote"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
