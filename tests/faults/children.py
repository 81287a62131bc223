"""Client processes that can be killed, and the program they run: ``python -m tests.faults.children``.

They talk in lines of JSON. What a client printed, it had been told: the pipe outlives it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import define, field

from nutstate.storage.mongo.gateway import Transaction
from nutstate.storage.mongo.store import MongoStore

from .footprint import Footprint
from .history import History, Sent
from .load import PATIENCE_S, Writers, mongo_store
from .rivals import everything_of, rival, settled

REPOSITORY = Path(__file__).resolve().parents[2]


class Child:
    """``with Child("load", url, "seed") as child:`` killed at the end if it still runs."""

    def __init__(self, *words: str) -> None:
        self.said: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__, *words],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # the last words of a killed one may be cut
                word = json.loads(line)
                self.said.append(word)
                self._lines.put(word)
        self._lines.put(None)

    def hear(self) -> dict[str, Any]:
        """The next thing it says."""
        word = self._lines.get(timeout=PATIENCE_S)
        assert word is not None, "the client ended"
        return word

    def tell(self, **words: Any) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """``kill -9``; returns when it is gone and everything it said was heard."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


def heard(child: Child, history: History) -> None:
    """Enter into ``history`` what a killed load client said about its batches."""
    known: dict[str, Sent] = {}
    for word in child.said:
        if word["said"] == "begin":
            mark = Footprint.from_json(word["mark"])
            known[mark.batch] = history.begin(mark, word["expected"])
        elif word["said"] == "end":
            sent = known[word["batch"]]
            sent.outcome, sent.why, sent.at = word["outcome"], word["why"], word["at"]
    for sent in known.values():
        if not sent.resolved:
            sent.outcome = "dead"


# -- inside the process ------------------------------------------------------------------------------


def say(**words: Any) -> None:
    """One line, at once."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


@define(eq=False)
class SpokenHistory(History):
    """Says everything before it goes on."""

    _mouth: threading.Lock = field(factory=threading.Lock)

    def told(self, sent: Sent) -> None:
        """See :class:`History`."""
        with self._mouth:
            if sent.resolved:
                say(said="end", batch=sent.mark.batch, outcome=sent.outcome, why=sent.why, at=sent.at)
            else:
                say(said="begin", mark=sent.mark.to_json(), expected=sent.expected)


class HangingGateway:
    """A gateway whose client hangs between the writes of a transaction and its commit."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def transaction(self, work: Callable[[Transaction], None]) -> None:
        """As the gateway's, but says ``inside`` and waits to be killed."""

        def hanging(transaction: Transaction) -> None:
            work(transaction)
            say(said="inside")
            time.sleep(PATIENCE_S)

        self._gateway.transaction(hanging)


def hang(store: MongoStore) -> None:
    """Reserve, claim and index everything that others want, and never commit it."""
    gateway: Any = HangingGateway(store._gateway)
    store._gateway = gateway
    store.commit(everything_of(store, "dead"))


def write(store: MongoStore, seed: str) -> None:
    """Make load until killed."""
    with Writers(store, seed, history=SpokenHistory(), writers=2):
        time.sleep(PATIENCE_S)


def race(store: MongoStore, name: str) -> None:
    """Take part in every round that is announced on standard input. A round has two lines: what it is
    about, and when to go; between them every client has read what it goes for, however late it is."""
    say(said="ready")
    for line in sys.stdin:
        round_ = json.loads(line)
        batch = rival(store, round_["kind"], round_["n"], name)
        say(said="prepared")
        start = json.loads(sys.stdin.readline())
        time.sleep(max(0.0, start["at"] - time.monotonic()))
        say(said="done", result=settled(store, batch))


def main(mode: str, url: str, *words: str) -> None:
    """The program."""
    with mongo_store(url) as store:
        match mode:
            case "hang":
                hang(store)
            case "load":
                write(store, *words)
            case "race":
                race(store, *words)


if __name__ == "__main__":
    main(*sys.argv[1:])
