"""The mint port: the calls of the engine to a Cashu mint, and the four kinds of answer.

Every method answers with a value, :class:`Refused`, :class:`Unreachable` or :class:`Ambiguous`; none
raises for anything a mint or a network does. Amounts are integers of the unit named beside them,
times epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeGuard, TypeVar

from attrs import field, frozen

from ...machines.shown import shown
from ...storage.records import Dleq
from ...storage.secret import Secret

T = TypeVar("T")


@frozen
class Refused:
    """The mint answered no. ``code`` is its NUT error code, if it gave one.

    ``definitive`` is True only for codes that prove the request was not and will not be executed;
    otherwise the caller must find out what happened as if there had been no answer.
    """

    code: int | None
    detail: str
    definitive: bool
    status: int | None = field(default=None, eq=False)  # of the HTTP answer

    __repr__ = shown


@frozen
class Unreachable:
    """No connection was made: nothing was sent, so nothing can have been executed."""

    detail: str


@frozen
class Ambiguous:
    """The request may or may not have been executed, or a read gave no trustworthy answer.

    ``unreadable`` is True when the mint did answer a read, but not as its NUT promises."""

    detail: str
    code: int | None = None
    unreadable: bool = field(default=False, eq=False)
    status: int | None = field(default=None, eq=False)  # of the HTTP answer, if there was one

    __repr__ = shown


Failure: TypeAlias = Refused | Unreachable | Ambiguous
"""The three answers that are no value; ``isinstance(answer, Failure)`` narrows both ways."""

Answer: TypeAlias = T | Refused | Unreachable | Ambiguous


def is_value(answer: Answer[T]) -> TypeGuard[T]:
    """True if the mint gave what was asked for."""
    return not isinstance(answer, Failure)


UNKNOWN = "UNKNOWN"
"""The state of a quote whose word is unknown to us or cannot be read: neither paid nor proven unpaid."""


@frozen
class MintInfo:
    """NUT-06. ``nuts`` maps the NUT number (as text) to what the mint says about it."""

    name: str
    version: str
    nuts: Mapping[str, object] = field(repr=False)

    __repr__ = shown

    def supports(self, nut: int) -> bool:
        """Whether the mint announces the NUT: ``supported`` true (or a non-empty list), or,
        for NUT-04 and NUT-05, methods that are not disabled."""
        setting = self.nuts.get(str(nut))
        if not isinstance(setting, Mapping):
            return False
        if "supported" in setting:
            supported = setting["supported"]
            return supported is True or (isinstance(supported, list) and len(supported) > 0)
        return bool(setting.get("methods")) and setting.get("disabled") is not True


@frozen
class KeysetInfo:
    """NUT-02. ``input_fee_ppk`` is the fee per thousand inputs, ``final_expiry`` epoch ms."""

    id: str
    unit: str
    active: bool
    input_fee_ppk: int = 0
    final_expiry: int | None = None

    __repr__ = shown


@frozen
class Keyset:
    """NUT-01: the mint's public key (compressed, hex) of every amount."""

    id: str
    unit: str
    keys: Mapping[int, str] = field(repr=False)

    __repr__ = shown


@frozen
class BlindedMessage:
    """NUT-00. ``amount`` is 0 for a blank (NUT-08)."""

    id: str
    amount: int
    B_: str = field(repr=False)

    __repr__ = shown


@frozen
class BlindSignature:
    """NUT-00. ``id`` names the keyset it was really signed with; ``dleq`` is NUT-12, without r."""

    id: str
    amount: int
    C_: str = field(repr=False)
    dleq: Dleq | None = field(default=None, repr=False)

    __repr__ = shown


