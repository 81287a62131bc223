"""From what a worker has seen to the facts the real guards ask about. Times are flags: when the
first question was asked, a window was over or it was not."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...machines.melt.facts import MeltFacts
from ...machines.mint.facts import MintFacts
from ...machines.token.facts import TokenFacts
from .setting import Plan, Setting
from .world import Op, Token, World

NOW, WINDOW = 1_000_000, 1_000
_WALLET = ("wallet", "mint", "sat")
_OWNER = "npub"


class Evidence(NamedTuple):
    """What one event rests on. The default of every field permits nothing."""

    quote: str = ""
    states: tuple[tuple[str, str], ...] | None = None
    chosen: tuple[str, ...] = ()
    preflight: bool = False
    fence: int = 0
    verified: bool = False
    asked: bool = False
    signed: bool = False
    gone: bool = False
    renew: bool = False
    good: bool = False
    part: tuple[str, ...] = ()
    strand: tuple[str, ...] = ()
    can_fence: bool = False
    change: int = -1
    empty: bool = False
    restored_none: bool = False
    outdated: bool = False
    refused: bool = False
    operator: bool = False
    checks: int = 0
    discrepancies: int = 0


NOTHING = Evidence()
"""No evidence at all."""


def _since(op: Op, happened: bool, window: str) -> int | None:
    """When something began, as far as the guards can tell: just now, or a window ago."""
    return None if not happened else NOW - WINDOW if window in op.judged else NOW


def holder_of(setting: Setting, world: World, index: int) -> str | None:
    """Who claims the payment of this operation's invoice."""
    plan = setting.plans[index]
    for other, op in zip(setting.plans, world.ops, strict=True):
        if op.claim and other.invoice == plan.invoice and other.name != plan.name:
            return other.name
    return plan.name if world.ops[index].claim else None


def melt_facts(setting: Setting, world: World, index: int, seen: Evidence) -> MeltFacts:
    """The facts of a melt, as the engine gathers them from the stored operation and the evidence."""
    plan, op = setting.plans[index], world.ops[index]
    facts: dict[str, Any] = {
        "now": NOW, "unit": "sat", "owner": _OWNER, "wallet": _WALLET, "operation_id": plan.name,
        "two_step": plan.two_step, "policy": plan.policy, "amount": plan.amount, "amount_max": 1 << 20,
        "quoted_amount": plan.amount, "invoice_amount": plan.amount, "quoted_unit": "sat",
        "fee_reserve": plan.fee_reserve, "fee_max": 1 << 20,
        "quote_expires_at": NOW if "quote" in op.judged else NOW + WINDOW,
        "sent_at": NOW if op.sent else None, "settle_window_ms": WINDOW,
        "since_last_send_ms": (WINDOW if "settle" in op.judged or op.payment else 0) if op.sent else None,
        "retries": max(0, op.tries - 1), "retries_max": setting.retries_max,
        "unresolved_since": _since(op, op.sent, "age"), "unknown_age_max_ms": WINDOW,
        "sendings": op.tries, "refusal_kind": "payment" if seen.refused else None,
        "refused_for": "payment" if op.refused else None, "refusal_window_ms": WINDOW,
        "held_unspent_since": _since(op, op.confirmed_unspent, "refusal"), "unclear_told": True,
        "claim_held": op.claim, "inputs_taken": _taken(world, op, seen),
        "watch_since": _since(op, op.watch, "watch"), "watch_window_ms": WINDOW,
        "change_awaited_since": _since(op, op.payment, "change"), "change_window_ms": WINDOW,
        "change_empty_since": _since(op, op.empty, "empty"), "change_seen_empty": seen.empty,
        "payment_recorded": op.payment, "input_count_max": 100,
        "operator_reason": "seen" if seen.operator else "",
        "checks_performed": seen.checks, "discrepancies": seen.discrepancies,
        **_inputs(setting, world, index, seen), **_answers(op, seen),
        **_fence(setting, world, plan, op, seen), **_change(plan, op, seen),
    }  # fmt: skip
    return MeltFacts(**facts)


def _taken(world: World, op: Op, seen: Evidence) -> bool:
    """Whether the mint took what was freed: SPENT in a token no operation of ours has spent, or change."""
    if seen.change > 0:
        return True
    spent = {name for name, state in seen.states or () if state == "SPENT"}
    return any(
        t.state != "spent" and any(n in spent and n in op.request for n, _ in t.coins) for t in world.tokens
    )


