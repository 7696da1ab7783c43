"""One thread that does the work of all requests, in the order they came, with a bounded queue."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from indexer.progress import Progress, Step

Result = TypeVar("Result")


class Busy(Exception):
    """Other work is in the way: ask again later."""


class Abandoned(Exception):
    """Raised in work whose client has gone, or that took too long."""


class Job(Generic[Result]):
    """Work that waits or runs; step is the last it reported, seconds the longest it may take."""

    def __init__(self, work: Callable[[Progress], Result], seconds: float) -> None:
        self.future: Future[Result] = Future()
        self.step: Step | None = None
        self._work = work
        self._gone = threading.Event()
        self._deadline = time.monotonic() + seconds

    def cancel(self) -> None:
        """Stop at the next report, or do not begin."""
        self._gone.set()

    def _report(self, step: Step) -> None:
        self.step = step
        if self._gone.is_set():
            raise Abandoned("the client has gone")
        if self._late():
            raise Abandoned("it took longer than a request may")

    def _late(self) -> bool:
        return time.monotonic() > self._deadline

    def run(self) -> None:
        """Do the work, and hand over what came of it."""
        try:
            if self._gone.is_set():
                raise Abandoned("the client has gone")
            if self._late():
                raise Busy("it waited longer than a request may; ask again in a second")
            self.future.set_result(self._work(self._report))
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            self.future.set_exception(error)


class Worker:
    """Runs jobs one after the other; `most` may wait or run at a time."""

    def __init__(self, most: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._free = threading.BoundedSemaphore(most)
        self._seconds = seconds

    def submit(self, work: Callable[[Progress], Result]) -> Job[Result]:
        """A job for the work; Busy where too many wait."""
        if not self._free.acquire(blocking=False):
            raise Busy("too many requests wait; ask again in a second")
        job = Job(work, self._seconds)
        self._pool.submit(job.run).add_done_callback(lambda done: self._free.release())
        return job

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
