"""0 done, 1 refused, 3 outcome unknown, 130 interrupted; and what a parked operation needs."""

from __future__ import annotations

import getpass
import json
import signal
import time
from typing import Any

import attrs
import pytest
from pymongo.errors import ServerSelectionTimeoutError

from nutstate import Engine
from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.checks import foresee, read_documents, reconcile
from nutstate.engine.checks.documents import KindChecks
from nutstate.engine.simulated.faults import REQUEST_LOST, lie_about
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.errors import CommitUnknown, StoreUnavailable
from nutstate.storage.mongo.session import named
from nutstate.storage.sqlite.store import SqliteStore

from .conftest import FUNDS, Wallet

MARKER = "marker-that-is-a-value"


def pending(wallet: Wallet) -> tuple[str, str]:
    """A melt that hangs: its invoice and payment hash."""
    invoice = wallet.invoice()
    payment_hash = decode_invoice(invoice).payment_hash
    with wallet.mint() as mint:
        mint.lightning.script(payment_hash, "PENDING")
    return invoice, payment_hash


def test_a_live_operation_ends_with_3_and_goes_on(wallet: Wallet) -> None:
    invoice, payment_hash = pending(wallet)
    ran = wallet.run("melt", invoice, "--wait", "0")
    assert ran.code == 3 and "nutstate recover --wait 60" in ran.out and "stays open" in ran.out
    again = wallet.run("melt", invoice, "--wait", "0", "--json")
    operation = again.json["operation"]
    assert again.code == 3 and operation["state"] == "pending" and again.json["next"]
    assert wallet.run("show", operation["id"]).code == 0
    assert wallet.run("recover").code == 3
    recovered = wallet.run("recover", "--json", "--force")
    assert recovered.code == 3 and recovered.json["open"] == [operation["id"]]
    assert [o["state"] for o in recovered.json["operations"]] == ["pending"]
    cancelled = wallet.run("cancel", operation["id"], "--json")
    assert cancelled.code == 1 and cancelled.json["error"]["code"] == "ALREADY_SENT"
    with wallet.mint() as mint:
        mint.lightning.settle(payment_hash)
    done = wallet.run("recover", "--json", "--wait", "10")
    assert done.code == 0 and done.json["operations"][0]["state"] == "reconciled" and not done.json["open"]


