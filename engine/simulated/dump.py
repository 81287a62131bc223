"""The contents of a simulated mint, for a developer to look at: without secrets, preimages, invoices and all
that a token could be made or taken with."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import asdict

from .faults import ENDPOINTS
from .keys import SimulatedKeys
from .quirks import read as read_quirks
from .state import SimulatedState

QUOTE_CHARS = 8
"""So much of a quote's id is shown: who knows the whole id of a paid quote can take its tokens."""


def dump(state: SimulatedState, keys: SimulatedKeys) -> dict[str, Any]:
    """The mint as plain data. Run it inside a transaction of the state."""
    proofs, outputs = state.all("proof"), state.all("output")
    signed = [body for _, body in outputs if body["C_"] is not None]
    return {
        "keysets": [
            {
                "id": keyset.id,
                "unit": keyset.unit,
                "active": keyset.active,
                "input_fee_ppk": keyset.input_fee_ppk,
                "final_expiry_s": keyset.final_expiry_s,
            }
            for keyset in keys.all()
        ],
        "mint_quotes": [
            {"quote": _short(key), "amount": body["amount"], "unit": body["unit"], "state": body["state"]}
            for key, body in state.all("mint_quote")
        ],
        "melt_quotes": [
            {
                "quote": _short(key),
                "amount": body["amount"],
                "unit": body["unit"],
                "fee_reserve": body["fee_reserve"],
                "state": body["state"],
                "payment_hash": body["payment_hash"],
            }
            for key, body in state.all("melt_quote")
        ],
        "payments": {key: body["outcome"] for key, body in state.all("payment")},
        "proofs": dict(Counter(str(body["state"]) for _, body in proofs)),
        "outputs": {"signed": len(signed), "unsigned": len(outputs) - len(signed)},
        "signed_value": _sums(signed, keys),
        "scripts": {key: body["outcomes"] for key, body in state.all("script")},
        "next_attempts": [body["outcomes"][0] for body in state.queued("next_attempt")],
        "faults": _faults(state),
        "late": len(state.queued("late")),
        "quirks": asdict(read_quirks(state)),
    }


def _short(quote_id: str) -> str:
    return f"{quote_id[:QUOTE_CHARS]}…"


def _sums(signed: list[dict[str, Any]], keys: SimulatedKeys) -> dict[str, int]:
    unit_of = {keyset.id: keyset.unit for keyset in keys.all()}
    sums: Counter[str] = Counter()
    for body in signed:
        sums[unit_of[body["id"]]] += body["amount"]
    return dict(sums)


def _faults(state: SimulatedState) -> dict[str, Any]:
    coming = {
        endpoint: [[fault["kind"] for fault in body["faults"]] for body in state.queued(f"fault:{endpoint}")]
        for endpoint in ENDPOINTS
    }
    return {
        "next": {endpoint: kinds for endpoint, kinds in coming.items() if kinds},
        "always": {
            endpoint: [[fault["kind"] for fault in faults] for faults in body["rounds"]]
            for endpoint, body in state.all("always")
        },
        "chaos": state.get("chaos", ""),
    }
