"""What each effect of the tables means in the model: as in the engine, less what no invariant asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...machines.spec import Decision
from .facts import Evidence, sources_of
from .scene import Decider, Scene
from .world import Coin, World

Effect = Callable[[Scene], None]


def commit(decider: Decider, world: World, index: int, decision: Decision, seen: Evidence) -> World:
    """The world after an accepted decision and all its effects, in one step. :class:`~.scene.Refused` when a
    token's machine says no; KeyError for an effect the model does not know."""
    scene = Scene(decider, world, index, decision, seen)
    # whoever still waits for an answer meanwhile has lost the race, and the answer with it
    scene.set(state=decision.next_state, seen=(), waiting="")
    for name in decision.effects:
        EFFECTS[name](scene)
    if decision.event == "too_old" and scene.op.payment:
        scene.set(aged=True)
    left = decider.setting.tables.of(scene.plan.kind).state(decision.state)
    if left.write_ahead and decision.event != "recover" and decider.setting.restarts:
        # what was sent is answered, or may still arrive: the settle window counts from here
        scene.begin("settle", *_patience(scene))
    return scene.world


def _patience(scene: Scene) -> tuple[str, ...]:
    """A payment's patience begins anew with what is sent; that of an issue counts from the first PAID."""
    return ("age",) if scene.plan.kind == "melt" else ()


def _nothing(scene: Scene) -> None:
    """No invariant asks about it."""


def _store_quote(scene: Scene) -> None:
    scene.set(quote=True)


def _take_claim(scene: Scene) -> None:
    scene.set(claim=True)


def _drop_claim(scene: Scene) -> None:
    scene.set(claim=False)


def _split_off_keep(scene: Scene) -> None:
    kept: list[Coin] = []
    for token in sources_of(scene.world, scene.seen.chosen):
        rest = tuple(name for name, _ in token.coins if name not in scene.seen.chosen)
        if rest:
            kept += scene.split(token.id, rest)
    if kept:
        scene.create("deposit", f"{scene.plan.name}_keep", "change", tuple(kept))
        scene.set(keep=sum(amount for _, amount in kept))


def _reserve_inputs(scene: Scene) -> None:
    tokens = sources_of(scene.world, scene.seen.chosen)
    for token in tokens:
        scene.change_token(token.id, "reserve")
    total = sum(token.total for token in tokens)
    scene.set(
        inputs=tuple(token.id for token in tokens),
        total=total,
        sources=total + scene.op.keep,
    )


def _release_inputs(scene: Scene) -> None:
    why = {"release": "trusted", "refusal_stands": "refused"}.get(scene.decision.event, "nothing_sent")
    for token_id in scene.op.inputs:
        if scene.world.token(token_id).state == "reserved":
            scene.change_token(token_id, "release", release=why)
    scene.set(trusted=scene.op.trusted or why in ("trusted", "refused"))


def _write_blanks(scene: Scene) -> None:
    scene.set(blanks=True)


def _write_request(scene: Scene) -> None:
    scene.set(request=tuple(sorted(scene.seen.chosen)))


def _stamp_sent(scene: Scene) -> None:
    scene.set(sent=True, tries=min(scene.op.tries + 1, scene.decider.setting.retries_max + 1))
    scene.begin("settle", *_patience(scene))


def _spend_inputs(scene: Scene) -> None:
    if scene.decision.event in ("fence_done", "fence_found"):
        proof = "swapped"
    elif scene.decision.event == "write_off" and scene.decision.next_state == "written_off":
        proof = "written_off"
    else:
        proof = "paid"
    for token_id in scene.op.inputs:
        token = scene.world.token(token_id)
        if token.state == "reserved" and token.holder == scene.plan.name:
            scene.change_token(token_id, "spend", consumption=proof)


def _free_untouched(scene: Scene) -> None:
    states = dict(scene.seen.states or ())
    if scene.seen.quote != "UNPAID" or "SPENT" not in states.values():
        return
    for n, token_id in enumerate(scene.op.inputs, 1):
        token = scene.world.token(token_id)
        free = tuple(name for name, _ in token.coins if states.get(name) == "UNSPENT")
        if token.state != "reserved" or not free:
            continue
        if len(free) == len(token.coins):
            scene.change_token(token_id, "release", release="request_dead")
        else:
            moved = scene.split(token_id, free)
            scene.create("deposit", f"{scene.plan.name}_split{n}", token.type, moved)


