#!/usr/bin/env python3
"""Make the example run files from real findings over real releases.

Every file in `runs/` is one validation run: ruff and bandit over one released version of one
well-known Python package, stamped with the moment that version was released. Read in order, the
files of a package tell how its code got better, or worse, over the years.

Every file in `broken/` breaks the run file format in one way, and is named by that way.

The script needs nothing but `uv`. It asks uv when a release was uploaded (`uv pip compile` to a
lock file), unpacks exactly that wheel, checked against its hash (`uv pip install --target`), and
runs the linters in the versions pinned below (`uv tool run`). No code of a package is imported
or run, and no excerpt of its source is kept; a message may quote a name or a short expression.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUFF_VERSION = "0.17.6"
BANDIT_VERSION = "1.9.4"

# bandit reads the code with the parser of the Python it runs on, so that one is pinned too.
BANDIT_PYTHON = "3.11"

# One yardstick for all releases: a code base is measured against today's Python, not its own.
RUFF_TARGET = "py310"

# Thirteen versions of each, in order of release: the newest patch of a minor version, or its first
# and last.
PACKAGES = {
    "attrs": "17.4.0 18.2.0 19.1.0 19.3.0 20.3.0 21.2.0 21.4.0 22.2.0 23.1.0 23.2.0 24.3.0 25.4.0 26.1.0",
    "click": "5.1 6.0 6.7 7.0 7.1.2 8.0.0 8.0.4 8.1.3 8.1.8 8.2.1 8.3.0 8.4.2 8.5.1",
    "flask": "0.11.1 0.12.2 1.0 1.1.0 1.1.2 2.0.0 2.0.3 2.1.0 2.2.0 2.3.3 3.0.0 3.0.3 3.1.3",
    "httpx": "0.9.5 0.11.1 0.12.1 0.13.3 0.14.3 0.16.1 0.18.2 0.20.0 0.23.3 0.24.1 0.26.0 0.27.2 0.28.1",
    "jinja2": "2.8 2.9.6 2.10 2.10.3 2.11.0 2.11.3 3.0.0 3.0.3 3.1.0 3.1.2 3.1.3 3.1.4 3.1.6",
    "requests": "2.18.4 2.19.1 2.20.1 2.22.0 2.24.0 2.25.1 2.26.0 2.27.1 2.28.2 2.31.0 2.32.5 2.33.1 2.34.2",
}

# Ruff's rules by prefix: category and severity. The longest matching prefix wins. What stands here
# is also what is selected. Ruff's own `S` rules are not here: they restate bandit's, and every
# finding would be counted twice.
RUFF_RULES: dict[str, tuple[str, str]] = {
    "E9": ("correctness", "high"),
    "F": ("correctness", "medium"),
    "F5": ("correctness", "high"),
    "F7": ("correctness", "high"),
    "F82": ("correctness", "high"),
    "PLE": ("correctness", "high"),
    "ASYNC": ("correctness", "medium"),
    "B": ("bug-risk", "medium"),
    "DTZ": ("bug-risk", "medium"),
    "PLW": ("bug-risk", "medium"),
    "BLE": ("error-handling", "medium"),
    "E722": ("error-handling", "medium"),
    "TRY2": ("error-handling", "low"),
    "C90": ("complexity", "medium"),
    "SIM": ("simplification", "low"),
    "PERF": ("performance", "low"),
    "D103": ("documentation", "low"),
    "FIX": ("maintenance", "low"),
    "UP": ("modernisation", "low"),
    "E4": ("style", "low"),
    "E7": ("style", "low"),
    "W6": ("style", "low"),
}

# Left out, because they say one thing over and over and would bury the rest: imports kept for
# others to import, and what follows from them (F401, F405, E402); spellings that Python 2 needed
# (UP004, UP009, UP025), of string formatting (UP030-032) and of type hints (UP006, UP007, UP035,
# UP037, UP045); and what is a matter of taste (PLW2901, SIM105, SIM108).
RUFF_IGNORED = (
    "E402,F401,F405,PLW2901,SIM105,SIM108,UP004,UP006,UP007,UP009,UP025,UP030,UP031,UP032,UP035,UP037,UP045"
)

# Ruff reports a file that it cannot parse under this code, which is of no rule family.
RUFF_SYNTAX_ERROR = "invalid-syntax"

BANDIT_CATEGORY = "security"

# An assertion in a library mostly tells the type checker what is known; hundreds of them would
# bury what bandit has to say.
BANDIT_SKIPPED = "B101"

# Tests whose finding means that text can become code or a command: exec, eval, a subprocess with
# shell=True, a function that starts a shell.
BANDIT_CRITICAL_TESTS = frozenset({"B102", "B307", "B602", "B605"})

SCOPE = sorted({category for category, _ in RUFF_RULES.values()} | {BANDIT_CATEGORY})

# What an issue costs, in points, and how many points per thousand lines halve the score.
POINTS = {"critical": 20, "high": 8, "medium": 3, "low": 1}
HALVING_DENSITY = 50

Json = dict[str, Any]


@dataclass(frozen=True)
class Tools:
    """The versions of the two linters."""

    ruff: str
    bandit: str


@dataclass(frozen=True)
class Release:
    """One version of a package as the package index has it."""

    package: str
    version: str
    wheel: str
    sha256: str
    uploaded: datetime


def versions_of(package: str) -> list[str]:
    """Return the versions of a package to check, the oldest first."""
    return PACKAGES[package].split()


# --- from the package index -----------------------------------------------------------------


def call(*command: str, cwd: Path) -> str:
    """Run a command and return its standard output; stop with its error output if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed in {cwd}:\n{done.stderr}")
    return done.stdout


