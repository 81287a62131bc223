"""The mint and the store as the engine's code finds them in the model: every question stands on a tape.

An answer on the tape is given back; the first question without an answer raises :class:`Unanswered`, and the
code is run again from its beginning once there is an answer. So the code may be left between any two of its
questions, and nothing of it has to be written a second time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from ...engine.cashu.port import (
    Ambiguous,
    BlindedMessage,
    Keyset,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from ...storage.ahead import Read
from ...storage.port import AuditQuery, HeldCoins, OperationQuery, TokenQuery
from ...storage.records import Operation, Token
from ...storage.secret import Secret
from .labels import UNIT, epoch_of, keyset, listed, name_of, signature
from .reads import READS
from .setting import Plan
from .stored import FAR, NOW, StoredToken
from .world import Question, Request, World

SILENT = "no answer"
"""A question the mint did not answer, for whatever reason."""
REFUSED = "refused by the mint"
"""The mint's own clear refusal of a payment request: it is not executed, and never will be."""

_NUTS = {str(nut): {"supported": True} for nut in (7, 8, 9, 12)}
_FAILURES: Mapping[str, Any] = {
    SILENT: Unreachable("no answer"),
    "mint_unreachable": Unreachable("no connection"),
    "reply_lost": Ambiguous("the answer is lost"),
    "mint_refused": Refused(None, "no", definitive=False),
    REFUSED: Refused(20004, "the payment failed", definitive=False),
    "gone": Refused(11001, "inputs are spent", definitive=False),
    "refused": Refused(10001, "a proof is invalid", definitive=True),
    "keyset": Refused(12002, "the keyset is not active", definitive=True),
    "stuck": Refused(11004, "outputs are pending", definitive=False),
}


