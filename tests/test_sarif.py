"""SARIF in: real scanners' files, every result counted, whatever is wrong with a file named."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import kernel
from assets.inbox import Inbox, take_in
from assets.ingest import ingest
from resources import contract, fingerprint
from resources.contract import Delivery, Rejection
from resources.files import open_files
from resources.lake import Lake

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "sarif"
SEMGREP = json.loads((FIXTURES / "semgrep.sarif").read_bytes())
CODEQL = json.loads((FIXTURES / "codeql.sarif").read_bytes())
MODIFIED = datetime(2025, 8, 29, 12, tzinfo=UTC)


def read(document: Any, name: str = "results.sarif") -> tuple[list[dict[str, Any]], list[Rejection]]:
    """The runs of a file as rows, each with its `issues`, and what was refused."""
    raw = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    deliveries, refused = contract.split(Delivery(name, raw, MODIFIED))
    chunk = kernel.build(deliveries)
    assert not chunk.rejections, "what was taken from SARIF keeps the contract"
    rows = chunk.runs.to_pylist()
    for row in rows:
        row["issues"] = []
    for issue in chunk.issues.to_pylist():
        issue["details"] = json.loads(issue["details"])
        rows[issue["run_index"]]["issues"].append(issue)
    return rows, refused


def issues(document: Any) -> list[dict[str, Any]]:
    rows, refused = read(document)
    assert not refused, refused[0].reason
    return [issue for row in rows for issue in row["issues"]]


def reason(document: Any) -> str:
    rows, [refused] = read(document)
    assert not rows
    return refused.reason


def log(*results: dict[str, Any], rules: Any = (), **run: Any) -> dict[str, Any]:
    tool = {"driver": {"name": "probe", "rules": list(rules)}}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": list(results)} | run]}


def result(**members: Any) -> dict[str, Any]:
    return {"message": {"text": "it is wrong"}, "ruleId": "R1"} | members


def at(**location: Any) -> dict[str, Any]:
    return result(locations=[{"physicalLocation": {"artifactLocation": location}}])


# --- real tools ------------------------------------------------------------------------------------


def run(*command: str, code: int = 0, stdin: bytes = b"", cwd: Path = ROOT) -> bytes:
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def issuelake(lake: Path, *words: str, code: int = 0, stdin: bytes = b"") -> Any:
    main = "from pipelines.cli import main; main()"
    out = run(
        sys.executable, "-W", "error", "-c", main, *words, "--storage", str(lake), "--json",
        code=code, stdin=stdin,
    )  # fmt: skip
    return json.loads(out)


def beside(command: str) -> str:
    return str(Path(sys.executable).with_name(command))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what ruff and bandit say about this project, and the made files."""
    folder = tmp_path_factory.mktemp("scans")
    ruff = [beside("ruff"), "check", "--isolated", "--no-cache", "--select", "ALL", "--exit-zero"]
    (folder / "ruff.sarif").write_bytes(run(*ruff, "--output-format", "sarif", "assets", "resources"))
    bandit = [beside("bandit"), "-q", "-r", "-f", "sarif", "-o", str(folder / "bandit.sarif")]
    run(*bandit, "--exit-zero", "assets", "tests")
    for name in ("semgrep.sarif", "codeql.sarif"):
        (folder / name).write_bytes((FIXTURES / name).read_bytes())
    return folder


def summary(*files: Path) -> dict[str, int]:
    """What `sarif summary` counts, by level."""
    text = run(beside("sarif"), "summary", *map(str, files)).decode()
    found = re.findall(r"^(error|warning|note|none): (\d+)$", text, re.M)
    return {level: int(count) for level, count in found if int(count)}


