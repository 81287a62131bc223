"""A purse with no state machine and no store: just enough of a wallet to exercise a mint port."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from attrs import define, field, frozen

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Answer, Keyset, MeltQuote, MintPort, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.machines import money
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret

T = TypeVar("T")
_counter = itertools.count(time.time_ns())


def value(answer: Answer[T]) -> T:
    """The value, or a failed test that shows the answer."""
    assert is_value(answer), answer
    return answer


def known(said: T | None) -> T:
    """What an answer says where it could be silent."""
    assert said is not None
    return said


def price(quote: MeltQuote) -> int:
    """Amount and fee reserve of a melt quote."""
    return known(quote.amount) + known(quote.fee_reserve)


@define
class Purse:
    """Proofs at one mint. Every method asserts that the mint does as asked."""

    port: MintPort
    url: str
    unit: str = "sat"
    proofs: list[Proof] = field(factory=list)

    def active(self) -> str:
        """The id of the active keyset."""
        infos = value(self.port.keysets(self.url))
        return next(info.id for info in infos if info.active and info.unit == self.unit)

    def keys_for(self, keyset_id: str) -> Keyset:
        """The keys of any keyset."""
        return value(self.port.keys(self.url, keyset_id))

    def fee(self, proofs: Sequence[Proof]) -> int:
        """The input fee of spending the proofs."""
        ppk = {info.id: info.input_fee_ppk for info in value(self.port.keysets(self.url))}
        return money.input_fee(ppk[proof.id] for proof in proofs)

    def outputs(self, amount: int) -> tuple[Output, ...]:
        """Outputs worth the amount."""
        return outputs.random_outputs(self.active(), money.denominations(amount))

    def blanks(self, n: int) -> tuple[Output, ...]:
        """``n`` blanks."""
        return outputs.blank_outputs(self.active(), n)

    def fund(self, amount: int) -> None:
        """Mint new proofs."""
        quote = value(self.port.mint_quote(self.url, amount, self.unit))
        self.await_paid(quote.id)
        outs = self.outputs(amount)
        signatures = value(self.port.mint(self.url, bodies.mint_body(quote.id, outs)))
        self.proofs += outputs.unblind_exact(outs, signatures, self.keys_for)

    def await_paid(self, quote_id: str) -> None:
        """Until the mint sees its own invoice paid, for at most 50 reads."""
        for _ in range(50):
            if value(self.port.mint_quote_state(self.url, quote_id)).state == "PAID":
                return
            time.sleep(0.02)
        raise AssertionError("the mint quote is not paid")

    def take(self, amount: int) -> list[Proof]:
        """Proofs worth at least ``amount`` after their fee, largest first; they leave the purse."""
        taken: list[Proof] = []
        for proof in sorted(self.proofs, key=lambda p: -p.amount):
            if sum(p.amount for p in taken) - (self.fee(taken) if taken else 0) >= amount:
                break
            taken.append(proof)
        assert sum(p.amount for p in taken) - self.fee(taken) >= amount, "not enough in the purse"
        self.proofs = [p for p in self.proofs if p not in taken]
        return taken

    def exact(self, amount: int) -> list[Proof]:
        """Proofs worth exactly ``amount`` plus their own fee, made by a swap."""
        inputs = self.take(amount + 20)
        total, fee = sum(p.amount for p in inputs), self.fee(inputs)
        ppk = next(i.input_fee_ppk for i in value(self.port.keysets(self.url)) if i.active)
        wanted = amount
        for _ in range(10):
            n = len(money.denominations(wanted))
            wanted = amount + money.input_fee([ppk] * n)
        mine, rest = self.outputs(wanted), self.outputs(total - fee - wanted)
        body = bodies.swap_body(inputs, (*mine, *rest))
        proofs = outputs.unblind_exact((*mine, *rest), value(self.port.swap(self.url, body)), self.keys_for)
        self.proofs += proofs[len(mine) :]
        return list(proofs[: len(mine)])

    def quote(self, invoice: Secret) -> MeltQuote:
        """A melt quote."""
        return value(self.port.melt_quote(self.url, invoice, self.unit))

    def states(self, proofs: Iterable[Proof]) -> set[str]:
        """What the mint says of the proofs."""
        ys = [proof.Y for proof in proofs if proof.Y is not None]
        return {state.state for state in value(self.port.check_states(self.url, ys))}

    def open(self, blanks: Sequence[Output], quote: MeltQuote) -> tuple[Proof, ...]:
        """The change of a paid quote."""
        return outputs.unblind(blanks, quote.change, self.keys_for)


@frozen
class Bench:
    """A mint to test: its port, its address, invoices it can pay, and a purse."""

    port: MintPort
    url: str
    purse: Purse

    def invoice(self, amount: int) -> Secret:
        """A fresh invoice over ``amount`` sat from somewhere else."""
        preimage = next(_counter).to_bytes(32, "big")
        return Secret(make_invoice(amount * 1000, preimage=preimage, timestamp=int(time.time())))
