"""Every word of the released machines by its name: the engine's work in a state (actions), and the changes of
an accepted transition (effects). A machine declares its words beside its table."""

from __future__ import annotations

from collections.abc import Mapping

from .registry import RELEASED
from .spec import Action, Effect

EFFECTS: Mapping[str, Effect] = {word.name: word for machine in RELEASED for word in machine.effects}

ACTIONS: Mapping[str, Action] = {word.name: word for machine in RELEASED for word in machine.actions}
