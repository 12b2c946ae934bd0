"""What a report is about, worked out from what was said and what the lake holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from assets.problems import triage
from assets.problems.sla import SlaDays
from assets.problems.update import WEEK
from assets.report.model import Asked
from resources.backend import RUNS, Backend, Pushdown
from resources.errors import UsageError
from resources.session import sql

if TYPE_CHECKING:
    import duckdb


def select(
    lake: Backend,
    sla: SlaDays,
    first: date | None = None,
    last: date | None = None,
    plugin: str | None = None,
    as_of: datetime | None = None,
) -> Asked:
    """A week up to `last`, where no `first` is given; up to the newest day with runs, where no `last` is.

    Without `as_of` what is open is judged as of the end of `last`, or where there is none either as of the
    newest run or decision, whichever is later: never as of now, so that the same lake gives the same
    report. Raises `UsageError` where there is no run, or the days contradict each other; `StorageError`.
    """
    if as_of is not None and last is not None and as_of.date() != last:
        raise UsageError(f"--as-of is on {as_of.date()}, but the last day of the report is {last}.")
    until = as_of or _end(last or datetime.now(UTC).date())  # a run of the future does not rule
    newest = _newest_run(lake, plugin, until)
    if newest is None:
        whose = f" of {plugin}" if plugin else ""
        raise UsageError(f"There is no run{whose} up to {until.date()} to report on.")
    day = last or newest.date()
    if as_of is not None and as_of.date() == day and _newest_run(lake, plugin, _end(day)) != newest:
        raise UsageError(
            f"There are runs after {as_of:%H:%M} on {day}, and a report is about whole days:"
            f" give a day, or the end of it."
        )
    begin = first or day - timedelta(days=min(WEEK - 1, (day - date.min).days))
    if begin > day:
        raise UsageError(f"The report would end on {day}, before it begins on {begin}.")
    moment = as_of or (_end(last) if last else max(newest, _newest_decision(lake, newest)))
    return Asked(begin, day, moment, plugin, sla)


def _end(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def _newest_run(lake: Backend, plugin: str | None, until: datetime) -> datetime | None:
    def work(connection: duckdb.DuckDBPyConnection) -> datetime | None:
        given = {"until": until, "plugin": plugin}
        [(moment,)] = connection.execute(sql("assets.report", "newest_run"), given).fetchall()
        return None if moment is None else moment.astimezone(UTC)

    columns = frozenset({"timestamp", "target_plugin"})
    pushdown = Pushdown(plugin=plugin, until=until, columns=columns)
    return lake.reading(work, None, until.date(), (RUNS,), pushdown)


def _newest_decision(lake: Backend, otherwise: datetime) -> datetime:
    return max((decision.decided_at for decision in triage.made(lake.files)), default=otherwise)
