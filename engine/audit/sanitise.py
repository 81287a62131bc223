"""Taking out whatever is money or opens it, from any value at any depth, before it is kept or shown.

The caller's object is never touched and never asked to describe itself: only plain values are copied, of
anything else the name of its type is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from attrs import frozen

from ...storage.secret import Secret
from ..cashu.bolt11 import InvalidInvoice, decode_invoice

HIDDEN: Final = "…"
DEPTH_MAX: Final = 8
VALUES_MAX: Final = 5000  # of one whole value, so that shared parts cannot multiply without end
ITEMS_MAX: Final = 100
TEXT_MAX: Final = 500  # not less than an operator may say
NAME_MAX: Final = 60
PLAIN_BELOW: Final = 13
"""Characters of the shortest text that a pattern below finds, but for ``_LOCKED``: ``creqA`` and 8 more."""
_NAMES_REMEMBERED: Final = 1024
_NAME_REMEMBERED_MAX: Final = 40  # a longer name may be a secret itself
_INTEGER_MAX: Final = 2**63 - 1  # beyond it a number is a key, and no store takes it

_RAW: Final = (Secret, bytes, bytearray, memoryview)
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, Mapping)

_EXACT: Final = frozenset({"b_", "c", "c_", "e", "r", "s"})
_NAMES: Final = frozenset(
    {"accesstoken", "auth", "blanks", "body", "invoice", "invoices", "key", "keys", "macaroon", "outputs",
     "pr", "proof", "proofs", "quote", "quoteid", "refreshtoken", "request", "requestbody", "seed", "seeds",
     "sig", "signature", "token", "words"}
)  # fmt: skip
_PARTS: Final = re.compile(
    "secret|preimage|privatekey|privkey|seckey|signingkey|mnemonic|seedphrase|seedwords|walletseed|passphrase|"
    "password|passwd|authorization|bearer|nsec|xprv|encodedtoken|cashutoken|apikey|cookie|witness|dleq|"
    "blindingfactor|credential|lightninginvoice|bolt11|bolt12|paymentrequest"
)
_HASHES: Final = re.compile("(hash|hashes|id|ids)$")
_POINTS: Final = frozenset({"y", "ys"})

_INVOICE: Final = re.compile(
    r"(?:lightning:)?(ln(?:bcrt|bc|tbs|tb)[0-9]*[munp]?1[0-9a-z]{40,})", re.IGNORECASE
)
_MONEY: Final = re.compile(
    r"(?:lightning:)?ln(?:bcrt|bc|tbs|tb)[0-9][0-9a-z]{20,}|lno1[0-9a-z]{20,}|lnurl1[0-9a-z]{20,}"
    r"|cashu(?:://|:)?[AB][A-Za-z0-9_=+/-]{8,}|creq[AB][A-Za-z0-9_=+/-]{8,}|nsec1[0-9a-z]{20,}"
    r"|[xyztuv]prv[1-9a-z]{50,}",
    re.IGNORECASE,
)
_NEEDED: Final = re.compile(r"ln[btou]|cashu|creq|nsec|prv|npub|[0-9a-f]{64}|[\0\[ ,\n\t]", re.IGNORECASE)
"""A part that each text has which a pattern below finds: most texts have none, and are looked at once."""
_LOCKED: Final = re.compile(r'\[\s*\\?"(?:P2PK|HTLC)\\?"')
_WORDS: Final = re.compile(r"(?<![a-z])(?:[a-z]{3,8}[ ,\n\t]+){11,}[a-z]{3,8}(?![a-z])", re.IGNORECASE)
_NPUB: Final = re.compile(r"npub1[0-9a-z]{20,}", re.IGNORECASE)
_LONG_HEX: Final = re.compile(r"[0-9a-f]{64,}", re.IGNORECASE)
_A_HASH: Final = re.compile(r"[0-9a-f]{64}")
_A_POINT: Final = re.compile(r"0[23][0-9a-f]{64}", re.IGNORECASE)


def short(text: str, keep: int = 12) -> str:
    """An npub or Y, recognisable but not usable."""
    return text if len(text) <= keep else text[:keep] + HIDDEN


def clean_text(text: str) -> str:
    """The text, not longer than 500 characters, with an invoice replaced by its payment hash, tokens, keys,
    word lists and long hex numbers hidden and npubs shortened, wherever they stand."""
    return _cut(_clean(text))


def sanitise(value: Any) -> Any:
    """A copy without anything that is or opens money, as plain JSON. The caller's object is not touched.

    Secrets, and whatever stands under a telling name at any depth, become "…", as does what lies too deep,
    repeats itself or is too much; names are cleaned like text; unknown objects become their type's name.
    """
    return _Copy().of(value, _name_of(""), 0)


class _Copy:
    """One copy in the making."""

    def __init__(self) -> None:
        self._left = VALUES_MAX
        self._within: set[int] = set()  # ids of the containers we are inside of

    def of(self, value: Any, name: _Name, depth: int) -> Any:
        self._left -= 1
        if depth > DEPTH_MAX or self._left < 0:
            return HIDDEN
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return _text(_exactly(value), name)
        if name.telling or isinstance(value, _RAW):
            return HIDDEN
        if isinstance(value, int):
            number = int.__index__(value)
            return number if -_INTEGER_MAX <= number <= _INTEGER_MAX else HIDDEN
        if not isinstance(value, _CONTAINERS):
            return _cut(_clean(type.__getattribute__(type(value), "__name__")))
        return self._container(value, name, depth)

    def _container(self, value: Any, name: _Name, depth: int) -> Any:
        if id(value) in self._within:
            return HIDDEN
        self._within.add(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(value, depth)
            items = [item for item, _ in zip(value, range(ITEMS_MAX), strict=False)]
            if _are_words(items):
                return HIDDEN
            return [self.of(item, name, depth + 1) for item in items]
        except Exception:  # noqa: BLE001 - a container that does not let itself be read
            return HIDDEN
        finally:
            self._within.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in value.items():
            if self._left < 0:
                break
            name = _name_of(_name(key))
            shown, number = name.shown, 2
            while shown in found:
                shown, number = f"{shown[:NAME_MAX]}{number}", number + 1
            if type(item) is str and depth < DEPTH_MAX and self._left > 0:  # most values are texts
                self._left -= 1
                found[shown] = _text(_exactly(item), name)
            else:
                found[shown] = self.of(item, name, depth + 1)
        return found


def _exactly(text: str) -> str:
    """The characters alone, of whatever subclass, and only those that UTF-8 can carry."""
    if type(text) is str and text.isascii():
        return text
    return str.encode(text, "utf-8", "replace").decode()


def _name(key: object) -> str:
    if isinstance(key, str):
        return _exactly(key)
    if type(key) is int and -_INTEGER_MAX <= key <= _INTEGER_MAX:
        return str(key)
    return HIDDEN


@frozen
class _Name:
    """The meaning of a name for the value under it, and the name as it is shown."""

    shown: str
    telling: bool  # what stands under it is hidden
    point: bool  # … is shortened
    hash: bool  # … stays if it is a hash


def _name_of(name: str) -> _Name:
    # Names of fields come again in each record. Any other name is classified anew: no memory keeps it.
    if len(name) <= _NAME_REMEMBERED_MAX and (not name or name.isidentifier()):
        return _remembered_name(name)
    return _classified(name)


def _classified(name: str) -> _Name:
    folded = name.lower()
    bare = re.sub("[^a-z0-9]", "", folded)
    telling = folded in _EXACT or bare in _NAMES or _PARTS.search(bare) is not None
    shown = _clean(name).replace("\0", "")[:NAME_MAX]
    return _Name(shown, telling, bare in _POINTS, _HASHES.search(bare) is not None)


_remembered_name = lru_cache(_NAMES_REMEMBERED)(_classified)


def _text(text: str, name: _Name) -> str:
    if name.telling:
        return _hash_of(text) or HIDDEN
    if name.point:
        return _cut(short(text))
    if name.hash and _A_HASH.fullmatch(text):
        return text
    return _cut(_clean(text))


def _hash_of(text: str) -> str | None:
    """The text that replaces an invoice; None if the text is no invoice."""
    found = _INVOICE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return f"payment_hash:{decode_invoice(found[1]).payment_hash}"
    except InvalidInvoice:
        return None


def _clean(text: str) -> str:
    if len(text) < PLAIN_BELOW and "[" not in text:
        return text.replace("\0", "")
    if _NEEDED.search(text) is None:
        return text
    if _LOCKED.search(text):
        return HIDDEN
    hashes: list[str] = []

    def keep(found: re.Match[str]) -> str:
        known = _hash_of(found[0])
        if known is None:
            return HIDDEN
        hashes.append(known)
        return f"\0{len(hashes) - 1}\0"

    text = _INVOICE.sub(keep, text.replace("\0", ""))
    text = _WORDS.sub(HIDDEN, _MONEY.sub(HIDDEN, text))
    text = _NPUB.sub(lambda found: short(found[0]), text)
    text = _LONG_HEX.sub(HIDDEN, text)
    return re.sub("\0([0-9]+)\0", lambda found: hashes[int(found[1])], text)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + HIDDEN


def _are_words(items: Iterable[Any]) -> bool:
    words = [item for item in items if isinstance(item, str)]
    return len(words) >= 12 and _WORDS.search(" ".join(map(_exactly, words))) is not None
