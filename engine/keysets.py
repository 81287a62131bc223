"""What the engine remembers of a mint's keysets: ids, fees and keys. Keys never change; the list may."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable
from typing import TypeVar

from ..machines.money import input_fee
from ..storage.records import Proof
from .mint.port import Answer, Failure, Keyset, KeysetInfo, MintInfo, MintPort
from .ports import Clock

T = TypeVar("T")

REFRESH_S = 300.0


class MintSilent(Exception):
    """A read the engine cannot go on without was not answered. Carries the answer, no secrets."""

    def __init__(self, answer: Failure) -> None:
        super().__init__(type(answer).__name__)
        self.answer = answer


def value(answer: Answer[T]) -> T:
    """The value, or MintSilent."""
    if isinstance(answer, Failure):
        raise MintSilent(answer)
    return answer


class Keysets:
    """Keysets of every mint asked so far. Safe to share between threads."""

    def __init__(self, mint: MintPort, clock: Clock) -> None:
        self._mint = mint
        self._clock = clock
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, tuple[KeysetInfo, ...]]] = {}
        self._keys: dict[tuple[str, str], Keyset] = {}
        self._infos: dict[str, tuple[float, MintInfo]] = {}

    def asking(self, mint: MintPort) -> Keysets:
        """The same memory, but what is not remembered is asked of ``mint``."""
        view = copy.copy(self)
        view._mint = mint
        return view

    def listed(self, mint_url: str, refresh: bool = False) -> tuple[KeysetInfo, ...]:
        """The mint's keysets, active and inactive. Raises MintSilent."""
        with self._lock:
            known = self._lists.get(mint_url)
        if known is not None and not refresh and self._clock.monotonic() - known[0] < REFRESH_S:
            return known[1]
        fresh = value(self._mint.keysets(mint_url))
        with self._lock:
            self._lists[mint_url] = (self._clock.monotonic(), fresh)
        return fresh

    def info(self, mint_url: str) -> MintInfo:
        """What the mint says it can do. Raises MintSilent."""
        with self._lock:
            known = self._infos.get(mint_url)
        if known is not None and self._clock.monotonic() - known[0] < REFRESH_S:
            return known[1]
        fresh = value(self._mint.info(mint_url))
        with self._lock:
            self._infos[mint_url] = (self._clock.monotonic(), fresh)
        return fresh

    def active(self, mint_url: str, unit: str, refresh: bool = False) -> KeysetInfo:
        """The active keyset of the unit with the lowest fee. Raises MintSilent, or LookupError when
        the mint has none."""
        usable = [k for k in self.listed(mint_url, refresh) if k.active and k.unit == unit]
        if not usable:
            raise LookupError(f"the mint has no active keyset for unit {unit}")
        return min(usable, key=lambda keyset: (keyset.input_fee_ppk, keyset.id))

    def keys(self, mint_url: str, keyset_id: str) -> Keyset:
        """The public keys of one keyset, active or not. Raises MintSilent."""
        with self._lock:
            known = self._keys.get((mint_url, keyset_id))
        if known is not None:
            return known
        fresh = value(self._mint.keys(mint_url, keyset_id))
        with self._lock:
            self._keys[mint_url, keyset_id] = fresh
        return fresh

    def fees(self, mint_url: str, proofs: Iterable[Proof]) -> dict[str, int]:
        """input_fee_ppk of every keyset the proofs use. Raises MintSilent, or LookupError for a keyset
        the mint does not have."""
        needed = {proof.id for proof in proofs}
        listed = {k.id: k.input_fee_ppk for k in self.listed(mint_url)}
        if not needed <= listed.keys():
            listed = {k.id: k.input_fee_ppk for k in self.listed(mint_url, refresh=True)}
        unknown = needed - listed.keys()
        if unknown:
            raise LookupError(f"the mint does not know {len(unknown)} keyset(s) of these proofs")
        return {keyset_id: listed[keyset_id] for keyset_id in needed}

    def known_fees(self, mint_url: str, unit: str, proofs: Iterable[Proof]) -> dict[str, int]:
        """input_fee_ppk of those keysets of the proofs that the mint lists for the unit; coins of others
        cannot be spent now. Raises MintSilent."""
        needed = {proof.id for proof in proofs}
        listed = {k.id: k.input_fee_ppk for k in self.listed(mint_url) if k.unit == unit}
        if not needed <= listed.keys():
            fresh = self.listed(mint_url, refresh=True)
            listed = {k.id: k.input_fee_ppk for k in fresh if k.unit == unit}
        return {keyset_id: listed[keyset_id] for keyset_id in needed & listed.keys()}

    def fee_of(self, mint_url: str, proofs: Iterable[Proof]) -> int:
        """NUT-02 fee of spending all these proofs together."""
        listed = list(proofs)
        ppk = self.fees(mint_url, listed)
        return input_fee(ppk[proof.id] for proof in listed)
