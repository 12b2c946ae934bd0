"""Storages of run documents: three methods, and whatever happens they answer as a plain dict would."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from assets import kernel
from resources.backends.custom.carried import laden, restored
from resources.backends.documents import DocumentBackend
from resources.backends.documents.model import read as read_document
from resources.contract import Delivery
from resources.errors import StorageError
from resources.files import LocalFiles
from tests.lake.state import DAYS, NOW, State, append, document, read, stored, within

IDS = st.sampled_from(["a", "b", "c", "d"])
RUNS = st.dictionaries(
    IDS,
    st.tuples(st.sampled_from(DAYS[:3]), st.integers(0, 2), st.integers(0, 2)),
    min_size=1,
)


class Held(DocumentBackend):
    """Documents in a list, every one that was ever put; after `left` more it breaks."""

    url = "held"

    def __init__(self, documents: list[tuple[str, bytes]], folder: str, left: int = 1_000) -> None:
        super().__init__()
        self.documents = documents
        self.files = LocalFiles(folder)
        self.left = left

    def load(self, run_ids: Collection[str] | None = None) -> Iterable[bytes]:  # noqa: ARG002
        return [document for _, document in self.documents]

    def put(self, run_id: str, document: bytes) -> None:
        self._use()
        self.documents.append((run_id, document))

    def drop(self, run_id: str) -> None:
        self._use()
        self.documents[:] = [(i, d) for i, d in self.documents if i != run_id]

    def _use(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StorageError("held is broken")


class DocumentsAndDict(RuleBasedStateMachine):
    """`self.model` is what was acknowledged."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.documents: list[tuple[str, bytes]] = []
        self.backend = Held(self.documents, self.folder)
        self.model: State = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(runs=RUNS)
    def store(self, runs: dict[str, tuple[date, int, int]]) -> None:
        wanted = {i: stored(i, *run) for i, run in runs.items()}
        appended = append(self.backend, [document(i, *run) for i, run in runs.items()])
        changed = {i for i, run in wanted.items() if self.model.get(i) != run}
        assert (appended.runs_stored, appended.duplicates) == (len(changed), len(runs) - len(changed))
        assert appended.issues_stored == sum(len(wanted[i].issues) for i in changed)
        assert appended.days == {wanted[i].day for i in changed}
        self.model |= wanted

    @rule(ids=st.sets(IDS, min_size=1))
    def delete(self, ids: set[str]) -> None:
        self.backend.delete(ids)
        self.model = {i: run for i, run in self.model.items() if i not in ids}
        assert not {run_id for run_id, _ in self.documents} & ids

    @rule()
    def maintain(self) -> None:
        assert sum(c.runs for c in self.backend.maintain(NOW).days) == len(self.model)

    @rule()
    def reopen(self) -> None:
        self.backend = Held(self.documents, self.folder)

    @rule(run=st.tuples(st.sampled_from(DAYS[:3]), st.integers(0, 2), st.integers(0, 2)))
    def somebody_else_stores(self, run: tuple[date, int, int]) -> None:
        if "theirs" not in self.model:
            self.documents.append(("theirs", json.dumps(document("theirs", *run)).encode()))
            self.model["theirs"] = stored("theirs", *run)

    @rule(runs=RUNS, left=st.integers(0, 3), deleting=st.booleans())
    def crash(self, runs: dict[str, tuple[date, int, int]], left: int, deleting: bool) -> None:
        broken = Held(self.documents, self.folder, left)
        after = self.model | {i: stored(i, *run) for i, run in runs.items()}
        if deleting:
            after = {i: run for i, run in self.model.items() if i not in runs}
        try:
            if deleting:
                broken.delete(runs)
            else:
                append(broken, [document(i, *run) for i, run in runs.items()])
            self.model = after
        except StorageError:
            seen = read(self.backend)
            for run_id in {*self.model, *after, *seen}:
                assert seen.get(run_id) in (self.model.get(run_id), after.get(run_id))
            self.model = seen

    @invariant()
    def reads_are_exact(self) -> None:
        if not hasattr(self, "model"):
            return
        assert read(self.backend) == self.model
        assert self.backend.days() == sorted({run.day for run in self.model.values()})
        assert read(self.backend, DAYS[1], DAYS[2]) == within(self.model, DAYS[1], DAYS[2])


