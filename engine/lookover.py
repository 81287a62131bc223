"""The look at a wallet's proofs: pages of tokens, the mint asked in chunks, and what it calls SPENT
corrected in operations of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from attrs import define, field, frozen

from ..machines.registry import latest
from ..storage.batch import proof_key
from ..storage.errors import Conflict
from ..storage.port import Store, TokenQuery
from ..storage.records import Operation, Proof, Reason, Token
from . import requests
from .actions.answers import reason_of
from .draft import Draft
from .driver import Driver
from .errors import MintError
from .evidence import Chosen, Evidence, Selection
from .mint.port import Failure, MintPort, ProofState
from .preflight import (
    HIGH,
    UNKNOWN,
    Asked,
    Discrepancy,
    PreflightReport,
    judge,
    report_of,
    store_state_of,
)
from .proofs import name_of, named
from .run import Happened, Run
from .settings import Settings

LOOKED_AT = ("unspent", "reserved", "stranded", "outstanding", "spent")
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
class Lookover:
    """One look. What it finds grows; nothing is written but corrections."""

    wallet: Wallet
    store: Store
    mint: MintPort
    driver: Driver
    settings: Settings
    new_run: Callable[[Draft], Run]
    found: list[Discrepancy] = field(factory=list)
    actions: Counter[str] = field(factory=Counter)
    proofs: int = 0
    corrected: int = 0
    operations: list[str] = field(factory=list)

    def wallet_pages(self, progress: Progress | None, correct: bool) -> PreflightReport:
        """Every proof of the wallet, a page of tokens at a time."""
        held = self.store.balance(self.wallet.npub, self.wallet.mint_url)
        total = sum(h.tokens for h in held if h.unit == self.wallet.unit and h.state in LOOKED_AT)
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
            page = self.store.tokens(query)
            if page:
                yield page
            if len(page) < query.limit:
                return
            query = attrs.evolve(query, after=page[-1].transaction_id)

    def look(self, tokens: Iterable[Token], correct: bool) -> None:
        """Ask the mint about every proof of these tokens. What seems to contradict it is read again, so
        that a payment that went on meanwhile is no discrepancy."""
        # A list, not a mapping: where two tokens hold one proof, the graver pair counts.
        held = [(name_of(proof), (proof, token)) for token in tokens for proof in token.proofs]
        answers = self._ask(list(dict.fromkeys(name for name, _ in held)))
        report = judge(_asked(held), answers)
        where = dict(held)
        if report.discrepancies:
            names = {d.Y for d in report.discrepancies}
            now = self._where_now({name: where[name][0] for name in names})
            where |= now
            held = [*(pair for pair in held if pair[0] not in now), *now.items()]
            report = judge(_asked(held), answers)
        spent = {d.Y for d in report.discrepancies if d.severity == HIGH}
        if correct and spent:
            self._correct({name: where[name] for name in sorted(spent)})
        self._add(report)

    def foreign(self, proofs: Iterable[Proof]) -> PreflightReport:
        """Proofs somebody has, whether or not the wallet holds them too. Nothing is corrected."""
        given = {name_of(proof): proof for proof in proofs}
        answers = self._ask(list(given))
        here = self._where_now(given)
        asked = [*_asked(here.items())]
        asked += [Asked(name, None, p.amount, UNKNOWN) for name, p in given.items() if name not in here]
        self._add(judge(asked, answers))
        return self.report()

    def report(self) -> PreflightReport:
        """What was found so far."""
        return report_of(
            self.found, self.actions, self.proofs, corrected=self.corrected, operations=self.operations
        )

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

    def _where_now(self, proofs: dict[str, Proof]) -> dict[str, tuple[Proof, Token]]:
        """The wallet's tokens that hold these proofs now; a proof that is not in it is left out."""
        keys = {proof_key(proof.secret): name for name, proof in proofs.items()}
        owners = self.store.proof_owners(keys)
        ids = tuple(sorted(set(owners.values())))
        if not ids:
            return {}
        tokens = {t.transaction_id: t for t in self.store.tokens(TokenQuery(ids=ids, limit=len(ids)))}
        found: dict[str, tuple[Proof, Token]] = {}
        for key, token_id in owners.items():
            token = tokens.get(token_id)
            if token is not None and self.wallet.holds(token):
                found[keys[key]] = (proofs[keys[key]], token)
        return found

    # -- correcting ------------------------------------------------------------------------------

    def _correct(self, spent: dict[str, tuple[Proof, Token]]) -> None:
        """Mark as spent what the mint calls SPENT a second time too, in one operation per chunk."""
        again = {state.Y for state in self._states(list(spent)) if state.state == "SPENT"}
        proofs = {name: proof for name, (proof, _) in spent.items() if name in again}
        names, size = sorted(proofs), self.settings.page_size
        for start in range(0, len(names), size):
            self._correct_chunk({name: proofs[name] for name in names[start : start + size]})

    def _correct_chunk(self, proofs: dict[str, Proof]) -> None:
        for _ in range(self.settings.commit_tries_max):
            chosen = _unspent_parts(self._where_now(proofs))
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
    """A check that nobody has stored yet."""
    op = requests.new_operation(
        "check", now=now, npub=wallet.npub, mint_url=wallet.mint_url, unit=wallet.unit, amount=amount,
        wallet_id=wallet.wallet_id,
    )  # fmt: skip
    return attrs.evolve(op, method=None, parent_id=parent_id)


def store_check(
    driver: Driver,
    new_run: Callable[[Draft], Run],
    op: Operation,
    happened: Happened,
    actor: str = "engine",
) -> Operation:
    """Commit the one step of a check."""
    run = new_run(Draft(latest("check"), op, stored=False, actor=actor))
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


def _unspent_parts(where: dict[str, tuple[Proof, Token]]) -> tuple[Chosen, ...]:
    tokens = {
        token.transaction_id: token for _, token in where.values() if token.state in ("unspent", "stranded")
    }
    parts = []
    for token_id, token in sorted(tokens.items()):
        wanted = {proof.secret for proof, holder in where.values() if holder.transaction_id == token_id}
        whole = attrs.evolve(token, proofs=tuple(named(p) if p.secret in wanted else p for p in token.proofs))
        parts.append(Chosen(whole, tuple(p for p in whole.proofs if p.secret in wanted)))
    return tuple(parts)
