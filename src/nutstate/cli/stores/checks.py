"""``preflight`` and ``reconcile``: do the stored documents agree with the mint, and with one another?"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ...engine import arguments
from ...engine.checks.preflight_table import ABORT, PreflightReport
from ...engine.checks.reconcile import ReconcileReport
from ...engine.checks.sweep import SweepReport
from ..context import chosen_mint, mint_options, npub_option, with_session
from ..ends import Exit
from ..operators.render import step_rows
from ..output import Output, Part, duration
from ..session import Session

_ID = "tx_melt_1732264000000_0123456789abcdef01234567"
_STYLES = {"HIGH": "bold red", "MEDIUM": "yellow", "LOW": "dim"}
SHOWN_MAX = 50


@click.command(
    short_help="Compare the wallet's proofs with the mint.",
    epilog="""\b
Examples:
  nutstate preflight --npub npub1… --mint https://mint.example
  nutstate preflight --npub npub1… --simulated --correct""",
)
@npub_option
@mint_options
@click.option("--unit", default="sat", show_default=True, metavar="UNIT", help="sat or msat.")
@click.option("--wallet", metavar="ID", help="Wallet id inside the store.  [default: the npub]")
@click.option(
    "--sources",
    multiple=True,
    metavar="TOKEN",
    help="Only this token's proofs. Repeat it for several tokens.",
)
@click.option("--correct", is_flag=True, help="Mark proofs as spent that the mint calls SPENT twice.")
@with_session
def preflight(
    session: Session,
    npub: str,
    mint: str | None,
    simulated: bool,
    unit: str,
    wallet: str | None,
    sources: tuple[str, ...],
    correct: bool,
) -> int:
    """Compare the store's state of every proof with the mint's.

    Ends with 1 if a proof that should be spendable is SPENT at the mint (ABORT_OPERATION). --correct splits
    such proofs off and marks them as spent, so that the rest stays money; the next run is then clean.
    """
    url = arguments.mint_url(chosen_mint(mint, simulated))
    arguments.npub(npub)
    arguments.wallet_id(wallet, npub)
    arguments.unit(unit)
    with session.engine(mint_url=url) as (engine, _), session.out.progress("asking the mint") as bar:
        report = engine.preflight(
            npub, url, wallet_id=wallet, unit=unit, sources=sources or None, correct=correct, progress=bar
        )
    if session.out.as_json:
        session.out.document(report.as_dict())
    else:
        _preflight_words(session.out, report, unit)
        if report.recommendation == ABORT and not correct:
            session.out.pairs([("next", session.command("preflight --correct …"))])
    return Exit.REFUSED if report.recommendation == ABORT else Exit.DONE


def _preflight_words(out: Output, report: PreflightReport, unit: str) -> None:
    style = {"PROCEED": "bold green", ABORT: "bold red"}.get(report.recommendation, "bold yellow")
    counts = ", ".join(f"{number} {severity}" for severity, number in report.counts.items())
    out.line((report.recommendation, style), f": {report.proofs} proofs asked about; {counts}")
    rows: list[list[Part]] = [
        [
            (d.severity, _STYLES[d.severity]),
            d.store_state,
            d.mint_state,
            str(d.amount),
            d.action,
            d.token_id or "-",
        ]
        for d in report.discrepancies[:SHOWN_MAX]
    ]
    if rows:
        out.table(("severity", "store", "mint", unit, "action", "token"), rows, right=(3,))
    if len(report.discrepancies) > SHOWN_MAX:
        out.line((f"The most severe {SHOWN_MAX} of {len(report.discrepancies)}; --json shows all.", "dim"))
    if report.operations:
        out.line(f"{report.corrected} {unit} corrected to spent in {len(report.operations)} operations.")


def _moment(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """An ISO 8601 date or time as epoch ms; UTC if it names no zone."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        ms = -1
    if ms < 0:
        raise click.BadParameter("a date or time such as 2026-01-31 or 2026-01-31T12:00:00Z", param=parameter)
    return ms


