"""The port's types: both adapters fit it, failures narrow, nothing secret is shown."""

from __future__ import annotations

import pytest

from nutstate.engine.cashu.port import (
    Ambiguous,
    Answer,
    BlindSignature,
    Failure,
    MeltQuote,
    MintPort,
    MintQuote,
    Refused,
    Unreachable,
    is_value,
)
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.records import Dleq
from nutstate.storage.secret import Secret


def test_both_adapters_are_ports() -> None:
    with HttpMint() as http, SimulatedMint() as simulated:
        ports: list[MintPort] = [http, simulated]
        assert all(isinstance(port.info("http://127.0.0.1:1"), Unreachable) for port in ports)


@pytest.mark.parametrize("failure", [Refused(1, "", False), Unreachable(""), Ambiguous("")])
def test_failures_are_no_values(failure: Answer[int]) -> None:
    assert not is_value(failure)
    assert isinstance(failure, Failure)


def test_everything_else_is_a_value() -> None:
    answers: list[Answer[int]] = [0, 7]
    for answer in answers:
        assert is_value(answer)
        narrowed: int = answer
        assert narrowed == answer


def test_nothing_secret_is_shown() -> None:
    secret = Secret("marker")
    shown = [
        MeltQuote("id", 1, 0, "PAID", request=secret, preimage=secret),
        MintQuote("marker", secret, "PAID"),
        BlindSignature("id", 1, "marker", Dleq("marker", "marker")),
    ]
    assert "marker" not in repr(shown) + str(shown)