def unpack_release(package: str, version: str, folder: Path) -> Release:
    """Unpack one release's wheel into `folder` / "code" and return what the index says about it."""
    (folder / "in.txt").write_text(f"{package}=={version}\n", encoding="utf-8")
    wheels_only = ["--no-deps", "--only-binary", ":all:", "--quiet"]
    compile_lock = ["uv", "pip", "compile", *wheels_only, "--python-version", BANDIT_PYTHON]
    call(*compile_lock, "--output-file", "pylock.toml", "in.txt", cwd=folder)
    call(
        *["uv", "pip", "install", *wheels_only, "--python-version", BANDIT_PYTHON],
        *["--target", "code", "--requirements", "pylock.toml"],
        cwd=folder,
    )
    lock = tomllib.loads((folder / "pylock.toml").read_text(encoding="utf-8"))
    # Pure Python has one wheel for everyone; several would mean that what was unpacked depends on
    # the machine, and unpacking fails here rather than quietly giving other findings elsewhere.
    (wheel,) = lock["packages"][0]["wheels"]
    return Release(
        package=package,
        version=version,
        wheel=wheel["url"].rpartition("/")[2],
        sha256=wheel["hashes"]["sha256"],
        uploaded=wheel["upload-time"],
    )


def count_lines(code: Path) -> tuple[int, int]:
    """Return how many Python files there are under `code`, and their non-blank lines."""
    files = sorted(code.rglob("*.py"))
    lines = sum(1 for file in files for line in file.read_bytes().splitlines() if line.strip())
    return len(files), lines


# --- from the linters -----------------------------------------------------------------------


def run_ruff(code: Path, version: str) -> list[Json]:
    """Return ruff's findings as issues."""
    output = call(
        *["uv", "tool", "run", f"ruff@{version}", "check", "--isolated", "--no-cache"],
        *["--exit-zero", "--quiet", "--output-format", "json", "--target-version", RUFF_TARGET],
        *["--select", ",".join(RUFF_RULES), "--ignore", RUFF_IGNORED, "."],
        cwd=code,
    )
    return [ruff_issue(finding, code) for finding in json.loads(output)]


def ruff_issue(finding: Json, code: Path) -> Json:
    """Turn one finding of ruff's JSON output into an issue."""
    rule: str = finding["code"]
    category, severity = ruff_verdict(rule)
    fix, url = finding["fix"], finding["url"]
    advice = [fix["message"] if fix else None, f"See {url}" if url else None]
    return {
        "category": category,
        "severity": severity,
        "description": finding["message"],
        "file_path": relative_path(finding["filename"], code),
        "recommendation": ". ".join(part for part in advice if part),
        "details": {
            "tool": "ruff",
            "rule": rule,
            "name": finding["name"],
            "line": finding["location"]["row"],
            "column": finding["location"]["column"],
            "end_line": finding["end_location"]["row"],
            "fixable": fix is not None,
        },
    }


def ruff_verdict(rule: str) -> tuple[str, str]:
    """Return category and severity of a ruff rule."""
    if rule == RUFF_SYNTAX_ERROR:
        return RUFF_RULES["E9"]
    return RUFF_RULES[max((p for p in RUFF_RULES if rule.startswith(p)), key=len)]


