"""The stores that store and engine tests run on."""

from __future__ import annotations

from typing import Any

import pytest

STORES: list[Any] = ["sqlite", "memory", pytest.param("mongodb", marks=pytest.mark.real_mongo)]
"""Parameters of a fixture: the embedded default, the double over mongomock, and a real server."""
