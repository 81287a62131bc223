"""A state-machine driven transaction engine for Cashu ecash wallets."""

from ._open_store import open_store
from .engine.engine import Engine
from .engine.errors import InvalidArgument, MintError, NotFound, Refused
from .engine.handle import Balance, Handle
from .engine.ids import operation_hash, validate_transaction_id
from .engine.log import TransitionEvent, configure_logging
from .engine.mint.http import HttpMint
from .engine.mint.simulated import SimulatedMint
from .engine.preflight import Discrepancy, PreflightReport
from .engine.reconcile import ReconcileReport
from .engine.recorded import RecordedMelt
from .engine.report import PerformanceReport
from .engine.settings import Settings
from .engine.sweep import SweepReport
from .engine.verdicts import Fault, PurgeReport, VerifyReport
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
    "NotFound",
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
