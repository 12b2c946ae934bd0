"""From an operation document to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from assets import query as queries
from assets.answers import Answer, operation_result, selection
from assets.query import Query
from pipelines.operations.document import Document, parse
from pipelines.operations.health import COUNTERS, status
from pipelines.operations.storages import forget, opened
from resources.backends.custom import only_installed
from resources.config import AUTO, Configured, Storage, active, configuration, configured
from resources.errors import IssuelakeError, QueryError, StorageError, UsageError
from resources.secrets import scrubbed

UNKNOWN = "unknown"
"""The operation of an answer to what could not be understood as far as to know it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """An answer, and whether it says that the request itself was wrong."""

    answer: Answer
    misused: bool = False


def run(
    document: Any, storage: str | None = None, config: str | Path | None = None, owned: bool = False
) -> Answer:
    """The answer to `document`; a failure of any kind is an answer too.

    `storage` or `config` (as for `resources.config.open_storage`) give the storage where the
    document does not; without them `ISSUELAKE_CONFIG` does. A document may come from anybody, so its
    `storage_config` has no code imported that is not installed as a backend; unless it is `owned` by
    whoever runs this, as a configuration file is.
    """
    return outcome(document, storage, config, owned).answer


def outcome(
    document: Any, storage: str | None = None, config: str | Path | None = None, owned: bool = False
) -> Outcome:
    """What `run` answers, and how it came about."""
    operation, backend = UNKNOWN, AUTO
    backends: list[Configured] = []
    used: Storage | None = None
    try:
        asked = parse(document)
        operation = asked.operation
        if not owned:
            only_installed(asked.storage_config)
        backends = _backends(asked, storage, config)
        backend = active(backends).name
        if operation == "get_health_status":
            answer = status(backends)
        else:
            used = opened(backends)
            answer = _OPERATIONS[operation](used, asked)
    except Exception as error:  # whatever it is, the caller gets an answer
        if isinstance(error, StorageError):
            forget(backends)
        return failure(error, operation, backend, backends, used)
    COUNTERS.count(answer["success"])
    return Outcome(answer)


def failure(
    error: Exception,
    operation: str = UNKNOWN,
    backend: str = AUTO,
    backends: Sequence[Configured] = (),
    used: Storage | None = None,
) -> Outcome:
    """The answer that tells of `error`, without what is secret in the settings of `backends`."""
    COUNTERS.count(success=False)
    if isinstance(error, IssuelakeError):
        message = str(error)
    else:
        _log.debug("%s failed", operation, exc_info=error)
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        message = f"{operation} failed unexpectedly ({type(error).__name__}: {reason}); please report it."
    message = scrubbed(message, [configured.settings for configured in backends])
    return Outcome(
        {
            "success": False,
            "operation_result": operation_result(operation, backend, 0) | (selection(used) if used else {}),
            # A lone surrogate out of the document would keep the answer from being JSON.
            "error": message.encode("utf-8", "backslashreplace").decode(),
        },
        misused=isinstance(error, UsageError),
    )


def _backends(asked: Document, storage: str | None, config: str | Path | None) -> list[Configured]:
    given = asked.storage
    complete = len(given) == 2 and storage is None and config is None
    return configured(given if complete else configuration(storage, config) | given)


def _store(storage: Storage, asked: Document) -> Answer:
    from assets.store import store

    if asked.issues is None:
        raise UsageError("store_issues needs `issues`: a run, or a list of runs.")
    return store(storage, asked.issues)


def _issues(storage: Storage, asked: Document) -> Answer:
    from assets import answers

    return answers.issues(storage, _query(asked), asked.operation)


def _latest(storage: Storage, asked: Document) -> Answer:
    from assets import answers

    query = _query(asked)
    if query != Query(plugin_name=query.plugin_name):
        raise QueryError("get_latest_issues answers one run whole: its query takes plugin_name only.")
    return answers.latest(storage, query.plugin_name)


def _summary(storage: Storage, asked: Document) -> Answer:
    from assets import answers

    return answers.summary(storage, _query(asked))


def _history(storage: Storage, asked: Document) -> Answer:
    from assets import answers

    return answers.history(storage, _query(asked))


def _delete(storage: Storage, asked: Document) -> Answer:
    from assets.deletion import delete
    from pipelines.actor import current_user

    return delete(storage, _query(asked), current_user())


def _export(storage: Storage, asked: Document) -> Answer:
    from assets.exports import export

    # "-" would be this process's own output, and a NUL no system's call takes.
    if asked.export_path is None or asked.export_path == "-" or "\0" in asked.export_path:
        raise UsageError("export_issues needs `export_path`: a local path or any fsspec URL.")
    query = _query(asked)
    limit = query.limit if "limit" in asked.query else None
    unlimited = msgspec.structs.replace(
        query, limit=queries.DEFAULT_LIMIT
    )  # a limit of pages, not of exports
    return export(storage, unlimited, asked.export_format, asked.export_path, limit=limit)


def _query(asked: Document) -> Query:
    return queries.parse(asked.query)


_OPERATIONS: dict[str, Callable[[Storage, Document], Answer]] = {
    "store_issues": _store,
    "get_issues": _issues,
    "search_issues": _issues,
    "get_latest_issues": _latest,
    "get_issue_summary": _summary,
    "get_issue_history": _history,
    "delete_issues": _delete,
    "export_issues": _export,
}
