"""R494-R497, R532: kinds of a service's own on the command line: ``--from``, ``NUTSTATE_KINDS``, ``start``,
``tell``."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, Secret, open_store
from nutstate.cli.ends import Exit
from nutstate.engine.simulated import faults
from tests.support import errand
from tests.support.own import ROOT, example

from .conftest import NPUB, Wallet, dump
from .test_kill import HANGS

own = example()
APPROVAL, ERRAND = "own_operation", "tests.support.errand"


def start(wallet: Wallet, kinds: Any, kind: str, *, tell: str = "", **more: Any) -> str:
    """The id of a new operation in the wallet's store."""
    with (
        wallet.mint() as mint,
        open_store(wallet.url, kinds=kinds) as store,
        Engine(store, mint, kinds=kinds) as engine,
    ):
        handle = engine.start(kind, npub=NPUB, mint_url=mint.url, **more)
        if tell:
            handle = engine.tell(handle.id, tell)
        return handle.id


def approval(wallet: Wallet) -> str:
    data = own.ApprovalData("ann", Secret(wallet.invoice()))
    return start(wallet, own.KINDS, "approval", amount=100, data=data)


def blocked(wallet: Wallet) -> str:
    return start(wallet, errand.KINDS, "errand", tell="go", data=errand.ErrandData(blocked=True))


def test_r532_an_operation_is_started_and_told(wallet: Wallet) -> None:
    """R532: ``start`` asks for a payment and ``tell`` approves it; the same command again finds the first
    operation, and another request with its id or key is refused."""
    data = json.dumps({"asked_by": "ann", "invoice": wallet.invoice()})
    same = ("start", "approval", "--amount", "100", "--id", "tx_approval_17", "--from", APPROVAL)
    begun = wallet.run(*same, "--data", "-", stdin=data)
    assert begun.code == Exit.DONE and "approval waiting: waits for a second person" in begun.out
    before = dump(wallet.file)
    again = wallet.run(*same, "--data", data, "--json")
    assert (again.code, again.json["operation"]["id"]) == (Exit.DONE, "tx_approval_17")
    other = wallet.run(*same, "--data", '{"asked_by": "eve"}')
    assert other.code == Exit.REFUSED and "[DUPLICATE_TRANSACTION_ID]" in other.err
    assert dump(wallet.file) == before
    told = wallet.run("tell", "tx_approval_17", "approve", "--evidence", "bob", "--from", APPROVAL)
    assert told.code == Exit.DONE and "approval done: paid" in told.out


