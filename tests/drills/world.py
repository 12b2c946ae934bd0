"""What the drills share: all that a storage holds, as its users see it, and the page's own commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from assets import kernel
from assets.problems.triage import decide, made
from resources.backend import Backend
from resources.contract import Delivery
from tests.lake.state import DAYS, append, document

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
BACKUP, RESTORE = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)

Everything = dict[str, Any]


def fill(backend: Backend) -> None:
    """Several batches, a replaced and a moved run, a deletion, a rejected delivery, a decision."""
    append(backend, [document(f"{day:%d}-{n}", day, issues=n) for day in DAYS[:3] for n in range(3)])
    append(backend, [document("again", DAYS[0]), document("moved", DAYS[1]), document("gone", DAYS[2])])
    append(backend, [document("again", DAYS[0], version=1), document("moved", DAYS[2], version=1)])
    backend.delete(["gone"])
    backend.reject(kernel.build([Delivery("broken.json", b'{"issues_list": 7}')]).rejections)
    [(fingerprint,)] = backend.reading(
        lambda c: c.execute("SELECT fingerprint FROM issues ORDER BY fingerprint LIMIT 1").fetchall()
    )
    decide(backend.files, [fingerprint], "accepted", "behind the firewall", "ann", None)


def everything(backend: Backend) -> Everything:
    """Every row that counts, and what stands beside the runs; without what depends on the storage."""

    def rows(table: str) -> list[dict[str, Any]]:
        query = f"SELECT * EXCLUDE (batch_id) FROM {table} ORDER BY ALL"
        return backend.reading(lambda c: c.sql(query).to_arrow_table().to_pylist())

    parts = {
        "runs": rows("runs"),
        "issues": rows("issues"),
        "deletions": backend.deletions(),
        "rejected": [(r, backend.rejected_bytes(r)) for r in backend.rejected()],
        "decisions": made(backend.files),
    }
    return dict(json.loads(msgspec.json.encode(parts)))


def shell(script: str, **environment: str) -> str:
    """What a script of the page prints; `issuelake` is this checkout's."""
    tools = Path(environment["HOME"])
    program = tools / "issuelake"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -W error -c 'from pipelines.cli import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, env=variables, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def clock_off_by(days: int) -> type[datetime]:
    """A `datetime` whose clock is wrong by so many days."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz or UTC) + timedelta(days=days)

    return Wrong
