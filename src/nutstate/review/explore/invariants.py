"""The invariants of docs/reliability.md, as far as they can be said of one state or one move of the model."""

from __future__ import annotations

from collections import Counter

from .mint import can_execute
from .setting import Plan, Setting
from .stored import Stored, StoredToken
from .world import World

_AFTER_CHANGE = frozenset({"settled", "reconciled", "discrepant"})
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
        tokens = {token.id: token for token in after.tokens}
        for token in before.tokens:
            if token.state in ("spent", "failed"):
                now = tokens.get(token.id)
                if now is None or (now.state, now.coins, now.holder) != (
                    token.state,
                    token.coins,
                    token.holder,
                ):
                    return f"I2: {token.id} was {token.state} and changed"
    for old, new in zip(before.ops, after.ops, strict=True):
        if old is None or new is None or old is new or old.state == new.state:
            continue
        if old.declared.kind == "final":
            return f"I3: {old.id} ended {old.state} and became {new.state}"
        if old.paid and not new.paid:
            return f"I3: the payment of {old.id} was forgotten"
        if new.state == "released" and not (new.has_fenced or new.believed):
            return f"I10: {new.id} is released with nothing that proves it"
    return None


def _melts(setting: Setting, world: World) -> list[tuple[int, Plan, Stored]]:
    found = zip(setting.plans, world.ops, strict=True)
    return [(n, plan, op) for n, (plan, op) in enumerate(found) if op is not None and plan.kind == "melt"]


def _places(world: World) -> str | None:
    seen: dict[str, str] = {}
    for token in world.tokens:
        for name, amount in token.coins:
            if name in seen:
                return f"I2: {name} is in {seen[name]} and in {token.id}"
            seen[name] = token.id
            if world.signed(name) != amount:
                return f"I5: {token.id} holds {name}, which the mint never signed so"
        if token.record.transaction_type == "change" and not token.record.metadata.parent_transaction_id:
            return f"I5: {token.id} is change without a parent"
    return None


def _operations(setting: Setting, world: World) -> str | None:
    tokens = {token.id: token for token in world.tokens}
    for index, plan, op in _melts(setting, world):
        states = {tokens[token_id].state for token_id in op.input_ids}
        if op.paid and states - {"spent"} and not op.believed:
            return f"I4: {op.id} is paid and its inputs are {sorted(states)}"
        if op.paid and world.quotes[index].state != "PAID":
            return f"I4: {op.id} is paid here and {world.quotes[index].state} at the mint"
        if (
            op.has_fenced
            and not _left(world, op)
            and op.input_ids
            and states != {"spent"}
            and not _used_again(setting, world, op)
        ):
            return f"I4: {op.id} is fenced and its inputs are {sorted(states)}"
        if op.state in _IN_FLIGHT and not op.paid:
            held = [t for t in op.input_ids if not tokens[t].names <= op.fenced]
            free = [t for t in held if tokens[t].state != "reserved" or tokens[t].holder != op.id]
            if free:
                return f"I4: {op.id} is {op.state} and does not hold {free[0]}"
        change = op.account.change
        if change and not op.paid:
            return f"I5: change of {op.id}, which is not paid"
        if op.paid and change > plan.owed(op.total)[1]:
            return f"I5: change of {op.id} is more than is owed"
        sent = op.record.sent_at is not None or world.quotes[index].state != "UNPAID"
        if _ended_unsent(op) and sent:
            return f"I4: {op.id} is {op.state}, and the request was sent"
    for op in filter(None, world.ops):
        states = {tokens[token_id].state for token_id in op.input_ids}
        if op.kind == "record" and op.paid and op.state != "contested" and states != {"spent"}:
            return f"I4: {op.id} is paid by its caller and its inputs are {sorted(states)}"
        free = [token_id for token_id in op.input_ids if tokens[token_id].holder != op.id]
        if op.state in ("held", "swapping", "restoring") and free:
            return f"I4: {op.id} is {op.state} and does not hold {free[0]}"
        if op.kind == "swap" and op.data.swapped and states != {"spent"} and not op.believed:
            return f"I4: {op.id} is swapped and its inputs are {sorted(states)}"
    ended = {op.id for op in world.ops if op is not None and op.declared.kind == "final"}
    for token in world.tokens:
        if token.state in ("reserved", "awaiting") and token.holder in ended:
            return f"I2: {token.id} is held by {token.holder}, which has ended"
    return None


def _ended_unsent(op: Stored) -> bool:
    return op.declared.ends == "unpaid" and op.state != "released"


def _left(world: World, op: Stored) -> set[str]:
    """The coins of the request that no fence spent and that are not stranded."""
    stranded = {part.token_id for part in op.data.stranded}
    gone = set(op.fenced).union(*(token.names for token in world.tokens if token.id in stranded))
    return set(op.request) - gone


def _excused(setting: Setting, world: World, name: str) -> bool:
    """Whether an operation freed this proof on the mint's word, in a network that breaks its word."""
    return setting.late and any(op is not None and op.believed and name in op.request for op in world.ops)


def _used_again(setting: Setting, world: World, op: Stored) -> bool:
    """Whether what an operation freed on a word that was broken is in another operation by now: until that
    one ends, the books count the same proofs twice."""
    others = (other for other in world.ops if other is not None and other is not op)
    freed = setting.late and op.kind in ("melt", "swap") and op.believed
    return freed and any(set(op.request) & set(other.request) for other in others)


