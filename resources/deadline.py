"""Work that is given up on when it takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """What `work`, begun in a thread of its own, will answer.

    Unlike that of a pool the thread does not keep the process alive: what hangs hangs alone.
    """
    answer: Future[T] = Future()

    def carry_out() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=carry_out, name="issuelake-deadline", daemon=True).start()
    return answer
