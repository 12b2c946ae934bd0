"""Work that Dagster launches as a process of its own, and that it tells about through Pipes.

A Spark application is one: `spark-submit assets/launched.py`, or `python -m assets.launched`. Which lake,
inbox and engine, the environment says (`LakeResource.environment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from dagster_pipes import PipesContext, open_dagster_pipes

from assets.ingest import ingest
from assets.problems.update import bring_up_to_date
from assets.sources import RunFile
from assets.upkeep import maintain
from resources.backend import Backend
from resources.dagster_resources import LakeResource
from resources.engines import Engine, open_engine
from resources.errors import IssuelakeError, UsageError
from resources.files import open_filesystem

WORK, FILES = "work", "files"
"""What Dagster says: which work, and where the list of files is."""


class Work(StrEnum):
    INGEST = "ingest"
    PROBLEMS = "problems"
    MAINTAIN = "maintain"


class Outcome(msgspec.Struct):
    """What the process says: what the work returned, or why it failed."""

    result: Any = None
    error: str | None = None
    mistake: bool = False
    """No retry mends it."""


def written(files: Sequence[RunFile]) -> bytes:
    """The list of files that `FILES` leads to: paths, and no storages."""
    rows = [(file.path, file.size, file.modified_at, file.url, file.fs is not None) for file in files]
    return msgspec.json.encode(rows)


def _read(path: str, options: dict[str, Any]) -> list[RunFile]:
    rows: list[tuple[str, int, float | None, str, bool]] = msgspec.json.decode(Path(path).read_bytes())
    storages = {url: open_filesystem(url, options)[0] for _, _, _, url, remote in rows[:1] if remote}
    fs = next(iter(storages.values()), None)
    return [RunFile(path, size, modified, fs, url) for path, size, modified, url, _ in rows]


def _do(pipes: PipesContext, lake: LakeResource, opened: Backend, engine: Engine) -> Any:
    work = Work(pipes.get_extra(WORK))
    if work is Work.INGEST:
        files = _read(pipes.get_extra(FILES), lake.options_of_inbox)
        return ingest(opened, files, engine=engine, progress=_telling(pipes, len(files)))
    if work is Work.PROBLEMS:
        return bring_up_to_date(opened, engine=engine)
    return maintain(engine, opened, on_day=lambda day: pipes.log.info(f"{day.day}: {day.runs} runs"))


def _telling(pipes: PipesContext, total: int) -> Any:
    seen = [0]

    def tell(files: int, _: int) -> None:
        seen[0] += files
        pipes.log.info(f"{seen[0]} of {total} files read")

    return tell


def main() -> None:
    """Do what Dagster asks for, and tell it what came of it."""
    with open_dagster_pipes() as pipes:
        try:
            lake = LakeResource.from_environment()
            opened = lake.open()
            with open_engine(lake.engine, lake.document(), opened) as engine:
                outcome = Outcome(_do(pipes, lake, opened, engine))
        except IssuelakeError as error:
            outcome = Outcome(error=str(error), mistake=isinstance(error, UsageError))
        pipes.report_custom_message(msgspec.to_builtins(outcome))


if __name__ == "__main__":
    main()
