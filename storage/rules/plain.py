"""Plain data: dict, list, str, int, float, bool and None, as JSON and every store hold it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

AMOUNT_MAX: Final = 2**53 - 1
INT64_MAX: Final = 2**63 - 1
DEPTH_MAX: Final = 64  # MongoDB holds 180 levels, of which some are ours
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy of JSON-like data as dict, list and scalars; TypeError for anything else, and for
    what is nested deeper than every store can hold."""
    if value is None or type(value) in (str, bool):
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
    if isinstance(value, Mapping):
        if not all(type(key) is str for key in value):
            raise TypeError("keys must be strings")
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    raise TypeError(f"{type(value).__name__} is not JSON")


def dump_json(value: Any) -> str:
    """Compact JSON of plain data."""
    return _ENCODE(value)
