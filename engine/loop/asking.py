"""The mint port as the engine asks it: every behaviour of a port is an answer, and every answer can be
stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs
from attrs import frozen

from ...machines.money import is_amount
from ...storage.records import Dleq
from ...storage.secret import Secret
from ..cashu.port import (
    UNKNOWN,
    Ambiguous,
    BlindedMessage,
    BlindSignature,
    Failure,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintPort,
    MintQuote,
    Noted,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from ..cashu.wire.classify import safe_detail
from ..remembered import Remembered
from .log import Log

ANSWERS: Mapping[str, Any] = {
    "info": MintInfo,
    "keysets": tuple[KeysetInfo, ...],
    "keys": Keyset,
    "melt_quote": MeltQuote,
    "melt_quote_state": MeltQuote,
    "melt": MeltQuote,
    "check_states": tuple[ProofState, ...],
    "swap": tuple[BlindSignature, ...],
    "restore": Restored,
    "mint_quote": MintQuote,
    "mint_quote_state": MintQuote,
    "mint": tuple[BlindSignature, ...],
}
"""The type of the answer of each call of the port, when it is no failure."""
TEXT_CHARS_MAX = 20_000
MINTS_COUNTED_MAX = 1_000
_MELT_STATES = ("UNPAID", "PENDING", "PAID", UNKNOWN)
_MINT_STATES = ("UNPAID", "PAID", "ISSUED", UNKNOWN)
_PROOF_STATES = ("UNSPENT", "PENDING", "SPENT")

for _answer in (
    *(MintInfo, KeysetInfo, Keyset, MeltQuote, MintQuote, ProofState, Restored, BlindedMessage),
    *(BlindSignature, Dleq, Refused, Unreachable, Ambiguous),
):
    attrs.resolve_types(_answer)


@frozen
class Heard:
    """How often a mint was asked, and how often anything came back from it."""

    asked: int = 0
    answered: int = 0


class Asking:
    """A mint port around another one. A call that raises, or answers with what the port does not promise or
    no store could keep, is Ambiguous; that is noted in the log, as is what an answer set aside."""

    def __init__(self, mint: MintPort, log: Log) -> None:
        self._mint, self._log = mint, log
        self._lock = threading.Lock()
        self._heard: Remembered[str, Heard] = Remembered(MINTS_COUNTED_MAX)

    def heard(self, mint_url: str) -> Heard:
        """The counts of this mint."""
        with self._lock:
            return self._heard.get(mint_url) or Heard()

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._mint, name)
        if name not in ANSWERS:
            return there

        def call(mint_url: str, *args: Any, **named: Any) -> Any:
            try:
                given = there(mint_url, *args, **named)
                answer = checked(name, given)
            except Exception as error:  # noqa: BLE001 - whatever a port raises proves nothing
                self._log.note("mint_port_failed", call=name, error=type(error).__name__)
                answer = given = Ambiguous(f"the mint port raised {type(error).__name__}")
            if answer is not given and isinstance(answer, Ambiguous):
                self._log.note("mint_answer_unusable", call=name, answer=type(given).__name__)
            notes = getattr(answer, "notes", ())
            if notes:
                self._log.note("mint_answer_odd", call=name, notes="; ".join(notes))
            self._count(mint_url, answer)
            return answer

        return call

    def _count(self, mint_url: str, answer: object) -> None:
        silent = isinstance(answer, Unreachable) or (
            isinstance(answer, Ambiguous)
            and (answer.code, answer.status) == (None, None)
            and not answer.unreadable
        )
        with self._lock:
            before = self._heard.get(mint_url) or Heard()
            self._heard.put(mint_url, Heard(before.asked + 1, before.answered + (not silent)))


def checked(call: str, answer: Any) -> Any:
    """The answer, if it is one; states that no NUT knows are made UNKNOWN, those of proofs PENDING."""
    if isinstance(answer, Failure):
        return answer if _fits(answer, type(answer)) else Ambiguous("the answer cannot be stored")
    if not _fits(answer, ANSWERS[call]):
        return Ambiguous("the answer is not what the port promises", unreadable=True)
    if isinstance(answer, MeltQuote) and answer.state not in _MELT_STATES:
        return attrs.evolve(answer, state=UNKNOWN, said=safe_detail(answer.state)[:40])
    if isinstance(answer, MintQuote) and answer.state not in _MINT_STATES:
        return attrs.evolve(answer, state=UNKNOWN, said=safe_detail(answer.state)[:40])
    if call == "check_states" and any(state.state not in _PROOF_STATES for state in answer):
        known = (s if s.state in _PROOF_STATES else ProofState(s.Y, "PENDING") for s in answer)
        return Noted(known, (*getattr(answer, "notes", ()), "the mint names an unknown state of a proof"))
    return answer


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type, and could be stored wherever it may end up."""
    return _test_of(hint)(value)


@cache
def _test_of(hint: Any) -> Callable[[Any], bool]:
    """The test of a type, made once: each answer of a mint asks for dozens of them."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        tests = tuple(_test_of(kind) for kind in get_args(hint))
        return lambda value: any(test(value) for test in tests)
    if origin is tuple:
        each = _test_of(get_args(hint)[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if hint in (None, NoneType):
        return lambda value: value is None
    if hint is bool:
        return lambda value: isinstance(value, bool)
    if hint is int:
        return lambda value: is_amount(value, 0)
    if hint is str:
        return lambda value: isinstance(value, str) and _encodes(value)
    if hint is Secret:
        return lambda value: isinstance(value, Secret) and _encodes(value.reveal())
    if attrs.has(hint):
        parts = tuple((field.name, _test_of(field.type)) for field in attrs.fields(hint))
        return lambda value: (
            isinstance(value, hint) and all(test(getattr(value, name)) for name, test in parts)
        )
    kind = origin or hint  # keys and abilities are never stored
    return lambda value: isinstance(value, kind)


def _encodes(text: str) -> bool:
    if len(text) > TEXT_CHARS_MAX:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
