"""Keysets (NUT-01, NUT-02): their ids, short ids and input fees."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from .crypto import InvalidPoint, is_point

SHORT_ID_CHARS = 16
_OUR_KINDS = re.compile(r"00[0-9a-f]{14}|01[0-9a-f]{64}")


class UnknownKeyset(ValueError):
    """A short keyset id fits none, or more than one, of the known keysets. ``keyset_id`` names it."""

    def __init__(self, keyset_id: str) -> None:
        super().__init__(f"no single known keyset has the id {keyset_id}")
        self.keyset_id = keyset_id


def keyset_id_v1(keys: Mapping[int, str]) -> str:
    """NUT-02 version 00: 16 hex characters over the keys in order of their amounts."""
    joined = b"".join(bytes.fromhex(keys[amount]) for amount in sorted(keys))
    return "00" + hashlib.sha256(joined).hexdigest()[:14]


def keyset_id_v2(
    keys: Mapping[int, str], unit: str, input_fee_ppk: int = 0, final_expiry_s: int | None = None
) -> str:
    """NUT-02 version 01: 66 hex characters over keys, unit, fee and final expiry (epoch **seconds**)."""
    text = ",".join(f"{amount}:{keys[amount].lower()}" for amount in sorted(keys)) + f"|unit:{unit.lower()}"
    if input_fee_ppk:
        text += f"|input_fee_ppk:{input_fee_ppk}"
    if final_expiry_s is not None:
        text += f"|final_expiry:{final_expiry_s}"
    return "01" + hashlib.sha256(text.encode()).hexdigest()


def keys_belong(
    keyset_id: str,
    keys: Mapping[int, str],
    unit: str,
    input_fee_ppk: int | None = 0,
    final_expiry_s: int | None = None,
) -> bool:
    """Whether the id was derived from these keys. True as well where that cannot be checked: ids older
    than version 00, and version 01 at mints that do not tell the fee beside the keys (None)."""
    if keyset_id.startswith("00") and len(keyset_id) == SHORT_ID_CHARS:
        return keyset_id == keyset_id_v1(keys)
    if keyset_id.startswith("01") and input_fee_ppk is not None:
        return keyset_id == keyset_id_v2(keys, unit, input_fee_ppk, final_expiry_s)
    return True


def is_of_our_kind(keyset_id: str) -> bool:
    """Whether the id is of a version this engine can derive again from its keys: 00 or 01 (NUT-02). Others,
    such as the base64 ids of old mints, prove nothing about the keys behind them."""
    return _OUR_KINDS.fullmatch(keyset_id) is not None


def check_keys(keys: Mapping[int, str]) -> None:
    """Raise :class:`InvalidPoint` unless every key is a compressed point (NUT-01)."""
    if not all(is_point(key) for key in keys.values()):
        raise InvalidPoint("a key of the keyset is not a compressed point")


def short_id(keyset_id: str) -> str:
    """NUT-02: the form used in V4 tokens; only version 01 ids are shortened."""
    return keyset_id[:SHORT_ID_CHARS] if keyset_id.startswith("01") else keyset_id


def full_id(keyset_id: str, known: Iterable[str]) -> str:
    """The known keyset a (possibly short) id stands for; :class:`UnknownKeyset` if it is not exactly one."""
    if not is_short(keyset_id):
        return keyset_id
    fits = {known_id for known_id in known if known_id.startswith(keyset_id)}
    if len(fits) != 1:
        raise UnknownKeyset(keyset_id)
    return fits.pop()


def is_short(keyset_id: str) -> bool:
    """Whether the id is the short form of a version 01 id."""
    return keyset_id.startswith("01") and len(keyset_id) == SHORT_ID_CHARS
