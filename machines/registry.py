"""The machines this release knows, by name and version. Released versions stay here for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check.table import CHECK
from .deposit.table import DEPOSIT
from .melt.table import MELT
from .mint.table import MINT
from .receive.table import RECEIVE
from .record.table import RECORD
from .spec import Machine
from .swap.table import SWAP
from .token.table import TOKEN

RELEASED: tuple[Machine[Any], ...] = (TOKEN, MELT, RECORD, MINT, SWAP, RECEIVE, DEPOSIT, CHECK)

_BY_VERSION: Mapping[tuple[str, int], Machine[Any]] = {(m.name, m.version): m for m in RELEASED}


class UnknownMachine(LookupError):
    """An operation names a machine, version or content hash this release does not have."""


def names() -> tuple[str, ...]:
    """The machines' names, sorted."""
    return tuple(sorted({machine.name for machine in RELEASED}))


def latest(name: str) -> Machine[Any]:
    """The newest released version. Raises UnknownMachine."""
    versions = [machine for machine in RELEASED if machine.name == name]
    if not versions:
        raise UnknownMachine(f"no machine named {name!r}; there are {', '.join(names())}")
    return max(versions, key=lambda machine: machine.version)


def released(name: str, version: int, content_hash: str) -> Machine[Any]:
    """Exactly the machine an operation was started under. Raises UnknownMachine."""
    machine = _BY_VERSION.get((name, version))
    if machine is None:
        raise UnknownMachine(f"machine {name}@{version} is not known to this release")
    if machine.content_hash != content_hash:
        raise UnknownMachine(f"machine {name}@{version} was changed without a new version")
    return machine


def known(label: str) -> Machine[Any] | None:
    """The machine of a label ``name@version``, or None for one this release does not have."""
    return next((machine for machine in RELEASED if f"{machine.name}@{machine.version}" == label), None)
