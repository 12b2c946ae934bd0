"""A PlugPipe plugin as a storage: runs go in by `store_issues` and come back by `get_issues`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from resources.backends.custom.calling import Plugin, Refused
from resources.backends.custom.carried import laden, restored
from resources.backends.documents import DocumentBackend
from resources.backends.settings import DEADLINE
from resources.errors import StorageError, UsageError, Vanished
from resources.files import Entry, Files
from resources.health import Health
from resources.lake import layout

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from resources.backends.custom import CustomBackend
    from resources.contract import Rejection
    from resources.lake.marks import Audit, Deletion
    from resources.lake.verdict import Appended

T = TypeVar("T")

PAGE = 1000
"""Issues that are asked for at a time: the most that the contract lets a page have."""


class PlugPipe(DocumentBackend):
    """A plugin that answers `store_issues` and `get_issues`. It deletes nothing and keeps no files."""

    def __init__(self, process: Callable[..., Any], settings: CustomBackend) -> None:
        from resources.backends.custom import HealthCheck

        super().__init__()
        self._plugin = Plugin(
            process, settings.plugin_name, settings.config, settings.timeout_seconds or DEADLINE
        )
        self._health_operation = (settings.health_check or HealthCheck()).operation
        self._has_history = False
        self.files: Files = _NoFiles(settings.plugin_name)

    @property
    def url(self) -> str:
        return self._plugin.name

    def load(self, run_ids: Collection[str] | None = None) -> Iterable[bytes]:  # noqa: ARG002  (all of them)
        issues = self._pages("get_issues", "issues")
        for document in restored(issues, self._history(), self.url):
            yield msgspec.json.encode(document)

    def put(self, run_id: str, document: bytes) -> None:  # noqa: ARG002  (which stands in it)
        self._plugin.ask("store_issues", issues=laden(document))

    def drop(self, run_id: str) -> None:
        raise self._cannot(f"delete the run {run_id!r}")

    def append(self, runs: pa.Table, issues: pa.Table) -> Appended:
        """Store the runs, and see whether they come back: of a plugin nothing is known but that."""
        appended = super().append(runs, issues)
        if appended.runs_stored:
            self._look_whether_they_are_there(runs, appended.duplicate_rows)
        return appended

    def delete(self, run_ids: Iterable[str], audit: Audit | None = None) -> str:  # noqa: ARG002
        if not set(run_ids):
            return ""
        raise self._cannot("delete runs")

    def record(self, deletion: Deletion, moments: Mapping[str, datetime]) -> None:  # noqa: ARG002
        raise self._cannot("keep a record of deletions")

    def reject(self, rejections: Sequence[Rejection]) -> None:
        if rejections:
            first = rejections[0]
            raise StorageError(
                f"{first.source} was refused ({first.reason}), and the plugin {self.url} has no place to keep"
                " what is refused: mend it and store it again. Nothing of what came with it was stored."
            )

    def check(self) -> Health:
        """Ask the plugin, by the operation that is configured for it."""
        started = time.perf_counter()
        error = None
        try:
            answer = self._plugin.ask(self._health_operation)
            status = answer.get("health_status")
            if isinstance(status, Mapping) and status.get("storage_healthy") is False:
                error = f"The plugin {self.url} says that its storage is not healthy."
        except StorageError as failure:
            error = str(failure)
        return Health(error is None, round((time.perf_counter() - started) * 1000, 3), error)

    def _look_whether_they_are_there(self, runs: pa.Table, duplicates: Collection[int]) -> None:
        there = {kept.run_id: kept for kept in layout.relisting(self.counting)}
        counts = {
            run["validation_run_id"]: sum(v for name, v in run.items() if name.endswith("_issues"))
            for row, run in enumerate(runs.to_pylist())
            if row not in duplicates
        }
        for run_id, count in counts.items():
            if run_id not in there or len(there[run_id].issues) != count:
                what = "without issues " if not count else ""
                raise StorageError(
                    f"The plugin {self.url} took the run {run_id!r} {what}and does not give it back by"
                    " get_issues: keep such runs in another storage."
                )

    def _history(self) -> Iterator[Any]:
        """What the plugin's `get_issue_history` answers, if it has one: it need not."""
        try:
            rows = list(self._pages("get_issue_history", "history"))
        except Refused:
            if self._has_history:  # so that this is not what it means
                raise
            return
        self._has_history = True
        yield from rows

    def _pages(self, operation: str, name: str) -> Iterator[Any]:
        """All that an operation answers, page by page."""
        offset = 0
        before: list[Any] = []
        while True:
            answer = self._plugin.ask(operation, query={"limit": PAGE, "offset": offset})
            data = answer.get("issues_data", answer)
            page = data.get(name) if isinstance(data, Mapping) else data
            if not isinstance(page, list):
                raise StorageError(
                    f"The plugin {self.url} answers {operation} without a list under issues_data.{name}."
                )
            if page and page == before:
                raise StorageError(
                    f"The plugin {self.url} answers {operation} with the same page whatever query.offset is:"
                    " it cannot be read whole."
                )
            yield from page
            offset += len(page)
            before = page
            total = data.get("filtered_count") if isinstance(data, Mapping) else None
            if not page or (offset >= total if isinstance(total, int) else len(page) < PAGE):
                return

    def _cannot(self, what: str) -> UsageError:
        return UsageError(
            f"The plugin {self.url} cannot {what}: issuelake knows its store_issues and get_issues only; use"
            " the plugin's own means."
        )


class _NoFiles:
    """No place for files: there are none, and none can be put."""

    key = None

    def __init__(self, url: str) -> None:
        self.url = url

    def folders(self, path: str) -> list[str]:  # noqa: ARG002
        return []

    def find(self, path: str) -> list[Entry]:  # noqa: ARG002
        return []

    def list_many(self, paths: Sequence[str]) -> list[Entry]:  # noqa: ARG002
        return []

    def read(self, path: str) -> bytes:
        raise Vanished(f"{path} is not in {self.url}: the plugin keeps runs only.")

    def publish(self, path: str, data: bytes, renew: bool = False) -> None:  # noqa: ARG002
        raise StorageError(f"The plugin {self.url} keeps runs only and has no place for {path}.")

    def remove(self, path: str) -> None:
        """There is nothing to remove."""

    def sweep(self, before: float) -> None:
        """There is nothing half written."""

    def paths(self, paths: Sequence[str]) -> list[str]:
        return [self.read(path).decode() for path in paths]

    def using(self, work: Callable[[], T]) -> T:
        return work()
