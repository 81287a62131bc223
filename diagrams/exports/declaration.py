"""The declaration itself, as JSON: ``diagrams diff`` compares it, and any program can read it."""

from __future__ import annotations

import json
from typing import Any

from ...machines.spec import Machine


def export(machine: Machine[Any]) -> str:
    """``Machine.as_data`` with its content hash. ASCII only."""
    told = {"content_hash": machine.content_hash, **machine.as_data()}
    return json.dumps(told, indent=2, ensure_ascii=True) + "\n"
