"""An empty option or variable is a mistake of the shell, not a wish for the default."""

from __future__ import annotations

import click
import pytest

from tests.support.cases import every

from .conftest import Wallet
from .test_help import ALL

PLACES = sorted(
    {
        (" ".join(path), option.opts[0])
        for path, command in ALL
        for option in command.params
        if isinstance(option, click.Option)
        and (isinstance(option.type, click.Path) or "--store" in option.opts)
    }
)


@every(("name", "option"), PLACES)
@every("form", ["=", " ", "= "])
def test_an_empty_place_is_wrong_usage(empty: Wallet, name: str, option: str, form: str) -> None:
    """R309: it is not taken for "not given", which would open the default wallet or write here."""
    words = [f"{option}={form[1:]}"] if form[0] == "=" else [option, ""]
    ran = empty.run(*name.split(), *words)
    assert ran.code == 2 and ran.out == "" and f"{option} is empty" in ran.err
    assert not empty.file.exists() and list(empty.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("NUTSTATE_STORE", ["balance"]),
        ("NUTSTATE_STORE", ["mint", "21"]),
        ("NUTSTATE_STORE", ["doctor"]),
        ("NUTSTATE_NPUB", ["history"]),
        ("NUTSTATE_MINT", ["mint", "21"]),
        ("NUTSTATE_LOG", ["recover"]),
        ("NUTSTATE_AUDIT_KEY", ["audit", "purge"]),
    ],
)
def test_an_empty_variable_is_wrong_usage(empty: Wallet, name: str, args: list[str]) -> None:
    """R309: `NUTSTATE_STORE=$UNSET` must not pay from the default wallet."""
    for value in ("", " "):
        ran = empty.run(*args, env={name: value})
        assert ran.code == 2 and ran.out == "" and name in ran.err
    as_json = empty.run(*args, "--json", env={name: ""})
    assert as_json.code == 2 and as_json.json["error"]["code"] == "USAGE"
    assert list(empty.folder.iterdir()) == []


def test_what_stands_on_the_command_line_counts(wallet: Wallet) -> None:
    """R309: the variable is not read then."""
    assert wallet.run("history", "--store", wallet.url, env={"NUTSTATE_STORE": ""}).code == 0


def test_the_demo_reads_no_variable(empty: Wallet) -> None:
    """R309: the demo never touches another wallet, so what names one is not looked at."""
    assert empty.run("demo", "--dir", str(empty.folder), env={"NUTSTATE_STORE": ""}).code == 0


def test_options_with_a_check_of_their_own_keep_their_code(empty: Wallet) -> None:
    """R309: an empty npub is refused as any other text that is none."""
    ran = empty.run("mint", "21", "--npub=")
    assert ran.code == 1 and "[INVALID_NPUB]" in ran.err
