"""Fields of a token that the effects of an accepted transition change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def changes_of(effects: Iterable[str], holder: str, now: int) -> dict[str, Any]:
    """Names of fields to their new values. ``holder`` is the id of the operation, ``now`` epoch ms."""
    known: dict[str, dict[str, Any]] = {
        "set_reserved_by": {"reserved_by": holder},
        "clear_reserved_by": {"reserved_by": None},
        "set_spent_at": {"spent_at": now},
    }
    return {name: value for effect in effects for name, value in known.get(effect, {}).items()}
