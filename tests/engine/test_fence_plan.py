"""Which part of the inputs is fenced next, from the stored fences alone (R294, R297); how much they store
(R295) and that their bytes are always the same (R296)."""

from __future__ import annotations

import attrs
import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.engine.cashu.input_limits import NO_LIMIT, InputLimits
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.loop.evidence import Selection
from nutstate.engine.operations.melt.actions.choice import Shortfall, choose, request_bytes
from nutstate.engine.operations.melt.fences import (
    alive,
    generations,
    keys_of,
    next_step,
    proofs_in_order,
    stored_bytes,
)
from nutstate.engine.settings import Settings
from nutstate.storage.batch import proof_key
from nutstate.storage.mongo.codec import operation_document
from nutstate.storage.records import Fence, Operation, Output, Proof
from nutstate.storage.secret import Secret
from nutstate.testing import make_operation, make_token
from tests.support.data import data_in, with_fields
from tests.support.wallet import fake_proof

MONGO_BYTES_MAX = 16 * 1024 * 1024


def operation(proofs: list[Proof], *fences: Fence) -> Operation:
    body = bodies.melt_body("quote", proofs, ())
    return with_fields(make_operation("tx plan"), kind="melt", request_body=body, fences=fences)


def proofs_of(number: int) -> list[Proof]:
    return [fake_proof(1 << n % 10, f"plan-{n}") for n in range(number)]


def fence(op: Operation, keys: tuple[str, ...], end: str) -> Fence:
    return Fence(len(data_in(op).fences) + 1, (), 1, keys, end)


def played(
    number: int, bad: set[int], most: int, limit: int, end: str
) -> tuple[Operation, list[str], set[str], int]:
    """A mint that refuses every part with a bad coin and every part of more than ``limit`` inputs: the
    operation at the end, what was stranded, what came back, and how many fences were posted."""
    proofs = proofs_of(number)
    keys = [proof_key(proof.secret) for proof in proofs]
    poison = {keys[n] for n in bad}
    op, left, stranded, back, posted = operation(proofs), list(keys), list[str](), set[str](), 0
    while (step := next_step(op, left, most)) is not None:
        if step.action == "strand":
            stranded += step.keys
        else:
            posted += 1
            assert posted < 4 * number + 8 and 0 < len(step.keys) <= most
            said = "many" if len(step.keys) > limit else end if poison & set(step.keys) else "done"
            op = with_fields(op, fences=(*data_in(op).fences, fence(op, step.keys, said)))
            back |= set(step.keys) if said == "done" else set()
        if step.action == "strand" or said == "done":
            left = [key for key in left if key not in step.keys]
    return op, stranded, back, posted


@given(st.data())
def test_r294_every_bad_coin_is_found_and_no_other(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 40))
    bad = data.draw(st.sets(st.integers(0, number - 1)))
    most, limit = data.draw(st.integers(1, 50)), data.draw(st.integers(1, 50))
    op, stranded, back, _ = played(number, bad, most, limit, "refused")
    keys = [proof_key(proof.secret) for proof in proofs_of(number)]
    assert set(stranded) == {keys[n] for n in bad} and len(stranded) == len(bad)
    assert back == set(keys) - set(stranded)


def test_r294_one_bad_coin_among_a_thousand_costs_few_requests() -> None:
    for bad in (0, 499, 999):
        assert played(1000, {bad}, NO_LIMIT, NO_LIMIT, "refused")[3] <= 22


@given(st.integers(2, 30), st.data())
def test_r297_a_mint_that_signed_something_strands_what_it_only_says_no_to(
    number: int, data: st.DataObject
) -> None:
    bad = data.draw(st.sets(st.integers(0, number - 1), max_size=number - 1))
    _, stranded, back, _ = played(number, bad, NO_LIMIT, NO_LIMIT, "doubted")
    assert (len(stranded), len(back)) == (len(bad), number - len(bad))


