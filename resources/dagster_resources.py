"""The lake as a Dagster resource."""

from __future__ import annotations

import json
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from resources.backend import Backend
from resources.config import FSSPEC, Configured, Opened, configuration, configured
from resources.errors import ConfigError
from resources.notifications import send


class LakeResource(ConfigurableResource[Backend]):
    """A lake, the inbox that feeds it, and how many rejected runs are too many."""

    storage: str = Field(
        default="",
        description="Folder or fsspec URL of the lake. Without one, what ISSUELAKE_CONFIG configures, else"
        " the folder `lake`.",
    )
    storage_options: str = Field(
        default="{}",
        description="Options of the lake's fsspec storage, one JSON object; with secrets: an EnvVar.",
    )
    encryption_key: str | None = Field(
        default=None,
        description="Key that the lake in `storage` is encrypted with, 32 bytes as base64 or hex: an EnvVar.",
    )
    inbox: str = Field(default="inbox", description="Folder or fsspec URL where run files are dropped.")
    inbox_options: str = Field(
        default="{}",
        description="Options of the inbox's fsspec storage, one JSON object; with secrets: an EnvVar.",
    )
    rejected_warn_above: float = Field(
        default=0.0, ge=0, le=1, description="Share of rejected runs in one ingest above which to warn."
    )
    rejected_fail_above: float = Field(
        default=0.2, ge=0, le=1, description="Share of rejected runs in one ingest that is an error."
    )

    def open(self) -> Backend:
        """The lake. Raises `ConfigError` and `UsageError` where it cannot be what it is said to be."""
        return Opened(self.backends()).begin().backend

    def backends(self) -> list[Configured]:
        """What is configured, in the order in which it is used. Raises `ConfigError`."""
        if not self.storage:
            if self.encryption_key is not None:
                raise ConfigError(
                    "encryption_key goes with storage; without one, put it into the file that"
                    " ISSUELAKE_CONFIG names."
                )
            return configured(configuration())
        document = configuration(self.storage)
        [name] = document["storage_config"]
        if options := _options("storage_options", self.storage_options):
            name = FSSPEC
            document = {"storage_backend": FSSPEC, "storage_config": {FSSPEC: {"url": self.storage}}}
            document["storage_config"][FSSPEC]["storage_options"] = options
        if self.encryption_key is not None:
            document["storage_config"][name]["encryption_key"] = self.encryption_key
        return configured(document)

    @property
    def options_of_inbox(self) -> dict[str, Any]:
        """`inbox_options`, read. Raises `ConfigError`."""
        return _options("inbox_options", self.inbox_options)


def _options(name: str, text: str) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        # The text may hold secrets, so only the place is told.
        raise ConfigError(f"{name} is not JSON (character {error.pos}).") from None
    if not isinstance(options, dict):
        raise ConfigError(f"{name} must be a JSON object.")
    return options


class ReportsResource(ConfigurableResource[None]):
    """Where reports are published."""

    to: str = Field(
        default="",
        description="Folder or fsspec URL. Without one, the folder `reports` of the storage.",
    )
    to_options: str = Field(
        default="{}",
        description="Options of that fsspec storage, one JSON object; with secrets: an EnvVar.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """`to_options`, read. Raises `ConfigError`."""
        return _options("to_options", self.to_options)


class NotificationsResource(ConfigurableResource[None]):
    """Whom to tell about backends, failures and findings, and how often at most."""

    urls: str = Field(
        default="",
        description="Where to, as apprise has it (mailto://…, slack://…, json://…), separated by spaces;"
        " each holds secrets, so give an EnvVar. Nobody is told without.",
    )
    suppress_minutes: float = Field(
        default=60.0, ge=0, description="How long a backend that was told of is not told of again."
    )

    def tell(self, title: str, body: str) -> bool:
        """Whether everybody was reached. Raises `ConfigError`."""
        return send(self.urls.split(), f"issuelake: {title}", body)
