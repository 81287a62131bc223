"""The rules of lint as data, and the findings of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From worst to mildest: the order in which findings are told."""


@frozen
class Rule:
    """One thing that lint looks for. ``severity`` is the usual one; ``otherwise`` says when it differs."""

    code: str
    name: str
    severity: Severity
    meaning: str
    why: str
    otherwise: str = ""


@frozen
class Finding:
    """The result of a rule. ``machine`` is its name, or empty for all machines together; ``where`` is a
    state, ``state + event``, or the id of an edge; ``fix`` tells how to correct it."""

    code: str
    severity: Severity
    machine: str
    where: str
    sentence: str
    fix: str

    @property
    def rule(self) -> Rule:
        """The rule that found it."""
        return RULES[self.code]


_TABLE = (
    Rule(
        "L01", "unknown-state", "error",
        "an edge or the good path names a state that is not declared",
        "the entity would stand in a state about which nothing is known",
    ),
    Rule(
        "L02", "unknown-event", "error",
        "an edge, `absorbs` or `refuses` names an event that is not declared",
        "nothing can cause it, so the cell is never asked",
    ),
    Rule(
        "L03", "unknown-effect", "error",
        "an edge names an effect that is neither in the vocabulary nor among the declared words",
        "nothing would write it",
    ),
    Rule(
        "L04", "unknown-action", "error",
        "a state names an action that is neither in the vocabulary nor among the declared words",
        "nothing would perform it; the entity would rest there for ever",
    ),
    Rule(
        "L05", "unknown-code", "error",
        "a guard or a fixed refusal names a code that is not in the vocabulary",
        "callers switch on codes; one that is nowhere explained cannot be acted upon",
    ),
    Rule(
        "L06", "duplicate", "error",
        "two machines of one name and version, two states, events or words of one name, two edges of one id, "
        "or a name twice in one list",
        "the later one hides the earlier one, or an audit record names two edges",
    ),
    Rule(
        "L07", "guard-clash", "error",
        "two guards share a name and differ in sentence, code or predicate",
        "a refusal would tell the reason of the other one",
    ),
    Rule(
        "L10", "unreachable", "error",
        "no edges lead from the start to a state",
        "it is dead, or the edge that should lead there is missing",
    ),
    Rule(
        "L11", "trap", "error",
        "from a state, or a cycle of states, no final state can be reached",
        "what gets there stays open for ever",
    ),
    Rule(
        "L12", "no-end", "error",
        "from the start no final state can be reached at all",
        "nothing ever ends",
    ),
    Rule(
        "L13", "leaves-final", "error",
        "an edge leaves a final state",
        "what has ended would begin again after its reservations and claims were given free",
    ),
    Rule(
        "L14", "missing-restart", "error",
        "a live or parked state has neither an edge for an event of origin `restart` nor absorbs one; only "
        "where the machine declares such an event",
        "after a crash the engine does not know how to go on",
    ),
    Rule(
        "L15", "broken-good-path", "error",
        "two neighbours of the good path are not joined by an edge",
        "the drawing would show a way that does not exist",
    ),
    Rule(
        "L16", "no-way-to-wake", "warning",
        "a parked state that no event of origin `operator` or `caller` leaves",
        "a person must look, but has nothing to say",
    ),
    Rule(
        "L17", "ahead-of-nothing", "error",
        "a state is written ahead but has no action, or is not live",
        "written ahead means: committed before its action is performed",
    ),
    Rule(
        "L18", "nothing-asks", "warning",
        "in a machine with actions, a state without one, all of whose edges wait for the engine or the mint",
        "the engine does not ask, so no answer ever comes",
    ),
    Rule(
        "L19", "end-untold", "warning",
        "a final state does not say how it `ends`",
        "the engine treats it as an end in which something may have been paid: claim and quote stay taken",
        "error for a state that says how it ends and is not final",
    ),
    Rule(
        "L35", "waits-in-vain", "error",
        "a state `waits_for` its caller and is not live, or no event of origin `caller` has an edge there",
        "no call of the caller moves it, and the engine does not go on by itself",
    ),
    Rule(
        "L33", "needs-an-answer", "error",
        "from a live state no parked or final state can be reached by events of the clock and of restarts "
        "alone; only where the machine declares events of origin `clock`",
        "a mint that never gives a useful answer keeps it open for ever, and no person is told",
    ),
    Rule(
        "L34", "no-way-out", "error",
        "from a parked state no final state can be reached by events of origin `operator` alone; only where "
        "the machine declares events of that origin",
        "a person who looks at it cannot end it",
    ),
    Rule(
        "L36", "fails-for-ever", "warning",
        "no edge for `drive_failed` leads out of a live state whose action is not `reads_only`; only where "
        "the machine declares that event",
        "an action that always raises is tried for ever, at the pace of the back-off, and no person is told",
        "note, once for all of them, for a machine that declares words of actions and not that event",
    ),
    Rule(
        "L20", "shadowed", "error",
        "the edges before it in its cell accept every valuation under which an edge could be taken",
        "it is never taken",
    ),
    Rule(
        "L21", "overlapping", "warning",
        "two edges of one cell agree under a valuation, which is told",
        "only their order decides; a row moved in the table changes what happens",
        "note when the later one asks only for a part of what the earlier one asks for: a default that "
        "stands last",
    ),
    Rule(
        "L22", "contradictory", "error",
        "an edge requires and forbids the same guard",
        "it is never taken",
    ),
    Rule(
        "L23", "split-hole", "error",
        "a cell tells cases apart (it uses guards in both polarities), and a combination of exactly these "
        "guards is accepted by no edge",
        "a case was forgotten: an edge that requires two guards and one that forbids both leave a hole where "
        "only one of them holds",
        "warning for events of callers, operators and the engine, who are told why and can ask again",
    ),
    Rule(
        "L24", "refusal-gap", "note",
        "an event from outside (mint, clock) that some combination of facts refuses; all of them are told",
        "an answer cannot be told to come again, so each refusal must be meant",
        "warning for a restart: an entity that refuses to be found again is stuck",
    ),
    Rule(
        "L25", "idle-loop", "warning",
        "an edge that stays in its state and has no effect",
        "each time a commit and an audit record for nothing; `absorbs` says the same without them",
    ),
    Rule(
        "L26", "dead-answer", "warning",
        "a state absorbs or refuses an event that its edges accept always, or refuses one that it absorbs",
        "the line is never used, and misleads",
    ),
    Rule(
        "L30", "unanswered", "warning",
        "a state's action can cause an answer (another state with the same action has an edge for it) that "
        "is undefined in this state",
        "the very next poll can bring it, and it is dropped",
    ),
    Rule(
        "L31", "late-answer", "warning",
        "an answer can arrive late (by a second worker, a lost lease, a crash) in a state in which it is "
        "undefined",
        "it is dropped without a word, and it may carry value",
        "note in final states, for the clock, and when no written ahead state causes it",
    ),
    Rule(
        "L32", "never-late", "note",
        "answers that no state absorbs and no written ahead state causes: taken not to arrive late at all",
        "true only when the question is asked and answered inside one commit",
    ),
    Rule(
        "L40", "unused-event", "warning",
        "an event that no edge, `absorbs` or `refuses` names",
        "it is undefined everywhere",
    ),
    Rule(
        "L41", "unused-effect", "warning",
        "an effect of the vocabulary, or a word of the machine, that no edge names",
        "dead code writes it, or the edge that should name it does not",
    ),
    Rule(
        "L42", "unused-action", "warning",
        "an action of the vocabulary, or a word of the machine, that no state names",
        "dead code performs it, or the state that should name it does not",
    ),
    Rule(
        "L43", "unused-code", "note",
        "a refusal code of the vocabulary that no guard and no fixed refusal names",
        "callers wait for a refusal that never comes, unless the engine itself tells it",
    ),
    Rule(
        "L44", "unused-guard", "warning",
        "a guard of a module that no edge asks (`unused_guards`)",
        "a guard without an edge protects nothing",
    ),
    Rule(
        "L50", "changed-release", "error",
        "the table differs from what the golden record holds for the same name and version",
        "stored operations go on under exactly the version they name",
    ),
    Rule(
        "L51", "unrecorded", "warning",
        "the golden record does not hold this name and version",
        "later changes of it would go unseen",
    ),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.code: rule for rule in _TABLE}
"""Every rule by its code. Codes are never reused and never change their meaning."""


def finding(
    code: str, machine: str, where: str, sentence: str, fix: str, severity: Severity | None = None
) -> Finding:
    """A finding of a rule, of the rule's usual severity unless another one is given."""
    return Finding(code, severity or RULES[code].severity, machine, where, sentence, fix)


def rules_table() -> str:
    """The rules as a Markdown table, as docs/lint.md holds it."""
    lines = ["| code | rule | severity | what it finds | why it matters |", "|---|---|---|---|---|"]
    for rule in _TABLE:
        severity = f"{rule.severity}; {rule.otherwise}" if rule.otherwise else rule.severity
        lines.append(f"| `{rule.code}` | `{rule.name}` | {severity} | {rule.meaning} | {rule.why} |")
    return "\n".join(lines) + "\n"