class Unanswered(BaseException):
    """The code asks something that the tape does not answer. No ``except Exception`` may catch it."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.call)
        self.question = question


@define
class Tape:
    """The answers so far, in the order of the questions. Further questions to the store are answered from
    ``world``, and the answer stands on the tape from then on; ``reads`` are these questions."""

    answers: list[Any]
    world: World
    read: int = 0
    reads: list[Question] = field(factory=list)

    def ask(self, to: str, call: str, *args: Any) -> Any:
        """The answer. :class:`Unanswered` when the mint has not given it."""
        if self.read == len(self.answers):
            question = Question(to, call, args)
            if to != "store":
                raise Unanswered(question)
            self.reads.append(question)
            self.answers.append(READS[call](self.world, *args))
        self.read += 1
        return self.answers[self.read - 1]


@define
class TapedMint:
    """The mint port. Its list of keysets is true at once, unless the mint may have no usable one."""

    tape: Tape
    plan: Plan
    epoch: int
    closes: bool

    def info(self, mint_url: str) -> MintInfo:
        return MintInfo("model", "1", _NUTS)

    def keysets(self, mint_url: str) -> Any:
        if self.closes:
            answer = self.tape.ask("mint", "keysets")
            if answer != "usable":
                return _FAILURES.get(answer, ())
        return listed(self.epoch)

    def keys(self, mint_url: str, keyset_id: str) -> Keyset:
        return next(keyset(n) for n in range(self.epoch + 1) if keyset(n).id == keyset_id)

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Any:
        return self._failed("new quote") or self._quoted("UNPAID")

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Any:
        return self._told(self.tape.ask("mint", "quote"))

    def melt(self, mint_url: str, body: Secret) -> Any:
        return self._told(self.tape.ask("post", "melt", body.reveal()))

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Any:
        answer = self.tape.ask("mint", "inputs", *map(name_of, ys))
        if answer in _FAILURES:
            return _FAILURES[answer]
        return tuple(ProofState(y, state) for y, state in zip(ys, answer, strict=True))

    def swap(self, mint_url: str, body: Secret) -> Any:
        return self._signed(self.tape.ask("post", "swap", body.reveal()))

    def mint(self, mint_url: str, body: Secret) -> Any:
        return self._signed(self.tape.ask("post", "mint", body.reveal()))

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Any:
        answer = self.tape.ask("mint", "signatures", *(name_of(output.B_) for output in outputs))
        if answer in _FAILURES:
            return _FAILURES[answer]
        found = [(o, amount) for o, amount in zip(outputs, answer, strict=True) if amount]
        given = tuple(signature(output.B_, amount, output.id) for output, amount in found)
        return Restored(tuple(output for output, _ in found), given)

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Any:
        return self._failed("new invoice") or self._invoice("UNPAID")

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Any:
        answer = self.tape.ask("mint", "invoice")
        return _FAILURES.get(answer) or self._invoice(answer)

    def _failed(self, call: str) -> Any:
        return _FAILURES.get(self.tape.ask("mint", call))

    def _told(self, answer: Any) -> Any:
        if answer in _FAILURES:
            return _FAILURES[answer]
        state, change = answer
        return self._quoted(state, change)

    def _quoted(self, state: str, change: tuple[str, int, str] | None = None) -> MeltQuote:
        signed = () if change is None else (signature(*change),)
        plan = self.plan
        return MeltQuote(
            f"quote of {plan.name}", plan.amount, plan.fee_reserve, state, NOW + FAR, unit=UNIT, change=signed
        )

    def _invoice(self, state: str) -> MintQuote:
        plan = self.plan
        return MintQuote(
            f"quote of {plan.follows or plan.name}", Secret("invoice"), state, NOW + FAR, plan.amount, UNIT
        )

    def _signed(self, answer: Any) -> Any:
        if answer in _FAILURES:
            return _FAILURES[answer]
        return tuple(signature(*one) for one in answer)


@define
class TapedStore:
    """The store as the code reads it; nothing is written through it. ``found`` are the tokens it gave."""

    tape: Tape
    url: str = "model://"
    found: dict[str, StoredToken] = field(factory=dict)

    @contextmanager
    def snapshot(self, ahead: Sequence[Read] = ()) -> Iterator[TapedStore]:
        yield self

    def operation(self, operation_id: str, home: str | None = None) -> Operation | None:
        found = self.tape.ask("store", "operation", operation_id)
        return None if found is None else found.record

    def operation_by_claim(self, claim: str) -> Operation | None:
        found = self.tape.ask("store", "claim", claim)
        return None if found is None else found.record

    def operations(self, query: OperationQuery) -> Sequence[Operation]:
        return tuple(op.record for op in self.tape.ask("store", "operations", query))

    def token(self, transaction_id: str, home: str | None = None) -> Token | None:
        return next(iter(self.tokens(TokenQuery(ids=(transaction_id,)))), None)

    def tokens(self, query: TokenQuery) -> Sequence[Token]:
        return self._found(self.tape.ask("store", "tokens", query))

    def tokens_of(self, queries: Sequence[TokenQuery]) -> Sequence[Token]:
        return self._found(self.tape.ask("store", "tokens_of", tuple(queries)))

    def _found(self, found: Sequence[StoredToken]) -> Sequence[Token]:
        self.found |= {token.id: token for token in found}
        return tuple(token.record for token in found)

    def proof_owners(self, keys: Iterable[str], home: str | None = None) -> Mapping[str, str]:
        return dict(self.tape.ask("store", "owners", *sorted(keys)))

    def audit(self, query: AuditQuery) -> Sequence[Any]:
        """The trail tells only which operations had a token in hand: one entry for each."""
        return tuple(map(_Touched, sorted(self.tape.ask("store", "touched", query.entity or ""))))

    def coins_by_keyset(
        self, npub: str, mint_url: str | None = None, wallet_id: str | None = None
    ) -> Sequence[HeldCoins]:
        found = self.tape.ask("store", "tokens", TokenQuery(npub=npub, states=("unspent", "stranded")))
        return tuple(
            HeldCoins(t.record.mint_url, t.record.unit, t.state, p.id, p.amount)
            for t in found
            for p in t.record.proofs
        )


@define
class _Touched:
    operation_id: str
    event: str = "touched"
    batch_id: str = ""
    seq: int = 0


def request_of(op_id: str, question: Question) -> Request:
    """The request that is posted, read from its body."""
    body = json.loads(question.args[0])
    outputs = body.get("outputs", ())
    return Request(
        op_id,
        question.call,
        tuple(name_of(item["secret"]) for item in body.get("inputs", ())),
        tuple(name_of(item["B_"]) for item in outputs),
        tuple(item["amount"] for item in outputs),
        _epoch(outputs),
    )


def _epoch(outputs: Sequence[Mapping[str, Any]]) -> int:
    return epoch_of(outputs[0]["id"]) if outputs else 0
