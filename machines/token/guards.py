"""Questions about one token. Each guard: one question, one sentence, one refusal code."""

from __future__ import annotations

from ..money import is_amount
from ..spec import Guard
from .facts import TokenFacts

TOKEN_TYPES = ("received", "sent", "minted", "change")


def _storable(f: TokenFacts) -> bool:
    return f.type in TOKEN_TYPES


def _total_matches(f: TokenFacts) -> bool:
    return is_amount(f.total_amount) and f.proofs_total == f.total_amount and f.bad_amounts == 0


type_is_storable = Guard[TokenFacts](
    "type_is_storable", "the type is received, sent, minted or change", "MELTED_FORBIDDEN", _storable
)
type_is_minted = Guard[TokenFacts](
    "type_is_minted", "the type is minted", "NOT_MINTED_TYPE", lambda f: f.type == "minted"
)
type_is_sent = Guard[TokenFacts](
    "type_is_sent", "the type is sent", "NOT_SENT_TYPE", lambda f: f.type == "sent"
)
type_is_not_change = Guard[TokenFacts](
    "type_is_not_change", "the type is not change", "CHANGE_BORN_SPENT", lambda f: f.type != "change"
)
change_has_parent = Guard[TokenFacts](
    "change_has_parent",
    "change names its parent operation",
    "CHANGE_WITHOUT_PARENT",
    lambda f: f.type != "change" or bool(f.parent),
)
has_proofs = Guard[TokenFacts](
    "has_proofs", "the token holds proofs", "NO_PROOFS", lambda f: f.proof_count > 0
)
has_no_proofs = Guard[TokenFacts](
    "has_no_proofs",
    "the token holds no proofs and its total is 0",
    "PROOFS_NOT_EXPECTED",
    lambda f: f.proof_count == 0 and f.total_amount == 0,
)
total_matches_proofs = Guard[TokenFacts](
    "total_matches_proofs", "the total is the sum of positive proofs", "TOTAL_MISMATCH", _total_matches
)
secrets_distinct = Guard[TokenFacts](
    "secrets_distinct",
    "no proof occurs twice",
    "DUPLICATE_SECRET",
    lambda f: f.distinct_secrets == f.proof_count,
)
belongs_to_operation = Guard[TokenFacts](
    "belongs_to_operation",
    "the token is held by this operation",
    "NOT_RESERVED",
    lambda f: f.operation_id is not None and f.reserved_by == f.operation_id,
)
mint_cannot_issue = Guard[TokenFacts](
    "mint_cannot_issue",
    "the mint can no longer issue it",
    "MINT_CAN_ISSUE",
    lambda f: f.mint_cannot_issue,
)
refusal_is_proven = Guard[TokenFacts](
    "refusal_is_proven",
    "the mint refused it alone and for good, it is worth no more than its fee, or its payment was given up",
    "REFUSAL_NOT_PROVEN",
    lambda f: f.mint_refuses,
)
from_migration = Guard[TokenFacts](
    "from_migration", "a migration imports it", "NOT_FROM_MIGRATION", lambda f: f.from_migration
)
owner_matches = Guard[TokenFacts](
    "owner_matches",
    "the token belongs to the operation's npub",
    "OWNER_MISMATCH",
    lambda f: f.owner is not None and f.owner == f.operation_owner,
)
wallet_mint_unit_match = Guard[TokenFacts](
    "wallet_mint_unit_match",
    "wallet, mint and unit are the operation's",
    "MINT_OR_UNIT_MISMATCH",
    lambda f: f.wallet is not None and f.wallet == f.operation_wallet,
)
moved_is_proper_subset = Guard[TokenFacts](
    "moved_is_proper_subset",
    "some but not all proofs move",
    "SPLIT_NOT_PROPER",
    lambda f: 0 < f.moved_count < f.proof_count,
)
release_is_proven = Guard[TokenFacts](
    "release_is_proven",
    "nothing was sent, the mint refused it twice, the request can never be executed, the mint's word is "
    "trusted or stood for a settle window, or the caller did not pay",
    "RELEASE_NOT_PROVEN",
    lambda f: (
        f.release
        in ("nothing_sent", "refused", "request_dead", "trusted", "caller_word", "mint_says_unspent")
    ),
)
consumption_is_proven = Guard[TokenFacts](
    "consumption_is_proven",
    "the quote is PAID, or we hold the outputs of the swap that consumed it, or it was recorded",
    "NOT_PROVEN_SPENT",
    lambda f: f.consumption in ("paid", "swapped", "recorded", "written_off"),
)
mint_says_all_spent = Guard[TokenFacts](
    "mint_says_all_spent",
    "the mint calls every proof of it SPENT",
    "NOT_PROVEN_SPENT",
    lambda f: f.proof_count > 0 and f.mint_spent_count == f.proof_count,
)
