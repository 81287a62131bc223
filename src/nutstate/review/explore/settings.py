"""The configurations that are explored by default: each small, each for one kind of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .setting import Plan, Setting

_TWO = (("A", (("a", 4), ("b", 1))),)
_ONE = (("A", (("a", 5),)),)
_BIG = (("C", (("c", 8),)),)


def _melt(name: str = "m1", **changes: Any) -> Plan:
    """Pay 3 with proofs of 4 and 1: one for Lightning, one for the input fee."""
    plan: dict[str, Any] = {
        "name": name,
        "amount": 3,
        "invoice": "invoice",
        "fee_reserve": 1,
        "input_fee": 1,
        **changes,
    }
    return Plan(**plan)


def _single(name: str, about: str, *plans: Plan, **options: Any) -> Setting:
    chosen: dict[str, Any] = {"tokens": _TWO, **options}
    return Setting(name, about, plans or (_melt(),), **chosen)


def _issue(name: str = "f1", follows: str = "") -> Plan:
    return Plan(name, kind="mint", amount=4, invoice=follows or name, follows=follows)


def _swap(name: str = "s1", **changes: Any) -> Plan:
    """Swap for 3: one goes to the mint as input fee, the rest comes back."""
    plan: dict[str, Any] = {"name": name, "kind": "swap", "amount": 3, "input_fee": 1, **changes}
    return Plan(**plan)


DEFAULT: tuple[Setting, ...] = (
    _single(
        "pay",
        "one melt, every answer, any number of crashes; the mint may take more than its reserve",
        fees=(0, 1, 2),
    ),
    _single(
        "late",
        "requests arrive late and twice; only the fence makes it safe",
        fees=(0, 1),
        late=True,
        doubled=True,
    ),
    _single(
        "overpaid",
        "change is owed whatever Lightning costs",
        _melt(),
        tokens=_BIG,
        fees=(0, 1),
    ),
    _single(
        "withheld",
        "the mint owes change and does not sign it in time",
        _melt(),
        tokens=_BIG,
        fees=(0, 1),
        withholds=True,
    ),
    _single(
        "keep",
        "two steps, and a proof that stays behind",
        _melt(amount=2, two_step=True),
        fees=(0, 1),
    ),
    _single("trust", "inputs are released on the mint's word", _melt(policy="trust"), fees=(0, 1)),
    _single(
        "fast",
        "the mint refuses the request itself; its inputs are free within seconds",
        _melt(policy="fast"),
        fees=(0, 1),
    ),
    _single(
        "broken-fast",
        "the mint refuses a request, confirms it twice, and executes it after all",
        _melt(policy="fast"),
        late=True,
        operator=False,
    ),
    _single(
        "unclear",
        "the mint may name unknown states, and requests arrive late",
        unclear=True,
        late=True,
        fees=(0,),
    ),
    _single(
        "broken-trust",
        "the same, and a request arrives after all",
        _melt(policy="trust"),
        fees=(0,),
        late=True,
    ),
    _single(
        "retry",
        "the same request is sent a second time",
        _melt(policy="retry_then_fence"),
        late=True,
        operator=False,
    ),
    _single("stolen", "another program can spend one of the proofs", _melt(two_step=True), stolen=("a",)),
    _single(
        "workers", "a second worker takes over while the first waits", workers=2, late=True, operator=False
    ),
    _single(
        "rotate",
        "the mint changes its keyset between fence and fence",
        rotates=True,
        late=True,
        operator=False,
    ),
    _single(
        "slow",
        "time passes between the mint's last answer and the decision",
        slow=True,
        late=True,
        operator=False,
        cancels=False,
    ),
    _single(
        "refused-coin",
        "the mint will not take one of two coins; requests arrive late",
        _melt(amount=4),
        tokens=(("A", (("a", 4), ("b", 4))),),
        refuses=("b",),
        late=True,
        crashes=1,
    ),
    _single(
        "refused-first",
        "the mint will not take the coin that is tried first",
        _melt(amount=4),
        tokens=(("A", (("a", 4), ("b", 4))),),
        refuses=("a",),
        operator=False,
        crashes=0,
    ),
    _single(
        "refused-coins",
        "the mint takes none of the coins",
        _melt(),
        refuses=("a", "b"),
        crashes=1,
    ),
    _single(
        "issue",
        "ecash for an invoice that is paid in time, late or never",
        _issue(),
        tokens=(),
        rotates=True,
        late_pays=True,
    ),
    _single(
        "stuck-issue",
        "the mint stores outputs and never signs them, or says that it has no usable keyset",
        _issue(),
        tokens=(),
        unsigned=True,
        closes=True,
        outputs_max=2,
        crashes=1,
    ),
    _single(
        "closed-issue",
        "an invoice is paid late, and the mint says that it has no usable keyset",
        _issue(),
        tokens=(),
        closes=True,
        late_pays=True,
        crashes=1,
        operator=False,
    ),
    _single(
        "follow-up",
        "an invoice is paid after its watch is over, and a caller asks about it again",
        _issue(),
        _issue("f2", follows="f1"),
        tokens=(),
        late_pays=True,
        crashes=1,
        operator=False,
        retries_max=0,
    ),
    _single(
        "release",
        "an operator releases, and a request or a fence of ours arrives after all",
        late=True,
    ),
    _single(
        "write-off",
        "an operator gives up while the mint, which says PAID, has not signed the change yet",
    ),
    _single(
        "give-up",
        "an operator gives up while a late request is executed or a proof is stolen",
        stolen=("a",),
        late=True,
    ),
    _single(
        "force",
        "an operator gives up by force, and a request or a fence of ours arrives after all",
        tokens=_ONE,
        late=True,
        forces=True,
        cancels=False,
        crashes=0,
        fences_max=1,
    ),
    _single(
        "slow-trust",
        "trust, and time passes between the mint's last answer and the decision",
        _melt(policy="trust"),
        slow=True,
        operator=False,
        cancels=False,
    ),
    _single(
        "slow-issue",
        "time passes between the mint's last answer and the decision",
        _issue(),
        tokens=(),
        slow=True,
        late_pays=True,
    ),
    _single(
        "fund-and-pay",
        "a melt with proofs that are still to be issued",
        _issue(),
        _melt(amount=2),
        tokens=(),
        operator=False,
        cancels=False,
        crashes=1,
    ),
    _single(
        "hold",
        "a caller holds tokens and may take it back; another program can spend one of the proofs",
        Plan("r1", kind="record", invoice="invoice", amount=3, sources=("A",)),
        stolen=("a",),
        forces=True,
    ),
    _single(
        "hold-and-pay",
        "a caller holds tokens and claims an invoice, and a melt wants both",
        Plan("r1", kind="record", invoice="invoice", amount=3, sources=("A",)),
        _melt(),
        tokens=(*_TWO, *_BIG),
        operator=False,
        crashes=1,
    ),
    _single(
        "unheld",
        "a caller pays with tokens that it did not hold and records that, and a melt wants the same tokens",
        Plan("r1", kind="record", invoice="invoice", amount=3, sources=("A",), held=False),
        _melt(invoice="other"),
        tokens=_ONE,
        operator=False,
        fences_max=1,
    ),
    _single(
        "swap",
        "one swap, every answer, any number of crashes; an operator by force; the keyset may change",
        _swap(),
        tokens=_BIG,
        rotates=True,
        forces=True,
    ),
    _single(
        "swap-late",
        "a request of a swap arrives late and twice, and a second worker takes over while the first waits",
        _swap(),
        tokens=_BIG,
        late=True,
        doubled=True,
        workers=2,
        crashes=1,
    ),
    _single(
        "swap-refused",
        "the mint will not take the only coin of a swap",
        _swap(),
        tokens=_BIG,
        refuses=("c",),
        crashes=1,
    ),
    _single(
        "swap-stolen",
        "another program spends one of two coins of a swap",
        _swap(amount=8),
        tokens=(("A", (("a", 5), ("b", 4))),),
        stolen=("a",),
        forces=True,
    ),
    _single(
        "swap-and-melt",
        "a swap and a melt want the same coins, and a request of the swap arrives late",
        _swap(),
        _melt(),
        tokens=_BIG,
        operator=False,
        cancels=False,
        late=True,
        crashes=0,
        fences_max=1,
    ),
    _single(
        "same-coins",
        "two melts want the same proofs",
        _melt(),
        _melt("m2", invoice="other"),
        operator=False,
        cancels=False,
        crashes=1,
    ),
    _single(
        "same-invoice",
        "two melts want to pay the same invoice",
        _melt(amount=2, sources=("A",)),
        _melt("m2", amount=2, sources=("C",)),
        tokens=(*_TWO, *_BIG),
        operator=False,
        cancels=False,
        crashes=1,
    ),
)
"""The settings in which the machines of this release are explored."""

BIG: tuple[Setting, ...] = (
    _single(
        "refused-coin-big",
        "the mint will not take one of three coins, in two tokens; requests arrive late",
        _melt(amount=8),
        tokens=(("A", (("a", 4), ("b", 4))), ("C", (("c", 4),))),
        refuses=("b",),
        late=True,
        crashes=1,
    ),
    _single(
        "same-coins-big",
        "two melts want the same proofs; late requests, any crash",
        _melt(),
        _melt("m2", invoice="other"),
        late=True,
        operator=False,
    ),
    _single(
        "same-invoice-big",
        "two melts want to pay the same invoice; any crash, an operator",
        _melt(amount=2, sources=("A",)),
        _melt("m2", amount=2, sources=("C",)),
        tokens=(*_TWO, *_BIG),
    ),
    _single(
        "everything-big",
        "one melt in two steps: late, doubled, stolen, rotated, two workers",
        _melt(two_step=True, policy="retry_then_fence"),
        late=True,
        doubled=True,
        stolen=("a",),
        rotates=True,
        workers=2,
        fees=(0, 2),
    ),
)
"""Explored on request only: minutes, not seconds."""

SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in (*DEFAULT, *BIG)}
"""Every configuration by its name."""
