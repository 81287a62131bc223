"""The programs of ``benchmarks`` explain themselves."""

from __future__ import annotations

import argparse
import importlib

import pytest

PROGRAMS = {
    "benchmarks.__main__": "python -m benchmarks",
    "benchmarks.sizes": "python -m benchmarks.sizes",
    "benchmarks.recover_many": "python -m benchmarks.recover_many",
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_r620_each_program_prints_its_help(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R620: the help can be printed, begins with the command that a person types, and explains every
    option."""
    parsers: list[argparse.ArgumentParser] = []

    def caught(parser: argparse.ArgumentParser) -> None:
        parsers.append(parser)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", caught)
    with pytest.raises(SystemExit):
        importlib.import_module(module).main()
    (parser,) = parsers
    assert parser.format_help().startswith(f"usage: {PROGRAMS[module]} [-h]")
    assert [action.dest for action in parser._actions if not action.help] == []
