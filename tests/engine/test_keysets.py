"""Keysets on which outputs can be made, and those whose coins a mint still takes."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from nutstate import Engine, Refused, Settings, SimulatedMint, Store, open_store
from nutstate.engine.cashu.keysets import Keysets, MintSilent, NoUsableKeyset
from nutstate.engine.cashu.port import Ambiguous, KeysetInfo, MintQuote
from nutstate.engine.errors import MintError
from nutstate.engine.simulated import faults
from nutstate.storage.port import OperationQuery, TokenQuery
from tests.support import invariants
from tests.support.clock import FakeClock
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, fake_proof, funded, invoice

V3 = "02" + "ab" * 32
BASE64 = "I2yN+iRYfkzT"


class Told:
    """A mint whose answers to some questions are others."""

    def __init__(self, mint: SimulatedMint, **answers: Any) -> None:
        self._mint, self._answers = mint, answers
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._mint, name)
        if not callable(real):
            return real

        def ask(*args: Any) -> Any:
            self.asked.append(name)
            change = self._answers.get(name)
            return real(*args) if change is None else change(real(*args), *args)

        return ask


def active_id(mint: SimulatedMint) -> str:
    listed = mint.keysets(mint.url)
    assert isinstance(listed, tuple)
    return next(k.id for k in listed if k.active and not k.id.startswith("02"))


def keysets_of(**options: Any) -> tuple[Keysets, SimulatedMint, FakeClock]:
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now, **options)
    return Keysets(mint, clock), mint, clock


# -- which keyset ----------------------------------------------------------------------------------


def test_the_cheapest_usable_keyset_is_taken_with_its_keys() -> None:
    """R225: among the usable keysets the cheapest."""
    keysets, mint, _ = keysets_of(input_fee_ppk=100)
    cheap = mint.add_keyset(input_fee_ppk=0)
    info, keyset = keysets.usable(mint.url, "sat")
    assert (info.id, keyset.id, info.input_fee_ppk, len(keyset.keys)) == (cheap, cheap, 0, 64)


@pytest.mark.parametrize("keyset_id", [V3, BASE64, "00" + "ab" * 8, "01" + "ab" * 7])
def test_a_keyset_of_another_kind_is_not_used(keyset_id: str) -> None:
    """R225: only ids of versions 00 and 01; the others stay out, however cheap they are."""
    keysets, mint, _ = keysets_of()
    ours = active_id(mint)
    mint.list_keyset(KeysetInfo(keyset_id, "sat", True, 0))
    assert keysets.usable(mint.url, "sat")[0].id == ours
    mint.deactivate_keyset(ours)
    with pytest.raises(NoUsableKeyset) as none:
        keysets.usable(mint.url, "sat", refresh=True)
    assert none.value.why == {keyset_id: "an id of an unknown kind", ours: "not active"}


def test_keys_that_do_not_fit_the_id_are_not_used() -> None:
    """R225: the id is derived again from the keys, the unit, the fee and the final expiry."""
    keysets, mint, _ = keysets_of()
    mint.faults.next("keys", faults.KEYS_DO_NOT_FIT)
    with pytest.raises(NoUsableKeyset, match="do not fit"):
        keysets.usable(mint.url, "sat")


@pytest.mark.parametrize("lie", [{"input_fee_ppk": 0}, {"final_expiry": 4_000_000_000_000}])
def test_a_list_whose_fee_or_expiry_the_id_does_not_prove_is_not_used(lie: dict[str, Any]) -> None:
    """R225: a version 01 id proves the fee and the final expiry that the list tells."""

    def lied(answer: tuple[KeysetInfo, ...], *_: object) -> tuple[KeysetInfo, ...]:
        return tuple(evolve(k, **lie) for k in answer)

    _, mint, clock = keysets_of(input_fee_ppk=100)
    with pytest.raises(NoUsableKeyset, match="do not fit"):
        Keysets(Told(mint, keysets=lied), clock).usable(mint.url, "sat")


@pytest.mark.parametrize(("in_s", "usable"), [(3599, False), (3601, True)])
def test_a_keyset_near_its_final_expiry_is_not_used(in_s: int, usable: bool) -> None:
    """R226: new outputs need a final expiry farther than keyset_margin_s (3600 s)."""
    keysets, mint, clock = keysets_of()
    mint.deactivate_keyset()
    ending = mint.add_keyset(final_expiry_s=clock.now() // 1000 + in_s)
    if usable:
        assert keysets.usable(mint.url, "sat")[0].id == ending
    else:
        with pytest.raises(NoUsableKeyset, match="final expiry"):
            keysets.usable(mint.url, "sat")


def test_a_keyset_without_the_amounts_is_passed_over() -> None:
    """R227: a keyset that lacks a denomination for what is needed gives way to a dearer one."""
    keysets, mint, _ = keysets_of(input_fee_ppk=100)
    whole = active_id(mint)
    odd = mint.add_keyset(input_fee_ppk=0, amounts=(3, 5))
    for need, expected in ((9, odd), (7, whole), (8, odd)):
        assert keysets.usable(mint.url, "sat", amounts=(need,))[0].id == expected
    assert keysets.usable(mint.url, "sat", up_to=3)[0].id == whole, "it could not give change of 1"
    coarse = mint.add_keyset(input_fee_ppk=0, amounts=(1, 2))
    assert keysets.usable(mint.url, "sat", up_to=1998, refresh=True)[0].id == coarse
    assert keysets.usable(mint.url, "sat", up_to=2000)[0].id == whole, "1001 blanks are too many"


def test_one_keyset_that_cannot_be_read_does_not_hide_another() -> None:
    """R228: keys that do not come, of one keyset, are no reason to refuse while another one is usable."""
    keysets, mint, _ = keysets_of(input_fee_ppk=100)
    good = active_id(mint)
    mint.add_keyset(input_fee_ppk=0)
    mint.faults.next("keys", faults.UNREACHABLE)
    assert keysets.usable(mint.url, "sat")[0].id == good


def test_a_mint_that_is_silent_about_its_only_keyset_stays_silent() -> None:
    """R228: no answer is not the answer that there is no keyset."""
    keysets, mint, _ = keysets_of()
    mint.faults.next("keys", faults.REQUEST_LOST)
    with pytest.raises(MintSilent):
        keysets.usable(mint.url, "sat")
    mint.faults.next("keysets", faults.UNREACHABLE)
    with pytest.raises(MintSilent):
        keysets.usable(mint.url, "sat", refresh=True)


def test_an_answer_that_is_no_keyset_is_an_answer() -> None:
    """R228: keys that came and cannot be read make the keyset unusable, not the mint silent."""
    _, mint, clock = keysets_of()

    def unreadable(*_: object) -> Ambiguous:
        return Ambiguous("malformed answer: keys", unreadable=True)

    with pytest.raises(NoUsableKeyset, match="cannot be read"):
        Keysets(Told(mint, keys=unreadable), clock).usable(mint.url, "sat")


def test_a_list_of_many_keysets_is_not_read_through() -> None:
    """R228: the keys of at most ten keysets are asked for."""
    _, mint, clock = keysets_of()
    many = tuple(KeysetInfo("00" + f"{n:014x}", "sat", True) for n in range(500))
    told = Told(mint, keysets=lambda *_: many)
    with pytest.raises(NoUsableKeyset):
        Keysets(told, clock).usable(mint.url, "sat")
    assert told.asked.count("keys") == 10


# -- what is refused before anything is sent or reserved --------------------------------------------


def spoil(mint: SimulatedMint, how: str) -> None:
    if how == "misfit":
        for _ in range(3):
            mint.faults.next("keys", faults.KEYS_DO_NOT_FIT)
        return
    mint.deactivate_keyset()
    if how == "foreign":
        mint.list_keyset(KeysetInfo(V3, "sat", True, 0))
    if how == "odd":
        mint.add_keyset(amounts=(512, 1024))
    if how == "ends":
        mint.add_keyset(final_expiry_s=1_800_000_000 + 60)


@pytest.mark.parametrize("how", ["none", "foreign", "misfit", "odd", "ends"])
def test_a_melt_whose_change_could_not_be_signed_is_refused_before_anything(store: Store, how: str) -> None:
    """R229: NO_USABLE_KEYSET; nothing is sent, nothing is reserved."""
    engine, mint, clock = funded(store)
    spoil(mint, how)
    told = Told(mint)
    with pytest.raises(MintError) as refused:
        Engine(store, told, settings=QUICK, clock=clock).melt(
            npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock)
        )
    assert refused.value.code == "NO_USABLE_KEYSET" and "operation_id" in refused.value.details
    assert "melt" not in told.asked
    assert engine.balance(NPUB).reserved == 0 and engine.balance(NPUB).unspent == 2000
    invariants.check(store, mint)


def test_a_melt_without_change_needs_no_keyset(store: Store) -> None:
    """R230: where the mint takes no reserve and the inputs are exact, no change can be owed: a mint that
    winds down and signs nothing any more can still pay."""
    engine, mint, clock = funded(store, amount=100, mint_options={"input_fee_ppk": 0})
    mint.auto_pay = False
    own = mint.mint_quote(mint.url, 100, "sat")
    assert isinstance(own, MintQuote) and own.request is not None
    mint.deactivate_keyset(active_id(mint))
    paid = Engine(store, mint, settings=QUICK, clock=clock).melt(
        npub=NPUB, mint_url=mint.url, invoice=own.request.reveal()
    )
    assert paid.is_paid and data_in(paid.record).blanks == () and paid.record.inputs
    invariants.check(store, mint)


# -- amounts the keyset has ------------------------------------------------------------------------


def test_funding_change_and_fence_use_the_amounts_the_keyset_has(store: Store) -> None:
    """R231: outputs of funding, change and fence are amounts of the keyset's keys, never others."""
    amounts = (1, 2, 5, 10, 20, 50, 100)
    engine, mint, clock = funded(store, amount=0)
    mint.deactivate_keyset()
    mint.add_keyset(amounts=amounts, input_fee_ppk=100)
    engine = Engine(store, mint, settings=QUICK, clock=clock)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1234)
    token = store.token(store.operations(OperationQuery(limit=10))[0].id + "_minted")
    assert token is not None and {p.amount for p in token.proofs} <= set(amounts)
    assert len(token.proofs) == 12 + 1 + 1 + 2
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(333, clock))
    assert paid.is_final and paid.change > 0
    fee = paid.fee_paid
    assert fee is not None and engine.balance(NPUB).unspent == 1234 - 333 - fee
    mint.faults.next("melt", faults.REQUEST_LOST)
    lost = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(321, clock), wait_s=60)
    for _ in range(20):
        if lost.is_final or data_in(lost.record).fenced_token_id:
            break
        clock.advance(10)
        engine.recover(force=True)
        lost = lost.refresh()
    assert data_in(lost.record).fenced_token_id is not None
    fenced = store.token(data_in(lost.record).fenced_token_id)
    assert fenced is not None and {p.amount for p in fenced.proofs} <= set(amounts)
    invariants.check(store, mint)


