"""The face of issuelake for Python users.

import issuelake

connection = issuelake.connect("s3://bucket/issues")
connection.sql("SELECT severity, count(*) FROM issues GROUP BY ALL ORDER BY ALL").show()

answer = asyncio.run(issuelake.process({"operation": "get_issue_summary"}))
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

__all__ = ["__version__", "connect", "process"]
__version__ = version("issuelake")


def connect(storage: str | None = None, *, config: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the views of `docs/asking.md`: `runs`, `issues`, `problems` and others.

    `storage` is a folder or the URL of any fsspec storage, `config` a configuration file; without
    either, the file that `ISSUELAKE_CONFIG` names or the folder `lake`. The views show the lake
    as it was when they were made. Raises `resources.errors.IssuelakeError`.
    """
    from assets.sql_access import views
    from pipelines.opening import open_storage

    return views(open_storage(storage, config).backend)


async def process(context: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Carry out the operation document in `context` and answer with a document, whatever happens.

    The keys and answers are those of `docs/nine-operations.md`. `config` may hold the same keys; those
    of `context` win. Where neither says which storage, `ISSUELAKE_CONFIG` does, else the folder
    `lake` here. The work is done in a few threads of its own, so the event loop stays free.
    """
    from pipelines.operations.concurrency import process as carry_out

    return await carry_out(context, config)
