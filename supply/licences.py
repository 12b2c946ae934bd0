"""Holds the licences in the bill of materials against those that are allowed: `python -m supply.licences`.

issuelake is MIT, and installs other packages beside itself without changing or containing them. What
asks for no more than notices is allowed without asking; of what asks for more, each package has its reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

from docs import sbom

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Python-2.0",
        "Zlib",
    }
)

NAMED = {
    "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)": "LGPL-2.0-or-later",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages call their licence, where they do not say it in SPDX's terms."""

EXCEPTIONS = {
    ("certifi", "MPL-2.0"): "a list of certificates; the licence covers changes to its own files",
    ("tqdm", "MPL-2.0"): "the licence covers changes to its own files",
    ("paramiko", "LGPL-2.1-only"): "used as a library, by its import; comes with sftp only",
    ("psycopg", "LGPL-3.0-only"): "used as a library, by its import; comes with postgres only",
    ("psycopg-binary", "LGPL-3.0-only"): "used as a library, by its import; comes with postgres only",
    ("psycopg2-binary", "LGPL-2.0-or-later"): "used as a library, by Dagster; comes with deploy only",
}
"""Why this package may have that licence."""

SILENT = dict.fromkeys(("antlr4-python3-runtime", "partd", "protobuf"), "BSD-3-Clause")
"""Packages whose metadata say nothing, and the licence in their source."""


def main() -> int:
    """Print what is not allowed; 1 where there is any."""
    problems = objections(json.loads(sbom.PATH.read_text("utf-8"))["components"])
    print("\n".join(problems) or "licences: all allowed")
    return int(bool(problems))


def objections(components: Iterable[dict[str, Any]]) -> list[str]:
    """One sentence for each of the bill's components with a licence that nobody allowed."""
    found = []
    for component in components:
        name = component["name"]
        given = [_said(entry) for entry in component.get("licenses", ())] or [SILENT.get(name)]
        found += [
            f"{name} {component['version']}: {said or 'no licence is given'} is not allowed; look at it,"
            " then name it in supply/licences.py, or do without the package."
            for said in given
            if said is None or not _allowed(name, NAMED.get(said, said))
        ]
    return found


def _said(entry: dict[str, Any]) -> str:
    if "expression" in entry:
        return str(entry["expression"])
    licence = entry["license"]
    return str(licence.get("id") or licence["name"])


_known = cache(get_spdx_licensing)


def _allowed(name: str, expression: str) -> bool:
    """Whether the alternatives of an SPDX expression leave one whose every licence is allowed."""
    licensing = _known()
    try:
        parsed = licensing.parse(expression, validate=True)
    except ExpressionError:
        return False
    allowed = {
        symbol: licensing.TRUE
        if symbol.key in ALLOWED or (name, symbol.key) in EXCEPTIONS
        else licensing.FALSE
        for symbol in licensing.license_symbols(parsed)
    }
    return bool(parsed.subs(allowed, simplify=True) == licensing.TRUE)


if __name__ == "__main__":
    sys.exit(main())
