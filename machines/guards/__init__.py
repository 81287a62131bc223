"""The guards, in one module per machine that asks them."""

from . import check, deposit, melt, mint, token

__all__ = ["check", "deposit", "melt", "mint", "token"]
