"""A store that commits each transition alone, and one in which a read-back sees other documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nutstate.storage.batch import Batch
from nutstate.storage.errors import NotAsWritten
from nutstate.storage.port import Reader
from nutstate.storage.read_back import ReadBack


class Wrapped:
    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Apart(Wrapped):
    """A store that finds nothing as it was written: what only reads back is looked at after the commit."""

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        if read_back is not None:
            raise NotAsWritten("the test wants a commit of its own")
        self._store.commit(batch)


class Seen(Wrapped):
    """A store whose read-backs see what ``alter`` makes of their reader. ``batches`` are those that were
    tried, and whether they were read back; ``found`` is what the read-backs refused."""

    def __init__(self, store: Any, alter: Callable[[Reader], Any]) -> None:
        super().__init__(store)
        self.alter = alter
        self.batches: list[tuple[Batch, bool]] = []
        self.found: list[str] = []

    def commit(self, batch: Batch, read_back: ReadBack | None = None) -> None:
        self.batches.append((batch, read_back is not None))
        if read_back is None:
            self._store.commit(batch)
            return
        check = read_back.check
        try:
            self._store.commit(batch, ReadBack((), lambda reader: check(self.alter(reader))))
        except NotAsWritten as error:
            self.found.append(error.why)
            raise
