"""A string that cannot be printed by accident (design invariant I12)."""

from __future__ import annotations

from typing import Any, NoReturn, final


@final
class Secret:
    """A proof secret, blinding factor, preimage, invoice or request body.

    Every implicit way to text (``repr``, ``str``, ``format``, ``%s``) shows ``Secret(…)``;
    only :meth:`reveal` hands the value out. Equality and hashing use the value.
    Pickling is refused, so a secret cannot leave through a work queue or a cache either.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("a Secret wraps a str")
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The value itself. Call it only where it is stored or sent."""
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret is immutable")

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("Secret(…)", spec)

    def __eq__(self, other: object) -> bool:
        return self.reveal() == other.reveal() if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __len__(self) -> int:
        return len(self.reveal())

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self
