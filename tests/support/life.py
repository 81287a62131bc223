"""A store that holds the past of several wallets, and everything that callers do with it once more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from click.testing import CliRunner

from nutstate import NutstateError, Store
from nutstate.cli import app
from nutstate.engine.simulated import faults
from nutstate.machines.melt.table import MELT
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import batch_for, make_operation, make_proofs, make_token

from .wallet import NPUB, QUICK, funded, invoice, npub_of

OTHERS = (npub_of(1), npub_of(2))
ELSEWHERE = "https://elsewhere.example"
MELTS, TOKENS_EACH = 360, 7
KEY = b"k" * 32
DAY_S = 86_400


def past(store: Store, mint_url: str, melts: int = MELTS) -> None:
    """Melts that ended long ago, in three wallets, each with tokens: most of them spent, some at another mint
    or in another unit, some free (not those of the wallet that goes on to live)."""
    for n in range(melts):
        owner = (NPUB, NPUB, *OTHERS)[n % 4]
        at = 1_700_000_000_000 + n * 1000
        state = MELT.good_path[-1] if n % 7 else "rejected"
        wallet: dict[str, Any] = {"npub": owner, "wallet_id": owner, "mint_url": mint_url}
        if n % 5 == 0:
            wallet["mint_url"] = ELSEWHERE
        op = make_operation(f"tx_past_{n:06}", state=state, created_at=at, finished_at=at + 9, **wallet)
        tokens = []
        for i in range(TOKENS_EACH):
            name = f"{op.id}_{i}"
            free = (owner != NPUB or wallet["mint_url"] == ELSEWHERE) and i % 2
            proofs = make_proofs(name, 2 ** ((n + i) % 12))
            unit = "usd" if n % 10 == 9 else "sat"
            gone: dict[str, Any] = {} if free else {"state": "spent", "reserved_by": op.id, "spent_at": at}
            tokens.append(make_token(name, proofs=proofs, unit=unit, created_at=at, **wallet, **gone))
        store.commit(batch_for(op, tokens=tokens, at=at))


@contextlib.contextmanager
def whatever() -> Iterator[None]:
    """A refusal is an answer too."""
    try:
        yield
    except NutstateError as error:
        assert error.code not in ("STORE_UNAVAILABLE", "CORRUPT_RECORD"), error


class Life:
    """The calls of a service, its operators and its command line, on one store."""

    def __init__(self, store: Store) -> None:
        settings = attrs.evolve(QUICK, page_size=50)
        self.engine, self.mint, self.clock = funded(store, amount=0, settings=settings, audit_key=KEY)
        self.store = store

    def _melt(self, amount: int, **more: Any) -> Any:
        return self.engine.melt(
            npub=NPUB, mint_url=self.mint.url, invoice=invoice(amount, self.clock), **more
        )

    def parts(self) -> dict[str, Callable[[], None]]:
        """Name -> what is done. The order matters: the first one brings the money."""
        return {
            "funding": self.funding,
            "melt": self.melt,
            "record": self.record,
            "trouble": self.trouble,
            "recovery": self.recovery,
            "reconciliation": self.reconciliation,
            "operators": self.operators,
            "lists": self.lists,
            "audit": self.audit,
        }

    def funding(self) -> None:
        for amount in (100, 200, 300, 500, 900, 1000):
            self.engine.mint_tokens(npub=NPUB, mint_url=self.mint.url, amount=amount)

    def melt(self) -> None:
        assert self._melt(150).state == "reconciled"
        first = self._melt(90, idempotency_key="a-key-of-the-caller")
        again = self.engine.melt(
            npub=NPUB, mint_url=self.mint.url, invoice=first.invoice.reveal(),
            idempotency_key="a-key-of-the-caller",
        )  # fmt: skip
        assert again.id == first.id
        self._melt(60, transaction_id="tx_melt_with_a_name")
        prepared = self.engine.prepare_melt(
            npub=NPUB, mint_url=self.mint.url, invoice=invoice(50, self.clock)
        )
        self.engine.confirm(prepared.id)
        prepared = self.engine.prepare_melt(
            npub=NPUB, mint_url=self.mint.url, invoice=invoice(50, self.clock)
        )
        self.engine.cancel(prepared.id)
        with whatever():
            self._melt(1_000_000)
        with whatever():  # paid before
            self.engine.melt(npub=OTHERS[0], mint_url=self.mint.url, invoice=first.invoice.reveal())

    def _free(self) -> Any:
        wallet = TokenQuery(npub=NPUB, mint_url=self.mint.url, unit="sat", states=("unspent",))
        return self.store.tokens(attrs.evolve(wallet, limit=1))[0]

    def record(self) -> None:
        token = self._free()
        self.engine.record_melt(
            [token.transaction_id], None, None, token.total_amount - 1, 1, npub=NPUB, mint_url=self.mint.url,
            transaction_id="tx_record_with_a_name",
        )  # fmt: skip
        token = self._free()
        hold = self.engine.hold([token.transaction_id], 60, npub=NPUB, mint_url=self.mint.url)
        self.engine.unhold(hold.id)
        hold = self.engine.hold([token.transaction_id], 60, npub=NPUB, mint_url=self.mint.url)
        self.engine.record_melt(
            [], None, None, token.total_amount, 0, npub=NPUB, mint_url=self.mint.url, hold=hold.id
        )
        with whatever():  # explicit sources that are spent
            self._melt(10, sources=[token.transaction_id])
        with whatever():
            self._melt(10, sources=[self._free().transaction_id])

    def trouble(self) -> None:
        """Lost requests and answers, which leave operations for recovery."""
        for fault in (faults.REQUEST_LOST, faults.ANSWER_LOST, faults.UNREACHABLE):
            self.mint.faults.next("melt", fault)
            with whatever():
                self._melt(40, wait_s=0)

    def recovery(self) -> None:
        for seconds in (1, 60, 4000):
            self.clock.advance(seconds)
            self.engine.recover()
        for page in (None, (0, ""), (self.clock.now(), "tx")):
            self.engine.store.live_operations(2**62, 3, page)

    def reconciliation(self) -> None:
        for handle in self.engine.operations(npub=NPUB, limit=12):
            self.engine.reconcile(handle.id)
        self.engine.reconcile_all(npub=NPUB)
        self.engine.reconcile_all(mint_url=self.mint.url, since=1_700_000_200_000)
        self.engine.preflight(npub=NPUB, mint_url=self.mint.url)
        self.engine.report(self.engine.operations(npub=NPUB, limit=1)[0].id)

    def operators(self) -> None:
        for call in (self.engine.retry_stranded, self.engine.write_off_stranded):
            with whatever():
                call(NPUB, self.mint.url, reason="a look")

    def lists(self) -> None:
        mint = self.mint.url
        for states in ((), ("reconciled",), ("attention",), ("reconciled", "rejected")):
            for npub in (None, NPUB):
                self.engine.operations(npub=npub, states=states, limit=5)
                self.engine.operations(npub=npub, kind="melt", states=states, limit=5)
                self.engine.operations(npub=npub, mint_url=mint, states=states, limit=5)
        self.engine.open_operations()
        for ask in (False, True):
            self.engine.balance(NPUB, ask_mints=ask)
        self.engine.balance(NPUB, mint)

    def audit(self) -> None:
        some = self.engine.operations(npub=NPUB, kind="melt", limit=1)[0]
        page = self.engine.audit(limit=3)
        after = (page[-1].operation_id, page[-1].seq)
        for levels in ((), ("CRITICAL",), ("CRITICAL", "HIGH")):
            self.engine.audit(levels=levels, limit=20)
            self.engine.audit(levels=levels, after=after, limit=20)
            found = self.engine.audit(since=1_700_000_100_000, levels=levels, limit=20)
            if found:
                last = (found[-1].operation_id, found[-1].seq)
                self.engine.audit(since=1_700_000_100_000, after=last, levels=levels, limit=20)
            self.engine.audit(until=1_700_000_100_000, levels=levels, limit=20)
            self.engine.audit(some.id, levels=levels, limit=20)
        self.engine.audit(entity=f"operation:{some.id}")
        self.engine.audit(some.id, since=1)
        lines: list[str] = []
        self.engine.export_audit(lines.append, since=1_700_000_500_000)
        self.engine.export_audit(lines.append)
        assert lines
        self.engine.verify_audit(some.id)
        self.engine.verify_audit(progress=lambda done, total: None)
        self.clock.advance(4000 * DAY_S)
        purged = self.engine.purge_audit().operations
        assert purged
        self.engine.verify_audit(purged[0])
        self.engine.reconcile(purged[0])
        self.engine.verify_audit()


READING = (
    "history", "history --state reconciled", "history --kind melt --state attention", "show {id}", "balance",
    "audit list", "audit list --operation {id}", "audit list --level CRITICAL",
    "audit list --since 2023-11-15", "audit verify", "audit verify {id}", "audit export --since 2026-01-01",
    "reconcile {id}",
)  # fmt: skip


def command_line(url: str, operation_id: str) -> dict[str, int]:
    """Commands that read, each with how it ended."""
    said = {}
    environment = {"NUTSTATE_STORE": url, "NUTSTATE_NPUB": NPUB, "NUTSTATE_MINT": "https://mint.simulated"}
    for line in READING:
        args = line.format(id=operation_id).split()
        result = CliRunner(env=environment).invoke(app, args)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        said[line] = result.exit_code
    return said
