"""The common options of the commands, and how a command starts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from ..engine.loop.log import configure_logging
from .empty import refuse_empty_variables
from .errors import guarded
from .kinds import kinds_option, known_from
from .money.mints import SIMULATED_URL, is_simulated
from .output import Output
from .session import Session, default_store

P = ParamSpec("P")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LOGS = ("off", "alarms", "console", "json")


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
