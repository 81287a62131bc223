"""The reconciliation of documents inside the commit that writes them."""

from __future__ import annotations

from functools import partial

from ...storage.errors import NotAsWritten
from ...storage.port import Reader
from ...storage.read_back import ReadBack
from ...storage.records import Token
from ..cashu.port import Keyset
from ..loop.drive import Happened, Run
from ..loop.evidence import Evidence
from ..loop.foreseen import Foreseen
from .read_documents import documents_of, read_documents
from .reconcile import EVENTS, NOTHING_EXPECTED
from .reconcile_rules import CHECKS_PERFORMED, judge_documents, signatures_verify


def foresee(run: Run) -> Foreseen | None:
    """``reconcile_passed`` before the commit, with the look that proves it inside the transaction: the same
    documents, read as strictly, and the same checks. None where this look would ask the mint or take long:
    then the documents are checked after the commit."""
    remembered = partial(run.keysets.remembered, run.mint_url)
    made = _made(run)
    if made is None or not all(signatures_verify(token, remembered, run.operation.unit) for token in made):
        return None
    name, npub, kinds = run.operation.id, run.operation.npub, run.kinds

    def keys(keyset_id: str) -> Keyset:
        known = remembered(keyset_id)
        if known is None:
            raise NotAsWritten(f"the keys of keyset {keyset_id} would have to be asked for")
        return known

    def check(reader: Reader) -> None:
        op = reader.operation(name, npub)
        if op is None:
            raise NotAsWritten(f"operation {name} is not there")
        docs = read_documents(reader, op, kinds, with_wallet=False, driven=True)
        checks = judge_documents(docs, keys, NOTHING_EXPECTED)
        found = [text for check in checks for text in check.texts()]
        if found or len(checks) != CHECKS_PERFORMED:
            raise NotAsWritten("; ".join(found)[:300] or f"only {len(checks)} checks were made")

    ahead = documents_of(run.operation, run.draft.all_tokens())
    good, _ = EVENTS["reconcile_"]
    return Foreseen(Happened(good, Evidence(checks_performed=CHECKS_PERFORMED)), ReadBack(ahead, check))


def _made(run: Run) -> tuple[Token, ...] | None:
    """The tokens of the draft that the operation may have made. None when it made one that is not in it."""
    checks, inputs = run.kind.checks, {part.token_id for part in run.operation.inputs}
    named = {name for name in checks.makes(run.operation) if name is not None} if checks else set()
    if not all(run.draft.known(name) for name in named):
        return None
    return tuple(token for token in run.draft.all_tokens() if token.transaction_id not in inputs)
