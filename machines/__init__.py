"""The rules: declared finite-state machines and the pure function that decides by them."""

from .check import CHECK
from .compile import step
from .deposit import DEPOSIT
from .melt import MELT
from .mint import MINT
from .spec import NONE, Decision, Machine, Refusal, Verdict
from .token import STATUS_OF_STATE, TOKEN

__all__ = [
    "CHECK",
    "DEPOSIT",
    "MELT",
    "MINT",
    "NONE",
    "STATUS_OF_STATE",
    "TOKEN",
    "Decision",
    "Machine",
    "Refusal",
    "Verdict",
    "step",
]
