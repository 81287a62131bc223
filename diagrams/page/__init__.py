"""One HTML file in which a reviewer walks through machines, tries events and replays trails."""

from __future__ import annotations

from .counts import Counts, counted
from .document import page
from .trail import Trail, trail_of

__all__ = ["Counts", "Trail", "counted", "page", "trail_of"]
