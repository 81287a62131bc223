"""A kind of one's own whose action only reads back: its event is part of the commit that it looks at."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from attrs import frozen

from nutstate import Engine, SimulatedMint, open_store
from nutstate.kinds import (
    BUILT_IN,
    Foreseen,
    Happened,
    Kind,
    KindInvalid,
    Look,
    NotAsWritten,
    ReadBack,
    Result,
    Run,
)
from nutstate.machines.spec import NONE, Action, Event, Machine, State, edges
from nutstate.review.lint import lint
from tests.support.wallet import NPUB

LIMIT = 100


@frozen(kw_only=True)
class NoFacts:
    """Nothing is asked."""


NOTE: Machine[NoFacts] = Machine(
    name="note",
    version=1,
    facts=NoFacts,
    good_path=(NONE, "written", "agreed"),
    actions=(Action("compare", "read the note back and compare it", reads_back=True),),
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("written", "it is stored", action="compare", absorbs=("recover",)),
        State("agreed", "it is as it was meant", kind="final", ends="good", absorbs=("recover",)),
        State("doubtful", "it is not as it was meant", kind="final", ends="lost", absorbs=("recover",)),
    ),
    events=(
        Event("write", "a caller writes it", "caller"),
        Event("agrees", "it is as it was meant", "engine"),
        Event("differs", "it is not as it was meant", "engine"),
        Event("recover", "a restart found the operation", "restart"),
    ),
    transitions=(
        *edges("1", "write", NONE, "written", reason="a caller writes it"),
        *edges("2", "agrees", "written", "agreed", reason="it is as it was meant"),
        *edges("3", "differs", "written", "doubtful", reason="it is not as it was meant"),
    ),
)


def compare(run: Run) -> Result:
    found = run.store.operation(run.operation.id, run.operation.npub)
    return Happened("agrees" if found is not None and found.amount <= LIMIT else "differs")


def foresee(run: Run) -> Foreseen:
    name, npub = run.operation.id, run.operation.npub

    def check(reader: Any) -> None:
        found = reader.operation(name, npub)
        if found is None or (found.state, found.amount <= LIMIT) != ("agreed", True):
            raise NotAsWritten("the amount is beyond the limit")

    return Foreseen(Happened("agrees"), ReadBack((), check))


def note_kind(**more: Any) -> Kind[NoFacts]:
    def facts(look: Look) -> NoFacts:
        return NoFacts()

    given: dict[str, Any] = {"machines": (NOTE,), "foresees": {"compare": foresee}} | more
    return Kind(facts=facts, actions={"compare": compare}, **given)


@pytest.mark.parametrize(("amount", "commits"), [(LIMIT, [2]), (LIMIT + 1, [1, 1])])
def test_r629_an_own_action_that_reads_back(amount: int, commits: list[int]) -> None:
    """R629: what the action will find is proven inside the commit; when it is not so, the state is committed
    alone and the action runs then. The result is the same as without the facet."""
    for facet in (True, False):
        word = attrs.evolve(NOTE.actions[0], reads_back=facet)
        kinds = BUILT_IN | note_kind(machines=(attrs.evolve(NOTE, actions=(word,)),))
        with open_store("memory://", kinds=kinds) as store, SimulatedMint() as mint:
            engine = Engine(store, mint, kinds=kinds)
            note = engine.start("note", npub=NPUB, mint_url=mint.url, amount=amount)
            assert note.state == ("agreed" if amount <= LIMIT else "doubtful")
            found = [record.batch_id for record in note.audit()]
            counted = [found.count(name) for name in dict.fromkeys(found)]
            assert counted == (commits if facet else [1, 1]) and engine.verify_audit().holds


def test_r629_a_word_that_reads_back_needs_its_foresight() -> None:
    """R629: the kind is refused when it is made, and the sentence says what to add."""
    with pytest.raises(KindInvalid, match=r"'compare' of note@1 reads back.*add it to foresees"):
        note_kind(foresees={})
    assert not [finding for finding in lint((NOTE,)) if finding.severity == "error"]
