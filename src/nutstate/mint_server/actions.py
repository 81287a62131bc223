"""The actions of the admin path on the simulated mint: one table with their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import fields_dict, frozen

from ..engine.cashu.bolt11 import InvalidInvoice, decode_invoice
from ..engine.simulated.faults import ENDPOINTS, Fault
from ..engine.simulated.lightning import ANY, OUTCOMES
from ..engine.simulated.mint import SimulatedMint
from ..engine.simulated.quirks import Quirks
from .errors import AdminNotPossible, InvalidAdminRequest, MintServerError

Given = Mapping[str, Any]
Result = dict[str, Any]


@frozen
class Field:
    """One field of an action's JSON object: its kind, and whether it must be there."""

    kind: str
    needed: bool = False

    def fits(self, value: object) -> bool:
        """Whether a value is of the kind."""
        return _KINDS[self.kind](value)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2**53


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 10_000


def _is_list(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and len(value) <= 1000 and all(fits(item) for item in value)


def _is_fault(value: object) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"kind", "arguments"}:
        return False
    return _is_text(value.get("kind")) and isinstance(value.get("arguments", {}), dict)


_KINDS: Mapping[str, Callable[[object], bool]] = {
    "number": _is_number,
    "text": _is_text,
    "hash": lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
    "flag": lambda value: isinstance(value, bool),
    "outcome": lambda value: isinstance(value, str) and value in OUTCOMES,
    "outcomes": lambda value: bool(value) and _is_list(value, lambda one: one in OUTCOMES),
    "endpoint": lambda value: isinstance(value, str) and value in ENDPOINTS,
    "endpoints": lambda value: _is_list(value, lambda one: one in ENDPOINTS),
    "texts": lambda value: _is_list(value, _is_text),
    "numbers": lambda value: _is_list(value, lambda one: _is_number(one) and one != 0),
    "faults": lambda value: _is_list(value, _is_fault),
    "rounds": lambda value: _is_list(value, lambda faults: _is_list(faults, _is_fault)),
    "object": lambda value: isinstance(value, dict),
}


_WORDS: Mapping[str, tuple[str, ...]] = {
    "outcome": tuple(sorted(OUTCOMES)),
    "outcomes": tuple(sorted(OUTCOMES)),
    "endpoint": tuple(sorted(ENDPOINTS)),
    "endpoints": tuple(sorted(ENDPOINTS)),
}
"""The words of a kind that a caller chooses from."""


@frozen
class Action:
    """One action of the admin path: what it does, and the fields of its JSON object."""

    about: str
    fields: Mapping[str, Field]
    run: Callable[[SimulatedMint, Given], Result]
    wrong: type[MintServerError] = InvalidAdminRequest
    """The error when the mint says no: a malformed request, or one that its state does not allow."""


def read(action: Action, given: Mapping[str, Any]) -> Given:
    """The fields as given. :class:`InvalidAdminRequest` names the first that does not fit."""
    for name in given:
        if name not in action.fields:
            raise InvalidAdminRequest(f"unknown field {name[:60]!r}; known are {', '.join(action.fields)}")
    for name, field in action.fields.items():
        if given.get(name) is None:
            if field.needed:
                raise InvalidAdminRequest(f"the field {name} is missing")
        elif not field.fits(given[name]):
            words = _WORDS.get(field.kind)
            known = f"; known are {', '.join(words)}" if words else ""
            raise InvalidAdminRequest(f"the field {name} is no {field.kind}{known}")
    return {name: value for name, value in given.items() if value is not None}


def _payment_hash(given: Given) -> str:
    if "invoice" not in given:
        return str(given["payment_hash"]) if "payment_hash" in given else ANY
    try:
        return decode_invoice(given["invoice"].lower()).payment_hash
    except InvalidInvoice:
        raise InvalidAdminRequest("the field invoice is no BOLT-11 invoice") from None


def _one_hash(given: Given) -> str:
    found = _payment_hash(given)
    if found == ANY:
        raise InvalidAdminRequest("give invoice or payment_hash")
    return found


def _faults(given: Sequence[Mapping[str, Any]]) -> list[Fault]:
    return [Fault(fault["kind"], fault.get("arguments", {})) for fault in given]


def _next_payment(mint: SimulatedMint, given: Given) -> Result:
    mint.lightning.next(given["outcome"], fee=given.get("fee"), preimage=given.get("preimage"))
    return {}


def _script(mint: SimulatedMint, given: Given) -> Result:
    about = _payment_hash(given)
    mint.lightning.script(about, *given["outcomes"], fee=given.get("fee"), preimage=given.get("preimage"))
    return {"payment_hash": about}


def _settle(mint: SimulatedMint, given: Given) -> Result:
    mint.lightning.settle(_one_hash(given), fee=given.get("fee"))
    return {"payment_hash": _one_hash(given)}


def _fail(mint: SimulatedMint, given: Given) -> Result:
    mint.lightning.fail(_one_hash(given))
    return {"payment_hash": _one_hash(given)}


def _payment(mint: SimulatedMint, given: Given) -> Result:
    about = _one_hash(given)
    return {
        "payment_hash": about,
        "payments": mint.lightning.payments(about),
        "attempts": mint.lightning.attempts(about),
    }


def _invoice(mint: SimulatedMint, given: Given) -> Result:
    if given["amount"] == 0:
        raise InvalidAdminRequest("the field amount is 0; an invoice over more than 0 sat is made")
    return {"invoice": mint.lightning.invoice(given["amount"]).reveal()}


def _pay_mint_quote(mint: SimulatedMint, given: Given) -> Result:
    mint.pay_mint_quote(given["quote"])
    return {}


def _auto_pay(mint: SimulatedMint, given: Given) -> Result:
    mint.auto_pay = given["on"]
    return {"on": mint.auto_pay}


