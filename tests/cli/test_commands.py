"""What the commands do, as a person and as a script sees them."""

from __future__ import annotations

import json
import re
import stat

import bech32
import pytest

from nutstate.cli.demo.demo import demo_npub
from nutstate.cli.ends import redact
from nutstate.cli.output import brief_age, clean, duration
from nutstate.engine.api.engine import Engine
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.memory import open_memory
from nutstate.storage.port import TokenQuery

from .conftest import FUNDS, NPUB, Wallet


def token_of(mint: SimulatedMint, amount: int = 64) -> str:
    """A token that another owner made at the same mint."""
    with open_memory("memory://") as store:
        engine = Engine(store, mint)
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
        (held,) = store.tokens(TokenQuery())
        return encode_token(mint.url, "sat", held.proofs).reveal()


def test_mint_shows_the_invoice_and_makes_the_store_for_the_owner_only(empty: Wallet) -> None:
    store = empty.folder / "new" / "folder" / "wallet.db"
    ran = empty.run("mint", "64", "--store", f"sqlite:///{store}")
    assert ran.code == 0 and "lnbc" in ran.out and "mint issued" in ran.out and "not real money" in ran.out
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700
    for path in store.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_default_store_is_in_the_users_data_directory(
    empty: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(empty.folder))
    ran = empty.run("mint", "8", env={"NUTSTATE_STORE": None})
    assert ran.code == 0 and "--store" not in ran.out
    assert (empty.folder / "nutstate" / "wallet.db").exists()


def test_mint_json_is_one_document_and_the_invoice_can_be_paid(empty: Wallet) -> None:
    ran = empty.run("mint", "64", "--json", "--key", "fund-1")
    operation = ran.json["operation"]
    assert (operation["state"], operation["amount"], operation["simulated"]) == ("issued", 64, True)
    assert "lnbc" in ran.err  # the document comes too late to pay
    again = empty.run("mint", "64", "--json", "--key", "fund-1").json["operation"]
    assert again["id"] == operation["id"] and empty.worth() == {"unspent": 64}


def test_melt_and_everything_that_shows_it(wallet: Wallet) -> None:
    invoice = wallet.invoice(100)
    ran = wallet.run("melt", invoice, "--json")
    operation = ran.json["operation"]
    assert ran.code == 0 and operation["state"] == "reconciled" and operation["preimage_matches"]
    assert "preimage" not in operation and ran.err == ""
    spent = 100 + operation["fee_paid"]
    assert wallet.worth()["unspent"] == FUNDS - spent

    text = wallet.run("melt", invoice)
    assert text.code == 0 and operation["id"] in text.out and "same request" in text.out
    assert wallet.worth()["unspent"] == FUNDS - spent

    shown = wallet.run("show", operation["id"], "--verbose")
    for words in (
        "melt reconciled",
        "hash chain verified",
        "prepared → paying",
        "holds",
        "yes payment proven",
    ):
        assert words in shown.out
    document = wallet.run("show", operation["id"], "--json").json
    assert document["chain_verified"] and document["conservation"]["holds"]
    terms = {k: v for k, v in document["conservation"].items() if k not in ("sources", "holds")}
    assert sum(terms.values()) == document["conservation"]["sources"] == FUNDS
    assert [record["seq"] for record in document["audit"]] == list(range(1, len(document["audit"]) + 1))

    listed = wallet.run("history", "--kind", "melt", "--state", "reconciled", "--npub", NPUB, "--limit", "1")
    assert operation["id"] in listed.out and "newest 1" in listed.out
    found = wallet.run("history", "--json", "--mint", "https://mint.simulated").json["operations"]
    assert [entry["kind"] for entry in found] == ["melt", "mint"]
    assert "No operations with" in wallet.run("history", "--state", "attention").out
    told = wallet.run("recover", "--json").json
    assert told == {key: [] for key in told} | {"numbers": dict.fromkeys(told["numbers"], 0)}
    assert "Nothing is open" in wallet.run("recover").out


def test_r554_an_empty_history_names_its_filters(wallet: Wallet) -> None:
    """R554: also a filter that comes from the environment, which a person may have forgotten."""
    ran = wallet.run("history", "--kind", "mint", "--state", "attention", "--state", "pending")
    told = " ".join(ran.out.split())
    assert told == f"No operations with --npub {NPUB} --kind mint --state attention --state pending."
    told = " ".join(wallet.run("history", "--mint", "https://elsewhere.example").out.split())
    assert told == f"No operations with --npub {NPUB} --mint https://elsewhere.example."


