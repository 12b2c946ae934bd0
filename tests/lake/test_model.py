"""Whatever happens to a lake, in whatever order, it answers as a plain dict would."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resources.errors import StorageError
from resources.files import LocalFiles
from resources.lake import Lake, index, layout
from tests.faults import AFTER, BEFORE, KILLED, TORN, FaultyLocalFiles, Killed, Plan
from tests.lake.state import DAYS, NOW, State, append, document, read, stored, within

IDS = st.sampled_from(["a", "b", "c", "d"])
RUNS = st.dictionaries(
    IDS,
    st.tuples(st.sampled_from(DAYS[:3]), st.integers(0, 2), st.integers(0, 2)),
    min_size=1,
)


class LakeAndDict(RuleBasedStateMachine):
    """`self.model` is what was acknowledged."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.lake = Lake(LocalFiles(self.folder))
        self.model: State = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(runs=RUNS)
    def store(self, runs: dict[str, tuple[date, int, int]]) -> None:
        wanted = {i: stored(i, *run) for i, run in runs.items()}
        appended = append(self.lake, [document(i, *run) for i, run in runs.items()])
        changed = {i for i, run in wanted.items() if self.model.get(i) != run}
        assert appended.runs_stored == len(changed)
        assert appended.duplicates == len(runs) - len(changed)
        self.model |= wanted

    @rule(ids=st.sets(IDS, min_size=1))
    def delete(self, ids: set[str]) -> None:
        self.lake.delete(ids)
        self.model = {i: run for i, run in self.model.items() if i not in ids}

    @rule(day=st.sampled_from(DAYS[:3]))
    def compact(self, day: date) -> None:
        self.lake.compact_day(day, NOW)
        # By the second time whatever was superseded has gone.
        assert self.lake.compact_day(day, NOW).runs == len(within(self.model, day, day))
        assert len(layout.data_files(self.lake.files, [day])) == bool(within(self.model, day, day))

    @rule()
    def maintain(self) -> None:
        self.lake.maintain(NOW)

    @rule()
    def reopen(self) -> None:
        self.lake = Lake(LocalFiles(self.folder))

    @rule(
        runs=RUNS,
        number=st.integers(1, 40),
        mode=st.sampled_from([BEFORE, AFTER, TORN, KILLED]),
        verb=st.sampled_from(["store", "delete", "maintain"]),
    )
    def crash(self, runs: dict[str, tuple[date, int, int]], number: int, mode: str, verb: str) -> None:
        faulty = Lake(FaultyLocalFiles(self.folder, Plan(number, mode)))
        after = dict(self.model)
        if verb == "store":
            after |= {i: stored(i, *run) for i, run in runs.items()}
        elif verb == "delete":
            after = {i: run for i, run in after.items() if i not in runs}
        try:
            if verb == "store":
                append(faulty, [document(i, *run) for i, run in runs.items()])
            elif verb == "delete":
                faulty.delete(runs)
            else:
                faulty.maintain(NOW)
            self.model = after
        except (StorageError, Killed):
            seen = read(self.lake)
            for run_id in {*self.model, *after, *seen}:
                assert seen.get(run_id) in (self.model.get(run_id), after.get(run_id))
            self.model = seen

    @invariant()
    def reads_are_exact(self) -> None:
        if not hasattr(self, "model"):
            return
        assert read(self.lake) == self.model
        for first in range(3):
            for last in range(first, 3):
                expected = within(self.model, DAYS[first], DAYS[last])
                assert read(self.lake, DAYS[first], DAYS[last]) == expected


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FILES_PER_SEGMENT", 3)
    monkeypatch.setattr(index, "SEGMENTS", 2)


LakeAndDict.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TestLakeAndDict = LakeAndDict.TestCase