def test_a_fence_made_after_a_rotation_uses_the_new_keyset(store: Store) -> None:
    """R232: a fence asks for the keyset list anew: a rotation within the 300 s of the list is seen."""
    engine, mint, clock = funded(store)
    old = active_id(mint)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=0)
    new = mint.rotate_keyset()
    for _ in range(20):
        if data_in(melt.record).fences:
            break
        clock.advance(5)
        engine.recover(force=True, wait_s=2)
        melt = melt.refresh()
    data = data_in(melt.record)
    assert data.fences and {o.id for o in data.fences[0].outputs} == {new} != {old}
    assert clock.mono - 1000 < 300, "the first list is still remembered"
    invariants.check(store, mint)


def test_a_rotation_that_made_a_melt_refused_is_seen_by_the_next_one(store: Store) -> None:
    """R232: after a refusal the list is asked for again: one payment meets the rotation, not all of the next
    300 s."""
    engine, mint, clock = funded(store)
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(5, clock))
    new = mint.rotate_keyset()
    engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=0)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(30, clock))
    assert paid.is_paid and {blank.id for blank in data_in(paid.record).blanks} == {new}
    assert clock.mono - 1000 < 300


# -- coins of keysets a mint no longer honours ------------------------------------------------------


def with_ending_coins(store: Store) -> tuple[Engine, SimulatedMint, FakeClock]:
    """500 on a keyset whose final expiry is over by now, and 300 on another one."""
    engine, mint, clock = funded(store, amount=300)
    good = active_id(mint)
    mint.deactivate_keyset()
    mint.add_keyset(final_expiry_s=clock.now() // 1000 + 7200)
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=500)
    mint.add_keyset(input_fee_ppk=100)
    assert engine.balance(NPUB).stranded == 0 and good
    clock.advance(7200)
    return engine, mint, clock


