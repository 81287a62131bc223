"""Fundings whose mint cannot or will not issue: before the invoice, after it was paid, with outputs that it
refuses, with answers that contradict one another, and with a quote of another operation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from nutstate import Engine, SimulatedMint, Store, open_store
from nutstate.engine.api.handle import Handle
from nutstate.engine.cashu.port import Ambiguous, Unreachable
from nutstate.engine.cashu.port import Refused as MintRefused
from nutstate.engine.errors import MintError, Refused
from nutstate.engine.simulated import faults
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice

HOUR = 3600
World = tuple[Store, Engine, SimulatedMint, FakeClock]


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        engine, mint, clock = funded(store, amount=0, settings=attrs.evolve(QUICK, unknown_age_max_h=24))
        mint.auto_pay = False
        mint.behave(issues_late=True)
        yield store, engine, mint, clock


def asked_for(world: World, amount: int = 64) -> Handle:
    _, engine, mint, _ = world
    return engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount, wait_s=0)


def pay(world: World, handle: Handle) -> None:
    assert handle.record.quote is not None
    world[2].pay_mint_quote(handle.record.quote.id)


def replace(mint: SimulatedMint, name: str, call: Any) -> None:
    """The mint answers this question in another way from now on."""
    setattr(mint, name, call)


def look(world: World, handle: Handle, wait: float = 0) -> Handle:
    world[1].recover(force=True, wait_s=wait)
    return world[1].operation(handle.id)


def unanswered(mint: SimulatedMint) -> None:
    """The issue request is lost, and the question after it is not answered."""
    mint.faults.next("mint", faults.REQUEST_LOST)
    mint.faults.next("mint_quote_state")
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)


class Books:
    """The mint between us and the simulated one: it may refuse, hide, and note what was asked."""

    def __init__(self, mint: SimulatedMint, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mint = mint
        self.closed = self.keyless = False
        self.refused: list[frozenset[str]] = []  # the outputs of every request that was refused
        self.refuses: Any = lambda names: None
        self.restores: list[frozenset[str]] = []
        self.posted: list[frozenset[str]] = []
        for name in ("keysets", "keys", "mint", "restore"):
            monkeypatch.setattr(mint, name, getattr(self, f"_{name}")(getattr(mint, name)))

    def _keysets(self, asked: Any) -> Any:
        def keysets(url: str) -> Any:
            answer = asked(url)
            return tuple(attrs.evolve(k, active=False) for k in answer) if self.closed else answer

        return keysets

    def _keys(self, asked: Any) -> Any:
        return lambda *args: Unreachable("no keys") if self.keyless else asked(*args)

    def _mint(self, asked: Any) -> Any:
        def mint(url: str, body: Secret) -> Any:
            names = frozenset(output["B_"] for output in json.loads(body.reveal())["outputs"])
            self.posted.append(names)
            said = self.refuses(names)
            if said is not None:
                self.refused.append(names)
                return said
            return asked(url, body)

        return mint

    def _restore(self, asked: Any) -> Any:
        def restore(url: str, outputs: Any) -> Any:
            self.restores.append(frozenset(output.B_ for output in outputs))
            return asked(url, outputs)

        return restore


@pytest.fixture
def books(world: World, monkeypatch: pytest.MonkeyPatch) -> Books:
    return Books(world[2], monkeypatch)


# -- A3: is there a keyset that can issue? ---------------------------------------------------------------


@pytest.mark.parametrize(("what", "code"), [("closed", "NO_USABLE_KEYSET"), ("keyless", "MINT_UNREACHABLE")])
def test_no_invoice_for_what_cannot_be_issued(world: World, books: Books, what: str, code: str) -> None:
    """R273: refused before the mint is asked for an invoice; the operation is stored as rejected."""
    _, engine, mint, _ = world
    setattr(books, what, True)
    mint.faults.next("mint_quote", faults.CUT)  # would be told if it were asked
    with pytest.raises(MintError) as refused:
        asked_for(world)
    assert refused.value.code == code
    rejected = engine.operation(refused.value.details["operation_id"])
    assert rejected.state == "rejected" and rejected.invoice is None


@pytest.mark.parametrize(("what", "code"), [("closed", "NO_USABLE_KEYSET"), ("keyless", "MINT_UNREACHABLE")])
@pytest.mark.parametrize("late", [False, True])
def test_paid_but_not_issuable_is_told_and_heals(
    world: World, books: Books, what: str, code: str, late: bool
) -> None:
    """R274: an hour after the first PAID a person is told why; it is polled on, and heals by itself."""
    store, engine, mint, clock = world
    handle = asked_for(world)
    if late:
        clock.advance(HOUR + 1)
        assert look(world, handle).state == "lapsed"
    pay(world, handle)
    setattr(books, what, True)
    if what == "keyless":
        mint.rotate_keyset()
    waits = look(world, handle)
    assert waits.state == ("lapsed" if late else "quoted") and waits.reason is None
    noted = data_in(waits.record).paid_seen_at
    assert noted == clock.now()
    version = waits.record.version
    clock.advance(HOUR / 2)
    waits = look(world, handle)
    assert (waits.record.version, data_in(waits.record).paid_seen_at) == (version, noted), (
        "nothing more is written"
    )
    clock.advance(HOUR / 2)
    parked = look(world, handle)
    assert parked.state == "attention" and parked.reason is not None and parked.reason.code == code
    assert parked.alarm == parked.as_dict()["alarm"] == "CRITICAL_FUNDING_FAILURE" and waits.alarm is None
    assert [r.compliance_level for r in parked.audit()][-1] == "CRITICAL"
    clock.advance(72 * HOUR)
    assert look(world, handle).state == "attention"
    setattr(books, what, False)
    issued = look(world, handle)
    assert issued.state == "issued" and issued.reason is None and issued.alarm is None
    assert engine.balance(NPUB).unspent == 64
    invariants.check(store, mint)


def test_a_mint_that_heals_in_time_alarms_no_one(world: World, books: Books) -> None:
    """R274: within the hour nothing is told."""
    handle = asked_for(world)
    pay(world, handle)
    books.closed = True
    look(world, handle)
    world[3].advance(HOUR - 1)
    books.closed = False
    assert look(world, handle).state == "issued"
    assert "attention" not in [r.to_state for r in world[1].operation(handle.id).audit()]


def test_contradicting_answers_do_not_keep_a_paid_funding_live(world: World, books: Books) -> None:
    """R274: PAID without a keyset, silence and UNPAID in turn: after a day at the latest a person is told."""
    _, _, mint, clock = world
    handle = asked_for(world)
    pay(world, handle)
    books.closed = True
    look(world, handle)
    asked, turn = mint.mint_quote_state, itertools.cycle(["UNPAID", "silent", "UNKNOWN"])

    def contradicting(*args: Any) -> Any:
        said = next(turn)
        answer: Any = asked(*args)
        return Unreachable("gone") if said == "silent" else attrs.evolve(answer, state=said)

    replace(mint, "mint_quote_state", contradicting)
    hours = 0
    while look(world, handle).state != "attention":
        clock.advance(HOUR)
        hours += 1
        assert hours <= 25
    assert hours == 24


# -- A4: outputs that a mint will not sign ---------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        MintRefused(11004, "outputs are pending", False),
        MintRefused(11003, "outputs already signed", False),
        MintRefused(None, "no", False),
        Ambiguous("HTTP 500: outputs are pending", 11004),
    ],
)
def test_outputs_that_are_refused_again_and_again_are_replaced(
    world: World, books: Books, refusal: Any
) -> None:
    """R275: the mint stored the first outputs and never signs them; new ones are issued for."""
    store, engine, mint, _ = world
    handle = asked_for(world)
    first: list[frozenset[str]] = []

    def refuses(names: frozenset[str]) -> Any:
        first.append(names) if not first else None
        return refusal if names == first[0] else None

    books.refuses = refuses
    pay(world, handle)
    issued = look(world, handle, wait=60)
    assert issued.state == "issued" and issued.reason is None
    assert books.refused == [first[0]] * engine.settings.issue_refusals_max
    assert len(data_in(issued.record).fences) == 1
    assert frozenset(o.B_ for o in data_in(issued.record).fences[0].outputs) == first[0], "still restorable"
    told = [r for r in issued.audit() if r.transition == "8.mint_refused.issuing"]
    assert told[0].data["reason"]["details"]["mint_code"] == refusal.code
    invariants.check(store, mint)


def test_lost_answers_are_no_refusals(world: World, books: Books) -> None:
    """R275: a request that may be on its way is sent again with the same outputs."""
    mint = world[2]
    handle = asked_for(world)
    for _ in range(6):
        mint.faults.next("mint", faults.REQUEST_LOST)
    pay(world, handle)
    assert look(world, handle, wait=120).state == "issued"
    assert len(set(books.posted)) == 1 and len(books.posted) == 7


def test_an_older_generation_that_was_signed_after_all_is_found(world: World) -> None:
    """R276: two generations of outputs, the older one signed: restore asks about every one."""
    store, engine, mint, _ = world
    handle = asked_for(world)
    posted = mint.mint

    def held_back(url: str, body: Secret) -> Any:
        """The mint keeps the request for later and says that its outputs are pending."""
        mint.faults.next("mint", faults.LATE)
        posted(url, body)
        return MintRefused(11004, "outputs are pending", False)

    replace(mint, "mint", held_back)
    pay(world, handle)
    op = look(world, handle)
    while data_in(op.record).fences == ():
        assert op.state in ("restoring", "issuing")
        op = look(world, handle)
    assert len(data_in(op.record).fences) == 1 and op.state == "restoring"
    assert mint.deliver_late() > 0
    issued = look(world, handle)
    assert issued.state == "issued"
    token = store.token(f"{handle.id}_minted")
    assert token is not None
    older = {o.secret.reveal() for o in data_in(issued.record).fences[0].outputs}
    assert {proof.secret.reveal() for proof in token.proofs} == older
    invariants.check(store, mint)


def test_a_mint_that_refuses_everything_parks_with_its_own_words(world: World, books: Books) -> None:
    """R277: bounded generations, then attention with the refusal's code and text; it heals when the mint
    does."""
    store, engine, mint, clock = world
    handle = asked_for(world)
    books.refuses = lambda names: MintRefused(20009, "the vault is shut", False)
    pay(world, handle)
    for _ in range(40):
        clock.advance(60)
        parked = look(world, handle, wait=60)
        if parked.state == "attention":
            break
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "MINT_WILL_NOT_ISSUE"
    assert "the vault is shut" in parked.reason.message and parked.reason.details["mint_code"] == 20009
    assert 1 <= len(data_in(parked.record).fences) <= engine.settings.issue_generations_max
    assert len(books.posted) == engine.settings.issue_tries_max

    before = len(books.posted)
    for _ in range(3):
        assert look(world, handle).state == "attention"
    assert len(books.posted) == before, "not more often than its pause"
    for _ in range(60):
        clock.advance(engine.settings.issue_retry_max_s)
        parked = look(world, handle)
    assert parked.state == "attention" and parked.reason is not None
    assert "the vault is shut" in parked.reason.message
    assert len(books.posted) == before + 60
    assert len(data_in(parked.record).fences) <= engine.settings.issue_generations_max

    books.refuses = lambda names: None
    clock.advance(engine.settings.issue_retry_max_s)
    issued = look(world, handle)
    assert issued.state == "issued" and engine.balance(NPUB).unspent == 64
    assert engine.verify_audit().holds
    invariants.check(store, mint)


def test_resume_begins_patience_and_tries_anew(world: World, books: Books) -> None:
    """R277: an operator who sends a parked issue on is not answered by its old age."""
    _, engine, mint, clock = world
    handle = asked_for(world)
    unanswered(mint)
    pay(world, handle)
    assert look(world, handle).state == "restoring"
    clock.advance(25 * HOUR)
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    parked = look(world, handle)
    assert parked.state == "attention"
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    assert engine.resume(handle.id, "the mint is back", wait_s=0).state == "restoring"
    assert look(world, handle).state == "issued"


# -- A5: ISSUED ------------------------------------------------------------------------------------------


def test_issued_between_two_questions_is_ours(world: World) -> None:
    """R278: restore finds nothing, our late request is executed, the quote says ISSUED: restore is asked
    again before anything is said of others."""
    store, _, mint, _ = world
    handle = asked_for(world)
    pay(world, handle)
    mint.faults.next("mint", faults.LATE)
    mint.faults.next("mint_quote_state")
    mint.faults.next("mint_quote_state", faults.UNREACHABLE)
    assert look(world, handle).state == "restoring"
    asked = mint.mint_quote_state

    def delivered(*args: Any) -> Any:
        mint.deliver_late()
        return asked(*args)

    replace(mint, "mint_quote_state", delivered)
    issued = look(world, handle)
    assert issued.state == "issued"
    assert "attention" not in [record.to_state for record in issued.audit()]
    invariants.check(store, mint)


def test_issued_to_others_is_said_only_after_every_generation_was_asked_again(
    world: World, books: Books
) -> None:
    """R278: and a restore that is not answered says nothing."""
    _, engine, mint, clock = world
    handle = asked_for(world)
    pay(world, handle)
    unanswered(mint)
    assert look(world, handle).state == "restoring"
    mint.faults.next("mint_quote_state", faults.quote_state("ISSUED"))
    mint.faults.next("restore")
    mint.faults.next("restore", faults.UNREACHABLE)
    books.restores.clear()
    assert look(world, handle).state == "restoring"
    mint.faults.next("mint_quote_state", faults.quote_state("ISSUED"))
    books.restores.clear()
    parked = look(world, handle)
    assert parked.state == "attention" and parked.reason is not None
    assert parked.reason.code == "ISSUED_ELSEWHERE"
    assert len(books.restores) == 2, "before the quote was asked, and after it said ISSUED"
    clock.advance(engine.settings.issue_retry_s)
    assert look(world, handle).state == "issued", "the mint said so by mistake: PAID heals it"


@pytest.mark.parametrize("state", ["UNKNOWN", "HELD", ""])
def test_a_word_we_do_not_know_neither_expires_nor_issues(world: World, state: str) -> None:
    """R279: not before the expiry, not after it, not with outputs on their way."""
    _, _, mint, clock = world
    handle = asked_for(world)
    pay(world, handle)
    mint.faults.next("mint_quote_state", faults.quote_state(state))
    assert look(world, handle).state == "quoted"
    clock.advance(2 * HOUR)
    mint.faults.next("mint_quote_state", faults.quote_state(state))
    assert look(world, handle).state == "quoted"
    mint.faults.next("mint", faults.REQUEST_LOST)
    mint.faults.next("mint_quote_state")
    mint.faults.next("mint_quote_state", faults.quote_state(state))
    assert look(world, handle).state == "restoring"
    assert look(world, handle).state == "issued"


def test_an_answer_about_another_quote_says_nothing(world: World) -> None:
    """R279: its state is not this funding's."""
    _, _, mint, _ = world
    handle, other = asked_for(world), asked_for(world)
    pay(world, other)
    assert other.record.quote is not None
    asked, theirs = mint.mint_quote_state, other.record.quote.id
    replace(mint, "mint_quote_state", lambda url, name: asked(url, theirs))
    assert look(world, handle).state == "quoted"


