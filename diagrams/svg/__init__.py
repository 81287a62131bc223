"""Machines as SVG: laid out and drawn here, with nothing but Python; see :func:`svg`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...machines.spec import Machine
from . import chart
from .draw import drawn, slug
from .theme import THEMES, Theme

__all__ = ["THEMES", "Theme", "drawing", "good_path", "overview", "part", "slug", "svg"]


def drawing(machine: Machine[Any]) -> str:
    """The whole machine as one SVG document, light or dark as the reader prefers."""
    return svg(machine)


@lru_cache(maxsize=64)
def svg(machine: Machine[Any], theme: Theme = "auto") -> str:
    """Every state with its action, every edge with events, guards and effects."""
    return drawn(chart.whole(machine), theme)


@lru_cache(maxsize=64)
def overview(machine: Machine[Any], theme: Theme = "auto") -> str:
    """Every state and every edge, with events only."""
    return drawn(chart.whole(machine, "events"), theme)


@lru_cache(maxsize=64)
def part(machine: Machine[Any], group: str, theme: Theme = "auto") -> str:
    """The states of one group, and every edge that leaves or enters them."""
    return drawn(chart.part(machine, group), theme)


@lru_cache(maxsize=64)
def good_path(machine: Machine[Any], without: tuple[str, ...] = (), theme: Theme = "auto") -> str:
    """The good path; other states folded into a few boxes, those in ``without`` left out."""
    return drawn(chart.good_path(machine, without), theme)
