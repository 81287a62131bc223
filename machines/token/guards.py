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
    "type_is_storable",
    "the type is received, sent, minted or change",
    "MELTED_FORBIDDEN",
    _storable,
    says_no="the type is not received, sent, minted or change; no token of type melted exists",
)
type_is_minted = Guard[TokenFacts](
    "type_is_minted",
    "the type is minted",
    "NOT_MINTED_TYPE",
    lambda f: f.type == "minted",
    says_no="the type is not minted; only a minted token is expected before it has proofs",
)
type_is_sent = Guard[TokenFacts](
    "type_is_sent",
    "the type is sent",
    "NOT_SENT_TYPE",
    lambda f: f.type == "sent",
    says_no="the type is not sent; only a sent token is handed out",
)
type_is_not_change = Guard[TokenFacts](
    "type_is_not_change",
    "the type is not change",
    "CHANGE_BORN_SPENT",
    lambda f: f.type != "change",
    says_no="the type is change; change is never born spent",
)
change_has_parent = Guard[TokenFacts](
    "change_has_parent",
    "change names its parent operation",
    "CHANGE_WITHOUT_PARENT",
    lambda f: f.type != "change" or bool(f.parent),
    says_no="change does not name the operation it came from",
)
has_proofs = Guard[TokenFacts](
    "has_proofs",
    "the token holds proofs",
    "NO_PROOFS",
    lambda f: f.proof_count > 0,
    says_no="the token holds no proofs",
)
has_no_proofs = Guard[TokenFacts](
    "has_no_proofs",
    "the token holds no proofs and its total is 0",
    "PROOFS_NOT_EXPECTED",
    lambda f: f.proof_count == 0 and f.total_amount == 0,
    says_no="the token holds proofs, or its total is not 0",
)
total_matches_proofs = Guard[TokenFacts](
    "total_matches_proofs",
    "the total is the sum of positive proofs",
    "TOTAL_MISMATCH",
    _total_matches,
    says_no="the total is not the sum of positive proofs",
)
secrets_distinct = Guard[TokenFacts](
    "secrets_distinct",
    "no proof occurs twice",
    "DUPLICATE_SECRET",
    lambda f: f.distinct_secrets == f.proof_count,
    says_no="the same proof occurs twice",
)
belongs_to_operation = Guard[TokenFacts](
    "belongs_to_operation",
    "this operation holds the token",
    "NOT_RESERVED",
    lambda f: f.operation_id is not None and f.reserved_by == f.operation_id,
    says_no="this operation does not hold the token",
)
mint_cannot_issue = Guard[TokenFacts](
    "mint_cannot_issue",
    "the mint can no longer issue the token",
    "MINT_CAN_ISSUE",
    lambda f: f.mint_cannot_issue,
    says_no="the mint may still issue the token",
)
refusal_is_proven = Guard[TokenFacts](
    "refusal_is_proven",
    "the mint refused the token alone and for good, its fee eats its value, or its payment was given up",
    "REFUSAL_NOT_PROVEN",
    lambda f: f.mint_refuses,
    says_no="the mint has not refused the token alone and for good, and its payment was not given up",
)
from_migration = Guard[TokenFacts](
    "from_migration",
    "a migration imports the token",
    "NOT_FROM_MIGRATION",
    lambda f: f.from_migration,
    says_no="no migration imports the token",
)
owner_matches = Guard[TokenFacts](
    "owner_matches",
    "the token belongs to the operation's npub",
    "OWNER_MISMATCH",
    lambda f: f.owner is not None and f.owner == f.operation_owner,
    says_no="the token belongs to another npub",
)
wallet_mint_unit_match = Guard[TokenFacts](
    "wallet_mint_unit_match",
    "wallet, mint and unit are the operation's",
    "MINT_OR_UNIT_MISMATCH",
    lambda f: f.wallet is not None and f.wallet == f.operation_wallet,
    says_no="the token belongs to another wallet, mint or unit",
)
moved_is_proper_subset = Guard[TokenFacts](
    "moved_is_proper_subset",
    "some but not all proofs move",
    "SPLIT_NOT_PROPER",
    lambda f: 0 < f.moved_count < f.proof_count,
    says_no="no proof moves, or all proofs move",
)
release_is_proven = Guard[TokenFacts](
    "release_is_proven",
    "no request of ours can take the token: nothing was sent, the mint refused it twice, it is dead, "
    "the mint's word is trusted or stood for a settle window, or the caller did not pay",
    "RELEASE_NOT_PROVEN",
    lambda f: (
        f.release
        in ("nothing_sent", "refused", "request_dead", "trusted", "caller_word", "mint_says_unspent")
    ),
    says_no="it is not proven that no request of ours can take the token",
)
consumption_is_proven = Guard[TokenFacts](
    "consumption_is_proven",
    "the quote is PAID, we hold the outputs of the swap that consumed the token, or its payment was "
    "recorded or given up",
    "NOT_PROVEN_SPENT",
    lambda f: f.consumption in ("paid", "swapped", "recorded", "written_off"),
    says_no="it is not proven that the token was consumed",
)
mint_says_all_spent = Guard[TokenFacts](
    "mint_says_all_spent",
    "the mint calls every proof of the token SPENT",
    "NOT_PROVEN_SPENT",
    lambda f: f.proof_count > 0 and f.mint_spent_count == f.proof_count,
    says_no="the mint does not call every proof of the token SPENT",
)
