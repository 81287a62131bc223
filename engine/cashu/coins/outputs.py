"""Outputs: making them, and opening the mint's signatures on them (NUT-00, NUT-08, NUT-09, NUT-12)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from ....storage.records import Dleq, Output, Proof
from ....storage.secret import Secret
from ..port import BlindedMessage, BlindSignature, Keyset, Restored
from . import crypto, nut13
from .verified import VERIFIED

KeysFor = Callable[[str], Keyset]
Random = Callable[[int], bytes]


class BadSignature(ValueError):
    """The mint's signatures do not fit what was asked, or a DLEQ proof is wrong. ``index`` is the
    position of the offending signature, None if the whole answer does not fit."""

    def __init__(self, why: str, index: int | None = None) -> None:
        super().__init__(why if index is None else f"signature {index}: {why}")
        self.index = index


def random_outputs(
    keyset_id: str, amounts: Sequence[int], rng: Random = secrets.token_bytes
) -> tuple[Output, ...]:
    """One output per amount, with a random 32-byte secret and blinding factor. Store them before sending."""
    return tuple(_output(keyset_id, amount, rng(32).hex(), _random_scalar(rng)) for amount in amounts)


def blank_outputs(keyset_id: str, n: int, rng: Random = secrets.token_bytes) -> tuple[Output, ...]:
    """NUT-08: ``n`` outputs of amount 0, whose amounts the mint will choose."""
    return random_outputs(keyset_id, (0,) * n, rng)


def derived_outputs(seed: bytes, keyset_id: str, amounts: Sequence[int], counter: int) -> tuple[Output, ...]:
    """NUT-13: one output per amount, from the counters ``counter``, ``counter + 1``, …, which must
    have been reserved durably before."""
    derived = [nut13.derive(seed, keyset_id, counter + i) for i in range(len(amounts))]
    return tuple(_output(keyset_id, amount, s, r) for amount, (s, r) in zip(amounts, derived, strict=True))


def blinded(outputs: Sequence[Output]) -> tuple[BlindedMessage, ...]:
    """The public part of the outputs, for the mint."""
    return tuple(BlindedMessage(output.id, output.amount, output.B_) for output in outputs)


def unblind(
    outputs: Sequence[Output], signatures: Sequence[BlindSignature | None], keys_for: KeysFor
) -> tuple[Proof, ...]:
    """Open change: signature i belongs to output i; there may be fewer signatures than outputs, and
    those of amount 0 are skipped. A blank takes the signature's amount. The keyset is the one named
    in the signature; errors of ``keys_for`` pass through. DLEQ is verified whenever present.

    Raises :class:`BadSignature`, also for one that cannot be read (None); then nothing was opened."""
    if len(signatures) > len(outputs):
        raise BadSignature(f"{len(signatures)} signatures for {len(outputs)} outputs")
    opened = []
    for i, (output, signature) in enumerate(zip(outputs, signatures, strict=False)):
        if signature is None:
            raise BadSignature("cannot be read", i)
        if signature.amount != 0:
            opened.append(_open(i, output, signature, keys_for))
    return tuple(opened)


def unblind_exact(
    outputs: Sequence[Output], signatures: Sequence[BlindSignature], keys_for: KeysFor
) -> tuple[Proof, ...]:
    """Open the answer to a swap or mint: one signature per output, of exactly the output's amount and keyset.

    Raises :class:`BadSignature`; then nothing was opened."""
    if len(signatures) != len(outputs):
        raise BadSignature(f"{len(signatures)} signatures for {len(outputs)} outputs")
    for i, (output, signature) in enumerate(zip(outputs, signatures, strict=True)):
        if signature.amount != output.amount or signature.amount <= 0:
            raise BadSignature("another amount than asked", i)
        if signature.id != output.id:
            raise BadSignature("another keyset than asked", i)
    return unblind(outputs, signatures, keys_for)


def unblind_restored(outputs: Sequence[Output], restored: Restored, keys_for: KeysFor) -> tuple[Proof, ...]:
    """Open what NUT-09 gave back for some of our outputs, in the order of our outputs. The mint may
    answer in any order, so each signature is matched by its B_.

    Raises :class:`BadSignature`; then nothing was opened."""
    if restored.unreadable:
        raise BadSignature("restored something that cannot be read")
    given = {m.B_: s for m, s in zip(restored.outputs, restored.signatures, strict=True)}
    pairs = [(output, given.pop(output.B_)) for output in outputs if output.B_ in given]
    if given:
        raise BadSignature("restored an output that was not asked for")
    return unblind([o for o, _ in pairs], [s for _, s in pairs], keys_for)


def _output(keyset_id: str, amount: int, secret: str, r: str) -> Output:
    return Output(keyset_id, amount, crypto.blind(secret, r), Secret(secret), Secret(r))


def _random_scalar(rng: Random) -> str:
    for _ in range(128):
        candidate = rng(32)
        if 0 < int.from_bytes(candidate, "big") < crypto.ORDER:
            return candidate.hex()
    raise ValueError("the random source gives no usable scalar")


def _open(index: int, output: Output, signature: BlindSignature, keys_for: KeysFor) -> Proof:
    if signature.amount < 0 or output.amount not in (0, signature.amount):
        raise BadSignature("another amount than asked", index)
    A = keys_for(signature.id).keys.get(signature.amount)
    if A is None:
        raise BadSignature("the keyset has no key for its amount", index)
    dleq = signature.dleq
    if dleq is not None and not crypto.verify_dleq(A, output.B_, signature.C_, dleq.e, dleq.s):
        raise BadSignature("wrong DLEQ proof", index)
    secret, r = output.secret.reveal(), output.r.reveal()
    try:
        C = crypto.unblind(signature.C_, r, A)
        Y, blinded = crypto.named_and_blinded(secret, r)
    except crypto.InvalidPoint:
        raise BadSignature("not a point of the curve", index) from None
    if dleq is not None and blinded == output.B_:
        # DLEQ holds for B_ and C_, which are Y + r*G and C + r*A: so it holds for the proof
        VERIFIED.note(A, secret, C, dleq.e, dleq.s, r)
    return Proof(
        id=signature.id,
        amount=signature.amount,
        secret=output.secret,
        C=Secret(C),
        dleq=None if dleq is None else Dleq(dleq.e, dleq.s, output.r),
        Y=Y,
    )
