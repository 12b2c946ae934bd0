"""SARIF in: one file of 13,000 results, and from several files to an answer."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import generate
from benchmarks.measure import (
    COMMAND,
    Row,
    Setup,
    at_most,
    interleaved,
    process,
    scratch,
    seconds,
    times_as_fast,
)

TITLE = "SARIF: files of 13,000 results, 10 MB each"

RESULTS = 13_000
SUMMARY = str(Path(sys.executable).with_name("sarif"))

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}


def run(setup: Setup) -> list[Row]:
    count, results = setup.scale(8, 2), setup.scale(RESULTS, 500)
    with scratch() as folder:
        files = _files(folder / "sarif", count, results)
        lake = folder / "lake"

        def ingest(*names: str) -> None:
            shutil.rmtree(lake, ignore_errors=True)
            process(COMMAND, "ingest", *names, "--storage", str(lake))

        def to_an_answer(*names: str) -> None:
            ingest(*names)
            process(COMMAND, "summary", "--storage", str(lake))

        contenders: dict[str, Callable[[], float]] = {
            "ingest": partial(seconds, partial(ingest, files[0])),
            "one, ours": partial(seconds, partial(to_an_answer, files[0])),
            "one, peer": partial(process, SUMMARY, "summary", files[0]),
            "all, ours": partial(seconds, partial(to_an_answer, *files)),
            "answer": partial(process, COMMAND, "summary", "--storage", str(lake)),
            "all, peer": partial(process, SUMMARY, "summary", *files),
        }
        samples = interleaved(contenders, setup.rounds)
    rows = [
        at_most("one file taken in", samples["ingest"], 1.0),
        times_as_fast("one file, taken in and summed up", samples["one, ours"], samples["one, peer"], 3),
        times_as_fast(f"{count} files, the same", samples["all, ours"], samples["all, peer"], 3),
        times_as_fast(f"{count} files, summed up again", samples["answer"], samples["all, peer"]),
    ]
    rows[0].note = "the whole process, everything checked, stored and synced"
    rows[
        1
    ].note = "the peer of all is `sarif summary` of sarif-tools; ours are two processes, which both start"
    return rows


def _files(folder: Path, count: int, results: int) -> list[str]:
    """SARIF files as a scanner writes them that indents, of the runs that all parts are made of."""
    folder.mkdir()
    names = []
    for number, (_, raw) in enumerate(generate.runs(count, 1, (results, results), seed=5)):
        file = folder / f"{number}.sarif"
        file.write_text(json.dumps(_log(json.loads(raw)), indent=2, ensure_ascii=False), "utf-8")
        names.append(str(file))
    return names


def _log(run: dict[str, Any]) -> dict[str, Any]:
    rules = {issue["details"]["rule"]: issue for issue in run["issues_list"]}
    numbers = {rule: number for number, rule in enumerate(rules)}
    descriptors = [
        {
            "id": rule,
            "help": {"text": issue.get("recommendation", rule)},
            "helpUri": f"https://example.com/rules/{rule.lower()}",
            "properties": {"tags": [issue["category"]], "precision": "high"},
        }
        for rule, issue in rules.items()
    ]
    driver = {"name": "lint", "version": "1.0", "rules": descriptors}
    results = [_result(issue, numbers) for issue in run["issues_list"]]
    ended = {"executionSuccessful": True, "endTimeUtc": run["timestamp"]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "invocations": [ended], "results": results}],
    }


def _result(issue: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    details = issue["details"]
    region = {"startLine": details["line"], "startColumn": details["column"], "endLine": details["line"]}
    place = {"artifactLocation": {"uri": issue["file_path"]}, "region": region}
    return {
        "ruleId": details["rule"],
        "ruleIndex": numbers[details["rule"]],
        "level": _LEVELS[issue["severity"]],
        "message": {"text": issue["description"]},
        "locations": [{"physicalLocation": place}],
    }
