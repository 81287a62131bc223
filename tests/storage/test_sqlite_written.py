"""Rows that the thread has written are not decoded again: only when they hold the very same values."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nutstate import Engine, SimulatedMint, open_store
from nutstate.storage.errors import CorruptRecord
from nutstate.storage.evolve import evolve
from nutstate.storage.port import AuditQuery, TokenQuery
from nutstate.storage.records import Lease
from nutstate.storage.sqlite import written
from nutstate.storage.sqlite.rows import (
    AUDIT_SELECT,
    OPERATION_SELECT,
    TOKEN_SELECT,
    audit_from_row,
    operation_from_row,
    token_from_row,
)
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import batch_for, make_operation, make_token
from tests.support.wallet import NPUB

OTHER: dict[type, tuple[Any, ...]] = {
    str: ("", "another", "{}", "[]", '{"a": 1}', None, 5),
    int: (0, 7, 2**60, "another", None, 1.5),
    type(None): ("another", 5),
}
KINDS: tuple[tuple[str, str, Callable[[Sequence[Any]], Any]], ...] = (
    (OPERATION_SELECT, "operations", operation_from_row),
    (TOKEN_SELECT, "tokens", token_from_row),
    (AUDIT_SELECT, "audit", audit_from_row),
)


def outcome(decode: Callable[[Sequence[Any]], Any], row: Sequence[Any]) -> Any:
    """The record of a row, or what is wrong with it."""
    try:
        return decode(row)
    except CorruptRecord as error:
        return error.message


def elsewhere(decode: Callable[[Sequence[Any]], Any], row: Sequence[Any]) -> Any:
    """The same for a thread that remembers nothing."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(outcome, decode, row).result()


def test_a_row_that_differs_in_one_value_is_decoded(tmp_path: Path) -> None:
    """R635: for each column of operations, tokens and audit records, right after the thread wrote them."""
    operation = evolve(make_operation(), lease=Lease("worker", 5, 1))
    with SqliteStore(f"sqlite:///{tmp_path / 'wallet.db'}") as store:
        store.commit(batch_for(operation, tokens=[make_token("token-a", 1, 2)]))
        with sqlite3.connect(tmp_path / "wallet.db") as connection:
            rows = [
                (decode, connection.execute(f"SELECT {select} FROM {table}").fetchone())
                for select, table, decode in KINDS
            ]
        connection.close()
        for decode, row in rows:
            assert decode(row) == elsewhere(decode, row)
            for place, value in enumerate(row):
                for other in OTHER[type(value)]:
                    changed = (*row[:place], other, *row[place + 1 :])
                    assert outcome(decode, changed) == elsewhere(decode, changed), (place, other)


def test_every_document_of_a_melt_is_the_same_to_a_thread_that_wrote_nothing(tmp_path: Path) -> None:
    """R635: the memory answers what decoding gives, for everything that funding and payments write."""
    with open_store(f"sqlite:///{tmp_path / 'wallet.db'}") as store, SimulatedMint() as mint:
        engine = Engine(store, mint)
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5000)
        for amount in (700, 33):
            invoice = mint.lightning.invoice(amount).reveal()
            melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice)

        def everything() -> tuple[Any, ...]:
            tokens, operation = store.tokens(TokenQuery(npub=NPUB)), store.operation(melt.id)
            assert operation is not None
            data = engine.kinds.of(operation).data_of(operation)
            return tokens, operation, data, store.audit(AuditQuery(operation_id=melt.id))

        ours = everything()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(everything).result() == ours
        assert len(ours[0]) > 3 and len(ours[3]) > 5


def test_the_memory_is_small() -> None:
    """R635: one operation, and the proofs of a few tokens; long texts are not kept."""
    memory = written.Written()
    for n in range(3 * written.TOKENS_MAX):
        memory.note_proofs(f"token-{n}", f"text {n}", ())
    assert len(memory._proofs) == written.TOKENS_MAX
    assert memory.proofs(f"token-{3 * written.TOKENS_MAX - 1}", f"text {3 * written.TOKENS_MAX - 1}") == ()
    assert memory.proofs("token-0", "text 0") is None
    memory.note_proofs("long", "x" * (written.PROOFS_TEXT_MAX + 1), ())
    assert memory.proofs("long", "x" * (written.PROOFS_TEXT_MAX + 1)) is None
    record = batch_for(make_operation()).audit[0]
    memory.note_audit(("a",), record)
    memory.note_audit(("b",), evolve(record, id="other#1", operation_id="other"))
    assert set(memory._audit) == {"other#1"}