def _store_payment(scene: Scene) -> None:
    if not scene.op.payment:
        scene.set(payment=True)
        scene.begin("change", "age")


def _write_fence(scene: Scene) -> None:
    op = scene.op
    fences = (*op.fences, scene.world.epoch)
    scene.set(fences=fences, parts=(*op.parts, scene.seen.part), ends=(*op.ends, ""))


def _store_fenced(scene: Scene) -> None:
    number, op = scene.seen.fence, scene.op
    name = f"{scene.plan.name}.fence{number}"
    worth = sum(scene.world.signed(coin) for coin in scene.seen.part) - scene.plan.input_fee
    scene.create("deposit", f"{scene.plan.name}_fenced{number}", "change", ((name, worth),))
    scene.set(fenced=True, ends=(*op.ends[: number - 1], "done", *op.ends[number:]))


def _end_fence(scene: Scene) -> None:
    scene.set(ends=(*scene.op.ends[:-1], "refused"))


def _spend_part(scene: Scene) -> None:
    left, part = _set_apart(scene, scene.seen.part, f"part{scene.seen.fence}")
    for token_id in part:
        scene.change_token(token_id, "spend", consumption="swapped")
    scene.set(inputs=(*left, *part))


def _strand_part(scene: Scene) -> None:
    op, gone = scene.op, scene.seen.strand
    left, part = _set_apart(scene, gone, f"stranded{len(op.stranded) + 1}")
    for token_id in part:
        scene.change_token(token_id, "strand", mint_refuses=True)
    worth = sum(scene.world.signed(name) for name in gone)
    scene.set(inputs=left, stranded=tuple(sorted((*op.stranded, *gone))), total=op.total - worth)


