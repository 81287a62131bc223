"""The token machine: the life of one stored token. There is no state or type ``melted``."""

from __future__ import annotations

from collections.abc import Mapping

from ..spec import NONE, Event, Machine, State, edges
from . import guards as g
from .facts import TokenFacts
from .words import EFFECTS

STATUS_OF_STATE: Mapping[str, str] = {
    "awaiting": "pending",
    "unspent": "unspent",
    "reserved": "pending",
    "stranded": "pending",
    "outstanding": "pending",
    "spent": "spent",
    "failed": "failed",
}
"""The four-valued ``status`` that existing readers know, as a projection of ``state``."""

_BORN = (g.type_is_storable, g.change_has_parent, g.has_proofs, g.total_matches_proofs, g.secrets_distinct)

TOKEN: Machine[TokenFacts] = Machine(
    name="token",
    version=1,
    facts=TokenFacts,
    good_path=(NONE, "unspent", "reserved", "spent"),
    effects=EFFECTS,
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("awaiting", "a minted token whose proofs are not issued yet; no proofs, total 0", group="owned"),
        State("unspent", "spendable", group="owned"),
        State("reserved", "locked by exactly one operation", group="owned"),
        State("stranded", "the mint will not take it; never selectable, waits for an operator", group="owned"),
        State("outstanding", "handed out, not yet claimed; never selectable", group="given"),
        State("spent", "consumed for ever", kind="final", group="final", ends="good"),
        State("failed", "never became money", kind="final", group="final", ends="unpaid"),
    ),
    events=(
        Event("expect", "a minted token is awaited", "engine"),
        Event("deposit", "spendable proofs enter the store", "engine"),
        Event("deposit_reserved", "proofs enter the store already locked by their operation", "engine"),
        Event("import_spent", "history is imported", "engine"),
        Event("hand_out", "proofs are handed out", "engine"),
        Event("issue", "the mint issued the awaited proofs", "engine"),
        Event("fail", "the mint cannot issue any more", "engine"),
        Event("reserve", "an operation locks the token", "engine"),
        Event("split", "some proofs move to another token document", "engine"),
        Event("release", "the operation frees the token", "engine"),
        Event("spend", "the token was consumed by its operation", "engine"),
        Event("correct_spent", "the mint says it was spent elsewhere", "engine"),
        Event("strand", "the mint refuses it for good", "engine"),
        Event("retry", "an operator wants it tried again", "engine"),
        Event("write_off", "an operator gives it up", "engine"),
        Event("claim", "the recipient claimed it", "engine"),
        Event("reclaim", "we took it back", "engine"),
    ),
    transitions=(
        *edges("1", "expect", NONE, "awaiting", requires=(g.type_is_minted, g.has_no_proofs),
               reason="the place is prepared before the mint is asked"),
        *edges("2", "deposit", NONE, "unspent", requires=_BORN, effects=("index_proofs",),
               reason="money enters exactly once"),
        *edges("3", "deposit_reserved", NONE, "reserved", requires=(*_BORN, g.belongs_to_operation),
               effects=("index_proofs", "set_reserved_by"), reason="a child's outputs are born locked for the parent"),
        *edges("4", "import_spent", NONE, "spent",
               requires=(g.type_is_not_change, g.type_is_storable, g.from_migration),
               effects=("index_proofs", "set_spent_at"), reason="history may be spent; change never is at birth"),
        *edges("5", "hand_out", NONE, "outstanding",
               requires=(g.type_is_sent, g.has_proofs, g.total_matches_proofs, g.secrets_distinct),
               effects=("index_proofs",), reason="given away, but ours to reclaim"),
        *edges("6", "issue", "awaiting", "unspent",
               requires=(g.belongs_to_operation, g.has_proofs, g.total_matches_proofs, g.secrets_distinct),
               effects=("index_proofs", "clear_reserved_by"), reason="the awaited proofs are here"),
        *edges("7", "fail", "awaiting", "failed", requires=(g.mint_cannot_issue,),
               effects=("clear_reserved_by",), reason="it never became money"),
        *edges("8", "reserve", "unspent", "reserved", requires=(g.owner_matches, g.wallet_mint_unit_match),
               effects=("set_reserved_by",), reason="one operation at a time"),
        *(edge for state in ("unspent", "reserved", "outstanding", "stranded")
          for edge in edges("9", "split", state, None, requires=(g.moved_is_proper_subset,),
                            effects=("move_proofs",), reason="proofs are moved, never copied")),
        *edges("10", "release", "reserved", "unspent", requires=(g.belongs_to_operation, g.release_is_proven),
               effects=("clear_reserved_by",), reason="only its own operation frees it, and only with proof"),
        *edges("11", "spend", "reserved", "spent", requires=(g.belongs_to_operation, g.consumption_is_proven),
               effects=("set_spent_at",), reason="consumed by its own operation"),
        *edges("12", "correct_spent", "unspent", "spent", requires=(g.mint_says_all_spent,),
               effects=("set_spent_at", "alarm"), reason="the mint is right about spent proofs"),
        *edges("12b", "correct_spent", "stranded", "spent", requires=(g.mint_says_all_spent,),
               effects=("clear_reserved_by", "set_spent_at", "alarm"), reason="the mint is right about spent proofs"),
        *edges("13", "claim", "outstanding", "spent", requires=(g.mint_says_all_spent,),
               effects=("set_spent_at",), reason="the recipient has it"),
        *edges("14", "reclaim", "outstanding", "spent", requires=(g.consumption_is_proven,),
               effects=("set_spent_at",), reason="swapped back to ourselves"),
        *edges("15", "strand", "reserved", "stranded", requires=(g.belongs_to_operation, g.refusal_is_proven),
               reason="one coin that the mint will not take must not hold the others; it keeps the name of its finder"),
        *edges("16", "retry", "stranded", "unspent", requires=(g.owner_matches, g.wallet_mint_unit_match),
               effects=("clear_reserved_by",), reason="the mint may take it now"),
        *edges("17", "write_off", "stranded", "spent",
               requires=(g.owner_matches, g.wallet_mint_unit_match, g.consumption_is_proven),
               effects=("clear_reserved_by", "set_spent_at", "alarm"), reason="an operator calls it lost"),
    ),
)  # fmt: skip
