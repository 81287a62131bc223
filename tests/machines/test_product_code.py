"""The exploration runs the engine's own code: nothing of a kind is written a second time for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import attrs

import nutstate.engine.operations
from nutstate.engine.cashu.port import MintPort
from nutstate.engine.operations.built_in import BUILT_IN
from nutstate.machines.spec import State
from nutstate.review.explore import SETTINGS, explore
from nutstate.review.explore import stored as model_documents
from nutstate.review.explore.calls import STAND_INS
from nutstate.review.explore.code import Code, code_for, code_of
from nutstate.review.explore.moves import moves, start
from nutstate.review.explore.ports import TapedMint
from nutstate.review.explore.stored import REASONS_ASKED
from nutstate.storage.records import Operation
from tests.support.data import data_in


def _code() -> Code:
    return code_for(SETTINGS["pay"])


def test_every_action_and_effect_is_the_kind_s_own() -> None:
    """R511: actions, effects, facts and last looks are those of the kind; only what reads the audit trail has
    a stand-in, and one action does."""
    assert STAND_INS.keys() == {"reconcile"}
    for mine in _code().kinds:
        theirs = BUILT_IN.named(mine.name)
        assert mine.effects == theirs.effects and mine.facts is theirs.facts
        assert mine.operator_looks == theirs.operator_looks and mine.before_effects is theirs.before_effects
        own = {name: code for name, code in mine.actions.items() if name not in STAND_INS}
        assert own == {name: code for name, code in theirs.actions.items() if name not in STAND_INS}


def watch_only(op: Operation, declared: State) -> dict[str, int]:
    """Of an issue only how long it was watched is bounded."""
    return {"watched_ms": min(data_in(op).watched_ms, 2 * model_documents.LONG)}


def test_what_is_forgotten_of_times_changes_nothing() -> None:
    """R512: with every stored time kept the same edges are taken and the same ends reached, in more states."""
    for name, least in (("trust", 1.5), ("follow-up", 1.0)):
        forgetting = explore(SETTINGS[name])
        kept = attrs.evolve(SETTINGS[name], about="with every time")
        with (
            patch.object(model_documents, "_times_of_melt", lambda op, declared: {}),
            patch.object(
                model_documents,
                "_times_of_issue",
                lambda op, declared: {"watched_ms": min(data_in(op).watched_ms, 2 * model_documents.LONG)},
            ),
        ):
            code_of.cache_clear()
            keeping = explore(kept)
        code_of.cache_clear()
        assert keeping.violation is None and keeping.complete
        assert keeping.states >= least * forgetting.states
        assert keeping.transitions == forgetting.transitions
        assert {end for end, _ in keeping.ends} == {end for end, _ in forgetting.ends}


def _compared_reasons() -> Iterator[str]:
    """Codes with which code of the operations compares a stored reason."""
    for path in Path(nutstate.engine.operations.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare) or not ast.unparse(node.left).endswith("reason.code"):
                continue
            yield from (str(c.value) for c in node.comparators if isinstance(c, ast.Constant))


def test_reasons_that_decide_are_kept() -> None:
    """R513: the model keeps the stored reasons that code compares, but for one that only chooses words."""
    assert set(_compared_reasons()) - {"MINT_REFUSED"} == REASONS_ASKED | {"MINT_WILL_NOT_ISSUE"}


def test_every_call_of_the_mint_is_answered() -> None:
    """R514: the model's mint has every call of the port."""
    calls = {name for name in vars(MintPort) if not name.startswith("_")}
    assert {
        name for name in vars(TapedMint) if not name.startswith("_")
    } == calls | TapedMint.__annotations__.keys()


def test_a_step_runs_once_for_all_worlds_that_look_the_same_to_it() -> None:
    """R515: what a step gave is remembered; asked again the code does not run."""
    setting = attrs.evolve(SETTINGS["pay"], about="its own code")
    code_of.cache_clear()
    code = code_for(setting)
    world = start(code, setting)
    first = [(move.label, move.note) for move in moves(code, setting, world)]
    with patch.object(Code, "_expand", side_effect=AssertionError("the code ran again")):
        assert [(move.label, move.note) for move in moves(code, setting, world)] == first
