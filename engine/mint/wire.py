"""The JSON of the Cashu HTTP interface: exact request bodies, strict reading of answers.

Reading raises :class:`Malformed` for anything that is not exactly what the NUT promises; unknown
fields are ignored. Times are epoch **seconds** on the wire and epoch ms here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ...storage.records import Dleq, Output, Proof
from ...storage.secret import Secret
from . import crypto, keysets
from .port import (
    BlindedMessage,
    BlindSignature,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Restored,
)

T = TypeVar("T")
AMOUNT_MAX = 2**64 - 1
EXPIRY_S_MAX = 2**43  # keeps milliseconds far from 2^63; a mint saying more means "never"
ITEMS_MAX = 10_000
_KEYSET_ID = re.compile(r"[0-9A-Za-z+/=_-]{8,66}")
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_MELT_STATES = frozenset({"UNPAID", "PENDING", "PAID"})
_MINT_STATES = frozenset({"UNPAID", "PAID", "ISSUED"})
_PROOF_STATES = frozenset({"UNSPENT", "PENDING", "SPENT"})


class Malformed(ValueError):
    """A body is not what the interface promises. Names the field, never its value."""


# --- bodies -----------------------------------------------------------------------------------


def melt_body(quote_id: str, proofs: Sequence[Proof], blanks: Sequence[Output] = ()) -> Secret:
    """NUT-05 with NUT-08 blanks, as canonical JSON. Without blanks there is no ``outputs`` at all."""
    body: dict[str, object] = {"quote": quote_id, "inputs": [_input(p) for p in proofs]}
    if blanks:
        body["outputs"] = [_output(b) for b in blanks]
    return canonical(body)


def swap_body(proofs: Sequence[Proof], outputs: Sequence[Output]) -> Secret:
    """NUT-03, as canonical JSON."""
    return canonical({"inputs": [_input(p) for p in proofs], "outputs": [_output(o) for o in outputs]})


def mint_body(quote_id: str, outputs: Sequence[Output]) -> Secret:
    """NUT-04, as canonical JSON."""
    return canonical({"quote": quote_id, "outputs": [_output(o) for o in outputs]})


def canonical(body: object) -> Secret:
    """Sorted keys, no spaces, ASCII: the same content is always the same bytes."""
    return Secret(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def _input(proof: Proof) -> dict[str, object]:
    # NUT-12: the DLEQ's r would let the mint link the proof to its signature, so dleq is never sent
    body: dict[str, object] = {
        "amount": proof.amount,
        "id": proof.id,
        "secret": proof.secret.reveal(),
        "C": proof.C.reveal(),
    }
    if proof.witness is not None:
        body["witness"] = proof.witness.reveal()
    return body


def _output(output: Output | BlindedMessage) -> dict[str, object]:
    return {"amount": output.amount, "id": output.id, "B_": output.B_}


def restore_body(outputs: Sequence[BlindedMessage]) -> Secret:
    """NUT-09."""
    return canonical({"outputs": [_output(o) for o in outputs]})


def check_states_body(ys: Sequence[str]) -> Secret:
    """NUT-07."""
    return canonical({"Ys": list(ys)})


def melt_quote_body(invoice: Secret, unit: str) -> Secret:
    """NUT-05."""
    return canonical({"request": invoice.reveal(), "unit": unit})


def mint_quote_body(amount: int, unit: str) -> Secret:
    """NUT-04."""
    return canonical({"amount": amount, "unit": unit})


# --- answers ----------------------------------------------------------------------------------


def load_json(body: bytes) -> Any:
    """Decode a body; :class:`Malformed` for truncated, non-UTF-8, NaN, too deep or too long numbers."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed("body is not JSON") from None


def read_info(data: object) -> MintInfo:
    """NUT-06. Everything a mint leaves out is empty."""
    body = _object(data, "info")
    nuts = _object(body.get("nuts", {}), "nuts")
    return MintInfo(_optional_text(body, "name") or "", _optional_text(body, "version") or "", nuts)


def read_keysets(data: object) -> tuple[KeysetInfo, ...]:
    """NUT-02."""
    return tuple(_many(_object(data, "keysets").get("keysets"), "keysets", _keyset_info))


def read_keys(data: object, keyset_id: str) -> Keyset:
    """NUT-01: the keyset of the asked id; its id is derived again from its keys."""
    found = _many(_object(data, "keys").get("keysets"), "keysets", _object_item)
    found = [k for k in found if k.get("id") == keyset_id]
    if len(found) != 1:
        raise Malformed("keysets")
    body = found[0]
    unit = _text(body, "unit")
    keys = {_key_amount(a): k for a, k in _object(body.get("keys"), "keys").items()}
    try:
        keysets.check_keys(keys)
    except ValueError:
        raise Malformed("keys") from None
    fee = _integer(body, "input_fee_ppk") if body.get("input_fee_ppk") is not None else None
    if not keysets.keys_belong(keyset_id, keys, unit, fee, _optional_integer(body, "final_expiry")):
        raise Malformed("keyset id does not belong to its keys")
    return Keyset(id=keyset_id, unit=unit, keys={a: k.lower() for a, k in keys.items()})


def read_melt_quote(data: object, quote_id: str | None = None) -> MeltQuote:
    """NUT-05, NUT-08. With ``quote_id``, an answer about another quote is malformed."""
    body = _object(data, "melt quote")
    preimage = _optional_text(body, "payment_preimage")
    request = _optional_text(body, "request")
    change = body.get("change")
    return MeltQuote(
        id=_quote_id(body, quote_id),
        amount=_integer(body, "amount"),
        fee_reserve=_integer(body, "fee_reserve"),
        state=_one_of(body, "state", _MELT_STATES),
        expires_at=_expiry(body, "expiry"),
        request=Secret(request) if request else None,
        unit=_optional_text(body, "unit"),
        preimage=Secret(preimage) if preimage else None,
        change=() if change is None else tuple(_many(change, "change", read_signature)),
    )


