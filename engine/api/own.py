"""The calls for kinds of operation that an embedding service adds: start one, tell one what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ...machines.melt.table import MELT
from ...machines.spec import NONE, Machine
from ...storage.errors import Conflict, NutstateError
from ...storage.records import Operation, Reason
from .. import arguments
from ..admission import new_operation
from ..errors import InvalidArgument, KindInvalid, Refused
from ..loop.children import Child, Children, child_id
from ..loop.drive import Happened
from ..loop.evidence import Evidence
from ..recovery.command import operator_says
from ..tokens.ids import request_hash
from .handle import Handle
from .outcome import outcome_of
from .payments import Payments


class OwnKinds(Payments):
    """Operations of the kinds that were handed in as ``kinds``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._children = Children(self._melt_child, self._start_child)

    def start(
        self,
        kind: str,
        *,
        npub: str,
        mint_url: str,
        unit: str = "sat",
        amount: int = 0,
        data: object = None,
        event: str | None = None,
        evidence: object = None,
        wallet_id: str | None = None,
        transaction_id: str | None = None,
        idempotency_key: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Start an operation of a kind of one's own and drive it for up to ``wait_s`` seconds.

        ``data`` is an instance of the kind's data class. ``event`` is the caller's event that begins it; it
        may be left out when the machine has only one. Guards and effects find ``evidence`` as ``look.own``
        and ``context.own``. The same ``transaction_id`` or ``idempotency_key`` with the same request returns
        the first operation.

        Codes: UNKNOWN_KIND, INVALID_EVENT, INVALID_DATA, INVALID_*, IDEMPOTENCY_KEY_REUSED,
        DUPLICATE_TRANSACTION_ID, and those of the machine's guards; nothing is written then.
        """
        op = self._new_own(
            kind, npub, mint_url, unit, amount, data, wallet_id, transaction_id, idempotency_key
        )
        began = Happened(_first_event(self.kinds.named(kind).latest, event), Evidence(own=evidence))
        return self._handle(self._begin(op, began, self._wait(wait_s)))

    def tell(
        self,
        operation_id: str,
        event: str,
        evidence: object = None,
        *,
        reason: str | None = None,
        operator: str | None = None,
        npub: str | None = None,
        wait_s: float | None = None,
    ) -> Handle:
        """Tell a stored operation what happened, and drive it on for up to ``wait_s`` seconds.

        The event is one that a caller or an operator causes. An operator's event needs a ``reason``;
        ``operator`` names who decides. With a ``reason`` an operator tells a caller's event, too, and the
        audit record says why. An event that the state absorbs changes nothing. Codes: NOT_FOUND,
        UNKNOWN_MACHINE, INVALID_EVENT (the built-in kinds have calls of their own), OPERATOR_REASON_MISSING,
        INVALID_OPERATOR, UNDEFINED_TRANSITION and those of the machine's guards; nothing is written then.
        """
        name = self._bound(operation_id, npub)
        stored = self._stored(name)
        machine = self.kinds.machine_of(stored)
        if not self.kinds.is_own(stored):
            raise InvalidArgument(
                f"an operation of the built-in kind {stored.kind!r} has calls of its own, such as cancel",
                code="INVALID_EVENT",
            )
        by_operator = _origin(machine, event) == "operator" or reason is not None or operator is not None
        said = operator_says(reason, operator) if by_operator else Evidence()
        told = self._outside.apply(name, event, attrs.evolve(said, own=evidence))
        return self._follow(told, self._wait(wait_s))

    def _new_own(
        self,
        kind: str,
        npub: str,
        mint_url: str,
        unit: str,
        amount: int,
        data: object,
        wallet_id: str | None,
        transaction_id: str | None,
        idempotency_key: str | None,
    ) -> Operation:
        if kind not in self.kinds.names:
            known = ", ".join(self.kinds.names)
            raise InvalidArgument(
                f"no kind named {kind!r}; this engine knows {known}: hand yours in as Engine(…, kinds=…)",
                code="UNKNOWN_KIND",
            )
        found = self.kinds.named(kind)
        if found.started_by:
            raise InvalidArgument(f"a {kind} is started by {found.started_by}", code="UNKNOWN_KIND")
        kept = found.stored(found.data() if data is None else data)
        op = new_operation.new_operation(
            found.latest,
            now=self.clock.now(),
            npub=arguments.npub(npub),
            mint_url=arguments.mint_url(mint_url),
            unit=arguments.unit(unit),
            amount=arguments.fee(amount, self.settings.amount_max, "amount"),
            wallet_id=wallet_id,
            transaction_id=transaction_id,
            idempotency_key=idempotency_key,
            bound={"data": dict(kept)},
        )
        # The data belong to the request; those that are stored change with the operation's effects.
        return attrs.evolve(
            op, data=kept, operation_hash=request_hash(request=op.operation_hash, data=dict(kept))
        )

    def _begin(self, op: Operation, began: Happened, wait: float) -> Operation:
        first = self.store.operation(op.id)
        if first is None:
            try:
                return self._admission.once(op, lambda run: began, wait)
            except InvalidArgument as taken:
                first = self.store.operation(op.id)  # the same call by another worker was faster, perhaps
                if taken.code != "DUPLICATE_TRANSACTION_ID" or first is None:
                    raise
        same = (first.kind, first.operation_hash, first.wallet_id, first.unit)
        if same != (op.kind, op.operation_hash, op.wallet_id, op.unit):
            raise new_operation.taken_id(op)
        return self._recovery.follow(first, wait)

    # -- children --------------------------------------------------------------------------------

    def _melt_child(self, parent: Operation, name: str, options: Mapping[str, Any]) -> Child:
        """The child melt, started if it is not stored yet."""
        child = child_id(parent, name)

        def start() -> Operation:
            request = self._melt_request(
                npub=parent.npub,
                mint_url=parent.mint_url,
                unit=parent.unit,
                wallet_id=parent.wallet_id,
                transaction_id=child,
                parent_id=parent.id,
                two_step=False,
                **{**options, "on_duplicate": "error", "wait_s": 0},  # it waits for nothing
            )
            return self._admission.melt_child(request)

        return self._child(parent, child, start, MELT.name, options["invoice"])

    def _start_child(self, parent: Operation, kind: str, name: str, options: Mapping[str, Any]) -> Child:
        child = child_id(parent, name)

        def start() -> Operation:
            given = {"mint_url": parent.mint_url, "unit": parent.unit, **options}
            began = given.pop("event", None), given.pop("evidence", None)
            amount, data = given.get("amount", 0), given.get("data")
            url, unit = given["mint_url"], given["unit"]
            op = self._new_own(kind, parent.npub, url, unit, amount, data, parent.wallet_id, child, None)
            event = Happened(_first_event(self.kinds.named(kind).latest, began[0]), Evidence(own=began[1]))
            return self._begin(attrs.evolve(op, parent_id=parent.id), event, 0)

        return self._child(parent, child, start, kind)

    def _child(self, parent: Operation, child: str, start: Any, kind: str, invoice: object = None) -> Child:
        stored = self.store.operation(child)
        if stored is None:
            _check_parent(parent, self.store.operation(parent.id))
        try:
            op = start() if stored is None else stored
            if not self._is_child(op, parent):
                return _TAKEN
            _check_request(op, kind, invoice)
            op = op if stored is None else self._recovery.follow(op, 0)
        except NutstateError as error:
            stored = self.store.operation(child)
            if stored is None:
                if not isinstance(error, Refused) and error.family != "MintError":
                    raise
                why = Reason(error.code, error.message, error.retryable)
                return Child("open" if error.retryable else "unpaid", None, why)
            if not self._is_child(stored, parent):
                return _TAKEN
            _check_request(stored, kind, invoice)
            op = stored
        outcome: Any = outcome_of(op, self.kinds)
        return Child(outcome, op, op.reason)

    def _is_child(self, stored: Operation, parent: Operation) -> bool:
        """Whether the operation was started as a child of this parent. Any caller may choose any free id, and
        name any parent of a melt that it records."""
        if (stored.parent_id, stored.npub, stored.wallet_id) != (parent.id, parent.npub, parent.wallet_id):
            return False
        return self.kinds.account_of(stored).proven_by != "caller"


_TAKEN = Child(
    "unpaid",
    None,
    Reason("DUPLICATE_TRANSACTION_ID", "an operation that is not the child has the child's transaction id"),
)


def _check_parent(parent: Operation, stored: Operation | None) -> None:
    """The parent is as its action saw it, and stored. Code KIND_INVALID when it is only staged: a child must
    not outlive a parent that no store has. Conflict when another worker has led the parent on."""
    if stored is None or stored.version < parent.version:
        raise KindInvalid(
            f"the action in state {parent.state!r} of kind {parent.kind!r} starts a child before the state "
            "is stored: its word must not be reads_only"
        )
    if stored.version > parent.version:
        raise Conflict(f"operation:{parent.id}")


def _check_request(stored: Operation, kind: str, invoice: object) -> None:
    """The child is of this kind and pays this invoice. Code DUPLICATE_TRANSACTION_ID: the end of one request
    must not be taken for that of another."""
    same = stored.kind == kind
    if same and invoice is not None:
        same = stored.request == arguments.invoice(invoice, stored.unit)[0]
    if not same:
        raise InvalidArgument(
            "the child with this name was started with another request: give each child a name of its own",
            code="DUPLICATE_TRANSACTION_ID",
            id=stored.id,
        )


def _first_event(machine: Machine[Any], event: str | None) -> str:
    """The caller's event that begins an operation. Code INVALID_EVENT."""
    offered = machine.offered(NONE, "caller")
    if event is None and len(offered) == 1:
        return offered[0]
    if event in offered:
        return event
    begins = f"it begins with {' or '.join(offered)}" if offered else "no event of a caller begins it"
    said = (
        "name the event"
        if event is None
        else f"{event!r} does not begin an operation of kind {machine.name!r}"
    )
    raise InvalidArgument(f"{said}: {begins}", code="INVALID_EVENT")


def _origin(machine: Machine[Any], event: str) -> str:
    """Who causes the event: caller or operator. Code INVALID_EVENT."""
    told = {known.name: known.origin for known in machine.events if known.origin in ("caller", "operator")}
    if event not in told:
        raise InvalidArgument(
            f"{event!r} is no event that a caller or an operator tells an operation of kind "
            f"{machine.name!r}; there are {', '.join(told) or '0 of them'}",
            code="INVALID_EVENT",
        )
    return told[event]
