"""Work on Spark, launched as a process of its own: Dagster Pipes brings back its log and what it did."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec
from dagster import OpExecutionContext, PipesSubprocessClient

from assets import launched
from assets.launched import Outcome, Work
from assets.sources import RunFile
from resources.dagster_resources import LakeResource
from resources.errors import EngineError, UsageError

T = TypeVar("T")


def launch(
    context: OpExecutionContext,
    lake: LakeResource,
    work: Work,
    returns: type[T],
    files: Sequence[RunFile] = (),
) -> T:
    """What `work` over the engine of `lake` returned, an instance of `returns`.

    Its log goes into that of the run. `files` are to be ingested. Raises `UsageError` and `EngineError`.
    """
    submitted = lake.engine == "spark"
    program = [launched.__file__] if submitted else ["-m", "assets.launched"]
    command = ["spark-submit" if submitted else sys.executable, *program]
    environment = os.environ | lake.environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with TemporaryDirectory(prefix="issuelake-") as folder:
        listed = Path(folder) / "files.json"
        listed.write_bytes(launched.written(files))
        extras = {launched.WORK: work.value, launched.FILES: str(listed)}
        done = PipesSubprocessClient().run(context=context, command=command, env=environment, extras=extras)
    [message] = done.get_custom_messages()
    outcome = msgspec.convert(message, Outcome)
    if outcome.error is not None:
        raise (UsageError if outcome.mistake else EngineError)(outcome.error)
    return msgspec.convert(outcome.result, returns)
