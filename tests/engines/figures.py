"""`python -m tests.engines.figures sc://HOST:PORT LAKE`: what Spark Connect reads of a lake."""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import SparkSession


def figures(session: SparkSession, lake: str) -> dict[str, Any]:
    """What every engine must find."""
    session.read.parquet(f"{lake}/runs").createOrReplaceTempView("runs")
    session.read.parquet(f"{lake}/issues").createOrReplaceTempView("issues")
    runs = session.sql(
        "SELECT count(*), count(DISTINCT validation_run_id), sum(pipeline_score), count(DISTINCT run_date)"
        " FROM runs"
    ).collect()
    issues = session.sql("SELECT severity, count(*) FROM issues GROUP BY severity").collect()
    return {"runs": list(map(int, runs[0])), "issues": {str(row[0]): int(row[1]) for row in issues}}


if __name__ == "__main__":
    address, lake = sys.argv[1:]
    print(json.dumps(figures(SparkSession.builder.remote(address).getOrCreate(), lake)))
