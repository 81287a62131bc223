"""A refused argument is named as the caller knows it, with the number that was wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nutstate import Engine, InvalidArgument, Refused, Store
from tests.support.cases import every
from tests.support.wallet import NPUB, funded, invoice

WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "0": ({"amount": 0}, r"^amount must be a whole number from 1 to \d+, not 0$"),
    "a negative number": ({"amount": -7}, ", not -7$"),
    "far too much": ({"amount": 2**80}, f", not {2**80}$"),
    "a number too long to read": ({"amount": 10**31}, r" to \d+$"),
    "a bool": ({"amount": True}, r" to \d+$"),
    "a text, which may be a secret": ({"amount": "nsec1hunter2"}, r" to \d+$"),
    "one of several": ({"into": [4, 0]}, "^each amount of into must .*, not 0$"),
    "together too much": ({"into": [2**52, 2**52]}, f"^the sum of into must .*, not {2**53}$"),
    "no list": ({"into": 4}, "^into must be a list of 1 to 100 amounts$"),
    "no tokens": ({"tokens": []}, r"^tokens must be a list of 1 to \d+ distinct token ids$"),
    "a token twice": ({"tokens": ["a", "a"]}, "^tokens must be"),
    "two ways": ({"amount": 5, "into": [5]}, "^amount and into exclude each other: give one of them$"),
    "an amount for a purpose": ({"amount": 5, "purpose": "rotate"}, "^amount and purpose exclude"),
    "tokens for a purpose": ({"purpose": "rotate", "tokens": ["a"]}, "^purpose and tokens exclude"),
    "no way": ({}, "^a swap needs amount, into, purpose or tokens$"),
}


@pytest.fixture
def engine(store: Store) -> Engine:
    return funded(store)[0]


@every("case", WORDS)
def test_a_refused_argument_is_named_with_its_number(engine: Engine, case: str) -> None:
    """R436"""
    said, words = WORDS[case]
    with pytest.raises(InvalidArgument, match=words):
        engine.swap(npub=NPUB, mint_url="https://mint.simulated", **said)


def test_a_spent_token_is_not_worth_another_try(store: Store) -> None:
    """R437: it never becomes free, so the error says spent, names the spender, and is not retryable."""
    engine, mint, clock = funded(store)
    whose: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url}
    (made,) = engine.swap(amount=100, **whose).tokens
    spender = engine.swap(tokens=[made], **whose)
    calls: tuple[Callable[[], object], ...] = (
        lambda: engine.swap(tokens=[made], **whose),
        lambda: engine.hold([made], 60, **whose),
        lambda: engine.melt(invoice=invoice(5, clock), sources=[made], **whose),
    )
    for call in calls:
        with pytest.raises(Refused, match="spent already") as refused:
            call()
        assert refused.value.code == "CONCURRENT_OPERATION" and not refused.value.retryable
        assert refused.value.details == {"tokens": [made], "operations": [spender.id]}
