"""Every key of `query` means what `docs/asking.md` says, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assets import answers
from assets.query import Query, parse
from assets.where import compiled
from resources.config import Storage, open_storage
from resources.errors import QueryError
from tests.lake.state import append

SEVERITIES = ("critical", "high", "medium", "low")
TEXTS = (
    "Straße is narrow",
    "STRASSE is wide",
    "İstanbul",
    "istanbul",
    "ÉCOLE fermée",
    "école",
    "ΣΊΣΥΦΟΣ",
    "naïve eval()",
    "50% of _all_ 'quoted' \"text\" \\ back",
    "nul\0inside",
    "two\nlines",
)
PATHS = (
    "setup.py",
    "src/main.py",
    "src/a/b/deep.py",
    "src/a/main.js",
    "tests/test_main.py",
    "odd[1].py",
    "ünï/x.py",
)


def issue(number: int) -> dict[str, Any]:
    found = {
        "severity": SEVERITIES[number % 4],
        "description": TEXTS[number % len(TEXTS)],
        "file_path": PATHS[number % len(PATHS)],
        "category": ("security", "style", None)[number % 3],
        "recommendation": "Use literal_eval." if number % 5 == 0 else None,
    }
    return {key: value for key, value in found.items() if value is not None}


RUNS = [
    {
        "validation_run_id": f"run-{n}",
        "timestamp": f"2025-03-0{1 + n % 4}T12:00:00Z",  # several runs in one moment
        "target_plugin": f"plugin-{n % 2}",
        "issues_list": [issue(n * 7 + m) for m in range(7)],
    }
    for n in range(12)
]
ISSUES = [
    {"severity": None, "category": None, "file_path": None, "recommendation": None}
    | found
    | {"run": run["validation_run_id"], "index": index, "plugin": run["target_plugin"]}
    for run in RUNS
    for index, found in enumerate(run["issues_list"])
]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    opened = open_storage(str(tmp_path_factory.mktemp("query") / "lake"))
    append(opened.backend, RUNS)
    return opened


def ask(storage: Storage, **keys: Any) -> dict[str, Any]:
    data = answers.issues(storage, parse(keys), "search_issues")["issues_data"]
    assert data["returned_count"] == len(data["issues"])
    return dict(data)


def found(storage: Storage, **keys: Any) -> set[tuple[str, int]]:
    data = ask(storage, limit=1000, **keys)
    assert data["filtered_count"] == len(data["issues"]) <= data["total_count"]
    return {(i["validation_run_id"], i["issue_index"]) for i in data["issues"]}


def those(holds: Callable[[dict[str, Any]], bool]) -> set[tuple[str, int]]:
    chosen = {(i["run"], i["index"]) for i in ISSUES if holds(i)}
    assert 0 < len(chosen) < len(ISSUES), "says nothing"
    return chosen


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "descriptions"),
    [
        ("straße", {"Straße is narrow"}),
        ("STRAẞE", {"Straße is narrow"}),
        ("strasse", {"STRASSE is wide"}),  # case is folded letter by letter
        ("ISTANBUL", {"İstanbul", "istanbul"}),
        ("istanbul", {"İstanbul", "istanbul"}),
        ("İSTANBUL", {"İstanbul", "istanbul"}),
        ("École", {"ÉCOLE fermée", "école"}),
        ("FERMÉE", {"ÉCOLE fermée"}),
        ("NAÏVE", {"naïve eval()"}),
        ("50%", {"50% of _all_ 'quoted' \"text\" \\ back"}),
        ("_ALL_ 'quoted'", {"50% of _all_ 'quoted' \"text\" \\ back"}),
        ("back \\", {"50% of _all_ 'quoted' \"text\" \\ back"}),
        ("nul\0INSIDE", {"nul\0inside"}),
        ("lines two", {"two\nlines"}),
    ],
)
def test_text_is_found_in_any_case(storage: Storage, text: str, descriptions: set[str]) -> None:
    assert found(storage, text=text) == those(lambda i: i["description"] in descriptions)


def test_words_may_stand_in_different_columns(storage: Storage) -> None:
    wanted = those(
        lambda i: (
            i["recommendation"] is not None and i["file_path"].endswith(".py") and "ï" in i["description"]
        )
    )
    assert found(storage, text="LITERAL_EVAL naïve .PY") == wanted
    assert found(storage, text="literal_eval literal_eval nowhere-to-be-found") == set()


# --- globs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("setup.py", {"setup.py"}),
        ("*.py", set(PATHS) - {"src/a/main.js"}),
        ("src/*", {p for p in PATHS if p.startswith("src/")}),
        ("src/*.py", {"src/main.py", "src/a/b/deep.py"}),
        ("src/**/*.py", {"src/main.py", "src/a/b/deep.py"}),
        ("**/main.*", {"src/main.py", "src/a/main.js"}),
        ("**/setup.py", {"setup.py"}),
        ("src/**/b/**/deep.py", {"src/a/b/deep.py"}),
        ("**/[st]*/main.??", {"src/main.py", "src/a/main.js"}),
        ("**/od[!a-c][[]1].py", {"odd[1].py"}),
        ("src/**", {p for p in PATHS if p.startswith("src/")}),
        ("src/?ain.py", {"src/main.py"}),
        ("src/????.py", {"src/main.py"}),
        ("[st]*/*main.py", {"src/main.py", "tests/test_main.py"}),
        ("[!s]*", {"tests/test_main.py", "odd[1].py", "ünï/x.py"}),
        ("odd[[]1].py", {"odd[1].py"}),
        ("?n?/x.py", {"ünï/x.py"}),
        ("SETUP.PY", set()),
        ("src", set()),
        ("odd[1].py", set()),
        ("[", set()),
        ("**/(", set()),
        ("s\\etup.py", set()),
        ("[ü-ý]n[ï]/x.py", {"ünï/x.py"}),
    ],
)
def test_globs(storage: Storage, glob: str, paths: set[str]) -> None:
    wanted = {(i["run"], i["index"]) for i in ISSUES if i["file_path"] in paths}
    assert found(storage, file_path=glob) == wanted


# --- where ---------------------------------------------------------------------------------------


def _sql_like(text: str | None) -> bool:
    return text is not None and text.startswith("src/")


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("severity = 'high'", lambda i: i["severity"] == "high"),
        ("SEVERITY <= 'high'", lambda i: i["severity"] in ("critical", "high")),
        ("'high' >= severity", lambda i: i["severity"] in ("critical", "high")),
        ("severity BETWEEN 'high' AND 'medium'", lambda i: i["severity"] in ("high", "medium")),
        ("severity NOT IN ('high', 'low')", lambda i: i["severity"] in ("critical", "medium")),
        ("severity LIKE 'h%'", lambda i: i["severity"] == "high"),
        ("category IS NULL", lambda i: i["category"] is None),
        ("category IS NOT NULL", lambda i: i["category"] is not None),
        ("NOT (category = 'style')", lambda i: i["category"] == "security"),
        ("file_path LIKE 'src/%'", lambda i: _sql_like(i["file_path"])),
        ("file_path NOT LIKE 'src/%'", lambda i: not _sql_like(i["file_path"])),
        (
            "file_path ILIKE 'SRC/%' AND NOT category = 'style'",
            lambda i: _sql_like(i["file_path"]) and i["category"] == "security",
        ),
        (
            "category = 'style' OR category = 'security' AND issue_index > 3",
            lambda i: i["category"] == "style" or (i["category"] == "security" and i["index"] > 3),
        ),
        (
            "(category = 'style' OR category = 'security') AND issue_index > 3",
            lambda i: i["category"] is not None and i["index"] > 3,
        ),
        ("issue_index > -1.5 AND issue_index <> 2", lambda i: i["index"] != 2),
        ("issue_index NOT BETWEEN 1 AND 5", lambda i: i["index"] in (0, 6)),
        ("timestamp >= '2025-03-03' AND run_date < '2025-03-04'", lambda i: int(i["run"][4:]) % 4 == 2),
        ("timestamp = '2025-03-01T14:00:00+02:00'", lambda i: int(i["run"][4:]) % 4 == 0),
        ("description = 'nul\0inside'", lambda i: i["description"] == "nul\0inside"),
        ("description LIKE '%''quoted''%'", lambda i: "'quoted'" in i["description"]),
        ("target_plugin > description", lambda i: i["plugin"] > i["description"]),
        ("1 = 1 AND category = 'style'", lambda i: i["category"] == "style"),
        ("false OR category = 'style' -- a remark", lambda i: i["category"] == "style"),
    ],
)
def test_where(storage: Storage, where: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    assert found(storage, where=where) == those(holds)


REFUSED = {
    "severity = 'foo'": "'critical', 'high', 'medium', 'low'",
    "severity IN ('high', 'hgih')": "hgih",
    "severity < 1": "severity",
    "timestamp > 'abc'": "2025-08-29T10:00:00Z",
    "timestamp > 20250101": "timestamp",
    "run_date = '2025-02-30'": "2025-08-29",
    "issue_index = 'one'": "a number",
    "description > 1": "a text in single quotes",
    'description = "no such column"': "no such column",
    "timestamp LIKE '2025%'": "LIKE",
    "severity < category": "two types",
    "nonsense = 1": "nonsense",
    "issues.category = 'a'": "issues.category",
    "category": "not a condition",
    "1": "not a condition",
    "true AND 1": "not a condition",
    "": "where",
    "   ": "where",
    "-- nothing": "where",
    "category = 'open": "where",
    "true; DROP TABLE issues": "one condition",
    "true) OR (true": "where",
    "true ORDER BY 1": "one condition",
    "true UNION SELECT 1": "where",
    "category IN (SELECT 'a')": "not a condition",
    "category IN ()": "where",
    "category IN file_path": "where",
    "category IN (description)": "category",
    "EXISTS (SELECT 1)": "not a condition",
    "getenv('HOME') = 'x'": "where",
    "length(description) > 3": "where",
    "category = current_user": "where",
    "category = $1": "where",
    "category = ?": "where",
    "category::VARCHAR = 'a'": "where",
    "category || 'a' = 'ba'": "where",
    "category LIKE 'a' ESCAPE 'b'": "not a condition",
    "category LIKE ANY ('a', 'b')": "LIKE",
    "category IS DISTINCT FROM 'a'": "not a condition",
    "category SIMILAR TO 'a'": "not a condition",
    "CASE WHEN true THEN true END": "not a condition",
    "(" * 5000 + "true" + ")" * 5000: "nested too deeply",
    "NOT " * 5000 + "true": "nested too deeply",
    "category = 'a" + "x" * 200_000 + "'": "200000",
    "category = '\ud800'": "query.where",
}


@pytest.mark.parametrize("where", REFUSED, ids=lambda where: where[:30])
def test_where_lets_nothing_else_through(storage: Storage, where: str) -> None:
    with pytest.raises(QueryError) as error:
        ask(storage, where=where)
    assert REFUSED[where] in str(error.value)
    assert len(str(error.value)) < 600


def test_no_text_of_where_reaches_the_sql() -> None:
    condition, values = compiled("description = 'it''s' OR file_path IN ('a\\', '''')")
    assert values == ["it's", "a\\", "'"]
    assert condition == '(("description" = ?) OR "file_path" IN (?, ?))'


def test_long_lists_and_chains(storage: Storage) -> None:
    many = [f"'c{n}'" for n in range(20_000)]
    wanted = those(lambda i: i["category"] == "style")
    assert found(storage, where=f"category IN ({', '.join([*many, chr(39) + 'style' + chr(39)])})") == wanted
    assert found(storage, category=[*(f"c{n}" for n in range(20_000)), "style"]) == wanted
    chain = " OR ".join(f"category = 'c{n}'" for n in range(2_000))
    assert found(storage, where=f"{chain} OR category = 'style'") == wanted
    nested = "(" * 10 + "category = 'style'" + ")" * 10
    assert found(storage, where=nested) == wanted


# --- hostile values ------------------------------------------------------------------------------

HOSTILE = ("'", '"', "\0", "\ud800", "x" * 10_000, "' OR 1=1 --", "\\", "%", "_", "*" * 1000, "[" * 1000,
           "**/" * 2000, "{}", "$1", "?", "\n", "é\u0301", "[[]]" * 500, "a " * 5000, "(" * 1000)  # fmt: skip
TEXT_KEYS = ("plugin_name", "run_id", "fingerprint", "file_path", "text", "sort", "where", "date_from",
             "date_to", "min_severity")  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value[:8]))
def test_hostile_values_get_an_answer_or_one_sentence(storage: Storage, value: str) -> None:
    for key in TEXT_KEYS:
        check_answer_or_refusal(storage, {key: value})
    for key in ("severity", "category"):
        check_answer_or_refusal(storage, {key: [value]})


def check_answer_or_refusal(storage: Storage, keys: dict[str, Any]) -> None:
    try:
        data = ask(storage, **keys)
    except QueryError:
        return
    json.dumps(data)
    assert data["returned_count"] <= data["filtered_count"] <= data["total_count"] <= len(ISSUES)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TEXT_KEYS), st.text(max_size=30))
@example("text", "İ\u0307ß")
def test_any_text_gets_an_answer_or_one_sentence(storage: Storage, key: str, value: str) -> None:
    check_answer_or_refusal(storage, {key: value})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 999_999}, "narrow"),
        ({"severity": "high"}, "severity"),
        ({"severity": ["hgih"]}, "hgih"),
        ({"severity": None}, "severity"),
        ({"nonsense": 1}, "nonsense"),
        ({"sort": "details"}, "details"),
        ({"date_from": "2025-02-30"}, "date_from"),
        ({"date_to": "0001-01-01T00:00:00+23:59"}, "date_to"),
        ({"text": "\udfff"}, "query.text"),
        ({"category": ["\udfff"]}, "query.category"),
        ({"text": " ".join(map(str, range(101)))}, "101 words"),
        ({"file_path": "[z-a]"}, "not a glob"),
        ({"all": True}, "delete_issues"),
        ({"dry_run": True}, "delete_issues"),
        ({"all": "yes"}, "all"),
    ],
)
def test_wrong_keys_are_named(storage: Storage, keys: dict[str, Any], said: str) -> None:
    for reading in (answers.issues, answers.summary, answers.history):
        with pytest.raises(QueryError, match=said):
            reading(storage, parse(keys))


def test_the_ends_of_time(storage: Storage) -> None:
    assert len(found(storage, date_from="0001-01-01", date_to="9999-12-31")) == len(ISSUES)
    assert ask(storage, date_from="9999-12-31")["total_count"] == 0
    assert ask(storage, date_from="2025-03-04", date_to="2025-03-01")["total_count"] == 0


# --- pages and counts ----------------------------------------------------------------------------

KEYS = st.fixed_dictionaries(
    {},
    optional={
        "severity": st.lists(st.sampled_from(SEVERITIES), max_size=2),
        "category": st.lists(st.sampled_from(["security", "style"]), max_size=1),
        "plugin_name": st.sampled_from(["plugin-0", "plugin-1", "other"]),
        "min_severity": st.sampled_from(SEVERITIES),
        "date_from": st.sampled_from(["2025-03-02", "2025-03-03T12:00:00Z"]),
        "text": st.sampled_from(["py", "école", "eval", "main is", "nowhere"]),
        "file_path": st.sampled_from(["src/*", "*", "**/main.*"]),
        "where": st.sampled_from(["category IS NULL", "issue_index < 3"]),
        "sort": st.sampled_from(
            [
                "severity",
                "-severity,category",
                "category",
                "-category",
                "file_path,-timestamp",
                "run_date",
                "-run_date",
            ]
        ),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS, st.integers(1, 40), st.sampled_from([0, 10**6]))
def test_pages_put_together_are_the_whole(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], size: int, few: int
) -> None:
    whole = ask(storage, limit=1000, **keys)
    assert whole["filtered_count"] == len(whole["issues"])
    with monkeypatch.context() as patched:
        patched.setattr(answers, "_FEW_ISSUES", few)
        pages, offset = [], 0
        while offset <= whole["filtered_count"]:
            page = ask(storage, limit=size, offset=offset, **keys)
            assert page["filtered_count"] == whole["filtered_count"]
            assert page["total_count"] == whole["total_count"]
            pages += page["issues"]
            offset += size
        assert pages == whole["issues"]
        assert ask(storage, limit=1, offset=offset, **keys)["issues"] == []


@pytest.mark.parametrize(
    "sort", ["severity", "-severity", "category", "-category", "file_path,-issue_index", "timestamp"]
)
def test_the_order_is_that_of_the_sort(storage: Storage, sort: str) -> None:
    data = ask(storage, sort=sort, limit=1000, min_severity="low")["issues"]
    name, descending = sort.partition(",")[0].removeprefix("-"), sort.startswith("-")
    values = [SEVERITIES.index(i[name]) if name == "severity" else i[name] for i in data]
    filled = [value for value in values if value is not None]
    assert values[: len(filled)] == filled, "what has no value comes last"
    assert filled == sorted(filled, reverse=descending)


def test_each_issue_is_read_once(storage: Storage) -> None:
    """Both counts and the page take one pass over the runs and one over the issues."""
    statements: list[str] = []

    def work(connection: Any) -> None:
        class Noting:
            def execute(self, statement: str, *parameters: Any) -> Any:
                statements.append(statement)
                return connection.execute(statement, *parameters)

        from assets import query

        chosen = query.compile(Query(text="main", limit=3))
        answers._page(Noting(), chosen)  # type: ignore[arg-type]

    storage.backend.reading(work)
    assert len(statements) == 2


def test_an_empty_lake_checks_the_query_too(tmp_path: Path) -> None:
    empty = open_storage(str(tmp_path))
    assert ask(empty, text="x", where="severity = 'high'")["total_count"] == 0
    with pytest.raises(QueryError):
        ask(empty, where="timestamp > 'abc'")
