"""Each step of an ingest by every library that can do it: the evidence for who does it.

A function a way; all ways of one step give the same rows. What an ingest uses, and why, stands
with each step.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq

from benchmarks import generate
from benchmarks.measure import Row, Setup, duration, interleaved, scratch, seconds
from resources.fingerprint import PLACEHOLDER, VOLATILE
from resources.schema import SEVERITIES

TITLE = "Who does which step of an ingest, and why"

FIELDS = ("category", "severity", "description", "file_path", "recommendation", "details")


@dataclass(frozen=True)
class Step:
    """One step: the ways to do it, the one that an ingest uses, and the reason."""

    what: str
    chosen: str
    why: str
    ways: Mapping[str, Callable[[], Any]]


def run(setup: Setup) -> list[Row]:
    small = _contents(generate.small_files(setup.scale(4_000, 1_000)))
    big = _contents(generate.big_files(4))
    with scratch() as folder:
        return [_row(step, setup.rounds) for step in _steps(small, big, folder)]


def _steps(small: list[bytes], big: list[bytes], folder: Path) -> list[Step]:
    issues = parse_msgspec(big)
    descriptions = issues["description"].combine_chunks()
    identities = pc.binary_join_element_wise(issues["file_path"], issues["description"], "\x1f")
    identities = identities.combine_chunks()
    return [
        _parsing(f"parse {len(small):,} small files", small),
        _parsing(f"parse {len(big)} big files", big),
        Step(
            f"fold {len(issues):,} descriptions",
            "pyarrow",
            "near the quickest, imported anyway, and on one core, so worker processes do not get in each"
            " other's way",
            {
                "pyarrow": partial(pc.replace_substring_regex, descriptions, VOLATILE, PLACEHOLDER),
                "polars": partial(_fold_polars, descriptions),
                "DuckDB": partial(_in_duckdb, "regexp_replace(text, $1, $2, 'g')", descriptions, _FOLDING),
                "re": partial(_fold_re, descriptions),
            },
        ),
        Step(
            f"hash {len(issues):,} identities (MD5)",
            "DuckDB",
            "lets go of the interpreter meanwhile; polars and pyarrow have no hash that is the same"
            " everywhere and for ever",
            {
                "DuckDB": partial(_in_duckdb, "md5(text)", identities, ()),
                "hashlib": partial(_hash_hashlib, identities),
            },
        ),
        Step(
            f"sort {len(issues):,} issues",
            "pyarrow, one integer key",
            "plugin, severity and place in one number: nothing is compared but numbers, and nothing is copied"
            " to another library and back",
            {
                "pyarrow, one integer key": partial(_sort_integer, issues),
                "pyarrow, three keys": partial(_sort_pyarrow, issues),
                "polars": partial(_sort_polars, issues),
                "DuckDB": partial(_sort_duckdb, issues),
            },
        ),
        Step(
            f"write {len(issues):,} issues as Parquet",
            "pyarrow",
            "writes what is in memory already, into bytes that any storage can publish whole; says column by"
            " column what gets a dictionary and statistics",
            {
                "pyarrow": partial(_write_pyarrow, issues, folder),
                "polars": partial(_write_polars, issues, folder),
                "DuckDB": partial(_write_duckdb, issues, folder),
            },
        ),
    ]


def _parsing(what: str, contents: list[bytes]) -> Step:
    return Step(
        what,
        "msgspec",
        "the only one that refuses what breaks the contract, and says where; the others null it, guess a"
        " type or fail as a whole. They run on all cores here, msgspec on one; an ingest runs it on all too,"
        " in worker processes",
        {
            "msgspec": partial(parse_msgspec, contents),
            "DuckDB": partial(parse_duckdb, contents),
            "polars": partial(parse_polars, contents),
            "pyarrow": partial(parse_pyarrow, contents),
        },
    )


def _row(step: Step, rounds: int) -> Row:
    timed = {name: partial(seconds, way) for name, way in step.ways.items()}
    samples = interleaved(timed, rounds)
    medians = {name: median(values) for name, values in samples.items()}
    ranked = sorted(medians, key=medians.__getitem__)
    others = ", ".join(f"{name} {duration(medians[name])}" for name in ranked if name != step.chosen)
    return Row(
        step.what,
        f"{step.chosen} {duration(medians[step.chosen])}",
        others,
        f"{ranked.index(step.chosen) + 1}. of {len(ranked)}",
        samples=samples,
        note=f"{step.chosen}: {step.why}.",
    )


def _contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*.json"))]


class _Issue(msgspec.Struct, gc=False):
    severity: str
    description: str
    category: str | None = None
    file_path: str | None = None
    recommendation: str | None = None
    details: dict[str, Any] | None = None


class _Run(msgspec.Struct, gc=False):
    issues_list: list[_Issue] = []


_decode = msgspec.json.Decoder(_Run).decode
_encode = msgspec.json.Encoder().encode


def parse_msgspec(contents: list[bytes]) -> pa.Table:
    """Typed objects, then columns; `details` as text."""
    issues = list(chain.from_iterable(_decode(content).issues_list for content in contents))
    columns = dict(
        zip(_Issue.__struct_fields__, zip(*map(msgspec.structs.astuple, issues), strict=True), strict=True)
    )
    columns["details"] = tuple(None if d is None else _encode(d).decode() for d in columns["details"])
    return pa.table({name: pa.array(columns[name], pa.string()) for name in FIELDS})


_STRUCTURE = json.dumps(
    {"issues_list": [{name: "JSON" if name == "details" else "VARCHAR" for name in FIELDS}]}
)


def parse_duckdb(contents: list[bytes]) -> pa.Table:
    """`from_json` over a column of documents; `details` as text."""
    documents = pa.table({"text": pa.array(contents, pa.binary()).cast(pa.string())})
    with duckdb.connect() as connection:
        connection.register("documents", documents)
        query = f"""
            SELECT unnest(run.issues_list, recursive := true)
            FROM (SELECT from_json(text, '{_STRUCTURE}') AS run FROM documents)
        """
        return connection.sql(query).to_arrow_table()


def parse_polars(contents: list[bytes]) -> pl.DataFrame:
    """`json_decode`; `details` as a structure that is known beforehand."""
    fields = {name: pl.String() for name in FIELDS[:-1]}
    details = {
        "rule": pl.String,
        "line": pl.Int64,
        "column": pl.Int64,
        "fixable": pl.Boolean,
        "tool": pl.String,
    }
    run = pl.Struct({"issues_list": pl.List(pl.Struct({**fields, "details": pl.Struct(details)}))})
    documents = pl.Series("run", [content.decode() for content in contents])
    return documents.str.json_decode(run).struct.field("issues_list").explode().struct.unnest()


def parse_pyarrow(contents: list[bytes]) -> pa.Table:
    """`read_json` of one document a line; `details` as a structure that it finds out."""
    block = max(map(len, contents)) * 2 + (1 << 20)
    lines = pa.BufferReader(b"\n".join(contents))
    table = pyarrow.json.read_json(lines, pyarrow.json.ReadOptions(block_size=block))
    return pa.Table.from_struct_array(pc.list_flatten(table["issues_list"]))


_FOLDING = (VOLATILE, PLACEHOLDER)
_volatile = re.compile(VOLATILE)


def _fold_re(texts: pa.Array) -> list[str]:
    return [_volatile.sub(PLACEHOLDER, text) for text in texts.to_pylist()]


def _fold_polars(texts: pa.Array) -> pl.Series:
    return pl.Series(texts).str.replace_all(VOLATILE, PLACEHOLDER)


def _hash_hashlib(texts: pa.Array) -> pa.Array:
    return pa.array([hashlib.md5(text.encode()).hexdigest() for text in texts.to_pylist()])


def _in_duckdb(expression: str, texts: pa.Array, parameters: tuple[str, ...]) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("texts", pa.table({"text": texts}))
        query = f"SELECT {expression} AS answer FROM texts"
        return connection.sql(query, params=list(parameters) or None).to_arrow_table()


_KEYS = ("file_path", "severity", "category")


def _sort_integer(issues: pa.Table) -> pa.Table:
    groups = issues["file_path"].combine_chunks().dictionary_encode()
    rank = pc.rank(groups.dictionary, tiebreaker="dense").take(groups.indices).cast(pa.int64())
    severity = pc.index_in(issues["severity"], pa.array(SEVERITIES)).cast(pa.int64())
    key = pc.add(pc.shift_left(rank, 3), severity.combine_chunks())
    return issues.take(pc.sort_indices(key))


def _sort_pyarrow(issues: pa.Table) -> pa.Table:
    return issues.sort_by([(key, "ascending") for key in _KEYS])


def _sort_polars(issues: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(issues).sort(_KEYS)


def _sort_duckdb(issues: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("issues", issues)
        return connection.sql(f"FROM issues ORDER BY {', '.join(_KEYS)}").to_arrow_table()


def _write_pyarrow(issues: pa.Table, folder: Path) -> None:
    pq.write_table(issues, folder / "pyarrow.parquet", compression="zstd")


def _write_polars(issues: pa.Table, folder: Path) -> None:
    pl.DataFrame(issues).write_parquet(folder / "polars.parquet", compression="zstd")


def _write_duckdb(issues: pa.Table, folder: Path) -> None:
    with duckdb.connect() as connection:
        connection.register("issues", issues)
        target = folder / "duckdb.parquet"
        connection.execute(f"COPY issues TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
