"""The simulated mint can be as odd as real mints are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.coins.keyset_ids import keys_belong
from nutstate.engine.cashu.port import UNKNOWN, Keyset, KeysetInfo, Refused
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.faults import (
    CHANGE_GONE,
    KEYS_DO_NOT_FIT,
    LOCKED,
    OUTPUTS_STUCK,
    TOO_LARGE,
    quote_state,
)
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.machines import money
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, known, price, value

NOW_S = 1_700_000_000
HOUR_S = 3600


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> int:
        return self.now_s * 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mint(clock: Clock) -> Iterator[SimulatedMint]:
    with SimulatedMint(now_ms=clock) as simulated:
        yield simulated


@pytest.fixture
def purse(mint: SimulatedMint) -> Purse:
    purse = Purse(mint, mint.url)
    purse.fund(1024)
    purse.fund(1024)
    return purse


def fresh_swap(purse: Purse) -> Secret:
    proofs = purse.take(500)
    worth = sum(proof.amount for proof in proofs) - purse.fee(proofs)
    return bodies.swap_body(proofs, purse.outputs(worth))


def test_outputs_stored_but_never_signed_stay_so(mint: SimulatedMint, purse: Purse) -> None:
    quote = value(mint.mint_quote(mint.url, 100, "sat"))
    purse.await_paid(quote.id)
    outs = purse.outputs(100)
    body = bodies.mint_body(quote.id, outs)
    mint.faults.next("mint", OUTPUTS_STUCK)
    assert mint.mint(mint.url, body) == Refused(0, "could not sign the outputs", False)
    assert value(mint.mint_quote_state(mint.url, quote.id)).state == "PAID"
    assert mint.mint(mint.url, body) == Refused(11004, "outputs are pending", False)
    assert value(mint.restore(mint.url, outputs.blinded(outs))).is_empty
    fresh = purse.outputs(100)
    signatures = value(mint.mint(mint.url, bodies.mint_body(quote.id, fresh)))
    assert sum(proof.amount for proof in outputs.unblind_exact(fresh, signatures, purse.keys_for)) == 100


def test_a_swap_whose_outputs_were_not_signed_spends_nothing(mint: SimulatedMint, purse: Purse) -> None:
    body = fresh_swap(purse)
    mint.faults.next("swap", OUTPUTS_STUCK)
    assert isinstance(mint.swap(mint.url, body), Refused)
    assert mint.swap(mint.url, body) == Refused(11004, "outputs are pending", False)


@pytest.mark.parametrize("code", [11014, None])
def test_too_many_inputs(mint: SimulatedMint, purse: Purse, code: int | None) -> None:
    mint.behave(inputs_max=1, inputs_code=code)
    purse.fund(3)
    body = bodies.swap_body(purse.proofs[-2:], purse.outputs(2))
    told = mint.swap(mint.url, body)
    assert isinstance(told, Refused) and (told.code, told.definitive) == (code, code is not None)


def test_secrets_that_are_too_long(mint: SimulatedMint, purse: Purse) -> None:
    mint.behave(secret_chars_max=63)
    told = mint.swap(mint.url, fresh_swap(purse))
    assert told == Refused(11000, "secret too long. max: 63", False)


def test_no_active_keyset(mint: SimulatedMint, purse: Purse) -> None:
    body = fresh_swap(purse)
    mint.deactivate_keyset()
    assert not any(info.active for info in value(mint.keysets(mint.url)))
    assert mint.swap(mint.url, body) == Refused(12002, "keyset id inactive.", True)
    assert value(mint.mint_quote(mint.url, 1, "sat")).state == "UNPAID", (
        "the invoice is given out all the same"
    )
    mint.rotate_keyset()
    assert value(mint.swap(mint.url, fresh_swap(purse)))


def test_a_keyset_after_its_final_expiry(mint: SimulatedMint, clock: Clock) -> None:
    keyset_id = mint.add_keyset(input_fee_ppk=0, final_expiry_s=NOW_S + HOUR_S)
    mint.deactivate_keyset(value(mint.keysets(mint.url))[0].id)
    info = next(info for info in value(mint.keysets(mint.url)) if info.id == keyset_id)
    assert info.final_expiry == (NOW_S + HOUR_S) * 1000
    keys = value(mint.keys(mint.url, keyset_id)).keys
    assert keys_belong(keyset_id, keys, "sat", 0, NOW_S + HOUR_S)
    purse = Purse(mint, mint.url)
    purse.fund(64)
    body = bodies.swap_body(purse.proofs, purse.outputs(64))
    clock.now_s += HOUR_S
    assert mint.swap(mint.url, body) == Refused(12001, "keyset has expired", True)


def test_a_keyset_with_amounts_of_its_own(mint: SimulatedMint) -> None:
    keyset_id = mint.add_keyset(amounts=(1, 5, 10, 50))
    keys = value(mint.keys(mint.url, keyset_id)).keys
    assert sorted(keys) == [1, 5, 10, 50]
    mint.deactivate_keyset(value(mint.keysets(mint.url))[0].id)
    quote = value(mint.mint_quote(mint.url, 67, "sat"))
    value(mint.mint_quote_state(mint.url, quote.id))
    powers = outputs.random_outputs(keyset_id, money.denominations(67))
    refused = mint.mint(mint.url, bodies.mint_body(quote.id, powers))
    assert refused == Refused(0, "no key for this amount", False)
    outs = outputs.random_outputs(keyset_id, money.denominations(67, keys))
    proofs = outputs.unblind_exact(
        outs,
        value(mint.mint(mint.url, bodies.mint_body(quote.id, outs))),
        lambda _: mint_keys(mint, keyset_id),
    )
    melt = value(mint.melt_quote(mint.url, mint.lightning.invoice(40), "sat"))
    blanks = outputs.blank_outputs(keyset_id, 10)
    paid = value(mint.melt(mint.url, bodies.melt_body(melt.id, proofs, blanks)))
    assert {known(signature).amount for signature in paid.change} <= {1, 5, 10, 50}
    assert sum(known(signature).amount for signature in paid.change) == 67 - 40 - 1


def mint_keys(mint: SimulatedMint, keyset_id: str) -> Keyset:
    return value(mint.keys(mint.url, keyset_id))


def test_a_listed_keyset_of_an_unknown_kind(mint: SimulatedMint) -> None:
    mint.list_keyset(KeysetInfo("02" + "a" * 64, "sat", True, 0))
    first, *rest = value(mint.keysets(mint.url))
    assert first == KeysetInfo("02" + "a" * 64, "sat", True, 0) and len(rest) == 1
    assert isinstance(mint.keys(mint.url, first.id), Refused)


def test_keys_that_do_not_fit(mint: SimulatedMint) -> None:
    keyset_id = value(mint.keysets(mint.url))[0].id
    mint.faults.next("keys", KEYS_DO_NOT_FIT)
    wrong = value(mint.keys(mint.url, keyset_id))
    assert not keys_belong(keyset_id, wrong.keys, "sat", 100)
    assert keys_belong(keyset_id, value(mint.keys(mint.url, keyset_id)).keys, "sat", 100)


def test_expiry_late_payment_and_late_issue(mint: SimulatedMint, clock: Clock, purse: Purse) -> None:
    mint.auto_pay = False
    mint.behave(tells_expiry=False, issues_late=True, quote_expiry_s=600)
    quote = value(mint.mint_quote(mint.url, 8, "sat"))
    assert quote.expires_at is None
    assert decode_invoice(known(quote.request).reveal()).expires_at == (NOW_S + 600) * 1000
    clock.now_s += HOUR_S
    mint.pay_mint_quote(quote.id)
    assert value(mint.mint_quote_state(mint.url, quote.id)).state == "PAID"
    assert value(mint.mint(mint.url, bodies.mint_body(quote.id, purse.outputs(8))))
    assert value(mint.melt_quote(mint.url, mint.lightning.invoice(1), "sat")).expires_at is None


@pytest.mark.parametrize(("down", "amount"), [(False, 11), (True, 10)])
def test_millisatoshis_are_rounded(mint: SimulatedMint, down: bool, amount: int) -> None:
    mint.behave(rounds_down=down)
    invoice = Secret(make_invoice(10_500, preimage=bytes(32), timestamp=NOW_S))
    assert value(mint.melt_quote(mint.url, invoice, "sat")).amount == amount


def test_unknown_states_and_turns(mint: SimulatedMint, purse: Purse) -> None:
    quote = purse.quote(mint.lightning.invoice(10))
    turns = [quote_state("PENDING")], [quote_state("FAILED")]
    mint.faults.always("melt_quote_state", *turns)
    seen = [value(mint.melt_quote_state(mint.url, quote.id)) for _ in range(4)]
    assert [(q.state, q.said) for q in seen] == [("PENDING", None), (UNKNOWN, "FAILED")] * 2
    mint.faults.next("melt_quote_state")
    assert value(mint.melt_quote_state(mint.url, quote.id)).state == "UNPAID", "what is queued goes first"
    mint.faults.always("melt_quote_state")
    assert value(mint.melt_quote_state(mint.url, quote.id)).state == "UNPAID"
    mint.faults.always("melt_quote_state", *turns)
    mint.faults.stop()
    assert value(mint.melt_quote_state(mint.url, quote.id)).state == "UNPAID"


def test_hiccups_and_change_that_is_gone(mint: SimulatedMint, purse: Purse) -> None:
    mint.faults.next("info", LOCKED)
    assert mint.info(mint.url) == Refused(0, "database is locked", False)
    quote = purse.quote(mint.lightning.invoice(10))
    blanks = purse.blanks(3)
    body = bodies.melt_body(quote.id, purse.exact(price(quote) + 2), blanks)
    mint.faults.next("melt", TOO_LARGE)
    assert mint.melt(mint.url, body) == Refused(None, "HTTP 413", False)
    mint.faults.next("melt", CHANGE_GONE)
    paid = value(mint.melt(mint.url, body))
    assert (paid.state, paid.change) == ("PAID", ())
    assert value(mint.restore(mint.url, outputs.blinded(blanks))).is_empty


def test_a_quirk_nobody_knows(mint: SimulatedMint) -> None:
    with pytest.raises(TypeError):
        mint.behave(polite=True)
