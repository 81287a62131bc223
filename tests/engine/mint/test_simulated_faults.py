"""Every fault of design F6, one by one: what the wallet sees, and what is really true."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nutstate.engine.cashu.coins import outputs
from nutstate.engine.cashu.port import Ambiguous, Refused, Unreachable, is_value
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.simulated.faults import (
    ANSWER_LOST,
    CHANGE_BAD_DLEQ,
    CHANGE_ROTATED,
    CHANGE_ZERO,
    CUT,
    DUPLICATED,
    ENDPOINTS,
    LATE,
    RATE_LIMITED,
    REQUEST_LOST,
    RESTORE_UNSUPPORTED,
    SERVER_ERROR,
    UNREACHABLE,
    Fault,
    change_delayed,
    change_over,
    change_short,
    lie_about,
    quote_state,
    restore_partial,
)
from nutstate.engine.simulated.mint import SimulatedMint
from nutstate.storage.secret import Secret
from tests.contract.mint.purse import Purse, known, value
from tests.engine.mint.test_simulated import Melt


@pytest.fixture
def mint() -> Iterator[SimulatedMint]:
    with SimulatedMint() as simulated:
        yield simulated


@pytest.fixture
def melt(mint: SimulatedMint) -> Melt:
    purse = Purse(mint, mint.url)
    purse.fund(4096)
    return Melt(mint, purse, blanks=6)


@pytest.mark.parametrize(
    ("fault", "answer", "executed"),
    [
        (UNREACHABLE, Unreachable("connection refused"), False),
        (REQUEST_LOST, Ambiguous("no answer in time"), False),
        (RATE_LIMITED, Ambiguous("HTTP 429"), False),
        (ANSWER_LOST, Ambiguous("no answer in time"), True),
        (CUT, Ambiguous("body is not JSON"), True),
        (SERVER_ERROR, Ambiguous("HTTP 500"), True),
        (DUPLICATED, Refused(20006, "melt quote is not unpaid: paid", False), True),
    ],
    ids=lambda v: v.kind if isinstance(v, Fault) else "",
)
def test_transport_faults(
    mint: SimulatedMint, melt: Melt, fault: Fault, answer: object, executed: bool
) -> None:
    mint.faults.next("melt", fault)
    assert melt.send() == answer
    assert melt.state().state == ("PAID" if executed else "UNPAID")
    assert melt.inputs_are() == ({"SPENT"} if executed else {"UNSPENT"})
    assert mint.lightning.payments(melt.payment_hash) == (1 if executed else 0)
    if not executed:
        assert value(melt.send()).state == "PAID"  # one fault, one call


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_can_be_lost(mint: SimulatedMint, melt: Melt, endpoint: str) -> None:
    mint.faults.next(endpoint, UNREACHABLE)
    mint.faults.next(endpoint, ANSWER_LOST)
    url, purse = mint.url, melt.purse
    calls: dict[str, Callable[[], object]] = {
        "info": lambda: mint.info(url),
        "keysets": lambda: mint.keysets(url),
        "keys": lambda: mint.keys(url, melt.inputs[0].id),
        "melt_quote": lambda: mint.melt_quote(url, mint.lightning.invoice(5), "sat"),
        "melt_quote_state": lambda: mint.melt_quote_state(url, melt.quote.id),
        "melt": melt.send,
        "check_states": lambda: mint.check_states(url, []),
        "swap": lambda: mint.swap(url, bodies.swap_body([], [])),
        "restore": lambda: mint.restore(url, []),
        "mint_quote": lambda: mint.mint_quote(url, 5, "sat"),
        "mint_quote_state": lambda: mint.mint_quote_state(url, "nope"),
        "mint": lambda: mint.mint(url, bodies.mint_body("nope", ())),
    }
    assert isinstance(calls[endpoint](), Unreachable)
    assert isinstance(calls[endpoint](), Ambiguous)
    assert not isinstance(calls[endpoint](), Unreachable | Ambiguous)
    assert purse.proofs


def test_late_requests_are_executed_later(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", LATE)
    assert melt.send() == Ambiguous("no answer in time")
    assert (melt.state().state, melt.inputs_are()) == ("UNPAID", {"UNSPENT"})
    assert mint.deliver_late() == 1
    assert (melt.state().state, melt.inputs_are()) == ("PAID", {"SPENT"})
    assert mint.deliver_late() == 0


def test_a_late_melt_loses_against_the_fence(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", LATE)
    melt.send()
    worth = sum(proof.amount for proof in melt.inputs) - melt.purse.fee(melt.inputs)
    value(mint.swap(mint.url, bodies.swap_body(melt.inputs, melt.purse.outputs(worth))))
    assert mint.deliver_late() == 1
    assert melt.state().state == "UNPAID"
    assert mint.lightning.attempts(melt.payment_hash) == 0


def test_late_swaps_and_issues_and_reordering(mint: SimulatedMint, melt: Melt) -> None:
    quote = value(mint.mint_quote(mint.url, 8, "sat"))
    issued = melt.purse.outputs(8)
    mint.faults.next("mint", LATE)
    mint.faults.next("swap", LATE)
    assert isinstance(mint.mint(mint.url, bodies.mint_body(quote.id, issued)), Ambiguous)
    worth = sum(proof.amount for proof in melt.inputs) - melt.purse.fee(melt.inputs)
    swapped = melt.purse.outputs(worth)
    assert isinstance(mint.swap(mint.url, bodies.swap_body(melt.inputs, swapped)), Ambiguous)
    # the melt was sent last and arrives first
    assert value(melt.send()).state == "PAID"
    assert mint.deliver_late() == 2
    assert value(mint.mint_quote_state(mint.url, quote.id)).state == "ISSUED"
    assert len(value(mint.restore(mint.url, outputs.blinded(issued))).outputs) == len(issued)
    assert value(mint.restore(mint.url, outputs.blinded(swapped))).outputs == ()


def test_a_doubled_request_that_fails_first_pays_the_second_time(mint: SimulatedMint, melt: Melt) -> None:
    mint.lightning.script("*", "FAILED", "PAID")
    mint.faults.next("melt", DUPLICATED)
    assert value(melt.send()).state == "PAID"
    assert mint.lightning.attempts(melt.payment_hash) == 2


def test_a_cached_pending_answer(mint: SimulatedMint, melt: Melt) -> None:
    value(melt.send())
    mint.faults.next("melt", quote_state("PENDING"))
    cached = value(melt.send())
    assert (cached.state, cached.change, cached.preimage) == ("PENDING", (), None)
    assert melt.state().state == "PAID"


def test_a_cached_answer_executes_nothing(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", quote_state("PENDING"))
    assert value(melt.send()).state == "PENDING"
    assert (melt.state().state, melt.inputs_are()) == ("UNPAID", {"UNSPENT"})


def test_a_cached_answer_to_nonsense(mint: SimulatedMint) -> None:
    for text in ("", "[]", "{}", '{"quote":"nope"}'):
        mint.faults.next("melt", quote_state("PENDING"))
        assert mint.melt(mint.url, Secret(text)) == Refused(0, "quote not found", False)


def test_a_flapping_quote(mint: SimulatedMint, melt: Melt) -> None:
    value(melt.send())
    for state in ("PENDING", "UNPAID", "PAID", "UNPAID"):
        mint.faults.next("melt_quote_state", quote_state(state))
    assert [melt.state().state for _ in range(5)] == ["PENDING", "UNPAID", "PAID", "UNPAID", "PAID"]
    mint.faults.next("mint_quote_state", quote_state("ISSUED"))
    quote = value(mint.mint_quote(mint.url, 8, "sat"))
    assert value(mint.mint_quote_state(mint.url, quote.id)).state == "ISSUED"


def test_paid_before_the_change_is_signed(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", change_delayed(3))
    paid = value(melt.send())
    assert (paid.state, paid.change) == ("PAID", ())
    assert [len(melt.state().change), melt.restored(), len(melt.state().change)] == [0, 0, 0]
    assert melt.change(melt.state()) == 5
    assert melt.restored() == 2


def test_the_delay_counts_from_when_it_is_paid(mint: SimulatedMint, melt: Melt) -> None:
    mint.lightning.script("*", "PENDING")
    mint.faults.next("melt", change_delayed(1))
    value(melt.send())
    assert melt.state().state == "PENDING"
    mint.lightning.settle(melt.payment_hash)
    first, second = melt.state(), melt.state()
    assert (first.state, first.change) == ("PAID", ())
    assert melt.change(second) == 5


def test_change_short_and_over(mint: SimulatedMint) -> None:
    for fault, expected in ((change_short(2), 3), (change_over(7), 12), (change_short(99), 0)):
        purse = Purse(mint, mint.url)
        purse.fund(2048)
        melt = Melt(mint, purse)
        mint.faults.next("melt", fault)
        paid = value(melt.send())
        assert melt.change(paid) == expected
        assert melt.state().change == paid.change


def test_zero_valued_change_entries(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", CHANGE_ZERO)
    paid = value(melt.send())
    assert [known(signature).amount for signature in paid.change] == [0, 4, 0, 1]
    assert melt.change(paid) == 5  # by index: blanks 1 and 3
    assert melt.purse.states(melt.purse.open(melt.blanks, paid)) == {"UNSPENT"}


def test_change_with_a_wrong_dleq(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", CHANGE_BAD_DLEQ)
    paid = value(melt.send())
    with pytest.raises(outputs.BadSignature) as caught:
        melt.purse.open(melt.blanks, paid)
    assert caught.value.index == 0
    restored = value(mint.restore(mint.url, outputs.blinded(melt.blanks)))
    with pytest.raises(outputs.BadSignature):
        outputs.unblind_restored(melt.blanks, restored, melt.purse.keys_for)


def test_change_signed_with_a_rotated_keyset(mint: SimulatedMint, melt: Melt) -> None:
    old = melt.purse.active()
    mint.faults.next("melt", CHANGE_ROTATED)
    paid = value(melt.send())
    change = melt.purse.open(melt.blanks, paid)
    assert {proof.id for proof in change} == {melt.purse.active()} != {old}
    assert sum(proof.amount for proof in change) == 5
    melt.purse.proofs = list(change)
    worth = 5 - melt.purse.fee(change)
    value(mint.swap(mint.url, bodies.swap_body(change, melt.purse.outputs(worth))))


def test_faults_that_happen_together(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", ANSWER_LOST, change_short(1), change_delayed(1))
    assert isinstance(melt.send(), Ambiguous)
    assert melt.state().change == ()
    assert melt.change(melt.state()) == 4


def test_late_requests_keep_their_other_faults(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt", LATE, change_short(1))
    melt.send()
    mint.deliver_late()
    assert melt.change(melt.state()) == 4


def test_lies_about_proofs(mint: SimulatedMint, melt: Melt) -> None:
    ys = [proof.Y for proof in melt.inputs if proof.Y is not None]
    mint.faults.next("check_states", lie_about({ys[0]: "SPENT"}))
    states = value(mint.check_states(mint.url, ys))
    assert [state.state for state in states] == ["SPENT"] + ["UNSPENT"] * (len(ys) - 1)
    assert melt.inputs_are() == {"UNSPENT"}


def test_restore_partial_and_unsupported(mint: SimulatedMint, melt: Melt) -> None:
    value(melt.send())
    mint.faults.next("restore", restore_partial(1))
    mint.faults.next("restore", RESTORE_UNSUPPORTED)
    assert melt.restored() == 1
    assert mint.restore(mint.url, outputs.blinded(melt.blanks)) == Refused(None, "Not Found", False)
    assert melt.restored() == 2


def test_a_call_can_be_left_alone(mint: SimulatedMint, melt: Melt) -> None:
    mint.faults.next("melt_quote_state")
    mint.faults.next("melt_quote_state", REQUEST_LOST)
    assert melt.state().state == "UNPAID"
    assert isinstance(mint.melt_quote_state(mint.url, melt.quote.id), Ambiguous)


def test_faults_that_make_no_sense(mint: SimulatedMint) -> None:
    for endpoint, fault in (
        ("info", LATE),
        ("swap", change_short(1)),
        ("melt", restore_partial(1)),
        ("nothing", ANSWER_LOST),
        ("melt", Fault("unheard_of")),
    ):
        with pytest.raises(ValueError):
            mint.faults.next(endpoint, fault)
    for percent, kinds in ((101, ["late"]), (-1, ["late"]), (5, ["change_short"]), (5, [])):
        with pytest.raises(ValueError):
            mint.faults.chaos(1, percent, kinds=kinds)


def _storm(seed: int, percent: int) -> list[str]:
    with SimulatedMint() as mint:
        mint.faults.chaos(seed, percent)
        calls = [mint.info(mint.url) if n % 2 else mint.mint_quote(mint.url, 5, "sat") for n in range(60)]
        return [type(answer).__name__ for answer in calls]


def test_chaos_follows_its_seed() -> None:
    assert _storm(7, 40) == _storm(7, 40) != _storm(8, 40)
    bad = sum(name in ("Unreachable", "Ambiguous") for name in _storm(7, 40))
    assert 5 <= bad <= 40
    assert set(_storm(7, 0)) == {"MintInfo", "MintQuote"}


def test_chaos_at_chosen_endpoints_and_its_end(mint: SimulatedMint) -> None:
    mint.faults.chaos(1, 100, kinds=["unreachable"], endpoints=["info"])
    mint.faults.next("keysets", REQUEST_LOST)
    assert isinstance(mint.info(mint.url), Unreachable)
    assert is_value(mint.mint_quote(mint.url, 5, "sat"))
    mint.faults.stop()
    assert is_value(mint.info(mint.url))
    assert is_value(mint.keysets(mint.url))


def test_late_means_nothing_to_a_read(mint: SimulatedMint) -> None:
    mint.faults.chaos(1, 100, kinds=["late"])
    assert is_value(mint.info(mint.url))
