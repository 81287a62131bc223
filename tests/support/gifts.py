"""Proofs of another owner."""

from __future__ import annotations

from nutstate import Engine, SimulatedMint
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Proof
from tests.support.wallet import QUICK, npub_of

GIVER = npub_of(99)


def gift(engine: Engine, mint: SimulatedMint, amount: int) -> tuple[Proof, ...]:
    """Real proofs of another owner, taken out of a store of their own."""
    from nutstate import open_store

    with open_store("memory://") as his:
        other = Engine(his, mint, settings=QUICK, clock=engine.clock)
        other.mint_tokens(npub=GIVER, mint_url=mint.url, amount=amount)
        (token,) = his.tokens(TokenQuery(states=("unspent",)))
    return token.proofs
