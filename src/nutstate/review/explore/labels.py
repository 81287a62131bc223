"""Proofs and outputs that can be told by name: the bytes of a secret spell the name of the coin.

The cryptography is real (the engine's own code runs over it); only the randomness is chosen, so that the same
operation always makes the same outputs. Nothing made here is worth anything."""

from __future__ import annotations

from functools import cache

from attrs import frozen

from ...engine.cashu.coins import crypto
from ...engine.cashu.coins.keyset_ids import keyset_id_v2
from ...engine.cashu.port import BlindSignature, Keyset, KeysetInfo
from ...storage.batch import proof_key
from ...storage.records import Dleq, Proof
from ...storage.secret import Secret

UNIT = "sat"
FEE_PPK = 100
"""Fee of one input: any small number of inputs costs 1."""
CALLERS_FEE = 1
"""The cost of a payment that a caller makes itself."""
AMOUNT_MAX = 40
"""The keysets have a key for every amount up to this, so that one proof carries any amount."""
EPOCHS = 2
"""Keysets that a mint may have one after the other."""

_NAME_OF: dict[str, str] = {}


@frozen
class Label:
    """A coin by its name: what the engine's code calls it."""

    name: str
    raw: bytes
    Y: str
    B_: str
    key: str


@cache
def label(name: str) -> Label:
    """The coin of that name."""
    raw = name.encode().ljust(32, b"_")
    secret = raw.hex()
    found = Label(name, raw, crypto.y_of(secret), crypto.blind(secret, secret), proof_key(Secret(secret)))
    for alias in (secret, found.Y, found.B_, found.key):
        _NAME_OF[alias] = name
    return found


def name_of(alias: str) -> str:
    """The name of a coin by its secret, Y, B_ or key in the index. The text itself if no coin has it."""
    return _NAME_OF.get(alias, alias)


@cache
def _keys(epoch: int) -> dict[int, str]:
    return {amount: crypto.public_key(_private(epoch, amount)) for amount in range(1, AMOUNT_MAX + 1)}


def _private(epoch: int, amount: int) -> str:
    return (1_000 * (epoch + 1) + amount).to_bytes(32, "big").hex()


@cache
def keyset(epoch: int) -> Keyset:
    """The keys that the mint signs with in an epoch."""
    keys = _keys(epoch)
    return Keyset(keyset_id_v2(keys, UNIT, FEE_PPK, None), UNIT, keys)


def epoch_of(keyset_id: str) -> int:
    """The epoch in which the mint signs with this keyset."""
    return next(epoch for epoch in range(EPOCHS) if keyset(epoch).id == keyset_id)


def listed(epoch: int) -> tuple[KeysetInfo, ...]:
    """The list of keysets in an epoch: the newest is active."""
    return tuple(KeysetInfo(keyset(n).id, UNIT, n == epoch, FEE_PPK) for n in range(epoch + 1))


@cache
def signature(B_: str, amount: int, keyset_id: str) -> BlindSignature:
    """The mint's signature on an output."""
    k = _private(epoch_of(keyset_id), amount)
    C_ = crypto.sign(B_, k)
    e, s = crypto.prove_dleq(B_, C_, k)
    return BlindSignature(keyset_id, amount, C_, Dleq(e, s))


@cache
def proof(name: str, amount: int) -> Proof:
    """A proof that the wallet has from the beginning."""
    made = label(name)
    secret = made.raw.hex()
    return Proof(keyset(0).id, amount, Secret(secret), Secret(made.B_), Y=made.Y)


class Rng:
    """Random bytes that spell names: secret and blinding factor of ``m1.1``, ``m1.2``, …, in turn."""

    def __init__(self, owner: str, made: int) -> None:
        self._owner, self._made, self._second = owner, made, False

    def __call__(self, count: int) -> bytes:
        if count != 32:
            return bytes(count)
        self._made += not self._second
        self._second = not self._second
        return label(f"{self._owner}.{self._made}").raw
