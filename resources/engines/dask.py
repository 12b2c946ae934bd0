"""Dask distributed: a scheduler somewhere, workers that come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from resources.backend import Backend
from resources.engines.calls import Call, own_version, perform
from resources.engines.reference import Reference
from resources.errors import EngineError, UsageError

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")

REACHED_WITHIN = 10.0
"""Seconds for the scheduler to answer, and again for a first worker to be there."""

AHEAD = 3
"""Tasks handed out for each that is worked on: nobody waits for the next one, and what is finished and
waits for an earlier one stays little."""


@contextmanager
def dask(address: str, lake: Reference) -> Iterator[Dask]:
    """The cluster whose scheduler is at `address`. Raises `UsageError` and `EngineError`."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            f"dask:// needs a package that is not installed: pip install 'issuelake[dask]' ({error})."
        ) from error
    try:
        client = Client(address, timeout=REACHED_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is one
        raise EngineError(
            f"No Dask scheduler answers at {address} ({_first_line(error)}): start one with"
            " `dask scheduler`, or mend the address."
        ) from None
    try:
        _await_workers(client, address)
        yield Dask(client, address, lake)
    finally:
        with suppress(Exception):  # the scheduler may have gone, and nothing is left to be done there
            client.close(timeout=REACHED_WITHIN)


def _await_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=REACHED_WITHIN)
    except TimeoutError:
        raise EngineError(
            f"The Dask scheduler at {address} has no workers: start some with"
            f" `dask worker {address}`, in an environment with the same issuelake."
        ) from None


class Dask:
    """A client of one scheduler."""

    def __init__(self, client: Client, address: str, lake: Reference) -> None:
        self.name = f"dask ({address})"
        self._client = client
        self._address = address
        self._lake = lake

    @property
    def at_once(self) -> int:
        """The threads of all workers there are now."""
        with self._asking():
            return max(1, sum(map(int, self._client.nthreads().values())))

    def map(self, function: Callable[[Backend, T], R], tasks: Iterable[T]) -> Iterator[R]:
        under_way: deque[Future] = deque()
        version, most = own_version(), AHEAD * self.at_once
        try:
            for task in tasks:
                under_way.append(self._submit(Call(function, self._lake, task, version)))
                if len(under_way) >= most:
                    yield self._result(under_way.popleft())
            while under_way:
                yield self._result(under_way.popleft())
        finally:
            if under_way:
                with suppress(Exception):  # with the scheduler went what would be cancelled
                    self._client.cancel(list(under_way), force=True)

    def _submit(self, call: Call) -> Future:
        # A key of its own: what was done before may have to be done again.
        key = f"{call.function.__name__}-{uuid4().hex}"
        with self._asking():
            return self._client.submit(perform, call, key=key, pure=False)

    def _result(self, future: Future) -> Any:
        with self._asking():
            answer = future.result()
        return answer.get()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises `EngineError` for whatever the cluster does not do."""
        from distributed import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise EngineError(
                f"Dask gave a task up, since one worker after the other died over it ({_first_line(error)});"
                " perhaps they have too little memory. What was stored stays: do the same again."
            ) from None
        except (CancelledError, OSError) as error:
            raise EngineError(
                f"The Dask scheduler at {self._address} went away ({_first_line(error)}). What was stored"
                " stays: do the same again when it is back."
            ) from None
        except ImportError as error:
            raise EngineError(
                f"A worker of {self._address} lacks a package ({error}): install the same issuelake there."
            ) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
