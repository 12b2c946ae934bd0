"""Taking over the single file in which the plugin that this project grows out of kept its runs.

    {"validation_history": [run, …], "current_issues": run, "last_updated": moment}

It is read once, the first time that the lake beside it is opened, and left untouched. A file in the
lake says so from then on. Whoever opens the lake while another process is at it waits; after a crash
all is read again, and what had been stored is a duplicate.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from resources.backend import Backend
from resources.errors import ConfigError, StorageError
from resources.files import make_folders
from resources.lake import Lake

if TYPE_CHECKING:
    from resources.contract import Delivery, Rejection

HISTORY, CURRENT, UPDATED = "validation_history", "current_issues", "last_updated"

MARK = "taken-over.json"
"""In the lake: its old history has been taken over."""

_LOCK = ".taking-over.lock"
_PART_BYTES = 32 * 1024 * 1024
"""Of runs that are stored together; a single one may be larger."""

_COUNTS = ("total_issues", "critical_issues", "high_issues", "medium_issues", "low_issues")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class TakenOver:
    """What became of the runs of an old history."""

    history: str
    runs_stored: int = 0
    duplicates: int = 0
    runs_rejected: int = 0


def take_over(backend: Backend) -> TakenOver | None:
    """Store the runs of the old history that belongs to `backend`, unless that has been done.

    A run that breaks the contract is kept as rejected, and the log warns of it. None where there
    was nothing to do. Raises `ConfigError` for a file that is no such history, and `StorageError`.
    """
    if not isinstance(backend, Lake) or backend.history is None:
        return None
    # The lake lies beside the history, in a local folder.
    mark = os.path.join(backend.url, MARK)
    if os.path.exists(mark) or not os.path.exists(backend.history):
        return None
    members = _members(backend.history)  # before anything is made for a file that is none
    with _alone(backend):
        if os.path.exists(mark):
            return None
        done = _store(backend, backend.history, members)
        backend.files.publish(MARK, msgspec.json.encode({**asdict(done), "at": datetime.now(UTC)}))
    _log.warning(
        "Took %d runs of %s over into %s; %d were rejected%s.",
        done.runs_stored,
        done.history,
        backend.url,
        done.runs_rejected,
        ": see `issuelake rejected list`" if done.runs_rejected else "",
    )
    return done


def _store(lake: Lake, history: str, members: dict[str, Any]) -> TakenOver:
    from assets import kernel

    done = TakenOver(history)
    for deliveries, summaries in _parts(history, members):
        chunk = kernel.build(deliveries)
        rejections = summaries + chunk.rejections
        lake.reject(rejections)
        done.runs_rejected += len(rejections)
        if chunk.runs.num_rows:
            appended = lake.append(chunk.runs, chunk.issues)
            done.runs_stored += appended.runs_stored
            done.duplicates += appended.duplicates
    return done


def _parts(history: str, members: dict[str, Any]) -> Iterator[tuple[list[Delivery], list[Rejection]]]:
    """The runs as deliveries, some at a time, and what is only the summary of one."""
    from resources.contract import Delivery, Rejection

    last_change = _moment(_plain(members.get(UPDATED))) or datetime.fromtimestamp(
        os.stat(history).st_mtime, UTC
    )
    deliveries: list[Delivery] = []
    summaries: list[Rejection] = []
    size = 0
    for position, raw in _runs(members):
        run = _plain(raw)
        moment = (_moment(run.get("stored_timestamp")) if isinstance(run, dict) else None) or last_change
        if isinstance(run, dict) and "issues_list" not in run and any(run.get(count) for count in _COUNTS):
            rule = "absent, but the run counts issues: a summary is not the run"
            summaries.append(Rejection(history, raw, "$.issues_list", rule, position))
        else:
            deliveries.append(Delivery(history, raw, moment, position))
        size += len(raw)
        if size >= _PART_BYTES:
            yield deliveries, summaries
            deliveries, summaries, size = [], [], 0
    yield deliveries, summaries


def _runs(members: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The runs in the order in which they were stored; the newest of them stands in two places."""
    runs = [bytes(raw) for raw in members[HISTORY]]
    yield from enumerate(runs, 1)
    current = bytes(members.get(CURRENT, b"null"))
    if _plain(current) and (not runs or _plain(current) != _plain(runs[-1])):
        yield len(runs) + 1, current


def _members(history: str) -> dict[str, Any]:
    """The members of the file; `validation_history` as a list, the rest and the runs as bytes."""
    try:
        with open(history, "rb") as file:
            data = file.read()
    except OSError as error:
        raise StorageError(f"Could not read {history}: {error.strerror}.") from error
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        listed = msgspec.json.decode(members.get(HISTORY, b"[]"), type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members, listed = _members_read_by_python(history, data)
    if not {HISTORY, CURRENT} & members.keys():
        raise _not_a_history(history, f"it has neither {HISTORY} nor {CURRENT}")
    return {**members, HISTORY: listed}


def _members_read_by_python(history: str, data: bytes) -> tuple[dict[str, Any], list[Any]]:
    """The same of a file with NaN in it, say, which the plugin wrote: the run that has it is rejected."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _not_a_history(history, f"it is not JSON ({error})") from None
    if not isinstance(document, dict) or not isinstance(document.get(HISTORY, []), list):
        raise _not_a_history(history, f"it is not an object with a list under {HISTORY}")
    members = {name: json.dumps(member).encode() for name, member in document.items() if name != HISTORY}
    found = {HISTORY: b""} if HISTORY in document else {}
    return {**members, **found}, [json.dumps(run).encode() for run in document.get(HISTORY, [])]


def _not_a_history(history: str, why: str) -> ConfigError:
    return ConfigError(
        f"local_file.storage_path names the file {history}, which is not a history of the plugin: {why}."
        " Give the folder of a lake; run files are taken in by `issuelake ingest`."
    )


def _plain(raw: Any) -> Any:
    """What the bytes say; None for what cannot be read, which the contract then refuses."""
    try:
        return None if raw is None else json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return None


def _moment(text: Any) -> datetime | None:
    """The moment that the plugin wrote down, in UTC."""
    from resources.contract import ContractError, parse_timestamp

    try:
        return parse_timestamp(text) if isinstance(text, str) else None
    except ContractError:
        return None


@contextmanager
def _alone(lake: Lake) -> Iterator[None]:
    """Wait until no other process is at it; the system lets go of the lock of one that was killed."""
    try:
        make_folders(lake.url)
        handle = os.open(os.path.join(lake.url, _LOCK), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"Could not write to {lake.url}: {error.strerror}.") from error
