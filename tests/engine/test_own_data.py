"""R473: own data that no store can keep."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import InvalidArgument, NutstateError, Secret
from nutstate.engine.loop.own_data import data_from
from tests.support.everything import everything
from tests.support.own import example
from tests.support.shop import Shop
from tests.support.wallet import NPUB

own = example()


@attrs.frozen
class Wide:
    """Data that let everything through to the store."""

    value: Any = None
    secret: Secret = attrs.field(factory=lambda: Secret(""), repr=False)


def nested(depth: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = make(value)
    return value


def circle() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


class Text(str):
    pass


HOSTILE = {
    "not a number, in a list": [math.nan],
    "infinite": math.inf,
    "beyond 2**53": 2**53,
    "far below 0": -(2**60),
    "half a character": "SECRET-\ud800",
    "half a character as a key": {"SECRET-\ud800": 1},
    "a key of a number": {1: "x"},
    "a key that is an operator": {"$set": 1},
    "a key with a reference": {"$ref": "tokens", "$id": 1},
    "a key that ends early": {"a\0b": 1},
    "bytes": b"SECRET",
    "a set": {"SECRET"},
    "a text of another class": Text("x"),
    "a secret where no field is one": [Secret("SECRET")],
    "deep lists": nested(70, lambda v: [v]),
    "very deep lists": nested(5000, lambda v: [v]),
    "deep mappings": nested(70, lambda v: {"a": v}),
    "a circle": circle(),
    "2 MB": "x" * 2_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_r473_data_that_no_store_can_keep_are_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    """R473: INVALID_DATA for a value that is not JSON, or that one of the stores cannot keep; the error shows
    no value."""
    kind = attrs.evolve(
        own.APPROVAL_KIND, data=Wide, facts=lambda look: own.ApprovalFacts(approved_by="bob"),
        effects={**own.APPROVAL_KIND.effects, "note_approver": lambda context: None},
    )  # fmt: skip
    shop = Shop(tmp_path, kind)
    before = everything(shop.store)
    for key in (None, "once"):
        with pytest.raises(NutstateError) as refused:
            shop.engine.start(
                "approval", npub=NPUB, mint_url=shop.mint.url, data=Wide(HOSTILE[name]), idempotency_key=key
            )
        assert refused.value.code == "INVALID_DATA"
        assert "SECRET" not in "".join(traceback.format_exception(refused.value))
        assert refused.value.__cause__ is None and refused.value.__context__ is None
    with pytest.raises(InvalidArgument):
        shop.engine.start(
            "approval", npub=NPUB, mint_url=shop.mint.url, data=Wide(secret=Secret("SECRET-\ud800"))
        )
    assert everything(shop.store) == before
    for fine in ({"a.b": [1, -1, 0.5, None, True]}, {"": "ü\n"}, nested(50, lambda v: [v])):
        kept = shop.engine.start("approval", npub=NPUB, mint_url=shop.mint.url, data=Wide(fine))
        assert kind.data_of(shop.engine.operation(kept.id).record).value == fine


@attrs.frozen
class Inner:
    """A part of the data below."""

    name: str = "none"
    weight: float = 0.5


@attrs.frozen
class Outer:
    """Data with a part, a list and a number."""

    parts: tuple[Inner, ...] = ()
    count: int = 1
    note: str | None = None


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, Outer()),
        ({"count": 2, "note": None}, Outer(count=2)),
        ({"parts": [{"name": "a"}, {"weight": 2}]}, Outer((Inner("a"), Inner(weight=2.0)))),
    ],
)
def test_r532_data_are_made_from_json(given: object, made: Outer) -> None:
    """R532: what is left out has its default, also inside a part; a whole number is a float where one is
    asked for."""
    assert data_from(given, Outer) == made


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {"count": "2"}, {"count": True}, {"count": 2.5}, {"note": 7}, {"other": 1}, {"parts": {}},
     {"parts": [{"weight": "2"}]}, {"parts": [{"secret": 1}]}, {"parts": "ab"}],
)  # fmt: skip
def test_r532_data_of_another_type_are_refused(given: object) -> None:
    """R532: nothing is converted; the error names the class and no value."""
    with pytest.raises(InvalidArgument) as refused:
        data_from(given, Outer)
    assert refused.value.code == "INVALID_DATA" and "Outer" in refused.value.message
    assert "secret" not in str(refused.value)