def test_r297_a_mint_that_signs_nothing_strands_nothing_that_it_does_not_name() -> None:
    """All coins are refused with no word about them: all together again, never stranded."""
    proofs = proofs_of(4)
    op, left = operation(proofs), [proof_key(proof.secret) for proof in proofs]
    for _ in range(60):
        step = next_step(op, left, NO_LIMIT)
        assert step is not None and step.action == "fence"
        op = with_fields(op, fences=(*data_in(op).fences, fence(op, step.keys, "doubted")))
    assert generations(op, left) > 20, "the bound of generations ends it"


def test_r293_a_fence_is_dead_once_one_of_its_inputs_was_fenced() -> None:
    proofs = proofs_of(4)
    keys = tuple(proof_key(proof.secret) for proof in proofs)
    op = operation(proofs, Fence(1, (), 1, (), "refused"), Fence(2, (), 1, keys[:2], "done"))
    op = with_fields(
        op, fences=(*data_in(op).fences, Fence(3, (), 1, keys[2:3], "refused"), Fence(4, (), 1, keys[2:]))
    )
    assert [f.generation for f in alive(op)] == [4, 3] and keys_of(op, data_in(op).fences[0]) == set(keys)


def test_r290_limits_are_remembered_by_mint_and_forgotten_in_the_end() -> None:
    limits = InputLimits(mints_max=2)
    limits.learn("a", 100)
    limits.learn("a", 400)
    assert limits.of("a") == 50 and limits.of("b") == NO_LIMIT
    limits.learn("a", 1)
    assert limits.of("a") == 1
    limits.learn("b", 10)
    limits.learn("c", 10)
    assert (limits.of("a"), limits.of("b"), limits.of("c")) == (NO_LIMIT, 5, 5)


@pytest.mark.parametrize("length", [64, 1000, 5000])
def test_r295_the_bytes_of_a_request_are_bounded(length: int) -> None:
    """Fewer, larger coins are chosen where many would be too long; one too long by itself never is."""
    secrets = [f"{n:06d}" + "x" * length for n in range(400)]
    coins = tuple(attrs.evolve(fake_proof(1 + n // 200, s), secret=Secret(s)) for n, s in enumerate(secrets))
    token = attrs.evolve(make_token("t", 1), proofs=coins, total_amount=sum(c.amount for c in coins))
    found = choose([token], 300, {coins[0].id: 0}, count_max=1000, bytes_max=600_000)
    if isinstance(found, Selection):
        assert request_bytes(found.proofs) <= 600_000
        assert len(bodies.melt_body("q", found.proofs, ()).reveal()) <= 600_000 + 100
    else:
        assert found.too_many and length == 5000
    short = choose([token], 1, {coins[0].id: 0}, count_max=1000, bytes_max=length)
    assert isinstance(short, Shortfall)


def test_r295_an_operation_with_all_it_may_store_is_far_below_the_limit() -> None:
    settings = Settings()
    output = Output("00" + "ab" * 32, 2**53 - 1, "02" + "cd" * 32, Secret("ef" * 32), Secret("ab" * 32))
    keys = tuple(f"{n:064x}" for n in range(500))
    made: tuple[Fence, ...] = ()
    while stored_bytes((*made, Fence(1, (output,) * 53, 1, keys))) <= settings.fence_bytes_max:
        made = (*made, Fence(len(made) + 1, (output,) * 53, 1, keys, "refused", 3, 2**52, 2**52))
    body = Secret("x" * (settings.request_bytes_max + 100_000))
    op = with_fields(make_operation("tx big"), kind="melt", fences=made, request_body=body)
    size = len(bson.encode(operation_document(op)))
    assert len(bson.encode({"fences": operation_document(op)["data"]["fences"]})) <= settings.fence_bytes_max
    assert size < MONGO_BYTES_MAX / 2


def test_r296_a_fence_is_built_the_same_whatever_the_tokens_look_like() -> None:
    proofs = proofs_of(6)
    keys = tuple(proof_key(proof.secret) for proof in proofs)
    op = operation(proofs)
    for made in (Fence(1, (), 1), Fence(1, (), 1, (keys[4], keys[1]))):
        one = bodies.swap_body(proofs_in_order(op, made, proofs), ())
        other = bodies.swap_body(proofs_in_order(op, made, proofs[::-1]), ())
        assert one == other
    with pytest.raises(KeyError):
        proofs_in_order(op, Fence(1, (), 1), proofs[1:])
