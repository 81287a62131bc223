"""The mint, Lightning and the network: what they answer, and what may happen there by itself.

The mint takes all proofs of a request or none, in one step; that is the one thing a fence rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .setting import Setting
from .view import REFUSED
from .world import Op, Quote, Request, World

TAKEN = "TAKEN"
"""The state of a proof that somebody else spent; to us the mint calls it SPENT."""

Event = tuple[str, str, World]
"""Label, kind of the move, and the world after it."""


def answer(setting: Setting, world: World, index: int, what: str, chosen: tuple[str, ...] = ()) -> Any:
    """The mint's true answer to a question a program asks; ``chosen`` are the coins asked about before
    any are stored with the operation."""
    plan, op, quote = setting.plans[index], world.ops[index], world.quotes[setting.quote_index(index)]
    if what == "keysets":
        return "usable"
    if what == "quote":
        return quote.state, world.signed(f"{plan.name}.change")
    if what == "inputs":
        return tuple((name, _said(world.coin_state(name))) for name in op.left or chosen)
    if what == "fences":
        return _newest_fence(world, plan.name, op)
    if what == "outputs":
        return _newest(world, f"{plan.name}.mint", len(op.outputs))
    if what == "change":
        return world.signed(f"{plan.name}.change")
    return quote.state  # an invoice, or a quote that is new


def _said(state: str) -> str:
    return "SPENT" if state == TAKEN else state


def _newest(world: World, prefix: str, generations: int) -> int:
    return next((n for n in range(generations, 0, -1) if world.signed(f"{prefix}{n}")), 0)


def _newest_fence(world: World, name: str, op: Op) -> int:
    """The newest fence that is signed and not stored yet."""
    numbers = range(len(op.fences), 0, -1)
    return next((n for n in numbers if op.ends[n - 1] != "done" and world.signed(f"{name}.fence{n}")), 0)


def replies(setting: Setting, world: World, index: int, kind: str) -> Iterator[tuple[str, str, Any]]:
    """What a worker that waits for the answer to a request may get: words, kind of the move, answer."""
    plan, op, quote = setting.plans[index], world.ops[index], world.quotes[setting.quote_index(index)]
    if kind == "melt":
        yield quote.state, "mint", (quote.state, world.signed(f"{plan.name}.change"))
        yield "reply_lost", "clock", "reply_lost"  # every request has a deadline
        if quote.state == "UNPAID" and plan.policy == "fast":
            yield "the mint refuses it", "mint", REFUSED
        for event in ("mint_refused", "mint_unreachable"):
            yield event, "fault", event
    elif kind == "fence":
        newest = len(op.fences)
        if world.signed(f"{plan.name}.fence{newest}"):
            yield "signed", "mint", newest
        if set(op.newest_part) & set(setting.refuses):
            yield "refused for good", "mint", "refused"
        if any(world.coin_state(name) != "UNSPENT" for name in op.newest_part):
            yield "inputs are gone", "mint", "gone"
        elif op.fences and op.fences[-1] != world.epoch:
            yield "keyset is outdated", "mint", "keyset"
        yield "reply_lost", "clock", "reply_lost"
    else:
        if generation := _newest(world, f"{plan.name}.mint", len(op.outputs)):
            yield "signed", "mint", generation
        yield "reply_lost", "clock", "reply_lost"
        stuck = f"{plan.name}.mint{len(op.outputs)}" in world.stuck
        yield "mint_refused", "mint" if stuck else "fault", "mint_refused"


def happens(setting: Setting, world: World) -> Iterator[Event]:
    """What the mint, Lightning, the network and strangers may do now. A request that can never be executed
    any more is as good as dropped."""
    for label, kind, after in _happens(setting, world):
        yield label, kind, after._replace(net=tuple(r for r in after.net if not _dead(setting, after, r)))


def _dead(setting: Setting, world: World, request: Request) -> bool:
    quote = world.quotes[setting.quote_index(setting.index(request.op))].state
    if request.kind == "mint":
        return quote == "ISSUED" or request.epoch != world.epoch or request.name in world.stuck
    if request.kind == "fence" and request.epoch != world.epoch:
        return True
    if set(request.coins) & set(setting.refuses):
        return True
    return any(world.coin_state(name) in ("SPENT", TAKEN) for name in request.coins)


def _happens(setting: Setting, world: World) -> Iterator[Event]:
    for request in world.net:
        yield from _request(setting, world, request)
    for index, quote in enumerate(world.quotes):
        plan = setting.plans[index]
        if plan.kind == "melt":
            yield from _lightning(setting, world, index, quote)
        elif not plan.follows and quote.state == "UNPAID" and _payable(setting, world, index):
            over = "watch" in world.ops[index].over
            late = over and (setting.slow or world.ops[index].state == "expired")
            after = world.with_quote(index, Quote("PAID", late=late))
            yield f"somebody pays the invoice of {plan.name}", "mint", after
    for name in setting.stolen:
        if world.coin_state(name) == "UNSPENT":
            yield f"somebody else spends {name}", "fault", world.with_coins((name,), TAKEN)
    if setting.rotates and world.epoch == 0:
        yield "the mint rotates its keyset", "fault", world._replace(epoch=1)


def _payable(setting: Setting, world: World, index: int) -> bool:
    """Whether an invoice can be paid. What is paid after its watch is over can only be followed up."""
    plan, op = setting.plans[index], world.ops[index]
    if not op.quote or ("quote" in op.over and not setting.late_pays):
        return False
    followed = any(other.follows == plan.name for other in setting.plans)
    return op.state != "expired" or "watch" not in op.over or followed


def _request(setting: Setting, world: World, request: Request) -> Iterator[Event]:
    gone = world._replace(net=tuple(other for other in world.net if other != request))
    yield f"{request.name} is dropped", "clock", gone
    done = _executed(setting, gone, request)
    if done is not None:
        kept = done._replace(net=world.net) if setting.doubled else done
        yield f"the mint executes {request.name}", "mint", kept
    if setting.unsigned and request.kind == "mint" and request.number == 1 and done is not None:
        stored = gone._replace(stuck=gone.stuck | {request.name})
        yield f"the mint stores the outputs of {request.name} and never signs them", "fault", stored


def can_execute(setting: Setting, world: World, request: Request, index: int) -> bool:
    """Whether the mint would take the request as things are now."""
    quote = world.quotes[setting.quote_index(index)].state
    if request.kind == "mint":
        return quote == "PAID" and request.epoch == world.epoch and request.name not in world.stuck
    if request.kind == "fence" and request.epoch != world.epoch:
        return False
    if set(request.coins) & set(setting.refuses):
        return False
    free = bool(request.coins) and all(world.coin_state(name) == "UNSPENT" for name in request.coins)
    return free and (request.kind == "fence" or quote == "UNPAID")


def _executed(setting: Setting, world: World, request: Request) -> World | None:
    index = setting.index(request.op)
    if not can_execute(setting, world, request, index):
        return None
    plan = setting.plans[index]
    if request.kind == "melt":
        return world.with_coins(request.coins, "PENDING").with_quote(index, Quote("PENDING"))
    if request.kind == "fence":
        worth = sum(world.signed(name) for name in request.coins) - plan.input_fee
        return world.with_coins(request.coins, "SPENT").with_signed(request.name, worth)
    at = setting.quote_index(index)
    issued = world.with_quote(at, world.quotes[at]._replace(state="ISSUED"))
    return issued.with_signed(request.name, plan.amount)


def _lightning(setting: Setting, world: World, index: int, quote: Quote) -> Iterator[Event]:
    plan, op = setting.plans[index], world.ops[index]
    name, coins = plan.name, op.request
    if quote.state == "PENDING":
        for fee in setting.fees:
            paid = world.with_coins(coins, "SPENT").with_quote(index, Quote("PAID", fee))
            yield f"Lightning pays {name} for a fee of {fee}", "mint", paid
        failed = world.with_coins(coins, "UNSPENT").with_quote(index, Quote("UNPAID"))
        yield f"Lightning fails {name}", "mint", failed
    if due := change_owed(setting, world, index):
        yield f"the mint signs the change of {name}", "mint", world.with_signed(f"{name}.change", due)


def change_owed(setting: Setting, world: World, index: int) -> int:
    """What the mint owes for a paid melt and has not signed yet."""
    name = f"{setting.plans[index].name}.change"
    paid = world.quotes[index].state == "PAID"
    return change_due(setting, world, index) if paid and not world.signed(name) else 0


def change_due(setting: Setting, world: World, index: int) -> int:
    """What the mint owes for a paid melt."""
    plan, coins = setting.plans[index], world.ops[index].request
    total = sum(amount for name, amount, _ in world.coins if name in coins)
    return max(0, plan.owed(total)[1] - world.quotes[index].fee)
