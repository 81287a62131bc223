"""A real mint behind a proxy that loses, cuts, delays and doubles: what HttpMint makes of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Ambiguous, Refused, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, value
from tests.servers.nutshell import Nutshell
from tests.servers.proxy import FaultProxy

_counter = itertools.count(time.time_ns())


@pytest.fixture
def proxy(nutshell: Nutshell, purse: Purse) -> Iterator[FaultProxy]:
    with FaultProxy(nutshell.url) as between:
        purse.url = between.url
        yield between


def prepare(purse: Purse) -> tuple[str, list[str], Secret]:
    preimage = next(_counter).to_bytes(32, "big")
    quote = purse.quote(Secret(make_invoice(100_000, preimage=preimage, timestamp=int(time.time()))))
    inputs = purse.exact(102)
    ys = [proof.Y for proof in inputs if proof.Y is not None]
    return quote.id, ys, bodies.melt_body(quote.id, inputs, purse.blanks(2))


@pytest.mark.parametrize(
    ("fault", "argument", "paid"),
    [
        ("drop_request", 0, False),
        ("drop_answer", 0, True),
        ("cut", 0, True),
        ("cut", 40, True),
        ("status", 502, True),
        ("status", 429, True),
        ("hang", 0.8, True),
    ],
)
def test_a_melt_without_an_answer(
    purse: Purse, proxy: FaultProxy, fault: str, argument: float, paid: bool
) -> None:
    quote_id, ys, body = prepare(purse)
    proxy.next(fault, argument, only="/v1/melt/bolt11")
    with HttpMint(read_s=0.5 if fault == "hang" else 10) as http:
        assert isinstance(http.melt(proxy.url, body), Ambiguous)
        quote = value(http.melt_quote_state(proxy.url, quote_id))
        states = {state.state for state in value(http.check_states(proxy.url, ys))}
    assert (quote.state, states) == (("PAID", {"SPENT"}) if paid else ("UNPAID", {"UNSPENT"}))
    assert proxy.requests.count("POST /v1/melt/bolt11") == 1  # the adapter never sends twice


def test_a_doubled_melt_answers_no_though_it_is_paid(purse: Purse, proxy: FaultProxy) -> None:
    quote_id, _, body = prepare(purse)
    proxy.next("double", only="/v1/melt/bolt11")
    answer = purse.port.melt(proxy.url, body)
    assert isinstance(answer, Refused)
    assert not answer.definitive
    assert value(purse.port.melt_quote_state(proxy.url, quote_id)).state == "PAID"


def test_a_delayed_melt_loses_against_the_fence(nutshell: Nutshell, purse: Purse, proxy: FaultProxy) -> None:
    preimage = next(_counter).to_bytes(32, "big")
    quote = purse.quote(Secret(make_invoice(100_000, preimage=preimage, timestamp=int(time.time()))))
    inputs = purse.exact(102)
    proxy.next("delay", 1.0, only="/v1/melt/bolt11")
    with HttpMint(read_s=0.3) as hasty:
        assert isinstance(hasty.melt(proxy.url, bodies.melt_body(quote.id, inputs)), Ambiguous)
    worth = sum(proof.amount for proof in inputs) - purse.fee(inputs)
    fence = purse.outputs(worth)
    signatures = value(purse.port.swap(proxy.url, bodies.swap_body(inputs, fence)))
    assert sum(p.amount for p in outputs.unblind_exact(fence, signatures, purse.keys_for)) == worth
    time.sleep(1.2)
    assert value(purse.port.melt_quote_state(nutshell.url, quote.id)).state == "UNPAID"


def test_a_lost_swap_is_restored(purse: Purse, proxy: FaultProxy) -> None:
    inputs = purse.exact(50)
    outs = purse.outputs(sum(proof.amount for proof in inputs) - purse.fee(inputs))
    proxy.next("drop_answer", only="/v1/swap")
    body = bodies.swap_body(inputs, outs)
    assert isinstance(purse.port.swap(proxy.url, body), Ambiguous)
    again = purse.port.swap(proxy.url, body)
    assert isinstance(again, Refused)
    assert again.code in (11001, 11003)
    restored = value(purse.port.restore(proxy.url, outputs.blinded(outs)))
    proofs = outputs.unblind_restored(outs, restored, purse.keys_for)
    assert purse.states(proofs) == {"UNSPENT"}
    assert len(proofs) == len(outs)


def test_a_dropped_read_says_nothing(purse: Purse, proxy: FaultProxy) -> None:
    proxy.next("drop_request")
    assert isinstance(purse.port.info(proxy.url), Ambiguous)
    assert is_value(purse.port.info(proxy.url))


def test_the_proxy_knows_its_faults(proxy: FaultProxy) -> None:
    with pytest.raises(ValueError):
        proxy.next("explode")
