"""The JSON of the Cashu HTTP interface: exact request bodies, answers read field by field.

Reading raises :class:`Malformed` for a text that is no answer at all; an unreadable part beside the answer is
set aside and named in its notes. Unknown fields are ignored. Times are epoch **seconds** on the wire, epoch
ms here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ....storage.records import Dleq, Output, Proof
from ....storage.secret import Secret
from ..coins import keyset_ids
from ..port import (
    UNKNOWN,
    BlindedMessage,
    BlindSignature,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    Noted,
    ProofState,
    Restored,
)
from . import fields
from .fields import Fields, Notes
from .fields import Malformed as Malformed

T = TypeVar("T")
NOT_JSON = "body is not JSON"
ITEMS_MAX = 10_000
_MELT_STATES = frozenset({"UNPAID", "PENDING", "PAID"})
_MINT_STATES = frozenset({"UNPAID", "PAID", "ISSUED"})
_PROOF_STATES = frozenset({"UNSPENT", "PENDING", "SPENT"})


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
        raise Malformed(NOT_JSON) from None


def read_info(data: object) -> MintInfo:
    """NUT-06. Everything a mint leaves out is empty; the supported parts must be readable, because "nothing"
    would be believed."""
    info = Fields(data, "info")
    nuts = fields.an_object(info.body.get("nuts", {}), "nuts")
    return MintInfo(info.get("name", fields.name) or "", info.get("version", fields.name) or "", nuts)


def read_keysets(data: object) -> Noted[KeysetInfo]:
    """NUT-02. An entry that cannot be read is left out and noted: the others are used without it."""
    notes, found = Notes(), dict[str, KeysetInfo]()
    for i, entry in enumerate(_listed(data, "keysets")):
        try:
            info = _keyset_info(entry, notes)
        except Malformed as error:
            notes.add(f"keyset {i} left out: {error}")
            continue
        if found.setdefault(info.id, info) is not info:
            notes.add(f"keyset {i} left out: listed twice")
    return Noted(found.values(), notes.all())


def read_keys(data: object, keyset_id: str) -> Keyset:
    """NUT-01: the keyset of the asked id; its id is derived again from its keys."""
    entries = _listed(data, "keysets")
    found = [entry for entry in entries if isinstance(entry, dict) and entry.get("id") == keyset_id]
    if len(found) != 1:
        raise Malformed("keysets")
    body = Fields(found[0], "keyset")
    unit = body.need("unit", fields.unit)
    keys = {fields.key_amount(a): k for a, k in fields.an_object(body.body.get("keys"), "keys").items()}
    try:
        keyset_ids.check_keys(keys)
    except ValueError:
        raise Malformed("keys") from None
    fee, final_expiry = body.get("input_fee_ppk", fields.amount), body.get("final_expiry", fields.amount)
    if not keyset_ids.keys_belong(keyset_id, keys, unit, fee, final_expiry):
        raise Malformed("keyset id does not belong to its keys")
    return Keyset(id=keyset_id, unit=unit, keys={a: k.lower() for a, k in keys.items()})


def read_melt_quote(data: object) -> MeltQuote:
    """NUT-05: the answer to the request for a quote. It must name the quote and what it costs."""
    body = Fields(data, "melt quote")
    return _melt_quote(
        body,
        body.need("quote", fields.quote_id),
        body.need("amount", fields.amount),
        body.need("fee_reserve", fields.amount),
        _state(body, _MELT_STATES, _melt_state, "UNPAID"),
    )


def read_melt_state(data: object, quote_id: str = "") -> MeltQuote:
    """NUT-05, NUT-08: the answer about a quote, or (empty id) to a posted melt. Only its state is needed.
    An answer that names no quote is about the one asked for; one that names another is malformed."""
    body = Fields(data, "melt quote")
    return _melt_quote(
        body,
        _asked_quote(body, quote_id),
        body.get("amount", fields.amount),
        body.get("fee_reserve", fields.amount),
        _state(body, _MELT_STATES, _melt_state),
    )


def _melt_quote(
    body: Fields, quote_id: str, amount: int | None, fee_reserve: int | None, state: tuple[str, str | None]
) -> MeltQuote:
    return MeltQuote(
        id=quote_id,
        amount=amount,
        fee_reserve=fee_reserve,
        state=state[0],
        expires_at=body.get("expiry", fields.expiry),
        request=body.get("request", fields.request),
        unit=body.get("unit", fields.unit),
        preimage=body.get("payment_preimage", fields.preimage),
        change=_change(body),
        said=state[1],
        notes=body.notes.all(),
    )


def read_mint_quote(data: object) -> MintQuote:
    """NUT-04: the answer to the request for a quote. It must name the quote and the invoice."""
    body = Fields(data, "mint quote")
    quote_id, request = body.need("quote", fields.quote_id), body.need("request", fields.request)
    return _mint_quote(body, quote_id, request, _state(body, _MINT_STATES, _mint_state, "UNPAID"))


def read_mint_state(data: object, quote_id: str) -> MintQuote:
    """NUT-04: the answer about a quote. Only its state is needed; see :func:`read_melt_state`."""
    body = Fields(data, "mint quote")
    request = body.get("request", fields.request)
    return _mint_quote(body, _asked_quote(body, quote_id), request, _state(body, _MINT_STATES, _mint_state))


def _mint_quote(
    body: Fields, quote_id: str, request: Secret | None, state: tuple[str, str | None]
) -> MintQuote:
    return MintQuote(
        id=quote_id,
        request=request,
        state=state[0],
        expires_at=body.get("expiry", fields.expiry),
        amount=body.get("amount", fields.amount),
        unit=body.get("unit", fields.unit),
        said=state[1],
        notes=body.notes.all(),
    )


def read_states(data: object, ys: Sequence[str]) -> Noted[ProofState]:
    """NUT-07: exactly one state for each asked Y, returned in the order asked. A word that no NUT knows is
    PENDING: nothing is built on it."""
    notes = Notes()
    states = [_proof_state(entry, notes) for entry in _listed(data, "states")]
    by_y = {s.Y: s for s in states}
    asked = [y.lower() for y in ys]
    if len(states) != len(by_y) or set(by_y) != set(asked):
        raise Malformed("states do not answer what was asked")
    return Noted((by_y[y] for y in asked), notes.all())


def read_signatures(data: object) -> Noted[BlindSignature]:
    """NUT-03, NUT-04: all signatures, or :class:`Malformed`; they can be restored then."""
    notes = Notes()
    listed = _listed(data, "signatures")
    signatures = [read_signature(entry, notes, f"signature {i}") for i, entry in enumerate(listed)]
    return Noted(signatures, notes.all())


def read_restored(data: object, asked: Sequence[BlindedMessage]) -> Restored:
    """NUT-09: as many signatures as outputs. An entry that names no asked output, or one twice, is only
    counted, and a signature that cannot be read is None: neither may look like "not signed"."""
    outputs, signatures = _listed(data, "outputs"), _listed(data, "signatures")
    if len(outputs) != len(signatures):
        raise Malformed("outputs and signatures do not correspond")
    notes = Notes()
    found: dict[str, tuple[BlindedMessage, BlindSignature | None]] = {}
    by_name = {message.B_: message for message in asked}
    for i, (output, signature) in enumerate(zip(outputs, signatures, strict=True)):
        name = _readable(partial(_message_name, output))
        message = None if name is None else by_name.get(name)
        if message is None or message.B_ in found:
            continue
        said = _readable(partial(read_signature, signature, notes, f"signature {i}"))
        found[message.B_] = (message, said)
    pairs = found.values()
    return Restored(
        tuple(message for message, _ in pairs), tuple(said for _, said in pairs), len(outputs) - len(found)
    )


def read_signature(data: object, notes: Notes, what: str) -> BlindSignature:
    """NUT-00 blind signature, with its NUT-12 proof if there is one that can be read."""
    body = Fields(data, "signature")
    dleq = body.body.get("dleq")
    read = None if dleq is None else _readable(partial(_dleq, dleq))
    if dleq is not None and read is None:
        notes.add(f"the DLEQ proof of {what} cannot be read")
    return BlindSignature(
        id=body.need("id", fields.keyset_id),
        amount=body.need("amount", fields.amount),
        C_=body.need("C_", fields.point),
        dleq=read,
    )


# --- inside -----------------------------------------------------------------------------------


def _asked_quote(body: Fields, quote_id: str) -> str:
    named = body.get("quote", fields.quote_id)
    if named is not None and quote_id and named != quote_id:
        raise Malformed("quote")
    return named or quote_id


def _state(
    body: Fields,
    known: frozenset[str],
    derive: Callable[[Fields], str | None],
    default: str | None = None,
) -> tuple[str, str | None]:
    """The state, and the mint's own word for one that is unknown. Where no state is named, other fields may
    tell it (older and newer NUTs); an answer that says nothing about it at all is malformed, unless a
    quote was just made (``default``)."""
    said = body.get("state", fields.text(fields.REQUEST_CHARS_MAX))
    if said is not None:
        return (said, None) if said in known else (UNKNOWN, fields.word(said) or None)
    derived = derive(body) or default
    if derived is None:
        raise Malformed("state")
    return derived, None


def _melt_state(body: Fields) -> str | None:
    """NUT-05 before it had states: ``paid``."""
    paid = body.get("paid", fields.flag)
    return None if paid is None else "PAID" if paid else "UNPAID"


def _mint_state(body: Fields) -> str | None:
    """NUT-04 counts what was paid and what was issued; before it had states, it said ``paid``."""
    paid, issued = body.get("amount_paid", fields.amount), body.get("amount_issued", fields.amount)
    if paid is not None and issued is not None:
        amount = body.get("amount", fields.amount) or 1
        if issued >= amount:
            return "ISSUED"
        if paid - issued >= amount:
            return "PAID"
        return UNKNOWN if paid or issued else "UNPAID"
    return {True: "PAID", False: "UNPAID", None: None}[body.get("paid", fields.flag)]


def _change(body: Fields) -> tuple[BlindSignature | None, ...]:
    """NUT-08: entry i belongs to blank i. Nulls at the end are blanks without a signature."""
    change = body.body.get("change")
    if change is None:
        return ()
    try:
        entries = list(fields.a_list(change, "change", ITEMS_MAX))
    except Malformed:
        body.notes.add("change cannot be read")
        return (None,)
    while entries and entries[-1] is None:
        entries.pop()
    signatures = []
    for i, entry in enumerate(entries):
        read = _readable(partial(read_signature, entry, body.notes, f"change {i}"))
        if read is None:
            body.notes.add(f"change {i} cannot be read")
        signatures.append(read)
    return tuple(signatures)


def _keyset_info(data: object, notes: Notes) -> KeysetInfo:
    body = Fields(data, "keyset", notes)
    fee = body.body.get("input_fee_ppk")
    return KeysetInfo(
        id=body.need("id", fields.keyset_id),
        unit=body.need("unit", fields.unit),
        active=body.need("active", fields.flag),
        input_fee_ppk=0 if fee is None else body.need("input_fee_ppk", fields.amount),
        final_expiry=body.get("final_expiry", fields.expiry),
    )


def _proof_state(data: object, notes: Notes) -> ProofState:
    body = Fields(data, "state", notes)
    y, said = body.need("Y", fields.point), body.get("state", fields.text(fields.REQUEST_CHARS_MAX))
    if said is not None and said in _PROOF_STATES:
        return ProofState(y, said)
    notes.add(f"a proof's state is {fields.word(said)!r}" if said else "a proof's state cannot be read")
    return ProofState(y, "PENDING")


def _readable(read: Callable[[], T]) -> T | None:
    """The value, or None when it cannot be read."""
    try:
        return read()
    except Malformed:
        return None


def _message_name(data: object) -> str:
    return Fields(data, "output").need("B_", fields.point)


def _dleq(data: object) -> Dleq:
    body = Fields(data, "dleq")
    return Dleq(body.need("e", fields.hex64), body.need("s", fields.hex64))


def _listed(data: object, name: str) -> list[Any]:
    """The one list an answer is about."""
    return fields.a_list(fields.an_object(data, name).get(name), name, ITEMS_MAX)


def _no_constant(name: str) -> object:
    raise Malformed(NOT_JSON)
