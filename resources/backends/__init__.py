"""The storages that can be configured, by name; what one needs is imported when it is used."""

from __future__ import annotations

from importlib import import_module

from resources.backends.settings import Settings

BACKENDS = {
    "local_file": "resources.backends.lakes:LocalFile",
    "aws_s3": "resources.backends.s3:AwsS3",
    "azure_blob": "resources.backends.azure:AzureBlob",
    "gcs": "resources.backends.gcs:Gcs",
    "nfs": "resources.backends.nfs:Nfs",
    "fsspec": "resources.backends.lakes:Fsspec",
    "database_factory": "resources.backends.database_factory:DatabaseFactory",
    "mongodb": "resources.backends.mongodb:MongoDb",
    "hdfs": "resources.backends.hdfs:Hdfs",
    "sqlite": "resources.backends.sql.settings:Sqlite",
    "postgresql": "resources.backends.sql.settings:Postgresql",
    "mysql": "resources.backends.sql.settings:Mysql",
}
"""Where the settings of each are."""


def settings_of(name: str) -> type[Settings]:
    """The keys that the backend `name` takes."""
    module, _, kind = BACKENDS[name].partition(":")
    found: type[Settings] = getattr(import_module(module), kind)
    return found
