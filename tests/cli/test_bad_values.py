"""A bad value for any flag is refused with a stable code and changes nothing in the store."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.records import Proof
from nutstate.storage.secret import Secret
from tests.support.cases import every

from .conftest import NPUB, Wallet, dump
from .test_help import OURS

USAGE = (2, "USAGE")
LONG = "x" * 300
INVOICE = "INVOICE"  # replaced by a good one
TOKEN = "cashuAbroken"
POINT = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
GOOD_TOKEN = encode_token(
    "https://mint.simulated", "sat", [Proof("00" * 8, 8, Secret("s" * 64), Secret(POINT))]
).reveal()
MELT = json.dumps(
    {"npub": NPUB, "mint_url": "https://mint.simulated", "sources": ["tx_nosuch_token"], "amount": 9,
     "fee": 0, "keep": [], "change": []}
)  # fmt: skip

BASE: dict[str, list[str]] = {
    "demo": [],
    "mint": ["21"],
    "deposit": [],
    "receive": [],
    "balance": [],
    "melt": [INVOICE],
    "swap": ["21"],
    "confirm": ["tx_nosuch_operation"],
    "cancel": ["tx_nosuch_operation"],
    "hold": ["tx_nosuch_token"],
    "unhold": ["tx_nosuch_operation"],
    "record-melt": [],
    "show": ["tx_nosuch_operation"],
    "history": [],
    "recover": [],
    "start": ["errand", "--from", "tests.support.errand"],
    "tell": ["tx_nosuch_operation", "go"],
    "resume": ["tx_nosuch_operation"],
    "release": ["tx_nosuch_operation"],
    "write-off": ["tx_nosuch_operation"],
    "resolve": ["tx_nosuch_operation"],
    "retry-stranded": [],
    "write-off-stranded": [],
    "preflight": [],
    "reconcile": ["--all"],
    "audit list": [],
    "audit verify": [],
    "audit export": [],
    "audit purge": [],
    "doctor": [],
    "mongod": [],
}
NEEDS_REASON = ("resume", "release", "write-off", "resolve")
STRANDED = ("retry-stranded", "write-off-stranded")

COMMON: dict[str, list[tuple[str, tuple[int, str | None]]]] = {
    "--store": [
        ("wallet.db", (1, "STORE_UNSUPPORTED")),
        ("sqlite://wallet.db", (1, "STORE_UNSUPPORTED")),
        ("sqlite:////dev/null/wallet.db", (1, "STORE_UNAVAILABLE")),
        ("mongodb://user:hunter22@", (1, None)),
    ],
    "--mint-state": [("/", USAGE)],
    "--from": [(bad, USAGE) for bad in ("", "no_such_module", "9nine", "shop.py", "json", "json:nothing")],
    "--evidence": [("{broken", USAGE), ('"broken', USAGE)],
    "--data": [
        ("{broken", USAGE),
        *(
            (bad, (1, "INVALID_DATA"))
            for bad in ("text", "[]", '{"nothing": 1}', '{"what": 7}', '{"blocked": 1}')
        ),
    ],
    "--event": [("unheard", (1, "INVALID_EVENT")), ("go", (1, "INVALID_EVENT"))],
    "--log": [("loud", USAGE)],
    "--npub": [
        ("npub1nope", (1, "INVALID_NPUB")),
        (NPUB.upper(), (1, "INVALID_NPUB")),
        ("", (1, "INVALID_NPUB")),
    ],
    "--mint": [("ftp://mint", (1, "INVALID_MINT_URL")), ("https://u:hunter22@mint", (1, "INVALID_MINT_URL"))],
    "--unit": [("usd", (1, "INVALID_UNIT"))],
    "--wait": [
        ("soon", USAGE),
        ("-1", (1, "INVALID_DURATION")),
        ("nan", (1, "INVALID_DURATION")),
        ("inf", (1, "INVALID_DURATION")),
    ],
    "--wallet": [("", (1, "INVALID_WALLET_ID")), (LONG, (1, "INVALID_WALLET_ID"))],
    "--id": [
        ("short", (1, "INVALID_LENGTH")),
        ("", (1, "INVALID_FORMAT")),
        ("spaces in the id", (1, "INVALID_FORMAT")),
    ],
    "--key": [("", (1, "INVALID_IDEMPOTENCY_KEY")), (LONG, (1, "INVALID_IDEMPOTENCY_KEY"))],
    "--reason": [("", (1, "OPERATOR_REASON_MISSING")), ("x" * 501, (1, "OPERATOR_REASON_MISSING"))],
    "--operator": [("", (1, "INVALID_OPERATOR")), ("x" * 101, (1, "INVALID_OPERATOR"))],
    "--source": [("", (1, "INVALID_SOURCES")), ("tx_nosuch_token", (1, "TOKEN_NOT_FOUND"))],
    "--ttl": [("soon", USAGE), *((bad, (1, "INVALID_TTL")) for bad in ("0", "-1", "nan", "inf", "86401"))],
    "--invoice": [("lnbc1nonsense", (1, "INVALID_INVOICE")), ("", (1, "INVALID_INVOICE"))],
    "--token": [("", (1, "INVALID_SOURCES")), ("tx_nosuch_token", (1, "TOKEN_NOT_FOUND"))],
    "--into": [("0", (1, "INVALID_AMOUNT")), ("much", USAGE)],
    "--purpose": [("burn", USAGE)],
    "--sources": [("", (1, "INVALID_SOURCES")), ("tx_nosuch_token", (1, "TOKEN_NOT_FOUND"))],
    "--since": [("yesterday", USAGE), ("", USAGE), ("1969-12-31", USAGE)],
    "--until": [("2026-13-01", USAGE), ("0", USAGE)],
    "--on-duplicate": [("ignore", USAGE)],
    "--on-unpaid": [("hope", USAGE)],
    "--file": [("/nonexistent", USAGE), ("/", USAGE)],
    "--html": [("/", USAGE)],
    "--kind": [("token", USAGE)],
    "--state": [("none", USAGE)],
    "--limit": [("0", (1, "INVALID_LIMIT")), ("10001", (1, "INVALID_LIMIT")), ("many", USAGE)],
    "--shard": [("later", USAGE)],
    "--workers": [("0", (1, "INVALID_LIMIT")), ("65", (1, "INVALID_LIMIT")), ("many", USAGE)],
    "--dir": [("/dev/null", (1, "STORE_UNAVAILABLE")), (__file__, USAGE)],
    "--fee-max": [("-1", (1, "INVALID_AMOUNT")), ("2.5", USAGE), ("much", USAGE)],
    "--amount": [("0", USAGE), ("1000001", USAGE), ("1.5", USAGE)],
    "--outcome": [("stolen", USAGE)],
    "--operation": [("", (1, "INVALID_FORMAT")), (LONG, (1, "INVALID_FORMAT"))],
    "--entity": [("", (1, "INVALID_FORMAT"))],
    "--level": [("LOUD", USAGE)],
    **{name: [("yesterday", USAGE), ("2026-13-01", USAGE)] for name in ("--since", "--until", "--before")},
    "--private-key-file": [("/nonexistent", USAGE), ("/", USAGE)],
    "--preimage-file": [("/nonexistent", USAGE), ("/", USAGE)],
    "--key-file": [("/nonexistent", USAGE), ("/", USAGE), ("/dev/null", (1, "INVALID_AUDIT_KEY"))],
    "--nodes": [("2", USAGE), ("many", USAGE)],
}
# An id that is looked up first may be refused as unknown before a later argument is looked at.
LOOKED_UP_FIRST = ("confirm", "cancel", "tell", *NEEDS_REASON)
LATER = ("--wait", "--reason", "--operator")


Bad = tuple[str, str, str, tuple[int, str | None]]
"""Command, option, value, and what it must end with."""


def cases() -> list[Bad]:
    """Every option of every command with every bad value we know for it."""
    found: list[Bad] = []
    for path, command in OURS:
        name = " ".join(path)
        if name == "mint-server":
            continue  # it opens no store: tests/mint_server/test_command.py
        for option in command.params:
            if not isinstance(option, click.Option) or option.is_flag:
                continue
            for value, expected in COMMON[option.opts[0]]:
                if name == "doctor" and expected[1] == "STORE_UNAVAILABLE":
                    continue  # a report, not an error: tests/cli/test_doctor.py
                if name == "audit export" and value == "/nonexistent":
                    continue  # it makes the file
                if name == "mongod" and expected[0] == 1:
                    continue  # depends on the machine: tests/storage/test_mongod.py
                if name in ("cancel", "tell") and option.opts[0] == "--operator":
                    expected = USAGE  # it needs --reason
                if name == "start" and option.opts[0] == "--amount":
                    expected = USAGE if "." in value else (1, "INVALID_AMOUNT")
                    value = {"0": "-1", "1000001": str(2**60)}.get(value, value)
                unknown_first = name in LOOKED_UP_FIRST and option.opts[0] in LATER
                if unknown_first and expected[0] == 1:
                    expected = (1, None)
                found.append((name, option.opts[0], value, expected))
    return found


LOOKED_UP = ("show", "confirm", "cancel", "unhold")
POSITIONAL: list[tuple[str, list[str], tuple[int, str | None]]] = [
    ("mint", [], USAGE),
    ("mint", ["much"], USAGE),
    ("mint", ["0"], (1, "INVALID_AMOUNT")),
    ("mint", ["--", "-5"], (1, "INVALID_AMOUNT")),
    ("mint", [str(2**60)], (1, "INVALID_AMOUNT")),
    ("melt", [], USAGE),
    ("melt", ["lnbc1nonsense"], (1, "INVALID_INVOICE")),
    ("melt", ["-"], (1, "INVALID_INVOICE")),
    ("swap", [], (1, "INVALID_CHOICE")),
    ("swap", ["much"], USAGE),
    ("swap", ["0"], (1, "INVALID_AMOUNT")),
    ("swap", ["5", "--into", "5"], (1, "INVALID_CHOICE")),
    ("swap", ["5", "--purpose", "rotate"], (1, "INVALID_CHOICE")),
    ("swap", ["--token", "tx_nosuch_token", "--purpose", "rotate"], (1, "INVALID_CHOICE")),
    ("swap", ["100000"], (1, "INSUFFICIENT_BALANCE")),
    ("swap", ["--purpose", "rotate"], (1, "NOTHING_TO_SWAP")),
    ("deposit", [], USAGE),
    ("deposit", [TOKEN], (1, "INVALID_TOKEN")),
    ("deposit", ["-"], (1, "INVALID_TOKEN")),
    ("deposit", [TOKEN, "--file", __file__], USAGE),
    ("deposit", ["--file", __file__], (1, "INVALID_TOKEN")),
    ("hold", ["tx_nosuch_token"], USAGE),
    ("hold", ["--ttl", "9"], USAGE),
    ("hold", ["--ttl", "9", "tx_nosuch_token"], (1, "TOKEN_NOT_FOUND")),
    ("hold", ["--ttl", "9", "twice", "twice"], (1, "INVALID_SOURCES")),
    ("record-melt", [], USAGE),
    ("record-melt", ["--file", __file__], (1, "INVALID_FORMAT")),
    ("record-melt", ["--file", "-"], (1, "INVALID_FORMAT")),
    *((name, [], USAGE) for name in LOOKED_UP),
    ("start", [], USAGE),
    ("start", ["errand"], (1, "UNKNOWN_KIND")),
    ("start", ["melt", "--data", "{}"], (1, "UNKNOWN_KIND")),
    ("start", ["errand", "--from", "tests.support.errand", "--data", "-", "--evidence", "-"], USAGE),
    ("tell", ["tx_nosuch_operation"], USAGE),
    ("tell", ["tx_nosuch_operation", "go", "extra"], USAGE),
    *(("tell", [bad, "go"], (1, None)) for bad in ("", "x" * 101, "tx_no")),
    *((name, ["tx_nosuch_operation"], USAGE) for name in NEEDS_REASON),
    *((name, [bad], (1, None)) for name in LOOKED_UP for bad in ("", "x" * 101, "tx_no")),
    ("balance", ["extra"], USAGE),
    ("preflight", ["extra"], USAGE),
    ("reconcile", [], USAGE),
    ("reconcile", ["tx_nosuch_operation", "--all"], USAGE),
    ("reconcile", ["tx_nosuch_operation", "--since", "2026-01-01"], USAGE),
    *(("reconcile", [bad], (1, None)) for bad in ("", "x" * 101, "tx_nosuch_operation")),
    ("audit", ["list", "extra"], USAGE),
    ("audit", ["verify", "tx_nosuch_operation"], (1, "NOT_FOUND")),
    ("audit", ["verify", ""], (1, "INVALID_FORMAT")),
    ("audit", ["export", "--file", __file__], USAGE),
    ("audit", ["purge"], (1, "AUDIT_KEY_MISSING")),
]


def check(wallet: Wallet, args: list[str], expected: tuple[int, str | None]) -> None:
    before, state = dump(wallet.file), dump(wallet.state)
    there = sorted(path.name for path in wallet.folder.iterdir())
    words = 2 if args[0] == "audit" else 1
    plain, ran = wallet.run(*args), wallet.run(*args[:words], "--json", *args[words:])
    assert (plain.code, ran.code) == (expected[0], expected[0]), plain.err
    error = ran.json["error"]
    assert error.keys() == {"family", "code", "message", "severity", "retryable", "details"}
    if expected[1] is not None:
        assert error["code"] == expected[1]
    if expected[0] == 1:
        assert f"[{error['code']}]" in plain.err and plain.out == ""
    assert "Traceback" not in plain.err + ran.err and "hunter22" not in plain.err + ran.out + ran.err
    assert dump(wallet.file) == before
    assert dump(wallet.state) == state
    if before is None:
        assert sorted(path.name for path in wallet.folder.iterdir()) == there


@pytest.fixture(scope="session")
def invoice(tmp_path_factory: pytest.TempPathFactory) -> str:
    with SimulatedMint(path=tmp_path_factory.mktemp("mint") / "m.db") as mint:
        return mint.lightning.invoice(50).reveal()


def with_base(name: str, option: str, value: str, invoice: str, folder: Path) -> list[str]:
    args = [invoice if arg == INVOICE else arg for arg in BASE[name]]
    if name in ("deposit", "receive") and option != "--file":
        args.append(GOOD_TOKEN)
    if name in (*NEEDS_REASON, *STRANDED) and option != "--reason":
        args += ["--reason", "because"]
    if (name, option) == ("swap", "--into"):
        args = []
    if name == "hold" and option != "--ttl":
        args += ["--ttl", "9"]
    if name == "record-melt" and option != "--file":
        (folder / "melt.json").write_text(MELT)
        args += ["--file", str(folder / "melt.json")]
    if name == "demo" and option not in ("--dir", "--store"):
        args += ["--dir", str(folder)]
    return [*name.split(), *args, f"{option}={value}"]


BY_COMMAND = [[case for case in cases() if case[0] == name] for name in BASE]
by_command = pytest.mark.parametrize("bad", BY_COMMAND, ids=BASE)


@by_command
def test_bad_flag_on_a_store_that_exists(wallet: Wallet, invoice: str, bad: list[Bad]) -> None:
    """Each case leaves the store as it was, so all of a command share one."""
    if bad[0][0] == "start":  # opening the store with the kind adds its machine
        assert wallet.run("history", *BASE["start"][1:]).code == 0

    @every(("name", "option", "value", "expected"), bad)
    def test(name: str, option: str, value: str, expected: tuple[int, str | None]) -> None:
        check(wallet, with_base(name, option, value, invoice, wallet.folder), expected)

    test()


@by_command
def test_bad_flag_makes_no_store(empty: Wallet, invoice: str, bad: list[Bad]) -> None:
    @every(("name", "option", "value", "expected"), bad)
    def test(name: str, option: str, value: str, expected: tuple[int, str | None]) -> None:
        # "there is no store" comes first
        looks_first = name not in ("mint", "deposit", "demo") and expected[0] == 1
        code = None if looks_first else expected[1]
        check(empty, with_base(name, option, value, invoice, empty.folder), (expected[0], code))

    test()


def test_every_command_has_bad_values() -> None:
    """A command that is not in the list would be tested by no case."""
    assert sum(len(bad) for bad in BY_COMMAND) == len(cases())
    assert all(BY_COMMAND)


@every(("name", "args", "expected"), POSITIONAL)
def test_bad_arguments(wallet: Wallet, name: str, args: list[str], expected: tuple[int, str | None]) -> None:
    check(wallet, [name, *args], expected)


def test_a_token_in_a_wrong_place_is_not_repeated(wallet: Wallet) -> None:
    token = "cashuBo2FtdWh0dHBzOi8vbWludA"
    ran = wallet.run("melt", "lnbc1x", token)
    assert ran.code == 2 and token not in ran.err and "…" in ran.err
    assert token not in wallet.run("melt", "lnbc1x", token, "--json").out


@pytest.mark.parametrize("args", [["mint", "5"], ["melt", "lnbc1x"]])
def test_a_mint_must_be_named_once(wallet: Wallet, args: list[str]) -> None:
    assert wallet.run(*args, env={"NUTSTATE_MINT": ""}).code == 2
    assert wallet.run(*args, "--simulated", "--mint", "https://other.example").code == 2


def test_the_mints_state_is_not_the_wallet(wallet: Wallet) -> None:
    check(wallet, ["mint", "5", "--mint-state", str(wallet.file)], USAGE)
    other = wallet.folder / "other.db"
    store = f"sqlite:///{other}"
    assert wallet.run("mint", "5", "--store", store).code == 0
    before = dump(other)
    check(wallet, ["mint", "5", "--mint-state", str(other)], (1, "STORE_UNSUPPORTED"))
    assert dump(other) == before
    (wallet.folder / "text").write_text("no database, but long enough to look at" * 50)
    check(wallet, ["mint", "5", "--mint-state", str(wallet.folder / "text")], (1, "STORE_UNAVAILABLE"))
    check(wallet, ["mint", "5", "--mint-state", str(wallet.folder / "no" / "dir")], USAGE)


def test_demo_wants_one_place_and_the_simulated_mint(empty: Wallet) -> None:
    folder = ["--dir", str(empty.folder)]
    check(empty, ["demo", *folder, "--store", empty.url], USAGE)
    check(empty, ["demo", *folder, "--mint", "http://127.0.0.1:1", "--outcome", "lost"], USAGE)
