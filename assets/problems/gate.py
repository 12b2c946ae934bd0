"""The gate: does what is known of the problems, at a moment, keep to a policy?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assets.problems.policy import Bound, Policy, bounds
from assets.problems.relation import Asked, reading_problems
from assets.problems.sla import checked
from assets.retention import outlines
from resources.backend import RUNS, Backend, Pushdown
from resources.errors import UsageError
from resources.session import literal, sql

if TYPE_CHECKING:
    import duckdb

SHOWN = 20
"""So many problems are named for each rule that does not hold."""

_COUNTED = {
    "max_new": ("fresh", "status IN ('new', 'reopened') AND opened_run_id = last_run_id", "new"),
    "max_open": ("present", "true", "open"),
    "max_sla_breaches": ("late", "coalesce(sla_days_left < 0, false)", "past their SLA"),
}
"""By rule: the count, the condition for a problem to be in it, and what it is called."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy: whether it holds, and why (one sentence)."""

    rule: str
    passed: bool
    found: int | None
    allowed: int
    why: str
    problems: list[dict[str, Any]]
    """The worst `SHOWN` for which it does not hold."""


@dataclass(frozen=True, slots=True)
class Score:
    """The newest score of a plugin and the one before; None where there is none."""

    target_plugin: str
    validation_run_id: str
    score: int | None
    score_before: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    passed: bool
    rules: list[Rule]
    plugins: list[str]
    """Those that were looked at."""


def judge(lake: Backend, policy: Policy, asked: Asked | None = None, plugins: Sequence[str] = ()) -> Verdict:
    """Whether every rule of `policy` holds for `plugins`, else for those that it names, else for all.

    Raises `UsageError` where a plugin is not one of the policy's or has no run, or there is no run at
    all; `ConfigError` for the policy's SLA days; `StorageError`.
    """
    asked = asked or Asked()
    asked = replace(asked, sla=checked({**asked.sla, **policy.sla_days}, "sla_days of the policy"))
    beyond = sorted(set(plugins) - set(policy.plugins or plugins))
    if beyond:
        raise UsageError(
            f"{', '.join(beyond)} is none of the policy's plugins ({', '.join(policy.plugins or ())})."
        )
    named = sorted(set(plugins or policy.plugins or ()))
    scores = _scores(lake, named, asked)
    known = [score.target_plugin for score in scores]
    missing = [name for name in named if name not in known]
    if missing or not known:
        whose = f" of {', '.join(missing)}" if missing else ""
        raise UsageError(f"There is no run{whose} to judge: take it in first, or correct the name.")
    rules = [*_problem_rules(lake, policy, asked, known), *_score_rules(policy, scores)]
    return Verdict(all(rule.passed for rule in rules), rules, known)


def _problem_rules(lake: Backend, policy: Policy, asked: Asked, plugins: Sequence[str]) -> list[Rule]:
    where = f"status <> 'fixed' AND target_plugin IN ({', '.join(map(literal, plugins))})"
    if policy.ignore_triage:
        where += f" AND triage NOT IN ({', '.join(map(literal, policy.ignore_triage))})"
    limits = [(rule, bound) for rule in _COUNTED for bound in bounds(policy, rule)]

    def work(connection: duckdb.DuckDBPyConnection) -> list[Rule]:
        text = sql("assets.problems", "gate_counts").format(
            where=where, fresh=_COUNTED["max_new"][1], late=_COUNTED["max_sla_breaches"][1]
        )
        rows = connection.sql(text).to_arrow_table().to_pylist()
        counts = {row["severity"]: row for row in rows}
        return [_problem_rule(connection, where, rule, bound, counts) for rule, bound in limits]

    return reading_problems(lake, work, asked) if limits else []


def _problem_rule(
    connection: duckdb.DuckDBPyConnection, where: str, rule: str, bound: Bound, counts: dict[str, Any]
) -> Rule:
    counted, condition, called = _COUNTED[rule]
    found = sum(counts[severity][counted] for severity in bound.severities if severity in counts)
    passed = found <= bound.most
    problems = []
    if not passed:
        text = sql("assets.problems", "gate_problems").format(where=where, condition=condition, limit=SHOWN)
        rows = connection.sql(text, params={"severities": list(bound.severities)})
        problems = rows.to_arrow_table().to_pylist()
    what = bound.severities[0] if len(bound.severities) == 1 else "problems"
    why = f"{found} {what} {called}, at most {bound.most} allowed"
    return Rule(bound.name, passed, found, bound.most, why, problems)


def _score_rules(policy: Policy, scores: Sequence[Score]) -> Iterator[Rule]:
    for score in scores:
        of = f"{score.target_plugin} ({score.validation_run_id})"
        if policy.min_score is not None:
            least = policy.min_score
            passed = score.score is not None and score.score >= least
            said = "has no score" if score.score is None else f"has the score {score.score}"
            yield Rule("min_score", passed, score.score, least, f"{of} {said}, at least {least} wanted", [])
        if policy.max_score_drop is not None:
            most = policy.max_score_drop
            drop = 0
            if score.score is not None and score.score_before is not None:
                drop = max(0, score.score_before - score.score)
            said = f"fell by {drop} to {score.score}" if drop else "did not fall"
            why = f"the score of {of} {said}, at most {most} allowed"
            yield Rule("max_score_drop", drop <= most, drop, most, why, [])


def _scores(lake: Backend, plugins: Sequence[str], asked: Asked) -> list[Score]:
    conditions = []
    if plugins:
        conditions.append(f"target_plugin IN ({', '.join(map(literal, plugins))})")
    if asked.moment is not None:
        conditions.append(f'"timestamp" <= TIMESTAMPTZ {literal(asked.moment.isoformat())}')
    text = sql("assets.problems", "gate_scores").format(where=" AND ".join(conditions) or "true")

    def work(connection: duckdb.DuckDBPyConnection) -> list[Score]:
        return [Score(**row) for row in connection.sql(text).to_arrow_table().to_pylist()]

    pushdown = Pushdown(plugin=plugins[0] if len(plugins) == 1 else None, until=asked.moment)
    return outlines.reading(lake, work, None, asked.day, (RUNS,), pushdown)
