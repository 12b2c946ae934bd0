"""Where run files come from: files, folders, globs, fsspec URLs, standard input.

`find` turns what a user named into a list of files with sizes; `chunks` fetches them in portions
of bounded size, the next portion while the last one is worked on, many files side by side where
each costs a round trip.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.contract import RUN_FILE_SUFFIXES, Delivery
from resources.errors import StorageError, UsageError
from resources.files import modified_at, open_filesystem
from resources.secrets import secrets_in, told, without_secrets

if TYPE_CHECKING:
    import fsspec

CHUNK_BYTES = 4 * 1024 * 1024
CHUNK_FILES = 1000
FETCHES_IN_FLIGHT = 128

STANDARD_INPUT = "-"


@dataclass(slots=True)
class RunFile:
    """A file to ingest. `fs` is None for a local file."""

    path: str
    size: int
    modified_at: float | None
    """Seconds since 1970."""
    fs: fsspec.AbstractFileSystem | None = None
    url: str = ""
    plugin: str | None = None
    """What was validated where a run in it does not say."""

    @property
    def modified(self) -> datetime | None:
        return datetime.fromtimestamp(self.modified_at, UTC) if self.modified_at else None

    @property
    def name(self) -> str:
        """What the file is called in rows, messages and rejections: valid text, no secrets."""
        return (self.url or self.path).encode("utf-8", "backslashreplace").decode()


def find(
    sources: Iterable[str],
    storage_options: dict[str, Any] | None = None,
    skip: str | None = None,
    plugin: str | None = None,
) -> list[RunFile]:
    """The run files that `sources` name, each once, in a stable order.

    A folder stands for every file below it that is called like a run file (`.json`, `.ndjson`,
    `.jsonl`, `.sarif`, each also with `.gz` or `.zst`), hidden ones and the folder `skip` left out.
    `storage_options` go to the fsspec storage of URLs, `plugin` to the files. Raises
    `UsageError` for a source that does not exist.
    """
    found: list[RunFile] = []
    sources = list(sources)
    for source in sources:
        if source == STANDARD_INPUT:
            files: Iterable[RunFile] = [RunFile(STANDARD_INPUT, 0, None)]
        elif "://" in source and not source.startswith("file://"):
            files = _find_remote(source, storage_options)
        else:
            files = _find_local(source.removeprefix("file://"), skip)
        found += files
    for file in found:
        file.plugin = plugin
    if len(sources) == 1:  # nothing comes twice, and of many files a table would take much memory
        return found
    return list({(file.url, file.path): file for file in found}.values())


def _find_local(source: str, skip: str | None) -> Iterator[RunFile]:
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        yield from _walk(path, os.path.realpath(skip) if skip else None)
    elif os.path.exists(path):
        yield _local(path)
    else:
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise UsageError(f"{source}: no such file or folder, and no file matches it.")
        for match in matches:
            if os.path.isfile(match):
                yield _local(match)


def _walk(folder: str, skip: str | None) -> Iterator[RunFile]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if skip is None or os.path.realpath(entry.path) != skip:
                yield from _walk(entry.path, skip)
        elif entry.is_file() and entry.name.lower().endswith(RUN_FILE_SUFFIXES):
            stat = entry.stat()
            yield RunFile(entry.path, stat.st_size, stat.st_mtime)


def _local(path: str) -> RunFile:
    stat = os.stat(path)
    return RunFile(path, stat.st_size, stat.st_mtime)


def _find_remote(source: str, storage_options: dict[str, Any] | None) -> Iterator[RunFile]:
    fs, path = open_filesystem(source, storage_options)
    protocol = source.split("://", 1)[0]
    try:
        if any(c in path for c in "*?["):
            infos = fs.glob(path, detail=True)
        elif fs.isfile(path):
            infos = {path: fs.info(path)}
        else:
            infos = {
                name: info
                for name, info in fs.find(path, detail=True).items()
                if name.lower().endswith(RUN_FILE_SUFFIXES)
            }
    except Exception as error:  # fsspec storages raise what their drivers raise
        secrets = secrets_in({"url": source, "storage_options": storage_options or {}})
        raise StorageError(f"Could not list {without_secrets(source)}: {told(error, secrets)}.") from None
    if not infos:
        raise UsageError(
            f"{without_secrets(source)}: no such file or folder, or nothing in it is a run file."
        )
    for name, info in sorted(infos.items()):
        if info["type"] == "file":
            url = f"{protocol}://{name.lstrip('/')}"
            yield RunFile(name, info["size"] or 0, modified_at(info), fs, url)


def portions(
    files: Sequence[RunFile], most_bytes: int = CHUNK_BYTES, most_files: int = CHUNK_FILES
) -> Iterator[list[RunFile]]:
    """`files` in portions of about `most_bytes`, at most `most_files` files and one storage each."""
    portion: list[RunFile] = []
    size = 0
    for file in files:
        full = size + file.size > most_bytes or len(portion) == most_files
        if portion and (full or file.fs is not portion[0].fs):
            yield portion
            portion, size = [], 0
        portion.append(file)
        size += file.size
    if portion:
        yield portion


def fetch(portion: Sequence[RunFile]) -> list[Delivery]:
    """The bytes of a portion. Raises `StorageError` for a file that cannot be read."""
    fs = portion[0].fs
    if fs is None:
        contents = [_read_local(file.path, file.size) for file in portion]
    else:
        contents = _read_remote(fs, [file.path for file in portion])
    return [
        Delivery(file.name, content, file.modified, plugin=file.plugin)
        for file, content in zip(portion, contents, strict=True)
    ]


def fetched(portions: Iterable[list[RunFile]]) -> Iterator[list[Delivery]]:
    """The portions' bytes; remote ones are fetched while the portion before is worked on."""
    with ThreadPoolExecutor(1) as ahead:
        coming = None
        for portion in portions:
            if portion[0].fs is None:  # a thread would only fight for the interpreter lock
                following = Future[list[Delivery]]()
                following.set_result(fetch(portion))
            else:
                following = ahead.submit(fetch, portion)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


def _read_local(path: str, size: int) -> bytes:
    """All of a file that had `size` bytes when it was found."""
    try:
        if path == STANDARD_INPUT:
            return sys.stdin.buffer.read()
        # Half the time of open(): these calls are most of what a small file costs.
        handle = os.open(path, os.O_RDONLY)
        try:
            content = os.read(handle, size + 1)
            while more := (os.read(handle, 1 << 20) if len(content) != size else b""):
                content += more
            return content
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"Could not read {path!r}: {error.strerror}.") from error


def _read_remote(fs: fsspec.AbstractFileSystem, paths: list[str]) -> list[bytes]:
    try:
        if fs.async_impl:
            # s3fs asks for an object's size before it fetches it in parts; these are not worth parts.
            whole = {"max_concurrency": 1} if "s3" in fs.protocol else {}
            contents = fs.cat(paths, batch_size=FETCHES_IN_FLIGHT, **whole)
            return [contents[path] for path in paths] if isinstance(contents, dict) else [contents]
        with ThreadPoolExecutor(FETCHES_IN_FLIGHT // 8) as pool:
            return list(pool.map(fs.cat_file, paths))
    except Exception as error:
        secrets = secrets_in(fs.storage_options)
        raise StorageError(f"Could not read run files: {told(error, secrets)}.") from None
