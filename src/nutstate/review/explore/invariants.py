"""The invariants of docs/reliability.md, as far as they can be said of one state or one move of the model."""

from __future__ import annotations

from collections import Counter

from .mint import can_execute
from .setting import Setting
from .world import Op, World

_AFTER_CHANGE = frozenset({"settled", "reconciled", "discrepant"})
_UNPAID_ENDS = frozenset({"rejected", "cancelled", "expired"})
_IN_FLIGHT = frozenset(
    {"prepared", "paying", "refused", "pending", "unknown", "unpaid", "fencing", "attention"}
)
_SENT = frozenset(
    {"paying", "refused", "pending", "unknown", "unpaid", "fencing", "watching", "stuck", "paid", "settled"}
)


def broken(setting: Setting, world: World) -> str | None:
    """The first invariant that does not hold in a world, with what is wrong; None when all hold."""
    return (
        _places(world)
        or _operations(setting, world)
        or _truth(setting, world)
        or _claims(setting, world)
        or _requests(setting, world)
        or _value(setting, world)
    )


def broken_by(setting: Setting, before: World, after: World) -> str | None:
    """The first invariant that a move breaks: what ended stays ended, what is spent stays spent."""
    if before.tokens is not after.tokens:
        states = {token.id: token for token in after.tokens}
        for token in before.tokens:
            if token.state in ("spent", "failed") and states.get(token.id) != token:
                return f"I2: {token.id} was {token.state} and changed"
    for plan, old, new in zip(setting.plans, before.ops, after.ops, strict=True):
        if old is new or old.state == new.state:
            continue
        if setting.tables.of(plan.kind).state(old.state).kind == "final":
            return f"I3: {plan.name} ended {old.state} and became {new.state}"
        if old.payment and not new.payment:
            return f"I3: the payment of {plan.name} was forgotten"
        if new.state == "released" and not (new.fenced or new.trusted or new.watch):
            return f"I10: {plan.name} is released with nothing that proves it"
    return None


def _places(world: World) -> str | None:
    seen: dict[str, str] = {}
    for token in world.tokens:
        for name, amount in token.coins:
            if name in seen:
                return f"I2: {name} is in {seen[name]} and in {token.id}"
            seen[name] = token.id
            if world.signed(name) != amount:
                return f"I5: {token.id} holds {name}, which the mint never signed so"
        if token.type == "change" and not token.parent:
            return f"I5: {token.id} is change without a parent"
    return None


def _operations(setting: Setting, world: World) -> str | None:
    tokens = {token.id: token for token in world.tokens}
    for index, (plan, op) in enumerate(zip(setting.plans, world.ops, strict=True)):
        if plan.kind != "melt":
            continue
        states = {tokens[token_id].state for token_id in op.inputs}
        if op.payment and states - {"spent"} and not op.trusted:
            return f"I4: {plan.name} is paid and its inputs are {sorted(states)}"
        if op.payment and world.quotes[index].state != "PAID":
            return f"I4: {plan.name} is paid here and {world.quotes[index].state} at the mint"
        if (
            op.fenced
            and not op.left
            and op.inputs
            and states != {"spent"}
            and not _used_again(setting, world, op)
        ):
            return f"I4: {plan.name} is fenced and its inputs are {sorted(states)}"
        if op.state in _IN_FLIGHT and not op.payment:
            held = [t for t in op.inputs if not {n for n, _ in tokens[t].coins} <= op.fenced_coins]
            free = [t for t in held if tokens[t].state != "reserved" or tokens[t].holder != plan.name]
            if free:
                return f"I4: {plan.name} is {op.state} and does not hold {free[0]}"
        if op.change > 0 and not op.payment:
            return f"I5: change of {plan.name}, which is not paid"
        if op.payment and op.change > plan.owed(op.total)[1]:
            return f"I5: change of {plan.name} is more than is owed"
        if op.state in _UNPAID_ENDS and (op.sent or world.quotes[index].state != "UNPAID"):
            return f"I4: {plan.name} is {op.state}, and the request was sent"
    ended = {
        plan.name
        for plan, op in zip(setting.plans, world.ops, strict=True)
        if setting.tables.of(plan.kind).state(op.state).kind == "final"
    }
    for token in world.tokens:
        if token.state in ("reserved", "awaiting") and token.holder in ended:
            return f"I2: {token.id} is held by {token.holder}, which has ended"
    return None


def _excused(setting: Setting, world: World, name: str) -> bool:
    """Whether an operation freed this proof on the mint's word, in a network that breaks its word."""
    return setting.late and any(op.trusted and name in op.request for op in world.ops)


def _used_again(setting: Setting, world: World, op: Op) -> bool:
    """Whether what an operation freed on a word that was broken is in another operation by now: until that
    one ends, the books count the same proofs twice."""
    others = (other for other in world.ops if other is not op)
    return setting.late and op.trusted and any(set(op.request) & set(other.request) for other in others)


