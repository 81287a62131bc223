"""What is looked at a page at a time is looked at whole: the proof, token or operation just behind the end of
a page is the one that a page too short would hide."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate import Engine, MintError, SimulatedMint, Store
from nutstate.engine.cashu.port import ProofState, Unreachable
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Proof
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice

pytestmark = pytest.mark.every_store

PAGE = 3


def paged(store: Store, *amounts: int) -> tuple[Engine, SimulatedMint, FakeClock]:
    """A wallet with these tokens, looked at ``PAGE`` at a time."""
    engine, mint, clock = funded(store, settings=attrs.evolve(QUICK, page_size=PAGE), amount=0)
    for amount in amounts:
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
    return engine, mint, clock


def says_spent(mint: SimulatedMint, *proofs: Proof) -> list[list[str]]:
    """The mint calls these SPENT, for good. Gives what it is asked about."""
    spent, asked = {name_of(proof) for proof in proofs}, []
    true = mint.check_states

    def check_states(mint_url: str, ys: Any) -> Any:
        asked.append(list(ys))
        answer = true(mint_url, ys)
        assert isinstance(answer, tuple)
        return tuple(ProofState(a.Y, "SPENT" if a.Y in spent else a.state) for a in answer)

    mint.check_states = check_states  # type: ignore[method-assign]
    return asked


def all_proofs(store: Store) -> list[Proof]:
    tokens = store.tokens(TokenQuery(npub=NPUB, states=("unspent",)))
    return [proof for token in tokens for proof in token.proofs]


@pytest.mark.parametrize("amount", [7, 15, 127])
def test_every_proof_of_a_token_is_asked_about(store: Store, amount: int) -> None:
    """A page of proofs, a page and one, two pages and one: the last one is SPENT, and it is told."""
    engine, mint, _ = paged(store, amount)
    proofs = all_proofs(store)
    says_spent(mint, proofs[-1])
    report = engine.preflight(NPUB, mint.url)
    assert report.proofs == len(proofs) and [d.Y for d in report.discrepancies] == [name_of(proofs[-1])]
    assert report.operations == () and engine.balance(NPUB).unspent == amount, "a look changes nothing"
    foreign = engine.preflight(NPUB, mint.url, proofs=proofs)
    assert foreign.counts["HIGH"] == 1, "proofs that are handed in are asked about in the same pages"


def test_a_page_that_is_not_answered_is_no_clean_page(store: Store) -> None:
    """The first page is sound, the second is not answered, the third is SPENT: it is an error, no report."""
    engine, mint, _ = paged(store, 127)
    proofs = all_proofs(store)
    asked = says_spent(mint, proofs[-1])
    spent = mint.check_states

    def check_states(mint_url: str, ys: Any) -> Any:
        return Unreachable("down") if len(asked) == 1 else spent(mint_url, ys)

    mint.check_states = check_states  # type: ignore[method-assign]
    with pytest.raises(MintError) as caught:
        engine.preflight(NPUB, mint.url, correct=True)
    assert caught.value.retryable and engine.balance(NPUB).unspent == 127


@pytest.mark.parametrize("tokens", [PAGE, PAGE + 1, 2 * PAGE + 1])
def test_every_token_of_a_wallet_is_looked_at(store: Store, tokens: int) -> None:
    """Each token has one proof and the mint calls all of them SPENT: none hides behind a page."""
    engine, mint, _ = paged(store, *[8] * tokens)
    says_spent(mint, *all_proofs(store))
    assert engine.preflight(NPUB, mint.url).counts["HIGH"] == tokens


@pytest.mark.parametrize("amount", [7, 15, 127])
def test_everything_spent_is_corrected_a_page_at_a_time(store: Store, amount: int) -> None:
    """What one correction may hold ends at a page; the next one takes the rest, and their sum is told."""
    engine, mint, _ = paged(store, amount)
    says_spent(mint, *all_proofs(store))
    report = engine.preflight(NPUB, mint.url, correct=True)
    assert report.corrected == amount == engine.balance(NPUB).of("spent")
    assert engine.balance(NPUB).unspent == 0
    assert sum(engine.operation(name).amount for name in report.operations) == amount
    invariants.check(store)


@pytest.mark.parametrize("operations", [PAGE, PAGE + 1, 2 * PAGE + 1])
def test_every_operation_is_reconciled(store: Store, operations: int) -> None:
    """Operations of the same millisecond too: the page ends between two of them."""
    engine, mint, _ = paged(store, *[8] * operations)
    report = engine.reconcile_all()
    assert report.operations == operations and report.validation_passed
    assert [op.id for op in engine.operations(limit=100) if op.kind == "mint"] != []


def test_a_wallet_of_many_tokens_is_paid_from_whole(store: Store) -> None:
    """Nothing of a payment that needs every token is left out at the end of a page."""
    engine, mint, clock = paged(store, *[8] * (2 * PAGE + 1))
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(50, clock), wait_s=60)
    assert melt.is_paid and melt.inputs == 8 * (2 * PAGE + 1)
    invariants.check(store, mint)
