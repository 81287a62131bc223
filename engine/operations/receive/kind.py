"""Receives: a token that the caller hands in becomes coins of the wallet."""

from __future__ import annotations

from collections.abc import Iterable

from ....machines.receive.table import RECEIVE
from ....storage.batch import proof_key
from ....storage.port import Reader
from ....storage.records import Operation
from ...checks.foresee import foresee
from ...checks.reconcile import reconcile
from ...loop.kinds import Kind
from ..melt.effects.corrections import correct_spent
from ..shared import effects as shared
from ..shared import exchanging
from ..shared.exchange_looks import look_before_release, look_before_write_off
from . import actions
from . import effects as own
from . import reconcile as reconciled
from .data import ReceiveData, receive_of
from .facts import receive_facts
from .outcome import account_of, alarm_of, cost_of, sums_of


def _sent(op: Operation, reader: Reader) -> Iterable[str]:
    """Where proofs of the token lie that the caller deposited after the receive ended unpaid."""
    if RECEIVE.state(op.state).frees:
        return set(reader.proof_owners(map(proof_key, receive_of(op).sent_secrets()), op.npub).values())
    return ()


RECEIVE_KIND = Kind(
    machines=(RECEIVE,),
    started_by="Engine.receive",
    facts=receive_facts,
    data=ReceiveData,
    actions={
        "ask_outcome": actions.ask_outcome,
        "post_receive": exchanging.post_exchange,
        "reconcile": reconcile,
    },
    foresees={"reconcile": foresee},
    effects={
        "alarm": shared.alarm,
        "claim_token": own.claim_token,
        "correct_spent": correct_spent,
        "let_token_go": own.let_token_go,
        "note_clear_refusal": exchanging.note_clear_refusal,
        "record_reason": shared.record_reason,
        "restart_patience": shared.restart_patience,
        "stamp_sent": shared.stamp_sent,
        "stamp_unspent": shared.stamp_unspent,
        "stamp_watch": shared.stamp_watch,
        "store_received": own.store_received,
        "write_receive": own.write_receive,
    },
    tokens=_sent,
    pause=exchanging.pause,
    operator_looks={"release": look_before_release, "write_off": look_before_write_off},
    alarm=alarm_of,
    account=account_of,
    cost=cost_of,
    sums=sums_of,
    checks=reconciled.CHECKS,
)
