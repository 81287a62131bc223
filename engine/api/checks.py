"""The calls that look at what is stored: pre-flight and reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from ...storage.port import OperationQuery
from ...storage.records import Proof
from .. import arguments
from ..admission import new_operation
from ..checks.preflight_table import PreflightReport
from ..checks.read_documents import read_documents
from ..checks.reconcile import ReconcileReport, has_ended, parse_expected, report_on
from ..checks.reconcile_rules import KeyBook
from ..checks.sweep import EVERYBODY, Sweep, SweepReport
from ..checks.wallet_preflight import Wallet, WalletPreflight, new_check
from ..errors import InvalidArgument, NotFound
from ..operations.shared.handed_in import parse_token
from .core import Core


class Checks(Core):
    """Looks at stored proofs and documents. Nothing is decided by guessing: contradictions are reported,
    and proofs that the mint calls SPENT twice may be corrected."""

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
        look = WalletPreflight(wallet, self.store, self.mint, self._driver, self.settings, self._new_run)
        if proofs is not None:
            given = parse_token(None, proofs, wallet.mint_url, wallet.unit)
            return look.foreign(given.proofs)
        if sources is None:
            return look.wallet_pages(progress, correct)
        ids = arguments.source_ids(sources, self.settings.proofs_per_operation_max)
        tokens = new_operation.owned_sources(self.store, new_check(wallet, 0, self.clock.now()), ids)
        look.look([token for token in tokens.values() if token.proofs], correct)
        return look.report()

    def reconcile(
        self,
        operation_id: str,
        expected_state: Mapping[str, Any] | None = None,
        *,
        npub: str | None = None,
    ) -> ReconcileReport:
        """Check every document of an operation, all of them read from one snapshot.

        ``expected_state`` is what the caller believes: ``source_token_ids``, ``keep_proofs_count``,
        ``melt_change_proofs_count`` and ``balance_changes.expected_unspent_balance``. For the last one every
        coin of the wallet is added up too; without it a wallet of many coins costs nothing. The look at an
        operation that has ended is stored as an operation of kind ``check``, which parks when something is
        wrong; that of a live or parked one is a report only. Codes: NOT_FOUND, INVALID_FORMAT,
        INVALID_EXPECTED_STATE."""
        wanted = parse_expected(expected_state)
        self._stored(self._bound(operation_id, npub))
        with self.store.snapshot() as reader:
            op = reader.operation(operation_id)
            if op is None:
                raise NotFound("no such operation", operation_id=operation_id)
            with_wallet = wanted.unspent_balance is not None and op.npub != EVERYBODY
            docs = read_documents(reader, op, self.kinds, with_wallet=with_wallet)
        report = report_on(docs, KeyBook(self._keysets).of(op.mint_url), wanted)
        if not has_ended(op):
            return report
        return attrs.evolve(report, check_id=self._sweep().store_report(op, report).id)

    def reconcile_all(
        self,
        *,
        npub: str | None = None,
        mint_url: str | None = None,
        since: int | None = None,
        until: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SweepReport:
        """Check every stored operation made from ``since`` to before ``until`` (epoch ms), however many
        there are, and the balance of each of their wallets.

        A check is stored for every ended operation with discrepancies that no open check tells of yet, and
        one for the sweep itself. ``progress(done, total)`` is called after each operation; with filters
        the total is the most there can be. Codes: INVALID_NPUB, INVALID_MINT_URL, INVALID_LIMIT."""
        for name, bound in (("since", since), ("until", until)):
            if bound is not None and (type(bound) is not int or not 0 <= bound < 2**53):
                raise InvalidArgument(f"{name} is a time in epoch ms", code="INVALID_LIMIT")
        query = OperationQuery(
            npub=None if npub is None else arguments.npub(npub),
            mint_url=None if mint_url is None else arguments.mint_url(mint_url),
            since=since,
            until=until,
        )
        return self._sweep().run(query, progress)

    def _sweep(self) -> Sweep:
        return Sweep(self.store, self._driver, self.settings, self._keysets, self._new_run)
