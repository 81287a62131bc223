"""The simulated mint behind the real HTTP adapter, in process: tests can change the JSON on its way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from nutstate import SimulatedMint
from nutstate.engine.cashu.port import (
    Ambiguous,
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
    Unreachable,
)
from nutstate.engine.cashu.wire.http import HttpMint
from nutstate.storage.secret import Secret

Change = Callable[[str, Any], Any]
"""``change(call, body)`` gives what is sent instead: JSON, bytes, an ``httpx.Response``, or raises what the
transport then raises. ``body`` is a fresh copy that may be changed in place; None leaves it as it is."""


class JsonMint:
    """``HttpMint`` talking to ``mint`` through JSON, as :attr:`http`. ``change`` may be set at any time."""

    def __init__(self, mint: SimulatedMint, change: Change | None = None) -> None:
        self.mint, self.change = mint, change
        self.http = HttpMint(transport=httpx.MockTransport(self._serve))

    def _serve(self, request: httpx.Request) -> httpx.Response:
        raw = request.content.decode()
        call, answer = self._answer(request.url.path, raw, json.loads(raw) if raw else None)
        if isinstance(answer, Unreachable):
            raise httpx.ConnectError("refused")
        if isinstance(answer, Ambiguous):
            raise httpx.ReadTimeout("no answer")
        status, body = 200, _shown(answer)
        if isinstance(answer, Refused):
            status, body = 400, {"code": answer.code, "detail": answer.detail}
        changed = None if self.change is None else self.change(call, body)
        sent = body if changed is None else changed
        if isinstance(sent, httpx.Response):
            return sent
        if isinstance(sent, bytes):
            return httpx.Response(status, content=sent)
        return httpx.Response(status, content=json.dumps(sent).encode())

    def _answer(self, path: str, raw: str, body: Any) -> tuple[str, Any]:
        mint, url, last = self.mint, self.mint.url, path.rpartition("/")[2]
        match path.split("/")[2:]:
            case ["info"]:
                return "info", mint.info(url)
            case ["keysets"]:
                return "keysets", mint.keysets(url)
            case ["keys", keyset_id]:
                return "keys", mint.keys(url, keyset_id)
            case ["melt", "quote", "bolt11"]:
                return "melt_quote", mint.melt_quote(url, Secret(body["request"]), body["unit"])
            case ["melt", "quote", "bolt11", _]:
                return "melt_quote_state", mint.melt_quote_state(url, last)
            case ["melt", "bolt11"]:
                return "melt", mint.melt(url, Secret(raw))
            case ["checkstate"]:
                return "check_states", mint.check_states(url, body["Ys"])
            case ["swap"]:
                return "swap", mint.swap(url, Secret(raw))
            case ["restore"]:
                asked = [BlindedMessage(o["id"], o["amount"], o["B_"]) for o in body["outputs"]]
                return "restore", mint.restore(url, asked)
            case ["mint", "quote", "bolt11"]:
                return "mint_quote", mint.mint_quote(url, body["amount"], body["unit"])
            case ["mint", "quote", "bolt11", _]:
                return "mint_quote_state", mint.mint_quote_state(url, last)
            case ["mint", "bolt11"]:
                return "mint", mint.mint(url, Secret(raw))
        raise AssertionError(path)


def _shown(answer: Any) -> Any:
    match answer:
        case MeltQuote():
            return {
                "quote": answer.id,
                "amount": answer.amount,
                "fee_reserve": answer.fee_reserve,
                "state": answer.said or answer.state,
                "expiry": _seconds(answer.expires_at),
                "request": answer.request and answer.request.reveal(),
                "unit": answer.unit,
                "payment_preimage": answer.preimage and answer.preimage.reveal(),
                "change": [_shown(signature) for signature in answer.change],
            }
        case MintQuote():
            return {
                "quote": answer.id,
                "request": answer.request and answer.request.reveal(),
                "state": answer.said or answer.state,
                "expiry": _seconds(answer.expires_at),
                "amount": answer.amount,
                "unit": answer.unit,
            }
        case BlindSignature():
            dleq = answer.dleq and {"e": answer.dleq.e, "s": answer.dleq.s}
            return {"id": answer.id, "amount": answer.amount, "C_": answer.C_, "dleq": dleq}
        case Restored():
            outputs = [{"id": o.id, "amount": o.amount, "B_": o.B_} for o in answer.outputs]
            return {"outputs": outputs, "signatures": [_shown(s) for s in answer.signatures]}
        case Keyset():
            keys = {str(amount): key for amount, key in answer.keys.items()}
            return {"keysets": [{"id": answer.id, "unit": answer.unit, "keys": keys}]}
        case MintInfo():
            return {"name": answer.name, "version": answer.version, "nuts": dict(answer.nuts)}
        case (KeysetInfo(), *_):
            return {"keysets": [_keyset(info) for info in answer]}
        case (ProofState(), *_):
            return {"states": [{"Y": s.Y, "state": s.state, "witness": None} for s in answer]}
        case (BlindSignature(), *_):
            return {"signatures": [_shown(signature) for signature in answer]}
    return answer


def _keyset(info: KeysetInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "unit": info.unit,
        "active": info.active,
        "input_fee_ppk": info.input_fee_ppk,
        "final_expiry": _seconds(info.final_expiry),
    }


def _seconds(ms: int | None) -> int | None:
    return None if ms is None else ms // 1000
