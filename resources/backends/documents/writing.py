"""Runs as they come, Arrow tables, made into the documents that a storage keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce
from itertools import accumulate
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from resources.backends.documents.model import STAMP, Kept, Stamp
from resources.lake import layout
from resources.lake.index import Copy
from resources.lake.verdict import Appended
from resources.lake.write import judge
from resources.schema import ISSUES, RUNS, SEVERITY_COUNTS

_RUN_TEXTS = tuple(c.name for c in RUNS if c.run_file_field and c.type == "string")
_ISSUE_TEXTS = tuple(c.name for c in ISSUES if c.run_file_field and c.type == "string")


def prepared(
    runs: pa.Table, issues: pa.Table, known: Mapping[str, Kept], deletions: dict[str, datetime]
) -> tuple[Iterator[tuple[str, bytes]], Appended]:
    """The documents of what is new or changed in `runs`, by run id, and what becomes of all of them.

    `known` has the latest copy of each run that is there already, deleted or not.
    """
    copies = {
        run_id: [Copy(kept.stored_at, kept.batch_id, kept.stamp.content_hash, kept.day)]
        for run_id, kept in known.items()
    }
    verdicts, appended = judge(runs, copies, deletions)
    rows = sorted(verdicts)
    counts = reduce(pc.add, (runs[name] for name in SEVERITY_COUNTS)).to_pylist()
    chosen = runs.take(pa.array(rows, pa.int64())).to_pylist()
    appended.issues_stored = sum(counts[row] for row in rows)
    appended.days = {run["timestamp"].date() for run in chosen}
    batch_id = layout.content_name(
        f"{run['validation_run_id']}\x1f{run['content_hash']}\x1f{verdicts[row].supersedes}"
        for row, run in zip(rows, chosen, strict=True)
    )
    bounds = [0, *accumulate(counts)]

    def documents() -> Iterator[tuple[str, bytes]]:
        for row, run in zip(rows, chosen, strict=True):
            own = issues.slice(bounds[row], counts[row])
            document = _document(run, own)
            stamp = Stamp.of(
                verdicts[row].stored_at,
                batch_id,
                run["content_hash"],
                run["source"],
                document.get(STAMP, UNSET),
            )
            encoded = msgspec.json.encode(document | {STAMP: stamp}, order="sorted")
            yield run["validation_run_id"], encoded

    return documents(), appended


def _document(run: Mapping[str, Any], issues: pa.Table) -> dict[str, Any]:
    """A run as a run file would hold it, with all that can be absent made plain."""
    document = {name: run[name] for name in _RUN_TEXTS}
    document["timestamp"] = run["timestamp"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    if run["pipeline_score"] is not None:
        document["pipeline_score"] = run["pipeline_score"]
    if run["metadata"] is not None:
        document["metadata"] = msgspec.json.decode(run["metadata"])
    listed = []
    for row in issues.select([*_ISSUE_TEXTS, "details", "extra"]).to_pylist():
        issue = {name: row[name] for name in _ISSUE_TEXTS if row[name] is not None}
        if row["details"] is not None:
            issue["details"] = msgspec.json.decode(row["details"])
        listed.append(issue | msgspec.json.decode(row["extra"] or "{}"))
    document |= msgspec.json.decode(run["extra"] or "{}")
    return document | {"issues_list": listed}
