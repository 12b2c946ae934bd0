"""A file in HDFS, opened for reading in ranges or for writing in pieces."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from fsspec.spec import AbstractBufferedFile


class HdfsFile(AbstractBufferedFile):
    """Reads ahead in ranges; writes one buffer at a time into a file beside, which is renamed on
    closing, so that nobody ever sees half a file. Appending (`ab`) goes to the file itself."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.client.read(self.path, start, end - start)
        return data

    def write(self, data: Any) -> int:
        pieces = memoryview(data).cast("B")
        return sum(super(HdfsFile, self).write(pieces[i : i + self.blocksize]) for i in self._starts(pieces))

    def _starts(self, pieces: memoryview) -> range:
        # A whole big file given at once must not be copied whole.
        return range(0, len(pieces), self.blocksize)

    def _initiate_upload(self) -> None:
        folder, _, name = self.path.rpartition("/")
        self._appending = "a" in self.mode
        self._beside = self.path if self._appending else f"{folder}/.{name}.{os.urandom(6).hex()}.part"
        self._begun = self._appending and self.fs.exists(self.path)

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        data = self.buffer if self.buffer.getbuffer().nbytes else b""
        if not self._begun:
            self.fs.client.write(self._beside, data, **self.fs.of_new_files)
            self._begun = True
        elif data:
            self.fs.client.extend(self._beside, data)
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        if self._appending:
            return
        try:
            self.fs.client.move(self._beside, self.path, overwrite="x" not in self.mode)
        except OSError:
            self.discard()
            raise

    def discard(self) -> None:
        if self.offset is not None and not self._appending:
            with suppress(FileNotFoundError):
                self.fs.rm_file(self._beside)

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None and self.writable():
            self.closed = True  # what was cut short is not published
            self.discard()
        self.close()
