"""``demo``: a whole payment on this computer, with every transition shown as it commits."""

from __future__ import annotations

import functools
import hashlib
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import bech32
import click
from attrs import define, field

from ...engine import arguments
from ...engine.api.engine import Engine
from ...engine.api.handle import Handle
from ...engine.audit.verify import chain_holds
from ...engine.cashu.bolt11 import decode_invoice
from ...engine.loop.log import TransitionEvent
from ...engine.settings import Settings
from ...engine.simulated.faults import ANSWER_LOST
from ...engine.simulated.invoice import make_invoice
from ...engine.simulated.mint import SimulatedMint
from ..context import with_session
from ..ends import Exit
from ..money.mints import SIMULATED_URL, Mints, is_simulated
from ..money.wallet import show_invoice_when_quoted
from ..operators.render import conservation, mint_words, now_ms, shorten, style_of
from ..output import Part, Working, duration
from ..session import Session, data_dir, sqlite_url
from ..stores.local_mongo import replica_set
from .report import Story, document, report

AMOUNT_MAX = 1_000_000
EXPECTED = {"paid": "good", "pending": "good", "failed": "unpaid", "lost": "good"}
STORIES = {
    "paid": "The mint pays at once.",
    "pending": "The payment hangs in the network at first.",
    "failed": "The payment fails. With the policy `fence` the mint's word alone frees nothing: after the "
    "settle window the inputs are swapped to ourselves, so that the old request can never be paid late.",
    "lost": "The payment succeeds, but the mint's answer is lost on the way back.",
}
# Short, so that the demo does not wait; the defaults are 30 s, 1 s and 60 s.
SHORT = Settings(settle_window_s=1, poll_min_s=0.2, poll_max_s=1)
PENDING_WAIT_S = 1.0
END_WAIT_S = 20.0
FUND_WAIT_S = 600.0
RECOVER_WAIT_S = 5.0
LIVE_MAX = 100


def demo_npub() -> str:
    """The same wallet owner every time. No private key of it exists."""
    words = bech32.convertbits(hashlib.sha256(b"nutstate demo wallet").digest(), 8, 5, True)
    text: str = bech32.bech32_encode("npub", words or [])
    return text


