"""The rules: declared finite-state machines and the pure function that decides by them."""

from .check.table import CHECK
from .deposit.table import DEPOSIT
from .melt.table import MELT
from .mint.table import MINT
from .receive.table import RECEIVE
from .record.table import RECORD
from .spec import NONE, Decision, Machine, Refusal, Verdict
from .step import step
from .swap.table import SWAP
from .token.table import STATUS_OF_STATE, TOKEN

__all__ = [
    "CHECK",
    "DEPOSIT",
    "MELT",
    "MINT",
    "NONE",
    "RECEIVE",
    "RECORD",
    "STATUS_OF_STATE",
    "SWAP",
    "TOKEN",
    "Decision",
    "Machine",
    "Refusal",
    "Verdict",
    "step",
]
