"""Fingerprints for a whole chunk: each distinct description is folded once, each identity hashed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise, repeat
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from assets.kernel.columns import Columns
from resources import fingerprint
from resources.session import cursor, sql

BULK_ISSUES = 2000
"""From here on vectors pay; fewer would not repay the import of DuckDB."""

_MAY_STATE = b'ingerprints":{'
"""Stands in compact details with one of `fingerprint.STATED_KEYS`."""


def fingerprints(columns: Columns, plugins: pa.Array, run_index: pa.Array) -> pa.Array:
    """The fingerprint of every issue; `plugins` and `run_index` have a row per issue too."""
    rules = _rules(columns.details)
    stated = _stated(columns)
    texts = columns.issue_texts
    parts = (
        plugins,
        texts["category"],
        pa.array(rules, pa.string()),
        texts["file_path"],
        texts["description"],
    )
    if len(rules) >= BULK_ISSUES:
        return _in_bulk(parts, stated, run_index)
    identities = map(fingerprint.identity, *(part.to_pylist() for part in parts), stated or repeat(""))
    digests = list(map(fingerprint.digest, identities))
    per_run = (fingerprint.tell_apart(digests[start:end]) for start, end in pairwise(columns.bounds))
    return pa.array(list(chain.from_iterable(per_run)), pa.string())


def _rules(documents: Sequence[dict[str, Any] | None]) -> list[str]:
    """`fingerprint.rule_of` each of `documents`; the first key that can name a rule mostly does."""
    key = fingerprint.RULE_KEYS[0]
    rules = [None if details is None else details.get(key) for details in documents]
    if set(map(type, rules)) == {str}:
        return cast(list[str], rules)
    return ["" if not details else fingerprint.rule_of(details) for details in documents]


def _stated(columns: Columns) -> list[str] | None:
    """`fingerprint.stated` of each issue, or None where none states anything."""
    data = columns.issue_texts["details"].buffers()[2]
    if data is None or _MAY_STATE not in bytes(data):  # a look at all at once, since hardly any do
        return None
    return ["" if not details else fingerprint.stated(details) for details in columns.details]


def _in_bulk(parts: tuple[pa.Array, ...], stated: list[str] | None, run_index: pa.Array) -> pa.Array:
    """What `fingerprint.identity`, `digest` and `tell_apart` give row by row."""
    *plain, description = parts
    what = _folded(description)
    if stated is not None:
        own = pa.array(stated, pa.string())
        what = pc.if_else(pc.equal(own, ""), what, own)
    identities = pc.binary_join_element_wise(
        *(part.fill_null("") for part in plain), what, fingerprint.SEPARATOR
    ).dictionary_encode()
    digests = _digests(identities.dictionary).take(identities.indices)
    return _told_apart(digests, identities.indices, run_index)


def _folded(descriptions: pa.Array) -> pa.Array:
    """`fingerprint.fold` of each; RE2 reads the pattern as Python's `re` does."""
    distinct = descriptions.dictionary_encode()
    folded = pc.replace_substring_regex(distinct.dictionary, fingerprint.VOLATILE, fingerprint.PLACEHOLDER)
    return folded if len(folded) == len(descriptions) else folded.take(distinct.indices)


def _digests(identities: pa.Array) -> pa.Array:
    """`fingerprint.digest` of each; hashed by DuckDB, which lets go of the interpreter meanwhile."""
    with cursor() as connection:
        connection.register("identities", pa.table({"identity": identities}))
        digests = connection.sql(sql("assets", "kernel_digests")).to_arrow_table()["digest"]
        return digests.cast(pa.string()).combine_chunks()


def _told_apart(digests: pa.Array, identity: pa.Array, run_index: pa.Array) -> pa.Array:
    """`fingerprint.tell_apart` for every run at once; `identity` numbers the distinct identities."""
    places = pc.add(pc.shift_left(run_index.cast(pa.int64()), 32), identity.cast(pa.int64()))
    if pc.count_distinct(places).as_py() == len(places):
        return digests
    counts = pc.value_counts(places)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    mask = pc.is_in(places, repeated)
    seen: Counter[Any] = Counter()
    told_apart = []
    for place, digest in zip(places.filter(mask).to_pylist(), digests.filter(mask).to_pylist(), strict=True):
        told_apart.append(fingerprint.ordinal_digest(digest, seen[place]))
        seen[place] += 1
    return pc.replace_with_mask(digests, mask, pa.array(told_apart, pa.string()))
