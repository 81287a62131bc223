"""Every edge of the token machine through every store, each in a commit of its own operation, each guard
failing alone before it; and every event that a state does not accept. What is refused leaves every stored
byte as it was, and nothing staged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError, SimulatedMint, Store
from nutstate.engine.loop import draft as drafts
from nutstate.engine.loop.draft import Draft
from nutstate.engine.loop.drive import Happened, Run
from nutstate.engine.loop.evidence import Evidence
from nutstate.machines import TOKEN
from nutstate.machines.spec import NONE, Transition
from nutstate.machines.step import step
from nutstate.review.kit import cells, matrix, switched
from nutstate.storage.port import AuditQuery, TokenQuery
from nutstate.storage.records import Policy, Proof, Token, TokenMetadata
from tests.engine.edge_checks import Forced, guards_of
from tests.engine.edge_places import Place, opened
from tests.engine.edge_scenes import melt_scene
from tests.engine.edge_walks import SETTINGS, new_run
from tests.support.clock import FakeClock
from tests.support.everything import Everything, everything
from tests.support.stores import STORES
from tests.support.wallet import NPUB, fake_proof

PROOFS = tuple(fake_proof(amount, f"token-{amount}") for amount in (4, 2, 1))
CARRIER = ("request", "quote_received", "cancel")
BIRTHS = {edge.event for edge in TOKEN.transitions if edge.source == NONE}
TYPE = {"expect": "minted", "hand_out": "sent", "deposit_reserved": "change"}
FACTS: dict[str, dict[str, Any]] = {
    "import_spent": {"from_migration": True},
    "fail": {"mint_cannot_issue": True},
    "release": {"release": "nothing_sent"},
    "spend": {"consumption": "paid"},
    "reclaim": {"consumption": "swapped"},
    "correct_spent": {"mint_spent_count": len(PROOFS)},
    "claim": {"mint_spent_count": len(PROOFS)},
    "strand": {"mint_refuses": True},
    "write_off": {"consumption": "written_off"},
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


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(request, tmp_path_factory.mktemp("tokens")) as found:
        yield found


@pytest.fixture
def store(place: Place) -> Store:
    return place.empty()


def scene_facts(edge: Transition[Any]) -> dict[str, Any]:
    """What the engine would say for this event; a new edge that needs more is named."""
    assert edge.event in KNOWN, f"no scene for edge {edge.id} of token@{TOKEN.version}"
    return FACTS.get(edge.event, {})


KNOWN = {
    "expect", "deposit", "deposit_reserved", "import_spent", "hand_out", "issue", "fail", "reserve", "split",
    "release", "spend", "correct_spent", "claim", "reclaim", "strand", "retry",
    "write_off",
}  # fmt: skip


def test_every_edge_has_a_scene() -> None:
    taken = {row.decision.transition for row in cells(TOKEN)} - {None}
    assert taken == {edge.id for edge in TOKEN.transitions}
    for edge in TOKEN.transitions:
        scene_facts(edge)
        assert path_to(edge)[-1] is edge
    with pytest.raises(AssertionError, match=r"no scene for edge 99\.melt\.unspent of token@1"):
        scene_facts(Transition("99.melt.unspent", "melt", "unspent", "spent"))


@pytest.mark.parametrize("edge", TOKEN.transitions, ids=lambda edge: edge.id)
def test_every_token_edge(place: Place, edge: Transition[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.empty()
    engine, run, clock = carried(store)
    for n, taken in enumerate(path_to(edge)):
        carry(engine, run, clock, CARRIER[n])
        if taken is edge:
            failing_alone(place, run, edge, monkeypatch)
        before = everything(store)
        apply(run, taken)
        engine._driver.commit(run)
        check_written(taken, run, before, everything(store))
        token = store.token("token-under-test")
        assert token is not None and (token.state, token.version) == (taken.dest, n + 1)
        trail = store.audit(AuditQuery(entity="token:token-under-test"))
        assert len(trail) == n + 1 and trail[-1].transition == taken.id
        assert (token.spent_at is not None) == (token.state == "spent")
        assert (token.reserved_by == run.operation.id) == (
            token.state in ("reserved", "awaiting", "stranded") or taken.event == "spend"
        )
    assert engine.verify_audit().holds
    held = store.tokens(TokenQuery(npub=NPUB))
    secrets = [proof.secret for token in held for proof in token.proofs]
    assert len(secrets) == len(set(secrets))


def check_written(edge: Transition[Any], run: Run, before: Everything, after: Everything) -> None:
    """One commit: a record of the operation that carries it, one of this edge, one of what is split off."""
    own = [record for name, record in after.audit.items() if name not in before.audit]
    assert len({record.batch_id for record in own}) == 1
    entities = sorted(record.entity for record in own)
    parts = ["token:token-split-off"] if edge.event == "split" else []
    assert entities == sorted([f"operation:{run.operation.id}", "token:token-under-test", *parts])
    record = next(record for record in own if record.entity == "token:token-under-test")
    assert (record.transition, record.event, record.from_state, record.to_state) == (
        edge.id, edge.event, edge.source, edge.dest,
    )  # fmt: skip
    assert all(after.audit[name] == record for name, record in before.audit.items())
    if edge.event not in BIRTHS and edge.event != "issue":  # money only enters by being born or issued
        assert after.owners.keys() == before.owners.keys()


FORCED = Forced(TOKEN)
SWITCHED = switched(TOKEN)


def failing_alone(place: Place, run: Run, edge: Transition[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn each guard of the edge round, one at a time: refused with its code, and nothing staged."""
    before, staged = place.content(), run.draft.batch()
    with monkeypatch.context() as patched:
        patched.setattr(drafts.Draft, "token_machine", FORCED.machine)
        for guard in guards_of(edge):
            with FORCED.failing(edge, guard), pytest.raises(NutstateError) as refused:
                apply(run, edge)
            answers = {g.name: (g in edge.requires) != (g is guard) for g in guards_of(edge)}
            wanted = step(SWITCHED, edge.source, edge.event, answers)
            assert wanted.outcome == "refused"
            assert refused.value.details["refusals"] == [refusal.code for refusal in wanted.refusals]
            assert guard.code in refused.value.details["refusals"]
            assert run.draft.batch() == staged, f"{edge.id} without {guard.name} staged something"
            assert place.content() == before


