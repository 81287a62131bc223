"""The proofs of a deposit: compared with the store, and the mint asked, before anything is written."""

from __future__ import annotations

from ....storage.port import Store
from ...cashu.coins.locks import is_condition
from ...cashu.keysets import Keysets, MintSilent
from ...cashu.port import Failure, MintPort
from ...errors import Refused
from ...settings import Settings
from ..shared.handed_in import HandedIn, check_new, check_signatures, check_unspent, silent, with_full_ids


def check_deposit(
    store: Store,
    mint: MintPort,
    keysets: Keysets,
    handed: HandedIn,
    settings: Settings,
    allow_unverified: bool,
) -> HandedIn:
    """The proofs with their full keyset ids. Refuses what the store holds already, what is not of the
    mint's keysets and unit, what is locked, what the mint cannot be shown to have signed, or what it
    does not call UNSPENT. Writes nothing."""
    check_new(store, handed, settings.proofs_per_operation_max)
    try:
        handed = with_full_ids(keysets, handed)
        if any(is_condition(proof.secret) for proof in handed.proofs):
            raise Refused(
                "a proof can only be spent under a condition, such as with a key (NUT-10): receive takes it",
                code="PROOFS_LOCKED",
            )
        check_signatures(keysets, handed, allow_unverified)
    except MintSilent as quiet:
        raise silent(quiet.answer) from None
    states = mint.check_states(handed.mint_url, [str(proof.Y) for proof in handed.proofs])
    if isinstance(states, Failure):
        raise silent(states)
    check_unspent(states)
    return handed
