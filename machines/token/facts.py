"""The facts that the guards ask about one token and the operation that wants to change it.

Frozen data that the engine gathers. The default of every field permits nothing. Times in epoch ms, amounts
in the operation's unit.
"""

from __future__ import annotations

from attrs import frozen

from ..shown import shown


@frozen(kw_only=True, slots=False)
class TokenFacts:
    """One token and the operation that wants to change it."""

    type: str = ""
    parent: str | None = None
    proof_count: int = 0
    proofs_total: int = 0
    total_amount: int = 0
    distinct_secrets: int = 0
    bad_amounts: int = 0  # proofs whose amount is not a positive integer
    reserved_by: str | None = None
    operation_id: str | None = None
    owner: str | None = None
    operation_owner: str | None = None
    wallet: tuple[str, str, str] | None = None  # wallet, mint, unit of the token
    operation_wallet: tuple[str, str, str] | None = None
    moved_count: int = 0
    consumption: str | None = None  # paid | swapped | recorded | written_off
    release: str | None = None  # nothing_sent | trusted | refused | request_dead | caller_word | …
    mint_spent_count: int = 0  # proofs of this token the mint calls SPENT
    mint_cannot_issue: bool = False
    mint_refuses: bool = False  # the mint refused it alone and for good, or it is worth no more than its fee
    from_migration: bool = False

    __repr__ = shown
