"""The kernel: the quick way and the exact way read alike, and the verdict is the contract's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assets import kernel
from assets.kernel import Builder, Chunk, builder
from resources import contract, fingerprint
from resources.contract import Delivery, Rejection, Shape, split

MODIFIED = datetime(2025, 8, 29, 12, tzinfo=UTC)


# --- documents, most of them sound, many of them hostile -----------------------------------------


@dataclass(frozen=True)
class Raw:
    """Text that goes into the document as it is."""

    text: str


@dataclass(frozen=True)
class Layout:
    comma: str
    colon: str
    ascii: bool


LAYOUTS = st.builds(
    Layout,
    st.sampled_from([",", ", ", " ,\n", "\t,\r\n  "]),
    st.sampled_from([":", ": ", " : ", "\n:\t"]),
    st.booleans(),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", ":", '"', "\\", "a:b", "null", "é", "line 12", "'x'", "\u2028", "\x00", "{[", "😀"]),
)
HOSTILE = st.sampled_from(
    [
        *("null", "NaN", "-Infinity", "1e400", "-1e999", "01", "tru", "", "[1,]", "[1 2]", "{}{}"),
        *('"\\ud800"', '"\\udc00x"', "'x'", '"\x01"', '"\\x"', "[" * 250 + "]" * 250),
        *('{"a":1,}', '{"a":1,"a":1}', '{"a":1,"\\u0061":2}'),
    ]
).map(Raw)
FINE = st.sampled_from(
    [
        *("1.10", "1e5", "-0", "-0.0", "85.0", "1E+2", "1" + "0" * 40, "18446744073709551616"),
        *('"\\u003a"', '"\\u003A:"', '"\\u00e9"', '"\\/"', '"\\ud83d\\ude00"', '{"\\u003a":1}'),
        *('[{"a":{"b":[]}}]', "[null]", "[" * 150 + "]" * 150, "true", "{}"),
    ]
).map(Raw)
VALUES = st.recursive(
    st.one_of(
        TEXTS, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), FINE
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=3).map(lambda d: list(d.items())).map(tuple),
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["rule", "rule_id", "line", "a:b", "x", "é"]), VALUES, max_size=4
).map(lambda d: tuple(d.items()))
UNKNOWN = st.sampled_from(["line", "rule-id", "a:b", "Severity", "class", "unknown_0", "issues", "", "é"])


def members(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    """Some of `fields` in any order, perhaps with unknown ones, rarely with a hostile change."""
    sound = st.fixed_dictionaries({}, optional=fields).map(lambda d: list(d.items()))
    unknown = st.one_of(
        st.just([]), st.lists(st.tuples(UNKNOWN, VALUES), max_size=2, unique_by=lambda m: m[0])
    )
    names = st.sampled_from(sorted(fields))
    wrong = st.lists(st.tuples(names, st.one_of(VALUES, HOSTILE)), max_size=1)
    hostile = st.one_of(st.just([]), st.just([]), st.just([]), wrong)
    return st.tuples(sound, unknown, hostile).map(lambda m: tuple(m[0] + m[1] + m[2]))


def issue() -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    needed = st.tuples(
        st.tuples(st.just("severity"), st.sampled_from(["critical", "high", "medium", "low"])),
        st.tuples(st.just("description"), TEXTS),
    )
    rest = members(category=TEXTS, file_path=TEXTS, recommendation=TEXTS, details=OBJECTS)
    return st.tuples(needed, rest).map(lambda m: m[0] + m[1])


RUNS = members(
    validation_run_id=TEXTS,
    timestamp=st.sampled_from(
        ["2025-08-29T10:00:00Z", "2025-08-29T10:00:00.123456+02:00", "2025-08-29 10:00:00", "20250829"]
    ),
    target_plugin=TEXTS,
    change_type=st.sampled_from(["created", "modified", "deleted", "unknown"]),
    pipeline_score=st.one_of(st.integers(-1, 101), st.none(), st.just(Raw("85.0")), st.just(Raw("8.5e1"))),
    metadata=OBJECTS,
    issues_list=st.lists(issue(), max_size=4),
)


def written(value: Any, layout: Layout) -> str:
    """`value` as JSON; a tuple is an object given by its members, so a key can come twice."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, tuple):
        pairs = (written(k, layout) + layout.colon + written(v, layout) for k, v in value)
        return "{" + layout.comma.join(pairs) + "}"
    if isinstance(value, list):
        return "[" + layout.comma.join(written(v, layout) for v in value) + "]"
    return json.dumps(value, ensure_ascii=layout.ascii)


