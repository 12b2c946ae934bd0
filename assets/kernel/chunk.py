"""What the kernel makes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from resources.contract import Rejection


@dataclass(slots=True)
class Chunk:
    """What deliveries hold; its runs and rejections add up to the deliveries.

    `runs`: a row per accepted run, columns of `schema.RUNS` without those that storing adds
    (`stored_at`, `batch_id`). `issues`: a row per issue, grouped by run in the order of `runs`:
    `run_index` (int32, the row of `runs`), `issue_index`, and as dictionaries of texts the fields
    of an issue, `fingerprint` and `extra`.
    """

    runs: pa.Table
    issues: pa.Table
    rejections: list[Rejection]
