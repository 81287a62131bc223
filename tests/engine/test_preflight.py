"""R81 to R109: what store and mint say of a proof, compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, SimulatedMint, Store
from nutstate.engine.cashu.port import Answer, ProofState, Unreachable
from nutstate.engine.checks.preflight_table import (
    MINT_STATES,
    STORE_STATES,
    TABLE,
    Asked,
    classify,
    judge,
    store_state_of,
)
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from nutstate.storage.records import Token
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.crash import Crash, Ticks
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice, npub_of

CELLS = {
    "R83": ("unspent", "UNSPENT", None, "ok"),
    "R84": ("unspent", "SPENT", "HIGH", "block_and_correct"),
    "R85": ("unspent", "PENDING", "MEDIUM", "do_not_select"),
    "R86": ("reserved_by_this", "UNSPENT", None, "ok"),
    "R87": ("reserved_by_this", "SPENT", None, "ask_quote"),
    "R88": ("reserved_by_this", "PENDING", None, "wait"),
    "R89": ("reserved_by_other", "UNSPENT", None, "refuse"),
    "R90": ("reserved_by_other", "SPENT", None, "refuse"),
    "R91": ("reserved_by_other", "PENDING", None, "refuse"),
    "R280": ("stranded", "UNSPENT", None, "operator"),
    "R281": ("stranded", "SPENT", "HIGH", "block_and_correct"),
    "R282": ("stranded", "PENDING", None, "wait"),
    "R92": ("outstanding", "UNSPENT", None, "ok"),
    "R93": ("outstanding", "SPENT", None, "claim"),
    "R94": ("outstanding", "PENDING", None, "wait"),
    "R95": ("spent", "UNSPENT", "MEDIUM", "investigate"),
    "R96": ("spent", "SPENT", None, "ok"),
    "R97": ("spent", "PENDING", "LOW", "monitor"),
    "R98": ("not_in_store", "UNSPENT", "LOW", "unknown_proof"),
    "R99": ("not_in_store", "SPENT", "LOW", "unknown_proof"),
    "R100": ("not_in_store", "PENDING", "LOW", "unknown_proof"),
}


class Saying:
    """What a mint says of proofs, by Y; several answers are given one after the other."""

    def __init__(self, mint: SimulatedMint) -> None:
        self.lies: dict[str, list[str]] = {}
        self.silent = False
        self.calls: list[int] = []
        self._true = mint.check_states
        mint.check_states = self  # type: ignore[method-assign]

    def __call__(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        self.calls.append(len(ys))
        answer = self._true(mint_url, ys)
        if self.silent or not isinstance(answer, tuple):
            return Unreachable("nobody there")
        return tuple(ProofState(a.Y, self._said(a)) for a in answer)

    def _said(self, answer: ProofState) -> str:
        lies = self.lies.get(answer.Y)
        if not lies:
            return answer.state
        return lies.pop(0) if len(lies) > 1 else lies[0]

    def all_of(self, token: Token, state: str) -> None:
        self.lies |= {name_of(proof): [state] for proof in token.proofs}


def wallet(store: Store, **more: Any) -> tuple[Engine, SimulatedMint, FakeClock, Saying]:
    engine, mint, clock = funded(store, **more)
    return engine, mint, clock, Saying(mint)


def the_token(store: Store, state: str = "unspent") -> Token:
    return store.tokens(TokenQuery(npub=NPUB, states=(state,)))[0]


# -- the table -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", CELLS)
def test_r81_every_cell(rule: str) -> None:
    store_state, mint_state, severity, action = CELLS[rule]
    pair = classify(store_state, mint_state)
    assert (pair.severity, pair.action) == (severity, action)


def test_r81_the_table_is_whole() -> None:
    assert TABLE.keys() == {(s, m) for s in STORE_STATES for m in MINT_STATES}
    assert {cell[:2] for cell in CELLS.values()} == TABLE.keys() and len(TABLE) == 21


def test_an_unheard_of_answer_is_as_good_as_pending() -> None:
    assert classify("unspent", "BURNT") == classify("unspent", "PENDING")
    assert judge([Asked("02aa", "t", 1, "unspent")], []).counts["MEDIUM"] == 1, "no answer at all"


@pytest.mark.parametrize("order", [1, -1])
def test_r82_of_two_harmless_pairs_the_one_that_asks_for_something_counts(order: int) -> None:
    """One proof in two tokens, free in one and reserved in the other: it is not "ok"."""
    asked = [Asked("02aa", "t", 8, "unspent"), Asked("02aa", "u", 8, "reserved_by_other")]
    report = judge(asked[::order], [("02aa", "UNSPENT")])
    assert report.actions == {"refuse": 1} and not report.discrepancies


def test_a_reserved_token_is_another_operations_unless_it_is_named() -> None:
    """A look without an operation of its own never takes what is reserved for its own."""
    assert store_state_of("reserved", None, None) == "reserved_by_other"
    assert store_state_of("reserved", "tx_a", None) == "reserved_by_other"
    assert store_state_of("reserved", "tx_a", "tx_b") == "reserved_by_other"
    assert store_state_of("reserved", "tx_a", "tx_a") == "reserved_by_this"


@pytest.mark.parametrize("order", [1, -1])
def test_r82_the_most_severe_pair_wins(order: int) -> None:
    asked = [
        Asked("02aa", "t", 8, "spent"),
        Asked("02aa", "u", 8, "unspent"),
        Asked("02aa", None, 8, "not_in_store"),
    ]
    report = judge(asked[::order], [("02aa", "SPENT"), ("02aa", "UNSPENT")][::order])
    (found,) = report.discrepancies
    assert (found.severity, found.token_id, found.mint_state) == ("HIGH", "u", "SPENT")
    assert report.counts == {"HIGH": 1, "MEDIUM": 0, "LOW": 0} and report.proofs == 1


@pytest.mark.parametrize(
    ("cells", "recommendation"),
    [
        (("R84", "R95", "R85", "R97"), "ABORT_OPERATION"),
        (("R95", "R85", "R97"), "PERFORM_FULL_RECONCILIATION"),
        (("R85", "R97", "R98"), "MONITOR_DISCREPANCIES"),
        (("R97", "R98", "R99", "R100"), "PROCEED"),
        (("R83", "R87", "R88", "R89", "R90", "R91", "R93", "R94", "R96"), "PROCEED"),
        ((), "PROCEED"),
    ],
)
def test_r101_to_r107_counts_recommendation_and_code(cells: tuple[str, ...], recommendation: str) -> None:
    asked = [Asked(f"02{rule:a<64}", rule, 1, CELLS[rule][0]) for rule in cells]
    report = judge(asked, [(f"02{rule:a<64}", CELLS[rule][1]) for rule in cells])
    assert report.recommendation == recommendation
    assert report.code == ("HIGH_SEVERITY_DISCREPANCIES" if "R84" in cells else None)
    for severity, number in report.counts.items():
        assert number == sum(CELLS[rule][2] == severity for rule in cells)
    for told in report.as_dict()["discrepancies"]:
        assert len(told["Y"]) < 20, "shortened"


# -- through the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("mint_state", MINT_STATES)
def test_r83_to_r85_unspent_tokens(store: Store, mint_state: str) -> None:
    engine, mint, _, saying = wallet(store)
    saying.all_of(the_token(store), mint_state)
    report = engine.preflight(NPUB, mint.url)
    number = len(the_token(store).proofs)
    wanted = classify("unspent", mint_state)
    assert report.proofs == number and report.actions == {wanted.action: number}
    assert all(d.severity == wanted.severity for d in report.discrepancies)
    assert len(store.operations(OperationQuery())) == 1, "a look changes nothing"


@pytest.mark.parametrize("mint_state", MINT_STATES)
@pytest.mark.parametrize("state", ["reserved", "spent"])
def test_r89_to_r97_locked_and_spent_tokens(store: Store, state: str, mint_state: str) -> None:
    engine, mint, clock, saying = wallet(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    if state == "spent":
        engine.confirm(plan.id)
    saying.all_of(the_token(store, state), mint_state)
    report = engine.preflight(NPUB, mint.url, sources=[the_token(store, state).transaction_id])
    wanted = classify("spent" if state == "spent" else "reserved_by_other", mint_state)
    assert set(report.actions) == {wanted.action}
    assert {d.severity for d in report.discrepancies} == {wanted.severity} - {None}


@pytest.mark.parametrize("mint_state", MINT_STATES)
def test_r98_to_r100_proofs_that_are_not_in_the_store(store: Store, mint_state: str) -> None:
    engine, mint, _, saying = wallet(store)
    proof = fake_proof(8, "foreign")
    given = attrs.evolve(the_token(store).proofs[0], secret=proof.secret, Y=None)
    ours = the_token(store).proofs[1]
    report_before = engine.preflight(NPUB, mint.url, proofs=[given, ours])
    assert (report_before.counts["LOW"], report_before.actions.get("ok")) == (1, 1)
    saying.lies = {name_of(given): [mint_state]}
    (found,) = engine.preflight(NPUB, mint.url, proofs=[given]).discrepancies
    assert (found.severity, found.token_id, found.mint_state) == ("LOW", None, mint_state)
    other = engine.preflight(npub_of(1), mint.url, proofs=[ours])
    assert other.discrepancies[0].store_state == "not_in_store", "another wallet's tokens are not told of"


def test_pages_chunks_and_progress(store: Store) -> None:
    engine, mint, clock, saying = wallet(store, settings=attrs.evolve(QUICK, page_size=3), amount=0)
    for _ in range(8):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=15)
    seen: list[tuple[int, int]] = []
    report = engine.preflight(NPUB, mint.url, progress=lambda *at: seen.append(at))
    assert report.proofs == 32 and seen == [(3, 8), (6, 8), (8, 8)] and max(saying.calls) == 3


def test_a_payment_that_went_on_meanwhile_is_no_discrepancy(store: Store) -> None:
    engine, mint, clock, saying = wallet(store)
    true = mint.check_states
    paid: list[int] = []

    def paying(url: str, ys: Sequence[str]) -> Any:
        if not paid:
            paid.append(1)
            engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        return true(url, ys)

    mint.check_states = paying  # type: ignore[assignment]
    report = engine.preflight(NPUB, mint.url)
    assert report.recommendation == "PROCEED" and not report.discrepancies


# -- correcting ----------------------------------------------------------------------------------------


def test_r84_a_spent_proof_does_not_condemn_its_token(store: Store) -> None:
    engine, mint, _, saying = wallet(store)
    token = the_token(store)
    first = token.proofs[0]
    saying.lies = {name_of(first): ["SPENT"]}
    report = engine.preflight(NPUB, mint.url, correct=True)
    assert report.code == "HIGH_SEVERITY_DISCREPANCIES" and report.corrected == first.amount
    (name,) = report.operations
    check = engine.operation(name)
    assert (check.kind, check.state, check.amount) == ("check", "corrected", first.amount)
    assert any(r.compliance_level == "CRITICAL" for r in check.audit())
    rest = store.token(token.transaction_id)
    assert rest is not None and (rest.state, rest.total_amount) == ("unspent", 2000 - first.amount)
    assert engine.balance(NPUB).of("spent") == first.amount
    assert engine.preflight(NPUB, mint.url).recommendation == "PROCEED"
    assert engine.preflight(NPUB, mint.url, correct=True).operations == ()
    assert first.secret.reveal() not in repr(report) + str(report.as_dict())
    assert engine.reconcile(name).validation_passed
    invariants.check(store)


def test_a_mint_that_takes_it_back_corrects_nothing(store: Store) -> None:
    engine, mint, _, saying = wallet(store)
    first, second = (name_of(p) for p in the_token(store).proofs[:2])
    saying.lies = {first: ["SPENT", "UNSPENT"], second: ["SPENT"]}
    report = engine.preflight(NPUB, mint.url, correct=True)
    assert report.counts["HIGH"] == 2 and report.corrected == the_token(store, "spent").total_amount
    assert [name_of(p) for p in the_token(store, "spent").proofs] == [second]


def test_a_silent_mint_corrects_nothing(store: Store) -> None:
    engine, mint, _, saying = wallet(store)
    saying.silent = True
    with pytest.raises(NutstateError) as error:
        engine.preflight(NPUB, mint.url, correct=True)
    assert error.value.code == "MINT_UNREACHABLE" and error.value.retryable
    assert engine.balance(NPUB).unspent == 2000


def test_a_crash_between_leaves_all_or_nothing(store: Store) -> None:
    engine, mint, clock, saying = wallet(store)
    saying.all_of(the_token(store), "SPENT")
    for crash_at, left in ((0, 2000), (1, 0)):
        crashing = Engine(store, mint, settings=QUICK, clock=clock, faults=Ticks(crash_at))
        with pytest.raises(Crash):
            crashing.preflight(NPUB, mint.url, correct=True)
        assert engine.balance(NPUB).unspent == left
    assert engine.preflight(NPUB, mint.url, correct=True).operations == ()
    invariants.check(store)


# -- a prepared melt -----------------------------------------------------------------------------------


def test_r88_a_pending_input_is_not_paid_with(store: Store) -> None:
    engine, mint, clock, saying = wallet(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    saying.all_of(the_token(store, "reserved"), "PENDING")
    waiting = engine.confirm(plan.id, wait_s=2)
    assert (waiting.state, waiting.record.sent_at) == ("prepared", None)
    saying.lies = {}
    assert engine.confirm(plan.id).state == "reconciled"
    invariants.check(store, None)


@pytest.mark.parametrize(
    ("quote", "state"), [("UNPAID", "rejected"), ("PENDING", "prepared"), (None, "prepared")]
)
def test_r87_a_spent_input_asks_the_quote_first(store: Store, quote: str | None, state: str) -> None:
    engine, mint, clock, saying = wallet(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    saying.all_of(the_token(store, "reserved"), "SPENT")
    true, asked = mint.melt_quote_state, []

    def told(url: str, quote_id: str) -> Any:
        asked.append(quote_id)
        answer: Any = true(url, quote_id)
        return Unreachable("nobody there") if quote is None else attrs.evolve(answer, state=quote)

    mint.melt_quote_state = told  # type: ignore[assignment]
    if state == "rejected":
        with pytest.raises(NutstateError) as refused:
            engine.confirm(plan.id, wait_s=0)
        assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
        assert refused.value.details["counts"]["HIGH"] == refused.value.details["spent_proofs"] > 0
        assert refused.value.details["finding"] == "HIGH_SEVERITY_DISCREPANCIES"
    else:
        engine.confirm(plan.id, wait_s=0)
    found = engine.operation(plan.id)
    assert (found.state, found.record.sent_at) == (state, None) and asked


def test_r87_a_quote_that_is_paid_already_is_followed_to_its_end(store: Store) -> None:
    """Another program with a copy of the store sent the stored request: nothing is paid twice, no change is
    lost."""
    engine, mint, clock, _ = wallet(store)
    plan = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert data_in(plan.record).request_body is not None
    mint.melt(mint.url, data_in(plan.record).request_body)
    done = engine.confirm(plan.id)
    assert done.state == "reconciled" and engine.balance(NPUB).unspent == 2000 - 700 - (done.fee_paid or 0)
    invariants.check(store)


def test_r109_the_refusal_counts_what_was_found(store: Store) -> None:
    engine, mint, clock, saying = wallet(store)
    saying.all_of(the_token(store), "SPENT")
    with pytest.raises(NutstateError) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
    assert refused.value.code == "PROOF_STATE_INCONSISTENCY"
    assert refused.value.details["counts"]["HIGH"] > 0
    assert refused.value.details["recommendation"] == "ABORT_OPERATION"


# -- MELT_BLOCKED_BY_RECONCILIATION --------------------------------------------------------------------


def blocked(
    engine: Engine, mint: SimulatedMint, clock: FakeClock, source: str, amount: int = 100
) -> NutstateError:
    with pytest.raises(NutstateError) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock), sources=[source])
    return refused.value


def test_r108_named_sources_that_lost_value(store: Store) -> None:
    engine, mint, clock, saying = wallet(store)
    token = the_token(store)
    big = max(token.proofs, key=lambda p: p.amount)
    saying.lies = {name_of(big): ["SPENT"]}
    engine.preflight(NPUB, mint.url, correct=True)
    error = blocked(engine, mint, clock, token.transaction_id, 1900)
    assert error.code == "MELT_BLOCKED_BY_RECONCILIATION" and error.details["shortfall"] > 0
    fine = engine.melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), sources=[token.transaction_id]
    )
    assert fine.state == "reconciled", "what is left covers it"
    spent = next(t for t in store.tokens(TokenQuery(npub=NPUB, states=("spent",))) if t.reserved_by is None)
    assert blocked(engine, mint, clock, spent.transaction_id).code == "MELT_BLOCKED_BY_RECONCILIATION"


def test_r108_sources_of_an_open_discrepancy(store: Store) -> None:
    from nutstate.engine.checks.reconcile import found_as_event
    from nutstate.engine.checks.wallet_preflight import Wallet, new_check, store_check

    engine, mint, clock, _ = wallet(store)
    token = the_token(store)
    funding = next(op for op in engine.operations() if op.kind == "mint")
    check = new_check(Wallet(NPUB, NPUB, mint.url, "sat"), 1, clock.now(), funding.id)
    event = found_as_event(("something",), 1, "found_clean", "found_wrong")
    parked = store_check(engine._driver, engine._new_run, check, event)
    assert parked.state == "discrepant"
    error = blocked(engine, mint, clock, token.transaction_id)
    assert error.code == "MELT_BLOCKED_BY_RECONCILIATION" and error.details["operations"] == [parked.id]
    assert engine.resolve(parked.id, "looked at it").state == "resolved"
    assert [r.event for r in store.audit(AuditQuery(operation_id=parked.id))] == ["found_wrong", "resolve"]
    done = engine.melt(
        npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), sources=[token.transaction_id]
    )
    assert done.state == "reconciled"
