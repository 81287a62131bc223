"""Which refusals may be the fault of one coin, and which say that there are too many (R287)."""

from __future__ import annotations

import pytest

from nutstate.engine.cashu.answers import blames_inputs, too_many_inputs
from nutstate.engine.cashu.wire.classify import classify_error

BLAMES: list[tuple[int, object]] = [
    (400, {"code": 10001, "detail": "proof invalid"}),
    (400, {"code": 11003, "detail": "secret too long. max: 1024"}),
    (400, {"code": 11000, "detail": "secret too long"}),
    (400, {"code": 12001, "detail": "keyset not known"}),
    (400, {"code": 12002, "detail": "keyset inactive"}),
    (400, {"code": 0, "detail": "no"}),
    (400, {"detail": "no"}),
    (422, {"detail": [{"loc": ["body", "inputs", 3, "secret"], "type": "string_too_long"}]}),
]
OTHERS: list[tuple[int, object]] = [
    (400, {"code": code, "detail": "no"})
    for code in (11001, 11002, 11004, 11005, 11006, 11015, 20001, 20004, 20007, 30001)
]
OTHERS += [(404, {"detail": "Not Found"}), (401, {"detail": "who are you"}), (403, {})]
MANY: list[tuple[int, object]] = [
    (400, {"code": 11014, "detail": "max inputs exceeded"}),
    (413, {"detail": "too large"}),
    (413, None),
    (422, {"detail": [{"loc": ["body", "inputs"], "type": "too_long"}]}),
]
NOISE: list[tuple[int, object]] = [
    (500, {"code": 10001}),
    (502, None),
    (429, {"detail": "slow down"}),
    (503, {"detail": "inputs too many"}),
]


@pytest.mark.parametrize(("status", "payload"), BLAMES)
def test_r287_a_refusal_that_may_be_one_coins_fault(status: int, payload: object) -> None:
    answer = classify_error(status, payload)
    assert blames_inputs(answer) and not too_many_inputs(answer)
    assert answer.status == status


@pytest.mark.parametrize(("status", "payload"), OTHERS + NOISE)
def test_r287_a_refusal_that_is_not(status: int, payload: object) -> None:
    answer = classify_error(status, payload)
    assert not blames_inputs(answer) and not too_many_inputs(answer)


@pytest.mark.parametrize(("status", "payload"), MANY)
def test_r287_a_refusal_of_their_number(status: int, payload: object) -> None:
    answer = classify_error(status, payload)
    assert too_many_inputs(answer) and not blames_inputs(answer)
