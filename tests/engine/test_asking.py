"""Whatever a mint port does is an answer, and a silent mint holds up nothing but itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import pytest

from nutstate import Engine, SimulatedMint
from nutstate.engine.cashu.port import (
    UNKNOWN,
    Ambiguous,
    BlindSignature,
    MeltQuote,
    MintQuote,
    Noted,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from nutstate.engine.loop.asking import ANSWERS, Asking, Heard
from nutstate.engine.loop.log import Log
from nutstate.engine.recovery.sweep import SILENT_MAX
from nutstate.storage.port import Store
from nutstate.storage.secret import Secret
from tests.support.cases import every
from tests.support.wallet import NPUB, QUICK, funded, invoice

URL = "https://mint.example"
Y = "02" + "ab" * 32
QUOTE = MeltQuote("q", 1, 0, "PAID")


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def info(self, name: str, **fields: Any) -> None:
        self.told.append((name, fields))

    warning = critical = error = debug = info


class Port:
    """A port that answers whatever it is given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        if name not in ANSWERS:
            raise AttributeError(name)

        def call(*args: Any) -> Any:
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

        return call


def ask(answer: Any, call: str = "melt_quote_state") -> tuple[Any, list[str]]:
    lines = Lines()
    asked = Asking(Port(answer), Log(lines))
    return getattr(asked, call)(URL, "x"), [name for name, _ in lines.told]


@every("call", ANSWERS)
@every("error", [RuntimeError("secret"), ValueError("x"), MemoryError(), RecursionError()])
def test_a_port_that_raises_is_ambiguous(call: str, error: Exception) -> None:
    """R196: and it is noted, without what the error says."""
    answer, told = ask(error, call)
    assert isinstance(answer, Ambiguous) and "secret" not in answer.detail
    assert told == ["mint_port_failed"]


def test_a_crash_is_no_answer() -> None:
    """R196: what ends the process passes through."""
    with pytest.raises(KeyboardInterrupt):
        ask(KeyboardInterrupt())


@every("call", ANSWERS)
@every("answer", [None, 7, "PAID", {}, [], (None,), (7,), object()], ids=range(8))
def test_what_the_port_does_not_promise(call: str, answer: Any) -> None:
    """R196: is no answer."""
    given, told = ask(answer, call)
    assert isinstance(given, Ambiguous) and told == ["mint_answer_unusable"]


@every(
    "changes",
    [
        {"id": "\ud800"},
        {"id": "q" * 30_000},
        {"id": None},
        {"amount": 2**53},
        {"amount": -1},
        {"amount": 1.0},
        {"fee_reserve": True},
        {"expires_at": 2**60},
        {"expires_at": "soon"},
        {"unit": "\udfff"},
        {"request": "no secret"},
        {"request": Secret("\ud800")},
        {"preimage": Secret("\ud800")},
        {"change": [None]},
        {"change": (7,)},
        {"change": (BlindSignature("id", 2**64, Y),)},
        {"change": (BlindSignature("\ud800", 1, Y),)},
        {"said": "\ud800"},
        {"notes": ("\ud800",)},
        {"state": None},
    ],
    ids=lambda c: repr(c)[:40],
)
def test_what_no_store_could_keep(changes: dict[str, Any]) -> None:
    """R195: an answer with it is none."""
    given, told = ask(attrs.evolve(QUOTE, **changes))
    assert given == Ambiguous("the answer is not what the port promises") and told == ["mint_answer_unusable"]


@pytest.mark.parametrize(
    "failure",
    [Refused(2**70, "no", True), Refused(1, "\ud800", True), Unreachable("\ud800"), Ambiguous("x" * 30_000)],
)
def test_failures_that_no_store_could_keep(failure: Any) -> None:
    """R195: prove nothing."""
    assert isinstance(ask(failure)[0], Ambiguous)


def test_states_that_no_nut_knows() -> None:
    """R186, R193: also from a port that is not ours."""
    quote, _ = ask(attrs.evolve(QUOTE, state="FAILED"))
    assert (quote.state, quote.said) == (UNKNOWN, "FAILED")
    mint, _ = ask(MintQuote("q", None, "EXPIRED"), "mint_quote_state")
    assert (mint.state, mint.said) == (UNKNOWN, "EXPIRED")
    states, told = ask((ProofState(Y, "GONE"), ProofState(Y, "SPENT")), "check_states")
    assert tuple(states) == (ProofState(Y, "PENDING"), ProofState(Y, "SPENT")) and told == ["mint_answer_odd"]


