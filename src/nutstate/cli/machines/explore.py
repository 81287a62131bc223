"""``machines explore``: every reachable state of small worlds, and the shortest way to a broken invariant."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from ...engine.errors import KindInvalid
from ...machines.melt.table import MELT
from ...machines.mint.table import MINT
from ...machines.record.table import RECORD
from ...machines.swap.table import SWAP
from ...machines.token.table import TOKEN
from ...review.explore import (
    BIG,
    DEFAULT,
    SETTINGS,
    STATES_MAX,
    BadScript,
    Exploration,
    Replayed,
    Setting,
    Tables,
    explore,
    replay,
    written,
)
from ..ends import Exit
from ..output import Output, Part
from .choose import available, from_option, json_option

_KINDS = (MELT.name, MINT.name, RECORD.name, SWAP.name)
_MODELLED = (*_KINDS, TOKEN.name)


@click.command(
    "explore",
    epilog="\b\nExample:\n"
    "  nutstate machines explore\n"
    "  nutstate machines explore melt --setting late --crashes 2\n"
    "  nutstate machines explore --setting give-up-issue --script way.txt\n"
    "  nutstate machines explore --replay way.txt",
)
@click.argument("kinds", nargs=-1, metavar="[melt|mint|record|swap]...")
@click.option(
    "--setting",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="Only this configuration. Repeat it for several.",
)
@click.option("--list", "only_list", is_flag=True, help="Name the configurations and explore nothing.")
@click.option("--big", is_flag=True, help="Also the large configurations: many minutes.")
@click.option(
    "--coins",
    metavar="N,N,…",
    help="Amounts of the proofs of the first token, instead of the configuration's.",
)
@click.option(
    "--crashes",
    type=click.IntRange(0),
    help="At most this number of crashes.  [default: the configuration's]",
)
@click.option(
    "--states",
    "states_max",
    type=click.IntRange(1),
    default=STATES_MAX,
    show_default=True,
    help="Stop a configuration after this number of states.",
)
@click.option(
    "--script",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the first counter-example to this file.",
)
@click.option(
    "--replay",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Play such a file (with the same --coins), instead of exploring.",
)
@from_option
@json_option
def explore_worlds(
    kinds: tuple[str, ...],
    wanted: tuple[str, ...],
    only_list: bool,
    big: bool,
    coins: str | None,
    crashes: int | None,
    states_max: int,
    target: Path | None,
    source: Path | None,
    origin: str | None,
    as_json: bool,
) -> int:
    """Explore token x operation x mint answers x crash for small configurations.

    The real tables decide and the real actions and effects run; store, mint, network and time around them are
    a model. The invariants are asked in every reached state. The exit code is 1 when one breaks.
    """  # fmt: skip
    out, tables = Output(as_json), _tables(origin)
    if source is not None:
        return _replayed(out, source, _playable(tables, coins, crashes))
    settings = [_changed(s, tables, coins, crashes) for s in _settings(kinds, wanted, big)]
    if only_list:
        return _listed(out, settings)
    found: list[tuple[Exploration, float]] = []
    with out.working("exploring") as working:
        for setting in settings:
            working.now(f"exploring {setting.name}")
            started = time.monotonic()
            found.append((explore(setting, states_max), time.monotonic() - started))
    broken = [item for item, _ in found if item.violation is not None]
    if target is not None and broken:
        try:
            target.write_text(written(broken[0]), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--script: {error.strerror}: {str(target)!r}") from None
    _told(out, found, target if broken else None)
    return Exit.REFUSED if broken else Exit.DONE


def _tables(origin: str | None) -> Tables:
    named = [m for m in available(origin) if m.name in _MODELLED] if origin else []
    if origin and not named:
        raise click.UsageError(f"--from: {origin!r} holds no machine named {', '.join(_MODELLED)}")
    try:
        return Tables().under(*named)
    except KindInvalid as error:
        raise click.UsageError(f"--from: {error.message}") from None


def _settings(kinds: Sequence[str], wanted: Sequence[str], big: bool) -> list[Setting]:
    for kind in kinds:
        if kind not in _KINDS:
            raise click.UsageError(f"there is no model of {kind!r}; there are {', '.join(_KINDS)}")
    for name in wanted:
        if name not in SETTINGS:
            raise click.UsageError(f"no setting named {name!r}; see --list")
    chosen = [SETTINGS[name] for name in wanted] or [*DEFAULT, *(BIG if big else ())]
    return [s for s in chosen if not kinds or any(plan.kind in kinds for plan in s.plans)]


def _changed(setting: Setting, tables: Tables, coins: str | None, crashes: int | None) -> Setting:
    setting = attrs.evolve(setting, tables=tables)
    if crashes is not None:
        setting = attrs.evolve(setting, crashes=crashes)
    if coins is None or not setting.tokens:
        return setting
    amounts = [int(word) if word.isdecimal() else 0 for word in coins.split(",")]
    (token_id, held), *others = setting.tokens
    if len(amounts) != len(held) or not all(amounts):
        raise click.UsageError(f"--coins: {setting.name} wants {len(held)} positive amounts, like 4,1")
    named = tuple((name, amount) for (name, _), amount in zip(held, amounts, strict=True))
    return attrs.evolve(setting, tokens=((token_id, named), *others))


def _playable(tables: Tables, coins: str | None, crashes: int | None) -> dict[str, Setting]:
    """Every configuration a script may name, with these amounts where there are as many proofs."""
    count = 0 if coins is None else len(coins.split(","))
    return {
        name: _changed(s, tables, coins if s.tokens and len(s.tokens[0][1]) == count else None, crashes)
        for name, s in SETTINGS.items()
    }


def _verdict(found: Exploration) -> str:
    if found.violation is None:
        return "holds" if found.complete else "holds so far"
    return f"BROKEN {found.violation.what}"


def _told(out: Output, found: Sequence[tuple[Exploration, float]], script: Path | None) -> None:
    states, moves = (sum(getattr(item, name) for item, _ in found) for name in ("states", "moves"))
    if out.as_json:
        settings = [_document(item, seconds) for item, seconds in found]
        out.document({"states": states, "moves": moves, "settings": settings})
        return
    rows: list[list[Part]] = [
        [
            item.setting.name,
            str(item.states),
            str(item.moves),
            str(item.depth),
            f"{seconds:.1f}",
            _styled(item),
        ]
        for item, seconds in found
    ]
    out.table(["setting", "states", "moves", "depth", "seconds", "invariants"], rows, right=range(1, 5))
    out.line()
    out.line(f"{states} states and {moves} moves in {sum(seconds for _, seconds in found):.1f} s")
    for item, _ in found:
        if item.violation is not None:
            out.line()
            out.line(written(item).rstrip())
    if script is not None:
        out.line()
        out.line(f"written to {script}; play it with: nutstate machines explore --replay {script}")


def _styled(item: Exploration) -> Part:
    style = "green" if item.violation is None else "bold red"
    return (_verdict(item), style)


def _document(item: Exploration, seconds: float) -> dict[str, Any]:
    broken = item.violation
    return {
        "name": item.setting.name,
        "states": item.states,
        "moves": item.moves,
        "depth": item.depth,
        "seconds": round(seconds, 3),
        "complete": item.complete,
        "breaks": None if broken is None else broken.what,
        "script": None if broken is None else written(item),
        "ends": dict(item.ends),
        "transitions": sorted(item.transitions),
    }


def _listed(out: Output, settings: Sequence[Setting]) -> int:
    if out.as_json:
        out.document({"settings": [{"name": s.name, "about": s.about} for s in settings]})
    out.table(["setting", "about"], [[s.name, s.about] for s in settings])
    return Exit.DONE


def _replayed(out: Output, source: Path, settings: Mapping[str, Setting]) -> int:
    try:
        found = replay(source.read_text(encoding="utf-8"), settings=settings)
    except (BadScript, UnicodeDecodeError) as error:
        raise click.UsageError(f"--replay: {error}") from None
    if out.as_json:
        content = attrs.asdict(found, recurse=False)
        out.document({**content, "steps": [step._asdict() for step in found.steps]})
    for step in found.steps:
        out.line(step.label, (f"  # {step.note}" if step.note else "", "dim"))
    out.line()
    out.line(*_ending(found))
    return Exit.REFUSED if found.outcome == "broken" else Exit.DONE


def _ending(found: Replayed) -> list[Part]:
    if found.outcome == "broken":
        return [("broken", "bold red"), f" by line {found.line}: {found.what}"]
    if found.outcome == "held":
        return [("every invariant held", "green"), f" to the last line ({len(found.steps)} moves)"]
    can = "; ".join(found.possible) or "nothing"
    return [f"line {found.line} cannot happen under these tables: {found.what!r}; what can: {can}"]
