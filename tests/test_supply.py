"""What issuelake is made of: licences, known vulnerabilities, and the wheel in an environment of its own."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs import sbom
from supply.licences import EXCEPTIONS, SILENT, objections

ROOT = Path(__file__).parent.parent
COMPONENTS = json.loads(sbom.PATH.read_text("utf-8"))["components"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FLOORS = ("pipelines/", "assets/", "resources/", "issuelake.py")
SUPPORTED = ("3.11", "3.12", "3.13")
PINNED = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()[1:]]


def component(name: str, *licences: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "licenses": list(licences)}


# --- licences --------------------------------------------------------------------------------------


def test_every_licence_is_allowed_and_no_exception_is_idle() -> None:
    assert objections(COMPONENTS) == []
    names = {c["name"] for c in COMPONENTS}
    assert {name for name, _ in EXCEPTIONS} <= names
    assert set(SILENT) <= names


@pytest.mark.parametrize(
    ("licences", "allowed"),
    [
        (({"license": {"id": "MIT"}},), True),
        (({"expression": "GPL-3.0-only OR Apache-2.0"},), True),
        (({"expression": "MIT AND GPL-3.0-only"},), False),
        (({"license": {"id": "MIT"}}, {"license": {"id": "AGPL-3.0-only"}}), False),
        (({"license": {"name": "License :: OSI Approved :: BSD License"}},), True),
        (({"license": {"name": "see the file"}},), False),
        (({"license": {"id": "MPL-2.0"}},), False),  # allowed for others
        ((), False),
    ],
)
def test_a_licence_that_nobody_allowed_is_told(licences: tuple[dict[str, Any], ...], allowed: bool) -> None:
    found = objections([component("newcomer", *licences)])
    assert (found == []) == allowed
    assert all("newcomer 1.0" in said and "supply/licences.py" in said for said in found)


# --- pinned versions -------------------------------------------------------------------------------


def test_every_package_is_pinned_exactly() -> None:
    assert all(len(r.specifier) == 1 and next(iter(r.specifier)).operator == "==" for r in PINNED)
    pinned = {canonicalize_name(r.name) for r in PINNED}
    assert {canonicalize_name(c["name"]) for c in COMPONENTS} <= pinned
    dev = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]
    assert {canonicalize_name(r.name) for r in dev} <= pinned


# --- known vulnerabilities -------------------------------------------------------------------------


class Osv(http.server.BaseHTTPRequestHandler):
    """A service that knows something about one package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vulnerable = asked["package"]["name"] == "attrs"
        told = [{"id": "OSV-1", "modified": "2026-01-01T00:00:00Z", "affected": []}] if vulnerable else []
        body = json.dumps({"vulns": told} if told else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def osv() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(pinned: Path, url: str, *lines: str) -> subprocess.CompletedProcess[str]:
    pinned.write_text("".join(f"{line}\n" for line in lines))
    command = [sys.executable, "-m", "supply.audit", "--requirement", str(pinned), "--osv-url", url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_audit_tells_vulnerable_from_fine_from_not_asked(osv: str, tmp_path: Path) -> None:
    fine = audit(tmp_path / "r.txt", osv, "pluggy==1.7.0")
    assert (fine.returncode, "1 of 1 pinned versions asked about, 0 vulnerable" in fine.stdout) == (0, True)
    bad = audit(tmp_path / "r.txt", osv, "attrs==26.1.0", "pluggy==1.7.0")
    assert bad.returncode == 1, bad
    assert "VULNERABLE: attrs 26.1.0: OSV-1" in bad.stdout
    nothing = audit(tmp_path / "r.txt", osv)
    assert (nothing.returncode, "0 of 0 pinned versions" in nothing.stdout) == (3, True), nothing
    unanswered = audit(tmp_path / "r.txt", "http://127.0.0.1:9", "pluggy==1.7.0")
    assert unanswered.returncode == 3
    assert unanswered.stdout.startswith("NOT AUDITED: pip-audit did not get an answer")


# --- the wheel -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Its build backend is among the packages that CI installs, so nothing is fetched for it.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [made] = folder.glob("*.whl")
    return made


def test_the_wheel_holds_what_the_code_reads_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    tracked = {name for name in listed.stdout.decode().split("\0") if name.startswith(FLOORS)}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read("issuelake-0.1.0.dist-info/METADATA").decode()
    assert packed == {name for name in tracked if (ROOT / name).exists()}
    assert {f"{floor}/py.typed" for floor in ("pipelines", "assets", "resources")} <= packed
    for version in SUPPORTED:
        assert f"Classifier: Programming Language :: Python :: {version}" in metadata


DOING = """
import issuelake, asyncio
run = {"validation_run_id": "r", "issues_list": [{"severity": "low", "description": "d"}]}
answer = asyncio.run(issuelake.process({}, {"issues": run}))
assert answer["success"], answer
assert "env/lib" in issuelake.__file__, issuelake.__file__
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Nothing but what it says it needs, in the versions that CI runs with."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python, command = environment / "bin" / "python", environment / "bin" / "issuelake"
    # Not the paths of this process: what the tests' environment has must not help.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ISSUELAKE", "DAGSTER"))}

    def do(*words: object, code: int = 0) -> str:
        done = subprocess.run(
            list(map(str, words)), cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    do(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--constraint",
        ROOT / "constraints.txt",
        wheel,
    )
    do(python, "-m", "pip", "check")
    assert do(command, "version").strip() == PROJECT["project"]["version"]
    do(command, "ingest", *sorted((ROOT / "examples" / "runs").glob("attrs-*.json")))
    assert json.loads(do(command, "summary", "--json"))["issue_summary"]["total_issues"] > 0
    do(command, "sql", "SELECT count(*) FROM issues")
    do(command, "compact", "--grace", "0")
    do(python, "-c", DOING)
    # What an extra brings is named where it is missing.
    for words, extra in (
        (("publish", "-f", "iceberg", "--to", "t"), "iceberg"),
        (("publish", "-f", "delta", "--to", "t"), "delta"),
    ):
        assert f"issuelake[{extra}]" in do(command, *words, code=2)
    listed = do(python, "-m", "pip", "list", "--format", "freeze").lower()
    assert "pytest" not in listed
    do(environment / "bin" / "dagster", "definitions", "validate", "-m", "pipelines.definitions")
