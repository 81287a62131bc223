"""The facts that the guards of a receive ask about.

Frozen data that the engine gathers. The default of every field permits nothing.
"""

from __future__ import annotations

from attrs import frozen

from ..exchange_facts import ExchangeFacts
from ..shown import shown


@frozen(kw_only=True, slots=False)
class ReceiveFacts(ExchangeFacts):
    """One receive: who claims the token, beside the facts of every exchange."""

    holder_asked: bool = False
    claim_holder: str | None = None

    __repr__ = shown
