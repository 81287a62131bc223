"""Every stable error code in one place: its family, its severity, and its meaning.

Errors take severity and ``retryable`` from here; where the situation decides, the raiser says otherwise.
The refusals of the machines stand with their sentences in ``machines/refusals.py`` and are only graded
here. docs/errors.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from ..machines.refusals import CODES

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
MINT, STORE, PERSON, PROGRAM = "MintError", "StorageError", "Reason", "Program"
FAMILIES: Mapping[str, str] = {
    "Refused": "The rules do not allow the request. The caller can correct it.",
    MINT: "The mint refused, or could not be asked.",
    STORE: "The store could not carry out the call.",
    PERSON: "Never raised: the reason why an operation waits, was released or given up (`handle.reason`, the audit trail).",
    PROGRAM: "Only printed by the command line, or the base of the three families.",
}
DB_FAILURE_AFTER_SUCCESS = "CRITICAL_DB_FAILURE_AFTER_MINT_SUCCESS"
MELT_FAILURE = "CRITICAL_MELT_FAILURE"
FUNDING_FAILURE = "CRITICAL_FUNDING_FAILURE"
SWAP_FAILURE = "CRITICAL_SWAP_FAILURE"
RECEIVE_FAILURE = "CRITICAL_RECEIVE_FAILURE"


@frozen
class Entry:
    """One code. ``severity`` and ``retryable`` are what holds unless the situation says otherwise."""

    code: str
    family: str
    severity: str
    retryable: bool
    sentence: str


# severity (* = retryable), sentence; a machine's refusal needs a line only if it is not LOW and final
_REFUSED: Mapping[str, tuple[str, str]] = {
    "REFUSED": ("LOW", "the rules do not allow the request"),
    "INVALID_ARGUMENT": ("LOW", "an argument is malformed"),
    "INVALID_NPUB": ("LOW", "the npub is not a bech32 public key"),
    "INVALID_MINT_URL": ("LOW", "the mint's address is not an http or https address"),
    "MINT_NOT_ALLOWED": ("LOW", "only a token names this mint, and the settings do not allow to ask it"),
    "INVALID_UNIT": ("LOW", "the unit is not known"),
    "MIXED_UNITS": ("LOW", "the wallet holds several units, and units are never added: name one unit"),
    "INVALID_AMOUNT": ("LOW", "an amount is not a positive whole number within the limit"),
    "INVALID_INVOICE": ("LOW", "the text is not a BOLT-11 invoice"),
    "INVOICE_WITHOUT_AMOUNT": ("LOW", "the invoice names no amount"),
    "INVOICE_EXPIRED": ("LOW", "the invoice can no longer be paid"),
    "INVALID_TOKEN": ("LOW", "the text is not a Cashu token, or a proof in it is malformed"),
    "INVALID_SOURCES": ("LOW", "the sources are not a list of distinct token ids"),
    "INVALID_IDEMPOTENCY_KEY": ("LOW", "the idempotency key is too long or not printable"),
    "INVALID_WALLET_ID": ("LOW", "the wallet id is too long or not printable"),
    "INVALID_OPERATOR": ("LOW", "the name of the operator is empty, too long or not printable"),
    "INVALID_DURATION": ("LOW", "a duration is not 0 or more seconds"),
    "INVALID_CHOICE": ("LOW", "a word is not among those allowed"),
    "UNKNOWN_KIND": ("LOW", "no kind of operation has this name, or a call of its own starts it"),
    "KIND_INVALID": ("LOW", "a kind of operation does not fit its machines"),
    "INVALID_EVENT": ("LOW", "a caller or operator cannot tell this event to this kind of operation"),
    "INVALID_DATA": ("LOW", "the data of an operation is not of the class that its kind declares"),
    "INVALID_LIMIT": ("LOW", "the limit is not a whole number within its bounds"),
    "INVALID_FORMAT": ("LOW", "an id is empty, not text, or has characters an id may not have"),
    "INVALID_EXPECTED_STATE": ("LOW", "the expected state of a reconciliation has an unknown name or a wrong value"),
    "INVALID_LENGTH": ("LOW", "a transaction id has 10 to 100 characters"),
    "IDEMPOTENCY_KEY_REUSED": ("MEDIUM", "the idempotency key belongs to another request"),
    "DUPLICATE_TRANSACTION_ID": ("LOW", "another operation has this transaction id"),
    "DUPLICATE_OPERATION": ("LOW", "the same request was made before"),
    "DUPLICATE_PROOF": ("LOW", "the store already holds a proof of this token"),
    "INVALID_AUDIT_KEY": ("LOW", "the audit key is too short or no key"),
    "NOT_FOUND": ("LOW", "there is no such operation"),
    "TOKEN_NOT_FOUND": ("LOW", "there is no such token"),
    "UNDEFINED_TRANSITION": ("LOW", "the state of the operation does not allow this call"),
    "PROOFS_NOT_VERIFIED": ("LOW", "a proof has no DLEQ that shows the mint's signature"),
    "KEYSET_EXPIRED": ("LOW", "the final expiry of a proof's keyset is over: the mint does not take the proof"),
    "PROOFS_LOCKED": ("LOW", "a proof can only be spent under a condition, such as with a key (NUT-10)"),
    "LOCK_NOT_SUPPORTED": ("LOW", "a proof is locked with a condition that is malformed or not supported (NUT-10)"),
    "INVALID_PRIVATE_KEY": ("LOW", "a private key is not 32 bytes in hex within the range of the curve"),
    "INVALID_PREIMAGE": ("LOW", "a preimage is not 32 bytes in hex"),
    "PROOFS_NOT_UNSPENT": ("LOW", "the mint does not call every proof UNSPENT"),
    "NOT_PAID": ("MEDIUM", "the operation ended and paid nothing; a new attempt is allowed"),
    "OUTCOME_OPEN": ("HIGH *", "the outcome is not known yet; pay nothing elsewhere: the same call or recover goes on"),
    "OUTCOME_PARKED": ("CRITICAL", "the operation needs a person, or was given up with an unknown outcome; pay nothing elsewhere"),
    "NOTHING_TO_SWAP": ("LOW", "the wallet has no coins that such a swap would change"),
    "FUNDS_RESERVED": ("LOW *", "the wallet has the money, but other operations hold it now; nothing was written"),
    "PROOFS_PENDING": ("LOW *", "the mint calls too many proofs PENDING"),
    "REJECTED": ("LOW", "the operation was rejected without a reason"),
    "HIGH_SEVERITY_DISCREPANCIES": ("HIGH", "store and mint contradict one another about proofs of the wallet"),
    "MELT_BLOCKED_BY_RECONCILIATION": ("HIGH", "open discrepancies forbid the melt"),
    "MINT_SERVER_REFUSED": ("LOW", "the mint server refuses the request"),
    "INVALID_ADMIN_REQUEST": ("LOW", "a request to the admin path of a mint server is malformed; nothing was changed"),
    "ADMIN_NOT_ALLOWED": ("LOW", "the admin path of a mint server is off, or the token is missing or wrong"),
    "ADMIN_NOT_POSSIBLE": ("LOW", "a mint server has no such quote, payment or keyset, or its state does not allow the change"),
    "MINT_FILE_DIFFERS": ("LOW", "the file of a simulated mint was made with another seed, unit or fee"),
    "MINT_SERVER_UNAVAILABLE": ("LOW", "a mint server cannot start: its address is taken, or the real mint cannot be installed"),
    "EXTRA_MISSING": ("LOW", "an optional part of the package is not installed"),
    "AUDIT_KEY_MISSING": ("MEDIUM", "records are purged with an audit key only"),
}  # fmt: skip
_GRADES: Mapping[str, str] = {
    "CHANGE_BORN_SPENT": "HIGH",
    "CHANGE_NOT_VERIFIED": "HIGH",
    "CHANGE_OUT_OF_BOUNDS": "HIGH",
    "CHANGE_STILL_AWAITED": "LOW *",
    "CHANGE_WITHOUT_PARENT": "HIGH",
    "CHILD_RUNNING": "LOW *",
    "CONCURRENT_OPERATION": "LOW *",
    "DUPLICATE_SECRET": "MEDIUM",
    "EXPIRED_NOT_YET": "LOW *",
    "FENCE_NOT_POSSIBLE": "MEDIUM",
    "REFUSAL_NOT_PROVEN": "HIGH",
    "FENCE_NOT_VERIFIED": "HIGH",
    "HOLD_NOT_OVER": "LOW *",
    "INPUTS_STILL_HELD": "LOW *",
    "MELTED_FORBIDDEN": "HIGH",
    "NOT_CONSERVED": "HIGH",
    "NOT_PROVEN_PAID": "LOW *",
    "NOT_PROVEN_SPENT": "LOW *",
    "NOT_PROVEN_UNPAID": "LOW *",
    "OUTPUTS_NOT_VERIFIED": "HIGH",
    "OWNER_MISMATCH": "MEDIUM",
    "PAYMENT_ALREADY_CLAIMED": "LOW *",
    "PAYMENT_IN_FLIGHT": "MEDIUM *",
    "PROOF_STATE_INCONSISTENCY": "HIGH *",
    "QUOTE_MISMATCH": "MEDIUM",
    "RECONCILIATION_FAILED": "CRITICAL",
    "RELEASE_NOT_PROVEN": "HIGH",
    "RESTORE_INCOMPLETE": "LOW *",
    "SPLIT_NOT_PROPER": "HIGH",
    "TOTAL_MISMATCH": "HIGH",
    "WATCH_NOT_OVER": "LOW *",
}
_OTHERS: Mapping[str, tuple[str, str, str]] = {
    "MINT_ERROR": (MINT, "MEDIUM", "the mint refused, or could not be asked"),
    "MINT_REFUSED": (MINT, "MEDIUM", "the mint refused"),
    "MINT_UNREACHABLE": (MINT, "MEDIUM *", "the mint does not answer"),
    "MINT_ANSWER_UNCLEAR": (MINT, "MEDIUM *", "the mint's answer cannot be used, or was lost"),
    "MINT_STATE_UNKNOWN": (MINT, "MEDIUM *", "the mint uses a word for a quote that is neither paid nor unpaid"),
    "NO_USABLE_KEYSET": (MINT, "MEDIUM", "the mint has no keyset of the unit for new outputs"),
    "QUOTE_NOT_OURS": (MINT, "HIGH *", "the mint answered with a quote that belongs to another operation"),
    "STORAGE_ERROR": (STORE, "HIGH", "the store could not carry out the call"),
    "CONFLICT": (STORE, "LOW *", "a document changed meanwhile; nothing was written"),
    "DUPLICATE": (STORE, "LOW", "a unique key exists already; nothing was written"),
    "COMMIT_UNKNOWN": (STORE, "CRITICAL *", "it is not known whether the commit was written; the same batch may be sent again"),
    "STORE_UNAVAILABLE": (STORE, "HIGH *", "the store is not reachable, busy, full or read-only; nothing was written"),
    "STORE_UNSUPPORTED": (STORE, "HIGH", "this release does not support the URL, the server or the schema"),
    "UNKNOWN_MACHINE": (STORE, "HIGH", "the operation runs under a machine that this program does not have: it can be read, "
        "but not driven"),
    "MACHINE_CHANGED": (STORE, "CRITICAL", "the store holds another machine under the same name and version; it is not opened"),
    "CORRUPT_RECORD": (STORE, "CRITICAL", "a stored document does not decode"),
    "NOT_AS_WRITTEN": (STORE, "HIGH", "a commit that reads back what it wrote found something else; nothing was written"),
    "BATCH_TOO_LARGE": (STORE, "HIGH", "the server cannot hold a transaction of this size; nothing was written"),
    "INVALID_BATCH": (STORE, "CRITICAL", "a batch breaks a rule every store enforces: a bug; nothing was written"),
    DB_FAILURE_AFTER_SUCCESS: (STORE, "CRITICAL *", "the store failed after the mint may have paid or issued; "
        "the operation stays open and recovery finishes it: pay nothing elsewhere"),
    MELT_FAILURE: (PERSON, "CRITICAL", "a payment was made, or may have been, and its operation cannot be finished "
        "without a person: the `alarm` of a handle, of the log and of the command line's JSON"),
    FUNDING_FAILURE: (PERSON, "CRITICAL", "an invoice was paid, and the mint does not issue its value: the "
        "`alarm` of a handle, of the log and of the command line's JSON"),
    SWAP_FAILURE: (PERSON, "CRITICAL", "a swap was made, or may have been, and its operation cannot be finished "
        "without a person: the `alarm` of a handle, of the log and of the command line's JSON"),
    RECEIVE_FAILURE: (PERSON, "CRITICAL", "a token was received, or may have been, and its operation cannot be finished "
        "without a person: the `alarm` of a handle, of the log and of the command line's JSON"),
    "CHANGE_MISSING": (PERSON, "HIGH *", "the mint paid, but it did not give back the change that it owes"),
    "CHILD_MISSING": (PERSON, "HIGH", "the child swap of a melt is missing or did not hand over its outputs"),
    "FENCE_IMPOSSIBLE": (PERSON, "HIGH", "the mint does not support swap and restore, or too many fences were tried"),
    "COINS_STRANDED": (PERSON, "HIGH", "the mint refuses some coins; an operator retries them or writes them off"),
    "FENCE_REFUSED": (PERSON, "MEDIUM *", "the mint calls the inputs spent or pending, so it refused the fence"),
    "INPUTS_SPENT_ELSEWHERE": (PERSON, "CRITICAL", "another program spent inputs, and nothing of ours came of it"),
    "ISSUED_ELSEWHERE": (PERSON, "HIGH", "the mint issued the proofs of our quote to another program"),
    "TOKEN_SPENT": (PERSON, "LOW", "the giver of the token, or another receiver, spent it; nothing was credited"),
    "MINT_WILL_NOT_SWAP": (PERSON, "MEDIUM *", "the mint did not carry out the swap; the inputs are free again"),
    "MINT_WILL_NOT_ISSUE": (PERSON, "HIGH", "the invoice is paid but the mint does not issue"),
    "HOLD_SPENT": (PERSON, "CRITICAL", "the mint calls proofs of the hold SPENT, but no payment was recorded"),
    "UNRESOLVED_TOO_LONG": (PERSON, "HIGH *", "the mint gave no final answer in time"),
    "DRIVE_FAILED": (PERSON, "CRITICAL", "the drives of the operation failed again and again; the log tells the errors"),
    "OPERATOR_RELEASE": (PERSON, "MEDIUM", "an operator freed the inputs on the mint's word"),
    "OPERATOR_RESOLVE": (PERSON, "MEDIUM", "an operator declared a discrepancy settled"),
    "OPERATOR_RESUME": (PERSON, "LOW", "an operator sent the operation back to work"),
    "OPERATOR_RETRY": (PERSON, "MEDIUM", "an operator made stranded coins spendable again"),
    "OPERATOR_FOUND_PAID": (PERSON, "MEDIUM", "stranded coins were tried again, and their payment had ended"),
    "OPERATOR_WRITE_OFF": (PERSON, "HIGH", "an operator gave up the rest as lost"),
    "NUTSTATE_ERROR": (PROGRAM, "HIGH", "the base of every error"),
    "USAGE": (PROGRAM, "LOW", "the command line is wrong (exit code 2)"),
    "INTERRUPTED": (PROGRAM, "LOW *", "the program was interrupted; a begun operation stays open (exit code 130)"),
    "UNEXPECTED": (PROGRAM, "CRITICAL", "a bug in nutstate"),
}  # fmt: skip


def _entries() -> Iterator[Entry]:
    for code, (grade, sentence) in _REFUSED.items():
        yield _entry(code, "Refused", grade, sentence)
    for code, sentence in CODES.items():
        yield _entry(code, "Refused", _GRADES.get(code, "LOW"), sentence)
    for code, (family, grade, sentence) in _OTHERS.items():
        yield _entry(code, family, grade, sentence)


def _entry(code: str, family: str, grade: str, sentence: str) -> Entry:
    severity, _, again = grade.partition(" ")
    return Entry(code, family, severity, again == "*", sentence)


ERRORS: Mapping[str, Entry] = MappingProxyType({entry.code: entry for entry in _entries()})
"""Code to entry, every code once."""
