"""Which mint answers for an address: the one simulated on this computer, or a real one over HTTP."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ...engine.cashu.port import (
    Answer,
    BlindedMessage,
    BlindSignature,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintPort,
    MintQuote,
    ProofState,
    Restored,
)
from ...engine.cashu.wire.http import HttpMint
from ...engine.simulated.mint import SimulatedMint
from ...mint_server.errors import MintFileDiffers
from ...storage.errors import StoreUnavailable, StoreUnsupported
from ...storage.secret import Secret

SIMULATED_URL = "https://mint.simulated"


def is_simulated(mint_url: str) -> bool:
    """Whether the address is that of the mint simulated on this computer."""
    return mint_url.rstrip("/").lower() == SIMULATED_URL


class Mints:
    """A :class:`~nutstate.engine.cashu.port.MintPort` for every address. Each is
    opened at its first use; ``state`` is the file in which the simulated mint keeps its books."""

    def __init__(self, state: Path | None) -> None:
        self.state = state
        self._simulated: SimulatedMint | None = None
        self._http: HttpMint | None = None

    def simulated(self) -> SimulatedMint:
        """The simulated mint, opened now if it was not. StoreUnavailable if its file cannot be used."""
        if self._simulated is None:
            self._simulated = open_simulated(SIMULATED_URL, self.state)
        return self._simulated

    def close(self) -> None:
        """Close every mint that was opened."""
        for mint in (self._simulated, self._http):
            if mint is not None:
                mint.close()

    def __enter__(self) -> Mints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _at(self, mint_url: str) -> MintPort:
        if is_simulated(mint_url):
            return self.simulated()
        if self._http is None:
            self._http = HttpMint()
        return self._http

    # -- the port --------------------------------------------------------------------------------

    def info(self, mint_url: str) -> Answer[MintInfo]:
        return self._at(mint_url).info(mint_url)

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        return self._at(mint_url).keysets(mint_url)

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        return self._at(mint_url).keys(mint_url, keyset_id)

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        return self._at(mint_url).melt_quote(mint_url, invoice, unit)

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        return self._at(mint_url).melt_quote_state(mint_url, quote_id)

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        return self._at(mint_url).melt(mint_url, body)

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        return self._at(mint_url).check_states(mint_url, ys)

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        return self._at(mint_url).swap(mint_url, body)

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        return self._at(mint_url).restore(mint_url, outputs)

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        return self._at(mint_url).mint_quote(mint_url, amount, unit)

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        return self._at(mint_url).mint_quote_state(mint_url, quote_id)

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        return self._at(mint_url).mint(mint_url, body)


def open_simulated(url: str, state: Path | None, **options: Any) -> SimulatedMint:
    """The simulated mint whose books are in this file; ``options`` are those of :class:`SimulatedMint`.
    StoreUnavailable, StoreUnsupported or MintFileDiffers if the file cannot be used."""
    try:
        if state is not None:
            _look_at(state)
        return SimulatedMint(url, path=state, **options)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(
            f"the simulated mint cannot keep its state in {state}: "
            f"{getattr(error, 'strerror', None) or type(error).__name__}"
        ) from None
    except ValueError as error:
        raise MintFileDiffers(f"{error}: {state}") from None


def _look_at(state: Path) -> None:
    """Make an empty file for the owner only, or make sure that an existing one is a mint's and not, say,
    a wallet's: the mint would put its tables into it."""
    if not state.exists():
        os.close(os.open(state, os.O_RDWR | os.O_CREAT, 0o600))
        return
    connection = sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    finally:
        connection.close()
    if tables and "queue" not in tables:
        raise StoreUnsupported(f"{state} is not the state of a simulated mint")
