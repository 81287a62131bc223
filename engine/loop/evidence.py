"""Knowledge from outside that is not yet committed: the answers that an event rests on."""

from __future__ import annotations

from attrs import field, frozen

from ...machines.shown import shown
from ...storage.records import Fence, Output, Proof, Reason, Token
from ...storage.secret import Secret
from ..cashu.port import Answer, MeltQuote, MintQuote, ProofState


@frozen
class Chosen:
    """The proofs an operation will lock, token by token; untouched proofs of a token stay behind."""

    token: Token
    proofs: tuple[Proof, ...]

    @property
    def amount(self) -> int:
        return sum(proof.amount for proof in self.proofs)

    @property
    def left_behind(self) -> tuple[Proof, ...]:
        taken = {proof.secret for proof in self.proofs}
        return tuple(proof for proof in self.token.proofs if proof.secret not in taken)


@frozen
class Selection:
    """Inputs that cover a payment, with the NUT-02 fee of spending them."""

    chosen: tuple[Chosen, ...]
    input_fee: int

    @property
    def amount(self) -> int:
        return sum(part.amount for part in self.chosen)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        return tuple(proof for part in self.chosen for proof in part.proofs)

    @property
    def left_behind(self) -> tuple[Proof, ...]:
        return tuple(proof for part in self.chosen for proof in part.left_behind)


@frozen(kw_only=True)
class Recorded:
    """The caller's report of a melt that the caller made. Its proofs stand in the evidence: ``selection``
    holds the consumed ones by source, ``keep`` the fresh ones that were kept, ``proofs`` the change."""

    amount: int
    fee: int
    payment_hash: str | None = None
    request: Secret | None = None
    fingerprint: str | None = None  # of keep and change

    __repr__ = shown


@frozen(kw_only=True, slots=False)
class Evidence:
    """One bundle per event. Everything is optional; a missing part permits nothing."""

    answer: Answer[object] | None = None
    quote: MeltQuote | None = None
    mint_quote: MintQuote | None = None
    selection: Selection | None = None
    claim_holder: str | None = None
    claim_asked: bool = False  # claim_holder was looked up
    blanks: tuple[Output, ...] = field(default=(), repr=False)
    outputs: tuple[Output, ...] = field(default=(), repr=False)
    request_body: Secret | None = None
    states: tuple[ProofState, ...] | None = None
    preflight_spent: frozenset[str] | None = None  # Ys the mint calls SPENT; None = not asked
    fence: Fence | None = None
    fence_outputs_asked: bool = False
    fence_outputs_signed: bool = False
    fence_refused_as_gone: bool = False
    fence_end: str = ""  # refused | doubted | many, as :class:`Fence` has it
    fence_renewable: bool = False  # new outputs may be signed where these are not
    strand: tuple[str, ...] = ()  # keys of inputs that cannot be fenced
    mint_can_swap: bool = False
    mint_can_restore: bool = False
    proofs: tuple[Proof, ...] | None = field(default=None, repr=False)  # change, fence or issued proofs
    proofs_verified: bool = False
    change_seen_empty: bool = False
    outputs_useless: bool = False  # of a keyset that is not used any more, or refused: new ones come with it
    watched_ms: int | None = None  # how long a late payment has been watched for
    restored_none: bool = False
    checks_performed: int = 0
    discrepancies: tuple[str, ...] = ()
    operator_reason: str = ""
    forced: bool = False
    operator: str | None = None  # who gave it
    reason: Reason | None = None
    child_ended_unspent: bool = False
    exact_inputs_wanted: bool = False
    keep: tuple[Proof, ...] = field(default=(), repr=False)
    spent_meanwhile: frozenset[Secret] = field(
        default=frozenset(), repr=False
    )  # see engine/operations/shared/freed.py
    told_by_others: frozenset[str] = frozenset()  # contested tokens that stand in another account
    recorded: Recorded | None = None
    own: object = field(default=None, repr=False)  # of an event of a kind of one's own

    __repr__ = shown
