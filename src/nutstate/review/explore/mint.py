"""The mint, Lightning and the network: what they answer, and what may happen there by itself.

The mint takes all proofs of a request or none, in one step; that is the one thing a fence rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .labels import CALLERS_FEE, keyset, label
from .ports import REFUSED, request_of
from .setting import Setting
from .stored import NOW
from .world import Question, Quote, Request, World

TAKEN = "TAKEN"
"""The state of a proof that another program spent; to us the mint calls it SPENT."""

Event = tuple[str, str, World]
"""Label, kind of the move, and the world after it."""


def answer(setting: Setting, world: World, index: int, question: Question) -> Any:
    """The mint's true answer to a question that changes nothing."""
    quote = world.quotes[setting.quote_index(index)]
    if question.call == "keysets":
        return "usable"
    if question.call == "quote":
        return quote.state, _change(world, quote)
    if question.call == "inputs":
        return tuple(_said(world.coin_state(name)) for name in question.args)
    if question.call == "signatures":
        return tuple(world.signed(name) for name in question.args)
    return quote.state  # an invoice, or a quote that is new


def _said(state: str) -> str:
    return "SPENT" if state == TAKEN else state


def _change(world: World, quote: Quote) -> tuple[str, int, str] | None:
    """The signature on the first blank, once there is one."""
    if quote.by is None or not quote.by.outputs:
        return None
    amount = world.signed(quote.by.outputs[0])
    return _signature(quote.by, 0, amount) if amount else None


def _signature(request: Request, at: int, amount: int) -> tuple[str, int, str]:
    return label(request.outputs[at]).B_, amount, keyset(request.epoch).id


def replies(setting: Setting, world: World, index: int, question: Question) -> Iterator[tuple[str, str, Any]]:
    """The possible answers for a worker that waits for a reply: words, kind of the move, answer."""
    plan, quote = setting.plans[index], world.quotes[setting.quote_index(index)]
    request = request_of(plan.name, question)
    signed = bool(request.outputs) and all(map(world.signed, request.outputs))
    if request.call == "melt":
        yield quote.state, "mint", (quote.state, _change(world, quote))
        yield "reply_lost", "clock", "reply_lost"  # every request has a deadline
        if quote.state == "UNPAID" and plan.policy == "fast":
            yield "the mint refuses it", "mint", REFUSED
        for event in ("mint_refused", "mint_unreachable"):
            yield event, "fault", event
        return
    if signed:
        amounts = enumerate(request.amounts)
        yield "signed", "mint", tuple(_signature(request, at, amount) for at, amount in amounts)
    yield "reply_lost", "clock", "reply_lost"
    if request.call == "swap":
        if set(request.inputs) & set(setting.refuses):
            yield "refused for good", "mint", "refused"
        if any(world.coin_state(name) != "UNSPENT" for name in request.inputs):
            yield "inputs are gone", "mint", "gone"
        elif request.epoch != world.epoch:
            yield "keyset is outdated", "mint", "keyset"
        if plan.kind == "swap":
            yield "mint_refused", "fault", "mint_refused"
    else:
        yield "mint_refused", "mint" if request.name in world.stuck else "fault", "stuck"


def happens(setting: Setting, world: World) -> Iterator[Event]:
    """The possible moves of the mint, Lightning, the network and strangers. A request that can never be
    executed any more counts as dropped."""
    for words, kind, after in _happens(setting, world):
        yield words, kind, after._replace(net=tuple(r for r in after.net if not _dead(setting, after, r)))


def _dead(setting: Setting, world: World, request: Request) -> bool:
    quote = world.quotes[setting.quote_index(setting.index(request.op))].state
    if request.call == "mint":
        return quote == "ISSUED" or request.epoch != world.epoch or request.name in world.stuck
    if request.call == "swap" and request.epoch != world.epoch:
        return True
    if set(request.inputs) & set(setting.refuses):
        return True
    return any(world.coin_state(name) in ("SPENT", TAKEN) for name in request.inputs)


def _happens(setting: Setting, world: World) -> Iterator[Event]:
    for request in world.net:
        yield from _request(setting, world, request)
    for index, quote in enumerate(world.quotes):
        plan = setting.plans[index]
        if plan.kind == "melt":
            yield from _lightning(setting, world, index, quote)
        elif plan.kind == "record":
            yield from _pays(setting, world, index, quote)
        elif plan.kind == "swap":
            continue
        elif not plan.follows and quote.state == "UNPAID" and _payable(setting, world, index):
            op = world.ops[index]
            late = op is not None and op.watched and (setting.slow or op.state == "expired")
            after = world.with_quote(index, Quote("PAID", late=late))
            yield f"a payer pays the invoice of {plan.name}", "mint", after
    for name in setting.stolen:
        if world.coin_state(name) == "UNSPENT":
            yield f"another program spends {name}", "fault", world.with_coins((name,), TAKEN)
    if setting.rotates and world.epoch == 0:
        yield "the mint rotates its keyset", "fault", world._replace(epoch=1)


