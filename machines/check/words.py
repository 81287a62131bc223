"""The words of a check: the effects of its transitions."""

from __future__ import annotations

from ..common_words import ALARM, CORRECT_SPENT, RECORD_LOSS, RECORD_REASON
from ..spec import Effect

EFFECTS: tuple[Effect, ...] = (
    RECORD_REASON,
    CORRECT_SPENT,
    Effect("store_late_change", "store the change of a payment that was given up"),
    Effect("free_stranded", "make the named stranded tokens spendable again"),
    Effect("drop_stranded", "mark the named stranded tokens spent"),
    RECORD_LOSS,
    ALARM,
)
