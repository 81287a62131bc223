"""Every edge of the token machine through every store, each in a commit of its own operation; and what
the table refuses leaves the store as it was."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, SimulatedMint, Store
from nutstate.engine.draft import Draft
from nutstate.engine.evidence import Evidence
from nutstate.engine.run import Happened, Run
from nutstate.machines import TOKEN
from nutstate.machines.spec import NONE, Transition
from nutstate.storage.port import AuditQuery, TokenQuery
from nutstate.storage.records import Policy, Proof, Token, TokenMetadata
from tests.engine.edge_scenes import melt_scene
from tests.engine.test_edges import SETTINGS, everything, new_run
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, fake_proof

PROOFS = tuple(fake_proof(amount, f"token-{amount}") for amount in (4, 2, 1))
CARRIER = ("request", "quote_received", "cancel")
TYPE = {"expect": "minted", "hand_out": "sent", "deposit_reserved": "change"}
FACTS: dict[str, dict[str, Any]] = {
    "import_spent": {"from_migration": True},
    "fail": {"mint_cannot_issue": True},
    "release": {"release": "nothing_sent"},
    "spend": {"consumption": "paid"},
    "reclaim": {"consumption": "swapped"},
    "correct_spent": {"mint_spent_count": len(PROOFS)},
    "claim": {"mint_spent_count": len(PROOFS)},
}


def path_to(edge: Transition[Any]) -> list[Transition[Any]]:
    queue: deque[list[Transition[Any]]] = deque([[]])
    while queue:
        path = queue.popleft()
        if (path[-1].dest if path else NONE) == edge.source:
            return [*path, edge]
        for nxt in TOKEN.transitions:
            if nxt.source == (path[-1].dest if path else NONE) and nxt.dest != nxt.source and len(path) < 3:
                queue.append([*path, nxt])
    raise AssertionError(edge.id)


def born(run: Run, event: str) -> Token:
    op = run.operation
    kind = TYPE.get(event, "received")
    proofs: tuple[Proof, ...] = () if event == "expect" else PROOFS
    return Token(
        "token-under-test",
        op.npub,
        op.wallet_id,
        op.mint_url,
        op.unit,
        kind,
        NONE,
        0,
        proofs,
        sum(p.amount for p in proofs),
        TokenMetadata("change" if kind == "change" else "p2p", op.id if kind == "change" else None),
        run.now(),
        run.now(),
        reserved_by=op.id if event in ("expect", "deposit_reserved") else None,
    )


def apply(run: Run, edge: Transition[Any]) -> None:
    draft, now = run.draft, run.now()
    facts = FACTS.get(edge.event, {})
    if edge.source == NONE:
        draft.create_token(edge.event, born(run, edge.event), now, **facts)
    elif edge.event == "issue":
        draft.fill_token("token-under-test", PROOFS, now)
    elif edge.event == "split":
        token = draft.token("token-under-test")
        moved = token.proofs[:1]
        draft.split_token("token-under-test", moved, now)
        part = attrs.evolve(
            born(run, "deposit"),
            transaction_id="token-split-off",
            proofs=moved,
            total_amount=moved[0].amount,
        )
        draft.create_token("deposit", part, now, moved_from={"token-under-test": moved})
    else:
        draft.change_token("token-under-test", edge.event, now, **facts)


def carried(store: Store) -> tuple[Engine, Run, FakeClock]:
    clock = FakeClock()
    engine = Engine(store, SimulatedMint(now_ms=clock.now), clock=clock, settings=SETTINGS)
    return engine, new_run(engine, clock, "melt", Policy()), clock


def carry(engine: Engine, run: Run, clock: FakeClock, event: str) -> None:
    """A transition of the operation that the token's commit belongs to."""
    edge = next(t for t in run.draft.machine.transitions if t.event == event)
    evidence = melt_scene(edge)(run, clock, edge) if event != "cancel" else Evidence()
    assert engine._driver.take(run, Happened(event, evidence))


@pytest.mark.parametrize("edge", TOKEN.transitions, ids=lambda edge: edge.id)
def test_every_token_edge(store: Store, edge: Transition[Any]) -> None:
    engine, run, clock = carried(store)
    for n, step in enumerate(path_to(edge)):
        carry(engine, run, clock, CARRIER[n])
        apply(run, step)
        engine._driver.commit(run)
        token = store.token("token-under-test")
        assert token is not None and (token.state, token.version) == (step.dest, n + 1)
        trail = store.audit(AuditQuery(entity="token:token-under-test"))
        assert len(trail) == n + 1 and trail[-1].transition == step.id
        assert (token.spent_at is not None) == (token.state == "spent")
        assert (token.reserved_by == run.operation.id) == (
            token.state in ("reserved", "awaiting") or step.event == "spend"
        )
    held = store.tokens(TokenQuery(npub=NPUB))
    secrets = [proof.secret for token in held for proof in token.proofs]
    assert len(secrets) == len(set(secrets))


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("deposit", "melted token", {"transaction_type": "melted"}, "MELTED_FORBIDDEN"),
    ("deposit", "change without parent", {"transaction_type": "change"}, "CHANGE_WITHOUT_PARENT"),
    ("deposit", "wrong total", {"total_amount": 8}, "TOTAL_MISMATCH"),
    ("deposit", "no proofs", {"proofs": (), "total_amount": 0}, "NO_PROOFS"),
    ("deposit", "twice", {"proofs": (PROOFS[0], PROOFS[0]), "total_amount": 8}, "DUPLICATE_SECRET"),
    ("import_spent", "change born spent", {"transaction_type": "change"}, "CHANGE_BORN_SPENT"),
    ("import_spent", "not a migration", {}, "NOT_FROM_MIGRATION"),
    ("hand_out", "not sent", {"transaction_type": "received"}, "NOT_SENT_TYPE"),
    ("expect", "not minted", {"transaction_type": "received"}, "NOT_MINTED_TYPE"),
    ("deposit_reserved", "nobody's", {"reserved_by": None}, "NOT_RESERVED"),
]


@pytest.mark.parametrize(("event", "what", "change", "code"), BAD, ids=[row[1] for row in BAD])
def test_what_may_not_be_born(store: Store, event: str, what: str, change: dict[str, Any], code: str) -> None:
    engine, run, clock = carried(store)
    carry(engine, run, clock, "request")
    engine._driver.commit(run)
    before = everything(store)
    carry(engine, run, clock, "quote_received")
    with pytest.raises(NutstateError) as refused:
        run.draft.create_token(event, attrs.evolve(born(run, event), **change), run.now())
    assert code in refused.value.details["refusals"]
    assert everything(store) == before


def test_another_operation_frees_nothing(store: Store) -> None:
    engine, run, clock = carried(store)
    carry(engine, run, clock, "request")
    run.draft.create_token("deposit", born(run, "deposit"), run.now())
    engine._driver.commit(run)
    carry(engine, run, clock, "quote_received")
    run.draft.change_token("token-under-test", "reserve", run.now())
    engine._driver.commit(run)
    other = new_run(engine, clock, "melt", Policy())
    other.draft = Draft(
        other.draft.machine, attrs.evolve(other.operation, id="tx_other_operation"), False, "x"
    )
    token = store.token("token-under-test")
    assert token is not None
    other.draft.load([token])
    for event, facts in (("release", {"release": "nothing_sent"}), ("spend", {"consumption": "paid"})):
        with pytest.raises(NutstateError) as refused:
            other.draft.change_token("token-under-test", event, other.now(), **facts)
        assert refused.value.code == "NOT_RESERVED"