def test_the_preimage_is_shown_only_when_asked_for(wallet: Wallet) -> None:
    wallet.may_show_preimage = True
    ran = wallet.run("melt", wallet.invoice(), "--json", "--show-preimage")
    preimage, operation_id = ran.json["operation"]["preimage"], ran.json["operation"]["id"]
    assert len(preimage) == 64
    assert preimage in wallet.run("show", operation_id, "--show-preimage").out
    for args in (["show", operation_id], ["show", operation_id, "--json"], ["show", operation_id, "-v"]):
        ran = wallet.run(*args)
        assert preimage not in ran.out + ran.err


def test_melt_reads_the_invoice_from_standard_input(wallet: Wallet) -> None:
    assert wallet.run("melt", "-", stdin=f"lightning:{wallet.invoice().upper()}\n").code == 0


def test_duplicates_can_be_refused(wallet: Wallet) -> None:
    invoice = wallet.invoice()
    first = wallet.run("melt", invoice, "--json").json["operation"]["id"]
    ran = wallet.run("melt", invoice, "--on-duplicate", "error")
    assert ran.code == 1 and "DUPLICATE_OPERATION" in ran.err and f"nutstate show {first}" in ran.err


def test_two_steps(wallet: Wallet) -> None:
    plan = wallet.run("melt", wallet.invoice(), "--prepare")
    assert plan.code == 0 and "melt prepared" in plan.out and "nutstate confirm" in plan.out
    document = wallet.run("history", "--state", "prepared", "--json").json["operations"][0]
    assert wallet.run("recover").code == 0  # it waits for us and does not count as open
    assert wallet.worth()["reserved"] > 0
    ran = wallet.run("confirm", document["id"], "--json")
    assert ran.code == 0 and ran.json["operation"]["state"] == "reconciled"
    assert wallet.run("confirm", document["id"]).code == 0
    refused = wallet.run("cancel", document["id"])
    assert refused.code == 1 and "ALREADY_FINAL" in refused.err


def test_cancel_frees_what_was_prepared(wallet: Wallet) -> None:
    operation_id = wallet.run("melt", wallet.invoice(), "--prepare", "--json").json["operation"]["id"]
    for _ in range(2):
        assert wallet.run("cancel", operation_id, "--json").json["operation"]["state"] == "cancelled"
    assert wallet.worth() == {"unspent": FUNDS}
    refused = wallet.run("confirm", operation_id)
    assert refused.code == 1 and "ALREADY_FINAL" in refused.err


def test_deposit_in_every_way(wallet: Wallet) -> None:
    with wallet.mint() as mint:
        tokens = [token_of(mint) for _ in range(3)]
    wallet.printed.clear()
    (wallet.folder / "token.txt").write_text(tokens[1] + "\n")
    assert wallet.run("deposit", tokens[0]).code == 0
    assert wallet.run("deposit", "--file", str(wallet.folder / "token.txt")).code == 0
    assert wallet.run("deposit", "-", "--json", stdin=tokens[2]).json["operation"]["state"] == "deposited"
    assert wallet.worth() == {"unspent": FUNDS + 3 * 64}
    again = wallet.run("deposit", "-", stdin=tokens[2])
    assert again.code == 1 and "DUPLICATE_PROOF" in again.err
    other = wallet.run("deposit", "-", "--mint", "https://other.example", stdin=tokens[2])
    assert other.code == 1 and "MINT_OR_UNIT_MISMATCH" in other.err
    assert not [text for text in wallet.printed if any(token in text for token in tokens)]


