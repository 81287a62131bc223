"""The stores that are kept of every schema, and the story that makes them."""

from __future__ import annotations

from nutstate import open_store
from nutstate.storage.mongo.schema import MONGO_SCHEMA_VERSION
from nutstate.storage.port import OperationQuery, TokenQuery, TombstoneQuery
from nutstate.storage.sqlite.schema import SQLITE_SCHEMA_VERSION
from tests.fixtures.stores.make import story
from tests.support.releases import FIXTURES


def test_r420_a_store_of_every_earlier_schema_is_kept() -> None:
    """R420: on both stores, with the machines that made it. The next schema finds those of this one."""
    assert SQLITE_SCHEMA_VERSION == MONGO_SCHEMA_VERSION, "one number for both"
    for number in range(1, SQLITE_SCHEMA_VERSION):
        for suffix in (".db", ".json", ".machines.json"):
            assert (FIXTURES / f"schema-{number}{suffix}").is_file()


def test_r420_the_story_of_a_kept_store_has_everything_that_a_migration_may_meet() -> None:
    """R420: every kind of state and of end that stays, held and awaited tokens, and a purged trail."""
    with open_store("memory://") as store:
        story(store)
        found = store.operations(OperationQuery(limit=1000))
        assert {op.kind for op in found} == {"melt", "mint", "check", "record"}
        assert {op.kind_of_state for op in found} == {"live", "parked", "final"}
        assert {op.ends for op in found} == {"", "good", "unpaid"}
        assert {token.state for token in store.tokens(TokenQuery())} >= {
            *("awaiting", "unspent", "reserved", "spent"),
        }
        assert len(store.tombstones(TombstoneQuery())) == 2
