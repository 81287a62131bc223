"""A wallet on disk, a way to run commands on it, and a watch over everything they print."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import define, field, frozen
from click.testing import CliRunner

from nutstate.cli import app
from nutstate.engine.simulated.mint import SimulatedMint

NPUB = "npub1u9290c2mtammza7d4arqpls8pt82w93gmwt5g70n87zeha5r4qwscarf9g"
FUNDS = 1000
_SECRET_NAMES = {"secret", "r", "C", "C_", "preimage", "request_body", "witness"}


@frozen
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on standard output."""
        document: dict[str, Any] = json.loads(self.out)
        return document


@define
class Wallet:
    """A store, the simulated mint beside it, and all that was printed about them."""

    folder: Path
    printed: list[str] = field(factory=list)
    may_show_preimage: bool = False

    @property
    def file(self) -> Path:
        return self.folder / "wallet.db"

    @property
    def state(self) -> Path:
        return self.folder / "wallet.mint.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    def environment(self) -> dict[str, str]:
        return {"NUTSTATE_STORE": self.url, "NUTSTATE_NPUB": NPUB, "NUTSTATE_MINT": "https://mint.simulated"}

    def run(self, *args: str, stdin: str | None = None, env: Mapping[str, str | None] | None = None) -> Ran:
        """Run a command in this process; a variable that is None is not set."""
        result = CliRunner(env={**self.environment(), **(env or {})}).invoke(app, args, input=stdin)
        self.printed += [result.stdout, result.stderr]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def start(self, *args: str, program: tuple[str, ...] = ("-m", "nutstate")) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, *program, *args],
            env=os.environ | self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def process(self, *args: str) -> Ran:
        """Run a command as a process of its own, to its end."""
        process = self.start(*args)
        out, err = process.communicate(timeout=60)
        self.printed += [out, err]
        return Ran(process.returncode, out, err)

    def mint(self) -> SimulatedMint:
        """The same simulated mint, to be scripted. Close it."""
        return SimulatedMint(path=self.state)

    def invoice(self, amount: int = 100) -> str:
        with self.mint() as mint:
            return mint.lightning.invoice(amount).reveal()

    def fund(self) -> None:
        assert self.run("mint", str(FUNDS)).code == 0

    def worth(self) -> dict[str, int]:
        """Value by state."""
        rows = self.run("balance", "--json").json["wallets"]
        states: dict[str, int] = rows[0]["states"] if rows else {}
        return states

    def documents(self) -> Iterator[Any]:
        """Every JSON document in the store."""
        with sqlite3.connect(self.file) as db:
            for table, column in (("operations", "doc"), ("tokens", "proofs")):
                for (text,) in db.execute(f"SELECT {column} FROM {table}").fetchall():
                    yield json.loads(text)
        db.close()

    def secrets(self) -> set[str]:
        """Everything in the store that is money or opens it."""
        return set().union(*(_secrets(document, self.may_show_preimage) for document in self.documents()))


def _secrets(value: Any, preimage_is_fine: bool) -> set[str]:
    if isinstance(value, list):
        return set().union(*(_secrets(item, preimage_is_fine) for item in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, item in value.items():
        if isinstance(item, str) and name in _SECRET_NAMES and len(item) >= 32:
            if name != "preimage" or not preimage_is_fine:
                found.add(item)
        else:
            found |= _secrets(item, preimage_is_fine)
    return found


def dump(file: Path) -> str | None:
    """Everything in a SQLite file as text; None if there is no file."""
    if not file.exists():
        return None
    db = sqlite3.connect(file)
    try:
        return "\n".join(db.iterdump())
    finally:
        db.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Wallet]:
    """A wallet whose store does not exist yet. At the end nothing printed may hold a secret."""
    wallet = Wallet(tmp_path / "nuts")
    wallet.folder.mkdir()
    yield wallet
    structlog.reset_defaults()
    if wallet.file.exists():
        text = "\n".join(wallet.printed)
        assert not [secret for secret in wallet.secrets() if secret in text]


@pytest.fixture
def wallet(empty: Wallet) -> Wallet:
    """A wallet with 1000 sat of the simulated mint."""
    empty.fund()
    return empty
