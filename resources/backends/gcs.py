"""A lake in a bucket of Google Cloud Storage."""

from __future__ import annotations

import logging
import os
from typing import Any

from resources.backends.buckets import BucketSettings, below, check_bucket
from resources.errors import ConfigError
from resources.lake import Lake


class Gcs(BucketSettings, kw_only=True):
    """Without `credentials_path`, credentials come from where Google's own tools find them; an
    emulator at `endpoint_url` needs none."""

    bucket_name: str
    project_id: str = ""
    credentials_path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bucket("bucket_name", self.bucket_name)

    def place(self) -> str:
        return below("gs", self.bucket_name, self.prefix)

    def storage_options(self) -> dict[str, Any]:
        token = os.path.expanduser(self.credentials_path) or (
            "anon" if self.endpoint_url else "google_default"
        )
        options: dict[str, Any] = {"project": self.project_id, "token": token}
        return options | ({"endpoint_url": self.endpoint_url.rstrip("/")} if self.endpoint_url else {})

    def open(self) -> Lake:
        if self.credentials_path and not os.path.isfile(os.path.expanduser(self.credentials_path)):
            # The driver would take the path for a token and send it to Google.
            raise ConfigError(f"gcs.credentials_path: there is no file {self.credentials_path}.")
        # What it logs, traceback and all, is also raised, and Python prints what nobody handles.
        logging.getLogger("gcsfs").addHandler(logging.NullHandler())
        return super().open()
