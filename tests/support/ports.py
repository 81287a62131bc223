"""Mint ports whose calls a test answers itself, and engines on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nutstate import Engine, Store
from nutstate.engine.cashu.port import Unreachable
from tests.support.wallet import QUICK


class Between:
    """A mint port whose calls can be replaced one by one; ``asked`` are the names of the calls."""

    def __init__(self, real: Any, /, **replaced: Callable[..., Any]) -> None:
        self._mint, self._replaced = real, replaced
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return self._replaced.get(name) or getattr(self._mint, name)


def silent(*args: object) -> Unreachable:
    """No answer."""
    return Unreachable("no answer")


def on(engine: Engine, store: Store, port: Any, **settings: Any) -> Engine:
    """Another engine on the clock of this one."""
    return engine_on(store, engine.clock, port, **settings)


def engine_on(store: Store, clock: Any, port: Any, **settings: Any) -> Engine:
    """An engine with the quick settings and changes of them."""
    return Engine(store, port, clock=clock, settings=attrs.evolve(QUICK, **settings))