def test_results_are_counted_as_sarif_summary_counts_them(scans: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    done = issuelake(lake, "ingest", str(scans))
    assert (done["files"], done["runs_stored"], done["runs_rejected"]) == (4, 4, 0)
    query = "SELECT details->>'level' AS level, count(*) AS n FROM issues WHERE {} GROUP BY ALL"
    for tool in ("ruff", "Bandit", "Semgrep OSS"):
        rows = issuelake(lake, "sql", query.format(f"target_plugin = '{tool}'"))
        ours = {row["level"]: row["n"] for row in rows}
        assert ours == summary(scans / f"{tool.split()[0].lower()}.sarif")
    assert done["issues_stored"] == sum(summary(scans).values())
    findings = re.search(r'issuelake sql "(FROM issues .*)"', (ROOT / "docs" / "sarif.md").read_text("utf-8"))
    assert findings
    marked = 2  # a suppressed one and a passed one, both made
    assert len(issuelake(lake, "sql", findings[1])) == done["issues_stored"] - marked


def test_what_ruff_and_bandit_say_arrives_whole(scans: Path) -> None:
    for name, tool in (("ruff", "ruff"), ("bandit", "Bandit")):
        document = json.loads((scans / f"{name}.sarif").read_bytes())
        [row], _ = read(document)
        delivered = document["runs"][0]["results"]
        assert row["target_plugin"] == tool
        assert len(row["issues"]) == len(delivered) > 100
        for issue, said in zip(row["issues"], delivered, strict=True):
            place = said["locations"][0]["physicalLocation"]
            assert issue["description"] == said["message"]["text"].strip()
            assert issue["details"]["rule"] == said["ruleId"]
            assert issue["details"]["line"] == place["region"]["startLine"]
            assert issue["file_path"] == place["artifactLocation"]["uri"].removeprefix("file://")
            assert issue["details"]["help_uri"].startswith("https://")
        fixes = [f["fixes"][0]["description"]["text"] for f in delivered if "fixes" in f]
        assert set(fixes) <= {issue["recommendation"] for issue in row["issues"]}


def test_delivered_twice_packed_and_on_standard_input_it_is_one_run(tmp_path: Path) -> None:
    raw = (FIXTURES / "codeql.sarif").read_bytes()
    (tmp_path / "a.sarif").write_bytes(b"\xef\xbb\xbf" + raw)
    (tmp_path / "b.SARIF.json.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "c.sarif.zst").write_bytes(zstd(raw))
    (tmp_path / "d.json").write_bytes(raw)
    lake = tmp_path / "lake"
    done = issuelake(lake, "ingest", str(tmp_path))
    assert (done["files"], done["runs_stored"], done["duplicates"]) == (4, 1, 3)
    done = issuelake(lake, "ingest", "-", stdin=raw)
    assert (done["runs_stored"], done["duplicates"], done["runs_rejected"]) == (0, 1, 0)


def zstd(raw: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(raw, "zstd", asbytes=True))


def test_one_bad_run_is_refused_alone_and_replayed_when_mended(tmp_path: Path) -> None:
    bad, good = deepcopy(CODEQL["runs"][0]), SEMGREP["runs"][0]
    bad["results"][1]["level"] = "eror"
    source, lake = tmp_path / "two.sarif.gz", tmp_path / "lake"
    source.write_bytes(gzip.compress(json.dumps({"version": "2.1.0", "runs": [good, bad]}).encode()))
    done = issuelake(lake, "ingest", str(source), code=1)
    assert (done["runs_stored"], done["runs_rejected"]) == (1, 1)
    assert done["rejections"] == [
        f"{source}:2: $.runs[1].results[1].level: 'eror' is not one of error, warning, note, none"
    ]
    [rejected] = issuelake(lake, "rejected", "list")["rejected"]
    kept = json.loads(issuelake(lake, "rejected", "show", rejected["rejected_id"])["content"])
    assert kept == {"version": "2.1.0", "runs": [bad]}
    assert issuelake(lake, "rejected", "replay", code=1)["taken"] == 0
    mended = tmp_path / "mended.json"
    bad["results"][1]["level"] = "error"
    mended.write_text(json.dumps(kept | {"runs": [bad]}, indent=2))
    replayed = issuelake(lake, "rejected", "replay", rejected["rejected_id"], "--mended", str(mended))
    assert (replayed["taken"], replayed["runs_stored"], replayed["issues_stored"]) == (1, 1, 4)
    assert issuelake(lake, "rejected", "list")["count"] == 0


def test_a_file_refused_whole_is_kept_as_it_came_and_replayed(tmp_path: Path) -> None:
    source, lake = tmp_path / "old.sarif", tmp_path / "lake"
    raw = json.dumps(SEMGREP | {"version": "2.0.0"}).encode()
    source.write_bytes(raw)
    done = issuelake(lake, "ingest", str(source), code=1)
    assert done["rejections"] == [f"{source}: $.version: '2.0.0' is not 2.1.0"]
    [rejected] = issuelake(lake, "rejected", "list")["rejected"]
    assert issuelake(lake, "rejected", "show", rejected["rejected_id"])["content"].encode() == raw
    mended = FIXTURES / "semgrep.sarif"
    assert issuelake(lake, "rejected", "replay", "--mended", str(mended))["issues_stored"] == 4


def test_the_inbox_takes_sarif(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    waiting = tmp_path / "inbox" / "codeql.sarif"
    waiting.write_bytes((FIXTURES / "codeql.sarif").read_bytes())
    lake = Lake(open_files(str(tmp_path / "lake")))
    taken = take_in(Inbox(str(tmp_path / "inbox")), partial(ingest, lake))
    assert (taken.ingested.runs_stored, taken.ingested.issues_stored, taken.removed) == (1, 4, 1)
    assert not waiting.exists()


# --- the mapping -----------------------------------------------------------------------------------


def test_semgrep() -> None:
    tainted, xml, suppressed, reviewed = issues(SEMGREP)
    assert (tainted["category"], tainted["severity"]) == ("security", "high")
    assert tainted["file_path"] == "web/café/views.py"
    assert tainted["recommendation"] == "Pass user data as parameters of the query."
    assert [step["line"] for step in tainted["details"]["code_flow"]] == [8, 12]
    assert tainted["details"]["fingerprints"] == {"matchBasedId/v1": "7c1d0f3d9e_0"}
    assert tainted["details"]["partialFingerprints"] == {"matchBasedId/v1": "5d2c81aa90_0"}
    assert (xml["severity"], xml["recommendation"]) == ("medium", "Parse with defusedxml.")
    assert suppressed["details"]["suppressed"] is True
    assert suppressed["details"]["justification"] == "nosemgrep: known"
    assert suppressed["category"] == "python.lang.correctness.no-way-out"
    assert reviewed["details"]["suppressed"] is False


def test_codeql() -> None:
    [row], _ = read(CODEQL)
    assert row["validation_run_id"] == "9b1a2c3d-0000-4000-8000-00000000abcd"
    assert row["timestamp"] == datetime(2025, 8, 29, 10, 0, 0, 250_000, UTC)
    assert row["target_plugin"] == "payments/language:python/CodeQL"
    assert "not-to-be-kept" not in json.dumps(row, default=str)
    metadata = json.loads(row["metadata"])
    assert metadata["tool"] == {"name": "CodeQL", "organization": "GitHub", "version": "2.20.1"}
    assert metadata["version_control"][0]["repository"] == "https://github.com/example/payments.git"
    injection, unused, weak, fine = row["issues"]
    assert (injection["severity"], injection["details"]["security_severity"]) == ("critical", 9.8)
    assert injection["file_path"] == "services/billing/src/db access.py"
    assert injection["details"]["locations"] == [{"file_path": "src/util.py", "line": 7}]
    assert injection["details"]["related_locations"][0]["message"] == "user-provided value"
    assert unused["description"] == "Import of 'os' is not used in this file {sic}."
    assert (unused["severity"], unused["file_path"]) == ("low", "src/util.py")
    assert (weak["severity"], weak["file_path"]) == ("high", None)
    assert (fine["severity"], fine["details"]["kind"], fine["details"]["level"]) == ("low", "pass", "none")


@pytest.mark.parametrize(
    ("level", "security", "severity"),
    [
        ("error", None, "high"),
        ("warning", None, "medium"),
        ("note", None, "low"),
        ("none", None, "low"),
        (None, None, "medium"),
        ("note", "9.0", "critical"),
        ("note", 8.9, "high"),
        ("note", "7.0", "high"),
        ("error", "6.9", "medium"),
        ("error", "4", "medium"),
        ("error", "0.1", "low"),
        ("error", "0.0", "high"),
        ("error", "nan", "high"),
        ("error", "11", "high"),
        ("error", True, "high"),
        ("error", ["9"], "high"),
    ],
)
def test_severity(level: str | None, security: Any, severity: str) -> None:
    rule = {"id": "R1", "properties": {} if security is None else {"security-severity": security}}
    [issue] = issues(log(result(**({} if level is None else {"level": level})), rules=[rule]))
    assert issue["severity"] == severity


def test_levels_come_from_the_rule_and_the_invocation_where_the_result_has_none() -> None:
    rules = [{"id": "R1", "defaultConfiguration": {"level": "error"}}, {"id": "R2"}]
    override = {"descriptor": {"id": "R1"}, "configuration": {"level": "note"}}
    found = issues(
        log(
            result(),
            result(provenance={"invocationIndex": 0}),
            result(ruleId="R2"),
            result(ruleId="R1/part"),
            result(kind="open"),
            rules=rules,
            invocations=[{"executionSuccessful": True, "ruleConfigurationOverrides": [override]}],
        )
    )
    assert [i["details"]["level"] for i in found] == ["error", "note", "warning", "error", "none"]


@pytest.mark.parametrize("index", [-1, 1, 99, 10**30])
def test_a_rule_index_out_of_range_is_looked_up_by_id(index: int) -> None:
    if index > 2**62:
        [issue] = issues(log(result(), rules=[{"id": "R1", "name": "named"}]))
    else:
        [issue] = issues(log(result(ruleIndex=index), rules=[{"id": "R1", "name": "named"}]))
    assert issue["details"]["rule_name"] == "named"


def test_without_rules_the_id_is_the_category() -> None:
    [issue] = issues(
        {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [result()]}]}
    )
    assert (issue["category"], issue["details"]["rule"]) == ("R1", "R1")


def test_without_a_message_text_the_rule_speaks() -> None:
    rule = {"id": "R1", "shortDescription": {"text": "short"}}
    texts = [{}, {"id": "unknown"}, {"markdown": "*marked*"}, {"text": "{0} {1}", "arguments": ["a{1}"]}]
    found = issues(log(*(result(message=m) for m in texts), {"ruleId": "R1"}, rules=[rule]))
    assert [i["description"] for i in found] == ["short", "short", "*marked*", "a{1} {1}", "short"]
    nothing = reason(log({"message": {}}))
    assert nothing == "$.runs[0].results[0].message: has no text, and its rule has no description"


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ({"uri": "src/a.py"}, "src/a.py"),
        ({"uri": "./src/../src/a.py"}, "src/a.py"),
        ({"uri": "src/%C3%BC%20%25.py"}, "src/ü %.py"),
        ({"uri": "src/ünï.py"}, "src/ünï.py"),
        ({"uri": "src/%FF.py"}, "src/%FF.py"),
        ({"uri": "file:///srv/a.py"}, "/srv/a.py"),
        ({"uri": "file:/srv/a.py"}, "/srv/a.py"),
        ({"uri": "file://localhost/srv/a.py"}, "/srv/a.py"),
        ({"uri": "file://share/dir/a.py"}, "//share/dir/a.py"),
        ({"uri": "file:///C:/dir/a%20b.cs"}, "C:/dir/a b.cs"),
        ({"uri": "C:\\dir\\a.cs"}, "C:/dir/a.cs"),
        ({"uri": "dir\\a.cs"}, "dir/a.cs"),
        ({"uri": "https://u:secret@host/a.py?x"}, "https://host/a.py"),
        ({"uri": "a.py", "uriBaseId": "SRC"}, "sub/a.py"),
        ({"uri": "a.py", "uriBaseId": "ROOT"}, "a.py"),
        ({"uri": "file:///repo/x/a.py"}, "x/a.py"),
        ({"uri": "file:///repository/a.py"}, "/repository/a.py"),
        ({"uri": "a.py", "uriBaseId": "LOOP"}, "b/a/a.py"),
        ({"uri": "a.py", "uriBaseId": "SELF"}, "s/a.py"),
        ({"uri": "a.py", "uriBaseId": "NOWHERE"}, "a.py"),
        ({"index": 0}, "art/ifact.py"),
        ({"index": 7}, None),
        ({}, None),
    ],
)
def test_file_paths(location: dict[str, Any], path: str | None) -> None:
    bases = {
        "ROOT": {"uri": "file:///repo/"},
        "SRC": {"uri": "sub/", "uriBaseId": "ROOT"},
        "LOOP": {"uri": "a/", "uriBaseId": "POOL"},
        "POOL": {"uri": "b/", "uriBaseId": "LOOP"},
        "SELF": {"uri": "s/", "uriBaseId": "SELF"},
    }
    artifacts = [{"location": {"uri": "art/ifact.py"}}]
    [issue] = issues(log(at(**location), originalUriBaseIds=bases, artifacts=artifacts))
    assert issue["file_path"] == path


