"""The engine's own code, run for one step of one operation: actions, effects, facts and the last looks of
operators, as the kinds declare them. A tree of questions and answers for each document remembers what a step
gives, so that the code runs once for all worlds that look the same to it.

Two things stand in for the engine. The drive commits after every event: :class:`_Driver` is the real one,
asked for one event at a time. The reconciliation reads the audit trail, which the model does not keep: here
it adds up what its kind adds up, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

import attrs
from attrs import define, field

from ...engine.admission.new_operation import new_operation
from ...engine.cashu.keysets import Keysets
from ...engine.cashu.port import MintPort, MintQuote
from ...engine.loop.draft import Draft
from ...engine.loop.drive import CommitFirst, Happened, Pause, Result, Run
from ...engine.loop.driver import Driver
from ...engine.loop.evidence import Evidence
from ...engine.settings import Settings
from ...machines.spec import NONE, Decision, Machine
from ...storage.batch import IndexMove
from ...storage.errors import Duplicate, NutstateError
from ...storage.port import Store
from ...storage.records import Operation, Policy, Proof, Token, TokenMetadata
from ...storage.secret import Secret
from .calls import CALLS, STAND_INS
from .labels import UNIT, Rng
from .ports import Tape, TapedMint, TapedStore, Unanswered
from .reads import READS
from .setting import Plan, Setting, Tables
from .stored import NOW, Documents, Stored, StoredToken, outputs_in, with_fields
from .world import Question, Seen, World

OWNER, MINT_URL = "npub", "https://mint.example"


class Outcome(NamedTuple):
    """The result of a step. ``said`` is the answer of the table to the event (accepted, absorbed, refused,
    undefined), ``pause`` (nothing to decide now) or ``no`` (an operator is refused). When it was accepted,
    ``op`` and ``tokens`` are what it writes, ``born`` the ids of new tokens. ``broken`` says that it cannot
    be committed at all."""

    said: str
    event: str = ""
    before: str = ""
    after: str = ""
    edge: str = ""
    op: Stored | None = None
    tokens: tuple[StoredToken, ...] = ()
    born: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    broken: str = ""


class _Node:
    """A place in the tree: the next question, or what the step gave."""

    __slots__ = ("answers", "outcome", "question")

    def __init__(self) -> None:
        self.question: Question | None = None
        self.outcome: Outcome | None = None
        self.answers: dict[Any, _Node] = {}


class Again(NamedTuple):
    """The store has changed, so that the code would have asked something else: it begins anew."""


class _Clock:
    """It stands still: time passes in the documents."""

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Nothing happens."""


class _Draft(Draft):
    """A draft under the token machine of the setting, without audit records."""

    def _record(self, machine: Machine[Any], decision: Decision, *rest: Any) -> None:
        self._records.append(cast(Any, decision))

    @property
    def moves(self) -> dict[str, set[str]]:
        """Of a new token, the tokens its proofs were split off."""
        found: dict[str, set[str]] = {}
        for change in self._index:
            if isinstance(change, IndexMove):
                found.setdefault(change.to_token, set()).add(change.from_token)
        return found


@define(eq=False)
class _Driver(Driver):
    """The engine's driver, asked for one event."""

    tokens: Machine[Any] = field(kw_only=True)

    def open_draft(self, operation: Operation, actor: str) -> Draft:
        loaded = super().open_draft(operation, actor)
        draft = _Draft(loaded.machine, operation, stored=True, actor=actor)
        draft.token_machine = self.tokens
        draft.load(loaded.all_tokens())
        return draft

    def result(self, run: Run) -> Result:
        """The result of the state's action, or ``too_old``."""
        state = run.draft.machine.state(run.operation.state)
        return self._aged(run, state, run.kind.actions[str(state.action)](run))


@lru_cache(maxsize=8)
def code_of(
    tables: Tables, plans: tuple[Plan, ...], limits: tuple[int, int, int], closes: bool, restarts: bool
) -> Code:
    """The code for settings that have all of this in common: what it gave is remembered for all of them."""
    return Code(tables, plans, limits, closes, restarts)


def code_for(setting: Setting) -> Code:
    """The code that runs in a setting."""
    limits = (setting.retries_max, setting.fences_max, setting.outputs_max)
    return code_of(setting.tables, setting.plans, limits, setting.closes, setting.restarts)