@click.command(
    short_help="Check stored operations for contradictions.",
    epilog=f"""\b
Examples:
  nutstate reconcile {_ID}
  nutstate reconcile --all
  nutstate reconcile --all --since 2026-01-01 --json""",
)
@click.argument("operation_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every stored operation, and every wallet's balance.")
@click.option("--npub", metavar="NPUB", help="With --all: only this wallet.  [default: all]")
@click.option("--since", callback=_moment, metavar="TIME", help="With --all: made at or after this time.")
@click.option("--until", callback=_moment, metavar="TIME", help="With --all: made before this time.")
@with_session
def reconcile(
    session: Session,
    operation_id: str | None,
    every: bool,
    npub: str | None,
    since: int | None,
    until: int | None,
) -> int:
    """Check every document of one operation, or of all: completeness, sums, sources, change, audit chain.

    Discrepancies are stored as a check in state discrepant, which waits for `nutstate resolve`. Ends with 1
    if there are any.
    """
    if every == (operation_id is not None):
        raise click.UsageError("give either an ID or --all")
    if not every and (npub is not None or since is not None or until is not None):
        raise click.UsageError("--npub, --since and --until go with --all")
    if operation_id is not None:
        with session.engine() as (engine, _), session.out.working("reading …"):
            report = engine.reconcile(operation_id)
        return _reconciled(session, report)
    if npub is not None:
        arguments.npub(npub)
    with session.engine() as (engine, _), session.out.progress("checking") as bar:
        swept = engine.reconcile_all(npub=npub, since=since, until=until, progress=bar)
    return _swept(session, swept)


def _reconciled(session: Session, report: ReconcileReport) -> Exit:
    out, good = session.out, report.validation_passed
    if out.as_json:
        out.document(report.as_dict())
        return Exit.DONE if good else Exit.REFUSED
    out.line(_verdict(good), f": {report.kind} {report.operation_id} ({report.state})")
    _checks_words(out, report)
    took = report.performance_metrics
    out.line(
        (
            f"{duration(took['reconciliation_duration_ms'])}, of it reading {duration(took['snapshot_ms'])}",
            "dim",
        )
    )
    if not good and report.check_id is not None:
        out.pairs(_next(session, report.check_id))
    return Exit.DONE if good else Exit.REFUSED


def _checks_words(out: Output, report: ReconcileReport) -> None:
    for check in report.checks:
        mark: Part = ("passed", "green") if check.passed else ("FAILED", "bold red")
        out.line("  ", mark, f"  {check.name} ({check.compared} compared)")
        for text in check.texts():
            out.line(f"          {text.partition(': ')[2]}", wrap=True)
        for text in check.not_checked:
            out.line((f"          not checked: {text}", "yellow"), wrap=True)


def _swept(session: Session, report: SweepReport) -> Exit:
    out, good = session.out, report.validation_passed
    if out.as_json:
        out.document(report.as_dict())
        return Exit.DONE if good else Exit.REFUSED
    took = duration(report.performance_metrics["reconciliation_duration_ms"])
    number = len(report.discrepancies_found)
    what = f"{report.operations} operations and {report.wallets} wallets"
    out.line(_verdict(good), f": {what} checked in {took}, {number} discrepancies")
    for failed in report.failed[:SHOWN_MAX]:
        known = ", known" if failed.operation_id in report.known else ""
        out.line(f"{failed.kind} {failed.operation_id} ({failed.state}{known})")
        _checks_words(out, failed)
        if failed.check_id is not None:
            out.pairs(_next(session, failed.check_id))
    if len(report.failed) > SHOWN_MAX:
        out.line((f"The first {SHOWN_MAX} of {len(report.failed)}; --json shows all.", "dim"))
    for text in report.wallet_discrepancies:
        out.line(text, wrap=True)
    if report.summary_id is not None:
        out.pairs([("summary", report.summary_id)])
    return Exit.DONE if good else Exit.REFUSED


def _verdict(good: bool) -> Part:
    return ("nothing found", "bold green") if good else ("DISCREPANCIES", "bold red")


def _next(session: Session, check_id: str) -> list[tuple[str, str]]:
    return step_rows(
        [session.command(f"show {check_id}"), session.command(f"resolve {check_id} --reason WHY")]
    )
