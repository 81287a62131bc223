"""The machines that a store works under, as a value: the edges and states of every version, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from attrs import field, frozen

from ...machines.registry import RELEASED
from ...machines.spec import Machine
from ...machines.token.table import STATUS_OF_STATE, TOKEN
from ..errors import StoreUnsupported
from ..records import MachineRef

Step = tuple[str, str]


@frozen
class Version:
    """One version of one machine, as a store keeps it: its content hash, its edges (from, to; a birth comes
    from ``none``) and, of each state, its kind (live, parked, final) and how it ends ("", good, unpaid,
    lost)."""

    name: str
    number: int
    hash: str = field(repr=False)
    edges: frozenset[Step] = field(repr=False)
    states: Mapping[str, tuple[str, str]] = field(repr=False)

    @classmethod
    def of(cls, machine: Machine[Any]) -> Version:
        """The version that a declared machine is."""
        return cls(
            machine.name,
            machine.version,
            machine.content_hash,
            frozenset((edge.source, edge.dest) for edge in machine.transitions),
            {state.name: (state.kind, state.ends) for state in machine.states if state.kind != "pseudo"},
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Version:
        """The version whose :meth:`as_data` this is. Raises KeyError, TypeError or ValueError for other
        data."""
        return cls(
            str(data["name"]),
            int(data["version"]),
            str(data["hash"]),
            frozenset((str(source), str(dest)) for source, dest in data["edges"]),
            {str(name): (str(kind), str(ends)) for name, kind, ends in data["states"]},
        )

    def as_data(self) -> dict[str, Any]:
        """JSON-ready, in a fixed order."""
        return {
            "name": self.name,
            "version": self.number,
            "hash": self.hash,
            "edges": [list(edge) for edge in sorted(self.edges)],
            "states": [[name, *self.states[name]] for name in sorted(self.states)],
        }

    @property
    def label(self) -> str:
        """Name and number as audit records have them: ``melt@1``."""
        return f"{self.name}@{self.number}"

    @property
    def is_of_tokens(self) -> bool:
        """Whether it rules tokens. Every other machine rules operations of the kind of its name."""
        return self.name == TOKEN.name

    def is_ref(self, ref: MachineRef) -> bool:
        """Whether an operation that names ``ref`` runs under exactly this version."""
        return (ref.name, ref.version, ref.hash) == (self.name, self.number, self.hash)


def _by_label(versions: Iterable[Version]) -> Mapping[str, Version]:
    found: dict[str, Version] = {}
    for version in sorted(versions, key=lambda v: (v.name, v.number)):
        if found.setdefault(version.label, version) is not version:
            raise ValueError(
                f"two machines are called {version.label}: give the changed one the next version"
            )
        new = version.states.keys() - STATUS_OF_STATE.keys()
        if version.is_of_tokens and new:
            # Other programs read a token's status, which follows from its state.
            raise ValueError(f"{version.label}: no status is known for the state {min(new)}")
    return found


@frozen(eq=False)
class Machines:
    """Every version of every machine that a program, or a store, knows. Immutable. ValueError for two
    versions under one name and number, and for a token state without a status."""

    by_label: Mapping[str, Version] = field(converter=_by_label, repr=lambda versions: str(list(versions)))

    @classmethod
    def of(cls, machines: Iterable[Machine[Any]]) -> Machines:
        """The value for declared machines."""
        return cls(Version.of(machine) for machine in machines)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All of them, by name and number."""
        return tuple(self.by_label.values())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of operations, sorted."""
        return tuple(sorted({v.name for v in self.versions if not v.is_of_tokens}))

    @property
    def token_edges(self) -> frozenset[Step]:
        """The edges of every version of the token machine."""
        return frozenset(edge for v in self.versions if v.is_of_tokens for edge in v.edges)

    def edges_of(self, name: str) -> frozenset[Step]:
        """The edges of every version of one machine."""
        return frozenset(edge for v in self.versions if v.name == name for edge in v.edges)

    def newest(self, name: str) -> Version:
        """The version with the highest number. Raises LookupError."""
        numbers = [v.number for v in self.versions if v.name == name]
        if not numbers:
            raise LookupError(name)
        return self.by_label[f"{name}@{max(numbers)}"]

    def told_of(self, ref: MachineRef, state: str) -> tuple[str, str]:
        """Kind of the state and how it ends there, as an operation under ``ref`` stores them; ("live", "")
        where nothing is known."""
        version = self.by_label.get(f"{ref.name}@{ref.version}")
        return ("live", "") if version is None else version.states.get(state, ("live", ""))

    @property
    def hashes(self) -> Mapping[str, str]:
        """The content hash of each version, by label."""
        return {label: version.hash for label, version in self.by_label.items()}

    def missing_in(self, stored: Mapping[str, str]) -> tuple[Version, ...]:
        """The versions that a store lacks, which holds ``stored`` (label to content hash). StoreUnsupported
        with code MACHINE_CHANGED when it holds one of them with another content."""
        for label, own in self.by_label.items():
            if stored.get(label, own.hash) != own.hash:
                raise machine_changed(own, stored[label])
        return tuple(own for label, own in self.by_label.items() if label not in stored)

    def only(self, labels: Set[str]) -> Machines:
        """The machines with these labels."""
        return Machines(version for label, version in self.by_label.items() if label in labels)

    def beside(self, others: Machines) -> Machines:
        """These machines, and all others that have a label of their own."""
        return Machines({**others.by_label, **self.by_label}.values())


def machine_changed(own: Version, stored_hash: str) -> StoreUnsupported:
    """The error for a store that holds another machine under the same name and version."""
    return StoreUnsupported(
        f"the store holds the machine {own.label} with content hash {stored_hash[:12]}…, but this program "
        f"declares {own.label} with content hash {own.hash[:12]}…. A released machine never changes: give "
        "the changed machine the next version, or run the release that made the store",
        code="MACHINE_CHANGED",
        machine=own.label,
        stored_hash=stored_hash,
        own_hash=own.hash,
    )


BUILT_IN: Final = Machines.of(RELEASED)
"""The machines of this release."""
