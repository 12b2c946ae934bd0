"""`python -m benchmarks.soak`: PostgreSQL, then S3, then a folder, under constant writing, while somebody
kills, freezes, resets, silences and restarts the first two at random.

Whatever was acknowledged has to be in PostgreSQL exactly once in the end. What came out of it is
written to `SOAK.md`; `--out` names another file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.results import machine
from tests import servers
from tests.proxy import proxy
from tests.restartable import restartable, send

PAGE = Path(__file__).with_name("SOAK.md")
TIMEOUT = 2.0
"""Seconds: `timeout_seconds` of each backend; a call may take as long for each that it tries in vain."""
INTERVAL = 2.0
"""Seconds for which a backend that failed is left alone."""
SLACK, DECISION_SLACK = 1.0, 0.2
"""Seconds that a call, and the decision to go to the next backend, may take beyond the deadline."""
PAUSE = 0.5
"""Seconds between two calls of a process, on average."""
_INTRODUCTION = f"""\
Made by `make soak`. PostgreSQL, then S3 (SeaweedFS), both behind a proxy, then a folder; `timeout_seconds`
is {TIMEOUT:g}, and what failed is left alone for {INTERVAL:g} s. Every process stores runs (four of five
calls) and reads a day (its very first calls, during which it loads what it needs, are not measured);
another one reconciles every 3 s. Meanwhile PostgreSQL and S3 are killed (`kill -9`) and started again, frozen
(`SIGSTOP`), have their connections reset, or fall silent. A call's deadline is `timeout_seconds` for each
backend that it tried in vain, and once at least. In the end all are well, what is owed is paid, and
PostgreSQL is compared with what was acknowledged.
""".splitlines()
FIRST_DAY = datetime(2025, 3, 1, tzinfo=UTC)


@dataclass
class Call:
    """One operation: what it was, whether it went well, and how long it took in all."""

    kind: str
    success: bool
    seconds: float
    run_id: str | None
    attempts: list[dict[str, Any]]
    error: str | None
    twice: int
    """Issues that the answer had more than once."""


def main() -> None:
    asked = _arguments()
    out = Path(asked.out)
    with TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        figures = _soak(Path(folder), asked, stack)
    command = shlex.join(["python", "-m", "benchmarks.soak", *sys.argv[1:]])
    page = _page(figures, command)
    print(page)
    out.write_text(page, "utf-8")
    sys.exit(1 if any(met is False for _, _, _, met in figures) else 0)


def _soak(
    folder: Path, asked: argparse.Namespace, stack: ExitStack
) -> list[tuple[str, str, str, bool | None]]:
    for name in ("postgresql", "s3", "records"):
        (folder / name).mkdir()
    postgresql = stack.enter_context(restartable(folder / "postgresql"))
    s3 = servers.seaweedfs(folder / "s3")
    s3.start()
    stack.callback(lambda: s3.kill())
    servers.s3_client(s3).create_bucket(Bucket="issuelake")
    before_postgresql = stack.enter_context(proxy(postgresql.port))
    before_s3 = stack.enter_context(proxy(s3.port))
    limits = {"timeout_seconds": TIMEOUT, "health_check_interval": INTERVAL}
    document = {
        "storage_backend": "auto",
        "storage_config": {
            "postgresql": {
                "host": "127.0.0.1",
                "port": before_postgresql.port,
                "username": "root",
                "password": postgresql.password,
                "ssl_mode": "disable",
                "connection_pool_size": 2,
                **limits,
            },
            "aws_s3": {
                "bucket": "issuelake",
                "endpoint_url": before_s3.url,
                "access_key_id": "owner",
                "secret_access_key": servers.SECRETS["owner"],
                **limits,
            },
            "local_file": {"storage_path": str(folder / "lake")},
        },
    }
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ready = context.Barrier(asked.processes + 1)
    workers = [
        context.Process(
            target=worker, args=(document, f"{folder}/records/{n}", n, asked.seed, ready, stop), daemon=True
        )
        for n in range(asked.processes)
    ]
    payer = context.Process(target=reconciler, args=(document, stop), daemon=True)
    for process in (*workers, payer):
        process.start()
    ready.wait(120)
    chaos = Chaos(
        random.Random(asked.seed),
        {
            "PostgreSQL": (before_postgresql, postgresql.kill, postgresql.start, postgresql.processes),
            "S3": (before_s3, s3.kill, s3.start, lambda: [s3.process.pid] if s3.process else []),
        },
    )
    chaos.run(asked.minutes * 60)
    stop.set()
    for process in (*workers, payer):
        process.join(120)
    calls = [
        Call(**json.loads(line))
        for record in sorted((folder / "records").iterdir())
        for line in record.read_text("utf-8").splitlines()
    ]
    return _figures(calls, chaos, document, [process.exitcode for process in (*workers, payer)], asked)


def worker(
    document: dict[str, Any], record: str, number: int, seed: int, ready: Barrier, stop: Event
) -> None:
    """Store runs, and read now and then; writes down how each call fared, after its answer."""
    from pipelines.operations.dispatch import run

    chance = random.Random(f"{seed}-{number}")
    written = 0
    run(document | {"operation": "get_health_status"})
    run(document | {"operation": "store_issues", "issues": run_file(f"{number}-first", chance)})
    run(document | {"operation": "get_issues"})
    ready.wait()
    with open(record, "a", encoding="utf-8") as file:
        while not stop.is_set():
            run_id = None
            if chance.random() < 0.8:
                run_id = f"{number}-{written:06}"
                written += 1
                asked: dict[str, Any] = {"operation": "store_issues", "issues": run_file(run_id, chance)}
            else:
                day = f"{FIRST_DAY + timedelta(days=chance.randrange(5)):%Y-%m-%d}"
                asked = {
                    "operation": "get_issues",
                    "query": {"date_from": day, "date_to": day, "limit": 1000},
                }
            started = time.perf_counter()
            answer = run(document | asked)
            call = Call(
                asked["operation"],
                answer["success"],
                time.perf_counter() - started,
                run_id,
                answer["operation_result"].get("selection", []),
                answer.get("error"),
                _repeated(answer),
            )
            file.write(json.dumps(call.__dict__) + "\n")
            file.flush()
            stop.wait(chance.uniform(0, 2 * PAUSE))


def _repeated(answer: dict[str, Any]) -> int:
    issues = (answer.get("issues_data") or {}).get("issues", [])
    return len(issues) - len({(issue["validation_run_id"], issue["issue_index"]) for issue in issues})


def run_file(run_id: str, chance: random.Random) -> dict[str, Any]:
    """A run of one to five issues, on one of five days."""
    issues = [
        {"severity": "low", "description": f"{run_id} #{n}", "category": "soak"}
        for n in range(chance.randint(1, 5))
    ]
    moment = FIRST_DAY + timedelta(days=chance.randrange(5), seconds=chance.randrange(80_000))
    return {
        "validation_run_id": run_id,
        "timestamp": moment.isoformat(),
        "target_plugin": "soak",
        "issues_list": issues,
    }


def reconciler(document: dict[str, Any], stop: Event) -> None:
    """Pays what is owed, every few seconds; what fails is tried again later."""
    from resources.config import Opened, configured
    from resources.errors import StorageError
    from resources.selection.reconcile import reconcile

    chain = Opened(configured(document)).chain
    assert chain is not None
    while not stop.wait(3):
        with suppress(StorageError):
            reconcile(chain)


class Chaos:
    """Does harm to one server after the other, sometimes to both at once, and makes good again."""

    def __init__(self, chance: random.Random, targets: dict[str, tuple[Any, Any, Any, Any]]) -> None:
        self._chance = chance
        self._targets = targets
        self.done: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self._chance.uniform(1, 6))
            names = sorted(self._targets)
            hit = names if self._chance.random() < 0.2 else [self._chance.choice(names)]
            mend = [self._harm(name) for name in hit]
            time.sleep(self._chance.uniform(1, 8))
            for make_good in mend:
                make_good()

    def _harm(self, name: str) -> Callable[[], None]:
        """Do it; what makes it good."""
        before, kill, start, processes = self._targets[name]
        kind = self._chance.choice(["killed", "frozen", "reset", "silenced"])
        self.done[f"{name} {kind}"] += 1
        if kind == "killed":
            kill()
            return start  # type: ignore[no-any-return]
        if kind == "frozen":
            frozen = processes()
            send(frozen, signal.SIGSTOP)
            return lambda: send(frozen, signal.SIGCONT)
        attribute = "reset" if kind == "reset" else "black_hole"
        setattr(before, attribute, True)
        return lambda: setattr(before, attribute, False)


def _figures(
    calls: list[Call],
    chaos: Chaos,
    document: dict[str, Any],
    exit_codes: list[int | None],
    asked: argparse.Namespace,
) -> list[tuple[str, str, str, bool | None]]:
    from resources.config import Opened, configured
    from resources.selection.reconcile import reconcile

    backends = configured(document)
    chain = Opened(backends).chain
    assert chain is not None
    started = time.monotonic()
    owed = chain.ledger.entries()
    problems: list[str] = []
    while chain.ledger.entries() and time.monotonic() - started < 300:
        problems = reconcile(chain).problems
    paying = time.monotonic() - started
    left = len(chain.ledger.entries())
    primary = backends[0].settings.open()
    query = (
        "SELECT validation_run_id, (SELECT count(*) FROM issues WHERE"
        " issues.validation_run_id = runs.validation_run_id) FROM runs"
    )
    present = primary.reading(lambda connection: connection.execute(query).fetchall())
    counted = Counter(run_id for run_id, _ in present)
    writes = [call for call in calls if call.kind == "store_issues"]
    reads = [call for call in calls if call.kind == "get_issues"]
    acknowledged = {call.run_id for call in writes if call.success}
    missing = acknowledged - counted.keys()
    twice = [run_id for run_id, count in counted.items() if count > 1]
    torn = [run_id for run_id, issues in present if not issues]
    failed_reads = [call for call in reads if not call.success]
    failed_writes = [call for call in writes if not call.success]
    beyond = [_beyond(call) for call in calls]
    seen_twice = sum(call.twice for call in reads)
    decisions = [seconds for call in calls for seconds in _in_vain(call)] or [0.0]
    slowest = max(calls, key=lambda call: call.seconds)
    p99 = quantiles(decisions, n=100, method="inclusive")[-1] if len(decisions) > 1 else decisions[0]
    used = Counter(
        next((a["backend"] for a in reversed(c.attempts) if a["outcome"] == "used"), "none") for c in writes
    )
    for error in sorted({call.error or "" for call in (*failed_reads, *failed_writes)})[:5]:
        print(f"failed: {error}", file=sys.stderr)
    for call in sorted(calls, key=_beyond)[-3:]:
        print(f"slow: {call}", file=sys.stderr)
    for problem in problems[:5]:
        print(f"owed: {problem}", file=sys.stderr)
    return [
        ("harm done", ", ".join(f"{what} {n}×" for what, n in sorted(chaos.done.items())), "", None),
        (
            "calls",
            f"{len(writes):,} writes and {len(reads):,} reads of {asked.processes} processes; writes went to "
            + ", ".join(f"{name} {n:,}" for name, n in used.most_common()),
            "",
            None,
        ),
        (
            "processes that did not end well",
            str(sum(code != 0 for code in exit_codes)),
            "0",
            not any(exit_codes),
        ),
        ("runs acknowledged", f"{len(acknowledged):,}", "", None),
        ("of these not in PostgreSQL in the end", str(len(missing)), "0", not missing),
        ("runs there twice", str(len(twice)), "0", not twice),
        ("runs without their issues", str(len(torn)), "0", not torn),
        ("writes refused", str(len(failed_writes)), "0", not failed_writes),
        ("reads failed", str(len(failed_reads)), "0", not failed_reads),
        (
            "issues that a reader saw twice",
            str(seen_twice),
            "0",
            seen_twice == 0,
        ),
        ("owed when all was well again", f"{len(owed):,} entries, paid in {paying:.1f} s", "", None),
        ("still owed after that", str(left), "0", left == 0),
        (
            "longest call",
            f"{slowest.seconds:.2f} s ({slowest.kind}, {len(_in_vain(slowest))} backends tried in vain)",
            "",
            None,
        ),
        (
            "longest call beyond its deadlines",
            f"{max(beyond):.2f} s",
            f"≤ {SLACK:g} s",
            max(beyond) <= SLACK,
        ),
        (
            "failover decision, p99 (worst)",
            f"{p99:.2f} s ({max(decisions):.2f} s) of {len(decisions):,}",
            f"≤ {TIMEOUT + DECISION_SLACK:g} s",
            p99 <= TIMEOUT + DECISION_SLACK,
        ),
    ]


def _beyond(call: Call) -> float:
    return call.seconds - TIMEOUT * max(1, len(_in_vain(call)))


def _in_vain(call: Call) -> list[float]:
    """The seconds spent with each backend that was tried and then passed over."""
    return [a["seconds"] for a in call.attempts if a["reason"] and a["seconds"]]


def _page(figures: list[tuple[str, str, str, bool | None]], command: str) -> str:
    rows = []
    for what, figure, target, met in figures:
        rows.append(f"| {what} | {figure} | {target} | {'' if met is None else 'yes' if met else '**no**'} |")
    return "\n".join(
        [
            "# Soak: failover under constant writing",
            "",
            *_INTRODUCTION,
            "",
            "| what | figure | target | met |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, `{command}`: {machine()}.",
            "",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long harm is done (10)")
    parser.add_argument("--processes", type=int, default=8, help="how many write (8)")
    parser.add_argument("--seed", type=int, default=1, help="of what happens when (1)")
    parser.add_argument("--out", default=str(PAGE), help="where the result is written (benchmarks/SOAK.md)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
