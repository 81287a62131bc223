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
            another: Any = {"x": 1} if field.name == "data" else "another"
            changed = evolve(record, **{field.name: another})
            assert changed == attrs.evolve(record, **{field.name: another})
            assert getattr(changed, field.name) == another
        assert attrs.astuple(record, recurse=False) == before


def test_every_record_can_be_changed() -> None:
    """R565: no record has a field that it cannot place."""
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type) and attrs.has(kind)]
    assert len(kinds) > 10
    for kind in kinds:
        made = kind(*[None] * len(attrs.fields(kind)))
        assert evolve(made) == made


def test_a_field_that_it_does_not_have_is_refused() -> None:
    """R565: a misspelt field is an error, not a change that is lost."""
    with pytest.raises(TypeError, match="Operation has no field stat"):
        evolve(make_operation(), stat="paid")
    with pytest.raises(TypeError):
        evolve(Named(), c=2)


@attrs.frozen(kw_only=True)
class Named:
    a: int = 1
    _b: int = 2


def test_a_class_of_another_form_can_be_changed() -> None:
    """R565: one of a service, with keyword-only or private fields, or none at all."""
    assert evolve(Named(), a=5) == Named(a=5)

    @attrs.frozen
    class Empty:
        pass

    assert evolve(Empty()) == Empty()
