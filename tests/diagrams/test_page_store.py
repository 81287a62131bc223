"""What the page takes from a store: the steps of a trail, and counts of one moment."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from nutstate import Store, open_store
from nutstate.diagrams.page import counted, trail_of
from nutstate.engine.simulated import faults
from nutstate.machines.registry import latest
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import AuditRecord, Operation
from tests.support.wallet import NPUB, funded, invoice

MELT, TOKEN = latest("melt"), latest("token")


def melted(store: Store, fault: object = None) -> tuple[Operation, tuple[AuditRecord, ...]]:
    engine, mint, clock = funded(store)
    if fault is not None:
        mint.faults.next("melt", faults.ANSWER_LOST)
    handle = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=20)
    return handle.record, handle.audit()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/wallet.db"
    opened = open_store(url)
    request.addfinalizer(opened.close)
    return opened


def test_every_record_is_in_exactly_one_step(store: Store) -> None:
    op, records = melted(store, fault=True)
    trail = trail_of(op, records, (MELT, TOKEN), verified=True)
    told = [step["own"] for step in trail.steps if step["own"]]
    assert [one["event"] for one in told] == [r.event for r in records if r.entity == f"operation:{op.id}"]
    shown = [
        one["seq"] for step in trail.steps for one in ([step["own"]] if step["own"] else []) + step["tokens"]
    ]
    assert shown == [record.seq for record in records]
    for step in trail.steps:
        assert step["own"] is not None
        assert {token["batch"] for token in step["tokens"]} <= {step["own"]["batch"]}
    prepared = next(step for step in trail.steps if step["own"]["to"] == "prepared")
    assert [token["event"] for token in prepared["tokens"]] == ["split", "deposit", "reserve"]
    assert json.loads(json.dumps(trail.as_model()))["machine"] == "melt"


def test_tokens_that_come_first_stand_beside_what_follows(store: Store) -> None:
    op, records = melted(store)
    own = next(r for r in records if r.entity.startswith("operation:"))
    token = next(r for r in records if r.entity.startswith("token:"))

    def steps(*plan: tuple[AuditRecord, str]) -> list[tuple[bool, int]]:
        made = [attrs.evolve(r, seq=seq, batch_id=batch) for seq, (r, batch) in enumerate(plan, 1)]
        trail = trail_of(op, made[::-1], (), verified=False)
        return [(step["own"] is not None, len(step["tokens"])) for step in trail.steps]

    assert steps((token, "a"), (token, "a"), (own, "a"), (token, "a")) == [(True, 3)]
    assert steps((own, "a"), (token, "b"), (own, "c")) == [(True, 0), (False, 1), (True, 0)]
    assert steps((own, "a"), (own, "a"), (token, "a")) == [(True, 0), (True, 1)]
    assert steps() == []


def test_verdicts_are_in_the_order_of_asking_with_what_was_wanted(store: Store) -> None:
    op, records = melted(store)
    chosen = next(r for r in records if r.event == "inputs_chosen")
    edge = next(edge for edge in MELT.transitions if edge.id == chosen.transition)
    (step,) = trail_of(op, [chosen], (MELT,), verified=True).steps
    assert step["own"]["verdicts"] == [[edge.id, guard.name, True, True] for guard in edge.requires]
    stranger = attrs.evolve(chosen, machine="melt@99")
    (step,) = trail_of(op, [stranger], (MELT,), verified=True).steps
    assert {wanted for _, _, wanted, _ in step["own"]["verdicts"]} == {None}
    assert sorted(guard for _, guard, _, _ in step["own"]["verdicts"]) == sorted(
        g.name for g in edge.requires
    )


def test_counts_are_of_one_moment(store: Store) -> None:
    melted(store)
    with store.snapshot() as reader:
        counts = counted(reader, store=store.url, at=17)
        tokens = store.tokens(TokenQuery(limit=1000))
        assert sum(counts.numbers["token"].values()) == len(tokens) > 2
    assert counts.numbers["melt"] == {"reconciled": 1} and counts.at == 17
    assert counts.worth["sat"] == {
        state: sum(token.total_amount for token in tokens if token.state == state)
        for state in sorted({token.state for token in tokens})
    }


def test_counts_go_on_behind_a_full_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    melted(store)
    with store.snapshot() as reader:
        whole = counted(reader, store="", at=0)
        monkeypatch.setattr("nutstate.diagrams.page.counts._PAGE", 1)
        told: list[int] = []
        assert counted(reader, store="", at=0, progress=told.append) == whole
    assert told == list(range(1, sum(whole.numbers["token"].values()) + 1))


def test_an_empty_store_has_nothing_to_count(store: Store) -> None:
    with store.snapshot() as reader:
        counts = counted(reader, store="", at=0)
    assert (counts.numbers, counts.worth) == ({}, {})