def test_coins_of_a_keyset_whose_time_is_over_are_not_chosen(store: Store) -> None:
    """R235: they are left alone while others suffice, and told apart from what can be spent."""
    engine, mint, clock = with_ending_coins(store)
    paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(200, clock))
    assert paid.is_paid and paid.fee_paid is not None
    balance = engine.balance(NPUB)
    assert (balance.stranded, balance.unspent) == (500, 300 - 200 - paid.fee_paid)
    with pytest.raises(Refused) as refused:
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(400, clock))
    assert refused.value.code == "INSUFFICIENT_BALANCE"
    assert refused.value.details["stranded"] == 500
    assert refused.value.details["available"] == balance.unspent and "500" in str(refused.value)
    invariants.check(store, mint)


def test_the_balance_asks_no_mint_unless_it_is_told_to(store: Store) -> None:
    """R235: by default what is remembered counts; ``ask_mints`` asks; a silent mint changes nothing."""
    _, mint, clock = with_ending_coins(store)
    told = Told(mint)
    engine = Engine(store, told, settings=QUICK, clock=clock)
    assert (engine.balance(NPUB).stranded, told.asked) == (0, [])
    mint.faults.next("keysets", faults.UNREACHABLE)
    assert engine.balance(NPUB, ask_mints=True).stranded == 0
    asked = engine.balance(NPUB, ask_mints=True)
    assert (asked.stranded, asked.unspent) == (500, 300) and set(told.asked) == {"keysets"}
    told.asked.clear()
    assert engine.balance(NPUB).stranded == 500 and engine.balance(NPUB, "https://other").stranded == 0
    assert told.asked == []


