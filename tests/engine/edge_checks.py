"""What must hold around one decision: what an accepted edge wrote, and that nothing else did anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from nutstate.machines.spec import Decision, Guard, Machine, Transition
from nutstate.machines.step import step
from nutstate.review.kit import switched
from nutstate.storage.records import Operation
from tests.support.everything import Everything

FOLLOWS = frozenset(
    {"state", "prev_state", "version", "updated_at", "audit_seq", "audit_hash", "finished_at", "lease"}
    | {"next_check_at", "timings", "kind_of_state", "ends"}
)
"""Fields of an operation that every transition may change: they follow from it."""

_RECORDED = frozenset(
    {"amount", "payment", "proven_by", "recorded_hash", "input_fee", "payment_hash", "request", "reason"}
    | {"keep_token_id", "keep_total", "change_token_id", "change_amount", "inputs", "sources_total"}
)

WRITES: dict[str, frozenset[str]] = {
    "store_quote": frozenset({"quote", "fee_reserve"}),
    "record_reason": frozenset({"reason"}),
    "take_claim": frozenset({"claim", "quote_let_go"}),
    "drop_claim": frozenset({"claim", "quote_let_go"}),
    "split_off_keep": frozenset({"keep_token_id", "keep_total"}),
    "reserve_inputs": frozenset({"inputs", "input_fee", "sources_total"}),
    "release_inputs": frozenset(),
    "write_blanks": frozenset({"blanks"}),
    "write_request": frozenset({"request_body"}),
    "adopt_split": frozenset({"inputs", "input_fee", "sources_total"}),
    "stamp_sent": frozenset({"sent_at", "sent_by", "attempts"}),
    "spend_inputs": frozenset(),
    "free_untouched": frozenset(),
    "store_payment": frozenset({"payment", "proven_by", "reason"}),
    "store_change": frozenset({"change_token_id", "change_amount", "payment", "surplus"}),
    "stamp_refusal": frozenset({"refused_for", "held_unspent_since"}),
    "restart_patience": frozenset({"resumed_at"}),
    "write_fence": frozenset({"fences"}),
    "store_fenced": frozenset({"fenced_token_id", "fences", "fence_fee"}),
    "end_fence": frozenset({"fences"}),
    "note_refusal": frozenset({"fences"}),
    "spend_part": frozenset({"inputs"}),
    "strand_part": frozenset({"inputs", "stranded"}),
    "stamp_empty": frozenset({"change_empty_since"}),
    "stamp_watch": frozenset({"watch_since"}),
    "stamp_unspent": frozenset({"held_unspent_since"}),
    "forget_unspent": frozenset({"held_unspent_since"}),
    "reset_tries": frozenset({"attempts"}),
    "stamp_paid": frozenset({"paid_seen_at"}),
    "count_watch": frozenset({"watched_ms", "watch_since"}),
    "count_refusal": frozenset({"refusals"}),
    "record_loss": frozenset({"loss"}),
    "alarm": frozenset(),
    "record_melt": _RECORDED,
    "park_record": _RECORDED | {"contested", "request_body", "claim"},
    "spend_contested": frozenset({"inputs", "contested"}),
    "correct_spent": frozenset({"inputs", "stranded"}),
    "free_stranded": frozenset(),
    "strand_inputs": frozenset({"inputs", "stranded"}),
    "store_late_change": frozenset({"change_token_id", "change_amount"}),
    "drop_stranded": frozenset(),
    "expect_token": frozenset(),
    "fail_token": frozenset(),
    "write_outputs": frozenset({"fences", "blanks", "request_body", "refusals"}),
    "issue_token": frozenset({"reason"}),
    "store_deposit": frozenset(),
    "write_swap": frozenset({"blanks", "request_body"}),
    "store_swapped": frozenset({"swapped", "change_token_id", "change_amount", "reason"}),
    "claim_token": frozenset({"claim"}),
    "let_token_go": frozenset({"claim"}),
    "write_receive": frozenset({"blanks", "request_body"}),
    "store_received": frozenset({"received", "reason"}),
    "note_clear_refusal": frozenset({"refused_for", "held_unspent_since"}),
}
"""Per effect: the fields of the operation, or of its data, that it may change. A new effect is added here."""

TOUCHES_TOKENS = frozenset(
    {"split_off_keep", "reserve_inputs", "release_inputs", "adopt_split", "spend_inputs", "free_untouched"}
    | {"store_change", "store_fenced", "record_melt", "park_record", "spend_contested", "correct_spent"}
    | {"free_stranded", "drop_stranded", "spend_part", "strand_part", "strand_inputs", "store_late_change"}
    | {"expect_token", "fail_token", "issue_token", "store_deposit", "store_swapped", "store_received"}
)
"""Effects that may change token documents. Without one of them an edge changes none."""


def check_written(edge: Transition[Any], op: Operation, before: Everything, after: Everything) -> None:
    """What the commit of ``edge`` changed in the store is this edge and its effects, and nothing else."""
    old, new = before.operations.get(op.id), after.operations[op.id]
    assert (new.state, new.version) == (edge.dest, (old.version if old else 0) + 1)
    own = [record for name, record in after.audit.items() if name not in before.audit]
    assert all(after.audit[name] == record for name, record in before.audit.items()), "a record was changed"
    ours = [record for record in own if record.entity == f"operation:{op.id}"]
    assert [(r.transition, r.from_state, r.to_state, r.version) for r in ours] == [
        (edge.id, edge.source, edge.dest, new.version)
    ], "exactly one record of this transition"
    assert len({record.batch_id for record in own}) == 1, "one commit"
    assert [r.operation_id for r in own] == [op.id] * len(own)

    others = {name: o for name, o in after.operations.items() if name != op.id}
    assert others == {name: o for name, o in before.operations.items() if name != op.id}, "another operation"
    _check_tokens(edge, op, before, after, Counter(r.entity for r in own if r is not ours[0]))
    if old is not None:
        common = [f.name for f in attrs.fields(Operation) if f.name != "data"]
        changed = {name for name in common if getattr(old, name) != getattr(new, name)}
        own_names = old.data.keys() | new.data.keys()
        changed |= {name for name in own_names if old.data.get(name) != new.data.get(name)}
        allowed = FOLLOWS.union(*(WRITES[effect] for effect in edge.effects))
        assert changed <= allowed, (
            f"{edge.id} changed {sorted(changed - allowed)}, which no effect of it names"
        )


def _check_tokens(
    edge: Transition[Any], op: Operation, before: Everything, after: Everything, records: Counter[str]
) -> None:
    """Each new version of a token has one new record, and a token without one is as it was."""
    assert before.tokens.keys() <= after.tokens.keys(), "a token vanished"
    expected: Counter[str] = Counter()
    for name, token in after.tokens.items():
        old = before.tokens.get(name)
        gained = token.version - (old.version if old else 0)
        assert gained > 0 or token == old, f"{name} changed without a version"
        if gained:
            expected[f"token:{name}"] = gained
    assert records == expected, "each version of a token has one record in this commit"
    if TOUCHES_TOKENS.isdisjoint(edge.effects):
        assert not expected, f"{edge.id} changed {sorted(expected)} without an effect that does"
        assert before.balances == {npub: after.balances[npub] for npub in before.balances}
        assert before.owners == after.owners


@contextmanager
def _restored(answers: dict[str, bool]) -> Iterator[dict[str, bool]]:
    try:
        yield answers
    finally:
        answers.clear()


class Forced:
    """A machine as declared, except that the answer of single guards can be turned round for a while. Its
    content hash is the same, for predicates are no part of it."""

    def __init__(self, spec: Machine[Any]) -> None:
        self._turned: dict[str, bool] = {}
        self._switched = switched(spec)
        self.spec = spec
        self.machine: Machine[Any] = attrs.evolve(
            spec,
            transitions=tuple(
                attrs.evolve(
                    edge,
                    requires=tuple(map(self._turnable, edge.requires)),
                    forbids=tuple(map(self._turnable, edge.forbids)),
                )
                for edge in spec.transitions
            ),
        )

    def _turnable(self, guard: Guard[Any]) -> Guard[Any]:
        turned, real = self._turned, guard.predicate

        def predicate(facts: Any) -> bool:
            return turned[guard.name] if guard.name in turned else real(facts)

        return attrs.evolve(guard, predicate=predicate)

    @contextmanager
    def failing(self, edge: Transition[Any], guard: Guard[Any]) -> Iterator[None]:
        """This guard alone says what the edge does not want to hear."""
        with _restored(self._turned) as turned:
            turned[guard.name] = guard not in edge.requires
            yield

    def expected(self, edge: Transition[Any], facts: Any) -> Decision:
        """What the machine must answer in the edge's cell, from the answers of the guards alone."""
        asked = [g for t in self.machine.cells[edge.source, edge.event] for g in (*t.requires, *t.forbids)]
        answers = {guard.name: guard.holds(facts) for guard in asked}
        return step(self._switched, edge.source, edge.event, answers)


def guards_of(edge: Transition[Any]) -> tuple[Guard[Any], ...]:
    """Every guard the edge asks."""
    return (*edge.requires, *edge.forbids)
