"""A run file, taken apart into the runs it delivers."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

import msgspec

from resources.contract.exact import why_not_json
from resources.contract.model import DEFAULT_MAX_FILE_BYTES, ContractError, Delivery, Rejection

UTF8_BOM = b"\xef\xbb\xbf"
NDJSON_SUFFIXES = (".ndjson", ".jsonl")
PACKED_SUFFIXES = (".gz", ".zst")
SARIF_SUFFIXES = (".sarif", ".sarif.json")
RUN_FILE_SUFFIXES = tuple(
    base + packed for base in (".json", *NDJSON_SUFFIXES, ".sarif") for packed in ("", *PACKED_SUFFIXES)
)

SNIFFED = 512
"""Bytes in which `runs` must begin for a file to be SARIF that is not called so: every run file is
searched so far, so they are few."""

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def split(
    delivery: Delivery, max_bytes: int = DEFAULT_MAX_FILE_BYTES
) -> tuple[list[Delivery], list[Rejection]]:
    """The runs that a file delivers, and what of it is refused: all, or single runs of SARIF.

    The file's name decides: `.gz` and `.zst` are unpacked to at most `max_bytes`; `.ndjson` and
    `.jsonl` hold a run a line; `.sarif` and whatever else is a SARIF log holds runs of SARIF;
    anything else holds one run or an array of runs.
    """
    name = delivery.source.lower()
    try:
        data = _unpacked(name, delivery.raw, max_bytes)
    except ContractError as error:
        return [], [Rejection(delivery.source, delivery.raw, error.pointer, error.rule)]
    data = data.removeprefix(UTF8_BOM)
    if _without_packing(name).endswith(NDJSON_SUFFIXES):
        pieces: list[tuple[int | None, bytes]] = [
            (n, line) for n, line in enumerate(data.split(b"\n"), 1) if line.strip()
        ]
    elif is_sarif(name, data):
        from resources.contract import sarif

        return sarif.runs_of(delivery, data, max_bytes)
    elif data.lstrip()[:1] == b"[":
        try:
            pieces = [(n, bytes(raw)) for n, raw in enumerate(_decode_array(data), 1)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = why_not_json(data)
            return [], [Rejection(delivery.source, delivery.raw, why.pointer, why.rule)]
    else:
        pieces = [(None, data)]
    return [Delivery(delivery.source, raw, delivery.modified, n, delivery.plugin) for n, raw in pieces], []


def split_again(delivery: Delivery, max_bytes: int) -> tuple[list[Delivery], list[Rejection]]:
    """What a delivery that was refused holds: as `split`, or the one run that was taken out of its file."""
    if delivery.position is None:
        return split(delivery, max_bytes)
    if is_sarif(delivery.source.lower(), delivery.raw):
        from resources.contract import sarif

        return sarif.runs_of(delivery, delivery.raw, max_bytes)
    return [delivery], []


def is_sarif(name: str, data: bytes) -> bool:
    """Whether a file called `name` (lower case) that holds `data` is to be read as SARIF."""
    if _without_packing(name).endswith(SARIF_SUFFIXES):
        return True
    if data.find(b'"runs"', 0, SNIFFED) < 0:
        return False
    try:
        members = _decode_members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    schema, version = bytes(members.get("$schema", b"")), bytes(members.get("version", b""))
    return "runs" in members and (b"sarif" in schema or version == b'"2.1.0"')


def _without_packing(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".zst")


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
