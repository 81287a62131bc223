"""Calls that the engine refuses before any operation exists, or for one that is not meant: "nothing written"
is a promise about every byte, in every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from nutstate import Engine, NutstateError
from nutstate.storage.port import TokenQuery
from tests.engine.edge_places import Place, opened
from tests.support.clock import FakeClock
from tests.support.stores import STORES
from tests.support.wallet import NPUB, fake_proof, funded, invoice, npub_of


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(request, tmp_path_factory.mktemp("calls")) as found:
        yield found


@attrs.frozen
class World:
    """A wallet with a paid melt, a plan and a hold, and tokens beside them."""

    engine: Engine
    clock: FakeClock
    url: str
    paid: str
    paid_invoice: str
    planned_invoice: str
    hold: str
    held: str
    free: str
    total: int

    @property
    def who(self) -> dict[str, Any]:
        return {"npub": NPUB, "mint_url": self.url}

    def record(self, sources: list[str] | None = None, **more: Any) -> Any:
        """A recording of the hold that pays all but one satoshi."""
        said = {"keep": [], "change": [fake_proof(1, "change")], "amount": self.total - 1, "fee": 0}
        return self.engine.record_melt(sources=sources, **(self.who | said | {"hold": self.hold} | more))


def world(place: Place) -> World:
    engine, mint, clock = funded(place.empty(), amount=1000)
    for amount in (300, 200, 64):
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=amount)
    who: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url}
    first, second = invoice(50, clock), invoice(60, clock)
    paid = engine.melt(**who, invoice=first, idempotency_key="order-1")
    engine.prepare_melt(**who, invoice=second)
    spare = engine.store.tokens(TokenQuery(npub=NPUB, states=("unspent",), largest_first=True))
    held, free = spare[0], spare[1]
    hold = engine.hold([held.transaction_id], 60, **who)
    return World(
        engine, clock, mint.url, paid.id, first, second, hold.id, held.transaction_id, free.transaction_id,
        held.total_amount,
    )  # fmt: skip


def _own_proof(w: World) -> Any:
    token = w.engine.store.token(w.free)
    assert token is not None
    return token.proofs[0]


CALLS: dict[str, tuple[Callable[[World], Any], str]] = {
    "melt: no invoice": (lambda w: w.engine.melt(**w.who, invoice="lnbc1nonsense"), "INVALID"),
    "melt: a key used for another": (
        lambda w: w.engine.melt(**w.who, invoice=invoice(7, w.clock), idempotency_key="order-1"),
        "IDEMPOTENCY_KEY_REUSED",
    ),
    "melt: paid already, by another wallet": (
        lambda w: w.engine.melt(npub=npub_of(1), mint_url=w.url, invoice=w.paid_invoice),
        "PAYMENT_ALREADY_CLAIMED",
    ),
    "melt: planned already, by another wallet": (
        lambda w: w.engine.melt(npub=npub_of(1), mint_url=w.url, invoice=w.planned_invoice),
        "PAYMENT_ALREADY_CLAIMED",
    ),
    "melt: the same, as an error": (
        lambda w: w.engine.melt(**w.who, invoice=w.paid_invoice, on_duplicate="error"),
        "DUPLICATE_OPERATION",
    ),
    "melt: unknown source": (
        lambda w: w.engine.melt(**w.who, invoice=invoice(7, w.clock), sources=["no-such"]),
        "TOKEN_NOT_FOUND",
    ),
    "melt: somebody else's source": (
        lambda w: w.engine.melt(
            npub=npub_of(1), mint_url=w.url, invoice=invoice(7, w.clock), sources=[w.free]
        ),
        "OWNER_MISMATCH",
    ),
    "melt: a held source": (
        lambda w: w.engine.melt(**w.who, invoice=invoice(7, w.clock), sources=[w.held]),
        "CONCURRENT_OPERATION",
    ),
    "melt: a taken id": (
        lambda w: w.engine.melt(**w.who, invoice=invoice(7, w.clock), transaction_id=w.paid),
        "DUPLICATE_TRANSACTION_ID",
    ),
    "hold: no time": (lambda w: w.engine.hold([w.free], 0, **w.who), "INVALID_TTL"),
    "hold: too long": (lambda w: w.engine.hold([w.free], 10**7, **w.who), "INVALID_TTL"),
    "hold: held already": (lambda w: w.engine.hold([w.held], 60, **w.who), "CONCURRENT_OPERATION"),
    "hold: unknown": (lambda w: w.engine.hold(["no-such"], 60, **w.who), "TOKEN_NOT_FOUND"),
    "hold: another unit": (
        lambda w: w.engine.hold([w.free], 60, unit="msat", **w.who),
        "MINT_OR_UNIT_MISMATCH",
    ),
    "hold: a paid invoice": (
        lambda w: w.engine.hold([w.free], 60, payment_request=w.paid_invoice, **w.who),
        "PAYMENT_ALREADY_CLAIMED",
    ),
    "record: not conserved": (lambda w: w.record(fee=1), "NOT_CONSERVED"),
    "record: not what is held": (lambda w: w.record([w.free]), "HOLD_MISMATCH"),
    "record: no such hold": (lambda w: w.record(hold="tx_melt_none"), "NOT_FOUND"),
    "record: a hold that is none": (lambda w: w.record(hold=w.paid), "NOT_HELD"),
    "record: somebody else's hold": (lambda w: w.record(npub=npub_of(1)), "NOT_FOUND"),
    "record: the same proof twice": (
        lambda w: w.record(change=[fake_proof(1, "c"), fake_proof(1, "c")], amount=w.total - 2),
        "DUPLICATE_SECRET",
    ),
    "record: change that we hold": (
        lambda w: w.record(change=[p := _own_proof(w)], amount=w.total - p.amount),
        "DUPLICATE_PROOF",
    ),
    "unhold: not a hold": (lambda w: w.engine.unhold(w.paid), "NOT_HELD"),
    "confirm: unknown": (lambda w: w.engine.confirm("tx_melt_none"), "NOT_FOUND"),
    "mint: nothing": (lambda w: w.engine.mint_tokens(**w.who, amount=0), "INVALID_AMOUNT"),
    "swap: no wish": (lambda w: w.engine.swap(**w.who), "INVALID_CHOICE"),
    "swap: nothing": (lambda w: w.engine.swap(**w.who, amount=0), "INVALID_AMOUNT"),
    "swap: too much": (lambda w: w.engine.swap(**w.who, amount=10**6), "INSUFFICIENT_BALANCE"),
    "swap: unknown token": (lambda w: w.engine.swap(**w.who, tokens=["no-such"]), "TOKEN_NOT_FOUND"),
    "swap: a held token": (lambda w: w.engine.swap(**w.who, tokens=[w.held]), "CONCURRENT_OPERATION"),
    "swap: a token of another owner": (
        lambda w: w.engine.swap(npub=npub_of(1), mint_url=w.url, tokens=[w.free]),
        "OWNER_MISMATCH",
    ),
    "swap: another unit": (
        lambda w: w.engine.swap(**w.who, tokens=[w.free], unit="msat"),
        "MINT_OR_UNIT_MISMATCH",
    ),
    "swap: a taken id": (
        lambda w: w.engine.swap(**w.who, amount=1, transaction_id=w.paid),
        "DUPLICATE_TRANSACTION_ID",
    ),
    "swap: a key used for another": (
        lambda w: w.engine.swap(**w.who, amount=1, idempotency_key="order-1"),
        "IDEMPOTENCY_KEY_REUSED",
    ),
    "swap: no old coins": (lambda w: w.engine.swap(**w.who, purpose="rotate"), "NOTHING_TO_SWAP"),
    "deposit: no token": (lambda w: w.engine.deposit(npub=NPUB, token="cashuAnonsense"), "INVALID_TOKEN"),
    "deposit: proofs of no mint": (
        lambda w: w.engine.deposit(npub=NPUB, proofs=[fake_proof(1, "d")], mint_url=w.url),
        "MINT_OR_UNIT_MISMATCH",
    ),
    "deposit: what we hold": (
        lambda w: w.engine.deposit(npub=NPUB, proofs=[_own_proof(w)], mint_url=w.url),
        "DUPLICATE_PROOF",
    ),
    "purge: without a key": (lambda w: w.engine.purge_audit(), "AUDIT_KEY_MISSING"),
}


@pytest.fixture(scope="module")
def there(place: Place) -> World:
    """One world for all calls of a store: a refused call leaves it as it is."""
    return world(place)


@pytest.mark.parametrize("name", CALLS)
def test_a_refused_call_writes_nothing(place: Place, there: World, name: str) -> None:
    call, code = CALLS[name]
    before = place.content()
    with pytest.raises(NutstateError) as refused:
        call(there)
    assert code in refused.value.code, refused.value.code
    assert place.content() == before
