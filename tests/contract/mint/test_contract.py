"""What every mint port promises the engine."""

from __future__ import annotations

import hashlib

import pytest

from nutstate.engine.cashu.coins import crypto, outputs
from nutstate.engine.cashu.coins import keyset_ids as keysets
from nutstate.engine.cashu.port import Refused, Unreachable
from nutstate.engine.cashu.wire import bodies
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Bench, known, price, value

ALREADY = {11000, 20006}  # the older release has no code of its own


def test_info_names_the_nuts(bench: Bench) -> None:
    info = value(bench.port.info(bench.url))
    assert info.version.startswith("Nutshell/")
    assert all(info.supports(nut) for nut in (4, 5, 7, 8, 9, 12))
    assert not info.supports(99)


def test_keysets_and_keys(bench: Bench) -> None:
    (info,) = value(bench.port.keysets(bench.url))
    assert (info.unit, info.active, info.input_fee_ppk) == ("sat", True, 100)
    keyset = value(bench.port.keys(bench.url, info.id))
    assert keyset.id == info.id == keysets.keyset_id_v2(keyset.keys, "sat", 100)
    assert set(keyset.keys) >= {1 << i for i in range(32)}
    assert isinstance(bench.port.keys(bench.url, "01" + "00" * 32), Refused)


def test_another_address_is_unreachable(bench: Bench) -> None:
    nowhere = "http://127.0.0.1:1"
    assert isinstance(bench.port.info(nowhere), Unreachable)
    assert isinstance(bench.port.melt(nowhere, Secret("{}")), Unreachable)


def test_mint_quote_is_paid_then_issued_once(bench: Bench) -> None:
    quote = value(bench.port.mint_quote(bench.url, 42, "sat"))
    assert (quote.amount, quote.unit, quote.state) == (42, "sat", "UNPAID")
    assert quote.expires_at is not None
    bench.purse.await_paid(quote.id)
    outs = bench.purse.outputs(42)
    signatures = value(bench.port.mint(bench.url, bodies.mint_body(quote.id, outs)))
    assert sum(p.amount for p in outputs.unblind_exact(outs, signatures, bench.purse.keys_for)) == 42
    assert value(bench.port.mint_quote_state(bench.url, quote.id)).state == "ISSUED"
    other = bench.purse.outputs(42)
    again = bench.port.mint(bench.url, bodies.mint_body(quote.id, other))
    assert isinstance(again, Refused)
    assert (again.code, again.definitive) == (20002, False)


def test_swap_spends_and_restore_finds(bench: Bench) -> None:
    bench.purse.fund(64)
    inputs = list(bench.purse.proofs)
    outs = bench.purse.outputs(64 - bench.purse.fee(inputs))
    assert value(bench.port.restore(bench.url, outputs.blinded(outs))).outputs == ()
    assert bench.purse.states(inputs) == {"UNSPENT"}
    body = bodies.swap_body(inputs, outs)
    signatures = value(bench.port.swap(bench.url, body))
    assert bench.purse.states(inputs) == {"SPENT"}
    restored = value(bench.port.restore(bench.url, outputs.blinded(outs)))
    assert restored.signatures == signatures
    proofs = outputs.unblind_restored(outs, restored, bench.purse.keys_for)
    assert proofs == outputs.unblind_exact(outs, signatures, bench.purse.keys_for)
    again = bench.port.swap(bench.url, body)
    assert isinstance(again, Refused)
    assert (again.code, again.definitive) == (11001, False)
    bench.purse.proofs = list(proofs)
    assert bench.purse.states(bench.purse.exact(9)) == {"UNSPENT"}


def test_unknown_proofs_are_unspent_and_answered_in_order(bench: Bench) -> None:
    ys = [crypto.y_of(hashlib.sha256(bytes([i])).hexdigest()) for i in range(5)]
    states = value(bench.port.check_states(bench.url, ys))
    assert [(s.Y, s.state) for s in states] == [(y, "UNSPENT") for y in ys]
    assert value(bench.port.check_states(bench.url, [])) == ()


def test_many_states_at_once(bench: Bench) -> None:
    ys = [crypto.y_of(str(i)) for i in range(700)]
    assert len(value(bench.port.check_states(bench.url, ys))) == 700


def test_melt_pays_and_gives_change(bench: Bench) -> None:
    bench.purse.fund(1500)
    quote = bench.purse.quote(bench.invoice(1000))
    assert (quote.amount, quote.fee_reserve, quote.state, quote.change) == (1000, 10, "UNPAID", ())
    assert value(bench.port.melt_quote_state(bench.url, quote.id)).state == "UNPAID"
    inputs = bench.purse.exact(price(quote))
    blanks = bench.purse.blanks(4)
    body = bodies.melt_body(quote.id, inputs, blanks)
    paid = value(bench.port.melt(bench.url, body))
    assert paid.state == "PAID"
    change = bench.purse.open(blanks, paid)
    assert 0 < sum(p.amount for p in change) < 10
    assert [p.amount for p in change] == sorted((p.amount for p in change), reverse=True)
    assert all(p.dleq is not None for p in change)
    # the same answer at any later time, from the quote and from restore
    later = value(bench.port.melt_quote_state(bench.url, quote.id))
    assert (later.state, later.change) == ("PAID", paid.change)
    restored = value(bench.port.restore(bench.url, outputs.blinded(blanks)))
    assert outputs.unblind_restored(blanks, restored, bench.purse.keys_for) == change
    assert bench.purse.states(inputs) == {"SPENT"}
    assert bench.purse.states(change) == {"UNSPENT"}
    again = bench.port.melt(bench.url, body)
    assert isinstance(again, Refused)
    assert again.code in ALREADY
    assert not again.definitive


