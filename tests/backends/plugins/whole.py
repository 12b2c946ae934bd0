"""A plugin without a coroutine, which appends to a file for ever and gives whole runs back."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def process(context: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    path = Path(config["path"])
    with _lock:
        if context["operation"] == "store_issues":
            with path.open("a") as file:
                file.write(json.dumps(context["issues"]) + "\n")
            return {"success": True}
        runs = [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []
    if context["operation"] == "get_issues":
        start, limit = context["query"]["offset"], context["query"]["limit"]
        return {"success": True, "issues_data": runs[start : start + limit]}
    if context["operation"] == "get_health_status":
        return {"success": True, "health_status": {"storage_healthy": not config.get("ill")}}
    raise ValueError(f"no operation {context['operation']}")
