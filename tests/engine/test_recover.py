"""What `Engine.recover` takes up by itself, and what `force` adds."""

from __future__ import annotations

import pytest

from nutstate import Engine, Handle, NutstateError, SimulatedMint, Store

from ..support.clock import FakeClock
from ..support.wallet import NPUB, funded, invoice, payment_hash


def pending(engine: Engine, mint: SimulatedMint, clock: FakeClock) -> Handle:
    """A melt that the mint calls PENDING, asked about just now."""
    text = invoice(100, clock)
    mint.lightning.script(payment_hash(text), "PENDING")
    return engine.melt(npub=NPUB, mint_url=mint.url, invoice=text, wait_s=0)


def test_what_is_not_due_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R306: the mint that was asked a moment ago is not asked again; with force it is."""
    engine, mint, clock = funded(store)
    melt = pending(engine, mint, clock)
    due = engine.operation(melt.id).record.next_check_at
    assert due is not None and due > clock.now()
    asked: list[str] = []
    real = mint.melt_quote_state

    def ask(url: str, name: str) -> object:
        asked.append(name)
        return real(url, name)

    monkeypatch.setattr(mint, "melt_quote_state", ask)
    assert engine.recover() == () and not asked
    assert [handle.id for handle in engine.open_operations()] == [melt.id]
    assert [handle.id for handle in engine.recover(force=True)] == [melt.id] and asked


def test_the_wait_covers_the_time_until_it_is_due(store: Store) -> None:
    """R306: `wait_s` is waited out until the operation is due, and what is left of it for its end."""
    engine, mint, clock = funded(store)
    melt = pending(engine, mint, clock)
    mint.lightning.settle(str(melt.record.payment_hash))
    due = engine.operation(melt.id).record.next_check_at
    assert due is not None
    left_s = (due - clock.now()) / 1000
    assert engine.recover(wait_s=left_s / 2) == ()
    begun = clock.now()
    (done,) = engine.recover(wait_s=left_s + 1)
    assert done.state == "reconciled" and due <= clock.now() <= begun + (left_s + 1) * 1000


def test_what_waits_for_its_caller_is_not_waited_for(store: Store) -> None:
    """R306: a prepared melt and a hold have a time too, at which they end; recover does not wait for it."""
    engine, mint, clock = funded(store)
    engine.prepare_melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    begun = clock.now()
    assert engine.recover(wait_s=3600) == () and clock.now() == begun


def test_a_drive_that_raised_is_due_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R306: what an error of the store interrupted is taken up by the next `recover`, without force."""
    engine, mint, clock = funded(store)
    real, count = store.commit, [0]

    def commit(batch: object, *read_back: object) -> None:
        count[0] += 1
        if count[0] in (2, 3):  # with the reconciliation, and alone
            raise RuntimeError("once")
        real(batch, *read_back)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", commit)
    with pytest.raises(RuntimeError, match="once"):
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    (done,) = engine.recover(wait_s=60)
    assert done.kind == "melt" and done.is_final


@pytest.mark.parametrize("kind", ["token", "melts", "", 5, "none"])
def test_only_kinds_of_operations_are_asked_for(store: Store, kind: object) -> None:
    """R310: tokens are no operations, so that an empty list is not taken for "there are none"."""
    engine, _, _ = funded(store, amount=0)
    with pytest.raises(NutstateError) as raised:
        engine.operations(kind=kind)  # type: ignore[arg-type]
    assert raised.value.code == "INVALID_CHOICE" and "token" not in raised.value.message
    for name in engine.kinds.names:
        assert engine.operations(kind=name) == ()


@pytest.mark.parametrize("state", ["unspent", "none", "melted", ""])
def test_only_states_of_operations_are_asked_for(store: Store, state: str) -> None:
    """R310: the same holds for a state that no operation can be in."""
    engine, _, _ = funded(store, amount=0)
    with pytest.raises(NutstateError) as raised:
        engine.operations(states=[state])
    assert raised.value.code == "INVALID_CHOICE"
    assert engine.operations(states=engine.kinds.states) == ()
