"""The engine's memory of a mint's keysets: ids, fees and keys. Keys never change; the list may."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Set
from typing import TypeVar

from attrs import evolve, field, frozen

from ...machines.money import PARTS_MAX, NotSplittable, blanks_needed, denominations, input_fee
from ...storage.records import Proof
from ..ports import Clock
from ..remembered import Remembered
from ..settings import Settings
from .coins.keyset_ids import is_of_our_kind, is_short, keys_belong
from .port import Ambiguous, Answer, Failure, Keyset, KeysetInfo, MintInfo, MintPort, Refused

T = TypeVar("T")

REFRESH_S = 300.0
MISSED_MAX = 1000
"""Unknown keyset ids that are remembered for one mint; a token can name any."""
KEYSETS_TRIED_MAX = 10
"""Keysets whose keys are read before a mint counts as one without a usable keyset."""


class MintSilent(Exception):
    """A read the engine cannot go on without was not answered. Carries the answer, no secrets."""

    def __init__(self, answer: Failure) -> None:
        super().__init__(type(answer).__name__)
        self.answer = answer


class NoUsableKeyset(LookupError):
    """The mint has no keyset of the unit on which new outputs can be made (code NO_USABLE_KEYSET).
    ``why`` tells for each keyset of that unit, by id, why it is not usable."""

    code = "NO_USABLE_KEYSET"

    def __init__(self, unit: str, why: dict[str, str]) -> None:
        told = "; ".join(f"{keyset_id[:16]}: {reason}" for keyset_id, reason in list(why.items())[:5])
        super().__init__(f"the mint has no usable keyset for unit {unit} ({told or 'it lists none'})")
        self.why = why


@frozen
class Wanted:
    """The value that new outputs must be able to carry: each of ``amounts`` exactly (swap, mint), or any
    change up to ``up_to`` (NUT-08 blanks). All in the unit; () and None ask for nothing."""

    amounts: tuple[int, ...] = ()
    up_to: int | None = None

    def lacks(self, keys: Iterable[int]) -> str | None:
        """The missing ability of the keys, in words. None: they can carry the value."""
        for amount in self.amounts:
            try:
                denominations(amount, keys)
            except NotSplittable:
                return f"no keys that make up {amount}"
        amounts = frozenset(keys)
        # without a key of 1 some change could not be given, and the mint would keep it
        if not self.up_to or (1 in amounts and blanks_needed(self.up_to, amounts) <= PARTS_MAX):
            return None
        return f"no keys for any change up to {self.up_to}"


@frozen
class _Listed:
    """A mint's keyset list as it was read, and the ids that were looked for in it in vain."""

    at: float  # monotonic
    keysets: tuple[KeysetInfo, ...]
    missed: frozenset[str] = field(factory=frozenset)


