"""The words of a stored token: the effects of its transitions."""

from __future__ import annotations

from ..common_words import ALARM
from ..spec import Effect

INDEX_PROOFS = Effect("index_proofs", "enter the proofs in the proof index")
MOVE_PROOFS = Effect("move_proofs", "move some proofs to another token document")
SET_RESERVED_BY = Effect("set_reserved_by", "name the operation that holds the token")
CLEAR_RESERVED_BY = Effect("clear_reserved_by", "no operation holds the token any more")
SET_SPENT_AT = Effect("set_spent_at", "stamp the time of spending, once")

EFFECTS: tuple[Effect, ...] = (
    INDEX_PROOFS,
    MOVE_PROOFS,
    SET_RESERVED_BY,
    CLEAR_RESERVED_BY,
    SET_SPENT_AT,
    ALARM,
)
