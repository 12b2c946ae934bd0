"""Asks a vulnerability service about every pinned version: `python -m supply.audit` (`make audit`).

`pip-audit` says "no known vulnerabilities" also where it was told nothing, as behind a mirror that has no
such service. So what it was not told about is counted here, and "not audited" is an answer of its own.
Exit codes: 0 nothing known, 1 something is vulnerable, 3 not audited.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parent.parent / "constraints.txt"
VULNERABLE, NOT_AUDITED = 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Print what is vulnerable, or why nothing is known."""
    parser = argparse.ArgumentParser(prog="supply.audit", description=__doc__)
    parser.add_argument("--osv-url", help="another OSV service than the public one")
    parser.add_argument("--requirement", type=Path, default=PINNED, help="pinned versions, one a line")
    given = parser.parse_args(arguments)
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(given.requirement)]
    command += ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command += ["--vulnerability-service", "osv"]
    if given.osv_url:
        command += ["--osv-url", given.osv_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        print(f"NOT AUDITED: pip-audit did not get an answer ({reason})")
        return NOT_AUDITED
    skipped = [d["skip_reason"] for d in dependencies if "skip_reason" in d]
    vulnerable = [d for d in dependencies if d.get("vulns")]
    for dependency in vulnerable:
        for found in dependency["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            print(
                f"VULNERABLE: {dependency['name']} {dependency['version']}: {found['id']}, mended in {mended}"
            )
    print("\n".join(f"NOT AUDITED: {reason}" for reason in skipped[:10]))
    asked = len(dependencies) - len(skipped)
    print(f"audit: {asked} of {len(dependencies)} pinned versions asked about, {len(vulnerable)} vulnerable")
    if vulnerable:
        return VULNERABLE
    return NOT_AUDITED if skipped or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
