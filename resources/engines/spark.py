"""Spark, and what speaks Spark Connect (Sail): tasks are rows, one a partition, through `mapInArrow`."""

from __future__ import annotations

import os
import pickle
import re
import socket
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa

from resources.backend import Backend
from resources.engines.calls import Answer, Call, own_version, perform
from resources.engines.reference import Reference
from resources.errors import EngineError, UsageError
from resources.secrets import LONGEST

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
R = TypeVar("R")

SUBMITTED = "spark"
"""In place of a master: what `spark-submit`, or the notebook that this runs in, has set up."""

REACHED_WITHIN = 10.0
"""Seconds for a master or a server to take a connection."""

ROUND = 3
"""Tasks of one job for each that is worked on at a time. The next job begins when this one has ended, so
few make workers wait for each other, and many hold up what is to be committed."""

PARALLELISM = 8
"""Where the engine does not say how much it does at a time."""

_OF_WORKER = re.compile(r"\w*(Error|Exception): ")
"""How the last line of a traceback begins."""

_ROW = "place int, data binary"
_ARROW_ROW = pa.schema([pa.field("place", pa.int32()), pa.field("data", pa.binary())])


@contextmanager
def spark(master: str, lake: Reference) -> Iterator[Spark]:
    """The cluster of `master`: a master of Spark, `sc://HOST:PORT`, or `SUBMITTED`.

    Raises `UsageError` and `EngineError`.
    """
    try:
        import pyspark.sql.connect.dataframe  # noqa: F401  (asks for all that mapInArrow needs)
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError(
            f"spark: and sc: need packages that are not installed: pip install 'issuelake[spark]' ({error})."
        ) from error
    _knock(master)
    builder = SparkSession.builder.appName("issuelake").config("spark.ui.showConsoleProgress", "false")
    if master.startswith("sc://"):
        builder = builder.remote(master)
    elif master != SUBMITTED:
        builder = builder.master(master)
        if master.startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    there = SparkSession.getActiveSession()
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise EngineError(
            f"Spark at {master} could not be started ({_cause(error)}); it needs Java 17, which"
            " JAVA_HOME or PATH must lead to."
        ) from error
    try:
        yield Spark(session, master, lake)
    finally:
        if there is None:
            session.stop()


def _knock(master: str) -> None:
    """Raises `EngineError` where nobody listens: Spark itself would try for minutes."""
    if "://" not in master:
        return
    problem: OSError | None = None
    scheme, _, hosts = master.partition("://")
    for host in hosts.partition("/")[0].split(","):
        parts = urlsplit(f"//{host}")
        try:
            default = 15002 if scheme == "sc" else 7077
            socket.create_connection((parts.hostname, parts.port or default), REACHED_WITHIN).close()
        except OSError as error:
            problem = error
        else:
            return
    what = "Spark Connect server" if scheme == "sc" else "Spark master"
    raise EngineError(f"No {what} answers at {master} ({problem}): start it, or mend the address.")


class Spark:
    """A session."""

    def __init__(self, session: SparkSession, master: str, lake: Reference) -> None:
        self.name = f"spark ({master})"
        self._session = session
        self._lake = lake

    @property
    def at_once(self) -> int:
        """The cores of all executors, where the session knows them."""
        try:
            return int(self._session.sparkContext.defaultParallelism)
        except Exception:  # Spark Connect has no context, and says so in several ways
            return PARALLELISM

    def map(self, function: Callable[[Backend, T], R], tasks: Iterable[T]) -> Iterator[R]:
        version = own_version()
        calls = (Call(function, self._lake, task, version) for task in tasks)
        while at_once := list(islice(calls, ROUND * self.at_once)):
            for answer in self._job(at_once):
                yield answer.get()

    def _job(self, calls: list[Call]) -> list[Answer]:
        from pyspark.errors import PySparkException

        rows = [(place, _packed(call)) for place, call in enumerate(calls)]
        try:
            frame = self._session.createDataFrame(rows, _ROW)
            # From one partition, so that each gets a row.
            spread = frame.coalesce(1).repartition(len(rows))
            done = spread.mapInArrow(_perform_rows, _ROW).collect()
        except (PySparkException, OSError) as error:
            raise EngineError(
                f"{self.name} gave the work up ({_cause(error)}). What was stored stays: do the same again."
            ) from error
        answers = {place: _unpacked(data) for place, data in done}
        return [answers[place] for place in range(len(rows))]


def _perform_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the answers to the calls that stand in the rows of `batches`."""
    for batch in batches:
        for place, data in zip(batch["place"].to_pylist(), batch["data"].to_pylist(), strict=True):
            try:
                answer = perform(_unpacked(data))
            except ImportError as error:
                answer = Answer(
                    error=EngineError(
                        f"A worker lacks a package ({error}): install the same issuelake there."
                    )
                )
            yield pa.record_batch([[place], [_packed(answer)]], schema=_ARROW_ROW)


def _packed(value: object) -> bytes:
    return zlib.compress(pickle.dumps(value, pickle.HIGHEST_PROTOCOL), 1)


def _unpacked(data: bytes) -> Any:
    return pickle.loads(zlib.decompress(data))


def _cause(error: BaseException) -> str:
    """What went wrong, of all that Spark says: the error of a Python worker, or the first line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line.strip() for line in lines if _OF_WORKER.match(line)), lines[0])[:LONGEST]
