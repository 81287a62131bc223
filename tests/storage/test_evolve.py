"""Changed copies of records."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nutstate.engine.loop.evidence import Evidence
from nutstate.engine.operations.melt.data import MeltData
from nutstate.machines import MELT
from nutstate.storage import records
from nutstate.storage.evolve import evolve
from nutstate.storage.rules.codec import BadField
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


def test_r456_nothing_that_was_worked_out_is_copied() -> None:
    """R456: an object that remembers what it worked out from its fields is made anew: the copy works it out
    from its own."""
    assert len(MELT.cells) > 3 and MELT.by_name  # worked out, and remembered
    cut = evolve(MELT, transitions=MELT.transitions[:1])
    assert len(cut.cells) == 1 and len(MELT.cells) > 3


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


def test_what_changes_is_checked_and_what_stays_is_not_checked_again() -> None:
    """R630: converter and validator see each changed field; no frozen copy can be written to."""
    before = MeltData(input_fee=5)
    assert evolve(before, loss=7) == MeltData(input_fee=5, loss=7) == attrs.evolve(before, loss=7)
    for change in ({"loss": -1}, {"loss": True}, {"proven_by": "a stranger"}):
        with pytest.raises(BadField):
            evolve(before, **change)
    stored = evolve(make_operation(), data={"x": 1})
    assert type(stored.data) is type(make_operation().data)
    for record, name in ((before, "loss"), (stored, "state"), (evolve(Evidence(), forced=True), "forced")):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, name, None)


def test_the_validators_of_a_service_see_every_field() -> None:
    """R630: they may compare fields with each other, so its classes are made anew as a whole."""

    def not_above(made: Any, field: object, value: int) -> None:
        if value > made.high:
            raise ValueError("low is above high")

    @attrs.frozen(slots=False)
    class Range:
        high: int
        low: int = attrs.field(validator=not_above)

    assert evolve(Range(5, 1), low=3) == Range(5, 3)
    with pytest.raises(ValueError, match="low is above high"):
        evolve(Range(5, 3), high=2)
