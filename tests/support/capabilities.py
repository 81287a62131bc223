"""Where each guarantee that the double in memory does not give is proven on a real server."""

from __future__ import annotations

from nutstate.testing import LACKS

PROVEN_BY: dict[str, str] = {
    "durability": "tests/faults/test_server_death.py",
    "validators": "tests/storage/test_mongo_rules.py",
    "transactions at the same time": "tests/faults/test_many_clients.py",
    "read and write concerns": "tests/faults/test_server_death.py",
    "deadlines": "tests/faults/test_client_death.py",
    "document size limit": "tests/storage/test_mongo_limits.py",
}


def report() -> list[str]:
    """Lines for the end of a test run."""
    return [f"{lack.capability}: {lack.reason} -> {PROVEN_BY[lack.capability]}" for lack in LACKS]