def test_a_keyset_the_mint_dropped_is_asked_about_once(store: Store) -> None:
    """R235: the remembered list does not know the coins' keyset: asked again once, then not for every
    payment; when the mint lists it again they are money again."""
    engine, mint, clock = funded(store, amount=500)
    old = active_id(mint)
    mint.rotate_keyset()
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=300)
    hidden = [old]

    def without(answer: tuple[KeysetInfo, ...], *_: object) -> tuple[KeysetInfo, ...]:
        return tuple(k for k in answer if k.id not in hidden)

    told = Told(mint, keysets=without)
    engine = Engine(store, told, settings=QUICK, clock=clock)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock)).is_paid
    first = told.asked.count("keysets")
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(20, clock)).is_paid
    assert (first, told.asked.count("keysets")) == (2, 2)
    assert engine.balance(NPUB).stranded == 500
    hidden.clear()
    clock.advance(301)
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(400, clock)).is_paid
    assert engine.balance(NPUB).stranded == 0
    invariants.check(store, mint)


def test_a_keyset_that_is_new_since_the_list_was_read_is_found(store: Store) -> None:
    """R235: coins of a keyset that another process met are spent: the list is asked for again."""
    engine, mint, clock = funded(store, amount=10)
    mint.rotate_keyset()
    other = Engine(store, mint, settings=QUICK, clock=clock)
    other.mint_tokens(npub=NPUB, mint_url=mint.url, amount=500)
    assert engine.balance(NPUB).stranded == 0, "nothing is known of it, so it is not called stranded"
    assert engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(400, clock)).is_paid


