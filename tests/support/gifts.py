"""Proofs of another owner."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from nutstate import Engine, SimulatedMint
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.outputs import random_outputs, unblind_exact
from nutstate.engine.cashu.port import MintPort
from nutstate.engine.cashu.wire import bodies
from nutstate.machines import money
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Output, Proof
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import value
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


def locked(
    mint: MintPort, url: str, proofs: Sequence[Proof], secrets: Iterable[tuple[int, str]]
) -> tuple[Proof, ...]:
    """The proofs swapped by their owner for one proof of each amount and secret, such as a condition; the
    rest goes to the mint's fee, or to random secrets."""
    keysets = value(mint.keysets(url))
    active = next(k for k in keysets if k.active and k.unit == "sat")
    ppk = {k.id: k.input_fee_ppk for k in keysets}
    made = [_output(active.id, amount, secret) for amount, secret in secrets]
    fee = money.input_fee(ppk[proof.id] for proof in proofs)
    rest = sum(proof.amount for proof in proofs) - fee - sum(output.amount for output in made)
    others = random_outputs(active.id, money.denominations(rest)) if rest else ()
    outputs = (*made, *others)
    signed = value(mint.swap(url, bodies.swap_body(proofs, outputs)))
    return unblind_exact(outputs, signed, lambda name: value(mint.keys(url, name)))[: len(made)]


def _output(keyset_id: str, amount: int, secret: str) -> Output:
    r = os.urandom(32).hex()
    return Output(keyset_id, amount, crypto.blind(secret, r), Secret(secret), Secret(r))


def p2pk(public_key: str, **tags: str | list[str]) -> str:
    """A secret that is locked to a key (NUT-11)."""
    return _condition("P2PK", public_key, tags)


def htlc(hashed: str, **tags: str | list[str]) -> str:
    """A secret that is locked to a hash (NUT-14)."""
    return _condition("HTLC", hashed, tags)


def _condition(kind: str, data: str, tags: dict[str, str | list[str]]) -> str:
    listed = [[name, *([values] if isinstance(values, str) else values)] for name, values in tags.items()]
    return json.dumps(
        [kind, {"nonce": os.urandom(16).hex(), "data": data, "tags": listed}], separators=(",", ":")
    )
