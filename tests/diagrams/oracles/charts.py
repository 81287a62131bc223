"""XState configurations as XState itself runs them, in one Node.js program for any number of machines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.node import find_node, packages

from .expected import Answer, Question, Told

HERE = Path(__file__).parent / "xstate"
NODE_MIN = 18


def run(charts: Sequence[tuple[str, Sequence[Question]]]) -> list[Told]:
    """The answers of each configuration to its questions, all in one program."""
    node = find_node("XState", NODE_MIN)
    configs = [json.loads(text) for text, _ in charts]
    content = {
        "library": str(packages(node, "XState", HERE) / "xstate"),
        "charts": [
            {"config": config, "questions": [_asked(_Ids(config), q) for q in questions]}
            for config, (_, questions) in zip(configs, charts, strict=True)
        ],
    }
    ran = subprocess.run(
        [*node.node, str(HERE / "run.cjs")],
        input=json.dumps(content),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "", ran.stderr  # XState warns of configurations it doubts
    return [
        [(q, _answer(_Ids(config), said)) for q, said in zip(questions, answers, strict=True)]
        for config, (_, questions), answers in zip(configs, charts, json.loads(ran.stdout), strict=True)
    ]


class _Ids:
    """Our names of a configuration, by its identifiers and back."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.name_of = {short: state["meta"]["name"] for short, state in config["states"].items()}
        self.states = {name: short for short, name in self.name_of.items()}
        self.events = {told["name"]: short for short, told in config["meta"]["events"].items()}
        self.guards = {told["name"]: short for short, told in config["meta"]["guards"].items()}


def _asked(ids: _Ids, question: Question) -> dict[str, Any]:
    answers = {ids.guards[name]: value for name, value in question.answers.items() if name in ids.guards}
    return {"state": ids.states[question.state], "event": ids.events[question.event], "answers": answers}


def _answer(ids: _Ids, said: Mapping[str, Any]) -> Answer:
    meta = said["meta"] or {"outcome": "ignored"}
    return Answer(meta["outcome"], ids.name_of[said["state"]], meta.get("id"), tuple(said["effects"]))
