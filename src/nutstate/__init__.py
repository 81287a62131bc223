"""A state-machine driven transaction engine for Cashu ecash wallets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._open_store import open_store
    from .engine.api.engine import Engine
    from .engine.api.handle import Balance, Handle
    from .engine.api.recorded import RecordedMelt
    from .engine.api.report import PerformanceReport
    from .engine.audit.verdicts import Fault, PurgeReport, VerifyReport
    from .engine.cashu.wire.http import HttpMint
    from .engine.checks.preflight_table import Discrepancy, PreflightReport
    from .engine.checks.reconcile import ReconcileReport
    from .engine.checks.sweep import SweepReport
    from .engine.errors import InvalidArgument, MintError, NeedsPerson, NotFound, NotPaid, Refused, StillOpen
    from .engine.loop.log import TransitionEvent, configure_logging
    from .engine.settings import Settings
    from .engine.simulated.mint import SimulatedMint
    from .engine.tokens.ids import operation_hash, validate_transaction_id
    from .storage.errors import NutstateError, StorageError
    from .storage.port import Store
    from .storage.records import AuditRecord, Proof, Tombstone
    from .storage.secret import Secret

__version__ = "0.1.0"

__all__ = [
    "AuditRecord",
    "Balance",
    "Discrepancy",
    "Engine",
    "Fault",
    "Handle",
    "HttpMint",
    "InvalidArgument",
    "MintError",
    "NeedsPerson",
    "NotFound",
    "NotPaid",
    "NutstateError",
    "PerformanceReport",
    "PreflightReport",
    "Proof",
    "PurgeReport",
    "ReconcileReport",
    "RecordedMelt",
    "Refused",
    "Secret",
    "Settings",
    "SimulatedMint",
    "StillOpen",
    "StorageError",
    "Store",
    "SweepReport",
    "Tombstone",
    "TransitionEvent",
    "VerifyReport",
    "configure_logging",
    "open_store",
    "operation_hash",
    "validate_transaction_id",
]

# Nothing is imported before it is used: pytest loads our plugin, and with it this package, in every run of
# every project that has us installed, and the machines are of use to programs that need no engine.
_WHERE: Mapping[str, str] = {
    "open_store": "_open_store",
    "Engine": "engine.api.engine",
    "InvalidArgument": "engine.errors",
    "MintError": "engine.errors",
    "NeedsPerson": "engine.errors",
    "NotFound": "engine.errors",
    "NotPaid": "engine.errors",
    "StillOpen": "engine.errors",
    "Refused": "engine.errors",
    "Balance": "engine.api.handle",
    "Handle": "engine.api.handle",
    "operation_hash": "engine.tokens.ids",
    "validate_transaction_id": "engine.tokens.ids",
    "TransitionEvent": "engine.loop.log",
    "configure_logging": "engine.loop.log",
    "HttpMint": "engine.cashu.wire.http",
    "SimulatedMint": "engine.simulated.mint",
    "Discrepancy": "engine.checks.preflight_table",
    "PreflightReport": "engine.checks.preflight_table",
    "ReconcileReport": "engine.checks.reconcile",
    "RecordedMelt": "engine.api.recorded",
    "PerformanceReport": "engine.api.report",
    "Settings": "engine.settings",
    "SweepReport": "engine.checks.sweep",
    "Fault": "engine.audit.verdicts",
    "PurgeReport": "engine.audit.verdicts",
    "VerifyReport": "engine.audit.verdicts",
    "NutstateError": "storage.errors",
    "StorageError": "storage.errors",
    "Store": "storage.port",
    "AuditRecord": "storage.records",
    "Proof": "storage.records",
    "Tombstone": "storage.records",
    "Secret": "storage.secret",
}
_FLOORS = frozenset({"engine", "machines", "storage"})

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A name of ``__all__``, or a package that has always been there after ``import nutstate``."""
        if name in _FLOORS:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
