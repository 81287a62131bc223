"""A whole Cashu mint in process: real blind signatures, fees, change, a fake Lightning, and every
fault a wallet must survive, on demand (design F6). For tests, the demo and ``nutstate simulate``."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from attrs import asdict, evolve

from ...storage.secret import Secret
from ..cashu.port import (
    UNKNOWN,
    Ambiguous,
    Answer,
    BlindedMessage,
    BlindSignature,
    Failure,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from ..cashu.wire.classify import is_definitive
from .faults import Faults
from .keys import SimulatedKeys, SimulatedKeyset
from .ledger import Failed, Ledger, No
from .lightning import FakeLightning
from .melts import FaultsOfCall, Melts
from .quirks import change as change_quirks
from .state import SimulatedState

T = TypeVar("T")
NUTS = (4, 5, 7, 8, 9, 12)
QUOTE_STATES = frozenset({"UNPAID", "PENDING", "PAID", "ISSUED"})


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class SimulatedMint:
    """A :class:`~.port.MintPort` that is its own mint at ``url``; any other URL is Unreachable.

    ``path`` names the SQLite file of its books (None: a private database in memory); every call is
    committed there before it is answered. ``seed`` decides all keys, ids and preimages, ``release``
    whether it answers like Nutshell 0.20.2 or 0.21.0, ``without`` which NUTs it lacks. Amounts are
    in ``unit``. One lock: safe to share between threads. Raises ValueError only for wrong use."""

    def __init__(
        self,
        url: str = "https://mint.simulated",
        *,
        path: str | Path | None = None,
        seed: bytes = b"nutstate",
        input_fee_ppk: int = 100,
        unit: str = "sat",
        release: str = "0.21.0",
        without: Sequence[int] = (),
        auto_pay: bool = True,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        self.url = url.rstrip("/")
        self.release = release
        self._without = frozenset(without)
        self._lock = threading.RLock()
        self._state = SimulatedState(path)
        self._keys = SimulatedKeys(self._state, seed, unit, input_fee_ppk)
        self._ledger = Ledger(self._state, self._keys, seed, release, now_ms)
        self._ledger.auto_pay = auto_pay
        self.lightning = FakeLightning(self._state, seed, now_ms)
        self.faults = Faults(self._state)
        self._melts = Melts(self._state, self._ledger, self._keys, self.lightning, now_ms)

    # --- what a test or the demo can do to the mint ------------------------------------------------

    def rotate_keyset(self, input_fee_ppk: int | None = None) -> str:
        """Start a new active keyset, by default with the same fee; returns its id."""
        with self._lock, self._state.transaction():
            return self._keys.rotate(input_fee_ppk)

    def add_keyset(
        self,
        *,
        input_fee_ppk: int = 0,
        amounts: Iterable[int] | None = None,
        final_expiry_s: int | None = None,
        unit: str | None = None,
    ) -> str:
        """Start one more active keyset beside the others, with keys for these amounts only (None: the powers
        of two) and, if wanted, a final expiry (epoch **seconds**), after which its coins are refused. Returns
        its id."""
        with self._lock, self._state.transaction():
            return self._keys.add(input_fee_ppk, amounts, final_expiry_s, unit)

    def deactivate_keyset(self, keyset_id: str | None = None) -> None:
        """Sign no more with this keyset, or with any (None)."""
        with self._lock, self._state.transaction():
            self._keys.deactivate(keyset_id)

    def list_keyset(self, info: KeysetInfo) -> None:
        """From now on list this keyset, too, of a kind the mint itself knows nothing of: its keys are
        refused as unknown."""
        with self._lock, self._state.transaction():
            body = asdict(info)
            self._state.put("listed", body.pop("id"), body)

    def behave(self, **quirks: Any) -> None:
        """Take on some of the :class:`~.quirks.Quirks`, by name. TypeError for another name."""
        with self._lock, self._state.transaction():
            change_quirks(self._state, quirks)

    def pay_mint_quote(self, quote_id: str) -> None:
        """Pay a mint quote's invoice, if ``auto_pay`` is off. ValueError for an unknown quote."""
        with self._lock, self._state.transaction():
            try:
                self._ledger.pay_mint_quote(quote_id)
            except No as no:
                raise ValueError(no.detail) from None

    @property
    def auto_pay(self) -> bool:
        """Whether mint quotes are paid as soon as they are made."""
        return self._ledger.auto_pay

    @auto_pay.setter
    def auto_pay(self, value: bool) -> None:
        self._ledger.auto_pay = value

    def deliver_late(self) -> int:
        """Execute, in order, the requests that a ``LATE`` fault held back, and return their number. Their
        answers are lost."""
        delivered = 0
        with self._lock:
            while True:
                with self._state.transaction():
                    late = self._state.pop("late")
                if late is None:
                    return delivered
                self._deliver(late["endpoint"], late["body"], late["faults"])
                delivered += 1

    def close(self) -> None:
        """Close the books. Idempotent."""
        self._state.close()

    def __enter__(self) -> SimulatedMint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the port ---------------------------------------------------------------------------------

    def info(self, mint_url: str) -> Answer[MintInfo]:
        """See :class:`~.port.MintPort`, here and below."""
        return self._call(mint_url, "info", lambda _: self._info())

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        """NUT-02."""
        return self._call(mint_url, "keysets", lambda _: self._keysets())

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        """NUT-01."""
        return self._call(mint_url, "keys", lambda faults: self._one_keyset(keyset_id, faults))

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        """NUT-05."""
        return self._call(mint_url, "melt_quote", lambda _: self._melts.quote(invoice, unit))

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        """NUT-05."""
        return self._call(mint_url, "melt_quote_state", lambda _: self._melts.state(quote_id))

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        """NUT-05, NUT-08."""
        return self._call(mint_url, "melt", lambda faults: self._melt(body.reveal(), faults), body)

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        """NUT-07."""
        return self._call(mint_url, "check_states", lambda _: self._ledger.check_states(ys))

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-03."""
        return self._call(mint_url, "swap", lambda faults: self._swap(body.reveal(), faults), body)

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        """NUT-09."""
        return self._call(mint_url, "restore", lambda faults: self._restore(outputs, faults))

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        """NUT-04."""
        return self._call(mint_url, "mint_quote", lambda _: self._ledger.mint_quote(amount, unit))

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        """NUT-04."""
        return self._call(mint_url, "mint_quote_state", lambda _: self._ledger.mint_quote_state(quote_id))

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-04."""
        return self._call(mint_url, "mint", lambda faults: self._mint(body.reveal(), faults), body)

    # --- inside -----------------------------------------------------------------------------------

    def _call(
        self, mint_url: str, endpoint: str, run: Callable[[FaultsOfCall], T], body: Secret | None = None
    ) -> Answer[T]:
        if mint_url.rstrip("/") != self.url:
            return Unreachable("no such mint")
        with self._lock:
            with self._state.transaction():
                faults = self.faults.take(endpoint)
                if "late" in faults and body is not None:
                    rest = {kind: dict(more) for kind, more in faults.items() if kind != "late"}
                    late = {"endpoint": endpoint, "body": body.reveal(), "faults": rest}
                    self._state.push("late", late)
            prevented = _prevented(faults)
            if prevented is not None:
                return prevented
            if "duplicated" in faults:
                self._execute(run, faults)
            return _distort(self._execute(run, faults), faults)

    def _execute(self, run: Callable[[FaultsOfCall], T], faults: FaultsOfCall) -> T | Refused:
        """One request, in one transaction, committed before it is answered."""
        try:
            with self._state.transaction():
                try:
                    return run(faults)
                except Failed as no:
                    kept = no
        except No as no:
            return _refused(no)
        return _refused(kept)

    def _deliver(self, endpoint: str, body: str, faults: FaultsOfCall) -> None:
        if endpoint == "melt":
            self._execute(lambda given: self._melt(body, given), faults)
        else:
            write = self._swap if endpoint == "swap" else self._mint
            self._execute(lambda given: write(body, given), faults)

    def _melt(self, body: str, faults: FaultsOfCall) -> MeltQuote:
        if "quote_state" in faults:  # a cached answer is replayed (NUT-19): nothing is executed
            return self._melts.state(_quote_id(body))
        return self._melts.melt(body, faults)

    def _swap(self, body: str, faults: FaultsOfCall) -> tuple[BlindSignature, ...]:
        return self._ledger.swap(body, stuck="outputs_stuck" in faults)

    def _mint(self, body: str, faults: FaultsOfCall) -> tuple[BlindSignature, ...]:
        return self._ledger.mint(body, stuck="outputs_stuck" in faults)

    def _info(self) -> MintInfo:
        nuts: dict[str, object] = {str(nut): {"supported": True} for nut in NUTS if nut not in self._without}
        for nut in ("4", "5"):
            if nut in nuts:
                methods = [{"method": "bolt11", "unit": self._keys.unit}]
                nuts[nut] = {"methods": methods, "disabled": False}
        return MintInfo(name="Simulated mint", version=f"Nutshell/{self.release}", nuts=nuts)

    def _keysets(self) -> tuple[KeysetInfo, ...]:
        foreign = tuple(KeysetInfo(id=key, **body) for key, body in self._state.all("listed"))
        return (*foreign, *(_listed(keyset) for keyset in self._keys.all()))

    def _one_keyset(self, keyset_id: str, faults: FaultsOfCall) -> Keyset:
        keyset = self._keys.find(keyset_id)
        if keyset is None:
            raise No(12001, "keyset not found")
        keys = dict(self._keys.public(keyset))
        if "keys_do_not_fit" in faults:
            keys = dict(zip(keys, reversed(keys.values()), strict=True))
        return Keyset(keyset.id, keyset.unit, keys)

    def _restore(self, outputs: Sequence[BlindedMessage], faults: FaultsOfCall) -> Restored:
        if 9 in self._without or "restore_unsupported" in faults:
            raise No(None, "Not Found")
        restored = self._ledger.restore(outputs, self._melts.hides)
        self._melts.end_restore()
        return restored


