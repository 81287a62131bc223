"""The program itself: its commands, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from .. import __version__
from .commands import COMMANDS, load
from .empty import refuse_empty
from .ends import Exit, ended_content, redact, usage_content


class App(click.Group):
    """All commands. A command is imported when it is called; the program ends as the exit codes promise."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and end the program. Usage errors never repeat what could be money."""
        given = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        try:
            with _ended_like_ctrl_c():
                refuse_empty(self, given)
                code = super().main(
                    given,
                    prog_name or "nutstate",
                    complete_var=complete_var,
                    standalone_mode=False,
                    windows_expand_args=windows_expand_args,
                    **extra,
                )
        except click.ClickException as error:
            _wrong_usage(error, as_json="--json" in given)
            sys.exit(Exit.USAGE)
        except (click.Abort, KeyboardInterrupt):
            _ended("INTERRUPTED", "interrupted", as_json="--json" in given)
            sys.exit(Exit.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - its text may hold values
            said = f"unexpected {type(error).__name__}: this is a bug in nutstate"
            _ended("UNEXPECTED", said, as_json="--json" in given)
            sys.exit(Exit.REFUSED)
        sys.exit(code if isinstance(code, int) else Exit.DONE)


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """SIGTERM leaves in order: a transaction is aborted and sessions end, instead of holding their
    locks on the server until its lifetime limit."""
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _ended(code: str, message: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(ended_content(code, message), indent=2, ensure_ascii=False))
    else:
        click.echo(message if code == "INTERRUPTED" else f"error: {message}", err=True)


def _wrong_usage(error: click.ClickException, as_json: bool) -> None:
    if as_json:
        print(json.dumps(usage_content(error.format_message()), indent=2, ensure_ascii=False))
        return
    context = getattr(error, "ctx", None)
    if context is not None and isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        click.echo(context.get_help(), err=True)
        return
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help'.\n", err=True)
    click.echo(f"error: {redact(error.format_message())}", err=True)


@click.group(cls=App, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nutstate", message="%(prog)s %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """A wallet for Cashu ecash that never loses track of a payment.

    Every step is stored before the next one begins. After an interruption `nutstate recover` goes on from
    what is stored. To watch a payment, without network or money:

    \b
      nutstate demo

    Exit codes: 0 done, 1 refused or failed with a clear reason, 2 wrong usage, 3 outcome not known yet
    (the operation stays open), 130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
