"""One state of the model: what is stored, what the mint knows, what is on the way, what a worker has seen.

Stored documents are the engine's own records, interned (:mod:`.stored`), so that states are cheap to hash and
to compare; nothing in them grows without end (no clock, no version, no record of the past)."""

from __future__ import annotations

from typing import Any, NamedTuple

from .stored import Stored, StoredToken


class Question(NamedTuple):
    """A question of the engine's code: to the mint (``to`` is ``mint``; ``post`` for a request that changes
    something there) or to the store."""

    to: str
    call: str
    args: tuple[Any, ...] = ()


class Seen:
    """The answers a worker saw since it last decided: the document it began with and its program, then
    answer by answer. Equal ones are one object."""

    __slots__ = ("asked", "got", "later", "loaded", "parent", "program")

    def __init__(
        self,
        loaded: Stored,
        program: str,
        parent: Seen | None = None,
        asked: Question | None = None,
        got: Any = None,
    ) -> None:
        self.loaded, self.program, self.parent, self.asked, self.got = loaded, program, parent, asked, got
        self.later: dict[tuple[Question, Any], Seen] = {}

    def told(self, asked: Question, got: Any) -> Seen:
        """The same with one answer more."""
        found = self.later.get((asked, got))
        if found is None:
            found = self.later[asked, got] = Seen(self.loaded, self.program, self, asked, got)
        return found

    def answers(self) -> list[tuple[Question, Any]]:
        """Question and answer, the first ones first."""
        found = []
        seen = self
        while seen.parent is not None and seen.asked is not None:
            found.append((seen.asked, seen.got))
            seen = seen.parent
        found.reverse()
        return found


class Worker(NamedTuple):
    """The state that a crash takes from an operation. ``waiting`` is the call whose answer it waits for,
    ``stale`` the answers of a worker that lost its lease while it waited. ``aged`` belongs to no program: it
    says that the change was waited for longer than patience lasts."""

    up: bool = True
    confirmed: bool = False
    seen: Seen | None = None
    waiting: str = ""
    stale: Seen | None = None
    aged: bool = False


class Request(NamedTuple):
    """A request on its way to the mint, or executed there."""

    op: str
    call: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    amounts: tuple[int, ...]
    epoch: int

    @property
    def name(self) -> str:
        return f"{self.call} of {self.op}" + (
            f" ({self.outputs[0]})" if self.call != "melt" and self.outputs else ""
        )


class Quote(NamedTuple):
    """The mint's truth about one quote: of a melt (with the Lightning fee once paid, and the request that is
    executed) or of an invoice. ``late``: it was paid after the watch for a late payment was over and the mint
    was asked a last time."""

    state: str = "UNPAID"
    fee: int = 0
    late: bool = False
    by: Request | None = None


class World(NamedTuple):
    """Store, mint and network at one moment. ``coins`` are all proofs the mint ever signed for us:
    name -> (amount, UNSPENT | PENDING | SPENT | TAKEN), the last one meaning spent by another program.

    ``stuck``: issue requests whose outputs the mint stored and never signs (code 11004)."""

    ops: tuple[Stored | None, ...]
    tokens: tuple[StoredToken, ...]
    workers: tuple[Worker, ...]
    quotes: tuple[Quote, ...]
    coins: tuple[tuple[str, int, str], ...]
    net: tuple[Request, ...] = ()
    epoch: int = 0
    crashes: int = -1
    stuck: frozenset[str] = frozenset()

    def token(self, token_id: str) -> StoredToken:
        """The stored token. KeyError for a name that no token has."""
        for token in self.tokens:
            if token.id == token_id:
                return token
        raise KeyError(token_id)

    def state(self, index: int) -> str:
        """The state of an operation; ``none`` before it is asked for."""
        op = self.ops[index]
        return "none" if op is None else op.state

    def with_op(self, index: int, op: Stored | None) -> World:
        """The same world with another document of one operation."""
        return self._replace(ops=(*self.ops[:index], op, *self.ops[index + 1 :]))

    def with_tokens(self, changed: tuple[StoredToken, ...]) -> World:
        """The same world with these tokens stored under their ids."""
        if not changed:
            return self
        tokens = {token.id: token for token in self.tokens} | {token.id: token for token in changed}
        return self._replace(tokens=tuple(tokens[token_id] for token_id in sorted(tokens)))

    def with_worker(self, index: int, **changes: Any) -> World:
        """The same world with another worker of one operation."""
        worker = self.workers[index]._replace(**changes)
        if worker == self.workers[index]:
            return self
        return self._replace(workers=(*self.workers[:index], worker, *self.workers[index + 1 :]))

    def with_quote(self, index: int, quote: Quote) -> World:
        """The same world with another truth about one quote."""
        return self._replace(quotes=(*self.quotes[:index], quote, *self.quotes[index + 1 :]))

    def coin_state(self, name: str) -> str:
        """The mint's state of a proof; UNSPENT also of one it never saw, as real mints do."""
        for coin, _, state in self.coins:
            if coin == name:
                return state
        return "UNSPENT"

    def signed(self, name: str) -> int:
        """The amount of a proof the mint signed, or 0."""
        for coin, amount, _ in self.coins:
            if coin == name:
                return amount
        return 0

    def with_coins(self, names: tuple[str, ...], state: str) -> World:
        """The same world in which the mint has these proofs in another state."""
        return self._replace(coins=tuple((n, a, state if n in names else s) for n, a, s in self.coins))

    def with_signed(self, *signed: tuple[str, int]) -> World:
        """The same world in which the mint has signed these proofs as well."""
        return self._replace(coins=tuple(sorted((*self.coins, *((n, a, "UNSPENT") for n, a in signed)))))


FORGOTTEN: dict[str, Any] = {"confirmed": False, "waiting": "", "stale": None, "seen": None}
"""The state that a crash takes from an operation."""