DocumentsAndDict.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestDocumentsAndDict = DocumentsAndDict.TestCase


def test_a_deletion_stands_when_its_documents_cannot_be_dropped(tmp_path: Path) -> None:
    documents: list[tuple[str, bytes]] = []
    append(Held(documents, str(tmp_path)), [document("a"), document("b")])
    with pytest.raises(StorageError, match="held is broken"):
        Held(documents, str(tmp_path), left=0).delete(["a"])
    assert len(documents) == 2
    assert set(read(Held(documents, str(tmp_path)))) == {"b"}


def test_what_is_kept_is_what_the_kernel_makes() -> None:
    """A document that somebody else has written has the hash, the fingerprints and the texts that its
    delivery would have had."""
    issues = [
        {"severity": "low", "description": f"line {n % 2}", "details": {"rule": "E1"}, "odd": n}
        for n in range(4)
    ]
    run = document("r") | {"issues_list": issues, "metadata": {"b": 1, "a": [2.5, None]}, "odd": {}}
    raw = json.dumps(run).encode()
    chunk = kernel.build([Delivery("x.json", raw)])
    kept = read_document(raw, "here")
    [made] = chunk.runs.to_pylist()
    assert kept.stamp.content_hash == made["content_hash"]
    assert (kept.metadata, kept.extra) == (made["metadata"], made["extra"])
    folder = tempfile.mkdtemp()
    try:
        query = "SELECT fingerprint, details, extra FROM issues ORDER BY issue_index"
        seen = Held([("r", raw)], folder).reading(lambda c: c.execute(query).fetchall())
    finally:
        shutil.rmtree(folder)
    columns = (chunk.issues[name].to_pylist() for name in ("fingerprint", "details", "extra"))
    assert seen == list(zip(*columns, strict=True))


# --- what plugins give back ------------------------------------------------------------------------

KEYS = ["validation_run_id", "timestamp", "severity", "description", "details", "metadata", "issues_list"]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "r", "low", "2025-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "issuelake"]), inner),
    max_leaves=6,
)
ISSUES = st.lists(st.dictionaries(st.sampled_from(KEYS), PLAIN))
NAMED = st.builds(
    lambda run, rest: run | rest,
    st.fixed_dictionaries({"validation_run_id": st.sampled_from(["r", "s"])}),
    st.dictionaries(st.sampled_from([*KEYS[1:], "extra", "issuelake"]), PLAIN | ISSUES),
)


@given(st.lists(NAMED | PLAIN, max_size=4), st.lists(NAMED | PLAIN, max_size=2))
@settings(max_examples=300, deadline=None)
def test_whatever_a_plugin_answers_is_runs_or_an_error(answered: list[Any], history: list[Any]) -> None:
    with contextlib.suppress(StorageError):
        for found in restored(answered, history, "a plugin"):
            read_document(json.dumps(found).encode(), "a plugin")


@given(st.permutations(range(5)), st.integers(0, 4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_issues_come_back_in_any_order_and_again(order: list[int], twice: int, as_rows: bool) -> None:
    documents: list[tuple[str, bytes]] = []
    folder = tempfile.mkdtemp()
    try:
        append(Held(documents, folder), [document("r", issues=5)])
    finally:
        shutil.rmtree(folder)
    [(_, raw)] = documents
    run = laden(raw)
    issues = [run["issues_list"][n] for n in [*order, twice]]
    rows = [issue | {"validation_run_id": "r"} for issue in issues]
    answered = rows if as_rows else [run | {"issues_list": issues}]
    [found] = restored(answered, [], "a plugin")
    assert found == json.loads(raw)