def _inputs(setting: Setting, world: World, index: int, seen: Evidence) -> dict[str, Any]:
    plan, op = setting.plans[index], world.ops[index]
    facts: dict[str, Any] = {"claim_holder": holder_of(setting, world, index), "input_fee": plan.input_fee}
    if seen.preflight:
        spent = [name for name, state in seen.states or () if state == "SPENT"]
        facts |= {"preflight_asked": True, "preflight_blocked_count": len(spent)}
    if seen.chosen and not op.inputs:
        sources = sources_of(world, seen.chosen)
        amount = {name: value for token in sources for name, value in token.coins}
        return facts | {
            "source_owners": frozenset({_OWNER}),
            "source_wallets": frozenset({_WALLET}),
            "source_states": frozenset(token.state for token in sources),
            "inputs_total": sum(amount[name] for name in seen.chosen),
            "input_count": len(seen.chosen),
        }
    held = [world.token(token_id) for token_id in op.inputs]
    return facts | {
        "inputs_total": op.total,
        "input_count": len(op.left),
        "inputs_reserved": bool(held) and all(token.holder == plan.name for token in held),
    }


def sources_of(world: World, coins: tuple[str, ...]) -> list[Token]:
    """The stored tokens that hold any of these coins."""
    return [token for token in world.tokens if any(name in coins for name, _ in token.coins)]


def _answers(op: Op, seen: Evidence) -> dict[str, Any]:
    facts: dict[str, Any] = {"quote_state": seen.quote or None}
    if seen.states is not None:
        facts |= {"inputs_asked": len(seen.states), "input_states": frozenset(s for _, s in seen.states)}
    return facts


def _fence(setting: Setting, world: World, plan: Plan, op: Op, seen: Evidence) -> dict[str, Any]:
    worth = sum(world.signed(name) for name in seen.part) - plan.input_fee
    left = (set(op.request) - op.fenced_coins) if op.state in ("watching", "stuck") else set(op.left)
    return {
        "mint_can_swap": seen.can_fence,
        "mint_can_restore": seen.can_fence,
        "fence_generations": op.parts.count(seen.part),
        "fence_generations_max": setting.fences_max,
        "own_outputs_asked": seen.asked,
        "own_outputs_signed": seen.signed,
        "fence_outputs_verified": seen.verified,
        "fence_total": worth if seen.fence else 0,
        "fence_owed": worth if seen.fence else None,
        "fence_refusal_means_inputs_gone": seen.gone,
        "fence_takes_all": bool(seen.fence) and set(seen.part) >= left,
        "fence_refused_for_good": seen.good,
        "fences_done": op.ends.count("done"),
        "strands": len(seen.strand),
        "strands_all": bool(seen.strand) and set(seen.strand) >= left,
        "fence_renewable": seen.renew,
    }


def _change(plan: Plan, op: Op, seen: Evidence) -> dict[str, Any]:
    if not op.inputs:
        return {}
    least, most = plan.owed(op.total)
    facts: dict[str, Any] = {"owed_min": least, "owed_max": most}
    if seen.change >= 0:
        complete = seen.change > 0 and least <= seen.change <= most
        facts |= {
            "change_total": seen.change,
            "change_verified": True,
            "change_blanks_distinct": True,
            "change_is_complete": complete,
        }
    return facts


def mint_facts(setting: Setting, world: World, index: int, seen: Evidence) -> MintFacts:
    """The facts of a mint operation."""
    plan, op = setting.plans[index], world.ops[index]
    return MintFacts(
        now=NOW,
        amount=plan.amount,
        quoted_amount=plan.amount,
        quoted_unit="sat",
        unit="sat",
        amount_max=1 << 20,
        quote_state=seen.quote or None,
        quote_expires_at=NOW if "quote" in op.judged else NOW + WINDOW,
        outputs_verified=seen.verified,
        issued_total=plan.amount if seen.verified else 0,
        restored_none=seen.restored_none,
        outputs_written=bool(op.outputs),
        outputs_useless=seen.outdated,
        paid_since=_since(op, op.paid, "age"),
        blocked_max_ms=WINDOW,
        watch_passed_ms=(WINDOW if "watch" in op.judged else 0) if op.watch else None,
        watch_part_ms=2 * WINDOW,
        watch_window_ms=WINDOW,
        unresolved_since=_since(op, op.paid or op.state != "lapsed" or "watch" in op.judged, "age"),
        unknown_age_max_ms=WINDOW,
        sent_at=_since(op, op.sent, "settle"),
        retry_after_ms=WINDOW,
        tries=op.tries,
        tries_max=setting.retries_max + 1,
        operator_reason="seen" if seen.operator else "",
    )


def token_facts(token: Token, operation: str, extra: dict[str, Any]) -> TokenFacts:
    """The facts of a token that ``operation`` wants to change."""
    return TokenFacts(
        **{
            "type": token.type, "parent": token.parent or None, "proof_count": len(token.coins),
            "proofs_total": token.total, "total_amount": token.total,
            "distinct_secrets": len({name for name, _ in token.coins}), "reserved_by": token.holder or None,
            "operation_id": operation, "owner": _OWNER, "operation_owner": _OWNER,
            "wallet": _WALLET, "operation_wallet": _WALLET, **extra,
        }
    )  # fmt: skip
