"""4 GB of input: how much memory `issuelake ingest` needs, all its processes together."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from benchmarks import generate
from benchmarks.measure import COMMAND, Row, Setup, scratch

TITLE = "Memory: ingest of 4 GB"

LIMIT = 2**30
_LOOK_EVERY = 0.05


def run(setup: Setup) -> list[Row]:
    small = setup.scale(780_000, 4_000)
    big = setup.scale(800, 8)
    return [
        _row("small files", small, generate.small_runs(small)),
        _row("big files", big, generate.big_runs(big)),
    ]


def _row(what: str, count: int, files: Iterable[tuple[datetime, bytes]]) -> Row:
    with scratch() as folder:
        inbox = folder / "inbox"
        counted = _Counted(files)
        generate.write(counted, inbox)
        command = [COMMAND, "ingest", str(inbox), "--storage", str(folder / "lake"), "--json"]
        started = time.perf_counter()
        peak = peak_of_tree(command)
        elapsed = time.perf_counter() - started
    name = f"{count:,} {what}, {counted.size / 1e9:.2f} GB, in {elapsed:.0f} s"
    return Row(name, f"{peak / 2**20:.0f} MiB", target="≤ 1 GiB", met=peak <= LIMIT, samples={"ours": [peak]})


class _Counted:
    """Run files on their way to the disk, and how many bytes they are."""

    def __init__(self, files: Iterable[tuple[datetime, bytes]]) -> None:
        self._files = files
        self.size = 0

    def __iter__(self) -> Iterator[tuple[datetime, bytes]]:
        for moment, content in self._files:
            self.size += len(content)
            yield moment, content


def peak_of_tree(command: list[str]) -> int:
    """The most bytes that a command and the processes it starts hold at one moment.

    Proportional set size: a page that several of them share counts once.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_size, _tree(process.pid))))
            time.sleep(_LOOK_EVERY)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield from _tree(int(child))


def _proportional_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
