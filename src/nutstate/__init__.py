"""A state-machine driven transaction engine for Cashu ecash wallets."""

from ._open_store import open_store
from .engine.engine import Engine
from .engine.errors import InvalidArgument, MintError, NotFound, Refused
from .engine.handle import Balance, Handle
from .engine.ids import operation_hash, validate_transaction_id
from .engine.log import TransitionEvent, configure_logging
from .engine.mint.http import HttpMint
from .engine.mint.simulated import SimulatedMint
from .engine.settings import Settings
from .storage.errors import NutstateError, StorageError
from .storage.port import Store
from .storage.records import Proof
from .storage.secret import Secret

__version__ = "0.1.0"

__all__ = [
    "Balance",
    "Engine",
    "Handle",
    "HttpMint",
    "InvalidArgument",
    "MintError",
    "NotFound",
    "NutstateError",
    "Proof",
    "Refused",
    "Secret",
    "Settings",
    "SimulatedMint",
    "StorageError",
    "Store",
    "TransitionEvent",
    "configure_logging",
    "open_store",
    "operation_hash",
    "validate_transaction_id",
]
