"""The columns of the views `problem_lives` and `problems`."""

from __future__ import annotations

from resources.fingerprint import RULE_KEYS
from resources.schema import Column
from resources.session import literal

_WHAT = (
    Column("fingerprint", "string", False, "identity of the problem (32 hex digits)"),
    Column("target_plugin", "string", False, "whose problem it is"),
    Column("category", "string", True, "kind of problem, as the validator names it"),
    Column("severity", "string", False, "as last seen: critical, high, medium or low"),
    Column("description", "string", False, "as last seen"),
    Column("file_path", "string", True, "where it is"),
    Column("rule", "string", True, "the rule that it breaks, where the details name one"),
)

LIVES = (
    *_WHAT,
    Column("opened_at", "timestamp", False, "timestamp of the run that this life began with"),
    Column("opened_stored_at", "timestamp", False, "when that run was stored"),
    Column("opened_run_id", "string", False, "that run"),
    Column("last_seen_at", "timestamp", False, "timestamp of the last run that saw it"),
    Column("last_run_id", "string", False, "that run"),
    Column("runs_seen", "int32", False, "how many runs saw it in this life"),
    Column("fixed_at", "timestamp", True, "timestamp of the first run that looked and did not see it"),
    Column("fixed_run_id", "string", True, "that run"),
    Column("checked", "boolean", False, "whether the plugin's newest run saw it"),
)
"""A life: from the run that saw a problem to the run that did not, or until now."""

STATUSES = ("new", "open", "reopened", "not_checked", "fixed")
DECISIONS = ("accepted", "false_positive")
UNDECIDED = "none"

PROBLEMS = (
    *_WHAT,
    Column("status", "string", False, ", ".join(STATUSES[:-1]) + f" or {STATUSES[-1]}"),
    Column("first_seen", "timestamp", False, "timestamp of the first run that saw it"),
    Column("first_run_id", "string", False, "that run"),
    Column("last_seen", "timestamp", False, "timestamp of the last run that saw it"),
    Column("last_run_id", "string", False, "that run"),
    Column("runs_seen", "int32", False, "how many runs saw it"),
    Column("opened_at", "timestamp", False, "when it was first seen, or seen again after it was last fixed"),
    Column("opened_run_id", "string", False, "the run that this was"),
    Column("reopened", "int32", False, "how often it came back after it was fixed"),
    Column(
        "fixed_at", "timestamp", True, "timestamp of the first run that looked and did not see it any more"
    ),
    Column("fixed_run_id", "string", True, "that run"),
    Column("age_days", "double", True, "days since opened_at; null when it is fixed"),
    Column("days_to_fix", "double", True, "days from opened_at to fixed_at; null when it is not fixed"),
    Column("triage", "string", False, f"{UNDECIDED}, {' or '.join(DECISIONS)}: what holds now"),
    Column("triage_until", "date", True, "the last day on which that holds; null: for good"),
    Column("triage_by", "string", True, "who decided"),
    Column("triage_reason", "string", True, "why"),
    Column("sla_due", "timestamp", True, "until when it is to be fixed; null when it is fixed or triaged"),
    Column("sla_days_left", "double", True, "days until then, below 0 when that has passed"),
)


def rule_in(details: str) -> str:
    """SQL for what `resources.fingerprint.rule_of` says of the column `details`, null where that is empty."""
    paths = [literal(f"$.{key}") for key in RULE_KEYS]
    texts = [f"WHEN json_type({details}, {path}) = 'VARCHAR' THEN {details}->>{path}" for path in paths]
    return f"nullif(CASE {' '.join(texts)} END, '')"