class Keysets:
    """Keysets of the mints asked so far, the longest unused ones forgotten. Safe to share between threads."""

    def __init__(self, mint: MintPort, clock: Clock, settings: Settings | None = None) -> None:
        self._mint = mint
        self._clock = clock
        self._settings = settings = settings or Settings()
        self._lock = threading.Lock()
        self._lists: Remembered[str, _Listed] = Remembered(settings.mints_remembered_max)
        self._keys: Remembered[tuple[str, str], Keyset] = Remembered(settings.keysets_remembered_max)
        self._infos: Remembered[str, tuple[float, MintInfo]] = Remembered(settings.mints_remembered_max)

    def asking(self, mint: MintPort) -> Keysets:
        """The same memory, but what is not remembered is asked of ``mint``."""
        view = copy.copy(self)
        view._mint = mint
        return view

    def listed(self, mint_url: str, refresh: bool = False) -> tuple[KeysetInfo, ...]:
        """The mint's keysets, active and inactive. Raises MintSilent."""
        with self._lock:
            known = self._lists.get(mint_url)
        if known is not None and not refresh and self._clock.monotonic() - known.at < REFRESH_S:
            return known.keysets
        fresh = value(self._mint.keysets(mint_url))
        missed = frozenset[str]() if known is None else frozenset(_unknown(known.missed, fresh))
        with self._lock:
            self._lists.put(mint_url, _Listed(self._clock.monotonic(), fresh, missed))
        return fresh

    def distrust(self, mint_url: str) -> None:
        """Ask for the list anew when it is needed next: the mint refused what was made after this one."""
        with self._lock:
            known = self._lists.get(mint_url)
            if known is not None:
                self._lists.put(mint_url, evolve(known, at=known.at - REFRESH_S))

    def info(self, mint_url: str) -> MintInfo:
        """The abilities that the mint declares (NUT-06). Raises MintSilent."""
        with self._lock:
            known = self._infos.get(mint_url)
        if known is not None and self._clock.monotonic() - known[0] < REFRESH_S:
            return known[1]
        fresh = value(self._mint.info(mint_url))
        with self._lock:
            self._infos.put(mint_url, (self._clock.monotonic(), fresh))
        return fresh

    def usable(
        self,
        mint_url: str,
        unit: str,
        *,
        amounts: tuple[int, ...] = (),
        up_to: int | None = None,
        refresh: bool = False,
    ) -> tuple[KeysetInfo, Keyset]:
        """The cheapest keyset on which outputs can be made, with its keys.

        Usable is a keyset with an id of a kind we implement (NUT-02 versions 00 and 01), active, of the unit,
        whose final expiry is farther than ``keyset_margin_s``, whose keys are known and proven to fit the id,
        and which has keys that make up each of ``amounts``, or carry any change up to ``up_to``. Raises
        :class:`NoUsableKeyset`, or MintSilent when the mint did not answer a question on which it depends."""
        wanted, why = Wanted(amounts, up_to), dict[str, str]()
        silent: Failure | None = None
        candidates = []
        for info in self.listed(mint_url, refresh):
            if info.unit == unit:
                wrong = self._outdated(info)
                if wrong is None:
                    candidates.append(info)
                else:
                    why[info.id] = wrong
        candidates.sort(key=lambda info: (info.input_fee_ppk, info.id))
        for info in candidates[:KEYSETS_TRIED_MAX]:
            try:
                keyset = self.keys(mint_url, info.id)
            except MintSilent as error:
                why[info.id] = "its keys cannot be read"
                if not _is_an_answer(error.answer):
                    silent = error.answer
                continue
            if not _proven(info, keyset):
                why[info.id] = "its keys do not fit its id"
                with self._lock:
                    self._keys.forget((mint_url, info.id))
                continue
            lacking = wanted.lacks(keyset.keys)
            if lacking is None:
                return info, keyset
            why[info.id] = lacking
        if silent is not None:
            raise MintSilent(silent)
        raise NoUsableKeyset(unit, why)

    def _outdated(self, info: KeysetInfo) -> str | None:
        """The reason in the list against new outputs on this keyset. None: the list has no objection."""
        if not info.active:
            return "not active"
        if not is_of_our_kind(info.id):
            return "an id of an unknown kind"
        margin = int(self._settings.keyset_margin_s * 1000)
        if info.final_expiry is not None and info.final_expiry <= self._clock.now() + margin:
            return "its final expiry is over or too near"
        return None

    def keys(self, mint_url: str, keyset_id: str) -> Keyset:
        """The public keys of one keyset, active or not. Raises MintSilent."""
        known = self.remembered(mint_url, keyset_id)
        if known is not None:
            return known
        fresh = value(self._mint.keys(mint_url, keyset_id))
        with self._lock:
            self._keys.put((mint_url, keyset_id), fresh)
        return fresh

    def remembered(self, mint_url: str, keyset_id: str) -> Keyset | None:
        """The public keys of one keyset, or None where they were not asked for before. Asks nothing."""
        with self._lock:
            return self._keys.get((mint_url, keyset_id))

    def fees(self, mint_url: str, proofs: Iterable[Proof]) -> dict[str, int]:
        """input_fee_ppk of every keyset the proofs use. Raises MintSilent, or LookupError for a keyset
        the mint does not have."""
        needed = {proof.id for proof in proofs}
        listed = {k.id: k.input_fee_ppk for k in self.listed_with(mint_url, needed)}
        unknown = needed - listed.keys()
        if unknown:
            raise LookupError(f"the mint does not know {len(unknown)} keyset(s) of these proofs")
        return {keyset_id: listed[keyset_id] for keyset_id in needed}

    def honoured_fees(self, mint_url: str, unit: str, keyset_ids: Iterable[str]) -> dict[str, int]:
        """input_fee_ppk of those of the keysets whose coins the mint still takes: listed for the unit, final
        expiry not over. Coins of the others cannot be spent now. Raises MintSilent."""
        needed = set(keyset_ids)
        listed = self.listed_with(mint_url, needed)
        return {k.id: k.input_fee_ppk for k in listed if k.id in needed and self._is_honoured(k, unit)}

    def knows_refused(self, mint_url: str) -> bool:
        """Whether coins of any keyset are known to be refused now; :meth:`known_refused` says which."""
        with self._lock:
            known = self._lists.get(mint_url)
        return known is not None and (
            bool(known.missed) or not all(self._is_honoured(k, k.unit) for k in known.keysets)
        )

    def known_refused(self, mint_url: str, unit: str, keyset_id: str, *, just_read: bool = False) -> bool:
        """Whether, as far as is remembered, the mint no longer takes coins of the keyset. Asks nothing: of a
        mint that was not asked before it is not known, and a keyset that is not listed is only refused when
        it was looked for in vain, or when the list was ``just_read``."""
        with self._lock:
            known = self._lists.get(mint_url)
        if known is None:
            return False
        listed = [k for k in known.keysets if k.id == keyset_id]
        if not listed:
            return just_read or keyset_id in known.missed
        return not self._is_honoured(listed[0], unit)

    def _is_honoured(self, info: KeysetInfo, unit: str) -> bool:
        return info.unit == unit and (info.final_expiry is None or info.final_expiry > self._clock.now())

    def listed_with(self, mint_url: str, needed: Set[str]) -> tuple[KeysetInfo, ...]:
        """The list. One that does not know a needed keyset (whose id may be short, NUT-02) is asked for
        again, once for each such keyset. Raises MintSilent."""
        listed = self.listed(mint_url)
        unknown = _unknown(needed, listed)
        with self._lock:
            known = self._lists.get(mint_url)
        missed = known.missed if known is not None else frozenset[str]()
        if unknown <= missed:
            return listed
        listed = self.listed(mint_url, refresh=True)
        vain = frozenset(sorted(_unknown(missed | unknown, listed))[:MISSED_MAX])
        with self._lock:
            self._lists.put(mint_url, _Listed(self._clock.monotonic(), listed, vain))
        return listed

    def fee_of(self, mint_url: str, proofs: Iterable[Proof]) -> int:
        """NUT-02 fee of spending all these proofs together."""
        listed = list(proofs)
        ppk = self.fees(mint_url, listed)
        return input_fee(ppk[proof.id] for proof in listed)


def value(answer: Answer[T]) -> T:
    """The value, or MintSilent."""
    if isinstance(answer, Failure):
        raise MintSilent(answer)
    return answer


def _unknown(needed: Set[str], listed: tuple[KeysetInfo, ...]) -> set[str]:
    """The ids among these that stand for no listed keyset."""
    ids = {k.id for k in listed}
    return {
        one for one in needed - ids if not (is_short(one) and any(known.startswith(one) for known in ids))
    }


def _is_an_answer(answer: Failure) -> bool:
    """Whether asking again would only give the same: the mint said no, or something that is no keyset."""
    return isinstance(answer, Refused) or (isinstance(answer, Ambiguous) and answer.unreadable)


def _proven(info: KeysetInfo, keyset: Keyset) -> bool:
    """Whether the id is derived from these keys and from the unit, fee and final expiry of the list. So the
    fee that is reckoned with is proven too, also where a mint does not tell it beside the keys."""
    if keyset.id != info.id or keyset.unit != info.unit:
        return False
    final_expiry_s = None if info.final_expiry is None else info.final_expiry // 1000
    return keys_belong(info.id, keyset.keys, info.unit, info.input_fee_ppk, final_expiry_s)
