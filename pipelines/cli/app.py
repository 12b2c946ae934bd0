"""The commands, put together. Each module registers what belongs together."""

from __future__ import annotations

import typer

from pipelines.cli import (
    backends,
    bundle,
    delete,
    export,
    failover,
    health,
    ingesting,
    migrating,
    publishing,
    reading,
    upkeep,
)
from pipelines.cli import diff as diff_command
from pipelines.cli import gate as gate_command
from pipelines.cli import problems as problems_command
from pipelines.cli import report as report_command
from pipelines.cli import retention as retaining
from pipelines.cli import run as run_command
from pipelines.cli import sql as sql_command
from pipelines.cli import trend as trend_command
from pipelines.cli import triage as deciding

app = typer.Typer(
    name="issuelake",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=(
        "Keeps every issue that validation runs ever found, and answers what is wrong now, what is new,"
        " what got fixed.\n\n"
        "Start with `issuelake ingest FOLDER`, then `issuelake summary`, `issuelake latest`,"
        " `issuelake search TEXT` or `issuelake sql 'SELECT …'`."
    ),
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage.",
)

INGEST, ASK, KEEP, ANY = "Take in", "Ask", "Look after", "Any of these, as a document"
DECIDE = "Decide"

app.command("ingest", rich_help_panel=INGEST)(ingesting.ingest)
app.command("latest", rich_help_panel=ASK)(reading.latest)
app.command("issues", rich_help_panel=ASK)(reading.issues)
app.command("search", rich_help_panel=ASK)(reading.search)
app.command("summary", rich_help_panel=ASK)(reading.summary)
app.command("history", rich_help_panel=ASK)(reading.history)
app.command("trend", rich_help_panel=ASK)(trend_command.trend)
app.command("problems", rich_help_panel=ASK)(problems_command.problems)
app.command("diff", rich_help_panel=ASK)(diff_command.diff)
app.command("sql", rich_help_panel=ASK)(sql_command.sql)
app.command("export", rich_help_panel=ASK)(export.export)
app.command("report", rich_help_panel=ASK)(report_command.report)
app.command("bundle", rich_help_panel=ASK)(bundle.bundle)
app.add_typer(upkeep.rejected, name="rejected", rich_help_panel=INGEST)
app.command("gate", rich_help_panel=DECIDE)(gate_command.gate)
app.command("accept", rich_help_panel=DECIDE)(deciding.accept)
app.command("false-positive", rich_help_panel=DECIDE)(deciding.false_positive)
app.command("reopen", rich_help_panel=DECIDE)(deciding.reopen)
app.add_typer(deciding.triage, name="triage", rich_help_panel=DECIDE)
app.command("compact", rich_help_panel=KEEP)(upkeep.compact)
app.command("delete", rich_help_panel=KEEP)(delete.delete)
app.command("deletions", rich_help_panel=KEEP)(delete.deletions)
app.command("retain", rich_help_panel=KEEP)(retaining.retain)
app.command("pin", rich_help_panel=KEEP)(retaining.pin)
app.command("unpin", rich_help_panel=KEEP)(retaining.unpin)
app.command("pins", rich_help_panel=KEEP)(retaining.pins)
app.command("backends", rich_help_panel=KEEP)(backends.backends)
app.command("health", rich_help_panel=KEEP)(health.health)
app.command("reconcile", rich_help_panel=KEEP)(failover.reconcile)
app.add_typer(failover.ledger, name="ledger", rich_help_panel=KEEP)
app.command("migrate", rich_help_panel=KEEP)(migrating.migrate)
app.command("publish", rich_help_panel=KEEP)(publishing.publish)
app.command("run", rich_help_panel=ANY)(run_command.run)
app.command("schema", rich_help_panel=KEEP)(upkeep.schema)
app.command("version", rich_help_panel=KEEP)(upkeep.version)
