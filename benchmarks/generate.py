"""Run files as validators leave them behind: made up, but the same ones every time.

A plugin has problems that live on from run to run. Between two runs some are fixed, some are new,
and in a file that somebody edited they move to other lines. What was made is kept in
`benchmarks/data/` and used again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

DATA = Path(__file__).with_name("data")

VERSION = 1
"""Raised when what is generated changes, so that nothing old is used again."""

FIRST_DAY = datetime(2025, 8, 1, tzinfo=UTC)
MONTH = timedelta(days=30)

SMALL_ISSUES = (8, 24)
BIG_ISSUES = (15_000, 17_000)

_LINE = "⟨line⟩"
"""Stands in a problem's text where the line number goes."""

_RULES = (
    ("F401", "unused-code", "medium", "`{name}` imported but unused", "Remove the import."),
    ("F841", "unused-code", "medium", "Local variable `{name}` is assigned to but never used", "Remove it."),
    ("E501", "style", "low", "Line too long ({number} > 100)", "Break the line where it is easiest to read."),
    ("C901", "complexity", "medium", "`{name}` is too complex ({number} > 10)", "Take a part of it out."),
    ("S105", "security", "critical", 'Possible hardcoded password assigned to: "{name}"', None),
    ("S301", "security", "high", "`pickle` is unsafe on data that comes from outside", "Read JSON instead."),
    ("S608", "security", "critical", "SQL built from text: query of `{name}`", "Pass values as parameters."),
    ("B006", "correctness", "high", "Mutable default of the argument `{name}`", "Default to None."),
    ("B023", "correctness", "high", "Function in a loop uses the loop's `{name}`", "Bind it as a default."),
    ("ARG001", "unused-code", "low", "Unused argument: `{name}`", "Remove it, or name it `_{name}`."),
    ("RET504", "style", "low", "Unnecessary assignment to `{name}` before `return`", None),
    ("ANN201", "typing", "low", "Missing return type of the public function `{name}`", "Annotate it."),
    ("D103", "documentation", "low", "Missing docstring of `{name}` – line {line}", "Say what it is for."),
    ("PERF401", "performance", "medium", "A comprehension would build `{name}` quicker", "Use one."),
    ("FIX002", "maintenance", "low", "TODO since {number} days: {name}", "Resolve it, or open an issue."),
    ("DEP004", "dependencies", "high", "`{name}` is only a development dependency", "Move it."),
    ("CFG012", "configuration", "high", "Key '{name}' is read in line {line} but never declared", None),
    ("API007", "compatibility", "critical", "Public `{name}` has gone since 2.0", "Keep an alias."),
)
_WORDS = Path(__file__).with_name("words.txt").read_text("utf-8").split()
_ROLES = ("service", "plugin", "worker", "gateway", "adapter", "connector")


@dataclass(slots=True)
class _Problem:
    pieces: list[bytes]
    file: int
    line: int
    rendered: bytes


