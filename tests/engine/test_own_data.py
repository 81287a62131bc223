"""Own data that no store can keep (R473), data made from JSON (R532), and data that change (R605, R606)."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from nutstate import Engine, InvalidArgument, NutstateError, Secret, SimulatedMint, Store, open_store
from nutstate.engine.loop.own_data import data_from
from nutstate.kinds import BUILT_IN, EffectContext, Kind, Pause
from tests.support.clock import FakeClock
from tests.support.everything import everything
from tests.support.own import example
from tests.support.shop import Shop
from tests.support.stores import STORES
from tests.support.wallet import NPUB, QUICK

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


@pytest.fixture(params=STORES)
def shop_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each store, which knows the approval too."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/own.db"
    if request.param == "mongodb":
        url = request.getfixturevalue("mongo_urls")()
    with open_store(url, kinds=own.KINDS) as opened:
        yield opened


@attrs.frozen
class Loose:
    """Data whose types say little about their values."""

    value: Any = None
    rate: float = 0.5
    notes: Mapping[str, Any] = attrs.field(factory=dict)


def loose_kind(effect: Callable[[EffectContext], None]) -> Kind[Any]:
    """The approval with these data; an approval has this effect, and nothing is paid."""
    changed: Kind[Any] = attrs.evolve(
        own.APPROVAL_KIND,
        data=Loose,
        facts=lambda look: own.ApprovalFacts(approved_by="bob"),
        effects={**own.APPROVAL_KIND.effects, "note_approver": effect},
        actions={"pay_invoice": lambda run: Pause(1)},
    )
    return changed


def approved(store: Store, kind: Kind[Any], data: Loose) -> Loose:
    """The stored data after the approval. The audit holds."""
    kinds, clock = BUILT_IN | kind, FakeClock()
    mint = SimulatedMint(now_ms=clock.now)
    engine = Engine(store, mint, kinds=kinds, settings=QUICK, clock=clock)
    asked = engine.start("approval", npub=NPUB, mint_url=mint.url, data=data)
    engine.tell(asked.id, "approve", "bob", wait_s=0)
    assert engine.verify_audit(asked.id).holds
    stored = store.operation(asked.id)
    assert stored is not None
    found: Loose = kind.data_of(stored)
    return found


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (True, 1), (0, 0.0), (0.0, -0.0), ([0], [False]), ({"a": 1.0}, {"a": 1})]
)
def test_r605_an_equal_value_of_another_type_is_stored(shop_store: Store, before: Any, after: Any) -> None:
    """R605: 1, 1.0 and True are equal and are three values: the stored one is that which the audit names."""

    def change(context: EffectContext) -> None:
        context.keep(attrs.evolve(context.data, value=after, notes={"n": after}, rate=2))

    found = approved(shop_store, loose_kind(change), Loose(before, 2.0, {"n": before}))
    assert (repr(found.value), repr(found.notes["n"])) == (repr(after), repr(after))


def test_r606_a_change_in_place_reaches_the_store_or_nothing(shop_store: Store) -> None:
    """R606: own code gets a copy of the stored values: a list that it changes is stored once it is kept."""

    def change(context: EffectContext) -> None:
        data = context.data
        data.value["n"].append(2)
        data.notes["lost"] = True
        assert context.data == Loose({"n": [1]})  # not kept yet
        context.keep(attrs.evolve(data, notes={}))

    assert approved(shop_store, loose_kind(change), Loose({"n": [1]})) == Loose({"n": [1, 2]})