def test_overpaid_inputs_come_back_as_change(bench: Bench) -> None:
    bench.purse.fund(512)
    quote = bench.purse.quote(bench.invoice(100))
    inputs = bench.purse.take(512 - 1)
    owed = sum(p.amount for p in inputs) - bench.purse.fee(inputs) - known(quote.amount)
    blanks = bench.purse.blanks(max((owed - 1).bit_length(), 1))
    change = bench.purse.open(
        blanks, value(bench.port.melt(bench.url, bodies.melt_body(quote.id, inputs, blanks)))
    )
    assert owed - known(quote.fee_reserve) <= sum(p.amount for p in change) <= owed


def test_too_few_blanks_lose_the_rest_and_none_all(bench: Bench) -> None:
    bench.purse.fund(1024)
    for n in (0, 1):
        quote = bench.purse.quote(bench.invoice(100))
        inputs = bench.purse.exact(price(quote) + 5)
        blanks = bench.purse.blanks(n)
        paid = value(bench.port.melt(bench.url, bodies.melt_body(quote.id, inputs, blanks)))
        assert (paid.state, [p.amount for p in bench.purse.open(blanks, paid)]) == ("PAID", [4] * n)


def test_spent_inputs_are_refused(bench: Bench) -> None:
    bench.purse.fund(300)
    first, second = bench.purse.quote(bench.invoice(100)), bench.purse.quote(bench.invoice(100))
    inputs = bench.purse.exact(102)
    value(bench.port.melt(bench.url, bodies.melt_body(first.id, inputs)))
    refused = bench.port.melt(bench.url, bodies.melt_body(second.id, inputs))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.definitive) == (11001, False)
    assert value(bench.port.melt_quote_state(bench.url, second.id)).state == "UNPAID"


def test_an_invoice_is_quoted_again_only_while_unpaid(bench: Bench) -> None:
    bench.purse.fund(400)
    invoice = bench.invoice(100)
    first, second = bench.purse.quote(invoice), bench.purse.quote(invoice)
    assert first.id != second.id
    value(bench.port.melt(bench.url, bodies.melt_body(first.id, bench.purse.exact(102))))
    refused = bench.port.melt_quote(bench.url, invoice, "sat")
    assert isinstance(refused, Refused)
    assert refused.code in ALREADY
    late = bench.port.melt(bench.url, bodies.melt_body(second.id, bench.purse.exact(102)))
    assert isinstance(late, Refused)
    assert not late.definitive


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_duplicates_are_refused_for_good(bench: Bench, what: str) -> None:
    bench.purse.fund(400)
    quote = bench.purse.quote(bench.invoice(100))
    inputs, blanks = bench.purse.exact(102), list(bench.purse.blanks(2))
    doubled = bodies.melt_body(
        quote.id,
        inputs * 2 if what == "inputs" else inputs,
        blanks * 2 if what == "outputs" else blanks,
    )
    refused = bench.port.melt(bench.url, doubled)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.definitive) == (11007 if what == "inputs" else 11008, True)
    # and truly nothing happened: the same inputs pay now
    assert value(bench.port.melt(bench.url, bodies.melt_body(quote.id, inputs, blanks))).state == "PAID"


def test_forged_proofs_are_refused_for_good(bench: Bench) -> None:
    bench.purse.fund(200)
    quote = bench.purse.quote(bench.invoice(50))
    one, *rest = bench.purse.exact(price(quote))
    forged = type(one)(one.id, one.amount, Secret("forged"), one.C)
    refused = bench.port.melt(bench.url, bodies.melt_body(quote.id, [forged, *rest]))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.definitive) == (10001, True)


def test_not_enough_inputs_is_a_refusal_without_proof(bench: Bench) -> None:
    bench.purse.fund(200)
    quote = bench.purse.quote(bench.invoice(100))
    refused = bench.port.melt(bench.url, bodies.melt_body(quote.id, bench.purse.exact(50)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.definitive) == (11000, False)


def test_unknown_quotes_and_nonsense(bench: Bench) -> None:
    for answer in (
        bench.port.melt_quote_state(bench.url, "nope"),
        bench.port.mint_quote_state(bench.url, "nope"),
        bench.port.melt_quote(bench.url, Secret("lnbc1xyz"), "sat"),
    ):
        assert isinstance(answer, Refused), answer
        assert (answer.code, answer.definitive) == (0, False)
    for nonsense in (
        bench.port.melt(bench.url, Secret('{"quote":1}')),
        bench.port.swap(bench.url, Secret("{}")),
        bench.port.mint(bench.url, Secret("{}")),
    ):
        assert isinstance(nonsense, Refused), nonsense
        assert (nonsense.code, nonsense.definitive) == (None, False)


def test_an_unbalanced_swap_is_refused(bench: Bench) -> None:
    bench.purse.fund(64)
    inputs = list(bench.purse.proofs)
    refused = bench.port.swap(bench.url, bodies.swap_body(inputs, bench.purse.outputs(64)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.definitive) == (11000, False)
    assert bench.purse.states(inputs) == {"UNSPENT"}
