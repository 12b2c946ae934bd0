"""A plugin that keeps runs in a file and gives their issues back, as little as the interface asks for."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()


async def process(context: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    operation = context["operation"]
    path = Path(config["path"])
    with _lock:
        runs: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if operation == "store_issues":
            run = context["issues"]
            runs[run["validation_run_id"]] = run
            path.write_text(json.dumps(runs))
            return {"success": True}
    if operation == "ping":
        return {"success": True}
    if operation != "get_issues":
        return {"success": False, "error": f"unknown operation {operation} (token {config.get('token')})"}
    query = context["query"]
    assert 1 <= query["limit"] <= 1000
    issues = [
        {
            "validation_run_id": run["validation_run_id"],
            "timestamp": run["timestamp"],
            "target_plugin": run["target_plugin"],
            "category": None,
            **issue,
        }
        for run in runs.values()
        for issue in reversed(run["issues_list"])
    ]
    page = issues[query["offset"] : query["offset"] + query["limit"]]
    return {"success": True, "issues_data": {"issues": page, "filtered_count": len(issues)}}
