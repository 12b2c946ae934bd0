"""YAML: a list of mappings of plain scalars, lists and mappings; no tags, no anchors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from assets.exports.selection import Selection

_WIDTH = 2**30  # a text stays on its line


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (what it overrides has it)
        return True


def write(selection: Selection, path: Path) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for issue in selection.documents():
            yaml.dump([issue], file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
            count += 1
        if not count:
            file.write("[]\n")
    return count