def _listed(keyset: SimulatedKeyset) -> KeysetInfo:
    final_expiry = None if keyset.final_expiry_s is None else keyset.final_expiry_s * 1000
    return KeysetInfo(keyset.id, keyset.unit, keyset.active, keyset.input_fee_ppk, final_expiry)


def _refused(no: No) -> Refused:
    return Refused(no.code, no.detail, is_definitive(no.code), 400)


def _quote_id(body: str) -> str:
    try:
        return str(json.loads(body)["quote"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _prevented(faults: FaultsOfCall) -> Failure | None:
    """The answer if the request never gets through, or not yet."""
    if "locked" in faults:
        return Refused(0, "database is locked", definitive=False)
    if "too_large" in faults:
        return Refused(None, "HTTP 413", definitive=False)
    if "unreachable" in faults:
        return Unreachable("connection refused")
    if "rate_limited" in faults:
        return Ambiguous("HTTP 429")
    if "request_lost" in faults or "late" in faults:
        return Ambiguous("no answer in time")
    return None


def _distort(answer: T | Refused, faults: FaultsOfCall) -> Answer[T]:
    """The mint's answer as it arrives."""
    for kind, detail in (
        ("answer_lost", "no answer in time"),
        ("cut", "body is not JSON"),
        ("server_error", "HTTP 500"),
    ):
        if kind in faults:
            return Ambiguous(detail)
    return cast("T | Refused", _lie(answer, faults))


def _lie(answer: object, faults: FaultsOfCall) -> object:
    """The answer as scripted, of the same type as the true one."""
    if "quote_state" in faults:
        said = faults["quote_state"]["state"]
        state = said if said in QUOTE_STATES else UNKNOWN
        word = None if state == said else said
        if isinstance(answer, MintQuote):
            return evolve(answer, state=state, said=word)
        if isinstance(answer, MeltQuote):
            told = answer if state == "PAID" else evolve(answer, change=(), preimage=None)
            return evolve(told, state=state, said=word)
    if isinstance(answer, tuple) and "states" in faults:
        lies = faults["states"]["states"]
        return tuple(ProofState(entry.Y, lies.get(entry.Y, entry.state)) for entry in answer)
    if isinstance(answer, Restored) and "restore_partial" in faults:
        n = faults["restore_partial"]["n"]
        return Restored(answer.outputs[:n], answer.signatures[:n])
    return answer
