"""Two funded wallets and one approval, the own kind of the example: set-up for tests of own kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nutstate import Engine, Secret, SimulatedMint, open_store
from nutstate.kinds import BUILT_IN, Kind
from nutstate.storage.port import OperationQuery
from tests.support.clock import FakeClock
from tests.support.own import example
from tests.support.wallet import NPUB, QUICK, invoice, npub_of

own = example()
BOB = npub_of(7)


class Shop:
    """Two funded wallets at one mint, on SQLite, under the approval or a kind made from it."""

    def __init__(self, folder: Path, kind: Kind[Any] = own.APPROVAL_KIND) -> None:
        self.clock = FakeClock()
        self.mint = SimulatedMint(now_ms=self.clock.now)
        self.kinds = BUILT_IN | kind
        self.store = open_store(f"sqlite:///{folder}/house.db", kinds=self.kinds)
        self.engine = self.another()
        for owner in (NPUB, BOB):
            self.engine.mint_tokens(npub=owner, mint_url=self.mint.url, amount=2000)
        self.invoice = invoice(100, self.clock)

    def another(self) -> Engine:
        return Engine(self.store, self.mint, kinds=self.kinds, settings=QUICK, clock=self.clock)

    def ask(self, name: str = "tx_approval_1", data: Any = None) -> Any:
        return self.engine.start(
            "approval", npub=NPUB, mint_url=self.mint.url, amount=100, transaction_id=name,
            data=data or own.ApprovalData("ann", Secret(self.invoice)),
        )  # fmt: skip

    def approve(self, asked: Any) -> Any:
        return self.engine.tell(asked.id, "approve", "bob", wait_s=10)

    def melts(self) -> list[str]:
        return [op.id for op in self.store.operations(OperationQuery(kind="melt"))]