def _set_apart(scene: Scene, names: tuple[str, ...], word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs with none of these coins, and inputs with nothing else."""
    left, part = list[str](), list[str]()
    moved: tuple[Coin, ...] = ()
    for token_id in scene.op.inputs:
        token = scene.world.token(token_id)
        gone = tuple(name for name, _ in token.coins if name in names)
        if not gone or token.state != "reserved":
            left.append(token_id)
        elif len(gone) == len(token.coins):
            part.append(token_id)
        else:
            moved += scene.split(token_id, gone)
            left.append(token_id)
    if moved:
        name = scene.fresh(f"{scene.plan.name}_{word}")
        scene.create("deposit_reserved", name, "change", moved, holder=scene.plan.name)
        part.append(name)
    return tuple(left), tuple(part)


def _store_change(scene: Scene) -> None:
    got = max(0, scene.seen.change)
    if got:
        coins = ((f"{scene.plan.name}.change", got),)
        scene.create("deposit", f"{scene.plan.name}_change", "change", coins)
        scene.set(change=got)
    if scene.op.payment:
        scene.set(fee=scene.plan.owed(scene.op.total)[1] - got)


def _record_loss(scene: Scene) -> None:
    plan, op = scene.plan, scene.op
    scene.set(given_up=True)
    if plan.kind == "mint":
        scene.set(loss=plan.amount if op.paid else 0)
    elif not op.payment:
        tokens = [scene.world.token(token_id) for token_id in op.inputs]
        given_up = [token for token in tokens if not {name for name, _ in token.coins} <= op.fenced_coins]
        scene.set(loss=sum(token.total for token in given_up if token.state == "spent"))
    else:
        least, most = plan.owed(op.total)
        missing = max(0, least - max(0, op.change))
        scene.set(loss=missing, fee=most - max(0, op.change) - missing)


def _correct_spent(scene: Scene) -> None:
    if scene.seen.fence:
        gone = frozenset(scene.seen.part)
    elif scene.decision.state in ("watching", "stuck"):
        gone, inputs = frozenset(scene.op.request), scene.op.inputs
        stranded = scene.op.stranded
        held = tuple(t.id for t in sources_of(scene.world, stranded) if t.id not in inputs)
        worth = sum(scene.world.signed(name) for name in stranded)
        scene.set(inputs=(*inputs, *held), total=scene.op.total + worth, stranded=())
    else:
        gone = frozenset(name for name, state in scene.seen.states or () if state == "SPENT")
    for n, token in enumerate(sources_of(scene.world, tuple(gone)), 1):
        names = tuple(name for name, _ in token.coins if name in gone)
        if token.state not in ("unspent", "stranded"):
            continue
        if len(names) < len(token.coins):
            moved = scene.split(token.id, names)
            name = scene.fresh(f"{scene.plan.name}_split{n}")
            scene.create("deposit", name, token.type, moved)
            token = scene.world.token(name)
        scene.change_token(token.id, "correct_spent", mint_spent_count=len(names))


def _stamp_empty(scene: Scene) -> None:
    scene.set(empty=True)
    scene.begin("empty")


def _stamp_watch(scene: Scene) -> None:
    scene.set(watch=True)
    scene.begin("watch", "age")


def _stamp_refusal(scene: Scene) -> None:
    scene.set(refused=True, confirmed_unspent=False)


def _stamp_unspent(scene: Scene) -> None:
    scene.set(confirmed_unspent=True)
    scene.begin("refusal")


def _forget_unspent(scene: Scene) -> None:
    scene.set(confirmed_unspent=False)


def _restart_patience(scene: Scene) -> None:
    scene.begin("age", "change")


def _expect_token(scene: Scene) -> None:
    scene.create("expect", f"{scene.plan.name}_minted", "minted", (), holder=scene.plan.name)


def _fail_token(scene: Scene) -> None:
    scene.change_token(f"{scene.plan.name}_minted", "fail", mint_cannot_issue=True)


def _write_outputs(scene: Scene) -> None:
    scene.set(outputs=(*scene.op.outputs, scene.world.epoch), declined=False)


def _stamp_paid(scene: Scene) -> None:
    if not scene.op.paid:
        scene.set(paid=True, watch=False)
        scene.begin("age", "quote", "watch")  # of these nothing asks any more


def _count_watch(scene: Scene) -> None:
    scene.set(watch=True)


def _count_refusal(scene: Scene) -> None:
    scene.set(declined=scene.decider.setting.outputs_max > 1)


def _issue_token(scene: Scene) -> None:
    names = [f"{scene.plan.name}.mint{n}" for n in range(1, len(scene.op.outputs) + 1)]
    signed = [(name, scene.world.signed(name)) for name in names if scene.world.signed(name)]
    scene.fill(f"{scene.plan.name}_minted", tuple(signed))


def _reset_tries(scene: Scene) -> None:
    scene.set(tries=0)


EFFECTS: Mapping[str, Effect] = {
    "store_quote": _store_quote, "record_reason": _nothing, "alarm": _nothing, "take_claim": _take_claim,
    "drop_claim": _drop_claim, "split_off_keep": _split_off_keep, "reserve_inputs": _reserve_inputs,
    "release_inputs": _release_inputs, "write_blanks": _write_blanks, "write_request": _write_request,
    "stamp_sent": _stamp_sent, "spend_inputs": _spend_inputs, "free_untouched": _free_untouched,
    "store_payment": _store_payment, "write_fence": _write_fence, "store_fenced": _store_fenced,
    "store_change": _store_change, "record_loss": _record_loss, "correct_spent": _correct_spent,
    "stamp_empty": _stamp_empty, "stamp_watch": _stamp_watch, "expect_token": _expect_token,
    "fail_token": _fail_token, "end_fence": _end_fence, "spend_part": _spend_part,
    "strand_part": _strand_part,
    "stamp_paid": _stamp_paid, "count_watch": _count_watch, "count_refusal": _count_refusal,
    "write_outputs": _write_outputs, "issue_token": _issue_token, "reset_tries": _reset_tries,
    "stamp_refusal": _stamp_refusal, "stamp_unspent": _stamp_unspent, "forget_unspent": _forget_unspent,
    "restart_patience": _restart_patience,
}  # fmt: skip
"""Effects the model can perform; an edge with another one cannot be explored."""

APART = frozenset(
    {"adopt_split", "note_refusal", "free_stranded", "drop_stranded", "strand_inputs", "store_late_change"}
)
"""Effects of edges that no move of the model takes: child swaps, and effects of checks."""