def run_bandit(code: Path, version: str) -> tuple[list[Json], list[str]]:
    """Return bandit's findings as issues, and the files that it could not parse."""
    output = call(
        *["uv", "tool", "run", "--python", BANDIT_PYTHON, f"bandit@{version}", "--recursive"],
        *["--skip", BANDIT_SKIPPED, "--quiet", "--exit-zero", "--format", "json", "."],
        cwd=code,
    )
    report = json.loads(output)
    unparsed = [relative_path(error["filename"], code) for error in report["errors"]]
    return [bandit_issue(finding, code) for finding in report["results"]], sorted(unparsed)


def bandit_issue(finding: Json, code: Path) -> Json:
    """Turn one finding of bandit's JSON output into an issue.

    `code`, the source excerpt, is left out on purpose: run files carry findings, not source.
    """
    return {
        "category": BANDIT_CATEGORY,
        "severity": bandit_severity(finding),
        "description": finding["issue_text"],
        "file_path": relative_path(finding["filename"], code),
        "recommendation": f"See {finding['more_info']}",
        "details": {
            "tool": "bandit",
            "rule": finding["test_id"],
            "name": finding["test_name"],
            "line": finding["line_number"],
            # bandit counts columns from 0, ruff from 1.
            "column": finding["col_offset"] + 1,
            "end_line": max(finding["line_range"]),
            "confidence": finding["issue_confidence"].lower(),
            "cwe": finding["issue_cwe"].get("id"),
        },
    }


def bandit_severity(finding: Json) -> str:
    """Return bandit's own severity, raised to critical for a certain way to run foreign code.

    Bandit itself marks the harmless uses of these tests (a shell started with a fixed string) as
    low, so those stay low.
    """
    severity: str = finding["issue_severity"].lower()
    certain = finding["issue_confidence"] == "HIGH" and severity != "low"
    return "critical" if certain and finding["test_id"] in BANDIT_CRITICAL_TESTS else severity


def relative_path(name: str, code: Path) -> str:
    """Return a tool's path relative to the unpacked package, with forward slashes."""
    return (code / name).relative_to(code).as_posix()


# --- a run ----------------------------------------------------------------------------------


def make_run(package: str, version: str, tools: Tools) -> Json:
    """Return the run of one release: the content of one run file."""
    with tempfile.TemporaryDirectory() as name:
        # Resolved because ruff answers with resolved paths, and a temporary folder may be a link.
        folder = Path(name).resolve()
        release = unpack_release(package, version, folder)
        code = folder / "code"
        files, lines = count_lines(code)
        ruff_issues = run_ruff(code, tools.ruff)
        bandit_issues, unparsed = run_bandit(code, tools.bandit)
    issues = sorted(ruff_issues + bandit_issues, key=place)
    # The record of a package starts with the oldest version listed, so that one is `created`.
    first = version == versions_of(package)[0]
    return {
        "validation_run_id": f"{package}-{version}",
        "timestamp": release.uploaded.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "target_plugin": package,
        "change_type": "created" if first else "modified",
        "pipeline_score": score(issues, lines),
        "metadata": {
            "package_version": version,
            "wheel": release.wheel,
            "wheel_sha256": release.sha256,
            "tools": {"ruff": tools.ruff, "bandit": tools.bandit, "python": BANDIT_PYTHON},
            "scope": SCOPE,
            "files_checked": files,
            "lines_checked": lines,
            "files_not_parsed": unparsed,
        },
        "issues_list": issues,
    }


def place(issue: Json) -> tuple[str, int, int, str, str, str]:
    """Return the sort key of an issue: where it is, then what it is."""
    details = issue["details"]
    where = issue["file_path"], details["line"], details["column"]
    return *where, details["tool"], details["rule"], issue["description"]


def score(issues: Iterable[Json], lines: int) -> int:
    """Return 0..100 from the density of issues.

    density = points of all issues per 1000 non-blank lines (see POINTS)
    score   = 100 * 50 / (50 + density), rounded

    No issues score 100, a density of 50 scores 50, one of 150 scores 25: however bad a release
    is, a worse one still scores less.
    """
    points = sum(POINTS[issue["severity"]] for issue in issues)
    density = 1000 * points / lines
    return round(100 * HALVING_DENSITY / (HALVING_DENSITY + density))


