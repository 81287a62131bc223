"""The foreign programs that judge our exports: found, or said plainly why they did not run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_run(what: str, why: str) -> NoReturn:
    """A failure on CI (``CI`` is set), elsewhere a skip that says why."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} must run on CI: {why}", pytrace=False)
    pytest.skip(f"NOT RUN against {what}: {why}")