def test_r532_a_key_starts_one_operation(wallet: Wallet) -> None:
    """R532: with --idempotency-key the id is the engine's; the second run shows the first operation."""
    run = ("start", "errand", "--idempotency-key", "once", "--json")
    env = {"NUTSTATE_KINDS": ERRAND}
    first = wallet.run(*run, "--data", '{"what": "letter"}', env=env)
    assert first.code == Exit.DONE and first.json["operation"]["state"] == "idle"
    assert wallet.run(*run, "--data", '{"what": "letter"}', env=env).json == first.json
    reused = wallet.run(*run, "--data", '{"what": "parcel"}', env=env)
    assert reused.code == Exit.REFUSED and reused.json["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(wallet.run("history", "--kind", "errand", "--json", env=env).json["operations"]) == 1


def test_r532_bad_data_are_refused_and_not_repeated(wallet: Wallet) -> None:
    """R532: a field that the kind does not have, or a value of another type, is INVALID_DATA; no value is
    converted, nothing is written, and the sentence shows no value."""
    assert wallet.run("history", "--from", APPROVAL).code == Exit.DONE  # adds the machine
    before = dump(wallet.file)
    for data in (
        '{"asked_by": "ann", "invoice": 7}',
        '{"asked_by": 7}',
        '{"secret": 1}',
        "[]",
        '"secret"',
        "7",
    ):
        wrong = wallet.run("start", "approval", "--data", data, "--from", APPROVAL)
        assert wrong.code == Exit.REFUSED and "[INVALID_DATA]" in wrong.err and "ApprovalData" in wrong.err
        assert "secret" not in wrong.err + wrong.out
    for origin in ((), ("--from", APPROVAL)):
        unknown = wallet.run("start", "errand", *origin)
        assert unknown.code == Exit.REFUSED and "--from MODULE" in unknown.err
    assert dump(wallet.file) == before


def test_r494_an_operation_is_told_followed_and_shown(wallet: Wallet) -> None:
    """R494: ``tell`` drives an approval on to its end; ``show`` names its child, and offers nothing more."""
    name = approval(wallet)
    shown = wallet.run("show", name, "--from", APPROVAL)
    assert "approval waiting: waits for a second person" in shown.out
    for event in ("approve", "decline"):
        assert f"nutstate tell {name} {event} --from {APPROVAL}\n" in shown.out
    refused = wallet.run("tell", name, "approve", "--evidence", "ann", "--from", APPROVAL)
    assert refused.code == Exit.REFUSED and "[APPROVER_IS_ASKER]" in refused.err
    told = wallet.run("tell", name, "approve", "--evidence", "bob", "--from", APPROVAL)
    assert told.code == Exit.DONE and "approval done: paid" in told.out
    document = wallet.run("show", name, "--json", env={"NUTSTATE_KINDS": APPROVAL}).json
    assert document["children"] == [f"{name}.melt"]
    assert (document["operation"]["outcome"], document["operation"]["meaning"]) == ("paid", "paid")
    assert wallet.run("show", f"{name}.melt", "--json").json["operation"]["state"] == "reconciled"
    assert re.search(f"parent +{name}\\n", wallet.run("show", f"{name}.melt").out)
    assert wallet.run("audit", "verify", "--from", APPROVAL).code == Exit.DONE
    assert wallet.run("reconcile", "--all", "--from", APPROVAL).code == Exit.DONE


@pytest.mark.parametrize("verb", ["resume", "release", "write-off", "resolve"])
def test_r494_an_operator_is_offered_each_event_with_an_edge(wallet: Wallet, verb: str) -> None:
    """R494: a parked operation offers its operator's events with a reason; the commands of these names work
    for it too."""
    name, event = blocked(wallet), verb.replace("-", "_")
    offered = wallet.run("show", name, "--json", "--from", ERRAND).json["next"]
    assert f"nutstate tell {name} {event} --reason WHY --from {ERRAND}" in offered
    assert len(offered) == 5 and offered[0].startswith(f"nutstate show {name} --verbose")
    done = wallet.run(verb, name, "--reason", "seen", "--operator", "zoe", "--from", ERRAND)
    assert done.code == Exit.DONE, done.err
    other = blocked(wallet)
    told = wallet.run(
        "tell", other, event, "--reason", "seen", "--operator", "zoe", "--from", ERRAND, "--json"
    )
    assert told.json["operation"]["final"]
    assert told.code == (Exit.REFUSED if event == "write_off" else Exit.DONE)
    assert "by operator zoe: seen" in wallet.run("show", other, "--from", ERRAND).out


def test_r494_a_reason_is_needed_for_an_operators_event(wallet: Wallet) -> None:
    """R494: without --reason the event is refused; --operator without it is wrong usage."""
    name = blocked(wallet)
    before = dump(wallet.file)
    refused = wallet.run("tell", name, "resume", "--from", ERRAND)
    assert refused.code == Exit.REFUSED and "--reason" in refused.err
    assert wallet.run("tell", name, "resume", "--operator", "zoe", "--from", ERRAND).code == Exit.USAGE
    assert dump(wallet.file) == before


@pytest.mark.parametrize(
    ("given", "stdin", "kept"),
    [
        ("bob", None, "bob"), ("7", None, "7"), ('"7"', None, "7"), ('{"by": [2]}', None, {"by": [2]}),
        ("[1]", None, [1]), ("-", "bob\n", "bob"), ("-", '{"a": null}', {"a": None}), ("", None, ""),
    ],
)  # fmt: skip
def test_r495_evidence_is_a_text_or_json(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch, given: str, stdin: str | None, kept: Any
) -> None:
    """R495: what begins like JSON is JSON, all else is a text; - reads it from standard input."""
    name, seen = start(wallet, errand.KINDS, "errand"), []
    tell = Engine.tell

    def noted(engine: Engine, operation_id: str, event: str, evidence: object = None, **more: Any) -> Any:
        seen.append(evidence)
        return tell(engine, operation_id, event, evidence, **more)

    monkeypatch.setattr(Engine, "tell", noted)
    assert (
        wallet.run("tell", name, "go", "--evidence", given, "--from", ERRAND, stdin=stdin).code == Exit.DONE
    )
    assert seen == [kept]


def test_r621_a_refused_start_names_what_is_wrong(wallet: Wallet) -> None:
    """R621: the amount is called amount, the fields that the data may have are named and no value is, and a
    built-in kind is sent to its own command."""
    begin = ("start", "approval", "--from", APPROVAL)
    assert "amount must be a whole number from 0 to" in wallet.run(*begin, "--amount", "-5").err
    for data in ('{"secret": 1}', '{"asked_by": 5}', "secret", "null", "[]"):
        refused = wallet.run(*begin, "--data", data)
        said = " ".join(refused.err.split())
        assert refused.code == Exit.REFUSED and "secret" not in said, data
        assert "the fields are: asked_by, invoice, approved_by" in said, data
    twice = wallet.run(*begin, "--data", '{"asked_by": "ann", "asked_by": "bob"}')
    assert twice.code == Exit.USAGE and "names a field twice" in " ".join(twice.err.split())
    broken = wallet.run(*begin, "--data", '{"asked_by": "ann"')
    assert broken.code == Exit.USAGE and "is not valid JSON" in broken.err
    built_in = wallet.run("start", "melt", "--from", APPROVAL)
    said = " ".join(built_in.err.split())
    assert built_in.code == Exit.REFUSED and "a built-in kind has a command of its own" in said


@pytest.mark.parametrize("given", ["{secret", '["secret"', '"secret', '{"secret": 1} x', "[" * 100_000])
def test_r495_broken_json_is_wrong_usage_and_is_not_repeated(wallet: Wallet, given: str) -> None:
    """R495: nothing is written, and the sentence does not hold the evidence."""
    name = start(wallet, errand.KINDS, "errand")
    before = dump(wallet.file)
    wrong = wallet.run("tell", name, "go", "--evidence", given, "--from", ERRAND)
    assert wrong.code == Exit.USAGE and "secret" not in wrong.err + wrong.out and "--evidence" in wrong.err
    assert dump(wallet.file) == before


def test_r496_the_variable_spares_the_option(wallet: Wallet) -> None:
    """R496: with NUTSTATE_KINDS every command knows the kinds, and what it suggests needs no option."""
    name, env = blocked(wallet), {"NUTSTATE_KINDS": ERRAND}
    shown = wallet.run("show", name, env=env)
    assert f"nutstate tell {name} resolve --reason WHY\n" in shown.out and "--from" not in shown.out
    assert wallet.run("history", "--kind", "errand", "--state", "blocked", "--json", env=env).json[
        "operations"
    ]
    assert "errand@1" in wallet.run("doctor", env=env).out
    assert "blocked" in wallet.run("audit", "list", "--operation", name, env=env).out
    assert wallet.run("show", name, "--report", env=env).code == Exit.DONE
    empty = wallet.run("history", env={"NUTSTATE_KINDS": ""})
    assert empty.code == Exit.USAGE and "NUTSTATE_KINDS" in empty.err


def test_r496_the_demo_knows_no_kinds_of_a_service(empty: Wallet) -> None:
    """R496: the demo reads no variable, so that a wrong one does not keep it from running."""
    ran = empty.run("demo", "--dir", str(empty.folder), env={"NUTSTATE_KINDS": "no_such_module"})
    assert ran.code == Exit.DONE, ran.err
    assert empty.run("demo", "--from", ERRAND).code == Exit.USAGE


def test_r496_recover_goes_on_with_a_killed_approval_and_its_child(wallet: Wallet) -> None:
    """R496: the process that approved is gone before the child melt ended; ``recover`` ends both. Without the
    kind only the child ends."""
    name = approval(wallet)
    with (
        wallet.mint() as mint,
        open_store(wallet.url, kinds=own.KINDS) as store,
        Engine(store, mint, kinds=own.KINDS) as engine,
    ):
        mint.faults.next("melt", faults.ANSWER_LOST)
        mint.faults.always("melt_quote_state", [faults.UNREACHABLE])
        assert engine.tell(name, "approve", "bob", wait_s=0).state == "paying"
        mint.faults.stop()
    assert wallet.run("recover", "--force", "--wait", "30").code == Exit.OPEN
    states = {op["id"]: op["state"] for op in wallet.run("history", "--json").json["operations"]}
    assert (states[name], states[f"{name}.melt"]) == ("paying", "reconciled")
    assert wallet.run("recover", "--force", "--wait", "30", "--from", APPROVAL).code == Exit.DONE
    assert wallet.run("show", name, "--json").json["operation"]["state"] == "done"


@pytest.mark.disk
def test_r496_kill_9_while_the_child_pays_pays_once(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """R496: `nutstate tell` is killed while the child's request is on its way; `nutstate recover` of another
    process ends child and parent, and the invoice is paid once."""
    folders = (str(ROOT / "examples"), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
    name = approval(wallet)
    tell = ("tell", name, "approve", "--evidence", "bob", "--from", APPROVAL)
    process = wallet.start(*tell, program=("-c", HANGS.format(executes=True)))
    assert process.stderr is not None and process.stderr.readline() == "on its way\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=20) == -signal.SIGKILL
    process.communicate()
    left = wallet.process("show", name, "--json", "--from", APPROVAL).json
    assert left["operation"]["state"] == "paying" and left["children"] == [f"{name}.melt"]
    assert wallet.process("recover", "--force", "--wait", "20", "--from", APPROVAL).code == Exit.DONE
    shown = wallet.process("show", name, "--from", APPROVAL)
    assert "approval done: paid" in shown.out and "(reconciled)" in shown.out
    with wallet.mint() as mint, open_store(wallet.url, kinds=own.KINDS) as store:
        op = store.operation(f"{name}.melt")
        assert op is not None and op.payment_hash is not None
        assert mint.lightning.attempts(op.payment_hash) == 1


def test_r496_without_the_kind_an_operation_is_listed_and_shown_but_not_told(wallet: Wallet) -> None:
    """R496: reading needs no kind; each command that drives says how to name it, and changes nothing."""
    name = blocked(wallet)
    assert "blocked" in wallet.run("history").out
    shown = wallet.run("show", name)
    assert shown.code == Exit.DONE and f"nutstate show {name} --from MODULE" in shown.out
    before = dump(wallet.file)
    for command in (("tell", name, "resolve"), ("resume", name), ("resolve", name), ("write-off", name)):
        refused = wallet.run(*command, "--reason", "seen")
        assert refused.code in (Exit.REFUSED, Exit.OPEN), command
        assert "[UNKNOWN_MACHINE]" in refused.err and "--from MODULE" in re.sub(r"\s+", " ", refused.err)
    assert dump(wallet.file) == before
    assert wallet.run("history", "--kind", "errand").code == Exit.USAGE


_ERRAND = "import attrs\nfrom tests.support.errand import *\n"
BROKEN = {
    "broken_nothing": ("X = 1\n", "holds no Machine and no Kind"),
    "broken_raises": ("raise RuntimeError('oh dear')\n", "RuntimeError: oh dear (broken_raises.py:1)"),
    "broken_syntax": ("def\n", "cannot be imported"),
    "broken_kind": (
        f"{_ERRAND}K = attrs.evolve(ERRAND_KIND, actions={{}})\n",
        "'underway'",
    ),
    "broken_twice": (
        f"{_ERRAND}K = attrs.evolve(ERRAND_KIND, alarm=lambda op: None)\n",
        "two kinds named 'errand'",
    ),
    "broken_melt": (
        f"{_ERRAND}M = attrs.evolve(ERRAND, name='melt')\nK = attrs.evolve(ERRAND_KIND, machines=(M,))\n"
        "del ERRAND_KIND, KINDS\n",
        "two kinds named 'melt'",
    ),
    "broken_lint": (
        f"{_ERRAND}M = attrs.evolve(ERRAND, states=(*ERRAND.states, State('odd', 'never reached')))\n"
        "KINDS = BUILT_IN | attrs.evolve(ERRAND_KIND, machines=(M,))\n",
        "odd",
    ),
}


@pytest.mark.parametrize("module", BROKEN)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_r497_a_module_that_does_not_fit_is_wrong_usage(
    wallet: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, by: str
) -> None:
    """R497: exit code 2 and a sentence that names the option or the variable, the module and the place; for a
    kind that does not fit with its code KIND_INVALID. Nothing is written."""
    text, said = BROKEN[module]
    (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    before = dump(wallet.file)
    args, env = (("--from", module), {}) if by == "option" else ((), {"NUTSTATE_KINDS": module})
    for command in (("recover",), ("doctor",), ("errors",)):
        wrong = wallet.run(*command, *args, env=env)
        assert wrong.code == Exit.USAGE and said in wrong.err, wrong.err
        assert f"error: {'--from' if by == 'option' else 'NUTSTATE_KINDS'}: '{module}'" in wrong.err
        named = module in ("broken_kind", "broken_twice", "broken_melt", "broken_lint")
        assert ("[KIND_INVALID]" in wrong.err) == named
    assert json.loads(wallet.run("recover", "--json", *args, env=env).out)["error"]["code"] == "USAGE"
    assert dump(wallet.file) == before


def test_r497_a_module_with_tables_only_can_be_read_with_but_not_driven(
    wallet: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R497: the table is enough to list, replay and check the store; what drives asks for the kind."""
    (tmp_path / "only_table.py").write_text("from tests.support.errand import ERRAND\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    name = blocked(wallet)
    page = tmp_path / "trail.html"
    assert wallet.run("show", name, "--html", str(page), "--from", "only_table").code == Exit.DONE
    assert "the way is blocked" in page.read_text(encoding="utf-8")
    assert "errand@1" in wallet.run("doctor", "--from", "only_table").out
    assert wallet.run("audit", "list", "--from", "only_table").code == Exit.DONE
    for command in (
        ("recover",),
        ("tell", name, "resolve", "--reason", "x"),
        ("reconcile", "--all"),
        ("errors",),
    ):
        wrong = wallet.run(*command, "--from", "only_table")
        assert wrong.code == Exit.USAGE and "holds no Kind, only the table of errand" in wrong.err, command


def test_r497_the_codes_of_a_kind_stand_beside_the_catalogue(wallet: Wallet) -> None:
    """R497: ``errors`` lists and explains the codes of own kinds, with the name of the kind."""
    found = {
        entry["code"]: entry for entry in wallet.run("errors", "--json", "--from", APPROVAL).json["errors"]
    }
    assert found["APPROVER_IS_ASKER"]["kind"] == "approval" and found["NOT_FOUND"]["kind"] is None
    assert found["APPROVER_IS_ASKER"]["sentence"] == own.APPROVAL_KIND.codes["APPROVER_IS_ASKER"][1]
    told = wallet.run("errors", "already_approved", "--from", APPROVAL).out
    assert re.search(r"kind +approval\n", told) and re.search(r"severity +LOW\n", told)
    assert wallet.run("errors", "ALREADY_APPROVED").code == Exit.USAGE
    assert "kind" not in wallet.run("errors").out.splitlines()[0]
    assert (
        wallet.run("errors", "--markdown", env={"NUTSTATE_KINDS": APPROVAL}).out
        == wallet.run("errors", "--markdown").out
    )


def test_r497_a_trail_of_an_own_kind_is_replayed_on_its_drawing(wallet: Wallet, tmp_path: Path) -> None:
    """R497: ``show --html`` draws the own machine; the page holds nothing of the data."""
    name = approval(wallet)
    with open_store(wallet.url, kinds=own.KINDS) as store:
        stored = store.operation(name)
    assert stored is not None
    invoice = own.APPROVAL_KIND.data_of(stored).invoice.reveal()
    wallet.run("tell", name, "approve", "--evidence", "bob", "--from", APPROVAL)
    page = tmp_path / "trail.html"
    assert wallet.run("show", name, "--html", str(page), "--from", APPROVAL).code == Exit.DONE
    text = page.read_text(encoding="utf-8")
    assert "approved; a child melt pays the invoice" in text and '"transition":"2.approve.waiting"' in text
    assert invoice.startswith("ln") and invoice not in text and page.stat().st_mode & 0o077 == 0