def test_what_was_set_aside_is_noted() -> None:
    """R185: in the log; the answer counts."""
    quote, told = ask(attrs.evolve(QUOTE, notes=("preimage cannot be read",)))
    assert quote.state == "PAID" and told == ["mint_answer_odd"]
    assert ask(Noted((), ("keyset 0 left out: unit",)), "keysets") == ((), ["mint_answer_odd"])
    assert ask(Restored((), ()), "restore") == (Restored((), ()), [])


def test_how_often_a_mint_was_heard() -> None:
    """R201: an answer is what came from the mint, also a refusal or an error page."""
    port = Port(QUOTE)
    asked = Asking(port, Log(Lines()))
    answers = [
        QUOTE,
        Refused(1, "no", False),
        Ambiguous("HTTP 500", status=500),
        Ambiguous("x", unreadable=True),
    ]
    for port.answer in (*answers, Unreachable("no"), Ambiguous("ReadTimeout"), RuntimeError()):
        asked.melt_quote_state(URL, "q")
    assert asked.heard(URL) == Heard(7, 4) and asked.heard("https://other.example") == Heard()


class Dying:
    """A mint port whose mint can fall silent."""

    def __init__(self, mint: SimulatedMint) -> None:
        self._inner, self.dead, self.asked = mint, False, 0

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name not in ANSWERS:
            return there

        def call(*args: Any) -> Any:
            self.asked += self.dead
            return Unreachable("connection refused") if self.dead else there(*args)

        return call


def test_a_dead_mint_costs_a_sweep_a_bounded_number_of_waits(store: Store) -> None:
    """R201: the others are left for the next sweep, which begins with them; all end when the mint is back."""
    _, mint, clock = funded(store, amount=0)
    dying = Dying(mint)
    engine = Engine(store, dying, settings=QUICK, clock=clock)
    mint.auto_pay = False
    handles = [engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=n, wait_s=0) for n in range(1, 9)]
    dying.dead = True
    asked_of = []
    for _ in range(3):
        clock.advance(120)
        dying.asked = 0
        assert len(engine.recover(wait_s=0)) == 8
        asked_of.append(dying.asked)
    assert asked_of == [SILENT_MAX] * 3, "each asks once and pauses"
    waited = {op.id: op.next_check_at for op in store.live_operations(2**62, 100)}
    assert len(set(waited.values())) > 1
    dying.dead = False
    for handle in handles:
        assert handle.record.quote is not None
        mint.pay_mint_quote(handle.record.quote.id)
    clock.advance(120)
    engine.recover(wait_s=30)
    assert {handle.refresh().state for handle in handles} == {"issued"}


def test_a_port_that_raises_ends_no_drive(store: Store) -> None:
    """R196: the payment goes on when the port works again."""
    _, mint, clock = funded(store)
    broken = Breaking(mint)
    engine = Engine(store, broken, settings=QUICK, clock=clock)
    broken.at = {"melt", "melt_quote_state"}
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=1)
    assert melt.state == "unknown"
    broken.at = set()
    clock.advance(60)
    engine.recover(wait_s=60)
    assert melt.refresh().record.finished_at is not None


class Breaking:
    def __init__(self, mint: SimulatedMint) -> None:
        self._inner, self.at = mint, set[str]()

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._inner, name)
        if name not in self.at:
            return there

        def call(*args: Any) -> Any:
            there(*args)
            raise ConnectionResetError("reset")

        return call


def test_a_fresh_process_understands_a_signature_with_its_proof() -> None:
    """R196: a process that has decoded no stored proof yet takes signatures with DLEQ proofs for what they
    are; else a recovery that begins with a paid funding would call every answer unusable."""
    program = (
        "from nutstate.engine.loop.asking import checked\n"
        "from nutstate.engine.cashu.port import BlindSignature\n"
        "from nutstate.storage.records import Dleq\n"
        "answer = (BlindSignature('00aabbccddeeff00', 8, '02' + 'ab' * 32, Dleq('0a', '0b')),)\n"
        "assert checked('mint', answer) is answer\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