@define(eq=False)
class Demo:
    """One run of the demo."""

    session: Session
    engine: Engine
    mints: Mints
    url: str
    amount: int
    outcome: str
    npub: str = field(factory=demo_npub)
    start: int = field(factory=now_ms)
    events: list[dict[str, Any]] = field(factory=list)

    def say(self, *parts: Part) -> None:
        self.session.out.line(*parts)

    def title(self, text: str) -> None:
        self.say()
        self.say((text, "bold"))

    @property
    def fake(self) -> SimulatedMint | None:
        """The simulated mint, if this run uses it."""
        return self.mints.simulated() if is_simulated(self.url) else None

    # -- transitions ----------------------------------------------------------------------------

    def committed(self, event: TransitionEvent) -> None:
        """Show one committed transition: operations to the left, their tokens under them."""
        self.events.append({"entity": event.entity, "from": event.from_state, "to": event.to_state,
                            "event": event.event, "at": event.at})  # fmt: skip
        kind, _, name = event.entity.partition(":")
        if kind == "operation":
            machine = event.machine.partition("@")[0]
            when = f"+{duration(max(0, event.at - self.start))}"
            state = (event.to_state, style_of(self.session.known.labelled(event.machine), event.to_state))
            self.say(f"{when:>9}  {machine:<5} {event.from_state} → ", state, (f"   {event.event}", "dim"))
            return
        own = name.startswith(event.operation_id)
        shown = name.replace(event.operation_id, "…") if own else shorten(name)
        self.say((f"{'':>9}    token {shown}  {event.from_state} → {event.to_state}   {event.event}", "dim"))

    # -- the steps -------------------------------------------------------------------------------

    def finish_earlier(self) -> None:
        """Go on with the operations that an interrupted run left open."""
        live = [op for op in self.engine.store.live_operations(2**62, LIVE_MAX) if op.npub == self.npub]
        if not live:
            return
        self.title(f"First: {len(live)} operation(s) of an earlier run are still open")
        for op in live:
            if self.fake is not None and op.payment_hash is not None:
                with suppress(ValueError):  # it was not pending
                    self.fake.lightning.settle(op.payment_hash)
        self.engine.recover(wait_s=RECOVER_WAIT_S, force=True)

    def fund(self) -> None:
        """Mint ecash when the wallet holds too little for this payment."""
        need = self.amount + max(20, self.amount // 10)
        if self.spendable() >= need:
            return
        worth = max(1000, 5 * self.amount)
        self.title(f"Funding the wallet with {worth} sat")
        if self.fake is None:
            show_invoice_when_quoted(self.session, self.engine, Working(None))
        self.engine.mint_tokens(npub=self.npub, mint_url=self.url, amount=worth, wait_s=FUND_WAIT_S)

    def spendable(self) -> int:
        return self.engine.balance(self.npub, self.url, spent=False).unspent

    def pay(self) -> Handle:
        """Make an invoice, set the scene, and pay it."""
        self.title(f"Paying an invoice over {self.amount} sat")
        self.session.out.line(STORIES[self.outcome], wrap=True)
        invoice = self._invoice()
        payment_hash = decode_invoice(invoice).payment_hash
        fake = self.fake
        wait = END_WAIT_S if fake is not None else None
        if fake is not None and self.outcome == "failed":
            fake.lightning.script(payment_hash, "FAILED")
        if fake is not None and self.outcome == "lost":
            fake.faults.next("melt", ANSWER_LOST)
        if fake is not None and self.outcome == "pending":
            fake.lightning.script(payment_hash, "PENDING")
            wait = PENDING_WAIT_S
        policy = "fence" if self.outcome == "failed" else None  # the longer way, of which the story tells
        handle = self.engine.melt(
            npub=self.npub, mint_url=self.url, invoice=invoice, wait_s=wait, on_unpaid=policy
        )
        if fake is not None and self.outcome == "pending":
            handle = self._settle(fake, payment_hash, handle)
        return handle

    def _invoice(self) -> str:
        if self.fake is not None:
            return self.fake.lightning.invoice(self.amount, description="nutstate demo").reveal()
        seconds = now_ms() // 1000
        preimage = secrets.token_bytes(32)
        return make_invoice(
            self.amount * 1000, timestamp=seconds, preimage=preimage, description="nutstate demo"
        )

    def _settle(self, fake: SimulatedMint, payment_hash: str, handle: Handle) -> Handle:
        """The payment arrives after a while; recovery, not the first call, finishes the operation."""
        self.session.out.line(
            f"Still {handle.state} after {PENDING_WAIT_S:.0f} s. `nutstate melt` would end with 3 here, and "
            "the operation stays open. Now the payment arrives, and `nutstate recover` finds out:",
            wrap=True,
        )
        fake.lightning.settle(payment_hash)
        self.engine.recover(wait_s=END_WAIT_S, force=True)
        return handle.refresh()


def _verdict(demo: Demo, handle: Handle, moved: int) -> Exit:
    if not handle.is_final:
        return Exit.OPEN
    records = handle.audit()
    terms = conservation(handle, records)
    cost = (handle.amount if handle.is_paid else 0) + (handle.cost or 0)
    sound = (
        terms is not None and bool(terms["holds"]) and chain_holds(handle.record, records) and moved == cost
    )
    return Exit.DONE if sound and handle.record.ends == EXPECTED[demo.outcome] else Exit.REFUSED


def _run(session: Session, url: str, amount: int, outcome: str, mongo: Path | None = None) -> int:
    settings = SHORT if is_simulated(url) else None
    with session.engine(create=True, mint_url=url, settings=settings) as (engine, mints):
        demo = Demo(session, engine, mints, url, amount, outcome)
        session.observers.append(demo.committed)
        demo.say(("nutstate demo", "bold"), f": wallet {_brief(demo.npub)}, mint {mint_words(url)}")
        if settings is not None:
            seconds = f"{settings.settle_window_s:.0f} s instead of {Settings().settle_window_s:.0f} s"
            demo.say((f"Waits are shortened for the demo: the settle window is {seconds}.", "dim"))
        demo.finish_earlier()
        demo.fund()
        before = demo.spendable()
        handle = demo.pay()
        after = demo.spendable()
        state = mints.state if demo.fake is not None else None
        story = Story(session, handle, outcome, demo.npub, url, state, mongo, before, after, demo.events)
        if session.out.as_json:
            session.out.document(document(story))
        else:
            report(story)
        return _verdict(demo, handle, before - after)


def _brief(npub: str) -> str:
    return f"{npub[:12]}…{npub[-4:]}"


@click.command(
    short_help="Watch a whole payment; no network, no money.",
    epilog="""\b
Examples:
  nutstate demo
  nutstate demo --outcome failed
  nutstate demo --mongo
  nutstate demo --amount 250 --dir /tmp/nuts --json""",
)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The folder of the demo's wallet and mint.  [default: demo in the user's data directory]",
)  # fmt: skip
@click.option(
    "--amount", type=click.IntRange(1, AMOUNT_MAX), default=100, show_default=True, metavar="SAT",
    help="The amount to pay.",
)  # fmt: skip
@click.option(
    "--outcome", type=click.Choice(tuple(EXPECTED)), default="paid", show_default=True,
    help="The end of the payment at the simulated mint: paid at once, pending at first, failed, or "
    "paid with the answer lost.",
)  # fmt: skip
@click.option(
    "--mint", metavar="URL",
    help="Use a running test mint instead of the simulated one. It must call every invoice paid, "
    "as Nutshell's FakeWallet does.",
)  # fmt: skip
@click.option(
    "--mongo", is_flag=True,
    help="Keep the wallet in MongoDB: a replica set of one node is started in --dir for the demo.",
)  # fmt: skip
@functools.partial(with_session, own_kinds=False)
def demo(
    session: Session, folder: Path | None, amount: int, outcome: str, mint: str | None, mongo: bool
) -> int:
    """Fund a wallet, pay an invoice, and watch every transition commit. No network, no real money.

    The wallet is a file in --dir (or the --store named on the command line; NUTSTATE_STORE and
    NUTSTATE_MINT are ignored here, so that the demo never touches your wallet). A second run goes on
    with the same wallet; the other commands can look at it.
    """
    url = SIMULATED_URL if mint is None else arguments.mint_url(mint)
    if not is_simulated(url) and outcome != "paid":
        raise click.UsageError("--outcome needs the simulated mint; leave --mint out")
    home = (folder or data_dir() / "demo").absolute()
    if mongo:
        return _on_mongo(session, home, url, amount, outcome)
    if not session.store_named:
        session.store_url = sqlite_url(home / "wallet.db")
    elif folder is not None:
        raise click.UsageError("give either --dir or --store")
    return _run(session, url, amount, outcome)


def _on_mongo(session: Session, home: Path, url: str, amount: int, outcome: str) -> int:
    if session.store_named:
        raise click.UsageError("give either --mongo or --store")
    if not is_simulated(url):
        raise click.UsageError("--mongo needs the simulated mint: the replica set it starts has no password")
    with replica_set(session, home / "mongodb") as servers:
        session.store_url = servers.url()
        session.mint_state = session.mint_state or home / "mongodb.mint.db"
        return _run(session, url, amount, outcome, home / "mongodb")
