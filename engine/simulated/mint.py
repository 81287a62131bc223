"""A whole Cashu mint in process: real blind signatures, fees, change, a fake Lightning, and every
fault a wallet must survive, on demand (design F6). For tests, the demo and ``nutstate simulate``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from attrs import asdict

from ...storage.secret import Secret
from ..cashu.port import (
    Answer,
    BlindedMessage,
    BlindSignature,
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
from .dump import dump
from .exchange import Exchange, is_prevented, lie
from .faults import Faults
from .keys import SimulatedKeys
from .ledger import Ledger
from .lightning import FakeLightning
from .melts import FaultsOfCall, Melts
from .quirks import change as change_quirks
from .refusals import Failed, No
from .requests import Request, Requests
from .state import SimulatedState

T = TypeVar("T")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class SimulatedMint:
    """A :class:`~.port.MintPort` that is its own mint at ``url``; any other URL is Unreachable.

    ``path`` names the SQLite file of its books (None: a private database in memory); every call is
    committed there before it is answered. ``seed`` decides all keys, ids and preimages, ``release``
    whether it answers like Nutshell 0.20.2 or 0.21.0, ``without`` which NUTs it lacks. Amounts are
    in ``unit``. ``sleep`` waits (in seconds) where a fault delays an answer. One lock: safe to share
    between threads. Raises ValueError only for wrong use, such as a file that was made with another seed.
    """

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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.release = release
        self._sleep = sleep
        self._lock = threading.RLock()
        self._state = SimulatedState(path)
        self._keys = SimulatedKeys(self._state, seed, unit, input_fee_ppk)
        self._ledger = Ledger(self._state, self._keys, seed, release, now_ms)
        self._ledger.auto_pay = auto_pay
        self.lightning = FakeLightning(self._state, seed, now_ms)
        self.faults = Faults(self._state)
        melts = Melts(self._state, self._ledger, self._keys, self.lightning, now_ms)
        self.requests = Requests(self._state, self._keys, self._ledger, melts, release, without)

    # --- what a test or the demo can do to the mint ------------------------------------------------

    def rotate_keyset(self, input_fee_ppk: int | None = None, unit: str | None = None) -> str:
        """Start a new active keyset, by default with the fee and unit of the newest, and deactivate the
        others of that unit (without ``unit``: all others). Returns its id."""
        with self._lock, self._state.transaction():
            return self._keys.rotate(input_fee_ppk, unit)

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
    def units(self) -> tuple[str, ...]:
        """The units of its keysets, that of the oldest first."""
        with self._lock, self._state.transaction():
            return self._keys.units

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
                request = self.requests.write(late["endpoint"], Secret(late["body"]))
                self._execute(request, late["faults"])
                delivered += 1

    def dump(self) -> dict[str, Any]:
        """The contents of the mint, as plain data without secrets; see :mod:`~.dump`."""
        with self._lock, self._state.transaction():
            return dump(self._state, self._keys)

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
        return self._call(mint_url, self.requests.info())

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        """NUT-02."""
        return self._call(mint_url, self.requests.keysets())

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        """NUT-01."""
        return self._call(mint_url, self.requests.keys(keyset_id))

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        """NUT-05."""
        return self._call(mint_url, self.requests.melt_quote(invoice, unit))

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        """NUT-05."""
        return self._call(mint_url, self.requests.melt_quote_state(quote_id))

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        """NUT-05, NUT-08."""
        return self._call(mint_url, self.requests.melt(body))

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        """NUT-07."""
        return self._call(mint_url, self.requests.check_states(ys))

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-03."""
        return self._call(mint_url, self.requests.swap(body))

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        """NUT-09."""
        return self._call(mint_url, self.requests.restore(outputs))

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        """NUT-04."""
        return self._call(mint_url, self.requests.mint_quote(amount, unit))

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        """NUT-04."""
        return self._call(mint_url, self.requests.mint_quote_state(quote_id))

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-04."""
        return self._call(mint_url, self.requests.mint(body))

    # --- one exchange -----------------------------------------------------------------------------

    def exchange(self, request: Request[T]) -> Exchange[T]:
        """Run one request with the faults that are due, committed before it is answered. The caller applies
        the faults of the way to the answer."""
        with self._lock:
            with self._state.transaction():
                faults = self.faults.take(request.endpoint)
                if "late" in faults and request.body is not None:
                    rest = {kind: dict(more) for kind, more in faults.items() if kind != "late"}
                    late = {"endpoint": request.endpoint, "body": request.body.reveal(), "faults": rest}
                    self._state.push("late", late)
            if is_prevented(faults):
                return Exchange(None, faults)
            if "duplicated" in faults:
                self._execute(request, faults)
            answer = self._execute(request, faults)
            return Exchange(lie(answer, faults), faults)

    def look(self, request: Request[T]) -> T:
        """The answer to a request that can only succeed, without any fault."""
        with self._lock, self._state.transaction():
            return request.run({})

    # --- inside -----------------------------------------------------------------------------------

    def _call(self, mint_url: str, request: Request[T]) -> Answer[T]:
        if mint_url.rstrip("/") != self.url:
            return Unreachable("no such mint")
        exchange = self.exchange(request)
        if exchange.delay_ms:
            self._sleep(exchange.delay_ms / 1000)
        return exchange.arrived()

    def _execute(self, request: Request[T], faults: FaultsOfCall) -> T | Refused:
        try:
            with self._state.transaction():
                try:
                    return request.run(faults)
                except Failed as no:
                    kept = no
        except No as no:
            return _refused(no)
        return _refused(kept)


def _refused(no: No) -> Refused:
    return Refused(no.code, no.detail, is_definitive(no.code), no.status)
