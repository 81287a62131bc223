"""Plain data: dict, list, str, int, float, bool and None, as JSON and every store hold it."""

from __future__ import annotations

import json
import json.encoder
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

AMOUNT_MAX: Final = 2**53 - 1
INT64_MAX: Final = 2**63 - 1
_SCALARS: Final = frozenset({str, bool})
DEPTH_MAX: Final = 64  # MongoDB holds 180 levels, of which some are ours


def _not_json(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")


def encoder(*, sort_keys: bool = False, default: Callable[[Any], Any] = _not_json) -> Callable[[Any], str]:
    """A function that writes a value as compact JSON with every character as it is, for data that are not
    deeper than :func:`plain` allows. ValueError for NaN, TypeError for what ``default`` does not make plain.

    ``JSONEncoder`` makes the same inner encoder anew for each text, which takes as long as a short text."""
    made = json.JSONEncoder(
        sort_keys=sort_keys, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
    )
    inner: Any = getattr(json.encoder, "c_make_encoder", None)
    if inner is None:  # another Python than CPython
        return made.encode
    write = inner(None, default, json.encoder.encode_basestring, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(write(value, 0))


_ENCODE: Final = encoder()


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy of JSON-like data as dict, list and scalars; TypeError for anything else, and for
    what is nested deeper than every store can hold."""
    if value is None or type(value) in _SCALARS:
        return value
    if isinstance(value, int):
        if not -INT64_MAX <= value <= INT64_MAX:
            raise TypeError("integer beyond 64 bits")
        return bool(value) if isinstance(value, bool) else int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError("not a finite number")
        return value
    if depth >= DEPTH_MAX:
        raise TypeError("nested too deeply")
    if type(value) is dict or isinstance(value, Mapping):
        copy = {}
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError("keys must be strings")
            scalar = item is None or type(item) in _SCALARS
            copy[key] = item if scalar else plain(item, depth + 1)
        return copy
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    raise TypeError(f"{type(value).__name__} is not JSON")


def dump_json(value: Any) -> str:
    """Compact JSON of plain data."""
    return _ENCODE(value)
