"""Fingerprints in bulk: each distinct description is folded once, each identity hashed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from resources import fingerprint

_PARTS = ("target_plugin", "category", "rule", "file_path")


class Identities:
    """Identities by number, and the fingerprints that they have."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        """Of each fingerprint, which is shorter than what it is the digest of."""

    def number(self, issues: Mapping[str, pa.Array], stated: Sequence[str] | None) -> list[int]:
        """For each of `issues` the number of its identity, as `fingerprint.identity` makes it; `stated`
        is what each states of its own, None where none does."""
        what = _folded(issues["description"])
        if stated is not None:
            own = pa.array(stated, pa.string())
            what = pc.if_else(pc.equal(own, ""), what, own)
        plain = (issues[name].fill_null("") for name in _PARTS)
        identities = pc.binary_join_element_wise(*plain, what, fingerprint.SEPARATOR).dictionary_encode()
        distinct = [
            self._numbers.setdefault(fingerprint.digest(identity), len(self._numbers))
            for identity in identities.dictionary.cast(pa.binary()).to_pylist()
        ]
        return list(map(distinct.__getitem__, identities.indices.to_pylist()))

    def fingerprints(self, identities: list[int], bounds: Sequence[int]) -> pa.DictionaryArray:
        """The fingerprints of issues whose `identities` are given; those of run i are `bounds[i]` to
        `bounds[i + 1]`."""
        digests = list(self._numbers)
        further = _tell_apart(identities, bounds, len(digests))
        digests += [fingerprint.ordinal_digest(digests[number], ordinal) for number, ordinal in further]
        return pa.DictionaryArray.from_arrays(
            pa.array(identities, pa.int32()), pa.array(digests, pa.string())
        )


def _tell_apart(identities: list[int], bounds: Sequence[int], first: int) -> list[tuple[int, int]]:
    """Number the second and later equals in a run from `first` on; which of which those numbers are."""
    further: dict[tuple[int, int], int] = {}
    for start, end in pairwise(bounds):
        of_run = identities[start:end]
        met = set(of_run)
        if len(met) == len(of_run):
            continue
        met.clear()
        ordinals: dict[int, int] = {}
        for row, number in enumerate(of_run, start):
            if number in met:
                ordinals[number] = ordinal = ordinals.get(number, 0) + 1
                identities[row] = further.setdefault((number, ordinal), first + len(further))
            else:
                met.add(number)
    return list(further)


def _folded(descriptions: pa.Array) -> pa.Array:
    """`fingerprint.fold` of each; RE2 reads the pattern as Python's `re` does."""
    distinct = descriptions.dictionary_encode()
    folded = pc.replace_substring_regex(distinct.dictionary, fingerprint.VOLATILE, fingerprint.PLACEHOLDER)
    return folded if len(folded) == len(descriptions) else folded.take(distinct.indices)
