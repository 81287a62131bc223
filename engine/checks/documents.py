"""The documents of one operation, read at one moment, and the part of their checks that its kind adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from attrs import field, frozen

from ...machines.shown import shown
from ...machines.token.states import UNSPENT
from ...storage.errors import CorruptRecord
from ...storage.records import AuditRecord, InputRef, Operation, Token, Tombstone
from .tally import Tally, value_of

T = TypeVar("T")
KindFailed = Callable[[Exception], None]


@frozen
class Born:
    """A token's first record with value, by the operation that made it."""

    amount: int
    proof_count: int


@frozen
class WalletSums:
    """One wallet's value by state, as the store sums it up and as its proofs add up."""

    told: Mapping[str, int]
    counted: Mapping[str, int]


@frozen
class Documents:
    """The stored documents of an operation. ``strays`` are tokens that call it their parent or holder,
    or bear an id of its, and that nothing accounts for. ``tombstone`` stands for a trail that was purged."""

    operation: Operation
    trail: tuple[AuditRecord, ...] = field(repr=False)
    tokens: Mapping[str, Token] = field(repr=False)
    made: tuple[str, ...]  # ids of the tokens it must have made
    strays: tuple[str, ...]
    owners: Mapping[str, str] = field(repr=False)
    born: Mapping[str, Born]
    checks: KindChecks = field(repr=False)  # what its kind adds
    wallet: WalletSums | None = None
    snapshot_ms: float = 0.0
    unreadable: str | None = None  # what does not decode, if anything
    tombstone: Tombstone | None = None
    kind_failed: KindFailed | None = field(default=None, repr=False)
    """Told of code of the kind that raises; then this part is not checked. None: it is raised."""

    __repr__ = shown

    def of_kind(self, tally: Tally, part: str, ask: Callable[[], T], otherwise: T) -> T:
        """The kind's own answer. Where the operation is only read, code that raises fails no report: the
        report says that this part was not checked."""
        if self.kind_failed is None:
            return ask()
        try:
            return ask()
        except CorruptRecord as error:
            tally.that("every document decodes", error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the kind's
            self.kind_failed(error)
            name = type(error).__name__
            tally.not_checked.append(f"{part} of kind {self.operation.kind}: its code raised {name}")
        return otherwise


Check = Callable[[Tally, Documents], None]


def _nothing(tally: Tally, docs: Documents) -> None:
    """Nothing to compare."""


@frozen
class KindChecks:
    """The checks that one kind of operation adds to a reconciliation. Every part is optional."""

    makes: Callable[[Operation], tuple[str | None, ...]] = lambda op: ()
    """Ids of the tokens that the operation must have made; None stands for one that it made not."""

    sources: Callable[[Operation], tuple[InputRef, ...]] = lambda op: ()
    """Sources beside the inputs: they must exist, and may be another operation's."""

    keep: Callable[[Operation], str | None] = lambda op: None
    """Id of the token with the untouched proofs of the sources."""

    change: Callable[[Operation], str | None] = lambda op: None
    """Id of the token with the change."""

    completes: Check = _nothing
    """For ``transaction_completeness``: the documents that must be stored with it."""

    sums: Check = _nothing
    """For ``balance_consistency``: the sums that must be equal."""

    spends: Callable[[Operation], bool] = lambda op: False
    """For ``source_token_status``: whether every source must be spent."""

    spends_as_held: Callable[[Operation], bool] = lambda op: True
    """Whether a spent source is the token that was held, with its value: not once it was free meanwhile."""

    made: Check = _nothing
    """For ``change_verification``: the tokens that it made."""

    __repr__ = shown


NO_CHECKS = KindChecks()
"""Those of a kind that adds none."""

UNKNOWN_KIND = KindChecks()
"""Documents under a machine that this program does not have: facts that only this machine tells are not
checked."""


def made_token(tally: Tally, docs: Documents, token_id: str, kind: str, amount: int | None) -> None:
    """Compare a token that the operation made. Others may have used it since; it has no other origin."""
    op, token = docs.operation, docs.tokens.get(token_id)
    if token is None:
        return  # transaction_completeness says so
    tally.that(f"{token_id}: type", token.transaction_type, kind)
    if kind == "change":
        tally.that(f"{token_id}: parent", token.metadata.parent_transaction_id, op.id)
    same = (token.npub, token.mint_url, token.unit) == (op.npub, op.mint_url, op.unit)
    tally.that(f"{token_id}: owner, mint and unit are the operation's", same)
    born = docs.born.get(token_id)
    if amount is not None and born is not None and kind == "change":
        tally.that(f"{token_id}: value at birth", born.amount, amount)
    if token.version == (2 if kind == "minted" else 1):
        tally.that(f"{token_id}: state", token.state, UNSPENT)
        if amount is not None:
            tally.that(f"{token_id}: value", value_of(token.proofs), amount)
