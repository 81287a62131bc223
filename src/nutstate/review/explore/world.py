"""One state of the model: what is stored, what the mint knows, what is on the way, what a worker has seen.

Everything is a tuple of tuples, so that states are cheap to hash and to compare; nothing in it grows
without end (no clock, no version, no record of the past)."""

from __future__ import annotations

from typing import Any, NamedTuple

Coin = tuple[str, int]
"""A proof: its name and its amount."""

Answers = tuple[Any, ...]
"""What a worker saw since it last decided: its :class:`Look`, then answer by answer."""


class Look(NamedTuple):
    """Who asks, and which windows were over before the first question. ``program`` is what an operator
    wants; a worker follows the action of the state and names none."""

    program: str = ""
    over: frozenset[str] = frozenset()


class Token(NamedTuple):
    """A stored token document."""

    id: str
    type: str
    parent: str
    state: str
    holder: str
    coins: tuple[Coin, ...]

    @property
    def total(self) -> int:
        return sum(amount for _, amount in self.coins)


class Op(NamedTuple):
    """An operation. Up to ``over`` it is stored; what follows is forgotten by a crash."""

    state: str = "none"
    quote: bool = False
    claim: bool = False
    blanks: bool = False
    request: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    total: int = 0
    keep: int = 0
    sources: int = 0
    sent: bool = False
    tries: int = 0
    fences: tuple[int, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    ends: tuple[str, ...] = ()
    stranded: tuple[str, ...] = ()
    outputs: tuple[int, ...] = ()
    paid: bool = False
    declined: bool = False
    payment: bool = False
    watch: bool = False
    refused: bool = False
    confirmed_unspent: bool = False
    empty: bool = False
    change: int = -1
    fee: int = -1
    loss: int = 0
    fenced: bool = False
    trusted: bool = False
    given_up: bool = False
    aged: bool = False
    over: frozenset[str] = frozenset()
    up: bool = True
    confirmed: bool = False
    waiting: str = ""
    stale: bool = False
    seen: Answers = ()

    @property
    def program(self) -> str:
        return str(self.seen[0].program) if self.seen else ""

    @property
    def fenced_coins(self) -> frozenset[str]:
        """What fences of ours have spent, as far as it is stored."""
        return frozenset(
            c for part, end in zip(self.parts, self.ends, strict=True) if end == "done" for c in part
        )

    @property
    def newest_part(self) -> tuple[str, ...]:
        """What the newest fence spends; all inputs where a table forgets to write one."""
        return self.parts[-1] if self.parts else self.request

    @property
    def left(self) -> tuple[str, ...]:
        """The inputs that no fence spent and that are not stranded."""
        gone = self.fenced_coins | set(self.stranded)
        return tuple(name for name in self.request if name not in gone)

    @property
    def judged(self) -> frozenset[str]:
        """The windows that count as over: answers can be slow, and permit nothing by a window that was
        not over when they were asked for."""
        return self.seen[0].over if self.seen else self.over


class Quote(NamedTuple):
    """The mint's truth about one quote: of a melt (with the Lightning fee once paid) or of an invoice.
    ``late``: it was paid after the watch for a late payment was over and the mint was asked a last time."""

    state: str = "UNPAID"
    fee: int = 0
    late: bool = False


class Request(NamedTuple):
    """A request on its way to the mint."""

    op: str
    kind: str
    number: int
    coins: tuple[str, ...]
    blanks: bool
    epoch: int

    @property
    def name(self) -> str:
        return f"{self.op}.{self.kind}{self.number or ''}"


class World(NamedTuple):
    """Store, mint and network at one moment. ``coins`` are all proofs the mint ever signed for us:
    name -> (amount, UNSPENT | PENDING | SPENT | TAKEN), the last one meaning spent by somebody else.

    ``stuck``: issue requests whose outputs the mint stored and never signs (code 11004)."""

    tokens: tuple[Token, ...]
    ops: tuple[Op, ...]
    quotes: tuple[Quote, ...]
    coins: tuple[tuple[str, int, str], ...]
    net: tuple[Request, ...] = ()
    epoch: int = 0
    crashes: int = -1
    stuck: frozenset[str] = frozenset()

    def token(self, token_id: str) -> Token:
        """The stored token. KeyError when there is none."""
        for token in self.tokens:
            if token.id == token_id:
                return token
        raise KeyError(token_id)

    def with_token(self, token: Token) -> World:
        """The same world with this token stored under its id."""
        others = [t for t in self.tokens if t.id != token.id]
        return self._replace(tokens=tuple(sorted((*others, token))))

    def with_op(self, index: int, **changes: Any) -> World:
        """The same world with some fields of one operation changed."""
        op = self.ops[index]._replace(**changes)
        return self._replace(ops=(*self.ops[:index], op, *self.ops[index + 1 :]))

    def with_quote(self, index: int, quote: Quote) -> World:
        """The same world with another truth about one quote."""
        return self._replace(quotes=(*self.quotes[:index], quote, *self.quotes[index + 1 :]))

    def coin_state(self, name: str) -> str:
        """What the mint knows of a proof; UNSPENT also of one it never saw, as real mints do."""
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

    def with_signed(self, name: str, amount: int) -> World:
        """The same world in which the mint has signed one more proof."""
        return self._replace(coins=tuple(sorted((*self.coins, (name, amount, "UNSPENT")))))


FORGOTTEN: dict[str, Any] = {"confirmed": False, "waiting": "", "stale": False, "seen": ()}
"""What a crash takes from an operation."""