def test_the_same_checkout_elsewhere_gives_the_same_fingerprints() -> None:
    def seen_at(root: str) -> list[str]:
        document = log(at(uri=f"file://{root}src/a.py"), originalUriBaseIds={"R": {"uri": f"file://{root}"}})
        return [issue["fingerprint"] for issue in issues(document)]

    assert seen_at("/home/one/checkout/") == seen_at("/srv/two/")


def test_a_stated_fingerprint_is_preferred_to_the_description() -> None:
    def seen(text: str, **stated: Any) -> str:
        return str(issues(log(result(message={"text": text}, **stated)))[0]["fingerprint"])

    full, partial = {"fingerprints": {"id/v1": "abc"}}, {"partialFingerprints": {"id/v1": "def"}}
    assert seen("one", **full) == seen("quite another", **full)
    assert seen("one", **full) != seen("one", fingerprints={"id/v1": "other"})
    assert seen("one", **full, **partial) == seen("one", **full)
    assert seen("one", **partial) not in (seen("one", **full), seen("one"))
    assert seen("one", fingerprints={"id/v1": "abc", "id/v2": "xyz"}) == seen("one", **full)
    assert seen("one", fingerprints={"id/v1": "requires login"}) == seen("one")


def test_stated_fingerprints_are_those_of_the_recipe() -> None:
    given = [
        result(fingerprints={"id": str(n // 2)} if n % 3 else {}, message={"text": f"'{n}' in part {n % 7}"})
        for n in range(500)
    ]
    found = issues(log(*given))
    seen: Counter[str] = Counter()
    for issue in found:
        stated = fingerprint.stated(issue["details"])
        identity = fingerprint.identity("probe", "R1", "R1", None, issue["description"], stated)
        digest = fingerprint.digest(identity)
        assert issue["fingerprint"] == fingerprint.ordinal_digest(digest, seen[digest])
        seen[digest] += 1


def test_a_run_without_results_is_clean_and_one_that_found_out_nothing_is_not() -> None:
    [row], _ = read(log())
    assert row["issues"] == []
    for results in (None, ...):
        document = log()
        document["runs"][0].pop("results")
        if results is None:
            document["runs"][0]["results"] = None
        assert reason(document).startswith("$.runs[0].results: is missing or null")
    assert read({"version": "2.1.0", "runs": []}) == ([], [])


def test_properties_that_stand_elsewhere() -> None:
    reference = {"guid": "11111111-1111-1111-8888-111111111111", "itemCount": 1}
    document = log(externalPropertyFileReferences={"results": [reference]})
    del document["runs"][0]["results"]
    assert "its results are in another file" in reason(document)
    document["inlineExternalProperties"] = [
        {"guid": reference["guid"], "results": [at(index=0)], "artifacts": [{"location": {"uri": "in.py"}}]}
    ]
    [issue] = issues(document)
    assert issue["file_path"] == "in.py"


def test_thirteen_thousand_results() -> None:
    given = [result(message={"text": f"wrong in {n}"}, level="error") for n in range(13_000)]
    assert len(issues(log(*given))) == 13_000


def test_what_a_rule_says_cannot_be_multiplied_without_end() -> None:
    long = "x" * 100_000
    rule = {
        "id": "R1",
        "name": long,
        "help": {"text": long},
        "helpUri": long,
        "fullDescription": {"text": long},
    }
    rule |= {"messageStrings": {"m": {"text": "{0}" * 30_000}}, "properties": {"tags": [long] * 60}}
    given = [result(message={"id": "m", "arguments": [long]})] * 50
    assert sum(len(json.dumps(issue)) for issue in issues(log(*given, rules=[rule]))) < 50 * 40_000


def test_a_run_that_grows_beyond_the_limit_is_refused() -> None:
    rule = {"id": "R1", "help": {"text": "x" * 2000}}
    raw = json.dumps(log(*[result()] * 2000, rules=[rule])).encode()
    taken, [refused] = contract.split(Delivery("x.sarif", raw), 1_000_000)
    assert len(raw) < 1_000_000
    assert not taken
    assert refused.pointer == "$.runs[0]"
    assert "raise the limit" in refused.rule


def test_runs_share_one_limit_and_what_they_share_counts_for_each() -> None:
    document = log(*[result()] * 100, rules=[{"id": "R1", "help": {"text": "x" * 2000}}])
    document["runs"] *= 10
    raw = json.dumps(document).encode()
    taken, refused = contract.split(Delivery("x.sarif", raw), 1_000_000)
    assert len(taken) + len(refused) == 10
    assert sum(len(delivery.raw) for delivery in taken) <= 1_000_000
    assert refused
    document["inlineExternalProperties"] = [{"guid": "x" * 200_000}]
    taken, [whole] = contract.split(Delivery("x.sarif", json.dumps(document).encode()), 1_000_000)
    assert (taken, whole.position) == ([], None)


def test_a_rule_is_that_of_the_component_that_the_result_names() -> None:
    def component(name: str, level: str) -> dict[str, Any]:
        rules = [{"id": "R1", "defaultConfiguration": {"level": level}}]
        return {"name": name, "guid": f"guid-{name}", "rules": rules}

    references: list[dict[str, Any]] = [{}, {"index": 0}, {"index": 1}, {"name": "b"}, {"guid": "guid-a"}]
    document = log(*(result(rule={"index": 0, "toolComponent": reference}) for reference in references))
    document["runs"][0]["tool"] = {
        "driver": component("driver", "none"),
        "extensions": [component("a", "note"), component("b", "error")],
    }
    levels = [issue["details"]["level"] for issue in issues(document)]
    assert levels == ["none", "note", "error", "error", "note"]


def test_what_is_still_under_review_is_not_suppressed() -> None:
    accepted, reviewed = {"kind": "inSource"}, {"kind": "external", "status": "underReview"}
    both, one = issues(log(result(suppressions=[accepted, reviewed]), result(suppressions=[accepted])))
    assert (both["details"]["suppressed"], one["details"]["suppressed"]) == (False, True)
    assert both["details"]["suppressions"][0] == {"kind": "inSource", "status": "accepted"}


# --- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "$: the document is empty"),
        (b"[]", "$: an array is not an object"),
        (b'{"version": "2.1.0"}', "$.runs: is missing"),
        (b'{"runs": []}', "$.version: is missing"),
        (b'{"version": 2.1, "runs": []}', "$.version: 2.1 is not 2.1.0"),
        (b'{"version": "2.1.0", "runs": null}', "$.runs: null is not an array"),
        (b'{"version": "2.1.0", "runs": [3]}', "$.runs[0]: 3 is not an object"),
        (b'{"version": "2.1.0", "runs": [{}]}', "$.runs[0].tool: is missing"),
        (b'{"version": "2.1.0", "runs": [], "runs": []}', "$: the key 'runs' occurs twice"),
        (b'{"version": "2.1.0", "runs": [{"a": 1, "a": 2}]}', "$.runs[0]: the key 'a' occurs twice"),
        (b'{"version": "2.1.0", "runs": [{"a": {"b": 1, "\\u0062": 2}}]}',
         "$.runs[0].a: the key 'b' occurs twice"),
        (b'{"version": "2.1.0", "runs": [{"x": NaN}]}', "not"),
        (b'{"version": "2.1.0", "runs": [{"x": 1e400}]}', "$.runs[0].x: 1e400 is not a finite number"),
        (b'{"version": "2.1.0", "runs": [{"x": "\\ud800"}]}', "$.runs[0].x: holds the lone surrogate U+D800"),
        (b'{"version": "2.1.0", "runs": [{"x": "\xff"}]}', "$.runs[0]: not UTF-8"),
        (b'{"version": "2.1.0", "runs": [', "$: not JSON"),
    ],
)  # fmt: skip
def test_files_that_are_no_sarif(raw: bytes, said: str) -> None:
    assert said in reason(raw)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"message": 5}, "message: 5 is not an object"),
        ({"message": {"text": 5}}, "message.text: 5 is not a string"),
        ({"kind": "bad"}, "kind: 'bad' is not one of fail, open, review"),
        ({"ruleIndex": "0"}, "ruleIndex: '0' is not an integer"),
        ({"locations": {}}, "locations: an object is not an array"),
        ({"locations": [{"physicalLocation": {"region": {"startLine": "1"}}}]},
         "locations[0].physicalLocation.region.startLine: '1' is not an integer"),
        ({"fingerprints": {"a": 1}}, "fingerprints[...]: a value is not a string"),
        ({"level": None}, "level: null is not a string"),
        ({"suppressions": [{}]}, "suppressions[0].kind: is missing"),
        ({"properties": {"deep": json.loads("[" * 195 + "]" * 195)}},
         "properties: nested deeper than 200 levels"),
    ],
)  # fmt: skip
def test_results_that_are_none(members: dict[str, Any], said: str) -> None:
    fine = [result()] * 700
    assert f"$.runs[0].results[700].{said}" in reason(log(*fine, result(**members)))


