"""The guards, in one module per machine that asks them."""

from . import deposit, melt, mint, token

__all__ = ["deposit", "melt", "mint", "token"]
