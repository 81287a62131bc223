"""One run of one command: its store, its mint, and the transitions that it has seen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import platformdirs
from attrs import Factory, define, field

from .._open_store import open_store
from ..engine.api.engine import Engine
from ..engine.loop.log import TransitionEvent
from ..engine.settings import Settings
from ..machines.spec import Machine
from ..storage.port import Store
from ..storage.records import Operation
from ..storage.rules.machines import Machines
from ..storage.secret import Secret
from ..storage.sqlite.store import sqlite_path
from .kinds import Known
from .money.mints import Mints, is_simulated
from .output import Output


def data_dir() -> Path:
    """Where the default store and the demo live."""
    return Path(platformdirs.user_data_dir("nutstate"))


def sqlite_url(path: Path) -> str:
    """The store URL of a file."""
    return f"sqlite:///{path.absolute()}"


def default_store() -> str:
    """The store when none is named."""
    return sqlite_url(data_dir() / "wallet.db")


def mint_state_beside(store_url: str) -> Path | None:
    """The simulated mint's file that belongs to a store: ``wallet.db`` has ``wallet.mint.db`` beside it.
    None for a store in memory: then the mint is forgotten with it."""
    if store_url.startswith("sqlite:"):
        path = sqlite_path(store_url)
        return path.with_name(f"{path.stem}.mint.db")
    return None if store_url.startswith("memory:") else data_dir() / "simulated.mint.db"


@define(eq=False)
class Seen:
    """The operation a command is about, as far as the command knows. Gets every committed transition."""

    machine: Callable[[str], Machine[Any] | None]
    operation_id: str | None = None
    state_kind: str = "final"
    committed: bool = False
    requested: bool = False  # by this run of the program, not by an earlier one

    def __call__(self, event: TransitionEvent) -> None:
        if event.entity != f"operation:{event.operation_id}":
            return
        machine = self.machine(event.machine)
        self.operation_id, self.committed = event.operation_id, True
        self.state_kind = "live" if machine is None else machine.state(event.to_state).kind
        self.requested |= event.from_state == "none"

    def found(self, operation: Operation | None) -> None:
        """An operation that was in the store before."""
        if operation is not None:
            self.operation_id = operation.id
            self.state_kind = "live" if operation.finished_at is None else "final"

    @property
    def is_open(self) -> bool:
        return self.operation_id is not None and self.state_kind != "final"


@define(eq=False)
class Session:
    """One run of one command."""

    store_url: str
    store_named: bool  # on the command line, so that it belongs into the commands we suggest
    mint_state: Path | None
    out: Output
    known: Known = field(factory=Known)
    named: str = ""  # the module of --from on the command line, for the same reason
    seen: Seen = field(default=Factory(lambda self: Seen(self.known.labelled), takes_self=True))
    observers: list[Callable[[TransitionEvent], None]] = field(factory=list)

    @contextmanager
    def engine(
        self,
        *,
        create: bool = False,
        mint_url: str | None = None,
        settings: Settings | None = None,
        audit_key: Secret | None = None,
        drives: bool = True,
    ) -> Iterator[tuple[Engine, Mints]]:
        """The open engine. A store that does not exist is only made with ``create``; the simulated mint
        is opened first if ``mint_url`` is its, so that nothing is made when it cannot be. A command that only
        reads (``drives=False``) needs no code of the kinds."""
        kinds = self.known.to_drive() if drives else self.known.kinds
        state = self.mint_state or mint_state_beside(self.store_url)
        if state is not None and mint_url is not None and is_simulated(mint_url):
            self._check_state_file(state, create)
        with Mints(state) as mints, self.store(create=create) as store:
            if mint_url is not None and is_simulated(mint_url):
                mints.simulated()
            engine = Engine(
                store, mints, kinds=kinds, settings=settings, observer=self._observe, audit_key=audit_key
            )
            yield engine, mints

    def store(self, *, create: bool = False) -> Store:
        """The open store, with every machine that is known."""
        return open_store(self.store_url, create=create, machines=self.machines)

    @property
    def machines(self) -> Machines:
        """The machines that are known, as a store takes them."""
        return Machines.of(self.known.machines)

    def _check_state_file(self, state: Path, create: bool) -> None:
        if self.store_url.startswith("sqlite:"):
            store = sqlite_path(self.store_url)
            if state.absolute() == store:
                raise click.UsageError("--mint-state and --store name the same file")
        if not state.parent.is_dir():
            if self.mint_state is None:
                if create and not self.store_url.startswith("sqlite:"):
                    state.parent.mkdir(mode=0o700, parents=True)
                return  # a file's folder is made with the file
            raise click.UsageError("--mint-state: there is no such directory")

    def _observe(self, event: TransitionEvent) -> None:
        self.seen(event)
        for observer in self.observers:
            observer(event)

    @property
    def store_shown(self) -> str:
        """The store without what may be a password; then it is not a URL that opens it."""
        scheme, _, rest = self.store_url.partition("://")
        return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else self.store_url

    def command(self, text: str) -> str:
        """A command to suggest, for the same store."""
        named = self.store_named and self.store_shown == self.store_url
        words = f" --store {shlex.quote(self.store_url)}" if named else ""
        return f"nutstate {text}{words}" + (f" --from {shlex.quote(self.named)}" if self.named else "")
