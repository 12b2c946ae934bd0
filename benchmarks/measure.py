"""How things are timed and judged, the same for every part.

Contenders take turns (A B A B …) in one session, so that whatever else the machine does falls on
all of them; what counts is the median over the rounds of the ratio within a round.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.generate import DATA

COMMAND = str(Path(sys.executable).with_name("issuelake"))
"""The public command, of the environment that runs the benchmarks."""

Samples = Sequence[float]


@dataclass(frozen=True)
class Setup:
    """What a part is asked to do."""

    rounds: int
    quick: bool

    def scale(self, full: int, quick: int) -> int:
        """How many: `full`, or `quick` when the figures do not matter."""
        return quick if self.quick else full


@dataclass
class Row:
    """One line of the results. `met` is None where nothing was promised."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Every single measurement, by contender."""
    note: str = ""
    """What a reader must know to understand the figures."""


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contender answers in each round; the disk is idle when one starts."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            os.sync()
            samples[name].append(contender())
    return samples


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def process(*command: str) -> float:
    """How long a command takes as a whole process. Raises `CalledProcessError` where it fails."""
    return seconds(lambda: command_output(*command))


def command_output(*command: str) -> str:
    """What a command prints, its own messages shown only where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return done.stdout


def module(name: str, *arguments: str) -> Any:
    """What the module `name` of this package, run as a fresh process, answers (JSON)."""
    return json.loads(command_output(sys.executable, "-m", f"benchmarks.{name}", *arguments).splitlines()[-1])


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the same disk as the data, removed with all that is in it."""
    folder = DATA / f"scratch-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def times_as_fast(
    what: str, ours: Samples, peer: Samples, at_least: float | None = None, aim: float | None = None
) -> Row:
    """A row that says how many times as fast as the peer we are."""
    ratios = [p / o for o, p in zip(ours, peer, strict=True)]
    target = "" if at_least is None else f"≥ {at_least:g}×{_aim(aim)}"
    met = None if at_least is None else median(ratios) >= at_least
    row = Row(what, _timed(ours), _timed(peer), f"{_ratio(ratios)} as fast", target, met)
    row.samples = {"ours": list(ours), "peer": list(peer)}
    return row


def times_the_time(
    what: str, ours: Samples, peer: Samples, at_most: float | None = None, aim: float | None = None
) -> Row:
    """A row that says how many times the peer's time we need."""
    ratios = [o / p for o, p in zip(ours, peer, strict=True)]
    target = "" if at_most is None else f"≤ {at_most:g}×{_aim(aim)}"
    met = None if at_most is None else median(ratios) <= at_most
    row = Row(what, _timed(ours), _timed(peer), f"{_ratio(ratios)} the time", target, met)
    row.samples = {"ours": list(ours), "peer": list(peer)}
    return row


def at_most(what: str, ours: Samples, limit: float | None = None) -> Row:
    """A row that compares a time with a limit, both in seconds."""
    target = "" if limit is None else f"≤ {duration(limit)}"
    met = None if limit is None else median(ours) <= limit
    return Row(what, _timed(ours), target=target, met=met, samples={"ours": list(ours)})


def duration(value: float) -> str:
    """Seconds as people read them."""
    return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value:.2f} s"


def _timed(samples: Samples) -> str:
    return duration(median(samples))


def _ratio(ratios: Samples) -> str:
    return f"{median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"


def _aim(aim: float | None) -> str:
    return "" if aim is None else f" (aim {aim:g}×)"