# -- A6: a quote that belongs to another operation -------------------------------------------------------


def test_a_quote_of_another_funding_is_no_quote_for_this_one(world: World) -> None:
    """R279: a typed error of the mint, stored with a rejected operation; nothing is handed out."""
    store, engine, mint, _ = world
    first = asked_for(world)
    assert first.record.quote is not None
    again = mint.mint_quote_state(mint.url, first.record.quote.id)
    replace(mint, "mint_quote", lambda *args: again)
    with pytest.raises(MintError) as refused:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, idempotency_key="k", wait_s=0)
    assert refused.value.code == "QUOTE_NOT_OURS" and not refused.value.retryable
    rejected = engine.operation(refused.value.details["operation_id"])
    assert rejected.state == "rejected" and rejected.invoice is None
    assert rejected.reason is not None and rejected.reason.code == "QUOTE_NOT_OURS"
    with pytest.raises(MintError) as same:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64, idempotency_key="k", wait_s=0)
    assert same.value.details["operation_id"] == rejected.id
    assert engine.operation(first.id).state == "quoted"
    invariants.check(store, mint)


def test_a_quote_of_another_melt_is_no_quote_for_this_one(world: World) -> None:
    """R279: the same for a melt; only who pays the same invoice is told that it is claimed."""
    store, engine, mint, clock = world
    mint.auto_pay = True
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=500)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert paid.state == "reconciled" and paid.record.quote is not None
    asked, theirs = mint.melt_quote, paid.record.quote.id

    def lying(*args: Any) -> Any:
        answer: Any = asked(*args)
        return attrs.evolve(answer, id=theirs)

    replace(mint, "melt_quote", lying)
    before = engine.balance(NPUB).unspent
    with pytest.raises(MintError) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert refused.value.code == "QUOTE_NOT_OURS"
    assert engine.operation(refused.value.details["operation_id"]).state == "rejected"
    assert engine.balance(NPUB).unspent == before
    with pytest.raises(Refused) as claimed:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=str(paid.invoice.reveal()) if paid.invoice else "",
                    on_duplicate="error")  # fmt: skip
    assert claimed.value.code in ("PAYMENT_ALREADY_CLAIMED", "DUPLICATE_OPERATION")
    invariants.check(store, mint)
