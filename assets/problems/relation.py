"""Problems as SQL: the views `problem_lives`, `triage_decisions` and `problems` on a connection.

They are made of what is kept (`state`) and of the days since, which are looked at when a view is
asked. So nothing is written by a question, and nobody waits for a view that is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, TypeVar

from assets.days import DayVersion, versions_of_all, versions_seen
from assets.problems import triage
from assets.problems.columns import LIVES, rule_in
from assets.problems.sla import SlaDays, sla_days
from assets.problems.state import Base, Kept, keys
from assets.retention import outlines
from assets.retention.outlines import ALL_RUNS
from resources.backend import Backend
from resources.encryption import sql_parts
from resources.errors import UsageError
from resources.files import Files
from resources.lake.read import duckdb_type
from resources.session import literal, sql

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

VIEWS = ("problems", "problem_lives", "triage_decisions")

_LONGEST_GLOB = 1000
"""Characters. A longer one matches nothing, since nobody knows what it would cost."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which moment problems are asked for, None: of now; and how long they may stay."""

    moment: datetime | None = None
    sla: SlaDays = field(default_factory=sla_days)
    whole_day: bool = False
    """Whether no run of the moment's day came later: then what is kept of the day is what is asked for."""

    @property
    def day(self) -> date | None:
        return None if self.moment is None else self.moment.date()


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins from `first` on that come before `end`, by name; None: from the first, to the last."""

    first: str | None = None
    end: str | None = None

    def where(self, of: str = "") -> str:
        """As a condition on `target_plugin`."""
        bounds = ((">=", self.first), ("<", self.end))
        conditions = [
            f"{of}target_plugin {sign} {literal(name)}" for sign, name in bounds if name is not None
        ]
        return " AND ".join(conditions) or "true"


def moment_of(text: str, option: str = "--as-of") -> datetime:
    """The last moment of a day (`2025-08-29`), or a date-time, UTC. Raises `UsageError`."""
    try:
        if len(text) <= len("2025-08-29"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r} is not a date like 2025-08-29 or a moment like 2025-08-29T10:00:00Z."
        ) from None


def reading_problems(
    lake: Backend, work: Callable[[duckdb.DuckDBPyConnection], T], asked: Asked | None = None
) -> T:
    """What `work` answers, given a connection with the views `VIEWS`.

    Only the days since the newest state that is kept are read; `work` may be called again. Raises
    `StorageError`.
    """
    asked = asked or Asked()
    base = Kept(lake.files).base(keys(versions_of_all(lake, outlines.days(lake))), _before(asked))
    first = None if base.day is None else base.day + timedelta(days=1)

    def answer(connection: duckdb.DuckDBPyConnection) -> T:
        define(connection, lake.files, base, asked)
        return work(connection)

    return outlines.reading(lake, answer, first, asked.day)


def define_everywhere(
    connection: duckdb.DuckDBPyConnection, lake: Backend, asked: Asked | None = None
) -> list[str]:
    """Create the views beside `all_runs` and `all_issues` of everything; the local files that they read."""
    asked = asked or Asked()
    base = Kept(lake.files).base(keys(all_seen(connection)), _before(asked))
    return define(connection, lake.files, base, asked)


def all_seen(connection: duckdb.DuckDBPyConnection) -> list[DayVersion]:
    """What the relation `all_runs` of `connection` holds, by day, oldest first."""
    days = connection.execute(f"SELECT DISTINCT run_date FROM {ALL_RUNS}").fetchall()
    return versions_seen(connection, [day for (day,) in days], ALL_RUNS)


def define(connection: duckdb.DuckDBPyConnection, files: Files, base: Base, asked: Asked) -> list[str]:
    """Create the views, given `all_runs` and `all_issues` of the days after `base`; the files they read."""
    opened = define_lives(connection, files, base, asked)
    triage.define(connection, files, asked.moment)
    now = "now()" if asked.moment is None else f"TIMESTAMPTZ {literal(asked.moment.isoformat())}"
    days = " ".join(f"WHEN {literal(severity)} THEN {days:d}" for severity, days in asked.sla.items())
    text = sql("assets.problems", "problems").format(now=now, sla_days=f"CASE severity {days} END")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW problems AS {text}")
    return opened


def define_lives(
    connection: duckdb.DuckDBPyConnection,
    files: Files,
    base: Base,
    asked: Asked,
    plugins: Plugins | None = None,
) -> list[str]:
    """Create `problem_lives`: what ended up to `base` (`lives_ended`), and the rest (`lives_since`).

    The rest is that of some `plugins`, of all without.
    """
    plugins = plugins or Plugins()
    opened = [
        *_view(
            connection, "lives_before", files, [base.open_path] if base.open_path else [], plugins.where()
        ),
        *_view(connection, "lives_ended", files, list(base.closed_paths)),
    ]
    since = sql("assets.problems", "lives_since").format(
        scopes=scopes(f"{_span(base, asked)} AND {plugins.where()}"),
        issues_span=f"{_span(base, asked, 'issues.')} AND {plugins.where('issues.')}",
        rule=f"coalesce(seen.rule, {rule_in('seen.details')})",
    )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW lives_since AS {since}")
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW problem_lives AS FROM lives_ended UNION ALL FROM lives_since"
    )
    return opened


def scopes(span: str, runs: str = ALL_RUNS) -> str:
    """The SELECT of where each of the relation `runs` looked that meets the condition `span`."""
    return sql("assets.problems", "scopes").format(runs=runs, span=span, longest=_LONGEST_GLOB, regex=_REGEX)


def _view(
    connection: duckdb.DuckDBPyConnection, name: str, files: Files, paths: list[str], where: str = "true"
) -> list[str]:
    """Create the view `name` of the lives in `paths` that meet `where`; the local files that it reads."""
    names = files.paths(paths)
    if names:
        columns = ", ".join(f"{column.name}::{duckdb_type(column)} AS {column.name}" for column in LIVES)
        connection.execute(f"SET VARIABLE {name} = $1", [names])
        parts = sql_parts(files.key)
        source = f"read_parquet(getvariable('{name}'){parts['encryption']})"
        rows = f"SELECT {columns} FROM (FROM {source}{parts['barrier']}) WHERE {where}"
    else:
        nothing = ", ".join(f"NULL::{duckdb_type(column)} AS {column.name}" for column in LIVES)
        rows = f"SELECT {nothing} WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {rows}")
    return names


def _before(asked: Asked) -> date | None:
    """The last day that lies wholly before the end of what is asked for."""
    if asked.moment is None:
        return None
    whole = asked.whole_day or asked.moment.time() == time.max
    return asked.moment.date() - timedelta(days=0 if whole else 1)


def _span(base: Base, asked: Asked, of: str = "") -> str:
    """The condition for runs, or issues, that the base does not have."""
    conditions = []
    if base.day is not None:
        conditions.append(f"{of}run_date > DATE '{base.day}'")
    if asked.moment is not None:
        conditions.append(f"{of}run_date <= DATE '{asked.moment.date()}'")
        conditions.append(f'{of}"timestamp" <= TIMESTAMPTZ {literal(asked.moment.isoformat())}')
    return " AND ".join(conditions) or "true"


def _regex() -> str:
    """The glob `said` as a regular expression, in SQL.

    `**/` is any folders or none, `*` any text, `?` one character. Everything else stands for itself,
    so that no text makes an expression that cannot be compiled.
    """
    text = "said"
    steps = (
        (r"([.^$+(){}|\[\]\\])", r"\\\1"),
        (r"\*\*/", "\x01"),
        (r"\*+", ".*"),
        (r"\?", "."),
        ("\x01", "(?:.*/)?"),
    )
    for pattern, by in steps:
        text = f"regexp_replace({text}, {literal(pattern)}, {literal(by)}, 'g')"
    return rf"'\A' || {text} || '\z'"


_REGEX = _regex()
