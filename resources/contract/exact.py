"""Run files, read to the letter: bytes in, runs and rejections out.

`split` takes a file apart into the runs it delivers; `read_run` reads one of them. Nearly every
run takes the short way (msgspec, typed). What the short way cannot vouch for, because it failed,
or because a key occurs twice or is not in the contract, takes the long way, which walks the whole
document, keeps unknown fields and names the place and the rule of what is wrong.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from resources.schema import CHANGE_TYPES, ISSUE_FIELDS, RUN_FIELDS, SCORE_RANGE, SEVERITIES

DEFAULT_MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 200
"""Levels of nesting; far above any real `details`, far below what exhausts a reader's stack."""

UTF8_BOM = b"\xef\xbb\xbf"
NDJSON_SUFFIXES = (".ndjson", ".jsonl")
PACKED_SUFFIXES = (".gz", ".zst")
RUN_FILE_SUFFIXES = tuple(
    base + packed for base in (".json", *NDJSON_SUFFIXES) for packed in ("", *PACKED_SUFFIXES)
)

_NO_STR = cast(str, None)  # absent; unlike `str | None` it keeps refusing an explicit null
_NO_DICT = cast(dict[str, Any], None)

Severity = Literal["critical", "high", "medium", "low"]
T = TypeVar("T")
ChangeType = Literal["created", "modified", "deleted", "unknown"]
Score = Annotated[int, msgspec.Meta(ge=SCORE_RANGE[0], le=SCORE_RANGE[1])]


