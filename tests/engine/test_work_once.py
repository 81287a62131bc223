"""Work that a melt does once: decisions, decoded invoices, look-ups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, SimulatedMint, open_store
from nutstate.engine.cashu import bolt11
from nutstate.engine.cashu.bolt11 import InvalidInvoice, decode_invoice, known_invoice
from nutstate.engine.loop import drive
from nutstate.engine.loop.drive import Run
from nutstate.engine.loop.evidence import Evidence
from tests.support.wallet import NPUB, funded, invoice


class Asked:
    """Counts the decisions of the machine of melts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        real: Any = vars(drive)["step"]

        def step(machine: Any, state: str, event: str, facts: Any) -> Any:
            self.events.append(event)
            return real(machine, state, event, facts)

        monkeypatch.setattr(drive, "step", step)


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with open_store(f"sqlite:///{tmp_path}/w.db") as store:
        yield funded(store)


def test_an_event_is_decided_once(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """R566: the driver takes the event of an action without asking the machine the same again."""
    engine, mint, clock = engine
    asked = Asked(monkeypatch)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock)).state == "reconciled"
    told = ("request", "quote_received", "inputs_chosen", "pay", "mint_paid", "change_received")
    assert [Counter(asked.events)[event] for event in (*told, "reconcile_passed")] == [1] * 7


def test_a_decision_rests_on_everything_that_may_change(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """R566: after any change of the draft, with other evidence, another event or a later question, the
    machine is asked again."""
    engine, mint, clock = engine
    prepared = engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(9, clock))
    run: Run = engine._open(prepared.record, "x")
    asked, evidence = Asked(monkeypatch), Evidence()

    def is_asked_again() -> bool:
        before = len(asked.events)
        run.decide("pay", evidence)
        run.decide("pay", evidence)
        assert len(asked.events) - before < 2
        return len(asked.events) > before

    assert is_asked_again() and not is_asked_again()
    token = run.input_tokens()[0]
    changes: tuple[Any, ...] = (
        lambda: run.draft.set(reason=None),
        lambda: run.draft.adopt(next_check_at=5),
        lambda: run.draft.load([token]),
        lambda: run.draft.change_token(token.transaction_id, "release", 5, release="nothing_sent"),
        lambda: setattr(
            run.draft, "operation", run.draft.operation.__class__(**_fields(run.draft.operation))
        ),
        lambda: setattr(run, "asked_from", run.asked_from + 1),
        lambda: setattr(run, "loaded_monotonic", run.loaded_monotonic + 1),
        lambda: setattr(run, "sent_here", (1, 1.0)),
        lambda: setattr(run, "draft", engine._driver.fresh(run.draft.operation, run.draft)),
        lambda: run.decide("expire", evidence),
        lambda: run.decide("pay", Evidence()),
    )
    for change in changes:
        change()
        assert is_asked_again() and not is_asked_again()


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in record.__attrs_attrs__}


def test_an_invoice_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """R567: the second time it comes from memory, which knows it by its hash; a damaged one is decoded, and
    refused, each time."""
    text = invoice(100)
    real, decoded = decode_invoice, []

    def decode(one: str) -> Any:
        decoded.append(one)
        return real(one)

    monkeypatch.setattr(bolt11, "decode_invoice", decode)
    assert known_invoice(text) == known_invoice(text) == real(text) and len(decoded) == 1
    assert known_invoice(text.upper()) == real(text) and len(decoded) == 2
    for _ in range(2):
        with pytest.raises(InvalidInvoice):
            known_invoice(text[:-1] + ("q" if text[-1] != "q" else "p"))
    assert len(decoded) == 4
    assert text not in repr(bolt11._known._entries.__dict__)


class CountedReads:
    """A store that counts the calls of its reader, also in snapshots."""

    def __init__(self, store: Any, counted: Counter[str] | None = None) -> None:
        self._store, self.counted = store, Counter[str]() if counted is None else counted

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._store, name)
        if callable(there):
            self.counted[name] += 1
        return there

    @contextmanager
    def snapshot(self, ahead: Any = ()) -> Iterator[Any]:
        with self._store.snapshot(ahead) as reader:
            yield CountedReads(reader, self.counted)


def test_what_a_melt_looks_up(tmp_path: Path) -> None:
    """R568: an id that the engine drew itself is looked for nowhere; the claim is asked for once before the
    quote and once when the inputs are chosen. An id of the caller is looked for, and those derived of it."""
    with open_store(f"sqlite:///{tmp_path}/w.db") as inner, SimulatedMint() as mint:
        Engine(inner, mint).mint_tokens(npub=NPUB, mint_url=mint.url, amount=2000)
        store: Any = CountedReads(inner)
        engine = Engine(store, mint)

        def melt(**more: Any) -> Counter[str]:
            store.counted.clear()
            text = mint.lightning.invoice(100).reveal()
            assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=text, **more).state == "reconciled"
            return Counter(store.counted)

        drawn, named = melt(), melt(transaction_id="tx-of-the-caller")
        looked = {
            name: drawn[name] for name in ("operation_by_claim", "dedup", "operation", "tokens_of", "commit")
        }
        # the reconciliation reads its documents inside the second commit
        assert looked == {"operation_by_claim": 2, "dedup": 1, "operation": 0, "tokens_of": 1, "commit": 2}
        assert named - drawn == {"operation": 2, "tokens": 1}
