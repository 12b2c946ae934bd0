"""What a gate lets through."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.problems.gate import judge
from assets.problems.policy import policy_of
from assets.problems.relation import Asked
from assets.problems.triage import decide
from resources.backend import Backend
from resources.config import open_storage
from resources.errors import ConfigError, UsageError
from tests.problems.histories import Issue, Run, rows, store

CRITICAL, HIGH, LOW = (Issue(f"a {name} one", severity=name) for name in ("critical", "high", "low"))


@pytest.fixture
def lake(tmp_path: Path) -> Backend:
    lake = open_storage(str(tmp_path / "lake")).backend
    store(lake, [Run("a", 0, (CRITICAL,), score=80), Run("b", 24, (CRITICAL, HIGH, LOW), score=70)])
    return lake


def broken(lake: Backend, policy: dict[str, Any], asked: Asked | None = None) -> list[str]:
    verdict = judge(lake, policy_of(policy, "gate.yaml"), asked)
    found = [rule.rule for rule in verdict.rules if not rule.passed]
    assert verdict.passed == (not found)
    return found


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ({"max_new": {"high": 0}}, ["max_new.high"]),
        ({"max_new": {"high": 1, "critical": 0}}, []),
        ({"max_new": 1}, ["max_new"]),
        ({"max_new": 2}, []),
        ({"max_open": {"critical": 0, "high": 0, "low": 1}}, ["max_open.critical", "max_open.high"]),
        ({"max_open": 3}, []),
        ({"min_score": 71}, ["min_score"]),
        ({"min_score": 70}, []),
        ({"max_score_drop": 9}, ["max_score_drop"]),
        ({"max_score_drop": 10}, []),
        ({"max_sla_breaches": 2}, ["max_sla_breaches"]),
        ({"max_sla_breaches": 0, "sla_days": dict.fromkeys(("critical", "high", "low"), 36500)}, []),
        ({"max_new": {"high": 0}, "min_score": 100}, ["max_new.high", "min_score"]),
    ],
)
def test_each_rule(lake: Backend, policy: dict[str, Any], wanted: list[str]) -> None:
    assert broken(lake, policy) == wanted


def test_it_says_why_and_names_the_problems(lake: Backend) -> None:
    verdict = judge(lake, policy_of({"max_new": {"high": 0}, "min_score": 90}, "x"))
    assert [rule.why for rule in verdict.rules] == [
        "1 high new, at most 0 allowed",
        "demo (b) has the score 70, at least 90 wanted",
    ]
    assert [problem["description"] for problem in verdict.rules[0].problems] == [HIGH.text]


def test_what_was_decided_does_not_count_until_its_day_has_passed(lake: Backend) -> None:
    policy = {"max_open": {"critical": 0, "high": 0}}
    prints = {row["description"]: print for print, row in rows(lake).items()}
    decide(lake.files, [prints[CRITICAL.text]], "accepted", "x", "ann", date.today() + timedelta(days=2))
    decide(lake.files, [prints[HIGH.text]], "false_positive", "x", "ann")
    assert broken(lake, policy) == []
    assert broken(lake, policy | {"ignore_triage": ["false_positive"]}) == ["max_open.critical"]
    assert broken(lake, policy | {"ignore_triage": []}) == ["max_open.critical", "max_open.high"]


def test_what_came_back_is_new_once(lake: Backend) -> None:
    policy = {"max_new": 0}
    store(lake, [Run("c", 48, (LOW,)), Run("d", 72, (LOW, HIGH))])
    assert broken(lake, policy) == ["max_new"]
    store(lake, [Run("e", 96, (LOW, HIGH))])
    assert broken(lake, policy) == []


def test_a_past_day_is_judged_as_it_was(lake: Backend) -> None:
    from assets.problems.relation import moment_of

    past = Asked(moment_of("2025-03-01"))
    assert broken(lake, {"max_open": 1, "min_score": 80, "max_new": 1}, past) == []
    assert broken(lake, {"max_open": 1, "min_score": 80, "max_new": 1}) == [
        "max_new",
        "max_open",
        "min_score",
    ]
    with pytest.raises(UsageError, match="no run to judge"):
        broken(lake, {"max_open": 1}, Asked(moment_of("2020-01-01")))


def test_a_run_without_a_score_does_not_reach_one(lake: Backend) -> None:
    store(lake, [Run("c", 48, ())])
    assert broken(lake, {"min_score": 0, "max_score_drop": 0}) == ["min_score"]
    store(lake, [Run("d", 72, (), score=60)])
    assert broken(lake, {"min_score": 0, "max_score_drop": 9}) == ["max_score_drop"]


def test_plugins_are_judged_each_and_named_ones_alone(lake: Backend) -> None:
    store(lake, [Run("o", 0, (), "other", score=10)])
    assert broken(lake, {"min_score": 50}) == ["min_score"]
    assert broken(lake, {"min_score": 50, "plugins": ["demo"]}) == []
    verdict = judge(lake, policy_of({"min_score": 50}, "x"), plugins=["other"])
    assert (verdict.plugins, verdict.passed) == (["other"], False)
    with pytest.raises(UsageError, match="no run of nope"):
        broken(lake, {"min_score": 50, "plugins": ["demo", "nope"]})
    with pytest.raises(UsageError, match="other is none of the policy's plugins"):
        judge(lake, policy_of({"min_score": 50, "plugins": ["demo"]}, "x"), plugins=["other"])


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"max_nwe": 1}, "unknown key 'max_nwe'; known are plugins, max_new, max_open"),
        ({"max_new": {"hgih": 1}}, "unknown key 'hgih' in max_new; known are critical, high"),
        ({"max_new": -1}, r"\$\.max_new"),
        ({"max_new": True}, r"\$\.max_new"),
        ({"min_score": 101}, r"\$\.min_score"),
        ({"min_score": "70"}, r"\$\.min_score"),
        ({"min_score": 1, "plugins": []}, r"\$\.plugins"),
        ({"min_score": 1, "ignore_triage": ["known"]}, r"\$\.ignore_triage"),
        ({}, "no rule"),
        ({"plugins": ["demo"]}, "no rule"),
        ([], "must be a mapping"),
        (None, "must be a mapping"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(policy: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        policy_of(policy, "gate.yaml")


def test_wrong_sla_days_are_refused(lake: Backend) -> None:
    with pytest.raises(ConfigError, match="'hgih' is not a severity"):
        broken(lake, {"max_sla_breaches": 0, "sla_days": {"hgih": 1}})
