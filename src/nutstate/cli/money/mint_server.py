"""A mint on this computer for developers: the simulated one over HTTP, or the real Nutshell."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from ...engine.loop.log import configure_logging
from ...engine.simulated.mint import SimulatedMint
from ...mint_server.errors import ExtraMissing, MintFileDiffers, MintServerUnavailable
from ...mint_server.real import RealMint, environment_of, install, variables
from ..empty import refuse_empty_variables
from ..ends import Exit
from ..errors import guarded
from ..output import Output
from ..session import Session, data_dir, default_store
from .mints import open_simulated

ADMIN_VARIABLE = "NUTSTATE_MINT_ADMIN_TOKEN"
TOKEN_CHARS_MIN = 8
RELEASES = ("0.21.0", "0.20.2")
_ONLY_SIMULATED = ("admin_token", "units", "release", "auto_pay")


@frozen
class Wanted:
    """The command line of one run."""

    real: bool
    host: str
    port: int
    state: Path | None
    seed: str
    units: tuple[str, ...]
    fee: int
    auto_pay: bool
    release: str
    admin_token: str | None


@click.command(
    "mint-server",
    short_help="Run a mint for developers on this computer.",
    epilog="""\b
Examples:
  nutstate mint-server
  nutstate mint-server --state mint.db --port 0 --json
  nutstate mint-server --admin-token choose-one      then faults and outcomes: docs/mint-server.md
  nutstate mint-server --real
  nutstate mint 1000 --mint http://127.0.0.1:3338    in another shell""",
)
@click.option(
    "--real", is_flag=True,
    help="Run the real Nutshell with its FakeWallet. The first time it is installed, in an environment of "
    "its own: $NUTSTATE_MINT_VENV, or .venv-mint beside that of nutstate, or real-mint in the user's "
    "data directory.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen here.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=3338, show_default=True, help="0 takes any free port."
)
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="PATH",
    help="Keep the mint here over restarts: a file, or with --real a folder.  [default: memory]",
)  # fmt: skip
@click.option(
    "--seed", default="nutstate", show_default=True, metavar="TEXT",
    help="Everything secret follows from it: the same seed has the same keys.",
)  # fmt: skip
@click.option(
    "--unit", "units", multiple=True, default=("sat",), show_default=True,
    help="A unit of the mint, each with a keyset of its own. May be given several times.",
)  # fmt: skip
@click.option(
    "--input-fee-ppk", "fee", type=click.IntRange(0, 1_000_000), default=100, show_default=True,
    help="The fee per thousand inputs.",
)  # fmt: skip
@click.option(
    "--auto-pay/--no-auto-pay", default=True, show_default=True,
    help="Pay mint quotes as soon as they are made, or leave it to the admin path.",
)  # fmt: skip
@click.option(
    "--release", type=click.Choice(RELEASES), default=RELEASES[0], show_default=True,
    help="Answer with the codes of this release of Nutshell.",
)  # fmt: skip
@click.option(
    "--admin-token", envvar=ADMIN_VARIABLE, show_envvar=True, metavar="TOKEN",
    help="Open the admin path /admin to requests with this token.  [default: it is closed]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it is ready.")
def mint_server(as_json: bool, **given: Any) -> int:
    """Run a Cashu mint on this computer for wallets and services under development, until it is interrupted.

    Its money is worth nothing, and no real network knows its invoices. The simulated mint needs
    `pip install 'nutstate[mint-server]'`; --real needs Python 3.10 to 3.12 instead.
    """
    configure_logging(level="critical")
    context = click.get_current_context()
    refuse_empty_variables(context)
    wanted = Wanted(**given)
    _check(context, wanted)
    session = Session(default_store(), False, None, Output(as_json, logging=False))
    run = _run_real if wanted.real else _run_simulated
    return guarded(session, lambda: run(session, wanted))


