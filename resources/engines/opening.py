"""From `--engine` to an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resources.backend import Backend
from resources.engines.model import LOCAL, Engine, Local
from resources.engines.reference import Reference
from resources.errors import UsageError

known = (
    "local, dask://HOST:PORT, dask+tls://HOST:PORT, spark, spark://HOST:PORT, spark:MASTER, sc://HOST:PORT"
)


@contextmanager
def open_engine(address: str, document: dict[str, Any], lake: Backend) -> Iterator[Engine]:
    """The engine at `address`, whose workers open `lake` by `document`, its configuration.

    Raises `UsageError` for an address that is none and for a lake that cannot be shared,
    `EngineError` where nobody answers.
    """
    scheme, _, rest = address.partition(":")
    if address == LOCAL:
        yield Local(lake)
    elif scheme in ("dask", "dask+tls") and rest.startswith("//") and rest != "//":
        from resources.engines.dask import dask

        with dask(("tls:" if scheme == "dask+tls" else "tcp:") + rest, Reference(document, lake)) as engine:
            yield engine
    elif address == "spark" or (scheme in ("spark", "sc") and rest not in ("", "//")):
        from resources.engines.spark import spark

        master = address if rest.startswith("//") else rest or address
        with spark(master, Reference(document, lake)) as engine:
            yield engine
    else:
        raise UsageError(f"--engine {address} is not an engine; known are {known}.")