def _truth(setting: Setting, world: World) -> str | None:
    """What we call unspent can be spent, and what the mint holds for us is accounted for."""
    home = {name: token for token in world.tokens for name, _ in token.coins}
    for name, _, state in world.coins:
        token = home.get(name)
        if token is not None and token.state == "unspent" and state in ("SPENT", "PENDING"):
            if not _excused(setting, world, name):
                return f"I4: {token.id} is unspent here, and the mint calls {name} {state}"
        elif state == "UNSPENT":
            if token is not None and token.state in ("spent", "failed"):
                return f"I12: {token.id} is {token.state} here, and the mint still calls {name} UNSPENT"
            if token is None and not _awaited(setting, world, name):
                return f"I12: the mint signed {name} for us, and nothing accounts for it"
    return None


def _awaited(setting: Setting, world: World, name: str) -> bool:
    """Whether an open operation can still bring home what the mint signed for it."""
    owner, _, what = name.partition(".")
    try:
        index = setting.index(owner)
    except KeyError:
        return False
    op = world.ops[index]
    ended = setting.tables.of(setting.plans[index].kind).state(op.state).kind in ("final", "pseudo")
    if what == "change":
        if setting.late and op.trusted:
            return True
        return (not ended and op.blanks and op.state not in _AFTER_CHANGE) or _given_up(setting, op)
    generations = op.fences if what.startswith("fence") else op.outputs
    return not ended and int(what.removeprefix("fence").removeprefix("mint")) <= len(generations)


def _given_up(setting: Setting, op: Op) -> bool:
    """Change of a mint that withheld it for longer than its window: booked as fee or as loss."""
    return (setting.withholds or op.aged) and op.change <= 0 and op.fee >= 0


def _claims(setting: Setting, world: World) -> str | None:
    paid = Counter(
        plan.invoice
        for plan, quote in zip(setting.plans, world.quotes, strict=True)
        if plan.kind == "melt" and quote.state == "PAID"
    )
    held = Counter(plan.invoice for plan, op in zip(setting.plans, world.ops, strict=True) if op.claim)
    for invoice, count in (*paid.items(), *held.items()):
        if count > 1:
            return f"I3: the invoice {invoice} is paid or claimed {count} times"
    for plan, op in zip(setting.plans, world.ops, strict=True):
        if plan.kind == "melt" and op.state in _SENT and not op.claim:
            return f"I3: {plan.name} is {op.state} and claims nothing"
        if op.claim and op.state in (*_UNPAID_ENDS, "released"):
            return f"I3: {plan.name} is {op.state} and still claims the invoice"
    return None


def _requests(setting: Setting, world: World) -> str | None:
    """What was sent is stored, and what may still be executed is not free."""
    free = {name for token in world.tokens if token.state == "unspent" for name, _ in token.coins}
    for request in world.net:
        index = setting.index(request.op)
        plan, op = setting.plans[index], world.ops[index]
        if request.kind == "melt":
            if not op.sent or not request.coins or op.request != request.coins:
                return f"I6: {request.name} was sent before it was stored"
            if not request.blanks and plan.owed(op.total)[1]:
                return f"I6: {request.name} was sent without blanks for its change"
        elif not 0 < request.number <= len(op.fences if request.kind == "fence" else op.outputs):
            return f"I6: {request.name} was sent before its outputs were stored"
        if can_execute(setting, world, request, index):
            for name in request.coins:
                if name in free and not _excused(setting, world, name):
                    return f"I10: {name} is free while {request.name} may still be executed"
    return None


def _value(setting: Setting, world: World) -> str | None:
    """I1 from the stored documents alone, as an auditor would add them up."""
    if any(_used_again(setting, world, op) for op in world.ops):
        return None
    entered = sum(amount for _, coins in setting.tokens for _, amount in coins)
    held = sum(t.total for t in world.tokens if t.state in ("unspent", "reserved", "stranded", "outstanding"))
    gone = 0
    paid: set[str] = set()
    for index, (plan, op) in enumerate(zip(setting.plans, world.ops, strict=True)):
        if plan.kind == "mint":
            entered += plan.amount if op.state == "issued" else 0
            quote = world.quotes[index]
            ended = op.state in ("expired", "rejected", "cancelled")
            if quote.state == "PAID" and not quote.late and ended and not plan.follows:
                return f"I12: the invoice of {plan.name} was paid, and it ended {op.state}"
            continue
        most = plan.owed(op.total)[1]
        if op.payment:
            paid |= set(op.inputs)
            change, fee = max(0, op.change), op.fee
            gone += plan.amount + plan.input_fee + op.loss + (most if fee < 0 else fee)
            if fee >= 0 and op.total != plan.amount + fee + plan.input_fee + change + op.loss:
                return (
                    f"I1: {plan.name}: {op.total} is not {plan.amount} + {fee} + {plan.input_fee} + {change}"
                )
            if op.sources != op.total + op.keep:
                return f"I1: {plan.name}: sources {op.sources}, inputs {op.total}, kept {op.keep}"
        elif op.fenced:
            paid |= set(op.inputs)
            gone += plan.input_fee * op.ends.count("done")
        elif op.state == "written_off":
            gone += op.loss
    fenced = frozenset(name for op in world.ops for name in op.fenced_coins)
    corrected = sum(
        t.total
        for t in world.tokens
        if t.state == "spent" and not t.holder and t.id not in paid
        if not {name for name, _ in t.coins} <= fenced
    )
    if entered != held + gone + corrected:
        return f"I1: {entered} came in; {held} held, {gone} gone, {corrected} corrected"
    return None
