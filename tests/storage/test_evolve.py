"""Changed copies of records."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate.storage import records
from nutstate.storage.evolve import evolve
from nutstate.storage.testing.records import batch_for, make_operation, make_token


def test_it_is_attrs_evolve() -> None:
    """R565: for each field of each kind of record, and for none."""
    operation, token = make_operation(), make_token("token-a", 1, 2)
    some: tuple[Any, ...] = (
        operation,
        token,
        batch_for(operation).audit[0],
        token.proofs[0],
        token.metadata,
    )
    for record in some:
        assert evolve(record) == record and evolve(record) is not record
        before = attrs.astuple(record, recurse=False)
        for field in attrs.fields(type(record)):
            changed = evolve(record, **{field.name: "another"})
            assert changed == attrs.evolve(record, **{field.name: "another"})
            assert getattr(changed, field.name) == "another"
        assert attrs.astuple(record, recurse=False) == before


def test_every_record_can_be_changed() -> None:
    """R565: no record has a field that it cannot place."""
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type) and attrs.has(kind)]
    assert len(kinds) > 10
    for kind in kinds:
        made = kind(*[None] * len(attrs.fields(kind)))
        assert evolve(made) == made


def test_a_field_that_is_none_is_refused() -> None:
    """R565: a misspelt field is an error, not a change that is lost; so is a class of another form."""
    with pytest.raises(TypeError, match="Operation has no field stat"):
        evolve(make_operation(), stat="paid")

    @attrs.frozen(kw_only=True)
    class Named:
        a: int = 1

    with pytest.raises(TypeError, match="positional"):
        evolve(Named(), a=2)
