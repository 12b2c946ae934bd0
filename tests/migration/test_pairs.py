"""Everything arrives, whatever the two storages are, and nothing changes when it is done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets import summary
from assets.migration import migrate
from tests.lake.state import DAYS, append, document
from tests.migration.places import KINDS, everything, furnish, opener

OTHERS = [kind for kind in KINDS if kind != "local_file"]
PAIRS = [
    ("local_file", "local_file"),
    *(("local_file", kind) for kind in OTHERS),
    *((kind, "local_file") for kind in OTHERS),
    ("postgresql", "aws_s3"),
    ("mongodb", "mysql"),
    ("hdfs", "azure_blob"),
    ("gcs", "sqlite"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=map(" to ".join, PAIRS))
def test_everything_arrives(first: str, second: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source, target = (opener(kind, request, tmp_path) for kind in (first, second))
    furnish(source())
    before = everything(source())

    done = migrate(source(), target(), "a tester")
    assert everything(target()) == before == everything(source())
    runs, issues = len(before["runs"]), len(before["issues"])
    assert (done.found.runs, done.found.issues) == (done.copied.runs, done.copied.issues) == (runs, issues)
    assert (done.deletions, done.rejected, done.summaries) == (2, 2, 2)
    assert not set(summary.outdated(target())) & set(DAYS[:2])
    gone = {i for d in target().deletions() for i in target().deleted_runs(d.audit_id)}
    assert gone == {"r1-1", "r2-2", "gone"}

    again = migrate(source(), target(), "a tester")
    assert (again.copied.runs, again.deletions, again.summaries) == (0, 0, 0)
    assert again.days_skipped == again.days
    assert everything(target()) == before

    append(source(), [document("late", DAYS[1])])
    source().delete(["alone"])
    before = everything(source())
    moved = migrate(source(), target(), "a mover", move=True)
    assert (moved.copied.runs, moved.deletions, moved.removed.runs) == (1, 1, runs)
    assert everything(target()) == before
    left = everything(source())
    assert (left["runs"], left["issues"], left["rejected"]) == ([], [], [])
    assert left["deletions"][-1].query == {"moved_to": target().url}
    assert [d.audit_id for d in left["deletions"][:-1]] == [d.audit_id for d in before["deletions"]]
    assert migrate(source(), target(), "a mover", move=True).removed.runs == 0
    assert everything(target()) == before