class Code:
    """Runs the engine's code for a setting."""

    def __init__(
        self,
        tables: Tables,
        plans: tuple[Plan, ...],
        limits: tuple[int, int, int],
        closes: bool,
        restarts: bool,
    ) -> None:
        self.tables, self.plans, self.closes, self.restarts = tables, plans, closes, restarts
        retries, fences, outputs = limits
        self.documents = Documents(attempts_max=retries + 1, refusals_max=int(outputs > 1))
        self.settings = Settings(
            settle_window_s=1, refusal_window_s=1, change_window_s=1, issue_retry_s=1, issue_retry_max_s=1,
            post_open_max_s=0, unknown_age_max_h=1, watch_window_h=1, late_payment_watch_h=1,
            issue_blocked_max_h=1, hold_max_h=1,
            retries_max=retries, issue_tries_max=retries + 1, swap_tries_max=retries + 1,
            fence_generations_max=fences,
            issue_refusals_max=1 if outputs > 1 else 1000, issue_generations_max=max(1, outputs - 1),
        )  # fmt: skip
        self.kinds = tables.kinds_with(STAND_INS)
        self._trees: dict[tuple[Any, ...], _Node] = {}
        self._seen: dict[tuple[Stored, str], Seen] = {}

    # -- walking ---------------------------------------------------------------------------------------------

    def begun(self, op: Stored, program: str) -> Seen:
        """A worker that begins: with this document, running this."""
        found = self._seen.get((op, program))
        if found is None:
            found = self._seen[op, program] = Seen(op, program)
        return found

    def step(
        self, world: World, index: int, seen: Seen, confirmed: bool = False
    ) -> Question | Outcome | Again:
        """The next step of the code in this world: its question to the mint, or its result."""
        root = (index, seen.loaded, seen.program, confirmed, world.epoch)
        node = self._trees.get(root)
        if node is None:
            node = self._trees[root] = _Node()
        answers, tape = iter(seen.answers()), list[Any]()
        while True:
            if node.question is None and node.outcome is None:
                self._expand(node, world, index, seen, confirmed, tape)
            if node.outcome is not None:
                return node.outcome
            question = cast(Question, node.question)
            if question.to == "store":
                answer = READS[question.call](world, *question.args)
            else:
                asked, answer = next(answers, (None, None))
                if asked is None:
                    return question
                if asked != question:
                    return Again()
            tape.append(answer)
            following = node.answers.get(answer)
            if following is None:
                following = node.answers[answer] = _Node()
            node = following

    def _expand(
        self, node: _Node, world: World, index: int, seen: Seen, confirmed: bool, answers: list[Any]
    ) -> None:
        """Run the code with these answers: what it reads from the store, and then what it asks or gives."""
        tape = Tape(list(answers), world)
        run = _Env(self, index, seen, confirmed, world.epoch, tape)
        outcome = asked = None
        try:
            outcome = run.run()
        except Unanswered as unanswered:
            asked = unanswered.question
        for question, answer in zip(tape.reads, tape.answers[len(answers) :], strict=True):
            node.question = question
            node = node.answers[answer] = _Node()
        node.outcome, node.question = outcome, asked

    # -- what the engine's code is given ---------------------------------------------------------------------

    def new(self, index: int, followed: Stored | None = None) -> Stored:
        """The operation before it exists."""
        plan = self.plans[index]
        policy = Policy(two_step=plan.two_step, on_unpaid=plan.policy, sources=plan.sources, fee_max=1 << 20)
        op = new_operation(
            self.kinds.named(plan.kind).latest,
            now=NOW, npub=OWNER, mint_url=MINT_URL, unit=UNIT, amount=plan.amount, policy=policy,
            request=Secret("invoice"), payment_hash=plan.invoice or None,
        )  # fmt: skip
        op = attrs.evolve(op, id=plan.name, quote=None if followed is None else followed.record.quote)
        return self.stored(op)

    def token(self, token_id: str, proofs: tuple[Proof, ...]) -> StoredToken:
        """The document of a token that the wallet has from the beginning."""
        total = sum(proof.amount for proof in proofs)
        record = Token(
            token_id,
            OWNER,
            OWNER,
            MINT_URL,
            UNIT,
            "received",
            "unspent",
            0,
            proofs,
            total,
            TokenMetadata("p2p"),
            NOW,
            NOW,
        )
        return self.documents.token(record, frozenset())

    def stored(self, op: Operation) -> Stored:
        """The document of an operation."""
        return self.documents.operation(op, self.kinds.machine_of(op).state(op.state))

    def aged(self, op: Stored, words: str, changes: Callable[[Operation], dict[str, Any]]) -> Stored:
        """The document once that stretch of time is over."""
        found = op.later.get(words)
        if found is None:
            found = op.later[words] = self.stored(with_fields(op.record, changes(op.record)))
        return found


def loaded_is_new(op: Stored) -> bool:
    """Whether nothing of the operation is stored: then a call may refuse it."""
    return op.state == NONE


LOOKS: Mapping[str, bool] = {"look": False, "forced": True}
"""How an operator looks before it decides, and whether by force."""


