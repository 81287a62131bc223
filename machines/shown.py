"""The ``repr`` of declared data. attrs writes such a function for each class and compiles it at each start of
the program, a seventh of the work of ``from nutstate import Engine``. The larger classes share this one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs


@cache
def _shown_fields(kind: Any) -> tuple[tuple[str, Callable[[Any], str]], ...]:
    fields = attrs.fields(kind)
    return tuple((f.name, repr if f.repr is True else f.repr) for f in fields if f.repr is not False)


def shown(record: object) -> str:
    """The text that attrs makes of a record: the name of its class, and each field that may be shown."""
    kind: Any = type(record)
    parts = (f"{name}={text(getattr(record, name))}" for name, text in _shown_fields(kind))
    return f"{kind.__qualname__.rsplit('>.', 1)[-1]}({', '.join(parts)})"