def _truth(setting: Setting, world: World) -> str | None:
    """Unspent proofs of the store can be spent, and value that the mint holds for us is accounted for."""
    home: dict[str, StoredToken] = {name: token for token in world.tokens for name in token.names}
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
    for index, op in enumerate(world.ops):
        plan = setting.plans[index]
        if plan.kind == "record" and name == f"{plan.name}.0" and (op is None or not op.paid):
            return True  # the caller has it
        if op is None or name not in op.outputs:
            continue
        if setting.forces and op.ended and (op.declared.ends == "lost" or op.believed):
            return True  # retry_stranded asks about it (R384, R385), or the operator took the risk
        if op.kind == "melt" and name in op.blanks:
            if setting.late and op.believed:
                return True
            return (not op.ended and op.state not in _AFTER_CHANGE) or _given_up(setting, world, index, op)
        return not op.ended
    return False


def _given_up(setting: Setting, world: World, index: int, op: Stored) -> bool:
    """Change of a mint that withheld it for longer than its window, or was silent when an operator used
    force: booked as fee or as loss."""
    booked = op.account.payment is not None and op.account.payment.lightning_fee is not None
    unseen = setting.withholds or setting.forces or world.workers[index].aged
    return unseen and not op.account.change and booked


def _claims(setting: Setting, world: World) -> str | None:
    paid = Counter(
        plan.invoice
        for plan, quote in zip(setting.plans, world.quotes, strict=True)
        if plan.kind != "mint" and quote.state == "PAID"
    )
    held = Counter(op.record.claim for op in world.ops if op is not None and op.record.claim)
    for invoice, count in (*paid.items(), *held.items()):
        if count > 1:
            return f"I3: the invoice {invoice} is paid or claimed {count} times"
    for _, _, op in _melts(setting, world):
        if op.state in _SENT and not op.record.claim:
            return f"I3: {op.id} is {op.state} and claims nothing"
        if op.record.claim and op.declared.ends == "unpaid":
            return f"I3: {op.id} is {op.state} and still claims the invoice"
    return None


def _requests(setting: Setting, world: World) -> str | None:
    """Sent requests are stored, and coins of a request that may still be executed are not free."""
    free = {name for token in world.tokens if token.state == "unspent" for name in token.names}
    for request in world.net:
        index = setting.index(request.op)
        plan, op = setting.plans[index], world.ops[index]
        if request.call == "melt":
            if op is None or op.record.sent_at is None or not request.inputs or op.request != request.inputs:
                return f"I6: {request.name} was sent before it was stored"
            if not request.outputs and plan.owed(op.total)[1]:
                return f"I6: {request.name} was sent without blanks for its change"
        if op is None or not op.outputs.issuperset(request.outputs):
            return f"I6: {request.name} was sent before its outputs were stored"
        if can_execute(setting, world, request, index):
            for name in request.inputs:
                if name in free and not _excused(setting, world, name):
                    return f"I10: {name} is free while {request.name} may still be executed"
    return None


def _value(setting: Setting, world: World) -> str | None:
    """I1 from the stored documents alone, as an auditor would add them up."""
    if any(op is not None and _used_again(setting, world, op) for op in world.ops):
        return None
    entered = sum(amount for _, coins in setting.tokens for _, amount in coins)
    held = sum(t.total for t in world.tokens if t.state in ("unspent", "reserved", "stranded", "outstanding"))
    gone = 0
    paid: set[str] = set()
    for index, (plan, op) in enumerate(zip(setting.plans, world.ops, strict=True)):
        if op is None:
            continue
        account = op.account
        if plan.kind == "mint":
            entered += plan.amount if op.state == "issued" else 0
            quote = world.quotes[index]
            ended = op.declared.ends == "unpaid"
            if quote.state == "PAID" and not quote.late and ended and not plan.follows:
                return f"I12: the invoice of {op.id} was paid, and it ended {op.state}"
            continue
        if plan.kind == "swap":
            if op.data.swapped:
                paid |= set(op.input_ids)
                made = sum(part.amount for part in op.data.swapped) + account.change
                if op.total != made + plan.input_fee:
                    return f"I1: {op.id}: {op.total} is not {made} + {plan.input_fee}"
            gone += plan.input_fee if op.data.swapped else account.loss
            continue
        most = plan.owed(op.total)[1]
        if op.state == "contested" and account.payment is not None:
            gone -= account.change  # its sources are not spent yet
            continue
        if account.payment is not None:
            paid |= set(op.input_ids)
            change, fee, loss = account.change, account.payment.lightning_fee, account.loss
            gone += plan.amount + plan.input_fee + loss + (most if fee is None else fee)
            if fee is not None and op.total != plan.amount + fee + plan.input_fee + change + loss:
                return f"I1: {op.id}: {op.total} is not {plan.amount} + {fee} + {plan.input_fee} + {change}"
            if account.sources != op.total + account.kept:
                parts = f"sources {account.sources}, inputs {op.total}, kept {account.kept}"
                return f"I1: {op.id}: {parts}"
        elif op.has_fenced:
            paid |= set(op.input_ids)
            gone += account.fence_fee
        elif op.state == "written_off":
            gone += account.loss
    fenced = frozenset(name for op in world.ops if op is not None for name in op.fenced)
    corrected = sum(
        t.total
        for t in world.tokens
        if t.state == "spent" and not t.holder and t.id not in paid
        if not t.names <= fenced
    )
    if entered != held + gone + corrected:
        return f"I1: {entered} came in; {held} held, {gone} gone, {corrected} corrected"
    return None
