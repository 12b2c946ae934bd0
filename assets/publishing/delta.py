"""Delta: a table of copies, under the names that the files have in the lake.

Delta's log may name files elsewhere, and then pyarrow's and Polars' readers do not find them (see
docs/decisions/0027). A table in the lake's own folders would be worse: its checkpoints are Parquet
files that a plain glob takes for runs, and its `vacuum` removes what was not published yet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from assets.publishing import Published
from assets.publishing.footers import footer
from resources.backend import RUNS
from resources.errors import StorageError, UsageError
from resources.files import Files, open_files
from resources.lake.layout import DataFile
from resources.schema import ISSUES as ISSUES_COLUMNS
from resources.schema import RUN_DATE, arrow_schema
from resources.schema import RUNS as RUNS_COLUMNS
from resources.secrets import secrets_in, told

if TYPE_CHECKING:
    from deltalake import DeltaTable

_EXTRA = "Publishing to Delta needs a package that is not installed: pip install 'issuelake[delta]'"


class Delta:
    """The tables `runs` and `issues` below a folder or the URL of an object store."""

    def __init__(self, to: str) -> None:
        """Raises `UsageError` or `StorageError`."""
        try:
            import deltalake  # noqa: F401  (nothing is copied where it is missing)
        except ImportError as error:
            raise UsageError(f"{_EXTRA} ({error}).") from error
        self._to = to.rstrip("/")
        self._files = open_files(to)

    def publish(self, lake: Files, table: str, data_files: Sequence[DataFile]) -> Published:
        from deltalake.exceptions import DeltaError

        try:
            return self._publish(lake, table, data_files)
        except (DeltaError, OSError) as error:
            said = told(error, secrets_in({"to": self._to}))
            raise StorageError(
                f"Could not publish {table} to {self._files.url}: {said}. Publish again."
            ) from None

    def _publish(self, lake: Files, table: str, data_files: Sequence[DataFile]) -> Published:
        found = self._table(table)
        present = {row["path"]: row for row in pa.table(found.get_add_actions()).to_pylist()}
        wanted = {_path(file): file for file in data_files}
        gone = [path for path in present if path not in wanted]
        new = {path: file for path, file in wanted.items() if path not in present}
        rows = sum(row["num_records"] for path, row in present.items() if path in wanted)
        if gone or new:
            rows += self._commit(found, lake, table, new, gone)
        place = f"{self._files.url}/{table}"
        return Published(table, place, found.version(), len(wanted), rows, len(new), len(gone))

    def _commit(
        self, found: DeltaTable, lake: Files, table: str, new: dict[str, DataFile], gone: Sequence[str]
    ) -> int:
        """Copy what is new, and replace the days of both in one commit; the rows that came."""
        from deltalake.transaction import AddAction, CommitProperties, RemoveAction

        rows, actions = 0, []
        for path, file in new.items():
            source = file.runs_path if table == RUNS else file.issues_path
            self._files.publish(f"{table}/{path}", lake.read(source))
            metadata, size = footer(lake, source)
            rows += metadata.num_rows
            actions.append(
                AddAction(
                    path,
                    size,
                    {RUN_DATE.name: file.day.isoformat()},
                    int(file.modified * 1000),
                    True,
                    json.dumps({"numRecords": metadata.num_rows}),
                )
            )
        removed = [RemoveAction(path, True, int(time.time() * 1000)) for path in gone]
        found.create_write_transaction(
            [*removed, *actions],
            mode="append",
            schema=found.schema(),
            partition_by=[RUN_DATE.name],
            # Of two rounds at once the second fails: what each left out the other may have put in.
            commit_properties=CommitProperties({"issuelake.lake": lake.url}, max_commit_retries=0),
        )
        found.update_incremental()
        return rows

    def _table(self, table: str) -> DeltaTable:
        from deltalake import DeltaTable, Schema

        columns = RUNS_COLUMNS if table == RUNS else ISSUES_COLUMNS
        # Needless where it is there; a folder that somebody made for it is no error.
        return DeltaTable.create(
            f"{self._to}/{table}",
            Schema.from_arrow(arrow_schema((*columns, RUN_DATE))),
            mode="ignore",
            partition_by=[RUN_DATE.name],
            name=table,
        )


def _path(file: DataFile) -> str:
    """Where the copy lies in the table, as Delta's readers expect a partition to be laid out."""
    return str(PurePosixPath(file.runs_path).relative_to(RUNS))
