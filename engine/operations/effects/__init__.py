"""Effects: the names in a machine's table, turned into changes of the draft. No I/O happens here."""

from __future__ import annotations

from collections.abc import Mapping

from ...loop.effect_context import Effect, Scene, consumed_tokens, inputs_total_of, is_free, owed_bounds
from ..check import effects as check
from ..melt import effects_inputs as inputs
from ..melt import effects_money as money
from ..melt.effects_inputs import lets_go
from ..melt.record import effects as record
from ..mint import effects as funding

__all__ = [
    "lets_go",
    "EFFECTS",
    "Effect",
    "Scene",
    "apply",
    "consumed_tokens",
    "inputs_total_of",
    "is_free",
    "owed_bounds",
]

_ALL: tuple[Effect, ...] = (
    money.store_quote, money.record_reason, money.take_claim, money.drop_claim, inputs.split_off_keep,
    inputs.reserve_inputs, inputs.release_inputs, inputs.write_blanks, inputs.write_request,
    inputs.adopt_split, inputs.stamp_sent, inputs.spend_inputs, inputs.free_untouched,
    inputs.spend_part, inputs.strand_part, inputs.strand_inputs, check.store_late_change,
    money.store_payment, money.store_change, money.write_fence, money.store_fenced,
    money.end_fence, money.note_refusal, money.stamp_empty,
    money.stamp_watch, money.count_watch, money.stamp_refusal,
    money.restart_patience, money.reset_tries, money.stamp_unspent, money.forget_unspent, money.record_loss,
    money.alarm, record.record_melt, record.park_record, record.spend_contested,
    check.correct_spent, check.free_stranded, check.drop_stranded,
    funding.expect_token, funding.fail_token, funding.write_outputs,
    funding.stamp_paid, funding.count_refusal, funding.issue_token, funding.store_deposit,
)  # fmt: skip
EFFECTS: Mapping[str, Effect] = {effect.__name__: effect for effect in _ALL}


def apply(scene: Scene) -> None:
    """Stage every effect of an accepted decision, in the table's order."""
    for name in scene.decision.effects:
        EFFECTS[name](scene)
