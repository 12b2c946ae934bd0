"""The packages that backends need beside issuelake's own, and the extras that bring them."""

from __future__ import annotations

from importlib.util import find_spec

DRIVERS = {
    "aws_s3": ("s3fs", "s3"),
    "azure_blob": ("adlfs", "azure"),
    "gcs": ("gcsfs", "gcs"),
    "hdfs": ("pyhdfs", "hdfs"),
    "postgresql": ("psycopg", "postgres"),
    "mysql": ("pymysql", "mysql"),
    "mongodb": ("pymongo", "mongodb"),
}
"""By backend: the module, and the extra."""


def missing_extra(name: str) -> str | None:
    """The extra to install for the backend `name`; None where nothing is missing."""
    module, extra = DRIVERS.get(name, (None, None))
    return extra if module is not None and find_spec(module) is None else None
