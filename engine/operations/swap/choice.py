"""A swap before anything is written: the choice of the coins, the outputs and the exact request.

Everything that can be refused is refused here, with nothing written: coins that do not cover the wanted
amounts and the input fee, a mint that is silent or has no usable keyset, proofs in flight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from attrs import frozen

from ....machines.money import input_fee
from ....machines.token.states import UNSPENT
from ....storage.port import TokenQuery
from ....storage.records import Proof, Token
from ....storage.secret import Secret
from ...admission import new_operation
from ...cashu.keysets import MintSilent, NoUsableKeyset
from ...cashu.port import Failure, ProofState
from ...cashu.wire import bodies
from ...checks.read_documents import paged
from ...checks.wallet_preflight import silent as silent_error
from ...errors import MintError, Refused
from ...loop.drive import Happened, Run
from ...loop.evidence import Chosen, Evidence, Selection
from ...tokens.proofs import name_of
from ...tokens.token_ids import swapped_id
from ..melt.actions.candidates import wallet_of
from ..melt.actions.choice import Shortfall, fits, request_bytes
from ..melt.actions.reserved import funds_missing, funds_reserved
from ..melt.actions.selection import select
from ..shared.exchange import as_sent
from ..shared.outputs import new_outputs
from ..shared.preflight import confirmed_spent, inconsistent, report_about, with_names

ROTATE, CONSOLIDATE = "rotate", "consolidate"
PURPOSES = (ROTATE, CONSOLIDATE)
PAGE = 500


@frozen
class Wish:
    """The caller's wish. ``amounts`` are those of the new tokens; () means one token of all that comes
    back. ``purpose`` says which coins are taken: ``rotate`` (those of keysets that the mint has stopped
    signing with), ``consolidate`` (the smallest ones, into half as many or fewer), or "" (as the amounts
    need, or the named tokens)."""

    amounts: tuple[int, ...] = ()
    purpose: str = ""


def begin_swap(run: Run, wish: Wish) -> Happened:
    """The event that begins the swap. Writes nothing. Codes: those of :meth:`Engine.swap`."""
    new_operation.check_sources(run.store, run.operation)
    try:
        return _begin(run, wish)
    except MintSilent as silent:
        error = silent_error(silent.answer)
    except NoUsableKeyset as none:
        error = MintError(str(none), code=none.code)
    raise error


def _begin(run: Run, wish: Wish) -> Happened:
    pending: frozenset[Secret] = frozenset()
    for _ in range(run.settings.preflight_tries_max):
        selection = with_names(_chosen(run, wish, pending))
        asked = run.mint.check_states(run.mint_url, [name_of(proof) for proof in selection.proofs])
        if isinstance(asked, Failure):
            raise MintSilent(asked)
        spent, report = confirmed_spent(run, asked), report_about(selection.chosen, UNSPENT, asked)
        if spent:
            evidence = Evidence(
                selection=selection,
                preflight_spent=spent,
                states=asked,
                reason=inconsistent(spent, report),
            )
            return Happened("preflight_blocked", evidence)
        in_flight = frozenset(found.Y for found in report.discrepancies)
        if not in_flight:
            return _requested(run, wish, selection, asked)
        pending |= {proof.secret for proof in selection.proofs if proof.Y in in_flight}
        if run.operation.policy.sources and not wish.amounts:
            break  # the caller wants these tokens as a whole
    raise Refused("the mint calls some of the proofs PENDING: swap them later", code="PROOFS_PENDING")


def _requested(run: Run, wish: Wish, selection: Selection, asked: tuple[ProofState, ...]) -> Happened:
    """The outputs and the request: the wanted amounts, and all that is left of the inputs after the fee."""
    worth = selection.amount - selection.input_fee
    if worth <= 0:
        raise _not_worth_its_fee(selection.amount, selection.input_fee)
    into = wish.amounts or (worth,)
    rest = worth - sum(into)
    amounts = (*into, rest) if rest else into
    outputs = new_outputs(run, *amounts, refresh=wish.purpose == ROTATE)
    if len(outputs) > run.settings.proofs_per_operation_max:
        raise Refused(f"the swap would make {len(outputs)} coins at once", code="TOO_MANY_PROOFS")
    if wish.purpose == CONSOLIDATE and 2 * len(outputs) > len(selection.proofs):
        raise Refused(
            f"{len(selection.proofs)} coins would become {len(outputs)}: that is not worth the fee",
            code="NOTHING_TO_SWAP",
        )
    _check_names(run, len(into))
    run.draft.set(amount=sum(into))
    run.set_data(into=into)
    info = run.keysets.info(run.mint_url)
    evidence = Evidence(
        selection=selection,
        outputs=outputs,
        request_body=bodies.swap_body(selection.proofs, as_sent(outputs)),
        preflight_spent=frozenset(),
        states=asked,
        mint_can_restore=info.supports(7) and info.supports(9),
    )
    return Happened("request", evidence)


def _check_names(run: Run, tokens: int) -> None:
    """The ids of all new tokens are free: what the mint has signed must find a place. Admission looked for
    the first one. Code DUPLICATE_TRANSACTION_ID."""
    ids = tuple(swapped_id(run.operation.id, n) for n in range(2, tokens + 1))
    if ids and run.store.tokens(TokenQuery(ids=ids, limit=len(ids))):
        raise new_operation.taken_id(run.operation)


def _chosen(run: Run, wish: Wish, without: frozenset[Secret]) -> Selection:
    op, settings = run.operation, run.settings
    count_max = min(settings.proofs_per_operation_max, run.limits.of(op.mint_url))
    if not wish.amounts:
        return _selected(run, _wanted(run, wish, without, count_max))
    found = select(
        run.store,
        op,
        sum(wish.amounts),
        lambda names: run.keysets.honoured_fees(op.mint_url, op.unit, names),
        tokens_max=settings.candidate_tokens_max,
        count_max=count_max,
        bytes_max=settings.request_bytes_max,
        without=without,
    )
    if isinstance(found, Selection):
        return found
    raise _short(run, found, bool(without))


def _short(run: Run, short: Shortfall, some_pending: bool) -> Refused:
    if short.covered:
        return funds_reserved(run, short, some_pending)
    reason = funds_missing(run, short, some_pending)
    return Refused(reason.message, code=reason.code, **reason.details)


# -- coins by purpose, or of whole tokens -----------------------------------------------------------------

_Coin = tuple[Token, Proof]


def _wanted(run: Run, wish: Wish, without: frozenset[Secret], count_max: int) -> list[_Coin]:
    """The coins of the purpose or of the named tokens, without those that cost more than they are worth."""
    op = run.operation
    coins = [coin for coin in _coins(run) if coin[1].secret not in without]
    ppk = _fees(run, coins)
    coins = [coin for coin in coins if fits(coin[1], ppk, run.settings.request_bytes_max)]
    if wish.purpose == ROTATE:
        listed = run.keysets.listed(op.mint_url, refresh=True)
        active = {keyset.id for keyset in listed if keyset.active}
        coins = [coin for coin in coins if coin[1].id not in active]
    elif wish.purpose == CONSOLIDATE:
        coins.sort(key=lambda coin: (coin[1].amount, coin[0].transaction_id))
    elif len(coins) > count_max:
        raise Refused(
            f"the tokens hold {len(coins)} coins, and one request carries {count_max}", code="TOO_MANY_PROOFS"
        )
    if not coins and wish.purpose:
        raise Refused(
            "the wallet has no coins of keysets that the mint has stopped signing with"
            if wish.purpose == ROTATE
            else "the wallet has no coins to put together",
            code="NOTHING_TO_SWAP",
        )
    if not coins:
        raise _not_worth_its_fee(sum(proof.amount for _, proof in _coins(run)), 0)
    return _within(coins[:count_max], run.settings.request_bytes_max)


def _within(coins: list[_Coin], bytes_max: int) -> list[_Coin]:
    """As many of the first coins as one request has room for."""
    room, taken = bytes_max, list[_Coin]()
    for coin in coins:
        room -= request_bytes((coin[1],))
        if room < 0 and taken:
            break
        taken.append(coin)
    return taken


def _coins(run: Run) -> Iterator[_Coin]:
    """Every coin of the named tokens, or of the free tokens of the wallet, all of one moment."""
    op, ids = run.operation, run.operation.policy.sources
    if ids:
        tokens = run.store.tokens(TokenQuery(ids=ids, limit=len(ids)))
    else:
        with run.store.snapshot() as moment:
            tokens = tuple(paged(moment, attrs.evolve(wallet_of(op), limit=PAGE)))
    for token in tokens:
        for proof in token.proofs:
            yield token, proof


def _fees(run: Run, coins: list[_Coin]) -> Mapping[str, int]:
    op = run.operation
    return run.keysets.honoured_fees(op.mint_url, op.unit, {proof.id for _, proof in coins})


def _selected(run: Run, coins: list[_Coin]) -> Selection:
    ppk = _fees(run, coins)
    by_token: dict[str, tuple[Token, list[Proof]]] = {}
    for token, proof in coins:
        by_token.setdefault(token.transaction_id, (token, []))[1].append(proof)
    chosen = tuple(Chosen(token, tuple(proofs)) for _, (token, proofs) in sorted(by_token.items()))
    return Selection(chosen, input_fee(ppk[proof.id] for _, proof in coins))


def _not_worth_its_fee(amount: int, fee: int) -> Refused:
    return Refused(
        f"the coins are worth {amount}, and the mint takes {fee or amount} for swapping them",
        code="INSUFFICIENT_BALANCE",
        required=(fee or amount) + 1,
        available=amount,
        shortfall=max(1, (fee or amount) + 1 - amount),
    )
