"""How plain data become JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.storage.rules.plain import DEPTH_MAX, dump_json, encoder, plain

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def by_the_library(sort_keys: bool) -> Callable[[Any], str]:
    made = json.JSONEncoder(sort_keys=sort_keys, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return made.encode


@given(VALUES, st.booleans())
def test_it_is_the_json_of_the_library(value: Any, sort_keys: bool) -> None:
    """R632: for any plain value, with and without sorted keys."""
    try:
        expected = by_the_library(sort_keys)(value)
    except ValueError:  # an infinite number
        with pytest.raises(ValueError, match="not JSON compliant"):
            encoder(sort_keys=sort_keys)(value)
        return
    assert encoder(sort_keys=sort_keys)(value) == expected


def test_what_is_not_plain_is_refused() -> None:
    """R632: NaN, objects, keys of other types than JSON has, and what is nested without an end."""
    ring: list[Any] = []
    ring.append(ring)
    for value, error in (
        (float("nan"), ValueError),
        (object(), TypeError),
        ({(): 1}, TypeError),
        (ring, RecursionError),
    ):
        with pytest.raises(error):
            dump_json(value)
    with pytest.raises(TypeError, match="nested too deeply"):
        plain(ring)
    deepest: Any = 1
    for _ in range(DEPTH_MAX):
        deepest = [deepest]
    assert plain(json.loads(dump_json(deepest))) == deepest


def test_another_python_uses_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """R632: without the inner encoder of CPython the texts are the same."""
    value = {"b": [1, None, 2.5], "a": {"\u00fc": True, "x": ""}}
    ours = encoder(sort_keys=True)(value)
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert encoder(sort_keys=True)(value) == ours == by_the_library(sort_keys=True)(value)


class Table(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, values: dict[Any, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_a_copy_shares_nothing() -> None:
    """R632: every dict and list of the copy is a new one, of any mapping and any depth."""
    given_data = {"a": [{"b": {"c": [1, "x", None, True, 2.5]}}], "d": Table({"e": [{}]})}
    copy = plain(given_data)
    assert copy == {"a": [{"b": {"c": [1, "x", None, True, 2.5]}}], "d": {"e": [{}]}}
    assert copy["a"] is not given_data["a"] and copy["a"][0]["b"] is not given_data["a"][0]["b"]  # type: ignore[index]
    for bad in ({1: 2}, Table({1: 2}), {"a": object()}, {"a": 2**63}, {"a": float("inf")}):
        with pytest.raises(TypeError):
            plain(bad)
