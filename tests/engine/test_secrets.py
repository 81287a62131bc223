"""I12: nothing that is money, or opens it, in any log line, audit record, error, repr or traceback."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import structlog

from nutstate import (
    Engine,
    NutstateError,
    Secret,
    Store,
    configure_logging,
)
from nutstate.engine.audit import records as audit
from nutstate.engine.simulated import faults
from nutstate.storage.port import AuditQuery, OperationQuery, TokenQuery
from tests.support.data import data_in
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash


def markers(store: Store) -> set[str]:
    """Every secret value the store holds."""
    found: set[str] = set()
    for token in store.tokens(TokenQuery(limit=1000)):
        for proof in token.proofs:
            found |= {proof.secret.reveal(), proof.C.reveal()}
            if proof.dleq is not None and proof.dleq.r is not None:
                found |= {proof.dleq.r.reveal(), proof.dleq.e, proof.dleq.s}
    for op in store.operations(OperationQuery(limit=1000)):
        for output in (*data_in(op).blanks, *(o for fence in data_in(op).fences for o in fence.outputs)):
            found |= {output.secret.reveal(), output.r.reveal()}
        for secret in (
            op.request,
            data_in(op).request_body,
            data_in(op).payment.preimage if data_in(op).payment else None,
        ):
            if secret is not None:
                found.add(secret.reveal())
    return found


def test_no_secret_anywhere(store: Store) -> None:
    out = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(default=repr)],
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    events: list[Any] = []
    engine, mint, clock = funded(store, observer=events.append)
    errors: list[str] = []
    too_much = invoice(10**6, clock)
    for outcome, fault in (("PAID", None), ("PAID", faults.ANSWER_LOST), ("FAILED", None), ("PENDING", None)):
        bolt11 = invoice(100, clock)
        mint.lightning.script(payment_hash(bolt11), outcome)
        if fault is not None:
            mint.faults.next("melt", fault)
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=20)
    calls: list[Callable[[], object]] = [
        lambda: engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, on_duplicate="error"),
        lambda: engine.melt(npub=NPUB, mint_url=mint.url, invoice=too_much),
        lambda: engine.deposit(npub=NPUB, token="cashuA" + bolt11),
    ]
    for call in calls:
        with pytest.raises(NutstateError) as raised:
            call()
        errors += [str(raised.value), repr(raised.value), json.dumps(raised.value.as_dict(), default=repr)]
        lines = traceback.TracebackException.from_exception(raised.value, capture_locals=True).format()
        # the caller's own arguments are in the caller's own frames
        errors += [line.replace(bolt11, "").replace(too_much, "") for line in lines]
    shown = [out.getvalue(), repr(events), *errors]
    for op in engine.operations():
        shown += [repr(op), repr(op.record), str(op.record), json.dumps(op.as_dict(), default=repr)]
        shown += [repr(record) for record in store.audit(AuditQuery(operation_id=op.id))]
    shown += [repr(token) for token in store.tokens(TokenQuery(limit=1000))]
    text = "\n".join(shown)
    secrets = markers(store)
    assert len(secrets) > 50 and "transition" in text
    for marker in secrets:
        assert marker not in text, "a secret was printed"
    configure_logging("off")


def test_a_secret_shows_only_when_asked() -> None:
    secret = Secret("marker")
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert "marker" not in text
    assert secret.reveal() == "marker" and secret == Secret("marker") and len({secret, Secret("marker")}) == 1
    with pytest.raises(AttributeError):
        secret.x = 1
    import copy
    import pickle

    assert copy.deepcopy(secret) is secret
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        Secret(5)  # type: ignore[arg-type]


def test_sanitising_is_deep_and_leaves_the_original_alone() -> None:
    deep: dict[str, Any] = {"proofs": "MARK1"}
    for name in ("a", "b", "c2", "d"):
        deep = {
            name: [deep, ("pay lnbc1" + "q" * 60 + "MARK2 now",), {"preimage": "MARK3", "Secret": "MARK4"}]
        }
    deep |= {"ok": 5, "npub": NPUB, "y": "03" * 33, "s": Secret("MARK5"), "o": object(), "token": "MARK6"}
    before = repr(deep)
    clean = json.dumps(audit.sanitise(deep))
    assert repr(deep) == before
    assert "MARK" not in clean and NPUB not in clean and "03" * 33 not in clean
    assert '"ok": 5' in clean and NPUB[:12] in clean


def test_log_events(store: Store) -> None:
    """One event per committed transition, after its commit; one per refusal."""
    lines: list[dict[str, Any]] = []

    def keep(logger: Any, name: str, event: MutableMapping[str, Any]) -> Any:
        lines.append({"level": name, **event})
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    engine, mint, clock = funded(store)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    mine = [line for line in lines if line["operation_id"] == melt.id]
    trail = melt.audit()
    assert [(line["entity"], line["version"], line["to_state"]) for line in mine] == [
        (record.entity, record.version, record.to_state) for record in trail
    ]
    first = mine[2]
    assert first["event"] == "transition" and first["trigger"] == "inputs_chosen"
    assert first["guards"]["inputs_cover"] is True and first["duration_ms"] >= 0
    assert first["machine"] == "melt@1"
    with pytest.raises(NutstateError):
        engine.cancel(melt.id)
    assert lines[-1]["event"] == "refused" and lines[-1]["refusals"] == ["ALREADY_FINAL"]
    configure_logging("off")


def test_nothing_is_logged_before_it_is_committed(store: Store) -> None:
    seen: list[str] = []

    class Spy:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def commit(self, batch: Any, read_back: Any = None) -> None:
            seen.append("commit")
            store.commit(batch, read_back)

    engine, mint, clock = funded(store)
    spying = Engine(
        Spy(),
        mint,
        settings=QUICK,
        clock=clock,
        observer=lambda event: seen.append("event"),
    )
    spying.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
    assert seen[0] == "commit" and seen.count("commit") == 2
    assert [word for n, word in enumerate(seen) if n == 0 or word != seen[n - 1]] == ["commit", "event"] * 2


def test_money_in_an_operators_words_is_hidden(store: Store) -> None:
    engine, mint, clock = funded(store, mint_options={"without": [9]})
    bolt11 = invoice(700, clock)
    mint.faults.next("melt", faults.REQUEST_LOST)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    done = engine.write_off(melt.id, f"customer paid {bolt11} by hand", force=True)
    assert bolt11 not in repr(done.audit()) + repr(done.as_dict())