def _check(context: click.Context, wanted: Wanted) -> None:
    token = wanted.admin_token
    if wanted.real:
        for name in _ONLY_SIMULATED:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                option = next(p.opts[0] for p in context.command.params if p.name == name)
                raise click.UsageError(f"{option} is for the simulated mint; leave it out with --real")
    elif token is not None and (len(token) < TOKEN_CHARS_MIN or not token.isascii()):
        raise click.UsageError(f"--admin-token needs {TOKEN_CHARS_MIN} ASCII characters or more")
    if not wanted.seed.strip():
        raise click.UsageError("--seed is empty: give it a value, or leave it out")
    for unit in wanted.units:
        if not unit.isalnum() or not unit.isascii() or unit != unit.lower() or len(unit) > 16:
            raise click.UsageError("--unit is a word of up to 16 small letters and digits, such as sat")


def _run_simulated(session: Session, wanted: Wanted) -> int:
    try:
        from ...mint_server.serve import MintServer
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"mint-server needs {error.name}: install it with pip install 'nutstate[mint-server]'"
        ) from None
    with _simulated(wanted) as mint, suppress(KeyboardInterrupt):
        server = MintServer(mint, host=wanted.host, port=wanted.port, admin_token=wanted.admin_token)
        admin = f"{server.url}/admin" if wanted.admin_token else None
        _ready(session, server.url, wanted.state, {"kind": "simulated", "admin": admin})
        server.run()
    return Exit.DONE


@contextmanager
def _simulated(wanted: Wanted) -> Iterator[SimulatedMint]:
    first, *more = dict.fromkeys(wanted.units)
    is_new = wanted.state is None or not wanted.state.exists()
    with open_simulated(
        "http://mint-server",
        wanted.state,
        release=wanted.release,
        auto_pay=wanted.auto_pay,
        seed=wanted.seed.encode(),
        unit=first,
        input_fee_ppk=wanted.fee,
    ) as mint:
        if is_new:
            for unit in more:
                mint.add_keyset(unit=unit, input_fee_ppk=wanted.fee)
        else:
            _check_file(mint, wanted)
        yield mint


def _check_file(mint: SimulatedMint, wanted: Wanted) -> None:
    """A file goes on as it is: what the command line asks for must be what is in it."""
    context = click.get_current_context()
    asked = {
        name for name in ("units", "fee")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }  # fmt: skip
    if "units" in asked and set(mint.units) != set(wanted.units):
        units = ", ".join(mint.units)
        raise MintFileDiffers(
            f"the mint in {wanted.state} has the units {units}; leave --unit out, or take another file"
        )
    fees = {keyset["input_fee_ppk"] for keyset in mint.dump()["keysets"] if keyset["active"]}
    if "fee" in asked and fees != {wanted.fee}:
        raise MintFileDiffers(
            f"the mint in {wanted.state} has another input fee; leave --input-fee-ppk out, or rotate its keys"
        )


def _run_real(session: Session, wanted: Wanted) -> int:
    from ...mint_server.address import free_port

    program = install(environment_of(data_dir() / "real-mint"), session.out.error)
    with tempfile.TemporaryDirectory(prefix="nutstate-mint-") as forgotten, suppress(KeyboardInterrupt):
        folder = Path(forgotten) if wanted.state is None else wanted.state.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        port = wanted.port or free_port(wanted.host)
        settings = variables(folder, wanted.host, port, wanted.fee, wanted.seed)
        with RealMint(program, folder, settings, f"http://{wanted.host}:{port}") as mint:
            _ready(session, mint.url, wanted.state, {"kind": "nutshell", "pid": mint.pid})
            ended = mint.wait()
            raise MintServerUnavailable(f"the real mint ended by itself with exit code {ended}")
    return Exit.DONE


def _ready(session: Session, url: str, state: Path | None, more: dict[str, Any]) -> None:
    if session.out.as_json:
        document = {"url": url, **more, "state": None if state is None else str(state)}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    session.out.line(("The mint answers at ", "bold"), url)
    if more.get("admin"):
        session.out.line(f"Its admin path is {more['admin']}")
    kept = "is forgotten at the end" if state is None else f"is kept in {state}"
    session.out.line((f"It {kept}. Ctrl-C stops it.", "dim"))
