"""The calls that look at what is stored: pre-flight and reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..storage.records import Proof
from . import arguments, requests
from .core import Core
from .deposits import parse_token
from .errors import InvalidArgument
from .lookover import Lookover, Wallet, new_check
from .preflight import PreflightReport


class Checks(Core):
    """Looks at stored proofs and documents. Nothing is decided by guessing: what contradicts is
    reported, and what the mint calls SPENT twice may be corrected."""

    def preflight(
        self,
        npub: str,
        mint_url: str,
        *,
        wallet_id: str | None = None,
        unit: str = "sat",
        sources: Iterable[str] | None = None,
        proofs: Sequence[Proof] | None = None,
        correct: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> PreflightReport:
        """Compare what the store says of proofs with what the mint says: of a whole wallet, of the named
        ``sources``, or of ``proofs`` that need not be in the store.

        With ``correct`` the mint is asked twice about what it calls SPENT, and that is split off and
        marked as spent, each time in one operation of kind ``check``; the report still tells what was
        found. ``progress(done, total)`` counts tokens. Codes: INVALID_*, TOKEN_NOT_FOUND, OWNER_MISMATCH,
        MINT_OR_UNIT_MISMATCH, DUPLICATE_SECRET, MINT_*."""
        owner = arguments.npub(npub)
        wallet = Wallet(
            owner,
            arguments.wallet_id(wallet_id, owner),
            arguments.mint_url(mint_url),
            arguments.unit(unit),
        )
        if sources is not None and proofs is not None:
            raise InvalidArgument("name sources or give proofs, not both", code="INVALID_SOURCES")
        look = Lookover(wallet, self.store, self.mint, self._driver, self.settings, self._run)
        if proofs is not None:
            given = parse_token(None, proofs, wallet.mint_url, wallet.unit)
            return look.foreign(given.proofs)
        if sources is None:
            return look.wallet_pages(progress, correct)
        ids = arguments.source_ids(sources, self.settings.proofs_per_operation_max)
        tokens = requests.owned_sources(self.store, new_check(wallet, 0, self.clock.now()), ids)
        look.look([token for token in tokens.values() if token.proofs], correct)
        return look.report()