class Issue(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One issue as delivered; an absent field is None."""

    severity: Severity
    description: str
    category: str = _NO_STR
    file_path: str = _NO_STR
    recommendation: str = _NO_STR
    details: dict[str, Any] = _NO_DICT


class Run(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One run as delivered; an absent field is None (the score: UNSET, since it may be null)."""

    validation_run_id: str = _NO_STR
    timestamp: str = _NO_STR
    target_plugin: str = _NO_STR
    change_type: ChangeType = cast(ChangeType, None)
    pipeline_score: Score | UnsetType | None = UNSET
    metadata: dict[str, Any] = _NO_DICT
    issues_list: list[Issue] = cast(list[Issue], None)


class ContractError(Exception):
    """The run breaks the contract at `pointer` by `rule`."""

    def __init__(self, pointer: str, rule: str) -> None:
        super().__init__(f"{pointer}: {rule}")
        self.pointer = pointer
        self.rule = rule


@dataclass(slots=True)
class Delivery:
    """One run as it stands in its file: `position` is its line (NDJSON) or element (array), from 1."""

    source: str
    raw: bytes
    modified: datetime | None = None
    position: int | None = None


@dataclass(slots=True)
class Rejection:
    """A delivery that was refused, with its bytes, the place and the rule."""

    source: str
    raw: bytes
    pointer: str
    rule: str
    position: int | None = None

    @property
    def reason(self) -> str:
        return f"{self.pointer}: {self.rule}"


@dataclass(slots=True)
class ReadRun:
    """A run that keeps the contract, and the fields that the contract does not name."""

    run: Run
    extra: dict[str, Any] | None = None
    issue_extras: dict[int, dict[str, Any]] | None = None


_decode_run = msgspec.json.Decoder(Run).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode_run = msgspec.json.Encoder().encode


def split(delivery: Delivery, max_bytes: int = DEFAULT_MAX_FILE_BYTES) -> list[Delivery] | Rejection:
    """The runs that a file delivers, or why it is refused as a whole.

    The file's name decides: `.gz` and `.zst` are unpacked to at most `max_bytes`; `.ndjson` and
    `.jsonl` hold a run a line; anything else holds one run or an array of runs.
    """
    name = delivery.source.lower()
    try:
        data = _unpacked(name, delivery.raw, max_bytes)
    except ContractError as error:
        return Rejection(delivery.source, delivery.raw, error.pointer, error.rule)
    data = data.removeprefix(UTF8_BOM)
    if name.removesuffix(".gz").removesuffix(".zst").endswith(NDJSON_SUFFIXES):
        pieces = [(n, line) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    elif data.lstrip()[:1] == b"[":
        try:
            pieces = [(n, bytes(raw)) for n, raw in enumerate(_decode_array(data), 1)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = _why_not_json(data)
            return Rejection(delivery.source, delivery.raw, why.pointer, why.rule)
    else:
        return [Delivery(delivery.source, data, delivery.modified)]
    return [Delivery(delivery.source, raw, delivery.modified, n) for n, raw in pieces]


def _unpacked(name: str, data: bytes, max_bytes: int) -> bytes:
    stream: Any
    if name.endswith(".gz"):
        stream = gzip.GzipFile(fileobj=io.BytesIO(data))
    elif name.endswith(".zst"):
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.BufferReader(data), "zstd")
    else:
        stream = io.BytesIO(data)
    try:
        # One byte over the limit is enough to know; a bomb is never unpacked whole.
        unpacked = bytes(stream.read(max_bytes + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise ContractError("$", f"cannot be unpacked: {error}") from error
    if len(unpacked) > max_bytes:
        raise ContractError("$", f"more than {max_bytes} bytes unpacked (raise the limit to take it)")
    return unpacked


def read_run(raw: bytes) -> ReadRun:
    """The run in `raw`, by the short way where it can be vouched for. Raises `ContractError`."""
    try:
        run = _decode_run(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return read_run_slowly(raw)
    return ReadRun(run) if vouched(raw, run) else read_run_slowly(raw)


def vouched(raw: bytes, run: Run) -> bool:
    """Whether no key of `raw` was lost in `run`.

    Every colon of a document is a key's or stands in a string. Encoding the run again gives each
    key it kept one colon and leaves those in strings alone, so a key that was dropped (it occurs
    twice) leaves the raw document with more of them. An escaped colon would upset the count.
    """
    return b"\\u003" not in raw and raw.count(b":") == _encode_run(run).count(b":")


def decode_unvouched(raw: bytes) -> Run:
    """The run in `raw` by the short way alone; the caller vouches for whole chunks at once.

    Raises `msgspec.MsgspecError`, `UnicodeDecodeError` or `RecursionError`.
    """
    return _decode_run(raw)


def read_run_slowly(raw: bytes) -> ReadRun:
    """The run in `raw` by the long way. Raises `ContractError`."""
    return _checked_run(_parsed(raw))


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 date-time as UTC, microseconds; no offset means UTC. Raises `ContractError`."""
    try:
        moment = msgspec.convert(text, datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise ContractError("$.timestamp", f"{_shown(text)} is not an RFC 3339 date-time") from None


# --- the long way ---------------------------------------------------------------------------------


class _Pairs(list[tuple[str, Any]]):
    """An object's members before anyone has looked whether a key occurs twice."""


@dataclass(slots=True)
class _NotFinite:
    text: str


def _parse_float(text: str) -> float | _NotFinite:
    number = float(text)
    return number if number - number == 0 else _NotFinite(text)


def _parse_int(text: str) -> int | _NotFinite:
    try:
        return int(text)
    except ValueError:  # longer than sys.int_info allows
        return _NotFinite(text)


def _why_not_json(data: bytes) -> ContractError:
    try:
        _parsed(data)
    except ContractError as error:
        return error
    return ContractError("$", "not a JSON array of runs")


def _parsed(raw: bytes) -> Any:
    """The document as Python objects, with every rule about JSON itself checked."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ContractError("$", f"not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}") from None
    if not text.strip(" \t\r\n"):
        raise ContractError("$", "the document is empty")
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_constant=_NotFinite,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
        return _plain(tree, "$", 0)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise ContractError(
                "$", f"a second document begins at line {error.lineno} column {error.colno}"
            ) from None
        where = f"at line {error.lineno} column {error.colno}"
        raise ContractError("$", f"not JSON: {error.msg} {where}") from None
    except RecursionError:
        raise ContractError("$", f"nested deeper than {MAX_DEPTH} levels") from None


def _plain(value: Any, pointer: str, depth: int) -> Any:
    if isinstance(value, (_Pairs, list)) and depth >= MAX_DEPTH:
        raise ContractError(_shortened(pointer), f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, _Pairs):
        members: dict[str, Any] = {}
        for key, member in value:
            _check_text(key, pointer)
            if key in members:
                raise ContractError(_shortened(pointer), f"the key {_shown(key)} occurs twice")
            members[key] = _plain(member, _child(pointer, key), depth + 1)
        return members
    if isinstance(value, list):
        return [_plain(member, f"{pointer}[{i}]", depth + 1) for i, member in enumerate(value)]
    if isinstance(value, _NotFinite):
        raise ContractError(_shortened(pointer), f"{_shown(value.text)[1:-1]} is not a finite number")
    if isinstance(value, str):
        _check_text(value, pointer)
    return value


def _check_text(text: str, pointer: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        lone = ord(text[error.start])
        raise ContractError(_shortened(pointer), f"holds the lone surrogate U+{lone:04X}") from None


def _checked_run(document: Any) -> ReadRun:
    members = _object(document, "$")
    issues = []
    issue_extras = {}
    listed = _typed(members, "$", "issues_list", list, "an array")
    for index, element in enumerate(listed or ()):
        pointer = f"$.issues_list[{index}]"
        fields = _object(element, pointer)
        for required in ("severity", "description"):
            if required not in fields:
                raise ContractError(f"{pointer}.{required}", "is missing")
        issues.append(
            Issue(
                severity=_one_of(fields, pointer, "severity", SEVERITIES),
                description=_string(fields, pointer, "description"),
                category=_string(fields, pointer, "category"),
                file_path=_string(fields, pointer, "file_path"),
                recommendation=_string(fields, pointer, "recommendation"),
                details=_typed(fields, pointer, "details", dict, "an object"),
            )
        )
        if extra := {k: v for k, v in fields.items() if k not in ISSUE_FIELDS}:
            issue_extras[index] = extra
    run = Run(
        validation_run_id=_string(members, "$", "validation_run_id"),
        timestamp=_string(members, "$", "timestamp"),
        target_plugin=_string(members, "$", "target_plugin"),
        change_type=_one_of(members, "$", "change_type", CHANGE_TYPES),
        pipeline_score=_score(members),
        metadata=_typed(members, "$", "metadata", dict, "an object"),
        issues_list=issues,
    )
    extra = {k: v for k, v in members.items() if k not in RUN_FIELDS}
    return ReadRun(run, extra or None, issue_extras or None)


def _object(value: Any, pointer: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ContractError(pointer, f"{_shown(value)} is not an object")


def _typed(members: dict[str, Any], pointer: str, key: str, kind: type[T], called: str) -> T:
    if key not in members:
        return cast(T, None)
    value = members[key]
    if isinstance(value, kind):
        return value
    raise ContractError(f"{pointer}.{key}", f"{_shown(value)} is not {called}")


def _string(members: dict[str, Any], pointer: str, key: str) -> str:
    return _typed(members, pointer, key, str, "a string")


def _one_of(members: dict[str, Any], pointer: str, key: str, allowed: tuple[str, ...]) -> Any:
    if key in members and members[key] not in allowed:
        raise ContractError(f"{pointer}.{key}", f"{_shown(members[key])} is not one of {', '.join(allowed)}")
    return members.get(key)


def _score(members: dict[str, Any]) -> int | UnsetType | None:
    if "pipeline_score" not in members:
        return UNSET
    score = members["pipeline_score"]
    low, high = SCORE_RANGE
    whole = isinstance(score, int | float) and not isinstance(score, bool) and score == int(score)
    if score is None or (whole and low <= score <= high):
        return None if score is None else int(score)
    raise ContractError("$.pipeline_score", f"{_shown(score)} is not an integer from {low} to {high}")


def _child(pointer: str, key: str) -> str:
    return f"{pointer}.{key}" if key.isidentifier() else f"{pointer}[{json.dumps(key)}]"


def _shortened(pointer: str, limit: int = 300) -> str:
    return pointer if len(pointer) <= limit else f"{pointer[:limit]}…"


def _shown(value: Any, limit: int = 60) -> str:
    """A value as a reason quotes it: recognisable, one line, never long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = repr(value if not isinstance(value, str) else value[: limit + 1])
    return text if len(text) <= limit else f"{text[:limit]}…'"
