"""Kinds of operation: the machine decides, the kind performs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from attrs import Attribute, field, fields, frozen, has

from ...machines.registry import UnknownMachine
from ...machines.shown import shown
from ...machines.spec import Decision, Machine, State
from ...machines.token.table import TOKEN
from ...storage.catalogue import ERRORS, SEVERITIES
from ...storage.data import Data
from ...storage.errors import CorruptRecord, NutstateError, Page, StoreUnsupported
from ...storage.port import Reader
from ...storage.records import AuditRecord, InputRef, MachineRef, Operation
from ...storage.secret import Secret
from ..errors import KindInvalid
from . import hooks
from .account import NOTHING, Account
from .draft import Draft
from .drive import Happened, Result, Run
from .effect_context import EffectContext
from .evidence import Evidence
from .foreseen import Foreseen
from .hook_failures import HookFailures
from .kind_code import check_code
from .log import Log
from .look import Look
from .own_data import NoData, checked_data, data_of, held_data, own_data_of

if TYPE_CHECKING:
    from ..checks.documents import KindChecks

F = TypeVar("F")

ActionCode = Callable[[Run], Result]
EffectCode = Callable[[EffectContext], None]
Foresight = Callable[[Run], Foreseen | None]
OperatorLook = Callable[[Run, bool], Happened | Evidence]


@frozen(kw_only=True, eq=False)
class Kind(Generic[F]):
    """Everything the engine must know about one kind of operation.

    | field | meaning |
    |---|---|
    | ``machines`` | every released version of the table; a new operation takes the highest |
    | ``facts`` | from a :class:`Look` to the facts class of the machines; reads no store and no mint |
    | ``data`` | its own frozen attrs class, stored with the operation (``look.data``, ``run.data``) |
    | ``actions`` | code for each action that a state of any version names |
    | ``effects`` | code for each effect that a transition of any version names |
    | ``foresees`` | by action that reads back: its good event before the commit; None: it looks afterwards |
    | ``tokens`` | ids of the tokens to load beside the inputs |
    | ``left_inputs`` | the inputs that it still holds, where steps on the way spend some of them |
    | ``before_effects`` | reads the store before an accepted decision is staged |
    | ``due_at`` | epoch ms of the next look where the kind knows better than the driver |
    | ``waits_until`` | epoch ms until when it waits for its caller |
    | ``watch_since`` | epoch ms since when its watch for a late payment is to be counted |
    | ``pause`` | seconds until the next look, from the engine's own back-off |
    | ``operator_looks`` | by event of an operator: what is asked of the mint before the event is decided |
    | ``alarm`` | code of the alarm while the operation is parked |
    | ``codes`` | its own refusal codes: severity (LOW to CRITICAL) and a sentence |
    | ``started_by`` | the call that starts it, where ``Engine.start`` must not |
    | ``account`` | the numbers of its money that handles and the command line show |
    | ``was_refused`` | whether the mint refused it, so that its owner may try the same again |
    | ``cost`` | what the wallet lost to fees, in its unit; None until that is known |
    | ``checks`` | what it adds to the checks of a reconciliation |
    | ``sums`` | the parts into which the value of its sources went; None until that is decided |
    | ``raises`` | the error that a call raises which finds the operation like this; None for none |
    | ``to_pay`` | the invoice that a person has to pay now, so that it goes on |
    | ``audit`` | what the audit record of a transition tells beside the common data; no secret |

    KindInvalid (code KIND_INVALID) when an action or effect has no code, or two machines are one version.
    """

    machines: tuple[Machine[F], ...]
    facts: Callable[[Look], F]
    data: type = NoData
    actions: Mapping[str, ActionCode] = field(factory=dict, repr=False)
    effects: Mapping[str, EffectCode] = field(factory=dict, repr=False)
    foresees: Mapping[str, Foresight] = field(factory=dict, repr=False)
    tokens: Callable[[Operation, Reader], Iterable[str]] = field(default=hooks.no_tokens, repr=False)
    left_inputs: Callable[[Draft], tuple[InputRef, ...]] = field(default=hooks.all_inputs, repr=False)
    before_effects: Callable[[Run, Decision, Evidence], Evidence] = field(default=hooks.as_it_is, repr=False)
    due_at: Callable[[Operation], int | None] = field(default=hooks.no_time, repr=False)
    waits_until: Callable[[Operation], int | None] = field(default=hooks.no_time, repr=False)
    watch_since: Callable[[Operation], int | None] = field(default=hooks.no_time, repr=False)
    pause: Callable[[Run, float], float] = field(default=hooks.same_pause, repr=False)
    operator_looks: Mapping[str, OperatorLook] = field(factory=dict, repr=False)
    alarm: Callable[[Operation], str | None] = field(default=hooks.no_alarm, repr=False)
    account: Callable[[Operation], Account] = field(default=hooks.no_account, repr=False)
    was_refused: Callable[[Operation], bool] = field(default=hooks.never, repr=False)
    cost: Callable[[Operation], int | None] = field(default=hooks.no_cost, repr=False)
    checks: KindChecks | None = field(default=None, repr=False)
    sums: Callable[[Operation, Sequence[AuditRecord]], dict[str, int] | None] = field(
        default=hooks.no_sums, repr=False
    )
    raises: Callable[[Operation], NutstateError | None] = field(default=hooks.raises_nothing, repr=False)
    to_pay: Callable[[Operation], Secret | None] = field(default=hooks.nothing_to_pay, repr=False)
    audit: Callable[[Operation, Evidence], Mapping[str, Any]] = field(default=hooks.nothing_more, repr=False)
    codes: Mapping[str, tuple[str, str]] = field(factory=dict, repr=False)
    started_by: str = ""

    __repr__ = shown

    def __attrs_post_init__(self) -> None:
        if not self.machines:
            raise KindInvalid("a kind has at least one machine: give machines=(YOUR_MACHINE,)")
        names = sorted({machine.name for machine in self.machines})
        if len(names) > 1:
            raise KindInvalid(f"the machines of one kind have one name, not {' and '.join(names)}")
        if not has(self.data):
            raise KindInvalid(f"data of kind {self.name!r} is a frozen attrs class, not {self.data.__name__}")
        for code, (severity, _) in self.codes.items():
            if code in ERRORS:
                raise KindInvalid(
                    f"the code {code!r} of kind {self.name!r} has a grade already: choose another"
                )
            if severity not in SEVERITIES:
                raise KindInvalid(f"severity of {code!r} is one of {', '.join(SEVERITIES)}, not {severity!r}")
        versions = [machine.version for machine in self.machines]
        for version in versions:
            if versions.count(version) > 1:
                raise KindInvalid(f"kind {self.name!r} has two machines of version {version}")
        for machine in self.machines:
            check_code(self, machine)

    @property
    def name(self) -> str:
        """The name of the kind, that of its machines."""
        return self.machines[0].name

    @property
    def latest(self) -> Machine[F]:
        """The machine that a new operation runs under: the highest version."""
        return max(self.machines, key=lambda machine: machine.version)

    def data_of(self, op: Operation) -> Any:
        """The operation's data, an instance of ``data``. CorruptRecord if they do not fit."""
        return data_of(op, self.data) if self.started_by else own_data_of(op, self.data)

    def stored(self, data: object) -> Data:
        """The data, an instance of ``data``, as an operation holds them. Those of a service's own kind are
        checked. Code INVALID_DATA."""
        return held_data(data) if self.started_by else Data(checked_data(data, self.data))

    def apply(self, context: EffectContext) -> None:
        """Stage every effect of an accepted decision, in the table's order."""
        for effect in context.decision.effects:
            self.effects[effect](context)