def to_bytes(run: Json) -> bytes:
    """Return a run as it stands in its file: the same run is always the same bytes."""
    text = json.dumps(run, indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


# --- files that must be rejected ------------------------------------------------------------

SAMPLE = """{
 "validation_run_id": "ID",
 "timestamp": "2025-08-29T12:00:00Z",
 "target_plugin": "sample",
 "pipeline_score": 85,
 "issues_list": [
  {
   "severity": "high",
   "category": "correctness",
   "description": "Undefined name `café`",
   "file_path": "sample/menu.py"
  }
 ]
}
"""


def broken_files() -> dict[str, bytes]:
    """Return name and content of files that break the run file format, each in one way."""
    good = SAMPLE.replace("ID", "sample-1")
    other = SAMPLE.replace("ID", "sample-2")
    misspelt = SAMPLE.replace("ID", "sample-3").replace('"high"', '"hgih"')
    texts = {
        "cut-off.json": good[: len(good) // 2],
        "severity-misspelt.json": misspelt,
        "score-is-nan.json": good.replace("85", "NaN"),
        "score-is-a-string.json": good.replace("85", '"85"'),
        "duplicate-key.json": good.replace(
            '"pipeline_score": 85', '"pipeline_score": 85,\n "pipeline_score": 58'
        ),
        "two-documents.json": good + other,
        "one-bad-line-of-three.ndjson": "".join(map(one_line, [good, misspelt, other])),
    }
    files = {name: text.encode() for name, text in texts.items()}
    # é in Latin-1 is one byte that no UTF-8 text can hold before a backtick.
    files["not-utf-8.json"] = good.encode("latin-1")
    return files


def one_line(document: str) -> str:
    """Return a JSON document as one line of NDJSON."""
    return json.dumps(json.loads(document), ensure_ascii=False) + "\n"


# --- command line ---------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description="Make the example run files: ruff and bandit over released versions of "
        f"{', '.join(PACKAGES)}; and the broken files, which show what is rejected.",
        epilog="The same arguments give the same bytes, whatever the day or the number of jobs. "
        "Needs uv on the PATH and a package index that uv can reach. "
        "Try it on one package first: make_runs.py --package click --output try-out",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path(__file__).parent,
        help="where runs/ and broken/ are written; files of the same name are replaced, "
        "nothing is deleted (default: the folder of this script)",
    )
    parser.add_argument(
        "--package",
        action="append",
        choices=sorted(PACKAGES),
        metavar="NAME",
        help="only this package, one of %(choices)s; may be given several times (default: all)",
    )
    parser.add_argument(
        "--ruff",
        default=RUFF_VERSION,
        metavar="VERSION",
        help="version of ruff; noted in each run's metadata (default: %(default)s)",
    )
    parser.add_argument(
        "--bandit",
        default=BANDIT_VERSION,
        metavar="VERSION",
        help="version of bandit; noted in each run's metadata (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="how many releases to check at a time (default: one per processor)",
    )
    return parser.parse_args(arguments)


def make_runs(packages: Iterable[str], tools: Tools, jobs: int) -> Iterator[Json]:
    """Yield the runs of all versions of `packages`, in the order they are listed above."""
    releases = [(package, version) for package in packages for version in versions_of(package)]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda release: make_run(release[0], release[1], tools), releases)


def report_line(run: Json) -> str:
    """Return one line on a run: when, what, score, and issues by severity."""
    counts = Counter(issue["severity"] for issue in run["issues_list"])
    by_severity = "  ".join(f"{severity} {counts[severity]:3}" for severity in POINTS)
    day, name = run["timestamp"][:10], run["validation_run_id"]
    return f"{day}  {name:16}  score {run['pipeline_score']:3}  {by_severity}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both folders and print a line for each run."""
    options = parse_arguments(arguments)
    runs, broken = options.output / "runs", options.output / "broken"
    runs.mkdir(parents=True, exist_ok=True)
    broken.mkdir(exist_ok=True)
    for name, content in broken_files().items():
        (broken / name).write_bytes(content)
    tools = Tools(ruff=options.ruff, bandit=options.bandit)
    for run in make_runs(options.package or PACKAGES, tools, options.jobs):
        (runs / f"{run['validation_run_id']}.json").write_bytes(to_bytes(run))
        print(report_line(run))


if __name__ == "__main__":
    main()
