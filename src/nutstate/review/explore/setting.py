"""The setting of one exploration: the machines, the coins, the operations, and the possible faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import frozen

from ...engine.loop.drive import Result, Run
from ...engine.loop.kinds import Kinds
from ...engine.operations.built_in import BUILT_IN
from ...machines.money import owed_max, owed_min
from ...machines.spec import Machine
from ...machines.token.table import TOKEN


@frozen
class Tables:
    """The machines whose decisions are explored, with the code of their kinds. Every one may be replaced by a
    mutant or by the variant of an embedding service that uses the same actions and effects."""

    token: Machine[Any] = TOKEN
    kinds: Kinds = BUILT_IN

    def of(self, kind: str) -> Machine[Any]:
        """The newest machine of a kind of operation."""
        return self.kinds.named(kind).latest

    def under(self, *machines: Machine[Any]) -> Tables:
        """The same with these machines in place of those of their names. Code KIND_INVALID for one whose kind
        has no code for an action or an effect."""
        token, kinds = self.token, {kind.name: kind for kind in self.kinds}
        for machine in machines:
            if machine.name == token.name:
                token = machine
            elif machine != kinds[machine.name].latest:
                kinds[machine.name] = attrs.evolve(kinds[machine.name], machines=(machine,))
        return Tables(token, Kinds(*kinds.values()))

    def kinds_with(self, actions: Mapping[str, Callable[[Run], Result]]) -> Kinds:
        """The kinds with this code for some of their actions."""
        found = []
        for kind in self.kinds:
            own = {name: code for name, code in actions.items() if name in kind.actions}
            found.append(attrs.evolve(kind, actions={**kind.actions, **own}))
        return Kinds(*found)


@frozen
class Plan:
    """One operation that a caller may ask for. ``sources`` are the tokens a melt must take (() means
    that the engine chooses); ``policy`` is what it does once the mint proves it unpaid (fast, fence,
    retry_then_fence, trust).
    ``follows``: it looks again at the quote of this funding, once that ended unpaid."""

    name: str
    kind: str = "melt"
    amount: int = 0
    invoice: str = ""
    fee_reserve: int = 0
    input_fee: int = 0
    sources: tuple[str, ...] = ()
    policy: str = "fence"
    two_step: bool = False
    follows: str = ""
    held: bool = True

    def owed(self, total: int) -> tuple[int, int]:
        """(owed_min, owed_max) of the change when inputs are worth ``total``."""
        return (
            owed_min(total, self.amount, self.input_fee, self.fee_reserve),
            owed_max(total, self.amount, self.input_fee),
        )


@frozen
class Setting:
    """A small configuration.

    ``late``: a request may still arrive after the settle window (what only the fence survives).
    ``unclear``: the mint may name a state of the quote that is none of those we know.
    ``doubled``: the network may deliver a request more than once. ``fees``: what Lightning may cost (more
    than the reserve is a mint that cheats). ``stolen``: coins that another program may spend at the mint.
    ``crashes``: how many; None = any number. ``workers`` 2: another worker may take over while the first
    still waits for its answer. ``slow``: time may pass between the mint's last answer and the decision.
    ``operator``: an operator looks after parked operations at any time. ``rotates``: the
    mint may change its keyset. ``refuses``: coins it never takes, though it calls them UNSPENT.
    ``withholds``: it may owe change past every window. ``late_pays``: an invoice
    may be paid after it ran out, and is issued for. ``unsigned``: the mint may store the first outputs of an
    issue and never sign them. ``closes``: it may say that it has no usable keyset. ``outputs_max``: how many
    sets of outputs an issue makes because of refusals. ``restarts``: the settle window counts anew from the
    end of every state that sends, as the engine has it; a model without that shows what it is for.
    ``forces``: an operator may write off by force, whatever the mint says."""

    name: str
    about: str
    plans: tuple[Plan, ...]
    tokens: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    tables: Tables = Tables()
    late: bool = False
    unclear: bool = False
    doubled: bool = False
    fees: tuple[int, ...] = (0,)
    stolen: tuple[str, ...] = ()
    crashes: int | None = None
    workers: int = 1
    slow: bool = False
    operator: bool = True
    rotates: bool = False
    cancels: bool = True
    withholds: bool = False
    refuses: tuple[str, ...] = ()
    late_pays: bool = False
    unsigned: bool = False
    closes: bool = False
    restarts: bool = True
    forces: bool = False
    retries_max: int = 1
    fences_max: int = 2
    outputs_max: int = 1

    def index(self, name: str) -> int:
        """The place of an operation. KeyError for a name no plan has."""
        for n, plan in enumerate(self.plans):
            if plan.name == name:
                return n
        raise KeyError(name)

    def quote_index(self, index: int) -> int:
        """The place of the quote of an operation: its own, or that of the funding it follows."""
        follows = self.plans[index].follows
        return self.index(follows) if follows else index

    def under(self, *machines: Machine[Any]) -> Setting:
        """The same configuration under other machines: ``under(MUTANT)``."""
        return attrs.evolve(self, tables=self.tables.under(*machines))
