"""Checks of keep and change, for the kinds that pay with tokens of ours."""

from __future__ import annotations

from ...checks.documents import Documents, made_token
from ...checks.tally import Tally
from .data import Paying


def named_with_value(tally: Tally, what: str, token_id: str | None, amount: int) -> None:
    """A token is named exactly when it has value."""
    tally.that(f"{what} is named exactly when it has value", token_id is not None, amount > 0)


def keep_and_change_named(tally: Tally, data: Paying) -> None:
    """Keep and change are named exactly when they have value."""
    named_with_value(tally, "keep", data.keep_token_id, data.keep_total)
    named_with_value(tally, "change", data.change_token_id, data.change_amount)


def keep_and_change_made(tally: Tally, docs: Documents, data: Paying) -> None:
    """Keep and change are the tokens that the operation made."""
    if data.keep_token_id is not None:
        made_token(tally, docs, data.keep_token_id, "change", data.keep_total)
    if data.change_token_id is not None:
        made_token(tally, docs, data.change_token_id, "change", data.change_amount)
