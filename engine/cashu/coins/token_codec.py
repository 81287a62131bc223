"""Cashu tokens as text (NUT-00): ``cashuA`` (JSON) and ``cashuB`` (CBOR).

A token is bearer money: it comes and goes as :class:`Secret`, and no error repeats any of it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import cbor2
from attrs import evolve, field, frozen

from ....storage.records import Dleq, Proof
from ....storage.secret import Secret
from ..spelling import one_spelling
from . import crypto, keyset_ids
from .cbor import ITEMS_MAX, Reader

TOKEN_CHARS_MAX = 4_000_000
PROOFS_MAX = 10_000
AMOUNT_MAX = 2**53 - 1
_SCHEME = re.compile(r"(?:web\+)?cashu:(?://)?", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"[=/?#&](?:cashu:(?://)?)?(cashu[AB][A-Za-z0-9_\-=%+]*)")
_TEXT_CHARS_MAX = 16_384
# whatever reading raises on garbage
_GARBAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class InvalidToken(ValueError):
    """The text is no Cashu token, or a malformed one. Says why, never what was in it."""


@frozen
class DecodedToken:
    """The content of a token. Amounts in ``unit``. Keyset ids may be short until :func:`resolve_keysets`."""

    mint_url: str
    unit: str
    proofs: tuple[Proof, ...] = field(repr=False)
    memo: str | None = field(default=None, repr=False)

    @property
    def amount(self) -> int:
        """The sum of the proofs."""
        return sum(proof.amount for proof in self.proofs)


def decode_token(text: str | Secret, known_keysets: Iterable[str] | None = None) -> DecodedToken:
    """Read a token of either version, alone, with ``cashu:`` before it, or in an address
    (``…#token=cashuB…``).

    With ``known_keysets`` (the mint's full ids), short ids are resolved at once. Raises
    :class:`InvalidToken` for anything else than one mint's proofs with distinct secrets."""
    raw = text.reveal() if isinstance(text, Secret) else text
    if len(raw) > TOKEN_CHARS_MAX:
        raise InvalidToken("too long")
    raw = _alone(raw.strip())
    version, payload = raw[:6], raw[6:]
    if version not in ("cashuA", "cashuB"):
        raise InvalidToken("unknown prefix")
    data = _base64url(payload)
    try:
        token = _read_v3(data) if version == "cashuA" else _read_v4(data)
    except InvalidToken:
        raise
    except _GARBAGE:
        raise InvalidToken("the text is cut off or damaged") from None
    _check(token)
    return token if known_keysets is None else resolve_keysets(token, known_keysets)


def _alone(text: str) -> str:
    """The token without the scheme or the address around it."""
    scheme = _SCHEME.match(text)
    if scheme is not None:
        return text[scheme.end() :]
    if _ADDRESS.match(text) is None:
        return text
    found = _IN_ADDRESS.search(text)
    if found is None:
        raise InvalidToken("the address holds no token")
    return unquote(found[1])


def resolve_keysets(token: DecodedToken, known: Iterable[str]) -> DecodedToken:
    """Replace short version 01 keyset ids by the full ones. :class:`InvalidToken` if one fits none, or
    several, of the known ids."""
    by_short: dict[str, set[str]] = {}
    for keyset_id in known:
        by_short.setdefault(keyset_ids.short_id(keyset_id), set()).add(keyset_id)
    try:
        full = {
            name: keyset_ids.full_id(name, by_short.get(name, ())) for name in {p.id for p in token.proofs}
        }
        proofs = tuple(evolve(proof, id=full[proof.id]) for proof in token.proofs)
    except keyset_ids.UnknownKeyset:
        raise InvalidToken("a keyset of the token is not one of the mint's") from None
    return evolve(token, proofs=proofs)


def encode_token(
    mint_url: str,
    unit: str,
    proofs: Sequence[Proof],
    memo: str | None = None,
    *,
    version: int = 4,
    with_dleq: bool = True,
) -> Secret:
    """Write a token. Version 4 needs hex keyset ids (ValueError otherwise) and shortens those of
    version 01; version 3 takes any. ``with_dleq`` passes on DLEQ proofs that have their r (NUT-12)."""
    if version == 3:
        return Secret("cashuA" + _unbase64(_write_v3(mint_url, unit, proofs, memo, with_dleq)))
    if version == 4:
        return Secret("cashuB" + _unbase64(_write_v4(mint_url, unit, proofs, memo, with_dleq)))
    raise ValueError("a token has version 3 or 4")


# --- reading ----------------------------------------------------------------------------------


def _base64url(text: str) -> bytes:
    stripped = text.rstrip("=")
    if not stripped.isascii():
        raise InvalidToken("not base64")
    standard = stripped.translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        raise InvalidToken("not base64") from None


def _read_v3(data: bytes) -> DecodedToken:
    body = _typed(_json(data.decode("utf-8")), dict)
    entries = _typed(body["token"], list)
    mints = {_address(_text(entry["mint"])): entry["mint"] for entry in entries}
    if len(mints) != 1:
        raise InvalidToken(f"it names {len(mints)} mints, not exactly one mint: receive each part alone")
    proofs = tuple(_proof_v3(proof) for entry in entries for proof in _typed(entry["proofs"], list))
    return DecodedToken(mints.popitem()[1], _text(body.get("unit") or "sat"), proofs, _memo(body.get("memo")))


def _json(text: str) -> Any:
    """JSON whose items are counted before any is made: none begins without one of these signs."""
    if sum(map(text.count, ",[{")) > ITEMS_MAX:
        raise InvalidToken("too many items")
    return json.loads(text, object_pairs_hook=_pairs, parse_float=_none_such, parse_constant=_none_such)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidToken("a field occurs twice")
    return found


def _none_such(text: str) -> Any:
    raise InvalidToken("it holds a number that no token can have")


def _address(mint: str) -> str:
    """One spelling for each mint; a text that is no address is compared as it is."""
    try:
        return one_spelling(mint)
    except ValueError:
        return mint


def _proof_v3(body: Any) -> Proof:
    dleq = body.get("dleq")
    return Proof(
        id=_text(body["id"]),
        amount=_amount(body["amount"]),
        secret=Secret(_text(body["secret"])),
        C=Secret(_point(body["C"])),
        witness=_witness(body.get("witness")),
        dleq=None if dleq is None else _dleq({key: dleq.get(key) for key in "esr"}),
    )


def _read_v4(data: bytes) -> DecodedToken:
    body = _typed(Reader(data).read(), dict)
    proofs = tuple(
        _proof_v4(_typed(entry["i"], bytes).hex(), proof)
        for entry in _typed(body["t"], list)
        for proof in _typed(entry["p"], list)
    )
    return DecodedToken(_text(body["m"]), _text(body["u"]), proofs, _memo(body.get("d")))


def _proof_v4(keyset_id: str, body: Any) -> Proof:
    dleq = body.get("d")
    return Proof(
        id=_text(keyset_id),
        amount=_amount(body["a"]),
        secret=Secret(_text(body["s"])),
        C=Secret(_point(_typed(body["c"], bytes).hex())),
        witness=_witness(body.get("w")),
        dleq=None if dleq is None else _dleq(_hex_of(dleq)),
    )


def _hex_of(dleq: Any) -> dict[str, str | None]:
    given = {key: _typed(dleq, dict).get(key) for key in "esr"}
    return {key: None if value is None else _typed(value, bytes).hex() for key, value in given.items()}


def _check(token: DecodedToken) -> None:
    if not 0 < len(token.proofs) <= PROOFS_MAX:
        raise InvalidToken("no proofs, or too many")
    if len({proof.secret for proof in token.proofs}) != len(token.proofs):
        raise InvalidToken("a secret occurs twice")
    if token.amount > AMOUNT_MAX:
        raise InvalidToken("its amounts are too large")


def _dleq(body: Mapping[str, Any]) -> Dleq:
    e, s, r = (crypto.scalar(body[key]).hex() if body[key] is not None else None for key in "esr")
    if e is None or s is None:
        raise InvalidToken("incomplete DLEQ proof")
    return Dleq(e, s, None if r is None else Secret(r))


def _amount(value: Any) -> int:
    if type(value) is not int or not 0 < value <= AMOUNT_MAX:
        raise InvalidToken("not an amount")
    return value


def _point(value: Any) -> str:
    if not crypto.is_point(value):
        raise InvalidToken("not a signature")
    return cast(str, value).lower()


def _text(value: Any) -> str:
    text: str = _typed(value, str)
    if not 0 < len(text) <= _TEXT_CHARS_MAX:
        raise InvalidToken("an empty or overlong text")
    text.encode()  # a lone surrogate cannot be hashed or sent
    return text


def _memo(value: Any) -> str | None:
    return None if value in (None, "") else _text(value)


def _witness(value: Any) -> Secret | None:
    return None if value in (None, "") else Secret(_text(value))


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise InvalidToken("it holds a value of a type that no token has")
    return value


# --- writing ----------------------------------------------------------------------------------


def _unbase64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _write_v3(mint_url: str, unit: str, proofs: Sequence[Proof], memo: str | None, with_dleq: bool) -> bytes:
    entries = []
    for proof in proofs:
        entry: dict[str, Any] = {
            "amount": proof.amount,
            "id": proof.id,
            "secret": proof.secret.reveal(),
            "C": proof.C.reveal(),
        }
        if with_dleq and proof.dleq is not None and proof.dleq.r is not None:
            entry["dleq"] = {"e": proof.dleq.e, "s": proof.dleq.s, "r": proof.dleq.r.reveal()}
        if proof.witness is not None:
            entry["witness"] = proof.witness.reveal()
        entries.append(entry)
    body: dict[str, Any] = {"token": [{"mint": mint_url, "proofs": entries}], "unit": unit}
    if memo:
        body["memo"] = memo
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _write_v4(mint_url: str, unit: str, proofs: Sequence[Proof], memo: str | None, with_dleq: bool) -> bytes:
    by_keyset: dict[str, list[dict[str, Any]]] = {}
    for proof in proofs:
        entry: dict[str, Any] = {
            "a": proof.amount,
            "s": proof.secret.reveal(),
            "c": bytes.fromhex(proof.C.reveal()),
        }
        if with_dleq and proof.dleq is not None and proof.dleq.r is not None:
            r = proof.dleq.r.reveal()
            entry["d"] = {
                k: bytes.fromhex(v) for k, v in zip("esr", (proof.dleq.e, proof.dleq.s, r), strict=True)
            }
        if proof.witness is not None:
            entry["w"] = proof.witness.reveal()
        by_keyset.setdefault(keyset_ids.short_id(proof.id), []).append(entry)
    body: dict[str, Any] = {"t": [{"i": bytes.fromhex(key), "p": list_} for key, list_ in by_keyset.items()]}
    if memo:
        body["d"] = memo
    return cbor2.dumps({**body, "m": mint_url, "u": unit})
