"""Which runs of a backend go now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from assets.retention.rules import Policy
from resources.backend import RUNS, Backend, Pushdown
from resources.schema import SEVERITY_COUNTS
from resources.session import sql

if TYPE_CHECKING:
    import duckdb

_LOOKED_AT = Pushdown(
    columns=frozenset(
        {"validation_run_id", "timestamp", "target_plugin", "stored_at", "run_date", *SEVERITY_COUNTS}
    )
)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A run that goes, and the rule that takes it."""

    validation_run_id: str
    target_plugin: str
    timestamp: datetime
    issues: int
    rule: str


def leaving(
    lake: Backend,
    policy: Policy,
    max_history: int,
    kept: Collection[str],
    now: datetime,
    settled: datetime,
) -> list[Leaving]:
    """The runs that are to go, oldest first; none of `kept`, and none stored after `settled` (UTC).

    Raises `StorageError`.
    """
    import pyarrow as pa

    days = policy.keep_days
    if not (max_history or days.by_plugin or days.by_severity):
        return []
    tables = {
        "plugin_days": pa.table(
            {
                "place": pa.array(range(len(days.by_plugin)), pa.int32()),
                "pattern": pa.array(days.by_plugin, pa.string()),
                "days": pa.array(days.by_plugin.values(), pa.int32()),
            }
        ),
        "severity_days": pa.table(
            {
                "worst": pa.array(days.by_severity, pa.string()),
                "days": pa.array(days.by_severity.values(), pa.int32()),
            }
        ),
        "kept_runs": pa.table({"validation_run_id": pa.array(sorted(kept), pa.string())}),
    }
    given = {"max_history": max_history, "now": now, "settled": settled}

    def work(connection: duckdb.DuckDBPyConnection) -> list[Leaving]:
        for name, table in tables.items():
            connection.register(name, table)
        try:
            found = connection.sql(sql("assets.retention", "runs_to_retire"), params=given).to_arrow_table()
        finally:
            for name in tables:
                connection.unregister(name)
        return [Leaving(**row) for row in found.to_pylist()]

    return lake.reading(work, tables=(RUNS,), pushdown=_LOOKED_AT)
