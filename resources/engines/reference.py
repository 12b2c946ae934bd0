"""How a worker comes to the lake: by a configuration that names secrets and does not hold them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import local
from typing import Any

import msgspec

from resources.backend import Backend
from resources.backends.lakes import LocalFile
from resources.config import Configured, Opened, active, configured
from resources.errors import UsageError
from resources.lake import Lake
from resources.secrets import by_name

_opened = local()


class Reference:
    """A lake as its configuration has it, `${NAME}` not replaced: each worker has the variables in its
    own environment, and needs those whose values stand in the configuration as secrets. Nothing that prints
    it shows what is in it."""

    __slots__ = ("_document",)

    def __init__(self, document: dict[str, Any], lake: Backend) -> None:
        """`document` is the configuration that `lake` was opened by.

        Raises `UsageError` for what is no lake: a database is filled by one process as fast as it
        takes, and of several backends each worker would choose for itself.
        """
        backends = configured(document)
        chosen = active(backends)
        if not isinstance(lake, Lake):
            raise UsageError(
                f"Only a lake can be worked on by a cluster, and {chosen.name} is"
                f" {_what_it_is(backends)}; name a lake with --storage, or leave --engine away."
            )
        section = (document.get("storage_config") or {}).get(chosen.name) or {}
        if isinstance(chosen.settings, LocalFile):  # workers have other current folders
            section = section | {"storage_path": os.path.abspath(lake.url)}
        own = {"storage_backend": chosen.name, "storage_config": {chosen.name: by_name(section)}}
        self._document = msgspec.json.encode(own)

    def open(self) -> Backend:
        """The lake; of each thread its own, kept open. Raises as opening any storage does."""
        lakes: dict[bytes, Backend] = _opened.__dict__.setdefault("lakes", {})
        if self._document not in lakes:
            opened = Opened(configured(msgspec.json.decode(self._document)))
            lakes[self._document] = opened.begin().backend
        return lakes[self._document]

    def __getstate__(self) -> bytes:
        return self._document

    def __setstate__(self, document: bytes) -> None:
        self._document = document

    def __repr__(self) -> str:
        return "Reference(…)"


def _what_it_is(backends: Sequence[Configured]) -> str:
    several = sum(backend.active or backend.fallback for backend in backends) > 1
    return "one of several backends" if several else "a database"
