"""What people decided about problems stays, whatever is imported, and stops to hold when it should."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assets.problems import triage
from assets.problems.listing import Filters, find, problems
from assets.problems.relation import Asked
from assets.problems.triage import Decision, decide, decisions_of, made, take_in
from assets.problems.update import bring_up_to_date
from assets.records import identity
from resources.backend import Backend
from resources.config import open_storage
from resources.errors import ConfigError, StorageError, UsageError
from resources.files import open_files
from tests.problems.histories import Issue, Run, rows, store

EVAL, SHELL = Issue("eval is used", severity="critical"), Issue("a shell is started", severity="low")
TODAY = datetime.now(UTC).date()


@pytest.fixture(params=["lake", "sqlite"])
def backend(tmp_path: Path, request: pytest.FixtureRequest) -> Backend:
    if request.param == "lake":
        return open_storage(str(tmp_path / "lake")).backend
    configuration = tmp_path / "config.yaml"
    configuration.write_text(
        f"storage_backend: sqlite\nstorage_config:\n  sqlite:\n    database_path: {tmp_path}/issues.db\n"
    )
    return open_storage(config=configuration).backend


def one(backend: Backend, moment: datetime | None = None) -> dict[str, Any]:
    [row] = rows(backend, moment).values()
    return row


def print_of(backend: Backend) -> str:
    return str(one(backend)["fingerprint"])


def test_a_decision_outlives_every_import(backend: Backend) -> None:
    store(backend, [Run("a", 0, (EVAL,))])
    decide(backend.files, [print_of(backend)], "accepted", "behind the firewall", "ann", TODAY)
    for number, issues in enumerate([(EVAL,), (), (EVAL,)], 1):
        store(backend, [Run(f"b{number}", number, issues)])
        bring_up_to_date(backend, grace=0)
        row = one(backend)
        told = (row["triage"], row["triage_by"], row["triage_reason"], row["triage_until"])
        assert told == ("accepted", "ann", "behind the firewall", TODAY)
        assert row["sla_due"] is None
    assert row["status"] == "reopened"


def test_the_last_decision_holds_and_all_stay_on_record(backend: Backend) -> None:
    store(backend, [Run("a", 0, (EVAL,))])
    print = print_of(backend)
    for decision in ("accepted", "false_positive", "reopened"):
        decide(backend.files, [print], decision, decision, "ann")  # type: ignore[arg-type]
        assert one(backend)["triage"] == ("none" if decision == "reopened" else decision)
    decisions = made(backend.files)
    assert [d.decision for d in decisions] == ["accepted", "false_positive", "reopened"]
    before_last = decisions[-1].decided_at - timedelta(microseconds=1)
    assert one(backend, before_last)["triage"] == "false_positive"
    states = triage.standing(decisions, datetime.now(UTC))
    assert states == ["superseded", "superseded", "holds"]


def test_an_acceptance_holds_through_its_last_day_and_then_the_problem_is_back(backend: Backend) -> None:
    store(backend, [Run("a", 0, (EVAL,))])
    until = date(2025, 4, 1)
    decided_at = datetime(2025, 3, 2, tzinfo=UTC)
    take_in(backend.files, [Decision(decided_at, print_of(backend), "accepted", "for now", "ann", until)])
    assert one(backend, datetime(2025, 4, 1, 23, 59, tzinfo=UTC))["triage"] == "accepted"
    back = one(backend, datetime(2025, 4, 2, tzinfo=UTC))
    assert (back["triage"], back["triage_until"], back["triage_by"]) == ("none", None, None)
    assert back["sla_days_left"] < 0
    assert triage.standing(made(backend.files), datetime(2025, 4, 2, tzinfo=UTC)) == ["expired"]


def test_of_equal_moments_the_greatest_id_holds(tmp_path: Path) -> None:
    moment = datetime(2025, 3, 2, tzinfo=UTC)
    several = [Decision(moment, "0" * 32, "accepted", f"reason {n}", "ann") for n in range(20)]
    for order in (several, several[::-1]):
        files = open_files(str(tmp_path / str(order[0].reason)))
        for decision in order:
            take_in(files, [decision])
        [held] = triage.holding(made(files)).values()
        assert held == max(several, key=identity)


def test_taking_in_twice_is_taking_in_once(tmp_path: Path) -> None:
    files = open_files(str(tmp_path))
    moment = datetime(2025, 3, 2, tzinfo=UTC)
    decisions = [Decision(moment, "a" * 32, "accepted", "ä → ö", "ann", TODAY)]
    document = msgspec.to_builtins(decisions)
    assert take_in(files, decisions_of(document, "x")) == 1
    assert take_in(files, decisions_of(document, "x")) == 0
    other = [document[0] | {"decided_at": "2025-03-02T02:00:00+02:00"}]
    assert take_in(files, decisions_of(other, "x")) == 0
    assert made(files) == decisions


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decision": "acepted"}, "Invalid enum value 'acepted'"),
        ({"fingerprint": "../../etc"}, "fingerprint"),
        ({"reason": " "}, "reason must be a text"),
        ({"reason": "\ud800"}, "surrogate"),
        ({"decided_at": "2025-03-02T00:00:00"}, "timezone"),
        ({"more": 1}, "unknown field `more`"),
        ({"decision": "reopened", "until": "2026-01-01"}, "no day until"),
    ],
)
def test_decisions_that_cannot_be_kept_are_refused(changed: dict[str, Any], said: str) -> None:
    document = {
        "decided_at": "2025-03-02T00:00:00Z",
        "fingerprint": "a" * 32,
        "decision": "accepted",
        "reason": "because",
        "actor": "ann",
    }
    assert decisions_of([document], "x")
    with pytest.raises(UsageError, match=said):
        decisions_of([document | changed], "x")


def test_a_record_that_was_spoilt_is_named(tmp_path: Path) -> None:
    files = open_files(str(tmp_path))
    files.publish("triage/x.json", b"[{}]")
    with pytest.raises(StorageError, match=r"triage/x\.json"):
        made(files)


def test_a_day_that_has_passed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has passed"):
        decide(open_files(str(tmp_path)), ["a" * 32], "accepted", "x", "ann", date(2020, 1, 1))


def test_problems_are_filtered_paged_and_found(backend: Backend) -> None:
    store(backend, [Run("a", 0, (EVAL, SHELL)), Run("b", 0, (EVAL,), "other"), Run("c", 1, (EVAL,), "other")])
    decide(
        backend.files,
        [find(backend, [print])[0]["fingerprint"] for print in _prints(backend, "demo")[:1]],
        "accepted",
        "x",
        "ann",
    )
    listed = problems(backend, Filters())
    assert [p["severity"] for p in listed.problems] == ["critical", "critical", "low"]
    assert listed.total == 3
    assert problems(backend, Filters(limit=1, offset=2)).problems[0]["severity"] == "low"
    assert problems(backend, Filters(limit=1, offset=9)).total == 3
    assert problems(backend, Filters(status=["new"], plugin="demo")).total == 2
    assert problems(backend, Filters(severity=["low"])).total == 1
    assert problems(backend, Filters(triage=["accepted"])).total == 1
    assert problems(backend, Filters(triage=["none"], sla="breached")).total == 2
    assert problems(backend, Filters(status=["fixed"])).total == 0
    for wrong in (Filters(status=["opne"]), Filters(severity=["x"]), Filters(triage=["x"]), Filters(sla="x")):
        with pytest.raises(UsageError, match="known are"):
            problems(backend, wrong)
    for beginning in ("", "0" * 32, "zz"):
        with pytest.raises(UsageError, match="problem with the fingerprint"):
            find(backend, [beginning])


def test_the_time_that_is_left_goes_by_severity_and_configuration(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assets.problems.sla import sla_days

    run = Run("a", 0, (EVAL, SHELL))
    store(backend, [run])
    moment = run.moment + timedelta(days=10)

    def left(asked: Asked) -> dict[str, float]:
        return {p["severity"]: p["sla_days_left"] for p in problems(backend, Filters(), asked).problems}

    assert left(Asked(moment)) == {"critical": -3, "low": 170}
    monkeypatch.setenv("ISSUELAKE_SLA_DAYS", "critical=20, low=11")
    assert left(Asked(moment)) == {"critical": 10, "low": 1}
    assert left(Asked(moment, sla_days(["low=10"]))) == {"critical": 10, "low": 0}
    for wrong in ("hgih=1", "high", "high=-1", "high=x", "high=99999999"):
        with pytest.raises(ConfigError):
            sla_days([wrong])


def _prints(backend: Backend, plugin: str) -> list[str]:
    return [p["fingerprint"] for p in problems(backend, Filters(plugin=plugin)).problems]