@define(eq=False)
class _Env:
    """One run of a piece of the engine's code."""

    code: Code
    index: int
    seen: Seen
    confirmed: bool
    epoch: int
    tape: Tape
    store: TapedStore = field(init=False)

    def run(self) -> Outcome:
        code, op = self.code, self.seen.loaded.record
        self.store = TapedStore(self.tape)
        program, _, word = self.seen.program.partition(" ")
        driver = _Driver(
            code.kinds, cast(Store, self.store), code.settings, _Clock(), cast(Any, None), cast(Any, None),
            cast(Any, None), tokens=code.tables.token,
        )  # fmt: skip
        if op.state == "none":
            draft: Draft = _Draft(code.kinds.machine_of(op), op, stored=False, actor="model")
            draft.token_machine = code.tables.token
        else:
            draft = driver.open_draft(op, "model")
        made = outputs_in(op)
        mint = cast(
            MintPort,
            TapedMint(self.tape, code.plans[self.index], self.epoch, code.closes and op.kind == "mint"),
        )
        keysets = Keysets(mint, driver.clock, code.settings)
        run = Run(
            code.kinds, draft, driver.store, mint, keysets, code.settings, driver.clock,
            Rng(op.id, made), worker="model", confirmed=self.confirmed,
        )  # fmt: skip
        try:
            result = self._result(driver, run, program, word)
        except Exception as error:  # noqa: BLE001 - whatever fails in it would fail in the engine
            refuses = program in LOOKS or loaded_is_new(self.seen.loaded)
            if refuses and isinstance(error, NutstateError):
                return Outcome("no")
            return Outcome("no", broken=f"I8: {op.id} is {op.state}, and its code fails: {error!r}")
        if isinstance(result, CommitFirst):
            return Outcome("no", broken=f"I8: {op.id} waits for a commit, and nothing is staged")
        if isinstance(result, Pause):
            return Outcome("pause")
        return self._decided(driver, run, result, program)

    def _result(self, driver: _Driver, run: Run, program: str, word: str) -> Result:
        if program in LOOKS:
            found = run.kind.operator_looks[word](run, LOOKS[program])
            event, seen = (found.event, found.evidence) if isinstance(found, Happened) else (word, found)
            return Happened(event, attrs.evolve(seen, operator_reason="seen", operator="operator"))
        if program == "event":
            return Happened(word)
        if program == "operator":
            return Happened(word, Evidence(operator_reason="seen", operator="operator"))
        if program in CALLS:
            return CALLS[program](run)
        if program == "look_again":
            quote = MintQuote("", Secret("invoice"), word)
            return Happened("look_again", Evidence(mint_quote=quote, operator_reason="seen"))
        return driver.result(run)

    def _decided(self, driver: _Driver, run: Run, happened: Happened, program: str) -> Outcome:
        machine, loaded = run.draft.machine, run.operation
        if program == "drive":
            run.answered = machine.state(loaded.state).write_ahead and self.code.restarts
        present = loaded if loaded.state == "none" else self._as_stored(driver, run)
        decision = run.decide(happened.event, happened.evidence)
        told = Outcome(
            decision.outcome, happened.event, decision.state, decision.next_state, decision.transition or "",
            codes=tuple(refusal.code for refusal in decision.refusals),
        )  # fmt: skip
        if not decision.accepted:
            return told
        run.draft.operation = present
        try:
            driver.stage(run, happened, decision)
        except Duplicate as twice:
            return told._replace(broken=f"I2: {told.edge} stores a second token of one id ({twice.key})")
        except NutstateError as refused:
            return told._replace(broken=f"I8: {told.edge}: {refused.code} {refused.details}")
        except Exception as error:  # noqa: BLE001 - whatever fails in it would fail in the engine
            return told._replace(broken=f"I8: {told.edge}: its effects fail: {error!r}")
        return told._replace(**self._written(run))

    def _as_stored(self, driver: _Driver, run: Run) -> Operation:
        """The operation as it is stored now. The run decides by it: anew if another worker led it on, else
        by the times of the moment at which the code began."""
        loaded = run.operation
        stored = self.store.operation(loaded.id)
        if stored is None or stored is loaded:
            return loaded
        draft = driver.open_draft(stored, "model")
        if stored.state != loaded.state:
            run.reloaded(draft)
        else:
            draft.operation, run.draft = loaded, draft
        return stored

    def _written(self, run: Run) -> dict[str, Any]:
        draft = cast(_Draft, run.draft)
        moves, changed, born = draft.moves, list[StoredToken](), list[str]()
        for token in draft.all_tokens():
            before = self.store.found.get(token.transaction_id)
            if before is not None and before.record is token:
                continue
            if before is None:
                born.append(token.transaction_id)
            sources = moves.get(token.transaction_id, set()) | {token.transaction_id}
            touched = frozenset().union(
                *(self.store.found[s].touched for s in sources if s in self.store.found)
            )
            changed.append(self.code.documents.token(token, touched | {run.operation.id}))
        return {"op": self.code.stored(draft.operation), "tokens": tuple(changed), "born": tuple(born)}
