"""Every requirement on each store."""

from __future__ import annotations

from tests.engine.conftest import new_store, quiet, store

__all__ = ["new_store", "quiet", "store"]
