"""R81 to R109: what the store says of proofs against what the mint says of them."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from pymongo.errors import DuplicateKeyError

from nutstate import Engine, NutstateError, SimulatedMint, Store
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Token
from tests.engine.test_preflight import Saying, the_token, wallet
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.foreign import Foreign
from tests.support.wallet import NPUB, fake_proof, invoice

CELLS = {
    "r083": ("unspent", "UNSPENT", None, "ok"),
    "r084": ("unspent", "SPENT", "HIGH", "block_and_correct"),
    "r085": ("unspent", "PENDING", "MEDIUM", "do_not_select"),
    "r086": ("reserved by this", "UNSPENT", None, "reconciled"),
    "r087": ("reserved by this", "SPENT", None, "PROOF_STATE_INCONSISTENCY"),
    "r088": ("reserved by this", "PENDING", None, "prepared"),
    "r089": ("reserved by another", "UNSPENT", None, "refuse"),
    "r090": ("reserved by another", "SPENT", None, "refuse"),
    "r091": ("reserved by another", "PENDING", None, "refuse"),
    "r092": ("outstanding", "UNSPENT", None, "ok"),
    "r093": ("outstanding", "SPENT", None, "claim"),
    "r094": ("outstanding", "PENDING", None, "wait"),
    "r280": ("stranded", "UNSPENT", None, "operator"),
    "r281": ("stranded", "SPENT", "HIGH", "block_and_correct"),
    "r282": ("stranded", "PENDING", None, "wait"),
    "r095": ("spent", "UNSPENT", "MEDIUM", "investigate"),
    "r096": ("spent", "SPENT", None, "ok"),
    "r097": ("spent", "PENDING", "LOW", "monitor"),
    "r098": ("not in the store", "UNSPENT", "LOW", "unknown_proof"),
    "r099": ("not in the store", "SPENT", "LOW", "unknown_proof"),
    "r100": ("not in the store", "PENDING", "LOW", "unknown_proof"),
}


@attrs.frozen
class Scene:
    engine: Engine
    mint: SimulatedMint
    clock: FakeClock
    saying: Saying

    @property
    def store(self) -> Store:
        return self.engine.store

    def melt(self, amount: int = 700, **more: Any) -> Any:
        return self.engine.melt(
            npub=NPUB, mint_url=self.mint.url, invoice=invoice(amount, self.clock), **more
        )

    def prepare(self) -> Any:
        return self.engine.prepare_melt(npub=NPUB, mint_url=self.mint.url, invoice=invoice(700, self.clock))

    def look(self, **more: Any) -> Any:
        return self.engine.preflight(NPUB, self.mint.url, **more)

    def other_token(self, state: str) -> Token:
        """A token in a state that nothing of ours leads to yet, or with proofs of another owner."""
        spent_at = self.clock.now() if state == "spent" else None
        token = attrs.evolve(
            the_token(self.store), transaction_id=f"tx_other_{state}", state=state, spent_at=spent_at,
            proofs=(fake_proof(8, state),), total_amount=8,
        )  # fmt: skip
        Foreign(self.store).put(token)
        return token

    def states(self) -> set[str]:
        return {token.state for token in self.store.tokens(TokenQuery(npub=NPUB))}


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(*wallet(store))


def code_of(refused: pytest.ExceptionInfo[NutstateError]) -> str:
    return refused.value.code


def test_r081_every_pair_is_classified_per_proof(scene: Scene) -> None:
    """Every pair of what the store and what the mint say of a proof is classified, per proof."""
    scene.melt()
    scene.prepare()
    proofs = [proof for token in scene.store.tokens(TokenQuery(npub=NPUB)) for proof in token.proofs]
    assert scene.states() == {"unspent", "reserved", "spent"}
    for said in ("UNSPENT", "SPENT", "PENDING"):
        for token in scene.store.tokens(TokenQuery(npub=NPUB)):
            scene.saying.all_of(token, said)
        report = scene.look()
        assert report.proofs == sum(report.actions.values()) == len(proofs)


@pytest.mark.parametrize("name", ["tx_a_before", "tx_zz_after"])
def test_r082_the_most_severe_pair_wins(scene: Scene, name: str) -> None:
    """Where several pairs apply to one proof, the most severe wins."""
    token = the_token(scene.store)
    first = token.proofs[0]
    twice = attrs.evolve(
        token, transaction_id=name, state="spent", spent_at=scene.clock.now(),
        proofs=(first,), total_amount=first.amount,
    )  # fmt: skip
    if scene.store.url.startswith("mongodb"):
        with pytest.raises(DuplicateKeyError):  # an index keeps a proof from being in two tokens
            Foreign(scene.store).put(twice)
        return
    Foreign(scene.store).put(twice)
    scene.saying.all_of(twice, "SPENT")  # spent/SPENT is ok, unspent/SPENT is HIGH
    (found,) = scene.look().discrepancies
    assert (found.severity, found.token_id) == ("HIGH", token.transaction_id)


@pytest.mark.parametrize("rule", CELLS)
def test_r083_r084_r085_r086_r087_r088_r089_r090_r091_r092_r093_r094_r095_r096_r097_r098_r099_r100_cell(
    scene: Scene, rule: str
) -> None:
    """Each cell of the table: class and what happens."""
    held, said, severity, action = CELLS[rule]
    if held == "reserved by this":
        plan = scene.prepare()
        scene.saying.all_of(the_token(scene.store, "reserved"), said)
        try:
            found = scene.engine.confirm(plan.id, wait_s=2).state
        except NutstateError as error:
            found = error.code
        assert found == action
        return
    if held == "not in the store":
        token = attrs.evolve(the_token(scene.store), proofs=(fake_proof(8, "foreign"),))
        scene.saying.lies = {str(token.proofs[0].Y): [said]}
        token = attrs.evolve(token, proofs=(attrs.evolve(token.proofs[0], Y=None),))
        report = scene.look(proofs=token.proofs)
    else:
        if held == "reserved by another":
            scene.prepare()
            token = the_token(scene.store, "reserved")
        elif held == "spent":
            scene.melt()
            token = the_token(scene.store, "spent")
        else:
            token = the_token(scene.store) if held == "unspent" else scene.other_token(held)
        scene.saying.all_of(token, said)
        report = scene.look(sources=[token.transaction_id])
    assert set(report.actions) == {action}
    assert {found.severity for found in report.discrepancies} == {severity} - {None}


def test_r280_r281_r282_a_stranded_coin_is_looked_at(scene: Scene) -> None:
    """stranded: UNSPENT is for an operator, SPENT is corrected, PENDING is waited for (a cell each)."""
    assert {"r280", "r281", "r282"} <= CELLS.keys()
    scene.saying.all_of(scene.other_token("stranded"), "UNSPENT")
    assert scene.look().actions["operator"] == 1


def test_r084_a_spent_proof_is_split_off_and_corrected(scene: Scene) -> None:
    """unspent / SPENT: HIGH: block, split off and correct."""
    token = the_token(scene.store)
    first = token.proofs[0]
    scene.saying.lies = {str(first.Y): ["SPENT"]}
    scene.look(correct=True)
    balance = scene.engine.balance(NPUB)
    assert (balance.unspent, balance.of("spent")) == (2000 - first.amount, first.amount)


def test_r085_a_pending_proof_is_not_selected(scene: Scene) -> None:
    """unspent / PENDING: do not select, monitor."""
    scene.saying.all_of(the_token(scene.store), "PENDING")
    with pytest.raises(NutstateError):
        scene.melt()
    assert scene.states() == {"unspent"} and scene.look().counts["MEDIUM"] > 0


def test_r087_the_quote_is_asked_before_anything_is_decided(scene: Scene) -> None:
    """reserved by this operation / SPENT: ask the quote. PAID is followed to its end."""
    plan = scene.prepare()
    scene.mint.melt(scene.mint.url, data_in(plan.record).request_body)
    assert scene.engine.confirm(plan.id).state == "reconciled"


@pytest.mark.parametrize("said", ["UNSPENT", "SPENT", "PENDING"])
def test_r089_r090_r091_anothers_source_is_refused(scene: Scene, said: str) -> None:
    """reserved by another operation: refuse, whatever the mint says."""
    scene.prepare()
    token = the_token(scene.store, "reserved")
    scene.saying.all_of(token, said)
    with pytest.raises(NutstateError) as refused:
        scene.melt(5, sources=[token.transaction_id])
    assert code_of(refused) == "CONCURRENT_OPERATION"


def test_r095_a_spent_token_is_never_resurrected(scene: Scene) -> None:
    """spent / UNSPENT: MEDIUM: investigate, never resurrect."""
    scene.melt()
    spent = the_token(scene.store, "spent")
    scene.saying.all_of(spent, "UNSPENT")
    assert scene.look(correct=True).counts["MEDIUM"] == len(spent.proofs)
    assert scene.store.token(spent.transaction_id) == spent


MIXED = [
    (("SPENT", "PENDING", "UNSPENT"), ("SPENT",), (1, 1, 0), "ABORT_OPERATION"),
    (("UNSPENT", "PENDING"), ("UNSPENT",), (0, 2, 0), "PERFORM_FULL_RECONCILIATION"),
    (("UNSPENT", "PENDING"), ("PENDING",), (0, 1, 1), "MONITOR_DISCREPANCIES"),
    (("UNSPENT",), ("PENDING",), (0, 0, 1), "PROCEED"),
    (("UNSPENT",), ("SPENT",), (0, 0, 0), "PROCEED"),
]


@pytest.mark.parametrize(("unspent", "spent", "counts", "advice"), MIXED)
def test_r101_r103_r104_r105_r106_r107_counts_recommendation_and_code(
    scene: Scene, unspent: tuple[str, ...], spent: tuple[str, ...], counts: Any, advice: str
) -> None:
    """Counts of each severity; HIGH aborts, spent/UNSPENT asks for a full look, MEDIUM is monitored."""
    proofs = the_token(scene.store).proofs
    scene.saying.lies = {str(proof.Y): [said] for proof, said in zip(proofs, unspent, strict=False)}
    scene.saying.all_of(scene.other_token("spent"), spent[0])
    report = scene.look()
    assert tuple(report.counts[name] for name in ("HIGH", "MEDIUM", "LOW")) == counts
    assert report.recommendation == advice
    assert report.code == ("HIGH_SEVERITY_DISCREPANCIES" if counts[0] else None)


def test_r102_discrepancies_are_listed_by_y(scene: Scene) -> None:
    """The result of a pre-flight lists the discrepancies by Y, never by secret."""
    token = the_token(scene.store)
    scene.saying.all_of(token, "SPENT")
    report = scene.look()
    assert {found.Y for found in report.discrepancies} == {proof.Y for proof in token.proofs}
    told = repr(report) + str(report) + json.dumps(report.as_dict())
    assert not [proof for proof in token.proofs if proof.secret.reveal() in told]


def test_r108_a_melt_from_corrected_sources_is_blocked(scene: Scene) -> None:
    """MELT_BLOCKED_BY_RECONCILIATION: the melt may not start because of open discrepancies."""
    token = the_token(scene.store)
    scene.saying.lies = {str(max(token.proofs, key=lambda proof: proof.amount).Y): ["SPENT"]}
    scene.look(correct=True)
    with pytest.raises(NutstateError) as refused:
        scene.melt(1900, sources=[token.transaction_id])
    assert code_of(refused) == "MELT_BLOCKED_BY_RECONCILIATION"


def test_r108_a_melt_of_a_discrepant_operations_token_is_blocked(scene: Scene) -> None:
    """MELT_BLOCKED_BY_RECONCILIATION, until a person has looked at it."""
    token = the_token(scene.store)
    (minted,) = scene.engine.operations(kind="mint")
    Foreign(scene.store).put(attrs.evolve(minted.record, amount=minted.record.amount + 1))
    check = scene.engine.reconcile(minted.id).check_id
    assert check is not None
    with pytest.raises(NutstateError) as refused:
        scene.melt(5, sources=[token.transaction_id])
    assert code_of(refused) == "MELT_BLOCKED_BY_RECONCILIATION"
    assert refused.value.details["operations"] == [check]
    scene.engine.resolve(check, "looked at it")
    assert scene.melt(5, sources=[token.transaction_id]).is_paid


def test_r109_a_melt_whose_proofs_the_mint_contradicts(scene: Scene) -> None:
    """PROOF_STATE_INCONSISTENCY: the mint contradicts the chosen proofs."""
    scene.saying.all_of(the_token(scene.store), "SPENT")
    with pytest.raises(NutstateError) as refused:
        scene.melt()
    assert code_of(refused) == "PROOF_STATE_INCONSISTENCY"
