"""Many small cases in one test: ``@every`` is ``pytest.mark.parametrize`` as a loop.

A test of its own costs some milliseconds in each worker, more than a small case itself. The loop goes through
all cases, also after a failure, and the failure names every case that failed, with what it said."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

SHOWN = 300
"""Characters of one case's name or error."""

Test = Callable[..., None]


class CasesFailed(AssertionError):
    """Which cases failed, and how; the first failure is its ``__cause__``."""

    def __init__(self, failed: Sequence[tuple[str, BaseException]], number: int) -> None:
        self.failed, self.number = failed, number
        lines = [f"  {name}: {_first_line(error)}" for name, error in failed]
        super().__init__("\n".join((f"{len(failed)} of {number} cases failed:", *lines)))


def every(
    names: str | Sequence[str],
    values: Iterable[Any],
    ids: Callable[[Any], object] | Sequence[object] | None = None,
) -> Callable[[Test], Test]:
    """``@every("code", PROOF)`` or ``@every(("code", "kind"), PAIRS, ids=...)``; several may be stacked.
    Fixtures of the test are made once for all cases, so a case must leave them as it found them."""
    cases = tuple(values)
    words = tuple(word.strip() for word in names.split(",")) if isinstance(names, str) else tuple(names)
    assert cases and (not isinstance(ids, Sequence) or len(ids) == len(cases))

    def named(number: int, case: Any) -> str:
        if ids is None:
            return repr(case)[:SHOWN]
        return str(ids(case) if callable(ids) else ids[number])

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        assert set(words) <= signature.parameters.keys(), f"{test.__name__} has not all of {words}"

        number = len(cases) * getattr(test, "cases", 1)

        @functools.wraps(test)
        def loop(**fixtures: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for at, case in enumerate(cases):
                given = {words[0]: case} if len(words) == 1 else dict(zip(words, case, strict=True))
                try:
                    test(**fixtures, **given)
                except CasesFailed as inner:
                    failed += [(f"{named(at, case)}, {name}", error) for name, error in inner.failed]
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - told below, with all others
                    failed.append((named(at, case), error))
            if failed:
                raise CasesFailed(failed, number) from failed[0][1]

        loop.cases = number  # type: ignore[attr-defined]
        left = [value for name, value in signature.parameters.items() if name not in words]
        loop.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return loop

    return decorate


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0][:SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
