"""What is different between two runs of a plugin, or of every plugin.

Issues are told apart by their fingerprints. One that went from a file to another (the same in
everything else that the fingerprint is made of) has *moved*, and is neither new nor fixed. What one
of the two runs did not look at is not compared: it is `not_checked`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from assets.problems.compared import Issue, Pair, issues_of, pairs
from resources.backend import Backend
from resources.fingerprint import fold, rule_of, stated
from resources.schema import SEVERITIES

KINDS = ("new", "fixed", "moved", "unchanged", "not_checked")

Counts = dict[str, dict[str, int]]
"""By kind: `total` and the number of each severity."""


@dataclass(frozen=True, slots=True)
class Diff:
    """Issues as the run after has them; `fixed`, and `not_checked` of the run before, as that has them."""

    before: str
    after: str
    runs: dict[str, Pair]
    new: list[Issue]
    fixed: list[Issue]
    moved: list[tuple[Issue, Issue]]
    """Before and after."""
    unchanged: list[Issue]
    not_checked: list[Issue]

    @property
    def counts(self) -> Counts:
        listed = {kind: getattr(self, kind) for kind in KINDS} | {"moved": [after for _, after in self.moved]}
        return {kind: _counted(issues) for kind, issues in listed.items()}


def diff(lake: Backend, before: str, after: str, plugin: str | None = None) -> Diff:
    """Compare the runs that `before` and `after` mean: ids, dates, moments, `latest` or `previous`.

    Raises `UsageError` where they mean nothing, `StorageError`.
    """
    runs = pairs(lake, before, after, plugin)
    olds = _by_print(issues_of(lake, ((old, new) for old, new in runs.values() if old is not None)))
    news = _by_print(issues_of(lake, ((new, old) for old, new in runs.values() if new is not None)))
    gone = [issue for print, issue in olds.items() if print not in news]
    come = [issue for print, issue in news.items() if print not in olds]
    not_checked = [issue for issue in (*gone, *come) if not issue["looked_at"]]
    gone = [issue for issue in gone if issue["looked_at"]]
    come = [issue for issue in come if issue["looked_at"]]
    moved = _moved(gone, come)
    left = {issue["fingerprint"] for issue, _ in moved}
    arrived = {issue["fingerprint"] for _, issue in moved}
    return Diff(
        before,
        after,
        runs,
        [issue for issue in come if issue["fingerprint"] not in arrived],
        [issue for issue in gone if issue["fingerprint"] not in left],
        moved,
        [issue for print, issue in news.items() if print in olds],
        not_checked,
    )


def _by_print(issues: Iterable[Issue]) -> dict[str, Issue]:
    found = {}
    for issue in issues:
        for name in ("details", "extra"):
            issue[name] = None if issue[name] is None else msgspec.json.decode(issue[name])
        found[issue["fingerprint"]] = issue
    return found


def _moved(gone: Iterable[Issue], come: Iterable[Issue]) -> list[tuple[Issue, Issue]]:
    """Pairs of one that went and one that came which differ in the file alone.

    Of several that could be, those whose files have the same name go first, then the order in which
    they come.
    """
    waiting: dict[tuple[str, ...], list[Issue]] = defaultdict(list)
    for issue in gone:
        waiting[_what(issue)].append(issue)
    arrivals = [issue for issue in come if _what(issue) in waiting]
    found = []
    for same_name in (True, False):
        for issue in list(arrivals):
            candidates = waiting[_what(issue)]
            for candidate in candidates:
                if issue["file_path"] != candidate["file_path"] and (
                    not same_name or _name(issue) == _name(candidate)
                ):
                    found.append((candidate, issue))
                    candidates.remove(candidate)
                    arrivals.remove(issue)
                    break
    return found


def _what(issue: Issue) -> tuple[str, ...]:
    """What the fingerprint is made of, but for the file and the ordinal."""
    details: dict[str, Any] = issue["details"] or {}
    text = stated(details) or fold(issue["description"])
    return issue["target_plugin"], issue["category"] or "", rule_of(details), text


def _name(issue: Issue) -> str:
    return (issue["file_path"] or "").rpartition("/")[2]


def _counted(issues: Iterable[Issue]) -> dict[str, int]:
    counts = dict.fromkeys(("total", *SEVERITIES), 0)
    for issue in issues:
        counts["total"] += 1
        counts[issue["severity"]] += 1
    return counts