@frozen
class MeltQuote:
    """NUT-05. ``state`` is UNPAID, PENDING, PAID or :data:`UNKNOWN`; of UNKNOWN, ``said`` is the mint's own
    word, cleaned and bounded. Other parts that are missing or unreadable are None; ``notes`` names the
    unreadable ones. Only a quote that is asked for has to name ``amount`` and ``fee_reserve``. ``id`` is
    empty in an answer that names no quote: it is about the quote that was asked for.

    Entry i of ``change`` belongs to blank i; None is a signature that cannot be read."""

    id: str
    amount: int | None
    fee_reserve: int | None
    state: str
    expires_at: int | None = None
    request: Secret | None = None
    unit: str | None = None
    preimage: Secret | None = None
    change: tuple[BlindSignature | None, ...] = field(default=(), repr=False)
    said: str | None = None
    notes: tuple[str, ...] = ()

    __repr__ = shown


@frozen
class MintQuote:
    """NUT-04. ``state`` is UNPAID, PAID, ISSUED or :data:`UNKNOWN`; ``said`` and ``notes`` as in
    :class:`MeltQuote`. Who knows ``id`` can issue the tokens of a paid quote, so it is not shown. Only a
    quote that is asked for has to name ``request``; the others may be missing, too."""

    id: str = field(repr=False)
    request: Secret | None
    state: str
    expires_at: int | None = None
    amount: int | None = None
    unit: str | None = None
    said: str | None = None
    notes: tuple[str, ...] = ()
    pubkey: str | None = None  # NUT-20: only its owner can issue the tokens

    __repr__ = shown


@frozen
class ProofState:
    """NUT-07. ``state`` is UNSPENT, PENDING or SPENT. UNSPENT is also said of proofs the mint never saw."""

    Y: str
    state: str

    __repr__ = shown


@frozen
class Restored:
    """NUT-09: those of the asked outputs the mint has signed, and the signatures, index by index; None is
    a signature that cannot be read. ``unreadable`` counts the entries for which no asked output can be
    found: the mint signed an output, and it is not known which one."""

    outputs: tuple[BlindedMessage, ...]
    signatures: tuple[BlindSignature | None, ...]
    unreadable: int = 0

    __repr__ = shown

    @property
    def is_empty(self) -> bool:
        """Whether the mint says that it signed no output."""
        return not self.outputs and not self.unreadable

    @property
    def is_readable(self) -> bool:
        """Whether every signature the mint tells of can be read."""
        return not self.unreadable and None not in self.signatures


QUOTE_MAX_MS = 366 * 24 * 3_600_000
"""The longest life of a quote that is believed."""


def named_expiry(expires_at: int | None, now: int) -> int | None:
    """The expiry (epoch ms) that a mint names in a quote, or None. A mint without an expiry says
    null, nothing or 0 (NUT-04, NUT-05). An expiry more than a year ahead counts as no expiry."""
    return None if not expires_at or expires_at > now + QUOTE_MAX_MS else expires_at


class Noted(tuple[T, ...]):
    """Several values of one answer. ``notes`` names what was set aside of it."""

    notes: tuple[str, ...]

    def __new__(cls, items: Iterable[T] = (), notes: tuple[str, ...] = ()) -> Noted[T]:
        self = super().__new__(cls, items)
        self.notes = notes
        return self


class MintPort(Protocol):
    """The calls that the engine makes to a mint. ``melt``, ``swap`` and ``mint`` write: they post the given
    bytes (JSON text, stored before the call) unchanged. Everything else only reads or quotes."""

    def info(self, mint_url: str) -> Answer[MintInfo]:
        """NUT-06: name, release and announced NUTs."""
        ...

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        """NUT-02: every keyset, active or not."""
        ...

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        """NUT-01: the keys of one keyset, active or not; the id is checked against the keys."""
        ...

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        """NUT-05: the price of paying a BOLT-11 invoice."""
        ...

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        """NUT-05: the authority on a melt, with its change once that is signed."""
        ...

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        """NUT-05, NUT-08: pay. The answer may be a cached one and is no proof of anything but PAID."""
        ...

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        """NUT-07: one state for each Y, in the order asked."""
        ...

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-03: spend proofs for signatures on new outputs."""
        ...

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        """NUT-09: signatures the mint has already given for these outputs."""
        ...

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        """NUT-04: an invoice to pay for new tokens."""
        ...

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        """NUT-04: whether that invoice is paid and the tokens issued."""
        ...

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-04: issue the tokens of a paid quote."""
        ...
