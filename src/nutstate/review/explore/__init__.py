"""Token x operation x mint answers x crash, explored state by state for small configurations.

Decisions are made by the real tables and their real guards; everything around them (store, mint, network,
Lightning, time, people) is a small model in which anything may happen that the engine must survive.
Nothing here knows a store, a clock or the engine. See docs/exploration.md."""

from __future__ import annotations

from .explore import STATES_MAX, Exploration, Step, Violation, explore
from .script import BadScript, Replayed, replay, written
from .setting import Plan, Setting, Tables
from .settings import BIG, DEFAULT, SETTINGS

__all__ = [
    "BIG",
    "BadScript",
    "DEFAULT",
    "Exploration",
    "Plan",
    "Replayed",
    "SETTINGS",
    "STATES_MAX",
    "Setting",
    "Step",
    "Tables",
    "Violation",
    "explore",
    "replay",
    "written",
]
