"""Fingerprints for a whole chunk: each distinct description is folded once, each identity hashed once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from resources import fingerprint

_PARTS = ("target_plugin", "category", "rule", "file_path", "description")


def fingerprints(
    distinct: Mapping[str, pa.Array], issues: array[int], bounds: list[int]
) -> pa.DictionaryArray:
    """The fingerprint of every issue.

    `issues` are rows of `distinct`; those of run i are `bounds[i]` to `bounds[i + 1]`.
    """
    numbers, digests = _digests(*(distinct[name] for name in _PARTS))
    prints = list(map(numbers.__getitem__, issues))
    further = _tell_apart(prints, bounds, digests)
    return pa.DictionaryArray.from_arrays(
        pa.array(prints, pa.int32()), pa.array(digests + further, pa.string())
    )


def _digests(*parts: pa.Array) -> tuple[list[int], list[str]]:
    """For each row of `parts` the number of its identity; the digests of the identities.

    What `fingerprint.identity` and `digest` give row by row.
    """
    *plain, description = parts
    identities = pc.binary_join_element_wise(
        *(part.fill_null("") for part in plain), _folded(description), fingerprint.SEPARATOR
    ).dictionary_encode()
    distinct = identities.dictionary.cast(pa.binary()).to_pylist()
    return identities.indices.to_pylist(), list(map(fingerprint.digest, distinct))


def _tell_apart(prints: list[int], bounds: list[int], digests: list[str]) -> list[str]:
    """Give the second and later equals in a run a print of their own; those, which follow `digests`."""
    further: dict[tuple[int, int], int] = {}
    for start, end in pairwise(bounds):
        of_run = prints[start:end]
        if len(set(of_run)) == len(of_run):
            continue
        seen: dict[int, int] = {}
        for row, number in enumerate(of_run, start):
            ordinal = seen.get(number, 0)
            seen[number] = ordinal + 1
            if ordinal:
                prints[row] = further.setdefault((number, ordinal), len(digests) + len(further))
    return [fingerprint.ordinal_digest(digests[number], ordinal) for number, ordinal in further]


def _folded(descriptions: pa.Array) -> pa.Array:
    """`fingerprint.fold` of each; RE2 reads the pattern as Python's `re` does."""
    distinct = descriptions.dictionary_encode()
    folded = pc.replace_substring_regex(distinct.dictionary, fingerprint.VOLATILE, fingerprint.PLACEHOLDER)
    return folded if len(folded) == len(descriptions) else folded.take(distinct.indices)
