"""Counter-examples as text: one move per line, readable, and played again under any tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs import frozen

from .code import code_for
from .explore import Exploration, Step, stuck, verdict
from .moves import moves, start
from .setting import Setting, Tables
from .settings import SETTINGS

_SETTING, _BREAKS = "setting: ", "breaks: "
_NOTE_COLUMN = 48


class BadScript(ValueError):
    """The text is no script, or names an unknown setting."""


@frozen
class Replayed:
    """How a script ended. ``broken``: an invariant, ``what``, does not hold any more. ``held``: every line
    was played and all held. ``impossible``: under these tables line ``line`` cannot happen; ``possible``
    are the moves that can. ``steps`` are the lines that were played."""

    outcome: Literal["broken", "held", "impossible"]
    steps: tuple[Step, ...]
    line: int
    what: str = ""
    possible: tuple[str, ...] = ()


def written(found: Exploration) -> str:
    """The counter-example of an exploration as a script. ValueError when it found none."""
    if found.violation is None:
        raise ValueError(f"{found.setting.name}: every invariant holds")
    lines = [f"{_SETTING}{found.setting.name}", f"{_BREAKS}{found.violation.what}", ""]
    for step in found.violation.steps:
        lines.append(f"{step.label:<{_NOTE_COLUMN}}  # {step.note}" if step.note else step.label)
    return "\n".join(lines) + "\n"


def replay(script: str, tables: Tables | None = None, settings: Mapping[str, Setting] = SETTINGS) -> Replayed:
    """Play a script under ``tables`` (those of its setting by default) until an invariant breaks, a line
    cannot happen, or it ends. Text after ``#`` is not read. Raises :class:`BadScript`."""
    lines = [(n, line.partition("#")[0].strip()) for n, line in enumerate(script.splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line]
    if not lines or not lines[0][1].startswith(_SETTING):
        raise BadScript(f"the first line of a script is {_SETTING!r} and a name")
    name = lines[0][1].removeprefix(_SETTING).strip()
    if name not in settings:
        raise BadScript(f"no setting named {name!r}")
    setting = settings[name] if tables is None else attrs.evolve(settings[name], tables=tables)
    stays = any(line.startswith(f"{_BREAKS}I11") for _, line in lines)
    return _play(setting, [(n, line) for n, line in lines[1:] if not line.startswith(_BREAKS)], stays)


def _play(setting: Setting, lines: list[tuple[int, str]], stays: bool) -> Replayed:
    code = code_for(setting)
    world = start(code, setting)
    played: list[Step] = []
    number = 0
    for number, label in lines:
        found = {move.label: move for move in moves(code, setting, world)}
        move = found.get(label)
        if move is None:
            return Replayed("impossible", tuple(played), number, label, tuple(found))
        played.append(Step(move.label, move.note))
        wrong = verdict(setting, world, move)
        if wrong:
            return Replayed("broken", tuple(played), number, wrong)
        world = move.world
    wrong = stuck(setting, world) if stays else None
    return Replayed("broken" if wrong else "held", tuple(played), number, wrong or "")
