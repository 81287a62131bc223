"""The simulated mint's answers as the JSON of the Cashu HTTP interface."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.cashu.port import (
    BlindedMessage,
    BlindSignature,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Refused,
    Restored,
)
from ..engine.simulated.melts import FaultsOfCall

Json = dict[str, object]


def info(said: MintInfo) -> Json:
    """NUT-06."""
    return {
        "name": said.name,
        "version": said.version,
        "description": "A simulated mint for developers: its money is worth nothing.",
        "nuts": dict(said.nuts),
    }


def keysets(said: Sequence[KeysetInfo]) -> Json:
    """NUT-02."""
    return {"keysets": [_keyset_info(entry) for entry in said]}


def _keyset_info(said: KeysetInfo) -> Json:
    body: Json = {
        "id": said.id,
        "unit": said.unit,
        "active": said.active,
        "input_fee_ppk": said.input_fee_ppk,
    }
    if said.final_expiry is not None:
        body["final_expiry"] = said.final_expiry // 1000
    return body


def keys(said: Sequence[Keyset], listed: Sequence[KeysetInfo]) -> Json:
    """NUT-01. Unit, fee and final expiry, which are part of an id, stand beside the keys."""
    infos = {entry.id: _keyset_info(entry) for entry in listed}
    return {
        "keysets": [
            {**infos.get(entry.id, {"id": entry.id, "unit": entry.unit}), "keys": _by_text(entry)}
            for entry in said
        ]
    }


def _by_text(said: Keyset) -> dict[str, str]:
    return {str(amount): key for amount, key in sorted(said.keys.items())}


def mint_quote(said: MintQuote) -> Json:
    """NUT-04, NUT-20."""
    body: Json = {
        "quote": said.id,
        "request": None if said.request is None else said.request.reveal(),
        "amount": said.amount,
        "unit": said.unit,
        "state": said.said or said.state,
        "expiry": _seconds(said.expires_at),
    }
    if said.pubkey is not None:
        body["pubkey"] = said.pubkey
    return body


def melt_quote(said: MeltQuote) -> Json:
    """NUT-05, NUT-08."""
    body: Json = {
        "quote": said.id,
        "request": None if said.request is None else said.request.reveal(),
        "amount": said.amount,
        "unit": said.unit,
        "fee_reserve": said.fee_reserve,
        "state": said.said or said.state,
        "expiry": _seconds(said.expires_at),
        "payment_preimage": None if said.preimage is None else said.preimage.reveal(),
    }
    if said.change:
        body["change"] = [None if entry is None else _signature(entry) for entry in said.change]
    return body


def _seconds(ms: int | None) -> int | None:
    return None if ms is None else ms // 1000


def states(said: Sequence[ProofState]) -> Json:
    """NUT-07."""
    return {"states": [{"Y": entry.Y, "state": entry.state, "witness": None} for entry in said]}


def signatures(said: Sequence[BlindSignature]) -> Json:
    """NUT-03, NUT-04."""
    return {"signatures": [_signature(entry) for entry in said]}


def restored(said: Restored) -> Json:
    """NUT-09."""
    return {
        "outputs": [_output(entry) for entry in said.outputs],
        "signatures": [None if entry is None else _signature(entry) for entry in said.signatures],
    }


def _output(said: BlindedMessage) -> Json:
    return {"amount": said.amount, "id": said.id, "B_": said.B_}


def _signature(said: BlindSignature) -> Json:
    body: Json = {"id": said.id, "amount": said.amount, "C_": said.C_}
    if said.dleq is not None:
        body["dleq"] = {"e": said.dleq.e, "s": said.dleq.s}
    return body


def refused(said: Refused) -> tuple[int, Json]:
    """The status and the body of a refusal. A request that cannot be read is told as web frameworks do: the
    place, and nothing of what it held."""
    status = said.status or 400
    if said.code is not None:
        return status, {"detail": said.detail, "code": said.code}
    if status == 422:
        return status, {"detail": [{"loc": ["body"], "msg": said.detail, "type": "value_error"}]}
    return status, {"detail": said.detail}


def turned_away(faults: FaultsOfCall) -> tuple[int, Json]:
    """The answer to a request that a fault kept from the mint, with words for it."""
    if "locked" in faults:
        return 400, {"detail": "database is locked", "code": 0}
    if "too_large" in faults:
        return 413, {"detail": "Request Entity Too Large"}
    return 429, {"detail": "Too Many Requests"}
