"""HTML: one page that loads and runs nothing: escaped throughout, styled by one style sheet that its
content security policy names by hash."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from assets.exports.escaping import visible
from assets.exports.selection import COLUMNS, JSON_COLUMNS, Selection
from resources.schema import SEVERITIES

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 2rem }
table { border-collapse: collapse; margin-bottom: 2rem }
caption { text-align: left; font-weight: 600; padding: .4rem 0 }
th, td { border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top }
td { unicode-bidi: isolate; overflow-wrap: anywhere; white-space: pre-wrap; max-width: 36rem }
thead th { position: sticky; top: 0; background: Canvas; white-space: nowrap }
.number { text-align: right }
.critical { color: #b00020; font-weight: 700 }
.high { color: #c43e00 }
.medium { color: #8a6d00 }
.low { color: #00627a }
"""

_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}';"
    " base-uri 'none'; form-action 'none'"
)

_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Issues</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Issues</h1>
"""


def write(selection: Selection, path: Path) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(_HEAD)
        file.writelines(_summary(selection.counts()))
        file.write(f"<table>\n<caption>Issues</caption>\n{_head_row(COLUMNS)}<tbody>\n")
        for issue in selection.documents():
            file.write(_row(issue))
            count += 1
        file.write("</tbody>\n</table>\n</body>\n</html>\n")
    return count


def _summary(counts: dict[tuple[str, str], int]) -> Iterator[str]:
    yield f"<table>\n<caption>By plugin</caption>\n{_head_row(['plugin', *SEVERITIES])}<tbody>\n"
    for plugin in sorted({plugin for plugin, _ in counts}):
        numbers = "".join(f'<td class="number">{counts.get((plugin, s), 0)}</td>' for s in SEVERITIES)
        yield f"<tr><td>{_text(plugin)}</td>{numbers}</tr>\n"
    yield "</tbody>\n</table>\n"


def _head_row(names: Iterable[str]) -> str:
    return f"<thead><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr></thead>\n"


def _row(issue: dict[str, Any]) -> str:
    cells = []
    for name, value in issue.items():
        if value is not None and name in JSON_COLUMNS:
            value = msgspec.json.encode(value).decode()
        attribute = f' class="{value}"' if name == "severity" else ""
        cells.append(f"<td{attribute}>{_text(value)}</td>")
    return f"<tr>{''.join(cells)}</tr>\n"


def _text(value: Any) -> str:
    return "" if value is None else escape(visible(str(value)))
