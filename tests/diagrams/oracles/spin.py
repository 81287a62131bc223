"""Promela models as SPIN explores them: every case it meets, and what it says of the properties."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from nutstate.diagrams.exports.names import event_identifiers, guard_identifiers, state_identifiers
from nutstate.machines.spec import Machine

from .expected import Answer, Question, Told
from .presence import not_run

_CASE = re.compile(r"((?:g_\w+=[01] )*)case s_(\w+) e_(\w+) -> (\w+) s_(\w+) (\d+)")
_COMPILED = ("-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=512")


@frozen
class Verifier:
    """A compiled model."""

    program: Path

    def run(self, *options: str) -> str:
        """What it writes: the cases if it was compiled to, then the errors and numbers."""
        ran = subprocess.run(
            [self.program, "-m100000", *options],
            cwd=self.program.parent,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "errors:" in ran.stdout, ran.stdout + ran.stderr
        assert "max search depth too small" not in ran.stdout, ran.stdout
        return ran.stdout

    def errors(self, *options: str) -> int:
        """How many errors it finds; it stops at the first."""
        found = re.search(r"errors: (\d+)", self.run(*options))
        assert found
        return int(found[1])


def require_spin() -> None:
    """Nothing if there are ``spin`` and a C compiler, else as in ``not_run``."""
    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            not_run("SPIN", f"there is no {program} (Debian: apt-get install spin gcc libc6-dev)")


def compiled(text: str, folder: Path, *defined: str, claims: bool = False) -> Verifier:
    """The model as a program. ``defined``: names for its preprocessor, as ``"MOVES"``."""
    require_spin()
    folder.mkdir()
    (folder / "model.pml").write_text(text, encoding="utf-8")
    _done([shutil.which("spin"), *(f"-D{name}" for name in defined), "-a", "model.pml"], folder)
    extra = () if claims else ("-DNOCLAIM", "-DPRINTF")
    _done(["gcc", *_COMPILED, *extra, "-o", "pan", "pan.c"], folder)
    return Verifier(folder / "pan")


def cases(machine: Machine[Any], said: str) -> Told:
    """The cases in what a verifier wrote, each once, in the machine's own names."""
    states, events = _back(state_identifiers(machine)), _back(event_identifiers(machine))
    guards = _back(guard_identifiers(machine))
    found = []
    for line in dict.fromkeys(line for line in said.splitlines() if "case " in line):
        match = _CASE.fullmatch(line)
        assert match, line
        given, state, event, outcome, dest, number = match.groups()
        answers = {guards[name]: value == "1" for name, value in re.findall(r"g_(\w+)=([01])", given)}
        transition = machine.transitions[int(number) - 1].id if number != "0" else None
        found.append(
            (Question(states[state], events[event], answers), Answer(outcome, states[dest], transition))
        )
    return found


def _back(ids: Mapping[str, str]) -> dict[str, str]:
    return {short: name for name, short in ids.items()}


def _done(command: list[Any], folder: Path) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "rror" not in ran.stdout, ran.stdout
