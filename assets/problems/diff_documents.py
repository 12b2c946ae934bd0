"""A diff as documents: JSON for programs, Markdown for a pull request, SARIF of what is new."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from assets.exports.selection import moment
from assets.exports.writers.markdown import cell, head, line
from assets.problems.compared import Issue, Run
from assets.problems.diff import KINDS, Diff
from resources.schema import SEVERITIES

LISTED = 50
"""So many issues of a kind stand in Markdown: a comment of a pull request may have 65,536 characters."""

LONGEST_TEXT = 300
"""Characters of a description there."""

_TITLES = {
    "new": "New",
    "fixed": "Fixed",
    "moved": "Moved",
    "unchanged": "Unchanged",
    "not_checked": "Not checked",
}
_FIELDS = (
    "fingerprint",
    "target_plugin",
    "severity",
    "category",
    "description",
    "file_path",
    "validation_run_id",
    "issue_index",
    "recommendation",
    "details",
)


def document(diff: Diff) -> dict[str, Any]:
    """The diff as JSON has it; of what is unchanged only the counts."""
    return {
        "before": diff.before,
        "after": diff.after,
        "runs": [
            {"target_plugin": plugin, "before": _run(before), "after": _run(after)}
            for plugin, (before, after) in diff.runs.items()
        ],
        "counts": diff.counts,
        "new": list(map(_plain, diff.new)),
        "fixed": list(map(_plain, diff.fixed)),
        "moved": [{"before": _plain(before), "after": _plain(after)} for before, after in diff.moved],
        "not_checked": list(map(_plain, diff.not_checked)),
    }


def markdown(diff: Diff) -> str:
    """The diff for people, nothing of it markup: what is new is shown, the rest can be unfolded."""
    counts = diff.counts
    new, fixed = counts["new"]["total"], counts["fixed"]["total"]
    text = f"## {new} new, {fixed} fixed\n\nFrom {cell(diff.before)} to {cell(diff.after)}.\n\n"
    text += head(["", "all", *SEVERITIES])
    for kind in KINDS:
        text += line([_TITLES[kind], *(counts[kind][name] for name in ("total", *SEVERITIES))])
    text += _listed("new", [(issue, issue["file_path"]) for issue in diff.new])
    folded = _listed("fixed", [(issue, issue["file_path"]) for issue in diff.fixed])
    folded += _listed("moved", [(b, f"{a['file_path']} → {b['file_path']}") for a, b in diff.moved])
    folded += _listed("not_checked", [(issue, issue["file_path"]) for issue in diff.not_checked])
    if folded:
        text += f"\n<details><summary>The others</summary>\n{folded}\n</details>\n"
    return text


def sarif(diff: Diff) -> bytes:
    """What is new as SARIF, for code scanning services."""
    from assets.exports.writers.sarif import write_log

    ordered = sorted(diff.new, key=lambda issue: (issue["validation_run_id"], issue["issue_index"]))
    file = io.BytesIO()
    write_log(file, [{**issue, "timestamp": moment(issue["timestamp"])} for issue in ordered])
    return file.getvalue()


def _listed(kind: str, issues: Sequence[tuple[Issue, str | None]]) -> str:
    if not issues:
        return ""
    text = f"\n### {_TITLES[kind]}\n\n{head(['severity', 'plugin', 'file', 'description'])}"
    for issue, path in issues[:LISTED]:
        description = issue["description"]
        if len(description) > LONGEST_TEXT:
            description = f"{description[:LONGEST_TEXT]}…"
        text += line([issue["severity"], issue["target_plugin"], path, description])
    if len(issues) > LISTED:
        text += f"\n… and {len(issues) - LISTED} more.\n"
    return text


def _run(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "validation_run_id": run.validation_run_id,
        "timestamp": moment(run.timestamp),
        "pipeline_score": run.pipeline_score,
    }


def _plain(issue: Issue) -> dict[str, Any]:
    return {name: issue[name] for name in _FIELDS}
