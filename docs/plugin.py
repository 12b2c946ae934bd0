"""The manifest of the PlugPipe plugin, made from the code: part of `python -m docs.generate`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import yaml

from pipelines.operations.schemas import input_schema, output_schema

ROOT = Path(__file__).parent.parent
VERSION = "2.0.0"
"""The plugin's own version: 1.0.0 is the one that it takes the place of."""

FOLDER = ROOT / "plugs" / "governance" / "issue_tracker" / VERSION
MANIFEST = FOLDER / "plug.yaml"

_HEAD = "# Generated from the code by `python -m docs.generate`; edits are overwritten.\n"


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (what it overrides has it)
        return True


def manifest() -> str:
    """`plug.yaml`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    owner = "issuelake"
    document = {
        "name": FOLDER.parent.name,
        "display_name": "Issue tracker",
        "version": VERSION,
        "description": project["description"],
        "category": FOLDER.parent.parent.name,
        "type": "plug",
        "status": "active",
        "owner": owner,
        "author": owner,
        "copyright": {"owner": f"{owner} contributors"},
        "license": "MIT",
        "spdx_license_identifier": "MIT",
        "license_url": "https://opensource.org/licenses/MIT",
        "entrypoint": "main.py",
        "function": "process",
        "dependencies": {
            "python": project["requires-python"],
            "packages": [f"issuelake=={project['version']}"],
        },
        "sbom": "sbom/",
        "documentation": {"readme": "README.md", "examples": _examples()},
        "input_schema": input_schema(),
        "output_schema": output_schema(),
    }
    return _HEAD + yaml.dump(document, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=110)


def _examples() -> list[str]:
    return sorted(f"examples/{path.name}" for path in (FOLDER / "examples").glob("*.yaml"))
