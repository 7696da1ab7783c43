"""How long work reports: a callback that takes one Step."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """How far one stage of a long job has come.

    done and total are in unit; a total of 0 means that the end is not known. A stage is over when
    a Step of another stage arrives, or when done reaches total.
    """

    stage: str
    done: float
    total: float
    unit: str


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Ignore the step."""


class Stopped(Exception):
    """Raised in a worker of a job that is being abandoned."""


class Tally:
    """Adds up what threads have done of a stage, and reports it.

    add raises Stopped in workers once stop is set.
    """

    def __init__(
        self, stage: str, total: int, unit: str, progress: Progress, done: int = 0
    ) -> None:
        self._stage, self._total, self._unit, self._done = stage, total, unit, done
        self._progress = progress
        self._lock = threading.Lock()
        self.stop = threading.Event()
        progress(Step(stage, done, total, unit))

    def add(self, count: int) -> None:
        """Report `count` more."""
        if self.stop.is_set():
            raise Stopped
        with self._lock:
            self._done += count
            self._progress(Step(self._stage, self._done, self._total, self._unit))
