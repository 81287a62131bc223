"""Choosing a store by URL."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from nutstate._open_store import open_store
from nutstate.storage.doctor import examine
from nutstate.storage.errors import StoreUnsupported
from nutstate.storage.mongo.store import MongoStore
from nutstate.storage.sqlite.store import SqliteStore
from nutstate.storage.testing.records import batch_for, make_operation


def test_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/wallet.db"
    with open_store(url) as store:
        assert isinstance(store, SqliteStore) and store.url == url


def test_memory_is_private_without_a_name_and_shared_with_one() -> None:
    with open_store("memory://") as one, open_store("memory://") as two:
        one.commit(batch_for(make_operation()))
        assert isinstance(one, MongoStore)
        assert one.operation("tx-1") is not None and two.operation("tx-1") is None
    with open_store("memory://open-store-test") as one, open_store("memory://open-store-test") as two:
        one.commit(batch_for(make_operation()))
        assert two.operation("tx-1") is not None
    with open_store("memory://open-store-test") as again:
        assert again.operation("tx-1") is not None


def test_memory_without_mongomock_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name == "mongomock":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(StoreUnsupported, match=r"nutstate\[testing\]"):
        open_store("memory://")


@pytest.mark.parametrize("url", ["memory://a/b", "memory://a?b", "memory://user:pw@x"])
def test_odd_memory_names_are_refused(url: str) -> None:
    with pytest.raises(StoreUnsupported):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:hunter2@host/db",
        "wallet.db",
        "",
        "/srv/wallet.db",
        "sqlite:",
        "hunter2 x://y",
        "SQLITE:///x",
    ],
)
def test_unknown_schemes_list_what_is_known_and_hide_the_rest(url: str) -> None:
    with pytest.raises(StoreUnsupported, match="sqlite:///") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_an_address_without_a_scheme_says_so() -> None:
    """R438: `open_store` and the doctor say the same."""
    for look in (open_store, examine):
        with pytest.raises(StoreUnsupported, match=r"^the address of the store has no scheme; write sqlite:"):
            look("wallet.db")
        with pytest.raises(StoreUnsupported, match=r"^no store has an address with postgres://; write "):
            look("postgres://user:hunter2@host/db")


def test_what_is_no_text_is_refused() -> None:
    url: Any = None
    with pytest.raises(StoreUnsupported):
        open_store(url)
