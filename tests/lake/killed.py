"""Run as a program: carries every operation of `test_faults` out in processes that are killed.

`killed FOLDER` leaves a lake FOLDER/<operation>/<n> for every storage call n that a process was
killed in. It forks from a process in which nothing has run yet, so no thread is lost with a lock.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import traceback
from pathlib import Path

from resources.files import LocalFiles
from resources.lake import Lake, index
from tests.faults import KILLED, FaultyLocalFiles, Plan
from tests.lake import test_faults


def in_a_child(work: object, *args: object) -> int:
    """The exit code of a forked process that does `work`."""
    assert callable(work)
    child = os.fork()
    if child == 0:
        try:
            work(*args)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(test_faults.COMPLETED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def make_base(folder: str) -> None:
    test_faults.base(Lake(LocalFiles(folder)))


def die(name: str, folder: str, number: int) -> None:
    plan = Plan(number, KILLED, test_faults.KILLED_WITH)
    test_faults.OPERATIONS[name].work(Lake(FaultyLocalFiles(folder, plan)))


def main(folder: Path) -> None:
    index.FILES_PER_SEGMENT = 2
    for module in test_faults.CLOCKS:
        importlib.import_module(module).datetime = test_faults.Frozen  # type: ignore[attr-defined]
    base = str(folder / ".base")
    assert in_a_child(make_base, base) == test_faults.COMPLETED
    for name in test_faults.OPERATIONS:
        number = 0
        ended = test_faults.KILLED_WITH
        while ended == test_faults.KILLED_WITH:
            number += 1
            lake = folder / name / f"{number:03}"
            shutil.copytree(base, lake)
            ended = in_a_child(die, name, str(lake), number)
        assert ended == test_faults.COMPLETED, f"{name} ended with {ended} at call {number}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