class Plugin:
    """A project under validation, with the problems that it has at the moment."""

    def __init__(self, name: str, issues: tuple[int, int], rng: Random) -> None:
        self.name = name
        self._rng = rng
        self._usual = rng.randint(*issues)
        self._bounds = issues
        count = max(4, self._usual // 6)
        self._files = [self._file(number) for number in range(count)]
        self._problems = [self._problem() for _ in range(self._usual)]

    def run(self, moment: datetime) -> bytes:
        """The run file of a validation at `moment`."""
        self._move_on()
        rng = self._rng
        head = {
            "validation_run_id": identity(rng),
            "timestamp": moment.isoformat(),
            "target_plugin": self.name,
            "change_type": rng.choice(("modified", "modified", "modified", "created", "unknown")),
            "pipeline_score": rng.randint(40, 100),
            "metadata": {
                "commit": f"{rng.getrandbits(160):040x}",
                "branch": rng.choice(("main", "main", "release", "develop")),
                "duration_ms": rng.randint(900, 90_000),
                "ci": {"provider": "actions", "attempt": 1},
            },
        }
        listed = b",".join([problem.rendered for problem in self._problems])
        return json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"issues_list":[' + listed + b"]}"

    def _move_on(self) -> None:
        """What happens between two runs: a file is edited, problems are fixed, others come up."""
        rng, problems = self._rng, self._problems
        edited, shift = rng.randrange(len(self._files)), rng.randint(-6, 20)
        for problem in problems:
            if problem.file == edited:
                problem.line = max(1, problem.line + shift)
                problem.rendered = str(problem.line).encode().join(problem.pieces)
        low, high = self._bounds
        churn = max(1, self._usual // 25)
        for _ in range(min(rng.randint(0, 2 * churn), len(problems) - low)):
            problems.pop(rng.randrange(len(problems)))
        for _ in range(min(rng.randint(0, 2 * churn), high - len(problems))):
            problems.append(self._problem())

    def _problem(self) -> _Problem:
        rng = self._rng
        rule, category, severity, description, recommendation = rng.choice(_RULES)
        file, line, name = (rng.randrange(len(self._files)), rng.randint(1, 900), _words(rng, 2, "_"))
        number = rng.randint(11, 160)
        issue = {
            "category": category,
            "severity": severity,
            "description": description.format(name=name, number=number, line=_LINE),
            "file_path": self._files[file],
        }
        if recommendation:
            link = f" See https://example.com/rules/{rule.lower()}"
            issue["recommendation"] = recommendation.format(name=name) + link
        text = json.dumps(issue, separators=(",", ":"), ensure_ascii=False)[:-1]
        details = (
            f'"rule":"{rule}","line":{_LINE},"column":{rng.randint(1, 90)},"fixable":false,"tool":"lint"'
        )
        pieces = f'{text},"details":{{{details}}}}}'.encode().split(_LINE.encode())
        return _Problem(pieces, file, line, str(line).encode().join(pieces))

    def _file(self, number: int) -> str:
        package = self.name.replace("-", "_")
        return f"src/{package}/{_words(self._rng, 1, '')}/{_words(self._rng, 1, '')}_{number}.py"


def runs(
    count: int,
    plugins: int,
    issues: tuple[int, int],
    span: timedelta = MONTH,
    seed: int = 1,
    start: datetime = FIRST_DAY,
) -> Iterator[tuple[datetime, bytes]]:
    """`count` run files, evenly spread over the `span` from `start` on: when each was made, and its bytes."""
    rng = Random(seed)
    owners = [Plugin(_plugin_name(rng, n), issues, Random(rng.getrandbits(64))) for n in range(plugins)]
    for number in range(count):
        moment = start + span * number / count
        yield moment, rng.choice(owners).run(moment)


def small_runs(count: int) -> Iterator[tuple[datetime, bytes]]:
    """`count` run files of about 5 KB."""
    return runs(count, 120, SMALL_ISSUES)


def big_runs(count: int) -> Iterator[tuple[datetime, bytes]]:
    """`count` run files of about 5 MB."""
    return runs(count, 4, BIG_ISSUES)


def small_files(count: int) -> Path:
    """A kept folder of `count` small run files."""
    return kept(f"small-{count}", lambda folder: write(small_runs(count), folder))


def big_files(count: int) -> Path:
    """A kept folder of `count` big run files."""
    return kept(f"big-{count}", lambda folder: write(big_runs(count), folder))


def write(files: Iterable[tuple[datetime, bytes]], folder: Path) -> None:
    """Write run files into `folder`, a subfolder a day."""
    days = set()
    for number, (moment, content) in enumerate(files):
        day = folder / f"{moment:%Y-%m-%d}"
        if day not in days:
            day.mkdir(parents=True)
            days.add(day)
        with open(f"{day}/{number:07}.json", "wb", buffering=0) as file:
            file.write(content)


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of `DATA`, filled by `make` if it is not there yet; never half filled."""
    folder = DATA / f"{name}-v{VERSION}"
    if not folder.exists():
        coming = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir(parents=True)
        make(coming)
        coming.rename(folder)
    return folder


def _words(rng: Random, count: int, separator: str) -> str:
    return separator.join(rng.choice(_WORDS) for _ in range(count))


def _plugin_name(rng: Random, number: int) -> str:
    return f"{_words(rng, 1, '')}-{rng.choice(_ROLES)}-{number}"


def identity(rng: Random) -> str:
    """A run id as validators make them."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
