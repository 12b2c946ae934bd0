"""What the lakes in buckets have in common: a prefix, a deadline, and secrets that stay untold."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from resources.backends.settings import DEADLINE, LakeSettings, Seconds
from resources.files import FsspecFiles
from resources.lake import Lake

_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9$._-]{1,221}")
_MEANS_SOMETHING = re.compile(r"[\x00-\x1f\x7f?#*\[\]{}\\%]")
"""What URLs, globs or one of the drivers take for more than a character of a name."""


class BucketSettings(LakeSettings, kw_only=True):
    """A lake below a prefix of a bucket."""

    prefix: str = ""
    endpoint_url: str = ""
    timeout_seconds: Seconds = DEADLINE
    priority: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if _MEANS_SOMETHING.search(self.prefix) or {".", ".."} & set(self.prefix.split("/")):
            raise ValueError(
                "prefix must be a plain path: no control characters, . or .., nor any of ?#*[]{}\\%"
            )
        parts = urlsplit(self.endpoint_url)
        if self.endpoint_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("endpoint_url must be http://HOST or https://HOST")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("endpoint_url must not hold credentials or a query; there are keys for them")

    def storage_options(self) -> dict[str, Any]:
        """What the fsspec filesystem takes."""
        raise NotImplementedError

    def open(self) -> Lake:
        return self.lake(FsspecFiles(self.place(), self.storage_options(), self.timeout_seconds))


def below(protocol: str, bucket: str, prefix: str) -> str:
    """The URL of `prefix` in `bucket`."""
    path = "/".join(part for part in prefix.split("/") if part)
    return f"{protocol}://{bucket}/{path}".rstrip("/")


def check_bucket(key: str, name: str) -> None:
    """Raises `ValueError` where `name` cannot be that of a bucket."""
    if not _BUCKET.fullmatch(name):
        raise ValueError(f"{key} must be the name of a bucket, without a path")
