"""Iceberg: a table that refers to the lake's own files, where they are.

They hold neither field ids, so the table has a mapping by name, nor their day, which readers take from
the partition of the manifest's entry. (`Table.add_files` of pyiceberg would find a day in the file's
statistics alone, hence the entries are made here, as it makes them.)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from assets.publishing import Published
from assets.publishing.footers import footer
from resources.backend import RUNS
from resources.errors import StorageError, UsageError
from resources.files import Files, FsspecFiles
from resources.lake.layout import DataFile
from resources.lake.parquet import STATISTICS
from resources.schema import ISSUES as ISSUES_COLUMNS
from resources.schema import RUN_DATE
from resources.schema import RUNS as RUNS_COLUMNS
from resources.secrets import secrets_in, told, without_secrets

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

CATALOG = "catalog://"
NAMESPACE = "issuelake"
REFERABLE = frozenset({"file", "s3", "s3a", "gs", "abfs", "abfss", "hdfs"})
"""What the files that an Iceberg table refers to may begin with."""

_EPOCH = date(1970, 1, 1).toordinal()
_EXTRA = "Publishing to Iceberg needs a package that is not installed: pip install 'issuelake[iceberg]'"


class Iceberg:
    """The tables `issuelake.runs` and `issuelake.issues` of a catalogue.

    That is an SQLite file in a folder of this machine, or one that pyiceberg is configured for
    (`catalog://NAME`, by .pyiceberg.yaml or the environment).
    """

    def __init__(self, to: str) -> None:
        """Raises `UsageError` where `to` is neither, and `StorageError` where it cannot be opened."""
        self._place = without_secrets(to)
        self._catalog = _opened(to, self._place)

    def publish(self, lake: Files, table: str, data_files: Sequence[DataFile]) -> Published:
        wanted = {uri(lake, _path(file, table)): file for file in data_files}
        try:
            return self._publish(lake, table, wanted)
        except (StorageError, UsageError):
            raise
        except Exception as error:  # of a catalogue, a database, a storage: each has its own
            said = told(error, secrets_in(self._catalog.properties))
            raise StorageError(
                f"Could not publish {table} to {self._place}: {said}. Publish again."
            ) from None

    def _publish(self, lake: Files, table: str, wanted: dict[str, DataFile]) -> Published:
        found = self._table(table)
        present = {task.file.file_path: task.file for task in found.scan().plan_files()}
        gone = [file for path, file in present.items() if path not in wanted]
        new = [
            _entry(found, path, lake, _path(file, table), file.day)
            for path, file in wanted.items()
            if path not in present
        ]
        if gone or new:
            with found.transaction() as transaction:
                update = transaction.update_snapshot({"issuelake.lake": lake.url})
                with update.overwrite() if gone else update.fast_append() as snapshot:
                    for file in gone:
                        snapshot.delete_data_file(file)
                    for file in new:
                        snapshot.append_data_file(file)
        rows = sum(file.record_count for path, file in present.items() if path in wanted)
        rows += sum(file.record_count for file in new)
        current = found.current_snapshot()
        return Published(
            table,
            ".".join(found.name()),
            current.snapshot_id if current else None,
            len(wanted),
            rows,
            len(new),
            len(gone),
        )

    def _table(self, name: str) -> Table:
        from pyiceberg.exceptions import NoSuchTableError
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.transforms import IdentityTransform

        try:
            return self._catalog.load_table((NAMESPACE, name))
        except NoSuchTableError:
            schema = _schema(name)
            day = schema.find_field(RUN_DATE.name)
            self._catalog.create_namespace_if_not_exists(NAMESPACE)
            return self._catalog.create_table(
                (NAMESPACE, name),
                schema,
                partition_spec=PartitionSpec(
                    PartitionField(day.field_id, 1000, IdentityTransform(), RUN_DATE.name)
                ),
                properties=_properties(schema),
            )


def uri(lake: Files, path: str) -> str:
    """The address under which an Iceberg table refers to `path` of the lake.

    Raises `UsageError` where no Iceberg reader could follow it.
    """
    address = lake.url if isinstance(lake, FsspecFiles) else f"file://{lake.url}"
    protocol = address.split("://", 1)[0]
    if protocol not in REFERABLE:
        raise UsageError(
            f"Iceberg does not refer to files at {protocol}://; `issuelake migrate` to a lake in a folder, on"
            " S3, Azure, GCS or HDFS, or publish it as delta, which takes copies."
        )
    return f"{address}/{path}"


def _path(file: DataFile, table: str) -> str:
    return file.runs_path if table == RUNS else file.issues_path


def _opened(to: str, place: str) -> Catalog:
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.utils.config import Config
    except ImportError as error:
        raise UsageError(f"{_EXTRA} ({error}).") from error
    if to.startswith(CATALOG):
        name = to.removeprefix(CATALOG)
        try:
            return load_catalog(name)
        except Exception as error:  # each kind of catalogue has errors of its own
            said = told(error, secrets_in(Config().get_catalog_config(name) or {}))
            raise UsageError(
                f"There is no opening the catalogue {place}: {said}. It stands in .pyiceberg.yaml, or in"
                " PYICEBERG_CATALOG__NAME__URI."
            ) from None
    if "://" in to and not to.startswith("file://"):
        raise UsageError(
            f"{place} is no place for an Iceberg catalogue: give a folder of this machine, or catalog://NAME"
            " for one that pyiceberg is configured for."
        )
    folder = os.path.abspath(os.path.expanduser(to.removeprefix("file://")))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Could not write {folder}: {error.strerror}.") from error
    return load_catalog(
        NAMESPACE, type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}"
    )


def _schema(table: str) -> Schema:
    from pyiceberg.schema import Schema
    from pyiceberg.types import DateType, IntegerType, NestedField, StringType, TimestamptzType

    types: dict[str, Any] = {
        "string": StringType(),
        "json": StringType(),
        "timestamp": TimestamptzType(),
        "int16": IntegerType(),
        "int32": IntegerType(),
        "date": DateType(),
    }
    columns = (*(RUNS_COLUMNS if table == RUNS else ISSUES_COLUMNS), RUN_DATE)
    return Schema(
        *(
            # The day is in no file: where a column must be there, readers look for it in them.
            NestedField(
                number, c.name, types[c.type], required=not c.nullable and c is not RUN_DATE, doc=c.meaning
            )
            for number, c in enumerate(columns, 1)
        )
    )


def _properties(schema: Schema) -> dict[str, str]:
    from pyiceberg.table import TableProperties

    prefix = TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX
    return {
        TableProperties.DEFAULT_NAME_MAPPING: schema.name_mapping.model_dump_json(),
        # Of two rounds at once the second fails: what each left out the other may have put in.
        TableProperties.COMMIT_NUM_RETRIES: "0",
        TableProperties.DEFAULT_WRITE_METRICS_MODE: "none",
        **{f"{prefix}.{name}": "full" for name in STATISTICS if name in schema.column_names},
    }


def _entry(table: Table, address: str, lake: Files, path: str, day: date) -> Any:
    """What the table's manifest says of one file."""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile as Entry
    from pyiceberg.manifest import DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    metadata, size = footer(lake, path)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(table.schema(), table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(table.schema()),
    )
    return Entry.from_args(
        content=DataFileContent.DATA,
        file_path=address,
        file_format=FileFormat.PARQUET,
        partition=Record(day.toordinal() - _EPOCH),
        file_size_in_bytes=size,
        sort_order_id=None,
        spec_id=table.spec().spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
