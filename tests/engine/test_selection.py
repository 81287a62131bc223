"""The candidates of a payment are of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define

from nutstate import Engine, Refused, Store
from nutstate.engine.token_ids import minted_id
from nutstate.storage.port import Reader, TokenQuery
from nutstate.storage.records import Token
from tests.support import invariants
from tests.support.wallet import NPUB, QUICK, funded, invoice


@define
class Meanwhile:
    """A reader (or store) whose first look at tokens is followed by something somebody else commits."""

    inner: Any
    happen: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        found: Sequence[Token] = self.inner.tokens(query)
        if query.states == ("unspent",):
            self.happen()
        return found

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        with self.inner.snapshot() as moment:
            yield Meanwhile(moment, self.happen)


def test_a_token_split_between_two_reads_offers_no_proof_twice(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    source = minted_id(engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=32 + 8).id)
    todo = [invoice(29, clock)]

    def split() -> None:
        """Spends the 32; the 8 goes to another token, and two of them would be the best cover of 10."""
        if todo:
            other = Engine(store, mint, settings=QUICK, clock=clock)
            other.melt(npub=NPUB, mint_url=mint.url, invoice=todo.pop(), sources=[source])

    late = Engine(Meanwhile(store, split), mint, settings=QUICK, clock=clock)
    with pytest.raises(Refused) as refused:
        late.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(10, clock))
    assert refused.value.code == "INSUFFICIENT_BALANCE" and not todo, "it chose anew"
    invariants.check(store, mint)
