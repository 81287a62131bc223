"""Faults of the simulated mint, on demand: scripted per call, or drawn from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .state import SimulatedState

ENDPOINTS = (
    "info",
    "keysets",
    "keys",
    "melt_quote",
    "melt_quote_state",
    "melt",
    "check_states",
    "swap",
    "restore",
    "mint_quote",
    "mint_quote_state",
    "mint",
)
WRITES = ("melt", "swap", "mint")
_TRANSPORT = (
    "unreachable",
    "request_lost",
    "answer_lost",
    "cut",
    "server_error",
    "rate_limited",
    "duplicated",
)
_ONLY_AT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_TRANSPORT, ENDPOINTS),
    "late": WRITES,
    "answer_delayed": ENDPOINTS,
    "quote_state": ("melt", "melt_quote_state", "mint_quote_state"),
    "states": ("check_states",),
    "locked": ENDPOINTS,
    "too_large": WRITES,
    "outputs_stuck": ("mint", "swap"),
    "keys_do_not_fit": ("keys",),
    "change_gone": ("melt",),
    "restore_partial": ("restore",),
    "restore_unsupported": ("restore",),
    **dict.fromkeys(
        ("change_delayed", "change_short", "change_over", "change_zero", "change_bad_dleq", "change_rotated"),
        ("melt",),
    ),
}


ARGUMENTS: Mapping[str, Mapping[str, type]] = {
    "answer_delayed": {"ms": int},
    "quote_state": {"state": str},
    "states": {"states": dict},
    "restore_partial": {"n": int},
    "change_delayed": {"reads": int},
    "change_short": {"by": int},
    "change_over": {"by": int},
}
"""The arguments of the faults that have some, and their types. Numbers are not negative."""
DELAY_MS_MAX = 600_000


@frozen
class Fault:
    """One fault of one call. Make it with a function below; ``arguments`` is plain JSON data."""

    kind: str
    arguments: Mapping[str, Any] = field(factory=dict)


UNREACHABLE = Fault("unreachable")
"""No connection: Unreachable, nothing executed."""
REQUEST_LOST = Fault("request_lost")
"""The request vanished on the way: Ambiguous, nothing executed."""
ANSWER_LOST = Fault("answer_lost")
"""Executed, but the answer never arrived: Ambiguous."""
CUT = Fault("cut")
"""Executed, the answer arrived truncated: Ambiguous."""
SERVER_ERROR = Fault("server_error")
"""Executed, answered with a 500: Ambiguous."""
RATE_LIMITED = Fault("rate_limited")
"""429 without a code: Ambiguous, nothing executed."""
DUPLICATED = Fault("duplicated")
"""The network doubled the request: executed twice, the second answer is returned."""
LATE = Fault("late")
"""Ambiguous now; executed when :meth:`SimulatedMint.deliver_late` is called."""
RESTORE_UNSUPPORTED = Fault("restore_unsupported")
"""The mint has no NUT-09: Refused(None, 404), at this call."""
LOCKED = Fault("locked")
"""Refused as "database is locked", without a definitive code; nothing executed."""
TOO_LARGE = Fault("too_large")
"""Refused without a code, as HTTP 413 by something in front of the mint; nothing executed."""
OUTPUTS_STUCK = Fault("outputs_stuck")
"""The outputs are stored and then not signed: refused, nothing spent, the quote stays PAID. The same outputs
are refused with 11004 for ever, and restore knows none of them."""
KEYS_DO_NOT_FIT = Fault("keys_do_not_fit")
"""The keys of another keyset: they do not belong to the id that was asked for."""
CHANGE_GONE = Fault("change_gone")
"""Paid, but no change is ever signed: the mint settled the quote before it stored the blanks."""
CHANGE_ZERO = Fault("change_zero")
"""A zero-valued signature is put before each real one; the blanks are used up accordingly."""
CHANGE_BAD_DLEQ = Fault("change_bad_dleq")
"""The DLEQ proofs of the change are wrong."""
CHANGE_ROTATED = Fault("change_rotated")
"""The change is signed with a keyset the mint rotated to meanwhile."""


def answer_delayed(ms: int) -> Fault:
    """Executed at once; the answer arrives this many milliseconds later."""
    return Fault("answer_delayed", {"ms": ms})


def quote_state(state: str) -> Fault:
    """The answer shows the quote in this state, true or not: a cached answer, or a flapping
    quote. A word that no NUT knows arrives as state UNKNOWN. At ``melt`` nothing is executed."""
    return Fault("quote_state", {"state": state})


def lie_about(states: Mapping[str, str]) -> Fault:
    """checkstate answers these states for these Ys, the truth for the others."""
    return Fault("states", {"states": dict(states)})


def restore_partial(n: int) -> Fault:
    """Restore gives back only the first ``n`` signatures."""
    return Fault("restore_partial", {"n": n})


def change_delayed(reads: int) -> Fault:
    """PAID becomes visible before the change is signed: the melt's answer and the next ``reads``
    reads of the quote or of restore show none of it."""
    return Fault("change_delayed", {"reads": reads})


def change_short(by: int) -> Fault:
    """``by`` less change than is owed."""
    return Fault("change_short", {"by": by})


def change_over(by: int) -> Fault:
    """``by`` more change than is owed."""
    return Fault("change_over", {"by": by})


class Faults:
    """The coming faults. Scripted faults are durable and go first; chaos fills the calls without one."""

    def __init__(self, state: SimulatedState) -> None:
        self._state = state

    def next(self, endpoint: str, *faults: Fault) -> None:
        """Queue faults for one future call of the endpoint, after those queued before. Several faults
        in one call happen together; none at all is a call that works."""
        body = _body(endpoint, faults)
        with self._state.transaction():
            self._state.push(f"fault:{endpoint}", {"faults": body})

    def always(self, endpoint: str, *rounds: Sequence[Fault]) -> None:
        """From now on every call of the endpoint for which nothing is queued suffers the faults of the next
        round, over and over: ``always("swap", [LOCKED])``, or in turns ``always("melt_quote_state",
        [quote_state("PENDING")], [quote_state("UNPAID")])``. Without rounds this ends."""
        bodies = [_body(endpoint, faults) for faults in rounds]
        with self._state.transaction():
            self._state.delete("always", endpoint)
            if bodies:
                self._state.put("always", endpoint, {"rounds": bodies, "n": 0})

    def chaos(
        self,
        seed: int,
        percent: int,
        *,
        kinds: Sequence[str] = ("unreachable", "request_lost", "answer_lost", "cut", "duplicated", "late"),
        endpoints: Sequence[str] = ENDPOINTS,
    ) -> None:
        """From now on let about ``percent`` of the calls to the endpoints suffer one of the kinds (those
        without arguments), drawn from the seed. The same seed and calls give the same faults."""
        if not 0 <= percent <= 100 or not set(kinds) <= set(_TRANSPORT) | {"late"} or not kinds:
            raise ValueError("percent is 0..100, kinds are transport faults")
        with self._state.transaction():
            body = {"seed": seed, "percent": percent, "kinds": list(kinds), "endpoints": list(endpoints)}
            self._state.put("chaos", "", body)

    def stop(self) -> None:
        """No more faults: end the chaos and what happens always, forget what is queued. Late requests stay
        on their way."""
        with self._state.transaction():
            self._state.delete("chaos", "")
            for endpoint, _ in self._state.all("always"):
                self._state.delete("always", endpoint)
            self._state.clear("fault:")

    def take(self, endpoint: str) -> dict[str, Mapping[str, Any]]:
        """The faults of this call, by kind, with their arguments."""
        body = self._state.pop(f"fault:{endpoint}")
        if body is not None:
            return {fault["kind"]: fault["arguments"] for fault in body["faults"]}
        always = self._state.get("always", endpoint)
        if always is not None:
            self._state.put("always", endpoint, {**always, "n": always["n"] + 1})
            faults = always["rounds"][always["n"] % len(always["rounds"])]
            return {fault["kind"]: fault["arguments"] for fault in faults}
        chaos = self._state.get("chaos", "")
        if chaos is None or endpoint not in chaos["endpoints"]:
            return {}
        n = self._state.count("chaos")
        draw = hashlib.sha256(f"{chaos['seed']}:{n}:{endpoint}".encode()).digest()
        if int.from_bytes(draw[:4], "big") % 100 >= chaos["percent"]:
            return {}
        fits = [kind for kind in chaos["kinds"] if endpoint in _ONLY_AT[kind]]
        return {fits[draw[4] % len(fits)]: {}} if fits else {}


def _body(endpoint: str, faults: Sequence[Fault]) -> list[dict[str, Any]]:
    for fault in faults:
        if endpoint not in _ONLY_AT.get(fault.kind, ()):
            raise ValueError(f"fault {fault.kind} does not exist at {endpoint}")
        _check_arguments(fault)
    return [{"kind": fault.kind, "arguments": dict(fault.arguments)} for fault in faults]


def _check_arguments(fault: Fault) -> None:
    wanted = ARGUMENTS.get(fault.kind, {})
    if set(fault.arguments) != set(wanted):
        raise ValueError(f"fault {fault.kind} takes {', '.join(wanted) or 'no arguments'}")
    for name, of in wanted.items():
        if not _fits(fault.arguments[name], of):
            raise ValueError(f"{name} of fault {fault.kind} is not what it must be: {of.__name__}")
        if name == "ms" and fault.arguments[name] > DELAY_MS_MAX:
            raise ValueError(f"{name} of fault {fault.kind} is at most {DELAY_MS_MAX}")


def _fits(value: object, of: type) -> bool:
    if of is int:
        return type(value) is int and 0 <= value <= 2**53
    if isinstance(value, dict):
        return of is dict and all(isinstance(text, str) for pair in value.items() for text in pair)
    return isinstance(value, of)
