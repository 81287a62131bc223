"""The base of every call of the engine: its parts, and the way to drive an operation on."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

from ...storage.port import Store
from ...storage.records import Operation
from ...storage.rules.machines import Machines
from ...storage.secret import Secret
from .. import arguments
from ..admission.idempotency import Admission
from ..cashu.allowed import Judge
from ..cashu.input_limits import InputLimits
from ..cashu.keysets import Keysets
from ..cashu.port import MintPort
from ..errors import KindInvalid, NotFound
from ..loop.asking import Asking
from ..loop.children import Children
from ..loop.draft import Draft
from ..loop.drive import Run
from ..loop.driver import Driver, Observer
from ..loop.kinds import Kinds
from ..loop.log import Log
from ..loop.uptime import Uptime
from ..operations.built_in import BUILT_IN
from ..operations.mint.follow_up import FollowUps
from ..ports import Clock, Faults, NoFaults, SystemClock, Worker
from ..recovery.command import Outside
from ..recovery.recovery import Recovery
from ..settings import Settings
from .handle import Handle


def _check_machines(kinds: Kinds, store: Store) -> None:
    """The store takes every step of these kinds. Code KIND_INVALID: an action would run, and its end could
    not be stored."""
    missing = sorted({kind.name for kind in BUILT_IN} - {*kinds.names})
    if missing:
        raise KindInvalid(
            f"the kinds of an engine hold the built-in ones, {missing[0]} too: BUILT_IN | YOUR_KIND"
        )
    known = store.machines.hashes
    for named, content_hash in Machines.of(kinds.machines).hashes.items():
        if known.get(named) != content_hash:
            raise KindInvalid(
                f"the store was opened without the machine {named} of this engine: "
                "open it with the same kinds, as open_store(url, kinds=…)"
            )


class Core:
    """The parts of an engine. Calls are added by classes that build on this one (``Payments`` and its
    like), each in a file of its own; :class:`~nutstate.Engine` is all of them together."""

    def __init__(
        self,
        store: Store,
        mint: MintPort | None = None,
        *,
        kinds: Kinds = BUILT_IN,
        settings: Settings | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        logger: Any = None,
        faults: Faults | None = None,
        rng: Callable[[int], bytes] = secrets.token_bytes,
        audit_key: Secret | bytes | None = None,
        mint_allowed: Judge | None = None,
    ) -> None:
        _check_machines(kinds, store)
        self.store = store
        self._children: Children | None = None
        self._own_mint: HttpMint | None = None
        if mint is None:
            from ..cashu.wire.http import HttpMint  # its HTTP client loads as long as the whole engine

            mint = self._own_mint = HttpMint()
        log = Log(logger)
        self.kinds = kinds = kinds.telling(log)
        asked = Asking(mint, log)
        self.mint: MintPort = cast(MintPort, asked)
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self._uptime = Uptime.of(self.clock)
        self._rng = rng
        self._mint_allowed = mint_allowed
        self._mints_allowed = frozenset(map(arguments.mint_url, self.settings.mints_allowed or ()))
        self._audit_key = arguments.audit_key(audit_key)
        self._limits = InputLimits(monotonic=self.clock.monotonic)
        self._keysets = Keysets(self.mint, self.clock, self.settings)
        self._driver = Driver(
            kinds, store, self.settings, self.clock, Worker(), faults or NoFaults(), log, observer
        )
        self._recovery = Recovery(store, self._driver, self.settings, self.clock, self._open)
        self._heard = asked.heard
        self._outside = Outside(self._driver, self.settings, self._stored, self._open)
        self._follow_ups = FollowUps(
            store, self._driver, self._recovery, self.clock, self.mint, self._new_run
        )
        self._admission = Admission(
            store, self._driver, self._recovery, self.settings, self.clock, self._new_run, rng
        )

    def close(self) -> None:
        """Close the HTTP client if the engine made it."""
        if self._own_mint is not None:
            self._own_mint.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def operation(self, operation_id: str, *, npub: str | None = None) -> Handle:
        """The operation as stored. With ``npub`` only one of this owner: every call that takes an id takes
        it, and a service for many users passes it, for ids are no secrets. Code NOT_FOUND."""
        return Handle(self, self._stored(self._bound(operation_id, npub)))

    def _wait(self, wait_s: float | None) -> float:
        return self.settings.wait_s if wait_s is None else arguments.seconds(wait_s, "wait_s")

    def _bound(self, operation_id: str, npub: str | None) -> str:
        """The id, if the operation is this owner's or no owner was named. Another owner's is NOT_FOUND: an
        answer that differs would tell that it exists."""
        if npub is None:
            return operation_id
        owner, name = arguments.npub(npub), arguments.operation_id(operation_id)
        op = self.store.operation(name, owner)
        if op is None or op.npub != owner:
            raise NotFound("no such operation", operation_id=name)
        return name

    def _stored(self, operation_id: object) -> Operation:
        name = arguments.operation_id(operation_id)
        op = self.store.operation(name)
        if op is None:
            raise NotFound("no such operation", operation_id=name)
        return self.kinds.checked(op)

    def _run(self, draft: Draft) -> Run:
        return Run(
            self.kinds,
            draft,
            self.store,
            self.mint,
            self._keysets,
            self.settings,
            self.clock,
            self._rng,
            self._limits,
            worker=self._driver.worker.for_one_drive(),
            uptime=self._uptime,
            children=self._children,
        )

    def _new_run(self, op: Operation, actor: str) -> Run:
        """A drive of an operation that nothing is stored of."""
        return self._run(Draft(self.kinds.machine_of(op), op, stored=False, actor=actor))

    def _open(self, op: Operation, actor: str) -> Run:
        return self._run(self._driver.open_draft(op, actor))

    def _follow(self, op: Operation, wait: float) -> Handle:
        return self._handle(self._recovery.follow(op, wait))

    def _handle(self, op: Operation) -> Handle:
        return Handle(self, self.kinds.raise_if_refused(op))