def test_a_token_of_a_keyset_that_is_new_since_the_list_was_read_is_taken(store: Store) -> None:
    """R235: a deposit asks for the list again when it does not know the keyset, and once only."""
    engine, mint, clock = funded(store, amount=10)
    mint.rotate_keyset()
    with open_store("memory://") as theirs:
        Engine(theirs, mint, settings=QUICK, clock=clock).mint_tokens(npub=NPUB, mint_url=mint.url, amount=8)
        (found,) = theirs.tokens(TokenQuery(states=("unspent",)))
    told = Told(mint)
    late = Engine(store, told, settings=QUICK, clock=clock)
    late._keysets = engine._keysets.asking(told)
    for short in (False, True):
        proofs = [evolve(p, id=p.id[:16]) if short else p for p in found.proofs[:1]]
        if short:
            with pytest.raises(Refused) as twice:
                late.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url)
            assert twice.value.code == "DUPLICATE_PROOF"
        else:
            assert late.deposit(npub=NPUB, proofs=proofs, mint_url=mint.url).state == "deposited"
    for _ in range(2):
        with pytest.raises(Refused) as unknown:
            late.deposit(npub=NPUB, proofs=[fake_proof(4, "elsewhere")], mint_url=mint.url)
        assert unknown.value.code == "MINT_OR_UNIT_MISMATCH"
    assert told.asked.count("keysets") == 2, "once for the new keyset, once for the unknown one"


def test_coins_of_a_keyset_whose_time_is_over_are_not_taken_in(store: Store) -> None:
    """R235: the mint still calls them UNSPENT, and will never take them."""
    engine, mint, clock = funded(store, amount=0)
    mint.deactivate_keyset()
    mint.add_keyset(final_expiry_s=clock.now() // 1000 + 7200)
    with open_store("memory://") as theirs:
        Engine(theirs, mint, settings=QUICK, clock=clock).mint_tokens(npub=NPUB, mint_url=mint.url, amount=8)
        (found,) = theirs.tokens(TokenQuery(states=("unspent",)))
    clock.advance(7200)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, proofs=found.proofs, mint_url=mint.url)
    assert refused.value.code == "KEYSET_EXPIRED" and not store.tokens(TokenQuery(limit=1))


def test_a_fence_without_a_usable_keyset_says_so(store: Store) -> None:
    """R229: a mint that stops signing leaves a lost payment without a fence; the reason names that."""
    engine, mint, clock = funded(store)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock), wait_s=0)
    mint.deactivate_keyset()
    for _ in range(20):
        if melt.is_parked:
            break
        clock.advance(5)
        engine.recover(force=True, wait_s=2)
        melt = melt.refresh()
    assert melt.is_parked and melt.reason is not None and melt.reason.code == "NO_USABLE_KEYSET"
    invariants.check(store, mint)


# -- what is remembered ----------------------------------------------------------------------------


def test_keys_that_did_not_fit_once_are_asked_for_again() -> None:
    """R225: it heals when the mint heals."""
    keysets, mint, _ = keysets_of()
    mint.faults.next("keys", faults.KEYS_DO_NOT_FIT)
    with pytest.raises(NoUsableKeyset):
        keysets.usable(mint.url, "sat")
    assert keysets.usable(mint.url, "sat")[0].id == active_id(mint)


def test_the_memory_of_keysets_is_bounded() -> None:
    """R239: of many mints and keysets the longest unused are forgotten, and asked for again when needed."""
    clock = FakeClock()
    mint = SimulatedMint(now_ms=clock.now)
    asked: list[tuple[str, str]] = []

    class Everywhere:
        """The same mint at every address."""

        def keysets(self, url: str) -> Any:
            asked.append(("keysets", url))
            return mint.keysets(mint.url)

        def keys(self, url: str, keyset_id: str) -> Any:
            asked.append(("keys", url))
            return mint.keys(mint.url, keyset_id)

        def info(self, url: str) -> Any:
            asked.append(("info", url))
            return mint.info(mint.url)

    port: Any = Everywhere()
    keysets = Keysets(port, clock, Settings(mints_remembered_max=3, keysets_remembered_max=5))
    for n in range(50):
        keysets.usable(f"https://{n}", "sat")
        keysets.usable("https://often", "sat")
        keysets.info(f"https://{n}")
    assert (len(keysets._lists), len(keysets._infos), len(keysets._keys)) == (3, 3, 5)
    assert asked.count(("keys", "https://often")) == 1, "what is used stays"
    asked.clear()
    keysets.usable("https://0", "sat")
    assert asked == [("keysets", "https://0"), ("keys", "https://0")]