@pytest.mark.parametrize("state", [state.name for state in TOKEN.states])
def test_what_a_token_state_does_not_accept_changes_nothing(place: Place, state: str) -> None:
    """Every event without an edge here, and every edge's event with facts that permit nothing."""
    engine, run, clock = carried(place.empty())
    into = next((edge for edge in TOKEN.transitions if edge.dest == state != edge.source), None)
    path = path_to(into) if into is not None else []
    for n, taken in enumerate(path):
        carry(engine, run, clock, CARRIER[n])
        apply(run, taken)
        engine._driver.commit(run)
    carry(engine, run, clock, CARRIER[len(path)])
    before, staged = place.content(), run.draft.batch()
    for cell in matrix(TOKEN):
        if cell.state != state:
            continue
        with pytest.raises(NutstateError) as refused:
            attempt(run, state, cell.event)
        undefined = refused.value.code == "UNDEFINED_TRANSITION"
        assert undefined == (not cell.edges), cell.event
        assert run.draft.batch() == staged, f"{cell.event} in {state} staged something"
        assert place.content() == before
    # and what was staged beside it is committed as if nothing had been tried
    engine._driver.commit(run)
    token = run.store.token("token-under-test")
    assert (token.state if token else NONE) == state


def attempt(run: Run, state: str, event: str) -> None:
    """The event with facts that permit nothing."""
    nobody: dict[str, Any] = {"operation_id": None, "operation_owner": None, "proof_count": -1, "type": ""}
    if state == NONE:
        run.draft.create_token(event, born(run, event), run.now(), **nobody)
    else:
        run.draft.change_token("token-under-test", event, run.now(), **nobody)


def test_cases_on_this_store(place: Place, request: pytest.FixtureRequest) -> None:
    """Tells how many cases the tests above are made of; each of them does all of its own."""
    kind = request.node.callspec.params["place"]
    asked = sum(len(guards_of(edge)) for edge in TOKEN.transitions)
    empty = sum(not cell.edges for cell in matrix(TOKEN))
    line = f"token@{TOKEN.version}: {len(TOKEN.transitions)} edges accepted, {asked} guards failing alone"
    request.node.user_properties.append(("table", f"edges through {kind}: {line}, {empty} undefined"))
    assert empty == len(TOKEN.states) * len(TOKEN.events) - len(TOKEN.cells)


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
