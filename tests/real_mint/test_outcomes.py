"""What a payment can become at a real mint, and that the simulated one answers alike."""

from __future__ import annotations

import itertools
import time

import pytest
from attrs import evolve, frozen

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Ambiguous, Answer, MeltQuote, MintPort, Refused, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, value
from tests.servers.nutshell import Nutshell

_counter = itertools.count(time.time_ns())


@frozen
class Sent:
    """A melt as it was sent, and what came back."""

    port: MintPort
    url: str
    quote_id: str
    inputs: tuple[Proof, ...]
    blanks: tuple[Output, ...]
    body: Secret
    answer: Answer[MeltQuote]

    def seen(self) -> tuple[str, set[str], int]:
        """Quote state, proof states, number of restorable blanks."""
        quote = self.port.melt_quote_state(self.url, self.quote_id)
        ys = [proof.Y for proof in self.inputs if proof.Y is not None]
        states = {state.state for state in value(self.port.check_states(self.url, ys))}
        restored = len(value(self.port.restore(self.url, outputs.blinded(self.blanks))).outputs)
        return quote.state if is_value(quote) else type(quote).__name__, states, restored

    def eventually(self, *wanted: str) -> tuple[str, set[str], int]:
        """:meth:`seen`, once the quote is in a wanted state. A mint that has just started decides its
        pending payments while it already answers, and a read may meet that with a 400."""
        deadline = time.monotonic() + 10
        while (seen := self.seen())[0] not in wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        return seen

    def asked_at(self, port: MintPort) -> Sent:
        """The same melt, looked at through another port."""
        return evolve(self, port=port)


def prepare(purse: Purse) -> tuple[str, tuple[Proof, ...], tuple[Output, ...], Secret]:
    preimage = next(_counter).to_bytes(32, "big")
    invoice = Secret(make_invoice(100_000, preimage=preimage, timestamp=int(time.time())))
    quote = purse.quote(invoice)
    inputs, blanks = tuple(purse.exact(102)), purse.blanks(2)
    return quote.id, inputs, blanks, bodies.melt_body(quote.id, inputs, blanks)


def send(purse: Purse, parts: tuple[str, tuple[Proof, ...], tuple[Output, ...], Secret]) -> Sent:
    quote_id, inputs, blanks, body = parts
    answer = purse.port.melt(purse.url, body)
    return Sent(purse.port, purse.url, quote_id, inputs, blanks, body, answer)


def code(answer: object) -> int | None:
    assert isinstance(answer, Refused), answer
    assert not answer.definitive
    return answer.code


def test_pending_then_paid(nutshell: Nutshell, purse: Purse) -> None:
    parts = prepare(purse)
    nutshell.restart(pay_invoice_state="PENDING", payment_state="PENDING")
    sent = send(purse, parts)
    assert value(sent.answer).state == "PENDING"
    assert sent.seen() == ("PENDING", {"PENDING"}, 0)
    assert code(purse.port.melt(purse.url, sent.body)) in (11000, 20005)
    fence = purse.outputs(sum(proof.amount for proof in sent.inputs) - purse.fee(sent.inputs))
    swap = purse.port.swap(purse.url, bodies.swap_body(sent.inputs, fence))
    assert code(swap) == 11002
    nutshell.restart(pay_invoice_state="SETTLED", payment_state="SETTLED")
    state, states, restored = sent.eventually("PAID")
    assert (state, states) == ("PAID", {"SPENT"})
    assert restored >= 1
    assert code(purse.port.melt(purse.url, sent.body)) in (11000, 20006)


def test_pending_then_failed(nutshell: Nutshell, purse: Purse) -> None:
    parts = prepare(purse)
    nutshell.restart(pay_invoice_state="PENDING", payment_state="PENDING")
    sent = send(purse, parts)
    assert sent.seen() == ("PENDING", {"PENDING"}, 0)
    nutshell.restart(pay_invoice_state="FAILED", payment_state="FAILED")
    assert sent.eventually("UNPAID") == ("UNPAID", {"UNSPENT"}, 0)


@pytest.mark.parametrize("outcome", ["FAILED", "UNKNOWN"])
def test_failed_and_unknown(nutshell: Nutshell, purse: Purse, outcome: str) -> None:
    parts = prepare(purse)
    nutshell.restart(pay_invoice_state=outcome, payment_state=outcome)
    sent = send(purse, parts)
    if isinstance(sent.answer, MeltQuote):  # newer releases keep an unknown payment pending
        assert outcome == "UNKNOWN"
        assert sent.seen() == ("PENDING", {"PENDING"}, 0)
        return
    assert code(sent.answer) == 20004
    assert sent.seen() == ("UNPAID", {"UNSPENT"}, 0)
    nutshell.restart()
    assert value(send(purse, parts).answer).state == "PAID"


def test_the_node_is_lost(nutshell: Nutshell, purse: Purse) -> None:
    parts = prepare(purse)
    nutshell.restart(pay_invoice_state_exception=True, payment_state_exception=True)
    sent = send(purse, parts)
    assert value(sent.answer).state == "PENDING"
    assert sent.seen()[0] in ("Refused", "PENDING")  # 0.20.2 answers 400 code 0
    assert sent.seen()[1:] == ({"PENDING"}, 0)


def test_slow_payment_times_out_and_is_paid(nutshell: Nutshell, purse: Purse) -> None:
    parts = prepare(purse)
    nutshell.restart(delay_outgoing_payment=1, payment_state="PENDING")
    with HttpMint(read_s=0.3) as hasty:
        impatient = Purse(hasty, nutshell.url)
        sent = send(impatient, parts)
    assert sent.answer == Ambiguous("ReadTimeout")
    patient = sent.asked_at(purse.port)
    assert patient.seen() == ("PENDING", {"PENDING"}, 0)
    assert patient.eventually("PAID")[:2] == ("PAID", {"SPENT"})


def test_killed_while_paying_is_decided_at_restart(nutshell: Nutshell, purse: Purse) -> None:
    parts = prepare(purse)
    nutshell.restart(delay_outgoing_payment=20, payment_state="PENDING")
    with HttpMint(read_s=0.5) as hasty:
        sent = send(Purse(hasty, nutshell.url), parts)
    assert isinstance(sent.answer, Ambiguous)
    nutshell.kill()
    nutshell.restart(payment_state="SETTLED")
    later = sent.asked_at(purse.port)
    assert later.eventually("PAID")[:2] == ("PAID", {"SPENT"})


@pytest.mark.parametrize("outcome", ["PAID", "PENDING", "FAILED"])
def test_the_simulated_mint_answers_alike(nutshell: Nutshell, purse: Purse, outcome: str) -> None:
    """The same story at both mints: kind of answer, code, quote, proofs, restore."""
    with SimulatedMint(release="0.20.2") as simulated:
        simulated.lightning.script("*", outcome)
        pretend = Purse(simulated, simulated.url)
        pretend.fund(3000)
        stories = []
        for there in (purse, pretend):
            parts = prepare(there)
            if there is purse and outcome != "PAID":
                nutshell.restart(pay_invoice_state=outcome, payment_state=outcome)
            sent = send(there, parts)
            again = there.port.melt(there.url, sent.body)
            stories.append((_shape(sent.answer), sent.seen(), _shape(again)))
    real, imitated = stories
    assert real == imitated


def _shape(answer: Answer[MeltQuote]) -> object:
    return (
        answer.state
        if isinstance(answer, MeltQuote)
        else (type(answer).__name__, getattr(answer, "code", None))
    )
