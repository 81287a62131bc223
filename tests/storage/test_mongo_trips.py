"""The commands that one melt sends to MongoDB."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from nutstate import configure_logging
from nutstate.storage.batch import proof_key
from nutstate.storage.local.replica_set import ReplicaSet
from nutstate.storage.mongo import open as opening
from nutstate.storage.mongo.open import open_mongo
from nutstate.storage.port import TokenQuery
from tests.support.data import data_in
from tests.support.wallet import NPUB, funded, invoice

pytestmark = pytest.mark.real_mongo

READS, RESERVE, SETTLE, READ_BACK = 2, 5, 5, 1
"""What was stored before, and the candidates; two transactions, the second with the documents read back."""


class Heard(CommandListener):
    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: Any) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_r547_a_melt_takes_13_round_trips_at_most(
    mongo_servers: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more with more tokens in the wallet, or with longer answers."""
    configure_logging("off")
    heard = Heard()
    monkeypatch.setattr(opening, "MongoClient", partial(MongoClient[Any], event_listeners=[heard]))
    with open_mongo(mongo_servers.url("trips")) as store:
        engine, mint, clock = funded(store, amount=0)
        for _ in range(150):  # more than the first answer of a server holds by default
            engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=64)
        for amount in (50, 120):
            heard.commands.clear()
            paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(amount, clock))
            assert paid.state == "reconciled"
            assert len(heard.commands) <= READS + RESERVE + SETTLE + READ_BACK, heard.commands
        store._gateway._client.drop_database("trips")  # type: ignore[attr-defined]


def test_r623_no_newborn_proof_is_in_the_servers_log_of_slow_commands(mongo_servers: ReplicaSet) -> None:
    """R623, R582: the log shows updates whole. The change of a payment is born by an insert, which it does
    not; and proofs are found by their keys, so that no other command holds a secret either."""
    configure_logging("off")
    url = mongo_servers.url("slow")
    with open_mongo(url) as store, MongoClient[Any](url) as client:
        engine, mint, clock = funded(store)
        was = client["slow"].command("profile", 0, slowms=-1)
        try:
            paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=invoice(100, clock))
        finally:
            client["slow"].command("profile", 0, slowms=was["slowms"])
        change = store.token(data_in(paid.record).change_token_id)
        assert change is not None and change.proofs
        shown = "".join(node.log.read_text(errors="replace") for node in mongo_servers.nodes)
        assert "Slow query" in shown and paid.id in shown and proof_key(change.proofs[0].secret) in shown
        assert not [proof for proof in change.proofs if proof.C.reveal() in shown]
        secrets = [proof.secret.reveal() for token in store.tokens(TokenQuery()) for proof in token.proofs]
        telling = [line for line in shown.splitlines() if any(secret in line for secret in secrets)]
        assert telling and all('"type":"update"' in line for line in telling), "a split is an update"
        client.drop_database("slow")
