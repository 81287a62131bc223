"""R148 to R157: what an error says, a store that fails after the payment, and the performance report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, InvalidArgument, MintError, NotFound, NutstateError, Refused, StorageError, Store
from nutstate.engine.simulated import faults
from nutstate.storage.port import TokenQuery
from nutstate.storage.testing.records import FaultyStore
from tests.support import invariants
from tests.support.recording import Wallet, as_json, proofs
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash, silence

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ROWS = re.compile(r"^\| `([A-Z0-9_]+)` \| (\w+) \| (yes)? *\|", re.MULTILINE)
AMBIGUOUS = "CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS"


def listed() -> dict[str, dict[str, tuple[str, bool]]]:
    """Family -> code -> severity and retryable, as docs/errors.md promises them."""
    page = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    families = dict(zip(page[1::2], page[2::2], strict=True))
    rows = {name: ROWS.findall(text) for name, text in families.items()}
    return {
        name: {code: (severity, bool(yes)) for code, severity, yes in found}
        for name, found in rows.items()
        if found
    }


def failing(store: Store, script: list[Any]) -> tuple[Engine, Engine, Any, Any]:
    """A sound engine, one whose store fails as scripted, mint and clock."""
    engine, mint, clock = funded(store)
    return engine, Engine(FaultyStore(store, script), mint, settings=QUICK, clock=clock), mint, clock


def caught(call: Callable[[], Any]) -> NutstateError:
    with pytest.raises(NutstateError) as error:
        call()
    return error.value


def one_of_each(store: Store) -> tuple[NutstateError, ...]:
    """Errors of each family; the caller's before and after something is written."""
    engine, broken, mint, clock = failing(store, ["unavailable"] * 50)

    def melt(by: Engine = engine, amount: int = 5, **more: Any) -> NutstateError:
        request = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(amount, clock)}
        return caught(lambda: by.melt(**request | more))

    source = store.tokens(TokenQuery())[0].transaction_id
    refused = [
        melt(npub="npub1"),
        melt(sources=["tx_unknown_1"]),
        melt(mint_url="https://other.example", sources=[source]),
        melt(amount=5000),
        caught(lambda: engine.operation("tx_unknown_1")),
    ]
    silence(mint, "melt_quote")
    return (*refused, melt(amount=6), melt(broken, 7))


def test_r148_three_families(store: Store) -> None:
    """Refused (the caller), MintError (remote), StorageError."""
    classes: tuple[type[NutstateError], ...] = (Refused, MintError, StorageError)
    assert issubclass(InvalidArgument, Refused) and issubclass(NotFound, Refused)
    assert set(listed()) >= {family.__name__ for family in classes}
    seen = set()
    for error in one_of_each(store):
        (family,) = [family for family in classes if isinstance(error, family)]
        assert error.as_dict()["family"] == family.__name__ and error.code in listed()[family.__name__]
        seen.add(family)
    assert seen == set(classes)


def test_r149_each_error_has_a_stable_code(new_store: Callable[[], Store]) -> None:
    """The code is the same each time, and a documented one."""
    codes = [error.code for error in one_of_each(new_store())]
    assert codes == [
        "INVALID_NPUB", "TOKEN_NOT_FOUND", "MINT_OR_UNIT_MISMATCH", "INSUFFICIENT_BALANCE", "NOT_FOUND",
        "MINT_UNREACHABLE", "STORE_UNAVAILABLE",
    ]  # fmt: skip
    assert codes == [error.code for error in one_of_each(new_store())]


def test_r150_r151_severity_and_retryable(store: Store) -> None:
    """Each error has a severity, LOW, MEDIUM, HIGH or CRITICAL, and says whether it is retryable."""
    promised = {code: row for rows in listed().values() for code, row in rows.items()}
    assert {severity for severity, _ in promised.values()} == set(SEVERITIES)
    for error in one_of_each(store):
        assert error.severity in SEVERITIES and type(error.retryable) is bool
        assert (error.severity, error.retryable) == promised[error.code]
        assert (error.as_dict()["severity"], error.as_dict()["retryable"]) == promised[error.code]


def test_r151_retryable_is_true(store: Store) -> None:
    """The same call succeeds later where the error says so."""
    engine, mint, clock = funded(store)
    silence(mint, "melt_quote")
    request: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url, "invoice": invoice(5, clock)}
    assert caught(lambda: engine.melt(**request)).retryable
    assert engine.melt(**request).state == "reconciled"


