"""Every distinct issue of a batch, read once: most issues stand byte for byte in the run before."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from assets.kernel.documents import documents, texts
from assets.kernel.identity import Identities
from assets.kernel.looked import may_be_deep
from resources import contract, fingerprint
from resources.contract import Issue, Shape
from resources.schema import SEVERITIES, SEVERITY_COUNTS

_OF_IDENTITY = ("target_plugin", "rule")
"""What is laid out of an issue for the sake of its identity alone."""

_MAY_STATE = b'ingerprints":{'
"""Stands in compact details with one of `fingerprint.STATED_KEYS`."""

_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines
_SEVERITY_CODES = {name: code for code, name in enumerate(SEVERITIES)}


class DistinctIssues:
    """Issues by number, each with the plugin that it is of.

    `severities` (a place in `SEVERITIES`), `hashes` (SHA-256 over the content) and `identities` have
    an entry for each.
    """

    def __init__(self) -> None:
        self.severities = bytearray()
        self.hashes: list[bytes] = []
        self.identities = array("i")
        self.size = 0
        """Bytes of the issues as delivered."""
        self._identities = Identities()
        self._numbers: dict[str, dict[bytes, int]] = {}
        self._pieces: list[dict[str, pa.Array]] = []

    def numbers(self, plugin: str) -> dict[bytes, int]:
        """The numbers of the plugin's issues, by the bytes that they were delivered in."""
        return self._numbers.setdefault(plugin, {})

    def read(self, unread: Mapping[str, Collection[bytes]], shape: Shape) -> None:
        """Give those of the `unread` bytes (by plugin) a number that are an issue beyond doubt."""
        plugins = [plugin for plugin, raws in unread.items() for _ in raws]
        raws = list(chain.from_iterable(unread.values()))
        found = shape.decode_issues(raws)
        issues = [issue for issue in found if issue is not None]
        if len(issues) != len(found):
            plugins = [plugin for plugin, issue in zip(plugins, found, strict=True) if issue is not None]
            raws = [raw for raw, issue in zip(raws, found, strict=True) if issue is not None]
        extras = [shape.issue_extra(issue) for issue in issues] if shape.issue_keys else None
        lines = _lines(issues)
        first = len(self.hashes)
        self._add(plugins, issues, extras, lines)
        sure = _sure(raws, lines)
        for number, (plugin, raw, line) in enumerate(zip(plugins, raws, lines, strict=True), first):
            if sure or _sure([raw], [line]):
                self._numbers[plugin][raw] = number
        self.size += sum(map(len, raws))

    def add(self, plugin: str, issues: Sequence[Issue], extras: dict[int, dict[str, Any]] | None) -> range:
        """The numbers of issues that were read elsewhere; `extras` by their place."""
        first = len(self.hashes)
        rows = [(extras or {}).get(place) for place in range(len(issues))]
        whole = [msgspec.to_builtins(i) | (extra or {}) for i, extra in zip(issues, rows, strict=True)]
        self._add([plugin] * len(issues), issues, rows, _lines(whole))
        return range(first, len(self.hashes))

    def fingerprints(self, issues: array[int], bounds: Sequence[int]) -> pa.DictionaryArray:
        """The fingerprints of `issues` (numbers), of which those of run i are `bounds[i]` to
        `bounds[i + 1]`."""
        return self._identities.fingerprints(list(map(self.identities.__getitem__, issues)), bounds)

    def severity_counts(self, numbers: pa.Array, bounds: pa.Array) -> dict[str, pa.Array]:
        """How many issues of each severity every run has; those of run i are the `numbers` from
        `bounds[i]` to `bounds[i + 1]`."""
        codes = [None, pa.py_buffer(bytes(self.severities))]
        severities = pa.Array.from_buffers(pa.uint8(), len(self.severities), codes).take(numbers)
        counts = {}
        for code, name in enumerate(SEVERITY_COUNTS):
            of_it = pc.equal(severities, pa.scalar(code, pa.uint8())).cast(pa.int32())
            so_far = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(of_it)]).take(bounds)
            counts[name] = pc.subtract(so_far.slice(1), so_far.slice(0, len(so_far) - 1))
        return counts

    def columns(self) -> dict[str, pa.Array]:
        """The fields of every issue, null where one is absent, and what is kept under `extra`."""
        if not self._pieces:
            self._add([], [], None, [])
        return {
            name: pa.concat_arrays([piece[name] for piece in self._pieces])
            for name in self._pieces[0]
            if name not in _OF_IDENTITY
        }

    def _add(
        self,
        plugins: Sequence[str],
        issues: Sequence[Issue],
        extras: Sequence[dict[str, Any] | None] | None,
        lines: Sequence[bytes],
    ) -> None:
        severities = [issue.severity for issue in issues]
        details = [issue.details for issue in issues]
        self.severities += bytes(map(_SEVERITY_CODES.__getitem__, severities))
        self.hashes += [sha256(line).digest() for line in lines]
        piece = {
            "target_plugin": texts(plugins),
            "rule": texts([fingerprint.rule_of(d) if d else "" for d in details]),
            "category": texts([issue.category for issue in issues]),
            "severity": texts(severities),
            "description": texts([issue.description for issue in issues]),
            "file_path": texts([issue.file_path for issue in issues]),
            "recommendation": texts([issue.recommendation for issue in issues]),
            "details": documents(details),
            "extra": pa.nulls(len(issues), pa.string()) if extras is None else documents(extras),
        }
        self.identities.extend(self._identities.number(piece, _stated(piece["details"], details)))
        self._pieces.append(piece)


def _stated(texts: pa.Array, details: Sequence[dict[str, Any] | None]) -> list[str] | None:
    """`fingerprint.stated` of each issue, or None where none states anything."""
    data = texts.buffers()[2]
    if data is None or _MAY_STATE not in bytes(data):  # a look at all at once, since hardly any do
        return None
    return ["" if not d else fingerprint.stated(d) for d in details]


def _lines(issues: Sequence[Any]) -> list[bytes]:
    """Each issue as JSON in its one canonical form."""
    # JSON has no raw line breaks in its strings.
    return _encode_lines(issues).split(b"\n")[:-1]


def _sure(raws: Sequence[bytes], lines: Sequence[bytes]) -> bool:
    """Whether no key of the issues in `raws` was lost in `lines`, and nothing in them is nested too deeply.

    Every colon is a key's or stands in a text. A key that was dropped, because it occurs twice,
    leaves the bytes with more of them than the issue has, and never with fewer.
    """
    delivered, read = b"".join(raws), b"".join(lines)
    same = delivered.count(b":") == read.count(b":")
    return same and not contract.may_hide_colons(delivered) and not may_be_deep(raws)