def read_mint_quote(data: object, quote_id: str | None = None) -> MintQuote:
    """NUT-04."""
    body = _object(data, "mint quote")
    return MintQuote(
        id=_quote_id(body, quote_id),
        request=Secret(_text(body, "request")),
        state=_one_of(body, "state", _MINT_STATES),
        expires_at=_expiry(body, "expiry"),
        amount=_optional_integer(body, "amount"),
        unit=_optional_text(body, "unit"),
    )


def read_states(data: object, ys: Sequence[str]) -> tuple[ProofState, ...]:
    """NUT-07: exactly one state for each asked Y, returned in the order asked."""
    states = _many(_object(data, "states").get("states"), "states", _proof_state)
    by_y = {s.Y: s for s in states}
    asked = [y.lower() for y in ys]
    if len(states) != len(by_y) or set(by_y) != set(asked):
        raise Malformed("states do not answer what was asked")
    return tuple(by_y[y] for y in asked)


def read_signatures(data: object) -> tuple[BlindSignature, ...]:
    """NUT-03, NUT-04."""
    return tuple(_many(_object(data, "signatures").get("signatures"), "signatures", read_signature))


def read_restored(data: object, asked: Sequence[BlindedMessage]) -> Restored:
    """NUT-09: as many signatures as outputs, and only outputs that were asked for, each once."""
    body = _object(data, "restore")
    outputs = tuple(_many(body.get("outputs"), "outputs", _blinded_message))
    signatures = tuple(_many(body.get("signatures"), "signatures", read_signature))
    names = [o.B_ for o in outputs]
    if len(outputs) != len(signatures) or len(set(names)) != len(names):
        raise Malformed("outputs and signatures do not correspond")
    if not set(names) <= {o.B_ for o in asked}:
        raise Malformed("outputs that were not asked for")
    return Restored(outputs, signatures)


def read_signature(data: object) -> BlindSignature:
    """NUT-00 blind signature, with its NUT-12 proof if there is one."""
    body = _object(data, "signature")
    dleq = body.get("dleq")
    return BlindSignature(
        id=_keyset_id(body),
        amount=_integer(body, "amount"),
        C_=_point(body, "C_"),
        dleq=None if dleq is None else _dleq(_object(dleq, "dleq")),
    )


# --- fields -----------------------------------------------------------------------------------


def _keyset_info(data: object) -> KeysetInfo:
    body = _object(data, "keyset")
    active = body.get("active")
    if not isinstance(active, bool):
        raise Malformed("active")
    fee = body.get("input_fee_ppk")
    return KeysetInfo(
        id=_keyset_id(body),
        unit=_text(body, "unit"),
        active=active,
        input_fee_ppk=0 if fee is None else _integer(body, "input_fee_ppk"),
        final_expiry=_expiry(body, "final_expiry"),
    )


def _proof_state(data: object) -> ProofState:
    body = _object(data, "state")
    return ProofState(_point(body, "Y"), _one_of(body, "state", _PROOF_STATES))


def _blinded_message(data: object) -> BlindedMessage:
    body = _object(data, "output")
    return BlindedMessage(_keyset_id(body), _integer(body, "amount"), _point(body, "B_"))


def _dleq(body: Mapping[str, Any]) -> Dleq:
    e, s = body.get("e"), body.get("s")
    if not (isinstance(e, str) and isinstance(s, str) and _HEX64.fullmatch(e) and _HEX64.fullmatch(s)):
        raise Malformed("dleq")
    return Dleq(e.lower(), s.lower())


def _object(data: object, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Malformed(what)
    return data


def _object_item(data: object) -> dict[str, Any]:
    return _object(data, "item")


def _many(data: object, what: str, read: Callable[[object], T]) -> list[T]:
    if not isinstance(data, list) or len(data) > ITEMS_MAX:
        raise Malformed(what)
    return [read(item) for item in data]


def _integer(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int or not 0 <= value <= AMOUNT_MAX:
        raise Malformed(name)
    return value


def _optional_integer(body: Mapping[str, Any], name: str) -> int | None:
    return None if body.get(name) is None else _integer(body, name)


def _expiry(body: Mapping[str, Any], name: str) -> int | None:
    seconds = _optional_integer(body, name)
    return None if seconds is None or seconds > EXPIRY_S_MAX else seconds * 1000


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(name)
    return value


def _optional_text(body: Mapping[str, Any], name: str) -> str | None:
    return None if body.get(name) in (None, "") else _text(body, name)


def _quote_id(body: Mapping[str, Any], expected: str | None) -> str:
    quote_id = _text(body, "quote")
    if expected is not None and quote_id != expected:
        raise Malformed("quote")
    return quote_id


def _keyset_id(body: Mapping[str, Any]) -> str:
    value = body.get("id")
    if not isinstance(value, str) or not _KEYSET_ID.fullmatch(value):
        raise Malformed("id")
    return value


def _point(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not crypto.is_point(value):
        raise Malformed(name)
    return value.lower()


def _one_of(body: Mapping[str, Any], name: str, allowed: frozenset[str]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise Malformed(name)
    return value


def _key_amount(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and 0 < int(text) <= AMOUNT_MAX):
        raise Malformed("keys")
    return int(text)


def _no_constant(name: str) -> object:
    raise Malformed("body is not JSON")
