"""The words of a deposit: the effects of its transitions."""

from __future__ import annotations

from ..spec import Effect

EFFECTS: tuple[Effect, ...] = (Effect("store_deposit", "store the proofs handed in"),)
