"""What choosing a backend costs when all are well, and how long it takes to give one up."""

from __future__ import annotations

import socket
import time
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.measure import Row, Setup, scratch

TITLE = "Selection: auto against naming the backend, and the decision to fail over"

LIMIT_MS = 2.0
TIMEOUT, DECIDED = 1.0, 1.2
"""Seconds: `timeout_seconds` of what falls silent, and when the next backend has to be chosen."""

_number = count()


def run(setup: Setup) -> list[Row]:
    with scratch() as folder:
        rows = [
            row
            for name, keys in (
                ("local_file", {"storage_path": str(folder / "lake")}),
                ("sqlite", {"database_path": str(folder / "issues.db")}),
            )
            for row in _overhead(name, keys, folder, setup.rounds * setup.scale(20, 1))
        ]
        return [*rows, _decision(folder, setup.scale(40, 2))]


def _overhead(name: str, keys: dict[str, Any], folder: Path, rounds: int) -> list[Row]:
    """Against the same backend by its name, each call after the other."""
    others: dict[str, Any] = {"local_file": {"storage_path": str(folder / "last")}}
    if name == "local_file":  # which alone is no choice: the same folder, with another behind it
        name, keys = "fsspec", {"url": f"file://{keys['storage_path']}"}
    named = {"storage_backend": name, "storage_config": {name: keys}}
    auto = {"storage_backend": "auto", "storage_config": {name: keys, **others}}
    rows = []
    for what, asked in (("store one run", _store), ("get_issues", _get)):
        samples: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(rounds + 1):
            for contender, document in (("ours", auto), ("peer", named)):
                samples[contender].append(_milliseconds(document | asked()))
        ours, peer = (samples[contender][1:] for contender in ("ours", "peer"))  # the first one opens
        more = median(o - p for o, p in zip(ours, peer, strict=True))
        row = Row(f"{name}: {what}, auto", f"{median(ours):.2f} ms", f"by name {median(peer):.2f} ms")
        row.ratio, row.target, row.met = f"{more:+.2f} ms", f"≤ {LIMIT_MS:g} ms more", more <= LIMIT_MS
        row.samples = samples
        rows.append(row)
    return rows


def _decision(folder: Path, times: int) -> Row:
    """A database that says nothing at all, asked anew each time."""
    from resources.config import Opened, configured
    from resources.selection.member import Member

    seconds = []
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as silent:  # nobody accepts
        database = {
            "host": "127.0.0.1",
            "port": silent.getsockname()[1],
            "username": "nobody",
            "timeout_seconds": TIMEOUT,
        }
        document = {
            "storage_config": {
                "postgresql": database,
                "local_file": {"storage_path": str(folder / "fallback")},
            }
        }
        for _ in range(times):
            opened = Opened(configured(document))
            storage = opened.begin()
            first: Member = opened.members[0]
            first.standing.known.failures = 0
            storage.backend.days()
            assert storage.trace is not None
            seconds.append(storage.trace.attempts[0].seconds)
    p99 = quantiles(seconds, n=100, method="inclusive")[-1]
    row = Row(f"a backend that is silent is given up, p99 of {times}", f"{p99:.3f} s")
    row.target, row.met, row.samples = f"≤ {DECIDED:g} s", p99 <= DECIDED, {"ours": seconds}
    return row


def _store() -> dict[str, Any]:
    issue = {"severity": "low", "description": "measured"}
    run_file = {"validation_run_id": f"r{next(_number)}", "timestamp": "2025-03-01T12:00:00Z"}
    return {"operation": "store_issues", "issues": run_file | {"issues_list": [issue] * 20}}


def _get() -> dict[str, Any]:
    return {"operation": "get_issues", "query": {"limit": 10}}


def _milliseconds(document: dict[str, Any]) -> float:
    from pipelines.operations.dispatch import run as carry_out

    started = time.perf_counter()
    answer = carry_out(document)
    spent = (time.perf_counter() - started) * 1000
    assert answer["success"], answer
    return spent
