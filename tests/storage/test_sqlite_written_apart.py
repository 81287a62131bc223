"""What a caller does with a record that it got changes nothing of what the store says afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nutstate import Engine, open_store
from nutstate.storage.errors import NotAsWritten
from nutstate.storage.port import AuditQuery, Reader
from nutstate.storage.read_back import ReadBack
from nutstate.storage.records import Reason
from nutstate.storage.testing.records import batch_for, make_operation
from tests.support.wallet import NPUB, QUICK, funded, invoice


def test_r507_a_record_that_a_caller_changes_is_read_again_as_it_is_stored(tmp_path: Path) -> None:
    """R507: mappings of an operation, of an audit record and of an observed event are changed by the caller.
    The next read of the same thread gives the stored values, and the audit holds."""
    events: list[Any] = []
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        funder, mint, clock = funded(store)
        engine = Engine(store, mint, settings=QUICK, clock=clock, observer=events.append)
        melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(700, clock))
        events[-1].data.clear()
        for _ in range(2):  # the second time it changes what the memory gave away
            for record in melt.audit():
                assert record.data and record.verdicts is not None
                record.data.clear()  # type: ignore[attr-defined]
            for stored in (melt.record, store.operation(melt.id)):
                assert stored is not None
                stored.timings.clear()  # type: ignore[attr-defined]
                for value in stored.data.values():
                    if isinstance(value, list | dict):
                        value.clear()
        read = store.operation(melt.id)
        assert read is not None and read.timings["commit_tries"] == 1
        assert all(record.data for record in store.audit(AuditQuery(operation_id=melt.id)))
        assert funder.verify_audit().holds and funder.reconcile(melt.id).validation_passed
        assert dict(read.data) == _elsewhere(tmp_path, melt.id)


A_NUMBER: Any = 5


@pytest.mark.parametrize(
    "field", [{"wallet_id": A_NUMBER}, {"reason": Reason("CODE", A_NUMBER)}, {"timings": {"a": 1.5}}]
)
def test_r508_a_read_back_decodes_the_operation(tmp_path: Path, field: Any) -> None:
    """R508: a kind wrote a field of a wrong type. The thread that wrote it does not find it right because it
    knows the values: the operation does not decode, so the commit that reads it back is refused."""
    with open_store(f"sqlite:///{tmp_path}/wallet.db") as store:
        back = ReadBack((), _read)
        with pytest.raises(NotAsWritten, match="does not decode"):
            store.commit(batch_for(make_operation("tx-1", **field)), back)
        assert store.operation("tx-1") is None


def _read(reader: Reader) -> None:
    assert reader.operation("tx-1") is not None


def _elsewhere(place: Path, name: str) -> Any:
    """The data as another program decodes them."""
    with open_store(f"sqlite:///{place}/wallet.db") as other, ThreadPoolExecutor(1) as pool:
        read: Any = pool.submit(other.operation, name).result()
        return dict(read.data)
