"""The words of a deposit: what an accepted transition writes."""

from __future__ import annotations

from ..spec import Effect

EFFECTS: tuple[Effect, ...] = (Effect("store_deposit", "store the proofs handed in"),)