def test_r152_details_are_safe_to_print(store: Store) -> None:
    """No secret, C, invoice or token stands in an error, its details or its causes."""
    wallet = Wallet(store, 500)
    bolt11, given = invoice(5000, wallet.clock), as_json(proofs(100)[0])
    own = as_json(wallet.token(500).proofs[0]) | {"C": given["C"]}
    calls: list[Callable[[], Any]] = [
        lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11),
        lambda: wallet.engine.melt(**wallet.whose, invoice=bolt11[:-1] + "!"),
        lambda: wallet.engine.deposit(npub=NPUB, token="cashuA" + given["secret"]),
        lambda: wallet.engine.deposit(
            npub=NPUB, proofs=proofs(100, tag="same") * 2, mint_url=wallet.mint.url
        ),
        lambda: wallet.record([500], [given | {"amount": -1}], None, 400),
        lambda: wallet.record([500], [given, given], None, 300),
        lambda: wallet.record([500], [own], None, 400),
        lambda: wallet.record([500], [given], None, 500, payment_request=bolt11),
    ]
    hidden = [bolt11[10:60], *(given[name][5:] for name in ("secret", "C")), own["secret"]]
    hidden.append(proofs(100, tag="same")[0].secret.reveal())
    for call in calls:
        error = caught(call)
        printed = json.dumps(error.as_dict()) + str(error) + repr(error)
        printed += repr(error.__cause__) + ("" if error.__suppress_context__ else repr(error.__context__))
        assert not [text for text in hidden if text in printed]


def test_r153_what_is_missing(store: Store) -> None:
    """INSUFFICIENT_BALANCE carries required, available and shortfall."""
    engine, mint, clock = funded(store, amount=64)
    error = caught(lambda: engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(1000, clock)))
    needs = error.details
    assert error.code == "INSUFFICIENT_BALANCE"
    assert needs["required"] >= 1000 and needs["available"] == 64
    assert needs["shortfall"] == needs["required"] - needs["available"]


def test_r154_paid_and_not_to_be_finished_alone(store: Store) -> None:
    """CRITICAL_MELT_FAILURE: the payment is made and the operation needs a person."""
    assert ("CRITICAL", False) in [codes.get("CRITICAL_MELT_FAILURE") for codes in listed().values()]
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.change_short(50))
    bolt11 = invoice(700, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=100)
    assert mint.lightning.payments(payment_hash(bolt11)) == 1 and melt.is_parked and melt.is_paid
    assert melt.alarm == "CRITICAL_MELT_FAILURE"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock)).alarm is None


@pytest.mark.parametrize("word", ["unavailable", "unknown", "lost"])
def test_r155_r156_the_store_fails_after_the_payment(store: Store, word: str) -> None:
    """CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS; nothing is lost: it stays open and recovery finishes it, or it
    was written to its end and only the answer was lost."""
    engine, broken, mint, clock = failing(store, ["ok", *[word] * 30])
    bolt11 = invoice(700, clock)
    error = caught(lambda: broken.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11))
    assert isinstance(error, StorageError) and error.code == AMBIGUOUS and error.severity == "CRITICAL"
    assert mint.lightning.payments(payment_hash(bolt11)) == 1
    stays = engine.operation(error.details["operation_id"])
    assert stays.is_final == (word == "lost") and not stays.is_parked
    engine.recover(force=True, wait_s=30)
    assert stays.refresh().state == "reconciled" and stays.refresh().is_paid
    assert mint.lightning.attempts(payment_hash(bolt11)) == 1
    invariants.check(store, mint)


def test_r157_there_is_a_performance_report(store: Store) -> None:
    """One per operation: the time of each state, of the mint's calls and of the store."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.ANSWER_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock), wait_s=100)
    for handle in engine.operations():
        report = engine.report(handle.id)
        assert (report.transaction_id, report.kind, report.state) == (handle.id, handle.kind, handle.state)
        assert report.commits >= 1 and report.mint_calls == sum(k["calls"] for k in report.mint.values()) > 0
        took = handle.record.finished_at
        assert took is not None and report.total_ms == took - handle.record.created_at
        assert sum(report.state_ms.values()) == report.total_ms
        assert set(report.as_dict()) == {"transaction_id", "performance_metrics", "recommendations"}
    assert engine.report(melt.id).mint["melt"]["calls"] >= 1
