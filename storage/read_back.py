"""Reading back what a commit has written, before the commit is final."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from .ahead import Read
from .errors import CorruptRecord, NotAsWritten, StoreUnavailable
from .port import Reader


@frozen
class ReadBack:
    """A look at the documents of a batch inside its own transaction, after all of its writes.

    ``ahead`` names the reads that ``check`` makes, so that a store may answer them together; every other read
    is possible too. ``check`` raises NotAsWritten when the documents are not what was meant. It may run
    several times, and it must ask its reader alone: a store holds locks meanwhile."""

    ahead: tuple[Read, ...]
    check: Callable[[Reader], None]

    def ask(self, reader: Reader, passing: tuple[type[Exception], ...] = ()) -> None:
        """Run the check. NotAsWritten also for a document that does not decode, and for a check that fails in
        any other way: nothing may be taken as read. StoreUnavailable (and errors in ``passing``, which only
        the adapter knows) pass unchanged."""
        unchanged: tuple[type[Exception], ...] = (NotAsWritten, StoreUnavailable, *passing)
        try:
            self.check(reader)
            return
        except unchanged:
            raise
        except CorruptRecord as error:
            refusal = NotAsWritten(error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the documents were not found right
            refusal = NotAsWritten(f"the check raised {type(error).__name__}")
        raise refusal  # outside the handlers: a cause may show a value
