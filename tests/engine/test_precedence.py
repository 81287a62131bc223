"""R49 to R52: which refusal comes first, and what it writes."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from nutstate import NutstateError, Refused, Store
from nutstate.engine import arguments
from nutstate.engine.admission import new_operation
from nutstate.engine.cashu.port import MeltQuote
from nutstate.engine.errors import MintError
from nutstate.engine.loop.draft import Draft
from nutstate.engine.loop.drive import Happened
from nutstate.engine.loop.evidence import Evidence
from nutstate.engine.simulated import faults
from nutstate.engine.simulated.invoice import make_invoice
from nutstate.engine.tokens.proofs import name_of
from nutstate.machines.registry import latest
from nutstate.storage.catalogue import ERRORS
from nutstate.storage.port import TokenQuery
from nutstate.storage.records import Policy
from tests.support.everything import everything
from tests.support.wallet import NPUB, funded, invoice, npub_of, preimage, silence

# -- which refusal comes first -------------------------------------------------------------------------


class Wrong:
    """A request that is wrong in chosen ways. Each name is a step of docs/errors.md, in its order."""

    STEPS = (
        "INVALID_NPUB", "IDEMPOTENCY_KEY_REUSED", "DUPLICATE_TRANSACTION_ID", "DUPLICATE_OPERATION",
        "PAYMENT_ALREADY_CLAIMED", "INVOICE_EXPIRED", "OWNER_MISMATCH", "MINT_OR_UNIT_MISMATCH",
        "CONCURRENT_OPERATION", "MINT_UNREACHABLE", "INSUFFICIENT_BALANCE", "PROOF_STATE_INCONSISTENCY",
    )  # fmt: skip

    def __init__(self, store: Store, ways: tuple[str, ...]) -> None:
        self.ways, self.store = ways, store
        self.engine, self.mint, self.clock = funded(store, amount=64)
        self.request: dict[str, Any] = {"npub": NPUB, "mint_url": self.mint.url}
        amount = 1000 if "INSUFFICIENT_BALANCE" in ways else 20
        expiry = 100 if "INVOICE_EXPIRED" in ways else 3600
        self.request["invoice"] = make_invoice(
            amount * 1000, timestamp=self.clock.now() // 1000, preimage=preimage(4711), expiry_s=expiry
        )
        self._sources()
        for way in reversed(self.STEPS):
            if way in ways:
                getattr(self, f"_{way.lower()}")()

    def _sources(self) -> None:
        """Named sources where a step is about them: the wrong ones in the reverse of the order, so that
        the first named is not the first refused."""
        named: list[str] = []
        if "CONCURRENT_OPERATION" in self.ways:
            plan = self.engine.prepare_melt(
                npub=NPUB, mint_url=self.mint.url, invoice=invoice(20, self.clock)
            )
            named += [part.token_id for part in plan.record.inputs]
        if "MINT_OR_UNIT_MISMATCH" in self.ways:
            named.append(self._minted(wallet_id="another"))
        if "OWNER_MISMATCH" in self.ways:
            named.append(self._minted(npub=npub_of(7)))
        if named:
            self.request["sources"] = named

    def _minted(self, **whose: Any) -> str:
        before = {t.transaction_id for t in self.store.tokens(TokenQuery())}
        self.engine.mint_tokens(**{"npub": NPUB, "mint_url": self.mint.url, "amount": 64, **whose})
        (made,) = {t.transaction_id for t in self.store.tokens(TokenQuery())} - before
        return made

    def _proof_state_inconsistency(self) -> None:
        free = self.store.tokens(TokenQuery(states=("unspent",)))
        lie = faults.lie_about({name_of(proof): "SPENT" for token in free for proof in token.proofs})
        for _ in range(2):  # a proof is asked about twice before it is believed to be spent
            self.mint.faults.next("check_states", lie)

    def _insufficient_balance(self) -> None:
        """The amount says it."""

    def _mint_unreachable(self) -> None:
        silence(self.mint, "melt_quote")

    def _concurrent_operation(self) -> None:
        """The sources say it."""

    _mint_or_unit_mismatch = _owner_mismatch = _concurrent_operation

    def _invoice_expired(self) -> None:
        self.clock.advance(101)

    def _payment_already_claimed(self) -> None:
        if "DUPLICATE_OPERATION" not in self.ways:  # that one holds the claim too
            self._earlier("third")

    def _duplicate_operation(self) -> None:
        self._earlier(None)
        self.request["on_duplicate"] = "error"

    def _duplicate_transaction_id(self) -> None:
        self.request["transaction_id"] = self.engine.operations()[-1].id

    def _idempotency_key_reused(self) -> None:
        self.engine.mint_tokens(npub=NPUB, mint_url=self.mint.url, amount=1, idempotency_key="k")
        self.request["idempotency_key"] = "k"

    def _invalid_npub(self) -> None:
        self.request["npub"] = "npub1"

    def _earlier(self, wallet_id: str | None) -> None:
        """A live melt of the same invoice: quoted, with its claim and its place in the duplicate window,
        whatever else would have refused it."""
        engine, request = self.engine, self.request
        text, decoded, amount = arguments.invoice(request["invoice"], "sat")
        op = new_operation.new_operation(
            latest("melt"), now=self.clock.now(), npub=NPUB, mint_url=self.mint.url, unit="sat",
            amount=amount,
            wallet_id=wallet_id, policy=Policy(sources=tuple(request.get("sources", ()))),
            request=text, payment_hash=decoded.payment_hash,
        )  # fmt: skip
        run = engine._run(Draft(latest("melt"), op, stored=False, actor="caller"))
        engine._driver.take(run, Happened("request"))
        new_operation.take_dedup(run.draft, None, engine.settings, self.clock.now())
        quote = MeltQuote("q-earlier", amount, 1, "UNPAID", self.clock.now() + 10**7)
        engine._driver.take(run, Happened("quote_received", Evidence(quote=quote)))
        run.draft.set(claim=op.payment_hash)
        engine._driver.commit(run)


PAIRS = tuple(itertools.combinations(Wrong.STEPS, 2))


@pytest.mark.parametrize("way", Wrong.STEPS)
def test_each_way_of_being_wrong_alone(store: Store, way: str) -> None:
    wrong = Wrong(store, (way,))
    with pytest.raises(NutstateError) as refused:
        wrong.engine.melt(**wrong.request)
    error, entry = refused.value, ERRORS[way]
    assert (error.code, error.severity, error.retryable) == (way, entry.severity, entry.retryable)
    assert error.as_dict()["family"] == entry.family


@pytest.mark.parametrize("pair", PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_of_two_wrongs_the_first_is_told(store: Store, pair: tuple[str, str]) -> None:
    """docs/errors.md, "Which one comes first"."""
    wrong = Wrong(store, pair)
    with pytest.raises(NutstateError) as refused:
        wrong.engine.melt(**wrong.request)
    assert refused.value.code == pair[0]


# -- what a refusal writes -----------------------------------------------------------------------------

BEFORE_ANYTHING = Wrong.STEPS[:9]
LATER = Wrong.STEPS[9:]


@pytest.mark.parametrize("way", BEFORE_ANYTHING)
def test_r49_nothing_at_all_is_written(store: Store, way: str) -> None:
    wrong = Wrong(store, (way,))
    before = everything(store)
    with pytest.raises(Refused):
        wrong.engine.melt(**wrong.request)
    assert everything(store) == before


@pytest.mark.parametrize("way", [w for w in LATER if w != "PROOF_STATE_INCONSISTENCY"])
def test_r50_r51_r52_one_rejected_operation_and_its_audit(store: Store, way: str) -> None:
    wrong = Wrong(store, (way,))
    before = everything(store)
    with pytest.raises((Refused, MintError)) as refused:
        wrong.engine.melt(**wrong.request)
    after, made = everything(store), refused.value.details["operation_id"]
    assert refused.value.code == way
    assert after.operations.keys() - before.operations.keys() == {made}
    assert after.operations[made].state == "rejected" and after.operations[made].claim is None
    own = {name for name, record in after.audit.items() if record.operation_id == made}
    assert own and {after.audit[name].entity for name in own} == {f"operation:{made}"}
    without = attrs.evolve(
        after,
        operations={name: op for name, op in after.operations.items() if name != made},
        audit={name: record for name, record in after.audit.items() if name not in own},
    )
    assert without == before


def test_r52_a_declared_correction_is_all_that_changes_a_token(store: Store) -> None:
    wrong = Wrong(store, ("PROOF_STATE_INCONSISTENCY",))
    before = everything(store)
    with pytest.raises(Refused) as refused:
        wrong.engine.melt(**wrong.request)
    after, made = everything(store), refused.value.details["operation_id"]
    assert after.operations[made].state == "rejected"
    changed = {t for t in after.tokens if after.tokens[t] != before.tokens.get(t)}
    named = {r.entity.partition(":")[2] for r in after.audit.values() if r.operation_id == made}
    assert changed and changed <= named
    assert sum(h.amount for h in after.balances[NPUB]) == sum(h.amount for h in before.balances[NPUB])