SOUND = b'{"severity":"low","description":"a: b"}'
DOCUMENTS = st.builds(written, RUNS, LAYOUTS).map(lambda text: text.encode("utf-8", "surrogatepass"))


# --- an oracle of its own ------------------------------------------------------------------------


class Refused(Exception):
    pass


def keeps_the_contract(raw: bytes) -> bool:
    """The contract once more, in the plainest words."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Refused
        return dict(pairs)

    def refused(_: str) -> Any:
        raise Refused

    def finite(text: str) -> float:
        return float(text) if abs(float(text)) < float("inf") else refused(text)

    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for inner in (
            [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            yield from texts(inner)

    try:
        run = json.loads(raw.decode(), object_pairs_hook=unique, parse_constant=refused, parse_float=finite)
        "".join(texts(run)).encode()
        if not isinstance(run, dict) or depth(run) > 200:
            return False
        if "timestamp" in run:
            msgspec.convert(run["timestamp"], datetime)
    except (ValueError, Refused, RecursionError):
        return False
    issues = run.get("issues_list", [])
    score = run.get("pipeline_score")
    strings = [run.get(k, "") for k in ("validation_run_id", "timestamp", "target_plugin")]
    if not isinstance(issues, list) or not all(isinstance(i, dict) for i in issues):
        return False
    for found in issues:
        strings += [found.get(k, "") for k in ("category", "file_path", "recommendation")]
        strings.append(found.get("description"))
    return (
        all(isinstance(s, str) for s in strings)
        and all(
            isinstance(o, dict) for o in [run.get("metadata", {}), *(i.get("details", {}) for i in issues)]
        )
        and all(i.get("severity") in ("critical", "high", "medium", "low") for i in issues)
        and run.get("change_type", "unknown") in ("created", "modified", "deleted", "unknown")
        and (score is None or (not isinstance(score, bool) and isinstance(score, int | float)))
        and (score is None or (score == int(score) and 0 <= score <= 100))
    )


# --- both ways -----------------------------------------------------------------------------------


def deliveries(*documents: bytes) -> list[Delivery]:
    return [Delivery(f"{n}.json", raw, MODIFIED) for n, raw in enumerate(documents)]


def not_decoded(_: Shape, __: bytes) -> Any:
    raise msgspec.DecodeError


@contextmanager
def exactly() -> Iterator[None]:
    """Every document by the long way."""
    with mock.patch.object(Shape, "decode", not_decoded):
        yield


@contextmanager
def quickly(shape: Shape = contract.BARE) -> Iterator[None]:
    """Whatever can by the short way, with the unknown fields of `shape` expected."""
    with mock.patch.object(builder, "_expected", shape):
        yield


def rows(chunk: Chunk) -> tuple[list[Any], list[Any], list[Rejection]]:
    return chunk.runs.to_pylist(), chunk.issues.to_pylist(), chunk.rejections


SHAPES = [contract.BARE, Shape(("line", "a:b", "é"), ("rule-id", "line", "class", "unknown_0"))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.sampled_from(SHAPES))
@example([b'{"issues_list":[]}', b'{"metadata":{"a":1,"a":1}}'], contract.BARE)
@example([b'{"metadata":{"\\u003a":":"}}', b'{"metadata":{},"metadata":{}}'], contract.BARE)
@example(
    [b'{"line":null}', b'{"issues_list":[{"severity":"low","description":"","category":"","category":""}]}'],
    contract.BARE,
)
@example(
    [b'{"issues_list":[%b],"metadata":{"copy":%b}}' % (SOUND, SOUND), b'{"metadata":{"a":1,"a":1}}'],
    contract.BARE,
)
def test_both_ways_read_alike(documents: list[bytes], shape: Shape) -> None:
    """Property: which way a document takes makes no difference to what comes out."""
    with exactly():
        expected = kernel.build(deliveries(*documents))
    with quickly(shape):
        together = kernel.build(deliveries(*documents))
    assert rows(together) == rows(expected)
    assert together.runs.schema == expected.runs.schema
    assert together.issues.schema == expected.issues.schema
    refused = {int(rejection.source.removesuffix(".json")) for rejection in together.rejections}
    assert refused == {n for n, raw in enumerate(documents) if not keeps_the_contract(raw)}


def test_sound_documents_take_the_short_way() -> None:
    """The long way is for what is wrong or new; a second chunk with the same unknown fields is neither."""
    documents = [
        b'{"issues_list":[{"severity":"low","description":"a: b","line":1,"details":{"x":[1]}}],"v":2}'
    ] * 3
    with quickly():
        first = kernel.build(deliveries(*documents))
        with mock.patch.object(contract, "read_exactly", side_effect=AssertionError):
            assert rows(kernel.build(deliveries(*documents))) == rows(first)
    assert first.runs["extra"].to_pylist() == ['{"v":2}'] * 3
    assert first.issues["extra"].to_pylist() == ['{"line":1}'] * 3


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS, min_size=2, max_size=6), st.randoms())
def test_portions_in_any_order_make_the_same_chunk(documents: list[bytes], random: Any) -> None:
    """Property: who reads which portion first, and what was met before, makes no difference."""
    pieces = deliveries(*documents, *documents)
    places = list(range(0, len(pieces), 2))
    random.shuffle(places)
    reading = Builder()
    for place in places:
        reading.add(pieces[place : place + 2], place)
    assert rows(reading.finish()) == rows(kernel.build(pieces))


def test_an_issue_that_was_met_before_is_not_decoded_again() -> None:
    issue = ISSUE.encode() % b""
    runs = [b'{"target_plugin":"%s","issues_list":[%s]}' % (plugin, issue) for plugin in (b"a", b"b", b"a")]
    reading = Builder()
    reading.add(deliveries(*runs[:2]))
    with mock.patch.object(Shape, "decode_issues", side_effect=AssertionError):
        reading.add(deliveries(runs[2]), 1)
    issues = reading.finish().issues
    first, other, again = issues["fingerprint"].to_pylist()
    assert first == again != other


@pytest.mark.parametrize("name", ["a\\b", 'a"b', "a\nb", "\x00"])
def test_a_field_name_that_no_struct_can_have_stops_nothing_later(name: str) -> None:
    with mock.patch.object(builder, "_expected", contract.BARE):
        for _ in range(2):
            raw = json.dumps({name: 1, "issues_list": [{"severity": "low", "description": "x", name: 2}]})
            chunk = kernel.build([Delivery("run.json", raw.encode(), MODIFIED)])
            assert json.loads(chunk.runs["extra"][0].as_py()) == {name: 1}
            assert json.loads(chunk.issues["extra"][0].as_py()) == {name: 2}


def test_the_unknown_fields_expected_are_bounded() -> None:
    document = json.dumps({f"k{n}": n for n in range(1000)}).encode()
    with quickly():
        chunk = kernel.build(deliveries(document))
        assert len(builder._expected.run_keys) == contract.quick.MAX_EXPECTED
        assert rows(kernel.build(deliveries(document))) == rows(chunk)


# --- what is refused, and how it is said ---------------------------------------------------------

ISSUE = '{"severity":"low","description":"d"%s}'
REFUSED = [
    ("", "$: the document is empty"),
    (" \n", "$: the document is empty"),
    ("[1]", "$: an array is not an object"),
    ('"x"', "$: 'x' is not an object"),
    ("{} {}", "$: a second document begins at line 1 column 4"),
    ('{"a":1,}', "$: not JSON: "),
    ("{'a':1}", "$: not JSON: "),
    ('{"a":1,"a":2}', "$: the key 'a' occurs twice"),
    ('{"metadata":{"b":{"c":1,"c":1}}}', "$.metadata.b: the key 'c' occurs twice"),
    ('{"timestamp":"x"}', "$.timestamp: 'x' is not an RFC 3339 date-time"),
    ('{"timestamp":null}', "$.timestamp: null is not a string"),
    ('{"target_plugin":5}', "$.target_plugin: 5 is not a string"),
    (
        '{"change_type":"renamed"}',
        "$.change_type: 'renamed' is not one of created, modified, deleted, unknown",
    ),
    ('{"pipeline_score":"85"}', "$.pipeline_score: '85' is not an integer from 0 to 100"),
    ('{"pipeline_score":85.5}', "$.pipeline_score: 85.5 is not an integer from 0 to 100"),
    ('{"pipeline_score":101}', "$.pipeline_score: 101 is not an integer from 0 to 100"),
    ('{"pipeline_score":true}', "$.pipeline_score: true is not an integer from 0 to 100"),
    ('{"metadata":[]}', "$.metadata: an array is not an object"),
    ('{"metadata":{"x":NaN}}', "$.metadata.x: NaN is not a finite number"),
    ('{"metadata":{"x":[1,Infinity]}}', "$.metadata.x[1]: Infinity is not a finite number"),
    ('{"metadata":{"x":1e400}}', "$.metadata.x: 1e400 is not a finite number"),
    ('{"metadata":{"x":"\\ud800"}}', "$.metadata.x: holds the lone surrogate U+D800"),
    ('{"metadata":{"x":' + "[" * 300 + "]" * 300 + "}}", "nested deeper than 200 levels"),
    ('{"metadata":{"x":' + "[" * 199 + "]" * 199 + "}}", "nested deeper than 200 levels"),
    ('{"issues_list":null}', "$.issues_list: null is not an array"),
    ('{"issues_list":[null]}', "$.issues_list[0]: null is not an object"),
    ('{"issues_list":[{"severity":"low"}]}', "$.issues_list[0].description: is missing"),
    ('{"issues_list":[{"description":"d"}]}', "$.issues_list[0].severity: is missing"),
    (
        '{"issues_list":[{"severity":"hgih","description":"d"}]}',
        "$.issues_list[0].severity: 'hgih' is not one of critical, high, medium, low",
    ),
    (
        f'{{"issues_list":[{ISSUE % ""},{ISSUE % ""","category":null"""}]}}',
        "$.issues_list[1].category: null is not a",
    ),
    (
        f'{{"issues_list":[{ISSUE % ""","details":"x" """}]}}',
        "$.issues_list[0].details: 'x' is not an object",
    ),
]


@pytest.mark.parametrize(("document", "reason"), REFUSED)
def test_what_is_refused_and_why(document: str, reason: str) -> None:
    """The place and the rule are named; a sound run beside it is read all the same."""
    chunk = kernel.build(deliveries(b'{"validation_run_id":"sound"}', document.encode()))
    assert chunk.runs["validation_run_id"].to_pylist() == ["sound"]
    [rejection] = chunk.rejections
    assert reason in rejection.reason
    assert rejection.raw == document.encode()


def test_what_is_not_utf_8_is_refused() -> None:
    [rejection] = kernel.build(deliveries(b'{"target_plugin":"\xff"}')).rejections
    assert rejection.reason == "$: not UTF-8: byte 18 is 0xff"


def test_two_hundred_levels_are_fine() -> None:
    document = b'{"metadata":{"x":' + b"[" * 198 + b"]" * 198 + b"}}"
    assert not kernel.build(deliveries(document)).rejections


def test_one_bad_run_of_a_file_refuses_that_run_only() -> None:
    runs, _ = split(
        Delivery("x.ndjson", b'{"validation_run_id":"a"}\n{"a":1,"a":1}\n\n{"validation_run_id":"b"}')
    )
    chunk = kernel.build(runs)
    assert chunk.runs["validation_run_id"].to_pylist() == ["a", "b"]
    assert [r.position for r in chunk.rejections] == [2]


def test_numbers_keep_their_value() -> None:
    document = b'{"metadata":{"a":1.10,"b":1e5,"c":123456789012345678901234567890,"d":85.0,"e":0.1}}'
    [metadata] = kernel.build(deliveries(document)).runs["metadata"].to_pylist()
    assert json.loads(metadata) == {
        "a": 1.1,
        "b": 1e5,
        "c": 123456789012345678901234567890,
        "d": 85.0,
        "e": 0.1,
    }


# --- fingerprints and content hashes -------------------------------------------------------------


def run_of(*descriptions: str, **fields: Any) -> bytes:
    issues = [{"severity": "low", "description": text, **fields} for text in descriptions]
    return json.dumps({"validation_run_id": "r", "target_plugin": "p", "issues_list": issues}).encode()


def fingerprints(*documents: bytes) -> list[str]:
    found: list[str] = kernel.build(deliveries(*documents)).issues["fingerprint"].to_pylist()
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a 1", "a 2", "'x' b", "b", "", "é 0x1F"]), max_size=6), max_size=4)
)
def test_fingerprints_are_those_of_the_recipe(descriptions: list[list[str]]) -> None:
    documents = [run_of(*texts) for texts in descriptions]
    expected = []
    for texts in descriptions:
        seen: Counter[str] = Counter()
        for text in texts:
            digest = fingerprint.digest(fingerprint.identity("p", None, "", None, text))
            expected.append(fingerprint.ordinal_digest(digest, seen[digest]))
            seen[digest] += 1
    assert fingerprints(*documents) == expected


def test_a_shifted_line_does_not_change_a_fingerprint() -> None:
    first, second = fingerprints(run_of("'x' unused at line 12"), run_of("'y' unused at line 340"))
    assert first == second


def test_equal_issues_of_a_run_stay_apart_and_keep_their_names() -> None:
    first, second = run_of("same 1", "same 2"), run_of("same 3", "same 4", "same 5")
    prints = fingerprints(first, second)
    assert len(set(prints)) == 3
    assert prints[:2] == prints[2:4]


@pytest.mark.parametrize("key", ["rule", "rule_id", "ruleId", "code", "check_id", "test_id"])
def test_the_rule_of_the_details_tells_issues_apart(key: str) -> None:
    one, other = run_of("d", details={key: "R1"}), run_of("d", details={key: "R2"})
    with quickly():
        first, second = fingerprints(one, other)
    assert first != second


DOCUMENT = {
    "validation_run_id": "r",
    "timestamp": "2025-08-29T10:00:00Z",
    "metadata": {"b": [1, {"y": 1, "x": "é: /"}], "a": None},
    "v": 2,
    "issues_list": [
        {"severity": "low", "description": "é", "details": {"b": 1, "a": 2}, "line": 3},
        {"severity": "high", "description": "", "category": ""},
    ],
}


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shape", SHAPES)
def test_content_does_not_depend_on_the_layout(shape: Shape) -> None:
    """White space, the order of keys, escapes and the way of writing a moment leave no trace."""
    moved = reordered(DOCUMENT) | {"timestamp": "2025-08-29T12:00:00+02:00"}
    documents = [
        json.dumps(DOCUMENT),
        json.dumps(DOCUMENT, indent=3, ensure_ascii=False),
        json.dumps(moved, separators=(",", ":")).replace("/", "\\/"),
    ]
    with quickly(shape):
        chunk = kernel.build(deliveries(*(text.encode() for text in documents)))
    assert len(set(chunk.runs["content_hash"].to_pylist())) == 1


def test_different_content_has_different_hashes() -> None:
    """What moves from one field, or one issue, to the next is a change."""
    fields = [
        {"category": "ab", "file_path": "c"},
        {"category": "a", "file_path": "bc"},
        {"category": "abc", "file_path": ""},
        {"category": "abc"},
        {"category": "", "file_path": "abc"},
        {"recommendation": "abc"},
        {"details": {"category": "abc"}},
        {"category": "ab\x1f", "file_path": "c"},
        {"category": "ab", "file_path": "\x1fc"},
    ]
    documents = [run_of("d", **given) for given in fields] + [run_of("d", "d"), run_of("dd"), run_of()]
    chunk = kernel.build(deliveries(*documents))
    assert len(set(chunk.runs["content_hash"].to_pylist())) == len(documents)