_HOOKS: Any = fields(Kind)


class Kinds:
    """The kinds an engine knows, by name. ``kinds | other`` is both together.

    KindInvalid (code KIND_INVALID) when two of them have one name, one is named like the token's machine, or
    the lint finds an error in a table of one's own.
    """

    def __init__(self, *kinds: Kind[Any]) -> None:
        self._by_name: dict[str, Kind[Any]] = {}
        self.failures = HookFailures()
        for kind in kinds:
            _check_tables(kind)
            if kind.name == TOKEN.name:
                raise KindInvalid(f"{kind.name!r} is the machine of tokens: choose another name")
            if self._by_name.setdefault(kind.name, kind) is not kind:
                raise KindInvalid(f"there are two kinds named {kind.name!r}")

    def telling(self, log: Log) -> Kinds:
        """The same kinds. Hooks that raise while an operation is read are told to this log."""
        same = copy(self)
        same.failures = HookFailures(log)
        return same

    def __iter__(self) -> Iterator[Kind[Any]]:
        return iter(self._by_name.values())

    def __or__(self, other: Kinds | Kind[Any]) -> Kinds:
        return Kinds(*self, *((other,) if isinstance(other, Kind) else other))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        return tuple(sorted(self._by_name))

    @property
    def machines(self) -> tuple[Machine[Any], ...]:
        """Every machine of every kind and version, the one of tokens first, to open a store with."""
        return (TOKEN, *(machine for kind in self for machine in kind.machines))

    @property
    def states(self) -> tuple[str, ...]:
        """The states that a stored operation can be in, of every kind and version, sorted."""
        machines = (machine for kind in self for machine in kind.machines)
        return tuple(sorted({s.name for spec in machines for s in spec.states if s.kind != "pseudo"}))

    def named(self, name: str) -> Kind[Any]:
        """The kind of that name. KeyError if this engine has no kind of that name."""
        return self._by_name[name]

    def of(self, op: Operation) -> Kind[Any]:
        """The kind of a stored operation. StoreUnsupported (code UNKNOWN_MACHINE) if the engine lacks it."""
        kind = self._by_name.get(op.kind)
        if kind is None:
            ref = op.machine
            raise _unknown(
                op, f"machine {ref.name}@{ref.version} is not known: this engine has no kind {op.kind!r}"
            )
        return kind

    def machine_of(self, op: Operation) -> Machine[Any]:
        """Exactly the machine the operation was started under. StoreUnsupported (code UNKNOWN_MACHINE) if the
        engine lacks it, or has another table under its version."""
        try:
            return self._released(self.of(op), op.machine)
        except UnknownMachine as error:
            raise _unknown(op, str(error.args[0])) from None

    def is_own(self, op: Operation) -> bool:
        """Whether the operation is of a kind of the service's own: ``Engine.start`` starts it and
        ``Engine.tell`` tells it what happened."""
        kind = self._by_name.get(op.kind)
        return kind is not None and not kind.started_by

    def knows(self, op: Operation) -> bool:
        """Whether this engine has the machine that the operation runs under. Only then can it be driven; it
        can be read in any case."""
        try:
            self.machine_of(op)
        except StoreUnsupported:
            return False
        return True

    def state_of(self, op: Operation) -> State:
        """The declaration of the operation's state. Of a machine that this engine lacks: the kind of the
        state and how it ends, as they are stored with the operation."""
        try:
            return self.machine_of(op).state(op.state)
        except StoreUnsupported:
            return State(op.state, "", cast(Any, op.kind_of_state), ends=cast(Any, op.ends))

    def waits_for_confirmation(self, op: Operation) -> bool:
        """Whether the operation was asked for in two steps and waits for the second one."""
        state = self.state_of(op)
        return op.policy.two_step and state.waits_for == "confirmation"

    def waits_for_caller(self, op: Operation) -> bool:
        """Whether only the next call of the caller moves the operation."""
        return self.state_of(op).waits_for == "caller" or self.waits_for_confirmation(op)

    def account_of(self, op: Operation) -> Account:
        """The numbers of the operation's money, in its unit, and the proof of its payment."""
        account: Account = self._decide(op, _HOOKS.account, NOTHING)
        return account

    def waits_until(self, op: Operation) -> int | None:
        """Until when (epoch ms) the operation waits for its caller; None without such an end."""
        until: int | None = self._decide(op, _HOOKS.waits_until, None)
        return until

    def was_refused(self, op: Operation) -> bool:
        """Whether the mint refused the operation, so that its owner may try the same again while what became
        of the request is still watched."""
        refused: bool = self._decide(op, _HOOKS.was_refused, False)
        return refused

    def checked(self, op: Operation) -> Operation:
        """The operation, whose data fit the class of its kind. CorruptRecord if they do not. The data of a
        version that this engine lacks are not looked at."""
        if self.knows(op):
            self.of(op).data_of(op)
        return op

    def readable(self, page: Page[Operation]) -> Page[Operation]:
        """The page with those operations among the unreadable documents whose data do not fit."""
        records, unreadable = [], list(page.unreadable)
        for op in page.records:
            try:
                records.append(self.checked(op))
            except CorruptRecord as error:
                unreadable.append(error)
        return Page(tuple(records), tuple(unreadable), page.size, page.last)

    def cost_of(self, op: Operation) -> int | None:
        """The wallet's loss to fees (unit of the operation); None until it is known."""
        cost: int | None = self._read(op, _HOOKS.cost)
        return cost

    def sums_of(self, op: Operation, records: Sequence[AuditRecord]) -> dict[str, int] | None:
        """The parts into which the value of the operation's sources went (its unit). None while that is not
        decided, and for a kind without sources."""
        parts: dict[str, int] | None = self._read(op, _HOOKS.sums, records)
        return parts

    def raise_if_refused(self, op: Operation) -> Operation:
        """The operation, unless its kind tells a caller of this state by an error."""
        error = self._read(op, _HOOKS.raises)
        if error is not None:
            raise error
        return op

    def to_pay(self, op: Operation) -> Secret | None:
        """The invoice that a person has to pay now so that the operation goes on. None: no invoice is
        open."""
        invoice: Secret | None = self._read(op, _HOOKS.to_pay)
        return invoice

    def alarm_of(self, op: Operation) -> str | None:
        """The alarm of a parked operation (a code of the catalogue), else None."""
        alarm = self._read(op, _HOOKS.alarm)
        return alarm if self.state_of(op).kind == "parked" else None

    def _reading(self, op: Operation) -> Kind[Any] | None:
        """The kind whose hooks read the operation. They know the data of the versions of this engine: those
        of a newer one must not make a list fail."""
        kind = self._by_name.get(op.kind)
        if kind is None or self.knows(op):
            return kind
        try:
            return kind if kind.started_by and kind.data_of(op) is not None else None
        except CorruptRecord:
            return None

    def _read(self, op: Operation, hook: Attribute[Any], *more: Any) -> Any:
        """The answer of a hook that reads the operation. None when it raises, and where the kind does not
        know the operation's version: neither must make a list fail."""
        kind = self._reading(op)
        if kind is None:
            return None
        return self.failures.answer(op, hook.name, lambda: getattr(kind, hook.name)(op, *more), None)

    def _decide(self, op: Operation, hook: Attribute[Any], otherwise: Any) -> Any:
        """The answer of a hook that decides about money: data of the package's kinds that do not fit are
        told (CorruptRecord), never taken for an operation that has none."""
        kind = self._reading(op)
        if kind is None:
            return otherwise
        if kind.started_by:
            return getattr(kind, hook.name)(op)
        return self.failures.answer(op, hook.name, lambda: getattr(kind, hook.name)(op), otherwise)

    @staticmethod
    def _released(kind: Kind[Any], ref: MachineRef) -> Machine[Any]:
        named = f"{ref.name}@{ref.version}"
        for machine in kind.machines:
            if (machine.name, machine.version) == (ref.name, ref.version):
                if machine.content_hash != ref.hash:
                    raise UnknownMachine(f"machine {named} was changed without a new version")
                return machine
        raise UnknownMachine(f"machine {named} is not known to this release")


def _check_tables(kind: Kind[Any]) -> None:
    """Lint the machines of a service's own kind; those of the package are linted by its tests."""
    if kind.started_by:
        return
    from ...review.lint import lint

    for finding in lint(kind.machines):
        if finding.severity == "error":
            place = f"{finding.machine} {finding.where}".strip()
            raise KindInvalid(f"{place}: {finding.sentence} ({finding.code}); {finding.fix}")


def _unknown(op: Operation, why: str) -> StoreUnsupported:
    return StoreUnsupported(why, code="UNKNOWN_MACHINE", operation_id=op.id)
