"""A folder as a zip whose bytes depend on nothing but what is in the files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from assets.exports import sha256_of

_BLOCK = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""As early as a zip can say."""
_UNIX = 3
_READABLE = 0o100644 << 16
_COMPRESSED = (".parquet",)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its path in it, its length in bytes, its SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


def member(folder: Path, path: str) -> Member:
    return Member(path, (folder / path).stat().st_size, sha256_of(folder / path))


def checksums(members: list[Member]) -> bytes:
    """What `sha256sum -c` reads."""
    return "".join(f"{m.sha256}  {m.path}\n" for m in members).encode()


def pack(folder: Path, paths: list[str], archive: Path) -> None:
    """Write the files `paths` of `folder`, in this order, to the zip `archive`.

    Their dates and permissions are always the same, and nothing is told of who made it.
    """
    with ZipFile(archive, "w") as packed:
        for path in paths:
            info = ZipInfo(path, _EPOCH)
            info.create_system, info.external_attr = _UNIX, _READABLE
            info.compress_type = ZIP_STORED if path.endswith(_COMPRESSED) else ZIP_DEFLATED
            info.file_size = (folder / path).stat().st_size
            with open(folder / path, "rb") as file, packed.open(info, "w") as target:
                shutil.copyfileobj(file, target, _BLOCK)
