"""Which answers prove something, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nutstate.engine.cashu.port import Ambiguous, Refused
from nutstate.engine.cashu.wire.classify import (
    DEFINITIVE,
    DETAIL_CHARS_MAX,
    classify_error,
    is_definitive,
    safe_detail,
)
from tests.support.cases import every

PROOF = [10001, *range(11005, 11016), 12001, 12002, 12003, *range(30001, 31005)]
NO_PROOF = [0, 10000, 11000, 11001, 11002, 11003, 11004, 11016, 11017, 12000, 12004, 20000, 20001, 20002]
NO_PROOF += [20003, 20004, 20005, 20006, 20008, 20009, 31005, 40001, 80001, 10**9, 2**53 - 1]


@every("code", PROOF)
def test_codes_that_prove_nothing_was_executed(code: int) -> None:
    assert classify_error(400, {"code": code, "detail": "no"}) == Refused(code, "no", True)


@every("code", NO_PROOF)
def test_codes_that_prove_nothing(code: int) -> None:
    assert classify_error(400, {"code": code, "detail": "no"}) == Refused(code, "no", False)


@pytest.mark.parametrize("code", [-1, 2**53, 2**64, 10**400, 1.0, True, "11005", None, [11005]], ids=range(9))
def test_what_is_no_code_is_none(code: object) -> None:
    """R195: a number that no store keeps exactly, and what is no number."""
    assert classify_error(400, {"code": code, "detail": "no"}) == Refused(None, "no", False)


@given(st.integers())
def test_every_other_code_proves_nothing(code: int) -> None:
    assert is_definitive(code) == (code in PROOF) == (code in DEFINITIVE)


def test_an_expired_quote_is_a_proof_only_if_nothing_was_sent() -> None:
    assert not is_definitive(20007)
    assert is_definitive(20007, nothing_sent=True)
    assert not is_definitive(20006, nothing_sent=True)
    assert not is_definitive(None, nothing_sent=True)


@every("status", [300, 302, 304, 308, 408, 429, 500, 502, 503, 504, 520, 599, 100, 199])
@every("payload", [None, {}, {"code": 10001, "detail": "no"}, [], "text"])
def test_statuses_that_prove_nothing_whatever_they_say(status: int, payload: object) -> None:
    answer = classify_error(status, payload)
    assert isinstance(answer, Ambiguous)
    assert str(status) in answer.detail


@every("status", [400, 401, 403, 404, 405, 409, 422, 451])
@every("payload", [None, [], "<html>", 7, True])
def test_a_refusal_without_a_json_object_may_be_anybodys(status: int, payload: object) -> None:
    assert isinstance(classify_error(status, payload), Ambiguous)


@pytest.mark.parametrize("code", ["10001", 10001.0, True, None, [10001], {}])
def test_codes_of_another_type_are_no_codes(code: object) -> None:
    assert classify_error(400, {"code": code, "detail": "no"}) == Refused(None, "no", False)


def test_validation_errors_do_not_repeat_the_request() -> None:
    detail = [
        {"type": "missing", "loc": ["body", "inputs"], "msg": "m", "input": {"secret": "marker"}},
        "marker",
        {"type": "string_type", "loc": "marker?", "input": "marker"},
    ]
    answer = classify_error(422, {"detail": detail})
    assert isinstance(answer, Refused)
    assert (answer.code, answer.definitive) == (None, False)
    assert answer.detail == "body.inputs: missing; invalid request; request: string_type"


@pytest.mark.parametrize("secret", ["ab" * 32, "cashuB" + "x" * 60, "lnbc1" + "q" * 200, "a-b_c+d/e=" * 4])
def test_details_show_nothing_long_enough_to_be_a_secret(secret: str) -> None:
    for text in (secret, f"bad: {secret}!", f"first line {secret}\nparameters: {secret}"):
        shown = safe_detail(text)
        assert secret not in shown and "parameters" not in shown
    assert classify_error(400, {"code": 0, "detail": f"x {secret}"}).detail == "x …"


@given(st.text())
def test_details_are_bounded_and_printable(text: str) -> None:
    shown = safe_detail(text)
    assert len(shown) <= DETAIL_CHARS_MAX
    assert shown.isprintable()


def test_missing_details_are_filled_by_the_status() -> None:
    assert classify_error(404, {}) == Refused(None, "HTTP 404", False)
    assert classify_error(400, {"detail": 7}) == Refused(None, "HTTP 400", False)
    assert classify_error(503, {"detail": "later", "code": 7}) == Ambiguous("HTTP 503: later", 7)
