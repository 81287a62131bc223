"""The common start of every command: options, store, mint, and the transitions it has seen."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click
import platformdirs
from attrs import Factory, define, field

from .._open_store import open_store
from ..engine.api.engine import Engine
from ..engine.loop.log import TransitionEvent, configure_logging
from ..engine.settings import Settings
from ..machines.spec import Machine
from ..storage.port import Store
from ..storage.records import Operation
from ..storage.rules.machines import Machines
from ..storage.secret import Secret
from ..storage.sqlite.store import sqlite_path
from .empty import refuse_empty_variables
from .errors import guarded
from .kinds import Known, kinds_option, known_from
from .mints import SIMULATED_URL, Mints, is_simulated
from .output import Output

P = ParamSpec("P")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LOGS = ("off", "alarms", "console", "json")


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


def _common(command: Callable[..., Any], own_kinds: bool) -> Callable[..., Any]:
    options: tuple[Decorator, ...] = (
        click.option(
            "--store", envvar="NUTSTATE_STORE", show_envvar=True, metavar="URL",
            help="The store of the wallet, such as sqlite:///wallet.db.  "
            "[default: wallet.db in the user's data directory]",
        ),
        click.option(
            "--mint-state", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
            help="The file of the simulated mint.  [default: beside the store, wallet.mint.db]",
        ),
        click.option(
            "--log", type=click.Choice(LOGS), envvar="NUTSTATE_LOG", show_envvar=True, default="alarms",
            show_default=True,
            help="Log on standard error: nothing, only alarms, which a person must look at, or every "
            "transition, as text or as JSON lines.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Exactly one JSON document on standard output."),
    )  # fmt: skip
    if own_kinds:
        options = (options[0], kinds_option, *options[1:])
    for option in reversed(options):
        command = option(command)
    return command


def with_session(
    run: Callable[Concatenate[Session, P], int], *, own_kinds: bool = True
) -> Callable[..., int]:
    """Give a command the common options, a :class:`Session`, and errors as the exit codes promise."""

    @functools.wraps(run)
    def started(
        store: str | None,
        log: str,
        as_json: bool,
        mint_state: Path | None,
        origin: str | None = None,
        **given: Any,
    ) -> int:
        configure_logging("json" if log == "json" else "off" if log == "off" else "console", _level(log))
        context = click.get_current_context()
        if context.info_name != "demo":  # it reads no variable: it must never touch another wallet
            refuse_empty_variables(context)
        typed = {
            name: context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            for name in ("store", "origin")
        }
        out = Output(as_json, logging=log in ("console", "json"))
        known, named = known_from(origin), origin or ""
        session = Session(
            store or default_store(), typed["store"], mint_state, out, known, named if typed["origin"] else ""
        )
        return guarded(session, lambda: run(session, **given))  # type: ignore[call-arg]

    return _common(started, own_kinds)


def _level(log: str) -> str:
    return "critical" if log == "alarms" else "info"


def npub_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--npub", envvar="NUTSTATE_NPUB", show_envvar=True, required=True, metavar="NPUB",
        help="The owner of the wallet: a Nostr public key, npub1….",
    )(command)  # fmt: skip


def mint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--mint`` and ``--simulated``; see :func:`chosen_mint`."""
    command = click.option(
        "--simulated", is_flag=True,
        help=f"Use the mint simulated on this computer (the same as --mint {SIMULATED_URL}): no network, "
        "no real money.",
    )(command)  # fmt: skip
    return click.option(
        "--mint", "mint", envvar="NUTSTATE_MINT", show_envvar=True, metavar="URL", help="Address of the mint."
    )(command)


def chosen_mint(mint: str | None, simulated: bool) -> str:
    """The mint's address from the two options. UsageError for none, or for two that differ."""
    source = click.get_current_context().get_parameter_source("mint")
    if simulated:
        if mint and not is_simulated(mint) and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("give either --mint or --simulated")
        return SIMULATED_URL
    if not mint:
        raise click.UsageError("Missing option '--mint' (env var: 'NUTSTATE_MINT') or '--simulated'.")
    return mint


def wait_option(default: float, what: str) -> Decorator:
    return click.option(
        "--wait", type=float, default=default, show_default=True, metavar="SECONDS", help=what
    )
