"""``tell``: an operation of a kind of one's own is told what happened."""

from __future__ import annotations

import click

from ...engine import arguments
from ..context import wait_option, with_session
from ..money.melt import follow_states
from ..session import Session
from .given import text_or_json
from .render import exit_code, result
from .who import named, operator_option

_ID = "tx_approval_1732264000000_0123456789abcdef01234567"


@click.command(
    short_help="Tell an operation of your own kind what happened.",
    epilog=f"""\b
Examples:
  nutstate tell {_ID} approve --evidence bob --from shop
  nutstate tell {_ID} give_up --reason 'the payee is gone' --from shop""",
)
@click.argument("operation_id", metavar="ID")
@click.argument("event")
@click.option(
    "--evidence", metavar="TEXT|JSON",
    help="The evidence of the event: a text, or JSON if it begins with {, [ or \". - reads standard input.",
)  # fmt: skip
@click.option(
    "--reason", metavar="TEXT",
    help="Why an operator tells it; it goes into the audit trail. An operator's event needs it.",
)  # fmt: skip
@operator_option
@wait_option(60, "How long to wait for the end; the operation goes on afterwards.")
@with_session
def tell(
    session: Session,
    operation_id: str,
    event: str,
    evidence: str | None,
    reason: str | None,
    operator: str | None,
    wait: float,
) -> int:
    """Tell an operation of a kind of your own the EVENT that happened, and drive it on.

    The event is one of its machine that a caller or an operator causes; `nutstate show ID` names those that
    have an edge now. Ends with 0 if the operation ended well or unpaid, or waits for its next event; with 3
    if it stays open; with 1 if the event is refused or a person gave the operation up.
    """
    source = click.get_current_context().get_parameter_source("operator")
    if reason is None and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--operator needs --reason")
    arguments.seconds(wait, "wait")
    said = None if evidence is None else text_or_json("--evidence", evidence)
    who = None if reason is None else named(operator)
    with session.engine() as (engine, _):
        session.seen.found(engine.operation(operation_id).record)
        with session.out.working("telling …") as working:
            follow_states(session, working)
            handle = engine.tell(operation_id, event, said, reason=reason, operator=who, wait_s=wait)
        return result(session, handle, exit_code(handle, "good", "unpaid", waiting=True))