def test_too_little_money_says_what_is_missing(wallet: Wallet) -> None:
    ran = wallet.run("melt", wallet.invoice(5000), "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "INSUFFICIENT_BALANCE"
    assert ran.json["error"]["details"]["available"] == FUNDS
    assert "nutstate mint" in wallet.run("melt", wallet.invoice(5000)).err


def test_no_store(empty: Wallet) -> None:
    for args in (
        ["balance"],
        ["history"],
        ["recover"],
        ["melt", empty.invoice()],
        ["show", "tx_nothing_here"],
    ):
        ran = empty.run(*args)
        assert ran.code == 1 and "there is no store" in ran.err and not empty.file.exists()


def test_an_empty_wallet(wallet: Wallet) -> None:
    assert demo_npub() == NPUB
    somebody_else = bech32.bech32_encode("npub", bech32.convertbits(b"x" * 32, 8, 5, True) or [])
    ran = wallet.run("balance", "--npub", somebody_else)
    assert ran.code == 0 and "empty" in ran.out


def test_logs_go_to_standard_error(wallet: Wallet) -> None:
    ran = wallet.process("melt", wallet.invoice(), "--json", "--log", "json")
    events = [json.loads(line) for line in ran.err.splitlines()]
    assert ran.json["operation"]["state"] == "reconciled"
    assert "paying" in [event["to_state"] for event in events if event["event"] == "transition"]
    console = wallet.process("melt", wallet.invoice(), "--log", "console")
    assert "transition" in console.err and "transition" not in console.out
    assert wallet.process("melt", wallet.invoice(), "--log", "off").err == ""


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_lines_that_fit_and_ids_that_can_be_copied(wallet: Wallet, columns: int) -> None:
    operation_id = wallet.run("melt", wallet.invoice(), "--json").json["operation"]["id"]
    env = {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm"}
    for args in (["history"], ["show", operation_id, "-v"], ["balance"]):
        ran = wallet.run(*args, env=env)
        assert "\x1b[" in ran.out
        plain = "".join(
            part.split("m", 1)[-1] if n else part for n, part in enumerate(ran.out.split("\x1b["))
        )
        assert max(len(line.rstrip()) for line in plain.splitlines()) <= columns
        assert args == ["balance"] or operation_id in plain
    assert "\x1b" not in wallet.run("history").out


@pytest.mark.parametrize("columns", [40, 50, 60, 69])
def test_r534_a_narrow_terminal_keeps_id_state_and_amount(wallet: Wallet, columns: int) -> None:
    """R534: where the table does not fit, each operation has two lines: its whole id, then state, amount and
    age. No word is broken."""
    melt = wallet.run("melt", wallet.invoice(), "--json").json["operation"]
    env = {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm"}
    lines = re.sub("\x1b\\[[0-9;]*m", "", wallet.run("history", env=env).out).splitlines()
    at = lines.index(melt["id"])
    assert re.fullmatch(r"  reconciled  100 sat  \d+s", lines[at + 1].rstrip())
    assert len(lines) == 4 and all(len(line.rstrip()) <= max(columns, len(melt["id"])) for line in lines)


def test_words() -> None:
    assert [duration(ms) for ms in (0.4, 999, 1500, 61_000, 3_660_000, 200_000_000)] == [
        "0 ms",
        "999 ms",
        "1.5 s",
        "1 min 1 s",
        "1 h 1 min",
        "2 d 7 h",
    ]
    assert [brief_age(ms) for ms in (-5, 4_000, 120_000, 7_200_000, 10**9)] == ["0s", "4s", "2m", "2h", "11d"]
    assert clean("a\x1b[31mb\n") == "a�[31mb\n"
    assert redact("x mongodb://u:p@host 'cashuAabc' " + "f" * 64) == "x mongodb://…host '…' …"


def test_r250_r253_a_fee_has_a_maximum_and_an_outcome_is_told(wallet: Wallet) -> None:
    """R250, R253: ``--fee-max`` refuses before anything is reserved; text and JSON say how it stands."""
    bolt11 = wallet.invoice(100)
    refused = wallet.run("melt", bolt11, "--fee-max", "0", "--json")
    assert refused.code == 1 and refused.json["error"]["code"] == "FEE_TOO_HIGH"
    assert refused.json["error"]["details"]["fee_max"] == 0 and wallet.worth() == {"unspent": FUNDS}
    paid = wallet.run("melt", bolt11, "--fee-max", "5", "--json").json["operation"]
    assert (paid["outcome"], paid["paid"], paid["cost"]) == ("paid", True, paid["fee_paid"])
    plan = wallet.run("melt", wallet.invoice(100), "--prepare", "--json").json["operation"]
    assert plan["outcome"] == "open" and "pay nothing elsewhere" in wallet.run("show", plan["id"]).out
