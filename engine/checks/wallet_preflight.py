"""The look at a wallet's proofs: pages of tokens, the mint asked in chunks, and what it calls SPENT
corrected in operations of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

import attrs
from attrs import define, field, frozen

from ...machines.check.table import CHECK
from ...machines.token.states import OUTSTANDING, RESERVED, SPENT, STRANDED, UNSPENT
from ...storage.batch import proof_key
from ...storage.errors import Conflict, page_of
from ...storage.port import Store, TokenQuery
from ...storage.records import Operation, Proof, Reason, Token
from ..admission import new_operation
from ..cashu.answers import reason_of
from ..cashu.port import Failure, MintPort, ProofState
from ..errors import MintError
from ..loop.drive import Happened, Run
from ..loop.driver import Driver
from ..loop.evidence import Chosen, Evidence, Selection
from ..settings import Settings
from ..tokens.proofs import name_of, named
from .preflight_table import (
    ABORT,
    FULL,
    HIGH,
    UNKNOWN,
    Asked,
    Discrepancy,
    PreflightReport,
    judge,
    report_of,
    store_state_of,
)

LOOKED_AT = (UNSPENT, RESERVED, STRANDED, OUTSTANDING, SPENT)
Progress = Callable[[int, int], None]


@frozen
class Wallet:
    """Whose proofs are looked at."""

    npub: str
    wallet_id: str
    mint_url: str
    unit: str

    def holds(self, token: Token) -> bool:
        """Whether the token is of this wallet, mint and unit."""
        return self == Wallet(token.npub, token.wallet_id, token.mint_url, token.unit)


@define(eq=False)
class WalletPreflight:
    """One pre-flight of a wallet. Its findings grow; it writes nothing but corrections."""

    wallet: Wallet
    store: Store
    mint: MintPort
    driver: Driver
    settings: Settings
    new_run: Callable[[Operation, str], Run]
    found: list[Discrepancy] = field(factory=list)
    actions: Counter[str] = field(factory=Counter)
    proofs: int = 0
    corrected: int = 0
    operations: list[str] = field(factory=list)
    unreadable: list[str] = field(factory=list)

    def wallet_pages(self, progress: Progress | None, correct: bool) -> PreflightReport:
        """Every proof of the wallet, a page of tokens at a time."""
        held = self.store.balance(self.wallet.npub, self.wallet.mint_url, LOOKED_AT)
        total = sum(h.tokens for h in held if h.unit == self.wallet.unit)
        done = 0
        for page in self._pages():
            self.look(page, correct)
            done += len(page)
            if progress is not None:
                progress(done, max(done, total))
        return self.report()

    def _pages(self) -> Iterator[Sequence[Token]]:
        wallet = self.wallet
        query = TokenQuery(
            npub=wallet.npub, wallet_id=wallet.wallet_id, mint_url=wallet.mint_url, unit=wallet.unit,
            states=LOOKED_AT, limit=self.settings.page_size,
        )  # fmt: skip
        while True:
            page = page_of(partial(self.store.tokens, query), lambda token: token.transaction_id)
            for error in page.unreadable:  # R214: told, and no reason to leave out the others
                self.driver.log.unreadable(error)
                self.unreadable.append(error.message)
            if page.records:
                yield page.records
            if page.size < query.limit:
                return
            query = attrs.evolve(query, after=page.last)

    def look(self, tokens: Iterable[Token], correct: bool) -> None:
        """Ask the mint about every proof of these tokens. Contradicted proofs are read again from the
        store, so that a payment that went on meanwhile is no discrepancy."""
        # A list, not a mapping: where two tokens hold one proof, the graver pair counts.
        held = [(name_of(proof), (proof, token)) for token in tokens for proof in token.proofs]
        answers = self._ask(list(dict.fromkeys(name for name, _ in held)))
        report = judge(_asked(held), answers)
        if report.discrepancies:
            names = {d.Y for d in report.discrepancies}
            suspects = [(name, pair) for name, pair in held if name in names]
            now = self._where_now(
                {name: proof for name, (proof, _) in suspects},
                {token.transaction_id for _, (_, token) in suspects},
            )
            found = {name for name, _ in now}
            held = [*(pair for pair in held if pair[0] not in found), *now]
            report = judge(_asked(held), answers)
        spent = {d.Y for d in report.discrepancies if d.severity == HIGH}
        if correct and spent:
            seen_in = {token.transaction_id for name, (_, token) in held if name in spent}
            self._correct({name: proof for name, (proof, _) in held if name in spent}, seen_in)
        self._add(report)

    def foreign(self, proofs: Iterable[Proof]) -> PreflightReport:
        """The report about proofs from outside, whether or not the wallet holds them too. Corrects
        nothing."""
        given = {name_of(proof): proof for proof in proofs}
        answers = self._ask(list(given))
        here = self._where_now(given)
        found = {name for name, _ in here}
        asked = [*_asked(here)]
        asked += [Asked(name, None, p.amount, UNKNOWN) for name, p in given.items() if name not in found]
        self._add(judge(asked, answers))
        return self.report()

    def report(self) -> PreflightReport:
        """The report of all findings so far."""
        report = report_of(
            self.found, self.actions, self.proofs, corrected=self.corrected, operations=self.operations
        )
        if not self.unreadable:
            return report
        advice = ABORT if report.recommendation == ABORT else FULL
        return attrs.evolve(report, unreadable=tuple(self.unreadable), recommendation=advice)

    def _add(self, report: PreflightReport) -> None:
        self.found += report.discrepancies
        self.actions.update(report.actions)
        self.proofs += report.proofs

    def _ask(self, names: Sequence[str]) -> list[tuple[str, str]]:
        return [(state.Y, state.state) for state in self._states(names)]

    def _states(self, names: Sequence[str]) -> list[ProofState]:
        size = self.settings.page_size
        said: list[ProofState] = []
        for start in range(0, len(names), size):
            answer = self.mint.check_states(self.wallet.mint_url, names[start : start + size])
            if isinstance(answer, Failure):
                raise silent(answer)
            said += answer
        return said

    def _owners(self, proofs: Mapping[str, Proof]) -> dict[str, str]:
        """Which token the index gives each proof to, by its Y."""
        keys = {proof_key(proof.secret): name for name, proof in proofs.items()}
        return {
            keys[key]: token_id for key, token_id in self.store.proof_owners(keys, self.wallet.npub).items()
        }

    def _where_now(
        self, proofs: Mapping[str, Proof], seen_in: Set[str] = frozenset()
    ) -> list[tuple[str, tuple[Proof, Token]]]:
        """Every token of the wallet that holds one of these proofs now, among those that the index names and
        those they were seen in: a document that a foreign program wrote is in no index (R211). A proof
        that is in none is left out."""
        keys = {proof_key(proof.secret): name for name, proof in proofs.items()}
        ids = tuple(sorted({*self._owners(proofs).values(), *seen_in}))
        found: list[tuple[str, tuple[Proof, Token]]] = []
        for token in self.store.tokens(TokenQuery(ids=ids, limit=len(ids))) if ids else ():
            held = {proof_key(proof.secret) for proof in token.proofs} if self.wallet.holds(token) else set()
            found += [(name, (proofs[name], token)) for key, name in keys.items() if key in held]
        return found

    # -- correcting ------------------------------------------------------------------------------

    def _correct(self, spent: dict[str, Proof], seen_in: Set[str]) -> None:
        """Mark as spent what the mint calls SPENT a second time too, in one operation per chunk."""
        again = {state.Y for state in self._states(sorted(spent)) if state.state == "SPENT"}
        proofs = {name: proof for name, proof in spent.items() if name in again}
        names, size = sorted(proofs), self.settings.page_size
        for start in range(0, len(names), size):
            self._correct_chunk({name: proofs[name] for name in names[start : start + size]}, seen_in)

    def _correct_chunk(self, proofs: dict[str, Proof], seen_in: Set[str]) -> None:
        for _ in range(self.settings.commit_tries_max):
            chosen = _unspent_parts(self._where_now(proofs, seen_in), self._owners(proofs))
            if not chosen:
                return
            try:
                op = self._commit_correction(chosen)
            except Conflict:
                continue  # a token changed meanwhile: look where its proofs are now
            self.corrected += op.amount
            self.operations.append(op.id)
            return

    def _commit_correction(self, chosen: tuple[Chosen, ...]) -> Operation:
        selection = Selection(chosen, 0)
        names = frozenset(name_of(proof) for proof in selection.proofs)
        op = new_check(self.wallet, selection.amount, self.driver.clock.now())
        words = f"the mint called {len(names)} unspent proofs SPENT twice; they were corrected"
        details = {"spent_proofs": len(names), "tokens": [part.token.transaction_id for part in chosen]}
        evidence = Evidence(
            selection=selection,
            preflight_spent=names,
            states=tuple(ProofState(name, "SPENT") for name in sorted(names)),
            reason=Reason("PROOF_STATE_INCONSISTENCY", words, details=details),
        )
        return store_check(self.driver, self.new_run, op, Happened("found_spent", evidence))


def new_check(wallet: Wallet, amount: int, now: int, parent_id: str | None = None) -> Operation:
    """A new check, not stored yet."""
    op = new_operation.new_operation(
        CHECK, now=now, npub=wallet.npub, mint_url=wallet.mint_url, unit=wallet.unit, amount=amount,
        wallet_id=wallet.wallet_id,
    )  # fmt: skip
    return attrs.evolve(op, method=None, parent_id=parent_id)


def store_check(
    driver: Driver,
    new_run: Callable[[Operation, str], Run],
    op: Operation,
    happened: Happened,
    actor: str = "engine",
) -> Operation:
    """Commit the one step of a check."""
    run = new_run(op, actor)
    driver.take(run, happened)
    return driver.drive(run, 0)


def silent(answer: Failure) -> MintError:
    """The mint did not answer: as an error of its own."""
    reason = reason_of(answer, "the mint could not be asked about proofs")
    error = MintError(reason.message, code=reason.code)
    error.retryable = reason.retryable
    return error


def _asked(held: Iterable[tuple[str, tuple[Proof, Token]]]) -> Iterator[Asked]:
    for name, (proof, token) in held:
        state = store_state_of(token.state, token.reserved_by, None)
        if state is not None:
            yield Asked(name, token.transaction_id, proof.amount, state)


def _unspent_parts(
    where: Sequence[tuple[str, tuple[Proof, Token]]], owners: Mapping[str, str]
) -> tuple[Chosen, ...]:
    """The corrections that fit into one commit. No proof is split off a token that the index does not name.
    Of two tokens with the same proof, the one that the index names goes first."""
    tokens = {token.transaction_id: token for _, (_, token) in where if token.state in (UNSPENT, STRANDED)}
    parts, taken = [], set[str]()
    for token_id, token in sorted(tokens.items(), key=lambda t: (t[0] not in owners.values(), t[0])):
        wanted = {proof.secret: name for name, (proof, holder) in where if holder.transaction_id == token_id}
        if taken & set(wanted.values()):
            continue
        whole = attrs.evolve(token, proofs=tuple(named(p) if p.secret in wanted else p for p in token.proofs))
        gone = tuple(p for p in whole.proofs if p.secret in wanted)
        if len(gone) == len(whole.proofs) or all(owners.get(n) == token_id for n in wanted.values()):
            parts.append(Chosen(whole, gone))
            taken |= set(wanted.values())
    return tuple(parts)
