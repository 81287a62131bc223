"""Questions about a declared machine, answered from the declaration: for tests, reviews and drawings.

Works for any :class:`~nutstate.machines.spec.Machine`, ours or one that an embedding service declares.
Everything here is pure; nothing here knows a store, a mint or the engine. docs/kit.md shows it in use.
"""

from __future__ import annotations

from .cells import Cell, Row, cells, decided, matrix, switched
from .checks import TooManyGuards, contradictions, differences, endless, unreached
from .explain import UnknownName, explain
from .explanation import Asked, EdgeSaid, Explanation, Possibility
from .graph import BadMachine, check_names
from .paths import Paths, TooManySequences, paths
from .script import Line, ScriptError, Unwritable
from .simulate import Played, Trace, script_of, simulate
from .tours import Tours, tours

__all__ = [
    "Asked",
    "BadMachine",
    "Cell",
    "EdgeSaid",
    "Explanation",
    "Line",
    "Paths",
    "Played",
    "Possibility",
    "Row",
    "ScriptError",
    "TooManyGuards",
    "TooManySequences",
    "Tours",
    "Trace",
    "UnknownName",
    "Unwritable",
    "cells",
    "check_names",
    "contradictions",
    "decided",
    "differences",
    "endless",
    "explain",
    "matrix",
    "paths",
    "script_of",
    "simulate",
    "switched",
    "tours",
    "unreached",
]
