"""Writes the software bill of materials: `make sbom`.

`cyclonedx-py` describes the environment; kept is what issuelake itself needs, with all its extras, and
not what only builds and tests it. Addresses are left out, since some name machines and registries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from itertools import chain
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    names = needed()
    kept = {c["bom-ref"] for c in document["components"] if canonicalize_name(c["name"]) in names}
    document["components"] = [c for c in document["components"] if c["bom-ref"] in kept]
    kept.add(document["metadata"]["component"]["bom-ref"])
    document["dependencies"] = [
        {"ref": entry["ref"], "dependsOn": sorted(kept.intersection(entry.get("dependsOn", [])))}
        for entry in document["dependencies"]
        if entry["ref"] in kept
    ]
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def direct() -> list[Requirement]:
    """The packages that issuelake names itself, those of its extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return [r for r in map(Requirement, listed) if r.name != project["name"]]


def needed() -> set[str]:
    """The names of all packages that these need in turn, in this environment.

    Only the extras that somebody asks for: cyclonedx-py follows all that happen to be installed.
    """
    found: set[tuple[str, str]] = set()
    following = direct()
    while following:
        requirement = following.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in found:
                found.add((name, extra))
                wanted = map(Requirement, distribution(name).requires or ())
                following += [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_addresses(v) for k, v in value.items() if k != "externalReferences"}
    return [_without_addresses(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
