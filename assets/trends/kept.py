"""The trends as files: one of each grain, with the columns `model.PERIODS`, for whoever reads Parquet.

    trends/day/<name>.parquet

Like a summary it is named by its content. The one before stays for a while, for those who have
listed it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from assets.problems.update import GRACE
from assets.trends.figures import table
from assets.trends.model import Asked, Grain
from resources.backend import Backend
from resources.engines import Engine

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "trends"


@dataclass(frozen=True, slots=True)
class Kept:
    """The trends of one grain over all runs, and where they are; `size` in bytes."""

    table: pa.Table
    path: str
    size: int


def keep_all(engine: Engine) -> Iterator[tuple[Grain, Kept]]:
    """Keep the trends of every grain, each by a task of `engine`. Raises as `keep`, and `EngineError`."""
    return zip(Grain, engine.map(keep, Grain), strict=True)


def keep(lake: Backend, grain: Grain, grace: float = GRACE) -> Kept:
    """Work the trends out and write them; durable on return. Raises `StorageError`.

    Doing it twice, or in two places at once, is doing it once. Files of before go after `grace` seconds.
    """
    from resources.lake.parquet import encode

    found = table(lake, Asked(grain=grain))
    data = encode(found, key=lake.files.key)
    folder = f"{FOLDER}/{grain.value}"
    path = f"{folder}/{sha256(data).hexdigest()[:32]}.parquet"
    lake.files.publish(path, data)
    before = time.time() - grace
    for entry in lake.files.find(folder):
        if entry.path != path and entry.modified < before:
            lake.files.remove(entry.path)
    return Kept(found, path, len(data))
