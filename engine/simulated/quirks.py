"""Ways in which real mints differ from each other, for the simulated mint to take on (durable)."""

from __future__ import annotations

from typing import Any

from attrs import asdict, evolve, frozen

from .state import SimulatedState


@frozen
class Quirks:
    """The special habits of this mint. The defaults are a mint without any."""

    inputs_max: int | None = None
    """More inputs in one request are refused with ``inputs_code`` (None: no code, as HTTP 413 or 422)."""
    inputs_code: int | None = 11014
    secret_chars_max: int | None = None
    """A longer secret is refused in every request, without a definitive code."""
    issues_late: bool = False
    """A paid mint quote is still issued after its expiry."""
    quote_expiry_s: int = 3600
    """Lifetime of mint quotes and of their invoices."""
    tells_expiry: bool = True
    """Whether quotes name their expiry."""
    rounds_down: bool = False
    """Whether melt quotes drop what is no whole unit of an invoice, instead of rounding up."""


def read(state: SimulatedState) -> Quirks:
    """The quirks as they are stored."""
    return Quirks(**(state.get("quirks", "") or {}))


def change(state: SimulatedState, changes: dict[str, Any]) -> None:
    """Store the quirks with these changes. TypeError for an unknown name."""
    state.put("quirks", "", asdict(evolve(read(state), **changes)))
