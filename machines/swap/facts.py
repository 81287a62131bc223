"""The facts that the guards of a swap ask about.

Frozen data that the engine gathers. The default of every field permits nothing.
"""

from __future__ import annotations

from attrs import frozen

from ..exchange_facts import ExchangeFacts
from ..shown import shown


@frozen(kw_only=True, slots=False)
class SwapFacts(ExchangeFacts):
    """One swap: the tokens of the wallet that it takes, beside the facts of every exchange."""

    owner: str = ""
    source_owners: frozenset[str] = frozenset()
    wallet: tuple[str, str, str] | None = None
    source_wallets: frozenset[tuple[str, str, str]] = frozenset()
    source_states: frozenset[str] = frozenset()

    __repr__ = shown
