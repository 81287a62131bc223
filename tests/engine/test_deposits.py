"""Deposits: a token is credited once, and only proofs that the mint signed are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nutstate import Engine, Refused, Store
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.tokens.proofs import name_of
from nutstate.storage.port import TokenQuery
from nutstate.storage.secret import Secret
from tests.support import invariants
from tests.support.gifts import gift
from tests.support.ports import Between, on, silent
from tests.support.wallet import NPUB, QUICK, funded


@pytest.mark.parametrize(
    "spelling",
    [
        "https://mint.simulated:443",
        "https://mint.simulated.",
        "https://MINT.simulated//",
        "http://mint.simulated",
    ],
)
def test_a_token_is_credited_once_whatever_the_mint_is_called(store: Store, spelling: str) -> None:
    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 100)

    class Everywhere:
        """A mint that answers under any name."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda url, *rest: getattr(mint, name)(mint.url, *rest)

    port: Any = Everywhere()
    engine = Engine(store, port, settings=QUICK, clock=clock)
    engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=proofs, mint_url=spelling)
    assert refused.value.code == "DUPLICATE_PROOF"
    assert engine.balance(NPUB).unspent == 100


def test_only_proofs_the_mint_signed_are_taken(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    good, *rest = gift(engine, mint, 100)
    assert good.dleq is not None
    other = rest[0]
    attacks = {
        "PROOFS_NOT_VERIFIED": [
            attrs.evolve(good, dleq=None),
            attrs.evolve(good, dleq=attrs.evolve(good.dleq, r=None)),
        ],
        "INVALID_TOKEN": [
            attrs.evolve(good, C=other.C),
            attrs.evolve(good, secret=Secret("another secret")),
            attrs.evolve(good, secret=Secret("\ud800")),
            attrs.evolve(good, dleq=other.dleq),
        ],
        "PROOFS_LOCKED": [attrs.evolve(good, secret=Secret('["P2PK",{"data":"02"}]'))],
        "INVALID_AMOUNT": [attrs.evolve(good, amount=3), attrs.evolve(good, amount=True)],
        "MINT_OR_UNIT_MISMATCH": [attrs.evolve(good, id="00ffffffffffffff")],
    }
    for code, proofs in attacks.items():
        for proof in proofs:
            with pytest.raises(Refused) as refused:
                engine.deposit(npub=NPUB, proofs=[proof], mint_url=mint.url)
            assert refused.value.code == code, (code, refused.value)
    assert not store.tokens(TokenQuery())
    bare = encode_token(mint.url, "sat", [good], with_dleq=False).reveal()
    with pytest.raises(Refused):
        engine.deposit(npub=NPUB, token=bare, mint_url=mint.url)
    assert (
        engine.deposit(npub=NPUB, token=bare, mint_url=mint.url, allow_unverified=True).state == "deposited"
    )


def test_a_name_handed_in_is_not_believed(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 64)
    lying = [attrs.evolve(proof, Y="03" * 33) for proof in proofs]
    engine.deposit(npub=NPUB, proofs=lying, mint_url=mint.url)
    (token,) = store.tokens(TokenQuery(npub=NPUB))
    assert all(name_of(attrs.evolve(proof, Y=None)) == proof.Y for proof in token.proofs)
    invariants.check(store, mint)


@pytest.mark.parametrize("proofs", [5, "x", [1], [None], object(), {"a": 1}])
def test_what_is_no_proof(store: Store, proofs: Any) -> None:
    engine, mint, clock = funded(store, amount=0)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url)
    assert refused.value.code == "INVALID_TOKEN"


def test_a_known_deposit_needs_no_mint(store: Store) -> None:
    engine, mint, clock = funded(store, amount=0)
    proofs = gift(engine, mint, 64)
    first = engine.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url, idempotency_key="k")
    mute = on(engine, store, Between(mint, keysets=silent, check_states=silent))
    again = mute.deposit(npub=NPUB, proofs=proofs[::-1], mint_url=mint.url, idempotency_key="k")
    assert again.id == first.id
