"""The words of a stored token: what an accepted transition writes."""

from __future__ import annotations

from ..common_words import ALARM
from ..spec import Effect

EFFECTS: tuple[Effect, ...] = (
    Effect("index_proofs", "enter the proofs in the proof index"),
    Effect("move_proofs", "move some proofs to another token document"),
    Effect("set_reserved_by", "name the operation that holds the token"),
    Effect("clear_reserved_by", "no operation holds the token any more"),
    Effect("set_spent_at", "stamp the time of spending, once"),
    ALARM,
)
