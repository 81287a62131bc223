"""Questions about a declared machine, answered from the declaration: for tests, reviews and drawings.

Works for any :class:`~nutstate.machines.spec.Machine`, ours or one that an embedding service declares.
Everything here is pure; nothing here knows a store, a mint or the engine.
"""

from __future__ import annotations

from .cells import Cell, Row, cells, matrix, switched

__all__ = ["Cell", "Row", "cells", "matrix", "switched"]
