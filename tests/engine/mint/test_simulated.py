"""The simulated mint behaves like a mint. What it shares with a real one is in tests/contract/mint."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.bolt11 import decode_invoice
from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Answer, MeltQuote, Refused, Unreachable, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, known, price, value

NOW = 1_700_000_000_000


@pytest.fixture
def mint() -> Iterator[SimulatedMint]:
    with SimulatedMint(now_ms=lambda: NOW) as simulated:
        yield simulated


@pytest.fixture
def purse(mint: SimulatedMint) -> Purse:
    purse = Purse(mint, mint.url)
    purse.fund(4096)
    return purse


def hash_of(invoice: Secret) -> str:
    return decode_invoice(invoice.reveal()).payment_hash


class Melt:
    """A melt ready to be sent."""

    def __init__(self, mint: SimulatedMint, purse: Purse, amount: int = 1000, blanks: int = 4) -> None:
        self.mint, self.purse = mint, purse
        self.invoice = mint.lightning.invoice(amount)
        self.payment_hash = hash_of(self.invoice)
        self.quote = purse.quote(self.invoice)
        self.inputs: list[Proof] = purse.exact(price(self.quote))
        self.blanks: tuple[Output, ...] = purse.blanks(blanks)
        self.body = bodies.melt_body(self.quote.id, self.inputs, self.blanks)

    def send(self) -> Answer[MeltQuote]:
        return self.mint.melt(self.mint.url, self.body)

    def state(self) -> MeltQuote:
        return value(self.mint.melt_quote_state(self.mint.url, self.quote.id))

    def change(self, quote: MeltQuote) -> int:
        return sum(proof.amount for proof in self.purse.open(self.blanks, quote))

    def inputs_are(self) -> set[str]:
        return self.purse.states(self.inputs)

    def restored(self) -> int:
        return len(value(self.mint.restore(self.mint.url, outputs.blinded(self.blanks))).outputs)


def test_it_reveals_the_true_preimage(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    paid = value(melt.send())
    assert paid.preimage is not None
    assert hashlib.sha256(bytes.fromhex(paid.preimage.reveal())).hexdigest() == melt.payment_hash
    assert mint.lightning.payments(melt.payment_hash) == 1


def test_it_does_not_know_the_preimage_of_a_strangers_invoice(mint: SimulatedMint, purse: Purse) -> None:
    text = make_invoice(50_000, preimage=b"\x07" * 32, timestamp=NOW // 1000)
    quote = purse.quote(Secret(text))
    paid = value(mint.melt(mint.url, bodies.melt_body(quote.id, purse.exact(52))))
    assert (paid.state, paid.preimage) == ("PAID", None)


def test_a_scripted_fee_and_preimage(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script(melt.payment_hash, "PAID", fee=3, preimage="ab" * 32)
    paid = value(melt.send())
    assert melt.change(paid) == known(melt.quote.fee_reserve) - 3
    assert paid.preimage == Secret("ab" * 32)


def test_fee_above_the_reserve_leaves_no_change(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script("*", "PAID", fee=99)
    assert value(melt.send()).change == ()


def test_pending_then_paid(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script(melt.payment_hash, "PENDING")
    assert value(melt.send()).state == "PENDING"
    assert (melt.state().state, melt.inputs_are(), melt.restored()) == ("PENDING", {"PENDING"}, 0)
    assert melt.send() == Refused(20005, "melt quote is not unpaid: pending", False)
    fence = purse.outputs(sum(proof.amount for proof in melt.inputs) - purse.fee(melt.inputs))
    swap = mint.swap(mint.url, bodies.swap_body(melt.inputs, fence))
    assert isinstance(swap, Refused)
    assert (swap.code, swap.definitive) == (11002, False)
    mint.lightning.settle(melt.payment_hash, fee=2)
    paid = melt.state()
    assert (paid.state, melt.change(paid)) == ("PAID", 8)
    assert (melt.inputs_are(), melt.restored()) == ({"SPENT"}, 1)


def test_pending_then_failed_then_paid(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script(melt.payment_hash, "PENDING", "PAID")
    assert value(melt.send()).state == "PENDING"
    mint.lightning.fail(melt.payment_hash)
    assert (melt.state().state, melt.inputs_are()) == ("UNPAID", {"UNSPENT"})
    assert value(melt.send()).state == "PAID"
    assert mint.lightning.attempts(melt.payment_hash) == 2


def test_failed_releases_everything(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script("*", "FAILED", "FAILED", "PAID")
    for _ in range(2):
        assert melt.send() == Refused(20004, "Lightning payment failed.", False)
        assert (melt.state().state, melt.inputs_are(), melt.restored()) == ("UNPAID", {"UNSPENT"}, 0)
    assert mint.lightning.payments(melt.payment_hash) == 0
    assert value(melt.send()).state == "PAID"


def test_unknown_stays_pending_at_the_newer_release(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    mint.lightning.script("*", "UNKNOWN")
    assert value(melt.send()).state == "PENDING"
    assert melt.state().state == "PENDING"
    mint.lightning.settle(melt.payment_hash)
    assert melt.state().state == "PAID"


def test_unknown_is_released_by_the_older_release() -> None:
    with SimulatedMint(release="0.20.2") as mint:
        purse = Purse(mint, mint.url)
        purse.fund(2048)
        melt = Melt(mint, purse)
        mint.lightning.script("*", "UNKNOWN")
        assert melt.send() == Refused(20004, "Lightning payment failed.", False)
        assert (melt.state().state, melt.inputs_are()) == ("UNPAID", {"UNSPENT"})
        # and may have been paid all the same: the network pays a hash once, the mint sees it as paid
        mint.lightning.settle(melt.payment_hash)
        assert value(melt.send()).state == "PAID"
        assert mint.lightning.payments(melt.payment_hash) == 1


def test_only_what_is_open_can_be_settled(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    with pytest.raises(ValueError):
        mint.lightning.settle(melt.payment_hash)
    value(melt.send())
    with pytest.raises(ValueError):
        mint.lightning.fail(melt.payment_hash)
    with pytest.raises(ValueError):
        mint.lightning.script("*", "MAYBE")


def test_one_invoice_is_paid_once(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    second = purse.quote(melt.invoice)
    mint.lightning.script("*", "PENDING")
    value(melt.send())
    other = bodies.melt_body(second.id, purse.exact(1010))
    assert mint.melt(mint.url, other) == Refused(20006, "Melt quote already paid or pending.", False)
    assert mint.melt_quote(mint.url, melt.invoice, "sat") == Refused(
        20006, "Melt quote already paid or pending.", False
    )


def test_an_expired_quote_is_paid_all_the_same(mint: SimulatedMint, purse: Purse) -> None:
    now = [NOW]
    with SimulatedMint(now_ms=lambda: now[0]) as slow:
        purse = Purse(slow, slow.url)
        purse.fund(2048)
        melt = Melt(slow, purse)
        assert melt.quote.expires_at == NOW + 3_600_000
        now[0] += 10_000_000
        assert value(melt.send()).state == "PAID"


def test_a_swap_of_the_inputs_ends_a_late_melt(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    total = sum(proof.amount for proof in melt.inputs) - purse.fee(melt.inputs)
    value(mint.swap(mint.url, bodies.swap_body(melt.inputs, purse.outputs(total))))
    assert melt.send() == Refused(11001, "proofs already spent", False)
    assert melt.state().state == "UNPAID"


def test_rotation_keeps_old_proofs_spendable(mint: SimulatedMint, purse: Purse) -> None:
    old = purse.active()
    blanks = purse.blanks(4)
    new = mint.rotate_keyset(input_fee_ppk=200)
    assert purse.active() == new != old
    infos = {info.id: info for info in value(mint.keysets(mint.url))}
    assert (infos[old].active, infos[new].active, infos[new].input_fee_ppk) == (False, True, 200)
    quote = purse.quote(mint.lightning.invoice(100))
    inputs = purse.exact(102)
    assert {proof.id for proof in inputs} == {new}
    refused = mint.melt(mint.url, bodies.melt_body(quote.id, inputs, blanks))
    assert refused == Refused(12002, "keyset id inactive.", True)
    assert value(mint.melt(mint.url, bodies.melt_body(quote.id, inputs, purse.blanks(4)))).state == "PAID"


def test_keysets_it_never_had() -> None:
    unknown = "01" + "00" * 32
    for release in ("0.20.2", "0.21.0"):
        with SimulatedMint(release=release) as mint:
            purse = Purse(mint, mint.url)
            purse.fund(8)
            outs = outputs.random_outputs(unknown, (8,))
            refused = mint.swap(mint.url, bodies.swap_body(purse.proofs, outs))
            assert refused == Refused(11000, "keyset id unknown.", False)


def test_own_invoices_are_settled_inside(mint: SimulatedMint, purse: Purse) -> None:
    mint.auto_pay = False
    assert mint.auto_pay is False
    target = value(mint.mint_quote(mint.url, 100, "sat"))
    quote = purse.quote(known(target.request))
    assert quote.fee_reserve == 0
    blanks = purse.blanks(3)
    paid = value(mint.melt(mint.url, bodies.melt_body(quote.id, purse.exact(104), blanks)))
    assert sum(proof.amount for proof in purse.open(blanks, paid)) == 4
    assert value(mint.mint_quote_state(mint.url, target.id)).state == "PAID"
    assert isinstance(mint.melt_quote(mint.url, known(target.request), "sat"), Refused)


def test_own_invoices_that_are_paid_are_not_paid_again(mint: SimulatedMint) -> None:
    paid = value(mint.mint_quote(mint.url, 100, "sat"))
    assert mint.melt_quote(mint.url, known(paid.request), "sat") == Refused(
        20006, "mint quote already paid", False
    )
    assert mint.lightning.status("00" * 32).outcome == "UNKNOWN"


def test_mint_quotes_wait_to_be_paid_if_wished() -> None:
    with SimulatedMint(auto_pay=False) as mint:
        purse = Purse(mint, mint.url)
        quote = value(mint.mint_quote(mint.url, 5, "sat"))
        body = bodies.mint_body(quote.id, purse.outputs(5))
        assert mint.mint(mint.url, body) == Refused(20001, "quote not paid", False)
        mint.pay_mint_quote(quote.id)
        assert value(mint.mint(mint.url, body))
        with pytest.raises(ValueError):
            mint.pay_mint_quote("nope")


def test_mint_quotes_expire_and_bind_their_amount() -> None:
    now = [NOW]
    with SimulatedMint(now_ms=lambda: now[0]) as mint:
        purse = Purse(mint, mint.url)
        quote = value(mint.mint_quote(mint.url, 5, "sat"))
        refused = mint.mint(mint.url, bodies.mint_body(quote.id, purse.outputs(6)))
        assert isinstance(refused, Refused)
        now[0] += 10**7
        assert mint.mint(mint.url, bodies.mint_body(quote.id, purse.outputs(5))) == Refused(
            20007, "quote expired", False
        )


def test_what_it_does_not_sell(mint: SimulatedMint) -> None:
    for answer in (
        mint.mint_quote(mint.url, 0, "sat"),
        mint.mint_quote(mint.url, 5, "usd"),
        mint.melt_quote(mint.url, mint.lightning.invoice(5), "usd"),
        mint.melt_quote(
            mint.url, Secret(make_invoice(None, preimage=b"1" * 32, timestamp=NOW // 1000)), "sat"
        ),
    ):
        assert isinstance(answer, Refused)


def test_outputs_are_used_once(mint: SimulatedMint, purse: Purse) -> None:
    first, second = purse.exact(100), purse.exact(100)
    outs = outputs.random_outputs(purse.active(), (1 << 6,))
    worth = sum(p.amount for p in first) - purse.fee(first) - 64
    value(mint.swap(mint.url, bodies.swap_body(first, (*outs, *purse.outputs(worth)))))
    worth = sum(p.amount for p in second) - purse.fee(second) - 64
    refused = mint.swap(mint.url, bodies.swap_body(second, (*outs, *purse.outputs(worth))))
    assert refused == Refused(11003, "outputs already signed", False)
    melt = Melt(mint, purse, 100, blanks=2)
    mint.lightning.script("*", "PENDING")
    value(melt.send())
    other = purse.quote(mint.lightning.invoice(50))
    body = bodies.melt_body(other.id, purse.exact(60), melt.blanks)
    assert mint.melt(mint.url, body) == Refused(11004, "outputs are pending", False)


def test_bodies_that_are_nonsense(mint: SimulatedMint, purse: Purse) -> None:
    good = bodies.swap_body(purse.proofs[:1], purse.outputs(1)).reveal()
    for text in (
        "",
        "[]",
        "null",
        "[" * 100_000,
        good.replace('"amount":', '"amount":"x","y":'),
        good.replace('"B_":"0', '"B_":"1'),
        good.replace('"secret":"', '"secret":"","z":"'),
        good.replace('"secret":"', '"secret":"\\ud800'),
        good.replace('"C":"0', '"C":"1'),
        good.replace('"amount":', '"amount":true,"y":'),
        '{"inputs":{},"outputs":[]}',
        '{"inputs":[],"outputs":[' + ",".join(["{}"] * 1001) + "]}",
    ):
        answer = mint.swap(mint.url, Secret(text))
        assert answer == Refused(None, "body: invalid request", False)
    for text in (good.replace('"amount":', '"amount":3,"y":'), good.replace('"amount":', '"amount":-4,"y":')):
        assert isinstance(mint.swap(mint.url, Secret(text)), Refused)
    assert isinstance(mint.swap(mint.url, bodies.swap_body([], purse.outputs(1))), Refused)
    assert isinstance(mint.swap(mint.url, bodies.swap_body(purse.proofs[:1], [])), Refused)
    other = outputs.random_outputs("00" * 8, (1,))
    mixed = mint.swap(mint.url, bodies.swap_body(purse.proofs[:1], (*purse.outputs(1), *other)))
    assert isinstance(mixed, Refused)
    quote = purse.quote(mint.lightning.invoice(5))
    assert isinstance(mint.melt(mint.url, bodies.melt_body(quote.id, [])), Refused)


def test_too_many_at_once(mint: SimulatedMint, purse: Purse) -> None:
    assert isinstance(mint.check_states(mint.url, ["02" + "00" * 32] * 1001), Refused)
    blank = outputs.blinded(purse.blanks(1))
    assert isinstance(mint.restore(mint.url, blank * 1001), Refused)


def test_another_address_is_another_mint(mint: SimulatedMint) -> None:
    assert mint.info("https://other.mint") == Unreachable("no such mint")
    assert is_value(mint.info(mint.url + "/"))


def test_nuts_can_be_missing() -> None:
    with SimulatedMint(without=[7, 9]) as mint:
        info = value(mint.info(mint.url))
        assert [nut for nut in range(21) if info.supports(nut)] == [4, 5, 8, 10, 11, 12, 14, 20]
        assert mint.restore(mint.url, []) == Refused(None, "Not Found", False)


def test_the_same_seed_is_the_same_mint() -> None:
    def story(seed: bytes) -> tuple[str, str, str]:
        with SimulatedMint(seed=seed, now_ms=lambda: NOW) as mint:
            quote = value(mint.mint_quote(mint.url, 5, "sat"))
            invoice = mint.lightning.invoice(9).reveal()
            return value(mint.keysets(mint.url))[0].id, quote.id, invoice

    assert story(b"a") == story(b"a")
    assert not set(story(b"a")) & set(story(b"b"))


def test_a_reopened_file_is_the_same_mint(tmp_path: Path) -> None:
    path = tmp_path / "mint.db"
    with SimulatedMint(path=path) as mint:
        purse = Purse(mint, mint.url)
        purse.fund(2048)
        melt = Melt(mint, purse)
        mint.lightning.script("*", "PENDING")
        value(melt.send())
    with SimulatedMint(path=path) as again:
        purse.port = melt.mint = again
        assert (melt.state().state, melt.inputs_are()) == ("PENDING", {"PENDING"})
        again.lightning.settle(melt.payment_hash)
        assert melt.change(melt.state()) == 5
        purse.fund(10)
    again.close()


def test_two_instances_share_one_file(tmp_path: Path) -> None:
    with SimulatedMint(path=tmp_path / "m.db") as one, SimulatedMint(path=tmp_path / "m.db") as two:
        purse = Purse(one, one.url)
        purse.fund(2048)
        melt = Melt(one, purse)
        value(two.melt(two.url, melt.body))
        assert melt.state().state == "PAID"
        assert isinstance(melt.send(), Refused)


def test_simultaneous_melts_have_one_winner(mint: SimulatedMint, purse: Purse) -> None:
    melt = Melt(mint, purse)
    answers: list[Answer[MeltQuote]] = []
    threads = [threading.Thread(target=lambda: answers.append(melt.send())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["MeltQuote"] + ["Refused"] * 7
    assert mint.lightning.payments(melt.payment_hash) == 1


@settings(max_examples=25)
@given(amount=st.integers(1, 300), extra=st.integers(0, 40), fee=st.integers(0, 5), blanks=st.integers(0, 8))
def test_nut08_sums(amount: int, extra: int, fee: int, blanks: int) -> None:
    """change = inputs - amount - input fee - Lightning fee, as far as there are blanks for it."""
    with SimulatedMint() as mint:
        purse = Purse(mint, mint.url)
        purse.fund(1024)
        quote = purse.quote(mint.lightning.invoice(amount))
        inputs = purse.exact(price(quote) + extra)
        mint.lightning.script("*", "PAID", fee=min(fee, known(quote.fee_reserve)))
        outs = purse.blanks(blanks)
        paid = value(mint.melt(mint.url, bodies.melt_body(quote.id, inputs, outs)))
        owed = sum(p.amount for p in inputs) - amount - purse.fee(inputs) - min(fee, known(quote.fee_reserve))
        change = [proof.amount for proof in purse.open(outs, paid)]
        assert change == sorted(change, reverse=True)
        assert sum(change) <= owed
        if blanks >= bin(owed).count("1"):
            assert sum(change) == owed
        everything = sum(p.amount for p in purse.proofs) + sum(change)
        assert everything <= 1024 - amount
