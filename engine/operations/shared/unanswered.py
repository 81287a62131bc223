"""A mint that does not answer before an operator gives something up."""

from __future__ import annotations

from ...errors import MintError

UNANSWERED = frozenset({"mint_refused", "reply_lost", "mint_unreachable", "mint_unclear", "too_old"})
"""Events that tell nothing about what the mint still holds of ours."""


def unanswered() -> MintError:
    """Code MINT_UNREACHABLE, retryable."""
    error = MintError(
        "the mint does not answer, so what it still holds for us is not known: try again, or use force",
        code="MINT_UNREACHABLE",
    )
    error.retryable = True
    return error
