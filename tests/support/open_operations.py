"""Many open operations in a store, quickly made, and ways to watch a recovery of them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nutstate.engine.tokens.token_ids import minted_id
from nutstate.storage.port import Note, TakeLease
from nutstate.storage.records import Operation
from nutstate.storage.testing.records import MINT, FaultyStore, batch_for, make_operation, make_token

from .wallet import NPUB

SOURCES = Path(__file__).parents[2]


def begun(number: int, prefix: str = "tx-begun", mint_url: str = MINT, due_at: int = 1) -> list[Any]:
    """Batches of fundings whose program died before the mint was asked: to end one is one commit."""
    made = []
    for n in range(number):
        name = f"{prefix}-{n:06}"
        op = make_operation(
            name, kind="mint", state="requested", method="bolt11", npub=NPUB, mint_url=mint_url,
            next_check_at=due_at + n,
        )  # fmt: skip
        token = make_token(
            minted_id(name), state="awaiting", transaction_type="minted", npub=NPUB, mint_url=mint_url,
            reserved_by=name,
        )  # fmt: skip
        made.append(batch_for(op, tokens=[token]))
    return made


class Watched(FaultyStore):
    """A store that counts the operations that it gave and that the caller still holds."""

    def __init__(self, store: Any, refuse: Sequence[str] = ()) -> None:
        super().__init__(store)
        self.peak, self.held = 0, 0
        self.taken: Counter[str] = Counter()
        self._refuse = tuple(refuse)
        self._there: dict[int, Any] = {}
        self._number = itertools.count()
        self._counted = threading.RLock()

    def live_operations(
        self, due_before: int, limit: int, after: tuple[int, str] | None = None
    ) -> Sequence[Operation]:
        found = super().live_operations(due_before, limit, after)
        for op in found:
            self._hold(op)
        return found

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        op = super().operation(operation_id, home)
        return op if op is None else self._hold(op)

    def note(self, note: Note) -> Operation | None:
        if isinstance(note, TakeLease):
            if note.operation_id.startswith(self._refuse or ("\0",)):
                raise RuntimeError("scripted")
            self.taken[note.operation_id] += 1
        op = super().note(note)
        return op if op is None else self._hold(op)

    def _hold(self, op: Operation) -> Operation:
        with self._counted:
            self.held += 1
            self.peak = max(self.peak, self.held)
            key = next(self._number)
            self._there[key] = weakref.ref(op, partial(self._let_go, key))
        return op

    def _let_go(self, key: int, _: object) -> None:
        with self._counted:
            self.held -= 1
            self._there.pop(key, None)


_PROGRAM = """
import sys
from nutstate import Engine, SimulatedMint, Settings, configure_logging, open_store
from tests.support.open_operations import Counting

url, mint_file, log, workers = sys.argv[1:]
configure_logging("off")
with open_store(url) as store, SimulatedMint(path=mint_file) as mint:
    engine = Engine(store, Counting(mint, log), settings=Settings(poll_min_s=0.01))
    print("ready", flush=True)
    sys.stdin.readline()
    found = engine.recover(force=True, workers=int(workers))
    print(found.numbers.ended, flush=True)
"""


class Counting:
    """A mint port that writes the name of every quote it asks about into a file, which processes share."""

    def __init__(self, mint: Any, log: str) -> None:
        self._inner = mint
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name != "mint_quote_state":
            return there

        def call(mint_url: str, quote_id: str) -> Any:
            os.write(self._log, f"{quote_id}\n".encode())
            return there(mint_url, quote_id)

        return call


def recovering(url: str, mint_file: Path, log: Path, workers: int) -> subprocess.Popen[str]:
    """A process that recovers everything as soon as a line is written to it."""
    program = [sys.executable, "-c", _PROGRAM, url, str(mint_file), str(log), str(workers)]
    path = os.pathsep.join([str(SOURCES / "src"), str(SOURCES)])
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SOURCES,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
