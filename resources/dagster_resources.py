"""The lake as a Dagster resource."""

from __future__ import annotations

import json
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from resources.backend import Backend
from resources.backends.settings import DEADLINE
from resources.config import open_storage
from resources.errors import ConfigError
from resources.files import open_files
from resources.lake import Lake


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
        if not self.storage:
            return open_storage().backend
        deadline = DEADLINE if "://" in self.storage else None
        return Lake(open_files(self.storage, _options("storage_options", self.storage_options), deadline))

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
