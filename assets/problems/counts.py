"""How many problems there are, by what became of them."""

from __future__ import annotations

from typing import Any

from assets.problems.columns import STATUSES
from assets.problems.relation import Asked, reading_problems
from resources.backend import Backend
from resources.session import sql

Counts = dict[str, dict[str, int]]
"""By status: `problems`, those of each severity, `triaged`, `sla_breached`."""


def counts_by_status(lake: Backend, asked: Asked | None = None) -> Counts:
    """The counts of each status that there is, in the order of `STATUSES`. Raises `StorageError`."""

    def count(connection: Any) -> Counts:
        rows = connection.sql(sql("assets.problems", "counts_by_status")).to_arrow_table().to_pylist()
        found = {row.pop("status"): row for row in rows}
        return {status: found[status] for status in STATUSES if status in found}

    return reading_problems(lake, count, asked)
