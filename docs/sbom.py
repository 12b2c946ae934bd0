"""Writes the software bill of materials: `make sbom`.

`cyclonedx-py` describes the environment; kept is what issuelake itself needs, with all its extras, and
not what only builds and tests it. Addresses are left out, since some name machines and registries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from itertools import chain
from typing import Any

from docs.plugin import FOLDER, ROOT

PATH = FOLDER / "sbom" / "issuelake.cdx.json"


def main() -> None:
    """Write the bill anew; the same environment gives the same bytes."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(bill(), "utf-8")
    print(f"written: {PATH.relative_to(ROOT)}")


def bill() -> str:
    """The bill as text. Raises `CalledProcessError` where cyclonedx-py cannot make one."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", sys.executable]
    command += [
        "--pyproject",
        str(ROOT / "pyproject.toml"),
        "--short-PURLs",
        "--output-reproducible",
        "--no-validate",
    ]
    command += ["--of", "JSON", "--sv", "1.6"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    document = _without_addresses(json.loads(made.stdout))
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    kept = _reached(document["metadata"]["component"]["bom-ref"], needs)
    document["components"] = [c for c in document["components"] if c["bom-ref"] in kept]
    document["dependencies"] = [entry for entry in document["dependencies"] if entry["ref"] in kept]
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def direct() -> set[str]:
    """The names of the packages that issuelake names itself, extras included."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return {Requirement(line).name.lower() for line in listed} - {project["name"]}


def _reached(start: str, needs: dict[str, list[str]]) -> set[str]:
    reached, following = set(), [start]
    while following:
        ref = following.pop()
        if ref not in reached:
            reached.add(ref)
            following += needs.get(ref, [])
    return reached


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_addresses(v) for k, v in value.items() if k != "externalReferences"}
    return [_without_addresses(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
