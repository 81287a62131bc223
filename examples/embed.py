"""Embedding the engine: fund a wallet, pay an invoice, look at what happened. Needs no network."""

import tempfile

from nutstate import Engine, SimulatedMint, open_store

NPUB = "npub1u9290c2mtammza7d4arqpls8pt82w93gmwt5g70n87zeha5r4qwscarf9g"

with (
    tempfile.TemporaryDirectory() as folder,
    open_store(f"sqlite:///{folder}/wallet.db") as store,
    SimulatedMint() as mint,
):
    engine = Engine(store, mint=mint)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1000)
    invoice = mint.lightning.invoice(100).reveal()

    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice, idempotency_key="order-17")

    melt.raise_unless_paid()
    print(f"{melt.outcome}: {melt.amount} sat, cost {melt.cost} sat, change {melt.change} sat")
    print(f"the wallet owns {engine.balance(NPUB).owned()} sat, {len(melt.audit())} audit records")
