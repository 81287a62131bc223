"""The mint's answers about the inputs of a request."""

from __future__ import annotations

from ...cashu.keysets import MintSilent
from ...cashu.port import Ambiguous, Failure, ProofState, Refused
from ...loop.drive import Run
from ...tokens.proofs import name_of


def ask_inputs(run: Run) -> tuple[ProofState, ...] | Failure:
    """NUT-07 states of every input."""
    return run.mint.check_states(run.mint_url, [name_of(proof) for proof in run.input_proofs()])


def settled_states(run: Run, force: bool) -> tuple[ProofState, ...] | None:
    """The states of every input, if the mint gives the same answer twice. Raises MintSilent when it does not;
    with ``force`` they stay unknown (None)."""
    states, again = ask_inputs(run), ask_inputs(run)
    if isinstance(states, tuple) and states == again:
        return states
    if not force:
        raise MintSilent(Ambiguous("no settled answer about the inputs"))
    return None


def refused_as_gone(answer: object) -> bool:
    """Whether the mint refuses because the inputs are spent or pending: 11001 and 11002."""
    return isinstance(answer, Refused) and answer.code in (11001, 11002)
