"""The command line as users meet it: real processes, real files, exit codes and JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app

EXAMPLES = Path(__file__).parent.parent / "examples"
READING = [
    ["latest"],
    ["issues"],
    ["search", "eval"],
    ["summary"],
    ["history"],
    ["rejected", "list"],
    ["deletions"],
    ["health"],
    ["backends"],
    ["sql", "SELECT 1 AS one"],
]

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "COLUMNS": "140", "LANG": "C.UTF-8"} | {
    name: os.environ[name] for name in os.environ if name == "PYTHONPATH"
}


class Cli:
    """`issuelake` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, *words: str, code: int = 0, stdin: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "from pipelines.cli import main; main()", *words],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            env={**ENVIRONMENT, **environment},
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done

    def json(self, *words: str, **options: Any) -> Any:
        return json.loads(self.run(*words, "--json", **options).stdout)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A folder whose lake holds the example runs."""
    cli = Cli(tmp_path_factory.mktemp("filled"))
    cli.run("ingest", str(EXAMPLES / "runs"))
    return cli


def run_file(folder: Path, name: str = "run.json", **fields: Any) -> Path:
    document = {
        "validation_run_id": "run-1",
        "timestamp": "2025-08-29T10:00:00Z",
        "target_plugin": "demo",
        "pipeline_score": 80,
        "issues_list": [{"severity": "high", "description": "eval is used", "file_path": "a.py"}],
    } | fields
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def test_ingest_accounts_for_every_file(cli: Cli) -> None:
    counts = cli.json("ingest", str(EXAMPLES / "runs"), str(EXAMPLES / "broken"), code=1)
    runs, broken = len(list((EXAMPLES / "runs").iterdir())), len(list((EXAMPLES / "broken").iterdir()))
    assert counts["files"] == runs + broken
    assert counts["runs_stored"] == runs + 2  # the NDJSON file has two good runs and a bad one
    assert counts["runs_rejected"] == broken
    assert counts["duplicates"] == 0
    assert counts["storage_backend_used"] == "local_file"
    again = cli.json("ingest", str(EXAMPLES / "runs"))
    assert (again["runs_stored"], again["duplicates"], again["issues_stored"]) == (0, runs, 0)


def test_ingest_says_in_one_line_what_it_did(cli: Cli) -> None:
    done = cli.run("ingest", str(run_file(cli.folder)))
    assert done.stdout.decode().startswith(
        "1 files: 1 runs stored with 1 issues, 0 duplicates, 0 rejected in "
    )
    assert done.stderr == b""


def test_rejections_fail_unless_allowed(cli: Cli) -> None:
    path = run_file(cli.folder, issues_list=[{"severity": "hgih", "description": "x"}])
    done = cli.run("ingest", str(path), code=1)
    assert (
        "$.issues_list[0].severity: 'hgih' is not one of critical, high, medium, low" in done.stderr.decode()
    )
    cli.run("ingest", str(path), "--allow-rejects")


def test_standard_input_globs_and_packed_files(cli: Cli) -> None:
    path = run_file(cli.folder)
    assert cli.json("ingest", "-", stdin=path.read_bytes())["runs_stored"] == 1
    run_file(cli.folder, "other-1.json", validation_run_id="run-2")
    subprocess.run(
        ["gzip", "-k", str(run_file(cli.folder, "other-2.json", validation_run_id="run-3"))], check=True
    )
    assert cli.json("ingest", "other-*.json")["runs_stored"] == 2
    assert cli.json("ingest", "other-2.json.gz")["duplicates"] == 1


def test_a_folder_with_the_lake_in_it_can_be_ingested(cli: Cli) -> None:
    run_file(cli.folder, issues_list=[{"severity": "hgih", "description": "x"}])
    run_file(cli.folder, "good.json", validation_run_id="good")
    assert cli.json("ingest", ".", code=1)["files"] == 2
    assert cli.json("ingest", ".", code=1)["files"] == 2  # what the lake keeps is not taken in again


def test_a_size_limit_stops_a_bomb(cli: Cli) -> None:
    import gzip

    (cli.folder / "bomb.json.gz").write_bytes(gzip.compress(b" " * (3 << 20)))
    counts = cli.json("ingest", "bomb.json.gz", "--max-file-size", "1", code=1)
    assert "more than 1048576 bytes" in counts["rejections"][0]


def test_latest_is_the_newest_run_whole(filled: Cli) -> None:
    document = filled.json("latest", "--plugin", "requests")
    newest = max(
        (json.loads(p.read_text()) for p in (EXAMPLES / "runs").glob("requests-*.json")),
        key=lambda run: str(run["timestamp"]),
    )
    data = document["issues_data"]
    assert document["success"] is True
    assert document["operation_result"]["operation"] == "get_latest_issues"
    assert data["validation_run_id"] == newest["validation_run_id"]
    assert data["metadata"] == newest["metadata"]
    ours = [{k: v for k, v in issue.items() if k != "fingerprint"} for issue in data["issues_list"]]
    assert ours == newest["issues_list"]


def test_an_empty_lake_answers(cli: Cli) -> None:
    assert cli.json("latest")["issues_data"] is None
    assert cli.json("summary")["issue_summary"]["total_issues"] == 0
    assert cli.json("history")["issues_data"]["history"] == []
    assert cli.json("issues")["issues_data"]["total_count"] == 0
    assert b"There is no run yet" in cli.run("latest").stdout


def test_summary_adds_up(filled: Cli) -> None:
    figures = filled.json("summary")["issue_summary"]
    runs = [json.loads(p.read_text()) for p in (EXAMPLES / "runs").iterdir()]
    issues = [issue for run in runs for issue in run["issues_list"]]
    overall = figures["overall"]
    assert overall["runs"] == len(runs)
    assert overall["total_issues"] == len(issues) == sum(overall["issues_by_category"].values())
    for severity in ("critical", "high", "medium", "low"):
        assert overall[f"{severity}_issues"] == sum(i["severity"] == severity for i in issues)
    scores = [run["pipeline_score"] for run in runs]
    assert overall["average_score"] == pytest.approx(sum(scores) / len(scores), abs=0.01)


def test_history_follows_each_plugin(filled: Cli) -> None:
    rows = filled.json("history", "--plugin", "flask")["issues_data"]["history"]
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    assert rows[0]["new"] == rows[0]["total_issues"]
    for before, row in pairwise(rows):
        assert row["new"] + row["unchanged"] == row["total_issues"]
        assert row["fixed"] + row["unchanged"] == before["total_issues"]
    cut = filled.json("history", "--plugin", "flask", "--from", rows[3]["timestamp"])["issues_data"][
        "history"
    ]
    assert cut == rows[3:]  # the run before the first one shown still counts


def test_search_filters_and_pages(filled: Cli) -> None:
    everything = filled.json("search", "SUBPROCESS", "--limit", "1000")["issues_data"]
    assert everything["filtered_count"] == everything["returned_count"] > 10
    assert all("subprocess" in json.dumps(i).lower() for i in everything["issues"])
    pages = [
        filled.json("search", "SUBPROCESS", "--limit", "7", "--offset", str(at))["issues_data"]["issues"]
        for at in range(0, 21, 7)
    ]
    assert [i for page in pages for i in page] == everything["issues"][:21]


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        (["--min-severity", "high"], lambda i: i["severity"] in ("critical", "high")),
        (
            ["--severity", "low", "--plugin", "click"],
            lambda i: (i["severity"], i["target_plugin"]) == ("low", "click"),
        ),
        (["--category", "style"], lambda i: i["category"] == "style"),
        (["--file-path", "requests/*.py"], lambda i: i["file_path"].startswith("requests/")),
        (["--where", "severity <= 'high' AND category = 'security'"], lambda i: i["category"] == "security"),
        (["--where", "severity > 'high'"], lambda i: i["severity"] in ("medium", "low")),
        (["--where", "severity BETWEEN 'high' AND 'medium'"], lambda i: i["severity"] in ("high", "medium")),
        (["--from", "2020-01-01", "--to", "2020-12-31"], lambda i: i["timestamp"].startswith("2020-")),
    ],
)
def test_filters(filled: Cli, filters: list[str], holds: Any) -> None:
    every = filled.json("sql", "SELECT * EXCLUDE (details, extra) FROM issues", "--max-rows", "100000")
    data = filled.json("issues", *filters, "--limit", "1000")["issues_data"]
    assert data["issues"]
    assert all(holds(i) for i in data["issues"])
    assert data["filtered_count"] == sum(bool(holds(i)) and _in_range(filters, i) for i in every)


def _in_range(filters: list[str], issue: dict[str, Any]) -> bool:
    return "severity <= 'high'" not in " ".join(filters) or issue["severity"] in ("critical", "high")


@pytest.mark.parametrize(
    "words",
    [
        ["issues", "--where", "1 = 1; DROP TABLE issues"],
        ["issues", "--where", "description IN (SELECT content FROM read_text('/etc/passwd'))"],
        ["issues", "--where", "getenv('HOME') = 'x'"],
        ["issues", "--where", "nonsense = 1"],
        ["issues", "--where", "1=1) OR (1=1"],
        ["issues", "--where", "true ORDER BY 1"],
        ["issues", "--where", "severity < 'worst'"],
        ["issues", "--severity", "worst"],
        ["issues", "--sort", "description; DROP"],
        ["issues", "--from", "yesterday"],
        ["issues", "--limit", "1001"],
        ["ingest", "no-such-file.json"],
        ["ingest", "nosuch://x/y"],
        ["compact", "--day", "29.8.2025"],
        ["rejected", "show", "ffff"],
        ["sql", "SELECT 1; SELECT 2"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_two_and_one_sentence(filled: Cli, words: list[str]) -> None:
    done = filled.run(*words, code=2)
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_failures_under_json_are_json(filled: Cli) -> None:
    document = json.loads(filled.run("issues", "--where", "nonsense = 1", "--json", code=2).stdout)
    assert document["success"] is False
    assert "nonsense" in document["error"]


def test_sql_formats(filled: Cli) -> None:
    query = "SELECT target_plugin, count(*) AS n, min(timestamp) AS first FROM runs GROUP BY ALL ORDER BY ALL"
    rows = filled.json("sql", query)
    assert [row["n"] for row in rows] == [13] * 6
    text = filled.run("sql", query, "--format", "csv").stdout.decode()
    assert [row["target_plugin"] for row in csv.DictReader(io.StringIO(text))] == [
        r["target_plugin"] for r in rows
    ]
    parquet = filled.run("sql", query, "--format", "parquet").stdout
    assert pq.read_table(io.BytesIO(parquet)).num_rows == 6
    assert b"requests" in filled.run("sql", query).stdout
    (filled.folder / "query.sql").write_text(query)
    assert filled.json("sql", "@query.sql") == filled.json("sql", "-", stdin=query.encode()) == rows


def test_sql_orders_by_severity_and_sees_every_view(filled: Cli) -> None:
    rows = filled.json("sql", "SELECT DISTINCT severity FROM issues ORDER BY severity")
    assert [row["severity"] for row in rows] == ["critical", "high", "medium", "low"]
    for view in ("runs", "issues", "rejected", "daily_summary"):
        filled.run("sql", f"SELECT count(*) FROM {view}")


def test_sql_limits_can_be_raised(filled: Cli) -> None:
    assert b"--max-rows" in filled.run("sql", "FROM range(20)", "--max-rows", "10", code=1).stderr
    filled.run("sql", "FROM range(20)", "--max-rows", "20")
    slow = "SELECT count(*) FROM range(10000000) a, range(100000) b WHERE hash(a.range + b.range) = 1"
    assert b"--max-seconds" in filled.run("sql", slow, "--max-seconds", "0.5", code=1).stderr


def test_csv_from_sql_holds_no_formula(cli: Cli) -> None:
    text = cli.run(
        "sql", "SELECT '=HYPERLINK(1)' AS a, -1 AS b, ['x'] AS c", "--format", "csv"
    ).stdout.decode()
    assert list(csv.reader(io.StringIO(text)))[1] == ["'=HYPERLINK(1)", "-1", '["x"]']


def test_rejected_can_be_shown_mended_and_replayed(cli: Cli) -> None:
    path = run_file(cli.folder, issues_list=[{"severity": "hgih", "description": "x"}])
    cli.run("ingest", str(path), "--allow-rejects")
    [kept] = cli.json("rejected", "list")["rejected"]
    assert kept["pointer"] == "$.issues_list[0].severity"
    assert cli.run("rejected", "show", kept["rejected_id"][:6]).stdout == path.read_bytes()
    assert cli.json("rejected", "replay", code=1)["still_rejected"]
    mended = cli.folder / "mended.json"
    mended.write_bytes(path.read_bytes().replace(b"hgih", b"high"))
    assert cli.json("rejected", "replay", kept["rejected_id"], "--mended", str(mended))["runs_stored"] == 1
    assert cli.json("rejected", "list")["count"] == 0
    assert cli.json("latest")["issues_data"]["high_issues"] == 1
    cli.run("ingest", str(path), "--allow-rejects")  # refused anew, it is listed anew
    assert cli.json("rejected", "list")["count"] == 1


def test_one_run_of_a_packed_file_is_replayed_as_it_is(cli: Cli) -> None:
    run = {"validation_run_id": "a", "issues_list": [{"severity": "hgih", "description": "x"}]}
    (cli.folder / "runs.ndjson.gz").write_bytes(gzip.compress(json.dumps(run).encode()))
    cli.run("ingest", "runs.ndjson.gz", "--allow-rejects")
    mended = cli.folder / "mended.json"
    mended.write_text(json.dumps(run, indent=1).replace("hgih", "high"))
    assert cli.json("rejected", "replay", "--mended", str(mended))["runs_stored"] == 1
    assert cli.json("rejected", "list")["count"] == 0


def test_runs_that_do_not_say_what_was_validated_can_be_told(cli: Cli) -> None:
    run = {"issues_list": [], "target_plugin": "stated"}
    sarif = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "probe"}}, "results": []}]}
    for name, document in {"a.json": run, "b.json": {}, "c.sarif": sarif}.items():
        (cli.folder / name).write_text(json.dumps(document))
    cli.run("ingest", "a.json", "b.json", "c.sarif", "--plugin", "told")
    rows = cli.json("sql", "SELECT target_plugin FROM runs ORDER BY source")
    assert [row["target_plugin"] for row in rows] == ["stated", "told", "told/probe"]


def test_compact_keeps_every_answer(cli: Cli) -> None:
    for n in range(3):
        run_file(cli.folder, f"r{n}.json", validation_run_id=f"run-{n}")
        cli.run("ingest", f"r{n}.json")
    before = cli.json("issues")["issues_data"]
    done = cli.json("compact", "--day", "2025-08-29", "--grace", "0")
    assert (done["files_before"], done["files_after"]) == (3, 1)
    assert cli.json("issues")["issues_data"] == before
    assert cli.json("compact")["days_written"] == 0


def test_configuration_file_and_environment(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text(
        "storage_backend: local_file\nstorage_config:\n  local_file: {storage_path: '${WHERE:-elsewhere}'}\n"
    )
    run_file(cli.folder)
    cli.run("ingest", "run.json", "--config", "c.yaml")
    assert (cli.folder / "elsewhere" / "runs").is_dir()
    cli.run("ingest", "run.json", ISSUELAKE_CONFIG="c.yaml", WHERE="third")
    assert (cli.folder / "third" / "runs").is_dir()
    cli.run("latest", "--config", "c.yaml", "--storage", "x", code=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("storage_backend: nosuch", "known are"),
        ("storage_config: {local_file: {path: x}}", "storage_path"),
        ("storage_config: {fsspec: {url: '${MISSING_ONE}'}}", "MISSING_ONE"),
        ("nonsense: 1", "storage_backend"),
        ("- 1", "mapping"),
        ("{", "not YAML"),
    ],
)
def test_wrong_configuration_names_key_and_remedy(cli: Cli, text: str, said: str) -> None:
    (cli.folder / "c.yaml").write_text(text)
    assert said in cli.run("latest", "--config", "c.yaml", code=2).stderr.decode()


def test_hostile_text_cannot_reach_the_terminal(cli: Cli) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07 [red]markup[/red]\x9b31m\r\nsecond"
    run_file(
        cli.folder,
        target_plugin=evil,
        issues_list=[{"severity": "low", "description": evil, "category": evil}],
    )
    cli.run("ingest", "run.json")
    for words in (
        ["latest"],
        ["issues"],
        ["history"],
        ["summary"],
        ["sql", "SELECT description FROM issues"],
    ):
        shown = cli.run(*words).stdout.decode()
        assert not set(shown) & set("\x1b\x07\x9b\r"), words
        assert "[red]" in shown or words[0] in ("history", "summary", "latest")


def test_schema_agrees_with_the_reader(cli: Cli) -> None:
    schema = json.loads(cli.run("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (EXAMPLES / "runs").iterdir():
        validator.validate(json.loads(path.read_text()))
    assert not validator.is_valid({"issues_list": [{"severity": "hgih", "description": "x"}]})
    assert not validator.is_valid({"pipeline_score": "85"})


def test_help_teaches() -> None:
    for words in (
        [],
        ["ingest"],
        *READING,
        ["rejected", "replay"],
        ["compact"],
        ["delete"],
        ["schema"],
        ["version"],
    ):
        command = [w for w in words if not w.startswith("SELECT") and w != "eval"]
        shown = CliRunner().invoke(app, [*command, "--help"]).output
        assert "Usage:" in shown
        if command and command[0] not in ("version",):
            assert "Example" in shown, command


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_reading_loads_neither_dagster_nor_polars(filled: Cli, words: list[str]) -> None:
    code = (
        "import sys; from pipelines.cli.app import app; app(sys.argv[1:], standalone_mode=False);"
        "loaded = {'dagster', 'polars', 'pyarrow.dataset'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code, *words], cwd=filled.folder, check=True, capture_output=True)


def test_storing_one_run_loads_neither_dagster_nor_polars(cli: Cli) -> None:
    code = (
        "import sys; from pipelines.cli.app import app; app(sys.argv[1:], standalone_mode=False);"
        "loaded = {'dagster', 'polars', 'pandas'} & set(sys.modules); assert not loaded, loaded"
    )
    path = run_file(cli.folder)
    subprocess.run(
        [sys.executable, "-c", code, "ingest", str(path)], cwd=cli.folder, check=True, capture_output=True
    )
