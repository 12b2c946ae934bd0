"""A lake in the memory of this process: for tests and demonstrations."""

from __future__ import annotations

import re

from resources.errors import ConfigError
from resources.files import open_files
from resources.lake import Lake

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Memory(Lake):
    """All of one `name` are one lake, as long as the process lives."""

    def __init__(self, name: str = "issues") -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError("memory: name must be a word of letters, digits and ._- (100 at most).")
        super().__init__(open_files(f"memory://issuelake-memory/{name}"))
