"""The command line over a store with an operation of a machine that this program does not have, and over a
store of an older schema."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nutstate import open_store
from nutstate.storage.records import Operation
from nutstate.storage.rules.machines import Machines
from tests.support.releases import ANOTHER, FIXTURES, GIFT, MELT_2, NEXT, SCHEMA_1, N, begun

from .conftest import NPUB, Wallet
from .test_recover import melting


def has(monkeypatch: pytest.MonkeyPatch, machines: Machines) -> None:
    """From here on the command line has these machines."""
    monkeypatch.setattr(Machines, "of", classmethod(lambda cls, specs: machines))


@pytest.fixture(params=[(MELT_2, NEXT), (GIFT, ANOTHER)], ids=["another version", "another name"])
def strange(request: pytest.FixtureRequest, wallet: Wallet) -> Operation:
    """Another program left it in the wallet; it was due long ago."""
    spec, machines = request.param
    with open_store(wallet.url, machines=machines) as store:
        return begun(store, spec, machines, npub=NPUB, wallet_id=NPUB, next_check_at=5)


def test_r416_every_command_that_reads_goes_through(wallet: Wallet, strange: Operation) -> None:
    """R416: one unknown machine hides nothing, neither itself nor the others."""
    known = melting(wallet)
    machine = f"{strange.machine.name}@{strange.machine.version}"
    listed = wallet.run("history", "--json").json["operations"]
    assert {strange.id, known} <= {operation["id"] for operation in listed}
    (told,) = [operation for operation in listed if operation["id"] == strange.id]
    assert told["machine"] == machine and machine in told["meaning"] and told["outcome"] == "open"
    assert strange.id in wallet.run("history").out
    shown = wallet.run("show", strange.id)
    assert shown.code == 0 and f"does not have its machine {machine}" in shown.out
    assert "hash chain verified" in shown.out and "resume" not in shown.out and "cancel" not in shown.out
    assert wallet.run("show", strange.id, "--report").code == 0
    assert wallet.worth() == wallet.worth() and sum(wallet.worth().values()) == 1000
    assert (
        wallet.run("audit", "verify").code == 0
        and wallet.run("audit", "list", "--operation", strange.id).code == 0
    )
    assert wallet.run("reconcile", "--all").code == 0 and wallet.run("reconcile", strange.id).code == 0
    checked = wallet.run("doctor")
    assert checked.code == 0 and f"also holds {machine}" in checked.out.replace("token@2, ", "")


def test_r416_the_review_page_counts_it(wallet: Wallet, strange: Operation) -> None:
    """R416: ``diagrams page --store`` shows how many operations are in each state, of any machine."""
    page = wallet.folder / "page.html"
    ran = wallet.run("diagrams", "page", "--store", wallet.url, "-o", str(page), "--json")
    assert ran.code == 0 and page.exists()
    assert ran.json["counts"][strange.kind]["requested"] == 1


def test_r417_recover_goes_on_with_the_others(wallet: Wallet, strange: Operation) -> None:
    """R417: what cannot be driven stays open and is offered to be looked at; exit code 3 says so."""
    known = melting(wallet)
    with wallet.mint() as mint:
        mint.lightning.settle(str(wallet.run("show", known, "--json").json["operation"]["payment_hash"]))
    ran = wallet.run("recover", "--force", "--json")
    states = {operation["id"]: operation["state"] for operation in ran.json["operations"]}
    assert ran.code == 3 and states == {known: "reconciled", strange.id: "requested"}
    assert ran.json["open"] == [strange.id]


@pytest.mark.parametrize("command", [("cancel",), ("resume", "--reason", "x"), ("show", "--html", "t.html")])
def test_r417_a_command_that_needs_the_machine_says_that_it_is_missing(
    wallet: Wallet, strange: Operation, command: tuple[str, ...]
) -> None:
    """R417: code UNKNOWN_MACHINE, in one sentence."""
    verb, *rest = command
    rest = [str(wallet.folder / word) if word.endswith(".html") else word for word in rest]
    ran = wallet.run(verb, strange.id, *rest)
    assert ran.code in (1, 3) and "UNKNOWN_MACHINE" in ran.err and not (wallet.folder / "t.html").exists()
    assert "goes on with it" not in ran.err or "A program that has the machine goes on with it" in ran.err


def test_r412_a_changed_machine_is_told_in_a_sentence(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R412: the command line does not open the store, and the doctor says what is wrong with it."""
    from tests.support.releases import CHANGED

    has(monkeypatch, CHANGED)
    ran = wallet.run("history")
    assert ran.code == 1 and "MACHINE_CHANGED" in ran.err and "melt@1" in ran.err
    looked = wallet.run("doctor", "--fix", "--json").json
    (error,) = [
        found for found in looked["findings"] if found["status"] == "error" and found["check"] == "machines"
    ]
    assert "melt@1" in error["text"] and not error["fixable"] and not looked["healthy"]
    has(monkeypatch, N)
    assert wallet.run("history").code == 0


@pytest.fixture
def old(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wallet's file is one of schema 1, and this program has the machines that made it."""
    wallet.file.unlink()
    shutil.copyfile(FIXTURES / "schema-1.db", wallet.file)
    wallet.file.chmod(0o600)
    has(monkeypatch, SCHEMA_1)
    return wallet.file


def test_r419_r420_from_the_error_to_a_store_that_works(wallet: Wallet, old: Path) -> None:
    """R419, R420: the command of the error is the one that helps; the doctor tells the plan, then what it
    did."""
    ran = wallet.run("history")
    command = f"nutstate doctor --fix --store {wallet.url}"
    assert ran.code == 1 and command in ran.err.replace("\n", " ")
    plan = wallet.run("doctor")
    assert plan.code == 1 and "Schema 1 to 2, `--fix` migrates it:" in plan.out
    assert "  3. move the operations" in plan.out and f"{old}.schema-1: a copy is made first" in plan.out
    done = wallet.run(*command.split()[1:])
    assert done.code == 0 and "Schema 1 to 2, migrated:" in done.out
    assert f"{old}.schema-1: the store as it was before" in done.out
    assert "fixed: migrated the store to schema 2" in done.out
    everybody = {"NUTSTATE_NPUB": None}
    listed = wallet.run("history", "--limit", "50", "--json", env=everybody).json["operations"]
    assert len(listed) == 14


def test_r420_the_same_as_json(wallet: Wallet, old: Path) -> None:
    """R420: from, to, the steps, whether it was done, and where the copy lies."""
    plan = wallet.run("doctor", "--json").json["migration"]
    done = wallet.run("doctor", "--fix", "--json").json
    assert plan["done"] is False and done["migration"] == plan | {"done": True}
    assert (plan["start"], plan["end"], plan["copy"]) == (1, 2, f"{old}.schema-1")
    assert done["healthy"] and done["fixed"] == ["migrated the store to schema 2"]
    assert wallet.run("doctor", "--json").json["migration"] is None