def test_an_unpaid_invoice_of_ours_ends_with_3(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nutstate.engine.simulated.ledger.Ledger.pay_mint_quote", lambda *_: None)
    monkeypatch.setattr(SimulatedMint, "auto_pay", False)
    original = SimulatedMint.__init__

    def unpaid(self: SimulatedMint, *args: Any, **given: Any) -> None:
        original(self, *args, **given)
        self._ledger.auto_pay = False

    monkeypatch.setattr(SimulatedMint, "__init__", unpaid)
    ran = wallet.run("mint", "50", "--wait", "0", "--json")
    operation = ran.json["operation"]
    assert ran.code == 3 and operation["state"] == "quoted" and operation["invoice"].startswith("lnbc")
    assert operation["invoice"] in wallet.run("show", operation["id"]).out
    key = wallet.run("mint", "50", "--wait", "0", "--key", "k")
    assert key.code == 3 and key.out.count("lnbc") == 1
    assert wallet.run("mint", "50", "--wait", "0", "--key", "k").out.count("lnbc") == 1


def test_mint_unreachable_is_1(wallet: Wallet) -> None:
    ran = wallet.run("melt", wallet.invoice(), "--mint", "http://127.0.0.1:1", "--json")
    error = ran.json["error"]
    assert ran.code == 1 and (error["family"], error["code"]) == ("MintError", "MINT_UNREACHABLE")
    assert error["retryable"]
    ran = wallet.run("mint", "5", "--mint", "http://127.0.0.1:1", "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "MINT_UNREACHABLE"


def test_commit_unknown_is_3(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(self: SqliteStore, batch: Any, *read_back: Any) -> None:
        raise CommitUnknown("b_1")

    monkeypatch.setattr(SqliteStore, "commit", lost)
    ran = wallet.run("melt", wallet.invoice(), "--json")
    error = ran.json["error"]
    assert ran.code == 3 and "recover" in ran.json["hint"]
    # perhaps it was committed, and another worker has sent it since
    assert error["code"] == "CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS"
    assert error["details"]["cause"] == "COMMIT_UNKNOWN"


def fail_commit(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Let the nth commit from now find the store gone."""
    original, count = SqliteStore.commit, [0]

    def commit(self: SqliteStore, batch: Any, *read_back: Any) -> None:
        count[0] += 1
        if count[0] == nth:
            raise StoreUnavailable("the disk is gone")
        original(self, batch, *read_back)

    monkeypatch.setattr(SqliteStore, "commit", commit)


def test_a_store_that_goes_away_before_the_first_commit_is_1(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_commit(monkeypatch, 1)
    ran = wallet.run("melt", wallet.invoice(), "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "STORE_UNAVAILABLE"
    assert wallet.worth() == {"unspent": FUNDS}


def test_a_store_that_cannot_be_written_says_what_to_check(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R438: neither heals by itself, so the next step is not only to try again."""
    for message, words in (
        ("wallet.db: the store is read-only", "rights to write"),
        (named(ServerSelectionTimeoutError("db1.example hunter2")), "that the servers run"),
    ):

        def commit(self: SqliteStore, batch: Any, *read_back: Any, message: str = message) -> None:
            raise StoreUnavailable(message)

        monkeypatch.setattr(SqliteStore, "commit", commit)
        ran = wallet.run("melt", wallet.invoice(), "--json")
        assert ran.code == 1 and words in ran.json["hint"] and "hunter2" not in ran.out


def test_a_mint_file_that_cannot_be_made_says_why(wallet: Wallet) -> None:
    """R438"""
    state = str(wallet.folder / "nowhere" / "mint.db")
    ran = wallet.run("mint-server", "--port", "0", "--state", state, "--json")
    assert ran.code == 1 and ran.json["error"]["code"] == "STORE_UNAVAILABLE"
    assert ran.json["error"]["message"].endswith("mint.db: No such file or directory")
    assert ran.json["hint"] == "Check the path, and the rights to write there."


GONE = """
from nutstate.cli import main
from nutstate.storage.errors import StoreUnavailable
from nutstate.storage.sqlite.store import SqliteStore
original, count = SqliteStore.commit, [0]
def commit(self, batch, *read_back):
    count[0] += 1
    if count[0] >= 2:  # the payment with its reconciliation, and then the payment alone
        raise StoreUnavailable("the disk is gone")
    original(self, batch, *read_back)
SqliteStore.commit = commit
main()
"""


def test_a_store_that_goes_away_later_is_3_and_names_the_operation(wallet: Wallet) -> None:
    process = wallet.start("melt", wallet.invoice(), "--json", program=("-c", GONE))
    out, err = process.communicate(timeout=30)
    wallet.printed += [out, err]
    document = json.loads(out)
    operation_id = document["error"]["details"]["operation_id"]
    assert process.returncode == 3 and f"nutstate show {operation_id}" in document["hint"]
    assert wallet.run("recover", "--wait", "5").code == 0
    assert wallet.run("show", operation_id, "--json").json["operation"]["state"] == "reconciled"


def raising(monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(SimulatedMint, method, fails)


@pytest.mark.parametrize(("begun", "code"), [(False, 1), (True, 3)])
def test_a_bug_is_one_line_without_values(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch, begun: bool, code: int
) -> None:
    """A bug of ours; what the mint's port raises is an answer."""
    real = Engine.melt

    def broken(engine: Engine, **given: Any) -> None:
        if begun:
            real(engine, **{**given, "wait_s": 0})
        raise KeyError(MARKER)

    monkeypatch.setattr(Engine, "melt", broken)
    invoice, _ = pending(wallet)
    ran = wallet.run("melt", invoice, "--json", "--log", "json")
    assert ran.code == code and ran.json["error"]["code"] == "UNEXPECTED"
    assert "KeyError" in ran.json["error"]["message"] and MARKER not in ran.out + ran.err
    (bug,) = [event for event in map(json.loads, ran.err.splitlines()) if event["event"] == "unexpected"]
    assert any("broken" in frame for frame in bug["where"])
    plain = wallet.run("melt", pending(wallet)[0], "--log", "off")
    assert plain.code == code and len(plain.err.splitlines()) == 2 and "--log json" in plain.err
    assert MARKER not in plain.err and "Traceback" not in plain.err


@pytest.mark.parametrize(("method", "known"), [("melt_quote", False), ("melt", True)])
def test_ctrl_c(wallet: Wallet, monkeypatch: pytest.MonkeyPatch, method: str, known: bool) -> None:
    invoice = wallet.invoice()
    raising(monkeypatch, method, KeyboardInterrupt())
    ran = wallet.run("melt", invoice, "--json")
    assert ran.code == 130 and ran.json["error"]["code"] == "INTERRUPTED"
    assert ("operation_id" in ran.json["error"]["details"]) is known
    assert "nutstate recover" in ran.json["hint"]


def test_ctrl_c_in_a_real_process(wallet: Wallet) -> None:
    invoice, _ = pending(wallet)
    process = wallet.start("melt", invoice, "--wait", "30", "--log", "json")
    assert process.stderr is not None
    for line in process.stderr:
        wallet.printed.append(line)
        if json.loads(line).get("to_state") == "pending":
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    wallet.printed += [out, err]
    assert process.returncode == 130 and "stays open" in err and "nutstate recover" in err
    assert "Traceback" not in err


def spent_elsewhere(wallet: Wallet, operation_id: str) -> None:
    """Let the mint say once that the inputs are spent."""
    names = {
        proof["Y"]: "SPENT"
        for document in wallet.documents()
        if isinstance(document, list)
        for proof in document
        if proof.get("Y")
    }
    assert names, operation_id
    with wallet.mint() as mint:
        mint.faults.next("check_states", lie_about(names))


def parked(wallet: Wallet) -> str:
    """A melt in state attention."""
    invoice = wallet.invoice()
    with wallet.mint() as mint:
        mint.faults.next("melt", REQUEST_LOST)
    operation = wallet.run("melt", invoice, "--wait", "0", "--json").json["operation"]
    assert operation["state"] == "unknown"
    operation_id: str = operation["id"]
    spent_elsewhere(wallet, operation_id)
    assert wallet.run("recover", "--force").code == 3
    return operation_id


def test_parked_resumed_and_written_off(wallet: Wallet) -> None:
    operation_id = parked(wallet)
    shown = wallet.run("show", operation_id)
    assert "melt attention" in shown.out and "nutstate resume" in shown.out and "write-off" in shown.out
    listed = wallet.run("history", "--state", "attention")
    assert operation_id in listed.out
    resumed = wallet.run("resume", operation_id, "--reason", "asked the mint", "--wait", "0", "--json")
    assert resumed.code == 3 and resumed.json["operation"]["state"] == "unknown"
    refused = wallet.run("write-off", operation_id, "--reason", "too early")
    assert refused.code == 1 and "[UNDEFINED_TRANSITION]" in refused.err
    spent_elsewhere(wallet, operation_id)
    assert wallet.run("recover", "--force").code == 3
    unspent = wallet.run("write-off", operation_id, "--reason", "the mint is gone")
    assert unspent.code == 1 and "[INPUTS_STILL_UNSPENT]" in unspent.err
    gone = wallet.run("write-off", operation_id, "--reason", "the mint is gone", "--force")
    assert gone.code == 0 and "set aside" in gone.out and "nutstate retry-stranded" in gone.out
    document = wallet.run("show", operation_id, "--json").json
    assert document["conservation"]["holds"] and document["conservation"]["stranded"] > 0
    assert any(record["actor"] == "operator" for record in document["audit"])
    (last,) = [r for r in document["audit"] if r["event"] == "write_off"]
    assert last["data"]["operator"] == getpass.getuser()
    assert f"by operator {getpass.getuser()}: the mint is gone" in wallet.run("show", operation_id).out


@pytest.mark.parametrize("form", ["option", "variable"])
def test_the_name_of_the_operator_is_recorded_and_shown(wallet: Wallet, form: str) -> None:
    """R312: on the command line, or for all commands of a shell; a cancel without a reason has none."""
    plan = wallet.run("melt", wallet.invoice(), "--prepare", "--json").json["operation"]["id"]
    named = ["--operator", "alice"] if form == "option" else []
    variable = {} if form == "option" else {"NUTSTATE_OPERATOR": "alice"}
    assert wallet.run("cancel", plan, "--reason", "wrong amount", *named, env=variable).code == 0
    assert "by operator alice: wrong amount" in wallet.run("show", plan).out
    other = wallet.run("melt", wallet.invoice(), "--prepare", "--json").json["operation"]["id"]
    assert wallet.run("cancel", other, env=variable).code == 0
    assert "by operator" not in wallet.run("show", other).out


def test_parked_and_released_on_the_mints_word(wallet: Wallet) -> None:
    operation_id = parked(wallet)
    too_early = wallet.run("release", operation_id, "--reason", "it is unspent")
    assert too_early.code == 1 and "[NOT_PROVEN_UNPAID]" in too_early.err


def test_discrepant_is_3_until_it_is_resolved(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    disagree = KindChecks(sums=lambda tally, docs: tally.that("the sums agree", False))
    read = read_documents.read_documents

    def disagreeing(reader: Any, op: Any, kinds: Any, **more: Any) -> Any:
        return attrs.evolve(read(reader, op, kinds, **more), checks=disagree)

    for look in (foresee, reconcile):  # inside the commit, and after it
        monkeypatch.setattr(look, "read_documents", disagreeing)
    ran = wallet.run("melt", wallet.invoice(), "--json")
    operation_id = ran.json["operation"]["id"]
    assert ran.code == 3 and ran.json["operation"]["state"] == "discrepant"
    assert "nutstate resolve" in wallet.run("show", operation_id).out
    assert wallet.run("resolve", operation_id, "--reason", "checked by hand").code == 0
    again = wallet.run("resolve", operation_id, "--reason", "checked by hand")
    assert again.code == 1