def _rotate(mint: SimulatedMint, given: Given) -> Result:
    return {"keyset": mint.rotate_keyset(given.get("input_fee_ppk"), given.get("unit"))}


def _add(mint: SimulatedMint, given: Given) -> Result:
    options = {name: given[name] for name in ("amounts", "final_expiry_s", "unit") if name in given}
    return {"keyset": mint.add_keyset(input_fee_ppk=given.get("input_fee_ppk", 0), **options)}


def _deactivate(mint: SimulatedMint, given: Given) -> Result:
    known = {entry["id"] for entry in mint.dump()["keysets"]}
    if "keyset" in given and given["keyset"] not in known:
        raise AdminNotPossible("the mint has no keyset of this id")
    mint.deactivate_keyset(given.get("keyset"))
    return {}


def _next_faults(mint: SimulatedMint, given: Given) -> Result:
    for _ in range(min(given.get("times", 1), 1000)):
        mint.faults.next(given["endpoint"], *_faults(given["faults"]))
    return {}


def _always(mint: SimulatedMint, given: Given) -> Result:
    mint.faults.always(given["endpoint"], *[_faults(faults) for faults in given["rounds"]])
    return {}


def _chaos(mint: SimulatedMint, given: Given) -> Result:
    options = {name: given[name] for name in ("kinds", "endpoints") if name in given}
    mint.faults.chaos(given["seed"], given["percent"], **options)
    return {}


def _stop(mint: SimulatedMint, given: Given) -> Result:
    mint.faults.stop()
    return {}


def _deliver_late(mint: SimulatedMint, given: Given) -> Result:
    return {"executed": mint.deliver_late()}


def _behave(mint: SimulatedMint, given: Given) -> Result:
    quirks, known = given["quirks"], fields_dict(Quirks)
    for name, value in quirks.items():
        if name not in known:
            raise InvalidAdminRequest(f"unknown quirk {name[:60]!r}; known are {', '.join(known)}")
        default = known[name].default
        may_be_none = value is None and name != "quote_expiry_s"
        fits = type(value) is bool if isinstance(default, bool) else may_be_none or _is_number(value)
        if not fits:
            raise InvalidAdminRequest(f"the quirk {name} has no value of its kind")
    mint.behave(**quirks)
    return {}


def _dump(mint: SimulatedMint, given: Given) -> Result:
    return mint.dump()


_ABOUT_PAYMENT = {"invoice": Field("text"), "payment_hash": Field("hash")}
_ENDING = {"fee": Field("number"), "preimage": Field("hash")}

ACTIONS: Mapping[str, Action] = {
    "payments/next": Action(
        "Decide the next payment attempt: PAID, PENDING, FAILED or UNKNOWN. Several queue up.",
        {"outcome": Field("outcome", True), **_ENDING}, _next_payment),
    "payments/script": Action(
        "Decide every attempt for an invoice (or for all others): the outcomes in order, the last for ever.",
        {"outcomes": Field("outcomes", True), **_ABOUT_PAYMENT, **_ENDING}, _script),
    "payments/settle": Action(
        "Let a pending payment arrive.", {**_ABOUT_PAYMENT, "fee": Field("number")}, _settle,
        AdminNotPossible),
    "payments/fail": Action("Let a pending payment come back.", _ABOUT_PAYMENT, _fail,
        AdminNotPossible),
    "payments/show": Action("Tell how often an invoice was tried, and paid: 0 or 1.", _ABOUT_PAYMENT,
        _payment),
    "payments/invoice": Action(
        "Make an invoice of another node, in sat, for a melt to pay.", {"amount": Field("number", True)},
        _invoice),
    "mint-quotes/pay": Action("Pay a mint quote.", {"quote": Field("text", True)}, _pay_mint_quote,
        AdminNotPossible),
    "mint-quotes/auto-pay": Action(
        "Pay new mint quotes at once, or leave them unpaid, until the server ends.",
        {"on": Field("flag", True)}, _auto_pay),
    "keysets/rotate": Action(
        "Start a new keyset and deactivate the others (of the unit).",
        {"input_fee_ppk": Field("number"), "unit": Field("text")}, _rotate,
        AdminNotPossible),
    "keysets/add": Action(
        "Start one more keyset beside the others.",
        {"input_fee_ppk": Field("number"), "unit": Field("text"), "amounts": Field("numbers"),
         "final_expiry_s": Field("number")}, _add),
    "keysets/deactivate": Action(
        "Sign no more with a keyset, or with any.", {"keyset": Field("text")}, _deactivate),
    "faults/next": Action(
        "Spoil the next call of an endpoint; several queue up. No fault: a call that works.",
        {"endpoint": Field("endpoint", True), "faults": Field("faults", True), "times": Field("number")},
        _next_faults),
    "faults/always": Action(
        "Spoil every call of an endpoint, the rounds in turns; no round ends it.",
        {"endpoint": Field("endpoint", True), "rounds": Field("rounds", True)}, _always),
    "faults/chaos": Action(
        "Spoil about so many percent of all calls, drawn from the seed.",
        {"seed": Field("number", True), "percent": Field("number", True), "kinds": Field("texts"),
         "endpoints": Field("endpoints")}, _chaos),
    "faults/stop": Action("End all faults.", {}, _stop),
    "faults/deliver-late": Action("Execute the requests that `late` held back.", {}, _deliver_late),
    "quirks": Action("Take on habits of other mints.", {"quirks": Field("object", True)}, _behave),
    "state": Action("Show keysets, quotes, payments and faults, without secrets.", {}, _dump),
}  # fmt: skip
"""Path below ``/admin/`` to action. ``state`` is a GET, all others are POSTs with a JSON object."""
READS = frozenset({"state"})
