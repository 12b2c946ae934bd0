"""What a table has to be told about a file: its footer, read without the rest of the file."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from resources.errors import StorageError, Vanished
from resources.files import Files, FsspecFiles


def footer(files: Files, path: str) -> tuple[pq.FileMetaData, int]:
    """The footer of the Parquet file `path` of `files`, and the size of the file in bytes.

    Raises `StorageError`, or `Vanished` where there is none any more.
    """
    try:
        with _opened(files, path) as stream:
            return pq.read_metadata(stream), stream.seek(0, 2)
    except FileNotFoundError as error:
        raise Vanished(f"{path} is not in {files.url}: list again") from error
    except OSError as error:
        raise StorageError(f"Could not read {path} in {files.url}: {error.strerror or error}.") from error


def _opened(files: Files, path: str) -> Any:
    if isinstance(files, FsspecFiles):
        return files.fs.open(f"{files.root}/{path}", "rb")
    [name] = files.paths([path])
    return open(name, "rb")