def _pays(setting: Setting, world: World, index: int, quote: Quote) -> Iterator[Event]:
    """A caller pays while its hold lasts, and gets change that we know nothing of until it is recorded."""
    plan, op = setting.plans[index], world.ops[index]
    if not plan.held:
        yield from _pays_unheld(setting, world, index, quote)
        return
    if op is None or op.state != "held" or quote.state == "PAID" or (op.data.hold_until or 0) <= NOW:
        return
    held = [name for token_id in op.input_ids for name, _ in world.token(token_id).coins]
    if any(world.coin_state(name) != "UNSPENT" for name in held):
        return
    left = sum(map(world.signed, held)) - plan.amount - CALLERS_FEE
    paid = world.with_coins(tuple(held), "SPENT").with_quote(index, Quote("PAID"))
    yield (
        f"the caller pays with {plan.name}",
        "caller",
        paid.with_signed((f"{plan.name}.0", left)) if left else paid,
    )


def _pays_unheld(setting: Setting, world: World, index: int, quote: Quote) -> Iterator[Event]:
    """A caller pays with whole tokens of which it told us nothing. To us they are spent by another program
    until it is recorded."""
    plan = setting.plans[index]
    coins = {
        name: amount for token, parts in setting.tokens if token in plan.sources for name, amount in parts
    }
    if quote.state == "PAID" or any(world.coin_state(name) != "UNSPENT" for name in coins):
        return
    left = sum(coins.values()) - plan.amount - CALLERS_FEE
    paid = world.with_coins(tuple(coins), TAKEN).with_quote(index, Quote("PAID"))
    yield (
        f"the caller pays with the coins of {plan.name}",
        "caller",
        paid.with_signed((f"{plan.name}.0", left)) if left else paid,
    )


def _payable(setting: Setting, world: World, index: int) -> bool:
    """Whether an invoice can be paid. After its watch is over, a payment can only be followed up."""
    plan, op = setting.plans[index], world.ops[index]
    if op is None or op.record.quote is None:
        return False
    if op.record.quote.expires_at <= NOW and not setting.late_pays:
        return False
    followed = any(other.follows == plan.name for other in setting.plans)
    return op.state != "expired" or not op.watched or followed


def _request(setting: Setting, world: World, request: Request) -> Iterator[Event]:
    gone = world._replace(net=tuple(other for other in world.net if other != request))
    yield f"{request.name} is dropped", "clock", gone
    done = _executed(setting, gone, request)
    if done is not None:
        kept = done._replace(net=world.net) if setting.doubled else done
        yield f"the mint executes {request.name}", "mint", kept
    first = request.call == "mint" and request.outputs[:1] == (f"{request.op}.1",)
    if setting.unsigned and first and done is not None:
        stored = gone._replace(stuck=gone.stuck | {request.name})
        yield f"the mint stores the outputs of {request.name} and never signs them", "fault", stored


def can_execute(setting: Setting, world: World, request: Request, index: int) -> bool:
    """Whether the mint would take the request as things are now."""
    quote = world.quotes[setting.quote_index(index)].state
    if request.call == "mint":
        return quote == "PAID" and request.epoch == world.epoch and request.name not in world.stuck
    if request.call == "swap" and request.epoch != world.epoch:
        return False
    if set(request.inputs) & set(setting.refuses):
        return False
    free = bool(request.inputs) and all(world.coin_state(name) == "UNSPENT" for name in request.inputs)
    return free and (request.call == "swap" or quote == "UNPAID")


def _executed(setting: Setting, world: World, request: Request) -> World | None:
    index = setting.index(request.op)
    if not can_execute(setting, world, request, index):
        return None
    if request.call == "melt":
        return world.with_coins(request.inputs, "PENDING").with_quote(index, Quote("PENDING", by=request))
    signed = zip(request.outputs, request.amounts, strict=True)
    if request.call == "swap":
        return world.with_coins(request.inputs, "SPENT").with_signed(*signed)
    at = setting.quote_index(index)
    return world.with_quote(at, world.quotes[at]._replace(state="ISSUED")).with_signed(*signed)


def _lightning(setting: Setting, world: World, index: int, quote: Quote) -> Iterator[Event]:
    name = setting.plans[index].name
    if quote.state == "PENDING" and quote.by is not None:
        coins = quote.by.inputs
        for fee in setting.fees:
            paid = world.with_coins(coins, "SPENT").with_quote(index, quote._replace(state="PAID", fee=fee))
            yield f"Lightning pays {name} for a fee of {fee}", "mint", paid
        failed = world.with_coins(coins, "UNSPENT").with_quote(index, Quote())
        yield f"Lightning fails {name}", "mint", failed
    due = change_owed(setting, world, index)
    if due and quote.by is not None:
        signed = world.with_signed((quote.by.outputs[0], due))
        yield f"the mint signs the change of {name}", "mint", signed


def change_owed(setting: Setting, world: World, index: int) -> int:
    """The change that the mint owes for a paid melt and has not signed yet."""
    quote = world.quotes[index]
    if quote.state != "PAID" or quote.by is None or not quote.by.outputs or world.signed(quote.by.outputs[0]):
        return 0
    total = sum(map(world.signed, quote.by.inputs))
    return max(0, setting.plans[index].owed(total)[1] - quote.fee)
