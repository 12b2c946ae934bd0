"""`issuelake ingest`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import CONFIG, ENGINE, JSON, STORAGE
from pipelines.cli.output import print_json, safe

if TYPE_CHECKING:
    from assets.ingest import Progress
    from assets.sources import RunFile

_MEBIBYTE = 1024 * 1024


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…", help="Files, folders, globs, fsspec URLs, or '-' for standard input."
        ),
    ],
    storage: STORAGE = None,
    config: CONFIG = None,
    json: JSON = False,
    plugin: Annotated[
        str | None, typer.Option(metavar="NAME", help="What was validated, for runs that do not say it.")
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Exit with 0 even if runs were rejected.")
    ] = False,
    max_file_size: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Refuse files that hold more than this, unpacked.")
    ] = 256,
    engine: ENGINE = "local",
) -> None:
    """Store run files; every run is stored, a duplicate, or kept as rejected with the reason.

    A run file is one JSON document, an array of them, or NDJSON (`.ndjson`, `.jsonl`), each also
    packed (`.gz`, `.zst`). SARIF 2.1.0 from any scanner is taken too (`.sarif`), each of its runs
    as a run. Delivering a run again changes nothing; with new content it replaces the run.

    **Examples**

    `issuelake ingest results/`

    `issuelake ingest 'runs/2025-*.json' s3://ci-artifacts/runs --storage s3://team/issues`

    `my-validator --json | issuelake ingest -`

    `ruff check --output-format sarif | issuelake ingest - --plugin billing`

    `issuelake ingest s3://ci-artifacts/runs --storage s3://team/issues --engine dask://scheduler:8786`
    """
    from assets import ingest as ingesting
    from assets import sources as run_files
    from assets.answers import selection
    from pipelines.cli.opening import open_storage, opened_engine

    opened = open_storage(storage, config)
    files = run_files.find(sources, skip=opened.backend.url, plugin=plugin)
    with (
        opened_engine(engine, opened, storage, config) as workers,
        _progress(files, quiet=json) as progress,
    ):
        done = ingesting.ingest(opened.backend, files, max_file_size * _MEBIBYTE, progress, workers)
    if json:
        print_json(
            {
                "files": done.files,
                "runs_stored": done.runs_stored,
                "runs_rejected": done.runs_rejected,
                "duplicates": done.duplicates,
                "issues_stored": done.issues_stored,
                "seconds": done.seconds,
                "storage_backend_used": opened.used,
                **selection(opened),
                "rejections": done.rejections,
            }
        )
    else:
        for reason in done.rejections:
            print(f"rejected  {safe(reason)}", file=sys.stderr)
        if done.runs_rejected:
            print("See `issuelake rejected list` for what was rejected and why.", file=sys.stderr)
        print(
            f"{done.files} files: {done.runs_stored} runs stored with {done.issues_stored} issues,"
            f" {done.duplicates} duplicates, {done.runs_rejected} rejected"
            f" in {done.seconds:.1f} s → {opened.backend.url}"
        )
    if done.runs_rejected and not allow_rejects:
        raise typer.Exit(1)


@contextmanager
def _progress(files: list[RunFile], quiet: bool) -> Iterator[Progress | None]:
    """A bar with rate and time left, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        MofNCompleteColumn(),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        count = bar.add_task("files", total=len(files))
        size = bar.add_task("bytes", total=sum(file.size for file in files))

        def advance(read: int, volume: int) -> None:
            bar.advance(count, read)
            bar.advance(size, volume)

        yield advance
