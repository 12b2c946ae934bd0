"""The face of issuelake for Python users.

import issuelake

connection = issuelake.connect("s3://bucket/issues")
connection.sql("SELECT severity, count(*) FROM issues GROUP BY ALL ORDER BY ALL").show()
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

__all__ = ["__version__", "connect"]
__version__ = version("issuelake")


def connect(storage: str | None = None, *, config: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the views `runs`, `issues`, `rejected` and `daily_summary`.

    `storage` is a folder or the URL of any fsspec storage, `config` a configuration file; without
    either, the file that `ISSUELAKE_CONFIG` names or the folder `lake`. The views show the lake
    as it was when they were made. Raises `resources.errors.IssuelakeError`.
    """
    from assets.sql_access import views
    from resources.config import open_storage

    return views(open_storage(storage, config).lake)
