"""Errors as one clear sentence with the next step. Never a traceback, never a secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from ..engine.loop.log import default_logger
from ..machines.registry import UnknownMachine
from ..storage.errors import CommitUnknown, NutstateError, StorageError
from .ends import Exit, error_content, redact
from .session import Session

UNKNOWN_MACHINE: Final = "UNKNOWN_MACHINE"
HINTS: Mapping[str, str] = {
    "INSUFFICIENT_BALANCE": "Fund it with `nutstate mint AMOUNT` or `nutstate deposit -`, then try again.",
    "STORE_UNSUPPORTED": "Check --store.",
    "INVALID_NPUB": "Check --npub: 63 characters that start with npub1.",
    "INVALID_MINT_URL": "Check --mint: it looks like https://mint.example.",
    "MINT_NOT_ALLOWED": "To have this mint asked, name it: --mint URL.",
    "NO_USABLE_KEYSET": "Pay with tokens of another mint; this one cannot give change now.",
    "INVALID_INVOICE": "Copy the whole invoice; it starts with lnbc.",
    "INVALID_TOKEN": "Copy the whole token; it starts with cashuA or cashuB.",
    "INVOICE_EXPIRED": "Ask the payee for a new invoice.",
    "INVOICE_WITHOUT_AMOUNT": "Ask the payee for an invoice with an amount.",
    "QUOTE_EXPIRED": "Nothing was sent; ask for a new quote with `nutstate melt`.",
    "MINT_UNREACHABLE": "Check --mint and the network, then run the same command again.",
    "MINT_ANSWER_UNCLEAR": "Run the same command again later.",
    "PROOF_STATE_INCONSISTENCY": "The wallet was corrected; run the same command again.",
    "PROOFS_NOT_UNSPENT": "The token is spent, or a payment with it is open; ask its sender for another.",
    "DUPLICATE_PROOF": "This token is in the wallet already; see `nutstate balance`.",
    "ALREADY_RECEIVED": "`nutstate history --kind receive` lists what the wallet received.",
    "PROOFS_LOCKED": "`nutstate receive` unlocks it: --private-key-file, --preimage-file.",
    "ALREADY_SENT": "Only the mint's answer can end it now: `nutstate recover` asks for it.",
    "NOT_FOUND": "`nutstate history` lists the operations.",
    "PROOFS_NOT_VERIFIED": "Ask for a token with DLEQ, or take it on the giver's word: --allow-unverified.",
    "TOKEN_NOT_FOUND": "`nutstate show ID` names the tokens of an operation.",
    "IDEMPOTENCY_KEY_REUSED": "Use another --key for another request.",
    "DUPLICATE_TRANSACTION_ID": "Use another --id.",
    "INVALID_TTL": "Give --ttl from 1 second to 24 hours.",
    "NOT_HELD": "If you paid, record it with its sources and without the hold.",
    "OPERATOR_REASON_MISSING": "Say why with --reason.",
    "AUDIT_KEY_MISSING": "Name it with --key-file or in NUTSTATE_AUDIT_KEY.",
    "INVALID_AUDIT_KEY": "It needs 16 characters or more.",
    "UNKNOWN_KIND": "--from MODULE names the Python module of a kind of your own; a built-in kind has a "
    "command of its own (`nutstate --help`).",
    "INVALID_EVENT": "`nutstate show ID` names the events that a stored operation takes now.",
    UNKNOWN_MACHINE: "A program that has the machine goes on with it; --from MODULE names the Python module "
    "of a kind of your own. `nutstate show ID` shows it.",
    "MINT_FILE_DIFFERS": "Name the seed it was made with, or another file.",
    "UNDEFINED_TRANSITION": "Its state does not allow this; see `nutstate show ID`.",
}


def guarded(session: Session, work: Callable[[], int]) -> int:
    """Run a command; turn every exception into a message and an exit code."""
    try:
        return work()
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(session)
    except NutstateError as error:
        return _failed(session, error)
    except UnknownMachine as error:
        known = NutstateError(str(error.args[0]), code=UNKNOWN_MACHINE)
        return _failed(session, known)
    except Exception as error:  # noqa: BLE001 - the last line of defence: its text may hold values
        return _unexpected(session, error)


def _failed(session: Session, error: NutstateError) -> int:
    seen = session.seen
    unknown = isinstance(error, CommitUnknown)
    # an error of the store, or PAYMENT_ALREADY_CLAIMED, does not tell the end of the open operation
    says_nothing = isinstance(error, StorageError) or error.code == "PAYMENT_ALREADY_CLAIMED"
    still_open = unknown or (seen.is_open and (seen.committed or says_nothing))
    content = error.as_dict()
    if still_open and seen.operation_id is not None:
        content["details"].setdefault("operation_id", seen.operation_id)
    if still_open:
        goes_on = _go_on(session) if error.code != UNKNOWN_MACHINE else _hint(session, error)
        return _say(session, content, goes_on, Exit.OPEN)
    return _say(session, content, _hint(session, error), Exit.REFUSED)


def _hint(session: Session, error: NutstateError) -> str:
    details = error.details
    for name in ("holder", "first_operation"):
        if isinstance(details.get(name), str):
            return f"See `{session.command('show ' + details[name])}`."
    if "schema_version" in details:
        return ""  # the error itself says what to do
    if error.code == "STORE_UNAVAILABLE" and "there is no store" in error.message:
        return "Check --store; `nutstate mint` and `nutstate deposit` make a new one."
    if error.code == "STORE_UNAVAILABLE" and any(
        words in error.message for words in ("cannot open", "read-only", "cannot keep its state")
    ):
        return "Check the path, and the rights to write there."
    if error.code == "STORE_UNAVAILABLE" and "no primary" in error.message:
        return "Check --store and that the servers run, then run the same command again."
    operations = details.get("operations")
    if error.code == "CONCURRENT_OPERATION" and not error.retryable and operations:
        return f"See `{session.command(f'show {operations[0]}')}`."
    hint = HINTS.get(error.code, "")
    if not hint and error.retryable:
        hint = "Run the same command again later."
    if not hint and isinstance(details.get("operation_id"), str):
        hint = f"See `{session.command('show ' + details['operation_id'])}`."
    return hint


def _go_on(session: Session) -> str:
    go_on = f"`{session.command('recover --wait 60')}` goes on with it"
    about = session.seen.operation_id
    return go_on + (f", `{session.command('show ' + about)}` shows it." if about else ".")


def _interrupted(session: Session) -> int:
    about = session.seen.operation_id if session.seen.is_open else None
    if about is not None:
        message = f"interrupted; operation {about} stays open and nothing is lost"
    else:
        message = "interrupted; a begun operation stays open and nothing is lost"
    details = {} if about is None else {"operation_id": about}
    content = error_content("Interrupted", "INTERRUPTED", message, details)
    return _say(session, content, _go_on(session), Exit.INTERRUPTED)


def _unexpected(session: Session, error: Exception) -> int:
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    default_logger().critical("unexpected", error=type(error).__name__, where=where)
    still_open = session.seen.is_open
    about = {"operation_id": session.seen.operation_id} if still_open else {}
    message = f"unexpected {type(error).__name__}: this is a bug in nutstate"
    content = error_content("Unexpected", "UNEXPECTED", message, about)
    context = click.get_current_context(silent=True)
    has_log = context is not None and "log" in context.params
    again = "Run it again with --log json to see where, and report that."
    hint = again if has_log else "Report it, with the line `unexpected` from above."
    return _say(
        session,
        content,
        f"{hint} {_go_on(session)}" if still_open else hint,
        Exit.OPEN if still_open else Exit.REFUSED,
    )


def _say(session: Session, content: dict[str, Any], hint: str, code: Exit) -> int:
    content["message"] = redact(content["message"])
    if session.out.as_json:
        session.out.document({"error": content, "hint": hint or None})
        return code
    sentence = content["message"].rstrip(".")
    session.out.error(("error: ", "bold red"), f"{sentence} ", (f"[{content['code']}]", "dim"), wrap=True)
    if hint:
        session.out.error(f"  {hint}")
    return code