def test_nested_a_thousand_deep() -> None:
    deep = b'{"version": "2.1.0", "runs": [{"x": ' + b"[" * 1000 + b"]" * 1000 + b"}]}"
    assert "nested deeper than 200 levels" in reason(deep)


def test_other_documents_are_not_taken_for_sarif() -> None:
    document = {"target_plugin": "x", "metadata": {"runs": []}, "runs": [1], "version": "1"}
    [row], refused = read(document, "run.json")
    assert (row["target_plugin"], refused) == ("x", [])
    [row], _ = read(CODEQL, "-")
    assert len(row["issues"]) == 4


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(
        [[], {}, [[]], [None], [{}], {"": {}}, "file:///", "%", "\\", "a:b", "/", "..", "2025-13-01"]
    ),
)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container in `tree` with each of its keys."""
    found = []
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in members:
        found += [(tree, key), *places(value)]
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([SEMGREP, CODEQL]), st.data())
def test_whatever_is_changed_every_run_is_accounted_for(document: Any, data: st.DataObject) -> None:
    document = deepcopy(document)
    document["runs"] *= data.draw(st.integers(1, 2))
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        if data.draw(st.booleans()):
            container[key] = data.draw(JUNK)
        else:
            del container[key]
    rows, refused = read(document)
    whole = [r for r in refused if r.position is None]
    assert (rows, refused) == ([], whole) if whole else len(rows) + len(refused) == len(document["runs"])
    for rejection in refused:
        kept, _ = contract.split_again(
            Delivery(rejection.source, rejection.raw, MODIFIED, rejection.position), 10**9
        )
        assert not kept
        assert rejection.pointer.startswith("$")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([SEMGREP, CODEQL]), st.data())
def test_whatever_is_broken_in_its_bytes_the_file_is_accounted_for(
    document: Any, data: st.DataObject
) -> None:
    raw = json.dumps(document).encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 40)))
    rows, refused = read(raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:])
    assert len(rows) + len(refused) <= 1
